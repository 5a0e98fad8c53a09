/* Plays scenarios of a whole relay (relay/, one a file) on the simulated loop: virtual time, no sockets, no files.
 *
 *     # comment
 *     repeat FROM TO              first: the scenario runs for each $i in FROM..TO, which is the loop's seed too
 *     config TEXT                 a line of configuration; after `start` they are the next one, for `reload`
 *     spool memory | spool SIZE   before start; a simulated disk of SIZE (256M) unless said otherwise
 *     dns NAME WHAT, dns-ttl S    relay_dns.c
 *     site ADDRESS WHAT           relay_site.c; its first mention brings it up
 *     start [SMTPD SMTPC]         how many of these processes, 2 each unless said
 *     server NAME                 makes a hosting server that may authenticate
 *     connect NAME [ADDRESS]      a client; "C:" and "S:" without a name are one that connects to 127.0.0.1:2525
 *     close NAME
 *     C[.NAME]: TEXT   C[.NAME]> TEXT   says TEXT with, without CRLF; \r \n \\ are octets
 *     S[.NAME]: TEXT              the next whole reply's last line begins so, or is "closed"; waits 20 minutes
 *     silence[.NAME] TIME         no reply comes for so long
 *     submit N [all|none|any] [from= to=A,B size= as= at= subject= each=]
 *                                 N messages that are answered 250 (all, the default), not, or either
 *     wait TIME
 *     expect N METRIC             N: 3, 2..5, 2.. (at least)
 *     within TIME N METRIC        it becomes so before TIME is over
 *     kill PROCESS, revive PROCESS     "queue.0"
 *     power cut N                 the spool's disk loses power at the N-th change from now
 *     power off, power on SEED    all processes end; what was not synced is kept, lost or torn by SEED
 *     disk fail KINDS NTH ERRNO [forever]     KINDS: open read write sync dir alloc, joined by commas; ERRNO: EIO ENOSPC
 *     disk heal, disk fill LEFT, disk empty   a file fills the disk up to LEFT octets, and is removed
 *     workers TIME                every job of a helper thread takes so long
 *     clock +TIME | -TIME         the system clock is set
 *     drain, reload
 *     ask VERB [ARG=VALUE...]     a control verb; see METRIC row
 *
 * Metrics: delivered (recipients, at all sites), acknowledged (recipients answered 250), lost (acknowledged, nowhere
 * delivered), twice (recipients that got a message again), refused (messages of submit), running (processes), questions
 * (to the DNS), ROLE.COUNTER (of heartbeats, summed), log WORDS (lines with all of them), row WORDS (of the last answer),
 * trouble [TEXT], site ADDRESS got [TEXT] | open | connections, apart ADDRESS TEXT TEXT (how far two kinds of messages are
 * apart in number).
 * In every line $i, $id (of the last message answered 250) and $plain(SERVER) (AUTH PLAIN) are replaced.
 */
#include "relay_play.h"

#include "core/mem.h"
#include "core/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS   (20 * 60 * 1000)
#define LOG_TAIL    (16u * 1024)
#define CONFIG_MAX  (1u << 20)
#define BALLAST     "ballast"
#define BALLAST_MAX (1u << 20)

static const char preamble[] =
	"hostname = \"relay.example.net\"\n"
	"retry { jitter = 0 }\n"
			       "disk_reserve = \"64M\"\n"
	"listener open { address = \"127.0.0.1:2525\" tls = \"none\" auth = \"none\" }\n"
	"listener hosts { address = \"127.0.0.1:2587\" tls = \"none\" auth = \"required\" }\n";

void complain(struct play *p, const char *what, struct slice wanted, struct slice got)
{
	printf("%s:%u: %s", p->file, p->line, what);
	if (p->turn)
		printf(" ($i = %" PRIu64 ")", p->turn);
	printf("\n    wanted: %.*s\n    got:    %.*s\n", SLICE_ARG(wanted), SLICE_ARG(slice_trim(got)));
	p->failures++;
}

/* ---- words ---- */

static uint64_t number(struct play *p, struct slice s)
{
	uint64_t v = 0;
	if (slice_to_u64(s, UINT64_MAX, &v) != ERR_OK)
		complain(p, "not a number", SLICE_EMPTY, s);
	return v;
}

static uint64_t duration(struct play *p, struct slice s)
{
	uint64_t v = 0;
	if (text_parse_duration(slice_trim(s), &v) != ERR_OK)
		complain(p, "not a duration", SLICE_EMPTY, s);
	return v;
}

