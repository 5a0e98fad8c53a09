/* Plays scenarios of the submission server: what a client says and what it hears, in text files (smtpd/, one a file).
 *
 * Each scenario runs three times: line by line, octet by octet, and pipelined (everything the client says up to the
 * next directive in one piece). What it hears must be the same each time.
 *
 *     # comment
 *     C: text        the client says text and CRLF; \r \n \t \0 \xHH \\ are octets
 *     C> text        the same without CRLF at the end
 *     C* N text      text and CRLF, N times
 *     S: 250-text    the next line heard begins so; lines of EHLO that no S: names are not skipped
 *     S* text        some line of the multi-line reply that comes next begins so (its other lines are skipped)
 *     set NAME VALUE             before the first C: or S:; names are in `settings` below
 *     event NAME                 timeout drain expire hold release lost queue-full no-ids no-handover
 *     expect NAME VALUE          state server client helo content closed unread mails-begun mails-accepted mails-aborted
 *
 * Directives wait for all S: before them. Quoting of VALUE is that of C:.
 */
#include "smtpd_fake.h"

#include "core/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum mode { LINES, OCTETS, PIPELINED, MODES };
static const char *const mode_names[] = {"line by line", "octet by octet", "pipelined"};

struct play {
	struct fake f;
	enum mode mode;
	bool started;
	struct buf unsaid;   /* pipelined: what is to be said at the next directive */
	struct buf expected; /* S: lines not yet compared, one per line as in the file */
	const char *file;
	unsigned line;
	unsigned failures;
};

static void complain(struct play *p, const char *what, struct slice wanted, struct slice got)
{
	printf("%s:%u: %s (%s)\n    wanted: %.*s\n    got:    %.*s\n", p->file, p->line, what,
	       mode_names[p->mode], SLICE_ARG(wanted), SLICE_ARG(got));
	p->failures++;
}

/* ---- text ---- */

