/* Plays scenarios of the SMTP client: what a server says and what it hears, in text files (smtpc/, one a file).
 *
 * Each scenario runs twice, the server's replies line by line and octet by octet; both must go the same way.
 *
 *     # comment
 *     S: text            the server says text and CRLF; \r \n \t \0 \xHH \\ are octets
 *     S* N text          text and CRLF, N times
 *     C: text            the next line that the client sends is exactly this
 *     set NAME VALUE     before the first S: tls (none may encrypt verify) auth (user:password) pipelining (on off)
 *                        before `event job`: sender, rcpt (adds one; "none" forgets them), content, body (7bit 8bit),
 *                        smtputf8 (on off)
 *     event NAME         job quit tls tls-unverified tls-failed lost timeout
 *     expect NAME VALUE  state, end (how, or "no"), waits (the timer, ms), result (N OUTCOME CODE X.Y.Z text; OUTCOME is
 *                        delivered failed deferred unknown, or "N none"), job (open done untouched), silent
 *
 * Content is read by the client as it asks for it. Nothing may be sent that no C: names.
 */
#include "relay/smtpc/client.h"

#include "core/mem.h"
#include "record/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RCPTS_MAX 8u
#define FILE_MAX  (1u << 20)

struct play {
	struct client_options options;
	struct client *client;
	struct client_job job;
	struct wire_rcpt rcpts[RCPTS_MAX];
	struct arena arena; /* values of `set` */
	struct slice content;
	bool octets, over, wants, job_open, untouched;
	uint64_t want_offset, want_max, waits;
	struct buf sent;
	char results[RCPTS_MAX][1200];
	char end[32];
	const char *file;
	unsigned line, failures;
};

static void complain(struct play *p, const char *what, struct slice wanted, struct slice got)
{
	printf("%s:%u: %s (%s)\n    wanted: %.*s\n    got:    %.*s\n", p->file, p->line, what,
	       p->octets ? "octet by octet" : "line by line", SLICE_ARG(wanted), SLICE_ARG(got));
	p->failures++;
}

static void check(struct play *p, const char *what, struct slice wanted, const char *got)
{
	if (!slice_eq_str(wanted, got))
		complain(p, what, wanted, slice_str(got));
}

/* ---- what the client asks for ---- */

static void act_send(void *ctx, struct slice octets)
{
	struct play *p = ctx;
	buf_add(&p->sent, octets);
}

static void act_start_tls(void *ctx)
{
}

static void act_want_content(void *ctx, uint64_t offset, uint64_t max)
{
	struct play *p = ctx;
	p->wants = true;
	p->want_offset = offset;
	p->want_max = max;
}

static void act_ready(void *ctx)
{
}

static void act_result(void *ctx, const struct client_result *r)
{
	static const char *const names[] = {"delivered", "failed", "deferred"};
	struct play *p = ctx;
	char *out = p->results[r->rcpt];
	if (out[0])
		complain(p, "a second result", SLICE_EMPTY, slice_str(out));
	snprintf(out, sizeof(p->results[0]), "%u %s %u %u.%u.%u %.*s", r->rcpt,
		 r->unknown ? "unknown" : names[r->outcome], r->code, r->enhanced[0], r->enhanced[1],
		 r->enhanced[2], SLICE_ARG(r->text));
}

static void act_job_done(void *ctx)
{
	struct play *p = ctx;
	p->job_open = false;
}

static void act_close(void *ctx, const struct client_end *e)
{
	struct play *p = ctx;
	p->over = true;
	p->untouched = e->untouched;
	snprintf(p->end, sizeof(p->end), "%s", client_end_name(e->kind));
}

static void act_set_timer(void *ctx, uint64_t ms)
{
	struct play *p = ctx;
	p->waits = ms;
}

static const struct client_actions actions = {
	.send = act_send,
	.start_tls = act_start_tls,
	.want_content = act_want_content,
	.ready = act_ready,
	.result = act_result,
	.job_done = act_job_done,
	.close = act_close,
	.set_timer = act_set_timer,
};

/* ---- text ---- */

static int hex(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

static struct slice unescape(struct play *p, struct slice text)
{
	static const char names[] = "rnt0\\", octets[] = "\r\n\t\0\\";
	char *out = arena_alloc(&p->arena, text.len + 1);
	size_t n = 0;
	ASSERT(out);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		const char *at = c == '\\' && i + 1 < text.len ? strchr(names, text.ptr[i + 1]) : NULL;
		if (at) {
			c = octets[at - names];
			i++;
		} else if (c == '\\' && i + 3 < text.len && text.ptr[i + 1] == 'x') {
			c = (char)(hex(text.ptr[i + 2]) * 16 + hex(text.ptr[i + 3]));
			i += 3;
		}
		out[n++] = c;
	}
	return slice_of(out, n);
}