static uint64_t size_of(struct play *p, struct slice s)
{
	uint64_t v = 0;
	if (text_parse_size(slice_trim(s), &v) != ERR_OK)
		complain(p, "not a size", SLICE_EMPTY, s);
	return v;
}

static void replace(struct play *p, struct slice line, struct buf *out)
{
	while (line.len) {
		size_t at = slice_find(line, '$');
		buf_add(out, slice_sub(line, 0, at));
		line = slice_from(line, at == SLICE_NPOS ? line.len : at + 1);
		if (at == SLICE_NPOS)
			return;
		if (slice_starts(line, SLICE_LIT("id"))) {
			buf_add_str(out, p->w.clients.last_id);
			line = slice_from(line, 2);
		} else if (slice_starts(line, SLICE_LIT("plain("))) {
			struct slice rest = slice_from(line, 6), name = slice_split(&rest, ')');
			clients_plain(&p->w.clients, name, out);
			line = rest;
		} else if (slice_starts(line, SLICE_LIT("i"))) {
			buf_printf(out, "%" PRIu64, p->turn);
			line = slice_from(line, 1);
		} else {
			buf_add_char(out, '$');
		}
	}
}

/* ---- expectations ---- */

struct wanted {
	struct play *play;
	uint64_t from, to, got;
	struct slice metric;
};

static struct wanted parse_wanted(struct play *p, struct slice rest)
{
	struct slice range = slice_word(&rest);
	struct wanted w = {.play = p, .metric = slice_trim(rest)};
	size_t dots = slice_find_slice(range, SLICE_LIT(".."));
	struct slice to = slice_from(range, dots == SLICE_NPOS ? range.len : dots + 2);
	w.from = number(p, slice_sub(range, 0, dots));
	w.to = dots == SLICE_NPOS ? w.from : to.len ? number(p, to) : UINT64_MAX;
	return w;
}

static bool holds(void *ctx)
{
	struct wanted *w = ctx;
	w->got = metric(w->play, w->metric);
	return w->got >= w->from && w->got <= w->to;
}

static void expect(struct play *p, struct slice rest)
{
	struct wanted w = parse_wanted(p, rest);
	char text[32];
	if (holds(&w))
		return;
	snprintf(text, sizeof(text), "%" PRIu64, w.got);
	complain(p, "another number", slice_trim(rest), slice_str(text));
}

static void within(struct play *p, struct slice rest)
{
	uint64_t ms = duration(p, slice_word(&rest));
	struct wanted w = parse_wanted(p, rest);
	if (!sim_run_until(p->w.loop, holds, &w, ms))
		expect(p, rest);
}

/* ---- clients ---- */

static void unescape(struct slice text, struct buf *out)
{
	static const char names[] = "rn\\", octets[] = "\r\n\\";
	for (size_t i = 0; i < text.len; i++) {
		const char *at = NULL;
		if (text.ptr[i] == '\\' && i + 1 < text.len && text.ptr[i + 1])
			at = strchr(names, text.ptr[i + 1]);
		buf_add_char(out, at ? octets[at - names] : text.ptr[i]);
		i += at != NULL;
	}
}

static void say(struct play *p, struct slice name, struct slice text, bool line)
{
	CLEANUP(buf_done) struct buf out;
	buf_init(&out, WORLD_TEXT_MAX);
	unescape(text, &out);
	if (line)
		buf_add_str(&out, "\r\n");
	client_say(&p->w.clients, name, buf_slice(&out));
}

static struct slice last_line(struct slice reply)
{
	reply = slice_trim(reply);
	size_t end = slice_rfind(reply, '\n');
	return slice_from(reply, end == SLICE_NPOS ? 0 : end + 1);
}

static void hear(struct play *p, struct slice name, struct slice wanted)
{
	CLEANUP(buf_done) struct buf reply;
	buf_init(&reply, WORLD_TEXT_MAX);
	bool some = client_hear(&p->w.clients, name, ANSWER_MS, &reply);
	if (!some || !slice_starts(last_line(buf_slice(&reply)), wanted))
		complain(p, "heard something else", wanted, buf_slice(&reply));
}

static void silence(struct play *p, struct slice name, struct slice time)
{
	CLEANUP(buf_done) struct buf reply;
	buf_init(&reply, WORLD_TEXT_MAX);
	if (client_hear(&p->w.clients, name, duration(p, time), &reply))
		complain(p, "heard something", SLICE_LIT("nothing"), buf_slice(&reply));
}