static int hex(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void unescape(struct slice text, struct buf *out)
{
	static const char names[] = "rnt0\\", octets[] = "\r\n\t\0\\";
	for (size_t i = 0; i < text.len; i++) {
		const char *at;
		if (text.ptr[i] != '\\' || i + 1 == text.len) {
			buf_add_char(out, text.ptr[i]);
		} else if (text.ptr[i + 1] == 'x' && i + 3 < text.len) {
			buf_add_char(out, (char)(hex(text.ptr[i + 2]) << 4 | hex(text.ptr[i + 3])));
			i += 3;
		} else if ((at = strchr(names, text.ptr[++i]))) {
			buf_add_char(out, octets[at - names]);
		}
	}
}

/* ---- settings ---- */

struct setting {
	const char *name;
	void (*set)(struct play *p, struct slice value);
};

static uint64_t number(struct slice s)
{
	uint64_t v = 0;
	if (slice_to_u64(s, UINT64_MAX, &v) != ERR_OK)
		printf("not a number: %.*s\n", SLICE_ARG(s));
	return v;
}

static void set_tls(struct play *p, struct slice v)
{
	p->f.listener.tls = slice_eq_str(v, "none")       ? CONF_LISTENER_NONE
			    : slice_eq_str(v, "implicit") ? CONF_LISTENER_IMPLICIT
							  : CONF_LISTENER_STARTTLS;
}
static void set_auth(struct play *p, struct slice v)
{
	p->f.listener.auth = slice_eq_str(v, "none") ? CONF_AUTH_NONE : CONF_AUTH_REQUIRED;
}
static void set_bare(struct play *p, struct slice v)
{
	p->f.listener.bare_newline = slice_eq_str(v, "reject") ? CONF_BARE_REJECT : CONF_BARE_NORMALISE;
}
static void set_certificate(struct play *p, struct slice v)
{
	p->f.options.tls_available = !slice_eq_str(v, "none");
}
static void set_extensions(struct play *p, struct slice v)
{
	p->f.options.extensions =
		slice_eq_str(v, "all") ? SMTPD_EXT_8BITMIME | SMTPD_EXT_SMTPUTF8 | SMTPD_EXT_DSN | SMTPD_EXT_CHUNKING |
						SMTPD_EXT_BINARYMIME : 0;
}
static void set_xclient(struct play *p, struct slice v)
{
	p->f.options.xclient = slice_eq_str(v, "yes");
}
static void set_message_size(struct play *p, struct slice v)
{
	p->f.conf.limit.message_size = number(v);
}
static void set_recipients(struct play *p, struct slice v)
{
	p->f.conf.limit.recipients = number(v);
}
static void set_messages(struct play *p, struct slice v)
{
	p->f.conf.limit.messages_per_connection = number(v);
}
static void set_bad_commands(struct play *p, struct slice v)
{
	p->f.conf.limit.bad_commands = number(v);
}
static void set_unknown_recipients(struct play *p, struct slice v)
{
	p->f.conf.limit.unknown_recipients = number(v);
}
static void set_header_size(struct play *p, struct slice v)
{
	p->f.conf.limit.header_size = number(v);
}
static void set_memory(struct play *p, struct slice v)
{
	p->f.conf.limit.session_memory = number(v);
}
static void set_window(struct play *p, struct slice v)
{
	p->f.window = number(v);
}

static const struct setting settings[] = {
	{"tls", set_tls},
	{"auth", set_auth},
	{"bare-newline", set_bare},
	{"certificate", set_certificate},
	{"extensions", set_extensions},
	{"xclient", set_xclient},
	{"message-size", set_message_size},
	{"recipients", set_recipients},
	{"messages", set_messages},
	{"bad-commands", set_bad_commands},
	{"unknown-recipients", set_unknown_recipients},
	{"header-size", set_header_size},
	{"session-memory", set_memory},
	{"window", set_window},
};

/* ---- saying and hearing ---- */

static void begin(struct play *p)
{
	if (!p->started)
		fake_start(&p->f);
	p->started = true;
}

static void say(struct play *p, struct slice octets)
{
	begin(p);
	if (p->mode == PIPELINED) {
		buf_add(&p->unsaid, octets);
		return;
	}
	size_t piece = p->mode == OCTETS ? 1 : SIZE_MAX;
	for (; octets.len; octets = slice_from(octets, piece))
		fake_feed(&p->f, slice_sub(octets, 0, piece));
}

static struct slice next_line(struct slice *rest)
{
	size_t end = slice_find(*rest, '\n');
	struct slice line = slice_sub(*rest, 0, end);
	*rest = slice_from(*rest, end == SLICE_NPOS ? rest->len : end + 1);
	return slice_trim(line);
}

/* "S* text": looks for it in the lines up to the end of this reply. */
static void hear_some(struct play *p, struct slice wanted, struct slice *heard)
{
	struct slice reply = *heard;
	bool found = false, last = false;
	while (heard->len && !last) {
		struct slice line = next_line(heard);
		found |= slice_starts(line, wanted);
		last = line.len < 4 || line.ptr[3] != '-';
	}
	if (!found)
		complain(p, "no such line in the reply", wanted, reply);
}

/* Everything expected so far, against everything heard so far. */
static void compare(struct play *p)
{
	begin(p);
	fake_feed(&p->f, buf_slice(&p->unsaid));
	buf_clear(&p->unsaid);
	struct slice wanted = buf_slice(&p->expected), heard = slice_str(fake_replies(&p->f));
	while (wanted.len) {
		struct slice w = next_line(&wanted);
		if (slice_starts(w, SLICE_LIT("S* "))) {
			struct slice kept = heard;
			hear_some(p, slice_from(w, 3), &heard);
			if (slice_starts(wanted, SLICE_LIT("S* ")))
				heard = kept; /* the next one is about the same reply */
			continue;
		}
		struct slice line = next_line(&heard);
		w = slice_trim(slice_from(w, 2));
		if (line.len == 0 || !slice_starts(line, w))
			complain(p, "heard something else", w, line);
	}
	if (heard.len)
		complain(p, "heard more than expected", SLICE_EMPTY, heard);
	buf_clear(&p->expected);
}

/* ---- directives ---- */

static void event(struct play *p, struct slice name)
{
	struct wire_reply lost = {451, {4, 3, 0}, SLICE_LIT("The queue was restarted")};
	struct fake *f = &p->f;
	if (slice_eq_str(name, "timeout"))
		smtpd_session_timeout(f->s);
	else if (slice_eq_str(name, "drain"))
		smtpd_session_drain(f->s);
	else if (slice_eq_str(name, "expire"))
		smtpd_session_expire(f->s);
	else if (slice_eq_str(name, "hold"))
		f->hold = true;
	else if (slice_eq_str(name, "release"))
		f->hold = false;
	else if (slice_eq_str(name, "queue-full"))
		f->welcome = false;
	else if (slice_eq_str(name, "no-ids"))
		f->ids = false;
	else if (slice_eq_str(name, "no-handover"))
		f->handover = false;
	else if (slice_eq_str(name, "lost")) {
		f->streaming = f->want_result = false;
		smtpd_session_result(f->s, &lost);
	} else {
		complain(p, "unknown event", name, SLICE_EMPTY);
	}
	fake_pump(f);
}

static void expect_number(struct play *p, struct slice name, uint64_t got, struct slice wanted)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, got);
	if (!slice_eq_str(wanted, text))
		complain(p, "another number", wanted, slice_str(text));
}

static void expect_text(struct play *p, struct slice got, struct slice wanted)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	unescape(wanted, &b);
	if (!slice_eq(buf_slice(&b), got))
		complain(p, "another text", wanted, got);
	buf_done(&b);
}