/* ---- the server's side ---- */

static void begin(struct play *p)
{
	if (p->client)
		return;
	p->client = client_new(&p->options, &actions, p);
	ASSERT(p->client);
	client_start(p->client);
}

static void feed(struct play *p)
{
	while (p->wants && !p->over) {
		p->wants = false;
		client_content(p->client, slice_sub(p->content, (size_t)p->want_offset, (size_t)p->want_max));
	}
}

static void server_says(struct play *p, struct slice text)
{
	struct slice octets = unescape(p, text);
	char line[4096];
	ASSERT(octets.len + 2 <= sizeof(line));
	memcpy(line, octets.ptr, octets.len);
	memcpy(line + octets.len, "\r\n", 2);
	begin(p);
	struct slice rest = slice_of(line, octets.len + 2);
	while (rest.len && !p->over) {
		size_t used = client_input(p->client, slice_sub(rest, 0, p->octets ? 1 : rest.len));
		if (used == 0)
			break; /* HANDSHAKE: what stands behind is dropped */
		rest = slice_from(rest, used);
	}
	feed(p);
}

static void client_says(struct play *p, struct slice text)
{
	struct slice wanted = unescape(p, text), all = buf_slice(&p->sent);
	size_t end = slice_find_slice(all, SLICE_LIT("\r\n"));
	struct slice got = end == SLICE_NPOS ? all : slice_sub(all, 0, end);
	if (end == SLICE_NPOS || !slice_eq(got, wanted))
		complain(p, "the client sent", wanted, got);
	buf_consume(&p->sent, end == SLICE_NPOS ? all.len : end + 2);
}

/* ---- directives ---- */

static void set_auth(struct play *p, struct slice value)
{
	p->options.auth_user = slice_split(&value, ':');
	p->options.auth_password = value;
}

static void set_rcpt(struct play *p, struct slice value)
{
	p->job.rcpts = p->rcpts;
	if (slice_eq_str(value, "none")) {
		p->job.rcpt_count = 0;
		return;
	}
	ASSERT(p->job.rcpt_count < RCPTS_MAX);
	p->rcpts[p->job.rcpt_count] = (struct wire_rcpt){.ordinal = p->job.rcpt_count, .address = value};
	p->job.rcpt_count++;
}

static void set_tls(struct play *p, struct slice value)
{
	static const char *const levels[] = {"none", "may", "encrypt", "verify"};
	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		if (slice_eq_str(value, levels[i]))
			p->options.tls = (enum wire_tls_level)i;
}

static void do_set(struct play *p, struct slice args)
{
	struct slice name = slice_split(&args, ' '), value = unescape(p, args.ptr ? args : SLICE_EMPTY);
	if (slice_eq_str(name, "tls"))
		set_tls(p, value);
	else if (slice_eq_str(name, "auth"))
		set_auth(p, value);
	else if (slice_eq_str(name, "pipelining"))
		p->options.no_pipelining = slice_eq_str(value, "off");
	else if (slice_eq_str(name, "sender"))
		p->job.sender = value;
	else if (slice_eq_str(name, "rcpt"))
		set_rcpt(p, value);
	else if (slice_eq_str(name, "content"))
		p->content = value;
	else if (slice_eq_str(name, "body"))
		p->job.body = slice_eq_str(value, "8bit") ? RECORD_BODY_8BITMIME : RECORD_BODY_7BIT;
	else if (slice_eq_str(name, "smtputf8"))
		p->job.smtputf8 = slice_eq_str(value, "on");
	else
		complain(p, "unknown setting", SLICE_EMPTY, name);
}

static void give_job(struct play *p)
{
	memset(p->results, 0, sizeof(p->results));
	p->job.length = p->content.len;
	p->job_open = true;
	client_job(p->client, &p->job);
	feed(p);
}

static void do_event(struct play *p, struct slice name)
{
	const struct tls_info info = {.verified = slice_eq_str(name, "tls")};
	begin(p);
	if (slice_eq_str(name, "job"))
		give_job(p);
	else if (slice_eq_str(name, "quit"))
		client_quit(p->client);
	else if (slice_eq_str(name, "tls") || slice_eq_str(name, "tls-unverified"))
		client_tls(p->client, &info);
	else if (slice_eq_str(name, "tls-failed"))
		client_tls_failed(p->client, SLICE_LIT("handshake failure"));
	else if (slice_eq_str(name, "lost"))
		client_lost(p->client, SLICE_LIT("reset by peer"));
	else if (slice_eq_str(name, "timeout"))
		client_timeout(p->client);
	else
		complain(p, "unknown event", SLICE_EMPTY, name);
}