/* "C.name: text" and its like. False: it is none. */
static bool dialogue(struct play *p, struct slice line)
{
	struct slice rest = line, verb = slice_word(&rest), name = slice_from(verb, 1);
	bool client = slice_starts(verb, SLICE_LIT("C")), server = slice_starts(verb, SLICE_LIT("S"));
	bool colon = slice_ends(verb, SLICE_LIT(":")), piece = slice_ends(verb, SLICE_LIT(">"));
	bool dotted = name.len == 1 || (name.len > 1 && name.ptr[0] == '.');
	if (!(client || server) || !(colon || (client && piece)) || !dotted)
		return false;
	name = slice_sub(name, 0, name.len - 1);
	name = name.len ? slice_from(name, 1) : SLICE_LIT("client");
	struct slice text = slice_from(line, verb.len + 1);
	if (client)
		say(p, name, text, colon);
	else
		hear(p, name, slice_trim(text));
	return true;
}

/* ---- directives ---- */

static void set_option(struct play *p, struct batch *b, struct slice word)
{
	struct slice key = slice_split(&word, '=');
	struct slice *texts[] = {&b->from, &b->to, &b->as, &b->port, &b->subject};
	static const char *const names[] = {"from", "to", "as", "at", "subject"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (slice_eq_str(key, names[i])) {
			*texts[i] = word;
			return;
		}
	if (slice_eq_str(key, "size"))
		b->size = size_of(p, word);
	else if (slice_eq_str(key, "each"))
		b->per_connection = number(p, word);
	else
		complain(p, "unknown option", SLICE_EMPTY, key);
}

static void do_submit(struct play *p, struct slice rest)
{
	struct batch b = {.count = number(p, slice_word(&rest)),
			  .size = 100,
			  .from = SLICE_LIT("a@example.net"),
			  .to = SLICE_LIT("b@example.org"),
			  .subject = SLICE_LIT("hello")};
	bool all = true, none = false;
	for (struct slice word; (word = slice_word(&rest)).len;) {
		none |= slice_eq_str(word, "none");
		all &= !none && !slice_eq_str(word, "any");
		if (slice_find(word, '=') != SLICE_NPOS)
			set_option(p, &b, word);
	}
	char text[32];
	uint64_t n = clients_submit(&p->w.clients, &b);
	snprintf(text, sizeof(text), "%" PRIu64 " accepted", n);
	if (all && n != b.count)
		complain(p, "not all were accepted", SLICE_LIT("all"), slice_str(text));
	if (none && n != 0)
		complain(p, "some were accepted", SLICE_LIT("none"), slice_str(text));
}

static void do_config(struct play *p, struct slice rest)
{
	if (p->config_used)
		buf_clear(&p->config);
	p->config_used = false;
	if (p->config.len == 0)
		buf_add_str(&p->config, preamble);
	buf_add(&p->config, rest);
	buf_add_char(&p->config, '\n');
}

static void configure(struct play *p)
{
	struct diag d = {0};
	if (p->config.len == 0)
		buf_add_str(&p->config, preamble);
	if (world_configure(&p->w, buf_slice(&p->config), &d) != ERR_OK)
		world_fail("%s:%u: %s", p->file, p->line, d.text);
	p->config_used = true;
}

static void do_start(struct play *p, struct slice rest)
{
	struct slice smtpd = slice_word(&rest), smtpc = slice_word(&rest);
	configure(p);
	world_start(&p->w, smtpd.len ? (uint32_t)number(p, smtpd) : 2,
		    smtpc.len ? (uint32_t)number(p, smtpc) : 2);
}

static void do_reload(struct play *p, struct slice rest)
{
	configure(p);
	world_reload(&p->w);
}

static void do_spool(struct play *p, struct slice rest)
{
	rest = slice_trim(rest);
	p->w.spool_size = slice_eq_str(rest, "memory") ? 0 : size_of(p, rest);
}

static void do_server(struct play *p, struct slice rest)
{
	CLEANUP(buf_done) struct buf request;
	buf_init(&request, 4096);
	buf_printf(&request, "server.add name=%.*s", SLICE_ARG(slice_trim(rest)));
	if (!world_ask(&p->w, buf_slice(&request)) ||
	    count_lines(buf_slice(&p->w.rows), SLICE_LIT("end=ok")) == 0)
		complain(p, "the server was not made", SLICE_LIT("end=ok"), buf_slice(&p->w.rows));
}

static void do_ask(struct play *p, struct slice rest)
{
	if (!world_ask(&p->w, rest))
		complain(p, "no whole answer", SLICE_EMPTY, buf_slice(&p->w.rows));
}

static void do_dns(struct play *p, struct slice rest)
{
	struct slice name = slice_word(&rest);
	if (!zone_set(p->w.zone, name, slice_trim(rest)))
		complain(p, "not understood", SLICE_EMPTY, rest);
}

static void do_dns_ttl(struct play *p, struct slice rest)
{
	zone_set_ttl(p->w.zone, (uint32_t)number(p, slice_trim(rest)));
}

static void do_site(struct play *p, struct slice rest)
{
	struct slice address = slice_word(&rest);
	if (!site_script(&p->w.sites, address, slice_trim(rest)))
		complain(p, "not understood", SLICE_EMPTY, rest);
}

static void do_connect(struct play *p, struct slice rest)
{
	struct slice name = slice_word(&rest);
	client_connect(&p->w.clients, name, slice_trim(rest));
}

static void do_close(struct play *p, struct slice rest)
{
	client_close(&p->w.clients, slice_trim(rest));
}

static void do_wait(struct play *p, struct slice rest)
{
	sim_run_for(p->w.loop, duration(p, rest));
}

static void do_kill(struct play *p, struct slice rest)
{
	struct member *m = world_member(&p->w, slice_trim(rest));
	if (!m->self)
		complain(p, "does not run", SLICE_EMPTY, rest);
	member_kill(m);
}

static void do_revive(struct play *p, struct slice rest)
{
	member_start(world_member(&p->w, slice_trim(rest)));
}

static void do_power(struct play *p, struct slice rest)
{
	struct slice what = slice_word(&rest);
	rest = slice_trim(rest);
	if (slice_eq_str(what, "cut"))
		sim_disk_cut_at(p->w.spool, sim_disk_ops(p->w.spool) + number(p, rest));
	else if (slice_eq_str(what, "off"))
		world_power_off(&p->w);
	else if (slice_eq_str(what, "on"))
		world_boot(&p->w, number(p, rest));
	else
		complain(p, "not understood", SLICE_EMPTY, what);
}

/* ---- the disk ---- */

static unsigned kinds_of(struct play *p, struct slice words)
{
	static const char *const names[] = {"open", "read", "write", "sync", "dir", "alloc"};
	unsigned mask = 0;
	while (words.ptr) {
		struct slice word = slice_split(&words, ',');
		for (size_t i = 0; i < ARRAY_LEN(names); i++)
			mask |= slice_eq_str(word, names[i]) ? 1u << i : 0;
	}
	if (!mask)
		complain(p, "no kind of operation", SLICE_EMPTY, words);
	return mask;
}

static void disk_fail(struct play *p, struct slice rest)
{
	unsigned kinds = kinds_of(p, slice_word(&rest));
	uint64_t nth = number(p, slice_word(&rest));
	int errnum = slice_eq_str(slice_word(&rest), "ENOSPC") ? ENOSPC : EIO;
	sim_disk_fail(p->w.spool, kinds, nth, errnum, slice_eq_str(slice_trim(rest), "forever"));
}

static void disk_fill(struct play *p, uint64_t left)
{
	struct disk d = sim_disk_disk(p->w.spool);
	CLEANUP(buf_done) struct buf octets;
	uint64_t now_free, total, at = 0;
	buf_init(&octets, BALLAST_MAX);
	buf_add_zero(&octets, BALLAST_MAX);
	int fd = d.ops->open(d.self, BALLAST, O_RDWR | O_CREAT, 0600);
	need(fd >= 0);
	while (d.ops->space(d.self, &now_free, &total) == 0 && now_free > left) {
		struct iovec iov = {octets.data, MIN((size_t)(now_free - left), octets.len)};
		ssize_t n = d.ops->pwritev(d.self, fd, &iov, 1, at);
		need(n > 0);
		at += (uint64_t)n;
	}
	d.ops->close(d.self, fd);
}

static void disk_empty(struct play *p)
{
	struct disk d = sim_disk_disk(p->w.spool);
	need(d.ops->unlink(d.self, BALLAST) == 0 && d.ops->fsync_dir(d.self, ".") == 0);
}

static void do_disk(struct play *p, struct slice rest)
{
	struct slice what = slice_word(&rest);
	if (slice_eq_str(what, "fail"))
		disk_fail(p, rest);
	else if (slice_eq_str(what, "heal"))
		sim_disk_fail(p->w.spool, 0, 0, 0, false);
	else if (slice_eq_str(what, "fill"))
		disk_fill(p, size_of(p, rest));
	else if (slice_eq_str(what, "empty"))
		disk_empty(p);
	else
		complain(p, "not understood", SLICE_EMPTY, what);
}

static void do_workers(struct play *p, struct slice rest)
{
	sim_set_worker_delay(p->w.loop, duration(p, rest));
}

static void do_clock(struct play *p, struct slice rest)
{
	rest = slice_trim(rest);
	int64_t by = (int64_t)duration(p, slice_from(rest, 1));
	sim_jump_wall(p->w.loop, slice_starts(rest, SLICE_LIT("-")) ? -by : by);
}

static void do_drain(struct play *p, struct slice rest)
{
	world_drain(&p->w);
}

static void do_nothing(struct play *p, struct slice rest)
{
}

static const struct {
	const char *name;
	void (*fn)(struct play *p, struct slice rest);
} directives[] = {
	{"config", do_config}, {"spool", do_spool},     {"start", do_start},    {"server", do_server},
	{"dns", do_dns},       {"dns-ttl", do_dns_ttl}, {"site", do_site},      {"connect", do_connect},
	{"close", do_close},   {"submit", do_submit},   {"wait", do_wait},      {"expect", expect},
	{"within", within},    {"kill", do_kill},       {"revive", do_revive},  {"power", do_power},
	{"disk", do_disk},     {"workers", do_workers}, {"clock", do_clock},    {"drain", do_drain},
	{"reload", do_reload}, {"ask", do_ask},         {"repeat", do_nothing},
};

static void directive(struct play *p, struct slice line)
{
	struct slice rest = line, verb = slice_word(&rest);
	if (slice_starts(verb, SLICE_LIT("silence"))) {
		struct slice name = slice_from(verb, 8);
		silence(p, name.len ? name : SLICE_LIT("client"), rest);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(directives); i++) {
		if (!slice_eq_str(verb, directives[i].name))
			continue;
		directives[i].fn(p, rest);
		return;
	}
	complain(p, "unknown directive", SLICE_EMPTY, verb);
}

/* ---- files ---- */

static void show_log(struct play *p)
{
	CLEANUP(buf_done) struct buf log;
	buf_init(&log, WORLD_TEXT_MAX);
	world_log(&p->w, &log);
	struct slice all = buf_slice(&log);
	all = slice_from(all, all.len > LOG_TAIL ? all.len - LOG_TAIL : 0);
	printf("---- the relay's log, its end ----\n%.*s", SLICE_ARG(all));
	printf("---- rows of the last answer ----\n%.*s----\n", SLICE_ARG(buf_slice(&p->w.rows)));
}

/* The value of the first line that is this directive; false: there is none. */
static bool find_directive(struct slice text, const char *name, struct slice *ret)
{
	while (text.ptr && text.len) {
		struct slice line = slice_split(&text, '\n'), verb = slice_word(&line);
		if (!slice_eq_str(verb, name))
			continue;
		*ret = slice_trim(line);
		return true;
	}
	return false;
}

static unsigned play(const char *file, struct slice text, uint64_t turn)
{
	struct play p = {.file = file, .turn = turn};
	world_init(&p.w, turn + 1);
	buf_init(&p.config, CONFIG_MAX);
	while (text.ptr && text.len) {
		CLEANUP(buf_done) struct buf line;
		buf_init(&line, 65536);
		p.line++;
		struct slice raw = slice_split(&text, '\n');
		replace(&p, raw, &line);
		struct slice done = buf_slice(&line);
		bool blank = slice_trim(done).len == 0 || done.ptr[0] == '#';
		if (!blank && !dialogue(&p, done))
			directive(&p, done);
	}
	if (p.failures || getenv("RELAY_LOG"))
		show_log(&p);
	world_done(&p.w);
	buf_done(&p.config);
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

/* "repeat 1 20": its turns; one without a number otherwise. */
static unsigned play_file(const char *file, struct slice text)
{
	struct slice range;
	uint64_t from = 0, to = 0;
	unsigned failures = 0;
	if (find_directive(text, "repeat", &range)) {
		struct slice first = slice_word(&range);
		need(slice_to_u64(first, UINT32_MAX, &from) == ERR_OK);
		need(slice_to_u64(slice_trim(range), UINT32_MAX, &to) == ERR_OK);
	}
	for (uint64_t i = from; i <= to && failures == 0; i++)
		failures += play(file, text, i);
	return failures;
}

int main(int argc, char **argv)
{
	unsigned failures = 0;
	for (int i = 1; i < argc; i++) {
		CLEANUP(buf_done) struct buf text;
		buf_init(&text, CONFIG_MAX);
		if (read_file(argv[i], &text))
			failures += play_file(argv[i], buf_slice(&text));
		else
			failures++;
	}
	printf("%d scenarios, %u failures\n", argc - 1, failures);
	return failures > 0 || argc < 2;
}