static void expect(struct play *p, struct slice name, struct slice value)
{
	struct fake *f = &p->f;
	if (slice_eq_str(name, "state"))
		expect_text(p, slice_str(smtpd_state_name(smtpd_session_state(f->s))), value);
	else if (slice_eq_str(name, "server"))
		expect_text(p, smtpd_session_server(f->s), value);
	else if (slice_eq_str(name, "client"))
		expect_text(p, smtpd_session_client(f->s), value);
	else if (slice_eq_str(name, "helo"))
		expect_text(p, smtpd_session_helo(f->s), value);
	else if (slice_eq_str(name, "content"))
		expect_text(p, buf_slice(&f->content), value);
	else if (slice_eq_str(name, "closed"))
		expect_text(p, slice_str(f->closed ? "yes" : "no"), value);
	else if (slice_eq_str(name, "mails-begun"))
		expect_number(p, name, f->begun, value);
	else if (slice_eq_str(name, "mails-accepted"))
		expect_number(p, name, f->accepted, value);
	else if (slice_eq_str(name, "mails-aborted"))
		expect_number(p, name, f->aborted, value);
	else if (slice_eq_str(name, "unread"))
		expect_number(p, name, f->in.len, value);
	else
		complain(p, "unknown expectation", name, SLICE_EMPTY);
}

static void set(struct play *p, struct slice name, struct slice value)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		if (!slice_eq_str(name, settings[i].name))
			continue;
		settings[i].set(p, value);
		return;
	}
	complain(p, "unknown setting", name, SLICE_EMPTY);
}

static void say_text(struct play *p, struct slice text, bool line, uint64_t times)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	for (uint64_t i = 0; i < times; i++) {
		unescape(text, &b);
		if (line)
			buf_add_str(&b, "\r\n");
	}
	say(p, buf_slice(&b));
	buf_done(&b);
}

static void directive(struct play *p, struct slice line)
{
	struct slice rest = line, verb = slice_word(&rest), name;
	if (slice_eq_str(verb, "set")) {
		name = slice_word(&rest);
		set(p, name, slice_trim(rest));
		return;
	}
	compare(p);
	if (slice_eq_str(verb, "event")) {
		event(p, slice_trim(rest));
	} else if (slice_eq_str(verb, "expect")) {
		name = slice_word(&rest);
		expect(p, name, slice_trim(rest));
	} else {
		complain(p, "unknown directive", verb, SLICE_EMPTY);
	}
}

static struct slice behind(struct slice line)
{
	struct slice text = slice_from(line, 2);
	return slice_starts(text, SLICE_LIT(" ")) ? slice_from(text, 1) : text;
}

static void scenario_line(struct play *p, struct slice line)
{
	struct slice text = behind(line);
	if (line.len == 0 || line.ptr[0] == '#') {
		return;
	} else if (slice_starts(line, SLICE_LIT("C:"))) {
		say_text(p, text, true, 1);
	} else if (slice_starts(line, SLICE_LIT("C>"))) {
		say_text(p, text, false, 1);
	} else if (slice_starts(line, SLICE_LIT("C*"))) {
		uint64_t times = number(slice_word(&text));
		say_text(p, slice_from(text, 1), true, times);
	} else if (slice_starts(line, SLICE_LIT("S:")) || slice_starts(line, SLICE_LIT("S*"))) {
		buf_add(&p->expected, line);
		buf_add_char(&p->expected, '\n');
	} else {
		directive(p, line);
	}
}

static unsigned play(const char *file, struct slice text, enum mode mode)
{
	struct play p = {.mode = mode, .file = file};
	fake_init(&p.f);
	buf_init(&p.unsaid, 1 << 20);
	buf_init(&p.expected, 1 << 20);
	while (text.len) {
		size_t end = MIN(slice_find(text, '\n'), text.len);
		p.line++;
		scenario_line(&p, slice_sub(text, 0, end));
		text = slice_from(text, end + 1);
	}
	compare(&p);
	fake_done(&p.f);
	buf_done(&p.unsaid);
	buf_done(&p.expected);
	return p.failures;
}

static bool read_file(const char *path, struct buf *out)
{
	char part[4096];
	FILE *f = fopen(path, "rb");
	if (!f) {
		perror(path);
		return false;
	}
	for (size_t n; (n = fread(part, 1, sizeof(part), f)) > 0;)
		buf_add_mem(out, part, n);
	fclose(f);
	return !out->failed;
}

int main(int argc, char **argv)
{
	unsigned failures = 0;
	for (int i = 1; i < argc; i++) {
		struct buf text;
		buf_init(&text, 1 << 20);
		if (!read_file(argv[i], &text))
			failures++;
		for (enum mode m = LINES; m < MODES; m++)
			failures += play(argv[i], buf_slice(&text), m);
		buf_done(&text);
	}
	printf("%d scenarios, %u failures\n", argc - 1, failures);
	return failures > 0 || argc < 2;
}