static void expect_result(struct play *p, struct slice value)
{
	uint64_t n = RCPTS_MAX;
	struct slice rest = value;
	if (slice_to_u64(slice_word(&rest), RCPTS_MAX - 1, &n) != ERR_OK)
		complain(p, "which recipient?", SLICE_EMPTY, value);
	else if (slice_eq_str(slice_trim(rest), "none"))
		check(p, "result", SLICE_EMPTY, p->results[n]);
	else
		check(p, "result", value, p->results[n]);
}

static void do_expect(struct play *p, struct slice args)
{
	char number[24];
	struct slice name = slice_split(&args, ' '), value = unescape(p, args.ptr ? args : SLICE_EMPTY);
	snprintf(number, sizeof(number), "%llu", (unsigned long long)p->waits);
	begin(p);
	if (slice_eq_str(name, "state"))
		check(p, "state", value, client_state_name(client_state(p->client)));
	else if (slice_eq_str(name, "end"))
		check(p, "end", value, p->over ? p->end : "no");
	else if (slice_eq_str(name, "waits"))
		check(p, "waits", value, number);
	else if (slice_eq_str(name, "result"))
		expect_result(p, value);
	else if (slice_eq_str(name, "job"))
		check(p, "job", value, p->untouched ? "untouched" : p->job_open ? "open" : "done");
	else if (slice_eq_str(name, "silent"))
		check(p, "silent", SLICE_EMPTY, buf_cstr(&p->sent));
	else
		complain(p, "unknown expectation", SLICE_EMPTY, name);
}

static void repeat(struct play *p, struct slice args)
{
	uint64_t n = 0;
	if (slice_to_u64(slice_split(&args, ' '), 100000, &n) != ERR_OK)
		complain(p, "how often?", SLICE_EMPTY, args);
	for (; n > 0; n--)
		server_says(p, args);
}

static void directive(struct play *p, struct slice line)
{
	struct slice head = slice_split(&line, ' ');
	if (!line.ptr)
		line = SLICE_EMPTY;
	if (head.len == 0 || head.ptr[0] == '#')
		return;
	if (slice_eq_str(head, "S:"))
		server_says(p, line);
	else if (slice_eq_str(head, "S*"))
		repeat(p, line);
	else if (slice_eq_str(head, "C:"))
		client_says(p, line);
	else if (slice_eq_str(head, "set"))
		do_set(p, line);
	else if (slice_eq_str(head, "event"))
		do_event(p, line);
	else if (slice_eq_str(head, "expect"))
		do_expect(p, line);
	else
		complain(p, "unknown directive", SLICE_EMPTY, head);
}

/* ---- files ---- */

static unsigned play(const char *file, struct slice text, bool octets)
{
	struct play p = {
		.file = file,
		.octets = octets,
		.options = {.helo = SLICE_LIT("relay.example.net"),
			    .tls = WIRE_TLS_MAY,
			    .timeouts = {300001, 300002, 120003, 180004, 600005, 10006, 30007, 60008}},
		.job = {.sender = SLICE_LIT("a@example.net")},
		.content = SLICE_LIT("Subject: x\r\n\r\nhello\r\n"),
	};
	arena_init(&p.arena, FILE_MAX * 2);
	buf_init(&p.sent, FILE_MAX);
	while (text.ptr) {
		p.line++;
		directive(&p, slice_split(&text, '\n'));
	}
	check(&p, "not named by any C:", SLICE_EMPTY, buf_cstr(&p.sent));
	client_free(p.client);
	buf_done(&p.sent);
	arena_done(&p.arena);
	return p.failures;
}

static bool load(const char *file, struct buf *out)
{
	FILE *f = fopen(file, "re");
	if (!f || buf_reserve(out, FILE_MAX - 1) != ERR_OK) {
		perror(file);
		return false;
	}
	out->len = fread(out->data, 1, FILE_MAX - 1, f);
	fclose(f);
	return true;
}

int main(int argc, char **argv)
{
	unsigned failed = 0;
	for (int i = 1; i < argc; i++) {
		CLEANUP(buf_done) struct buf text;
		buf_init(&text, FILE_MAX);
		bool ok = load(argv[i], &text) && play(argv[i], buf_slice(&text), false) == 0 &&
			  play(argv[i], buf_slice(&text), true) == 0;
		failed += !ok;
	}
	printf("%d scenarios, %u failed\n", argc - 1, failed);
	return failed != 0 || argc == 1;
}
