#include "sink.h"

#include "core/mem.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* GREETED --MAIL--> MAIL --RCPT--> RCPT --DATA--> DATA --dot--> GREETED; HUNG: answers nothing any more. */
enum session_state { GREETED, IN_MAIL, IN_RCPT, IN_DATA, HUNG };

struct session {
	struct list_node node;
	struct sink *sink;
	struct stream *stream;
	enum session_state state;
	struct envelope env;
	struct buf content; /* octets without the dots of RFC 5321 4.5.2; only if stored or digested */
	uint64_t data_octets;
	bool line_start; /* DATA: the next octet begins a line */
	bool header;     /* DATA: still in the header section */
	bool closing;
	bool tls_next;     /* STARTTLS was answered: what follows is the handshake's */
	struct slice said; /* scripted words for a step that succeeds; empty: our own */
};

static uint32_t roll(struct session *s)
{
	uint32_t r = 0;
	if (s->sink->o.script)
		loop_random(s->sink->loop, &r, sizeof(r));
	return r;
}

static void reply(struct session *s, struct slice line)
{
	struct iovec iov[2] = {{(void *)line.ptr, line.len}, {(void *)"\r\n", 2}};
	if (line.len && line.ptr[0] != '2' && line.ptr[0] != '3')
		s->sink->n.refused++;
	s->said = SLICE_EMPTY;
	(void)stream_writev(s->stream, iov,
			    2); /* a peer that never reads loses what passes the stream's limit */
}

/* The step succeeded: in the script's words if it has some. */
static void reply_well(struct session *s, struct slice line)
{
	reply(s, s->said.len ? s->said : line);
}

/* Applies a scripted action; false: the step goes on as usual, perhaps with the script's words. */
static bool scripted(struct session *s, enum script_step step, struct slice subject)
{
	struct script_action a = script_decide(s->sink->o.script, step, subject, roll(s));
	switch (a.kind) {
	case ACTION_NONE:
		return false;
	case ACTION_REPLY:
		if (a.reply.ptr[0] <= '3') {
			s->said = a.reply;
			return false;
		}
		reply(s, a.reply);
		if (slice_starts(a.reply, SLICE_LIT("421"))) {
			s->closing = true;
			stream_close(s->stream, 1000);
		}
		return true;
	case ACTION_DROP:
		s->sink->n.dropped++;
		s->closing = true;
		stream_abort(s->stream);
		return true;
	case ACTION_HANG:
		s->state = HUNG; /* still reads, so that it learns when the peer goes */
		return true;
	}
	return false;
}

static void reset(struct session *s)
{
	buf_clear(&s->env.sender);
	buf_clear(&s->env.recipients);
	s->env.rcpt_count = 0;
	s->env.body_8bit = s->env.smtputf8 = false;
	if (s->state != HUNG)
		s->state = GREETED;
}

/* ---- commands ---- */

static void cmd_ehlo(struct session *s, struct slice arg)
{
	const struct sink_options *o = &s->sink->o;
	char text[512];
	snprintf(s->env.helo, sizeof(s->env.helo), "%.*s", SLICE_ARG(slice_sub(arg, 0, 255)));
	reset(s);
	if (scripted(s, STEP_EHLO, arg))
		return;
	int n = snprintf(text, sizeof(text), "250-%s\r\n%s%s%s%s", o->hostname,
			 o->no_pipelining ? "" : "250-PIPELINING\r\n",
			 o->no_8bitmime ? "" : "250-8BITMIME\r\n", o->no_smtputf8 ? "" : "250-SMTPUTF8\r\n",
			 o->tls && !s->env.tls ? "250-STARTTLS\r\n" : "");
	if (o->size)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "250-SIZE %llu\r\n",
			      (unsigned long long)o->size);
	snprintf(text + n, sizeof(text) - (size_t)n, "250 ENHANCEDSTATUSCODES");
	reply_well(s, slice_str(text));
}

static void cmd_helo(struct session *s, struct slice arg)
{
	snprintf(s->env.helo, sizeof(s->env.helo), "%.*s", SLICE_ARG(slice_sub(arg, 0, 255)));
	reset(s);
	if (!scripted(s, STEP_EHLO, arg))
		reply_well(s, SLICE_LIT("250 Hello"));
}

/* The first '>' outside a quoted local part: parameters may hold others (AUTH=<>). */
static size_t path_end(struct slice arg)
{
	bool quoted = false;
	for (size_t i = 1; i < arg.len; i++) {
		if (quoted && arg.ptr[i] == '\\')
			i++;
		else if (arg.ptr[i] == '"')
			quoted = !quoted;
		else if (arg.ptr[i] == '>' && !quoted)
			return i;
	}
	return SLICE_NPOS;
}

/* "FROM:<path> params": the path without <>, and what stands behind it. False if there is no such thing. */
static bool parse_path(struct slice arg, struct slice keyword, struct slice *path, struct slice *params)
{
	if (!slice_istarts(arg, keyword))
		return false;
	arg = slice_trim(slice_from(arg, keyword.len));
	size_t end = path_end(arg);
	if (arg.len == 0 || arg.ptr[0] != '<' || end == SLICE_NPOS)
		return false;
	*path = slice_sub(arg, 1, end - 1);
	*params = slice_from(arg, end + 1);
	return true;
}

static void cmd_mail(struct session *s, struct slice arg)
{
	struct slice path, params;
	if (!parse_path(arg, SLICE_LIT("FROM:"), &path, &params)) {
		reply(s, SLICE_LIT("501 5.5.4 Syntax: MAIL FROM:<address>"));
		return;
	}
	if (s->state != GREETED) {
		reply(s, SLICE_LIT("503 5.5.1 Nested MAIL"));
		return;
	}
	if (scripted(s, STEP_MAIL, path))
		return;
	buf_add(&s->env.sender, path);
	s->env.body_8bit = slice_ifind_slice(params, SLICE_LIT("BODY=8BITMIME")) != SLICE_NPOS;
	s->env.smtputf8 = slice_ifind_slice(params, SLICE_LIT("SMTPUTF8")) != SLICE_NPOS;
	s->state = IN_MAIL;
	reply_well(s, SLICE_LIT("250 2.1.0 Ok"));
}

static void cmd_rcpt(struct session *s, struct slice arg)
{
	struct slice path, params;
	if (!parse_path(arg, SLICE_LIT("TO:"), &path, &params)) {
		reply(s, SLICE_LIT("501 5.5.4 Syntax: RCPT TO:<address>"));
		return;
	}
	if (s->state != IN_MAIL && s->state != IN_RCPT) {
		reply(s, SLICE_LIT("503 5.5.1 MAIL first"));
		return;
	}
	if (s->env.rcpt_count == SINK_RCPTS_MAX) {
		reply(s, SLICE_LIT("452 4.5.3 Too many recipients"));
		return;
	}
	if (scripted(s, STEP_RCPT, path))
		return;
	buf_add(&s->env.recipients, path);
	buf_add_char(&s->env.recipients, '\n');
	s->env.rcpt_count++;
	s->state = IN_RCPT;
	reply_well(s, SLICE_LIT("250 2.1.5 Ok"));
}

static void cmd_data(struct session *s, struct slice arg)
{
	if (s->state != IN_RCPT) {
		reply(s, SLICE_LIT("503 5.5.1 RCPT first"));
		return;
	}
	if (scripted(s, STEP_DATA, buf_slice(&s->env.sender)))
		return;
	buf_clear(&s->content);
	s->data_octets = 0;
	s->line_start = s->header = true;
	s->state = IN_DATA;
	reply_well(s, SLICE_LIT("354 End data with <CR><LF>.<CR><LF>"));
}

static void cmd_starttls(struct session *s, struct slice arg)
{
	struct diag d = {0};
	if (!s->sink->o.tls || s->env.tls) {
		reply(s, SLICE_LIT("502 5.5.1 Not now"));
		return;
	}
	reply(s, SLICE_LIT("220 2.0.0 Ready"));
	s->tls_next = true;
	stream_flush(s->stream);
	reset(s);
	if (stream_tls_accept(s->stream, s->sink->o.tls, 30000, &d) != ERR_OK)
		stream_abort(s->stream);
}

static void cmd_rset(struct session *s, struct slice arg)
{
	reset(s);
	reply(s, SLICE_LIT("250 2.0.0 Ok"));
}

static void cmd_noop(struct session *s, struct slice arg)
{
	reply(s, SLICE_LIT("250 2.0.0 Ok"));
}

static void cmd_quit(struct session *s, struct slice arg)
{
	reply(s, SLICE_LIT("221 2.0.0 Bye"));
	s->closing = true;
	stream_close(s->stream, 1000);
}

static void command(struct session *s, struct slice line)
{
	static const struct {
		struct slice verb;
		void (*run)(struct session *s, struct slice arg);
	} verbs[] = {
		{{"MAIL", 4}, cmd_mail}, {{"RCPT", 4}, cmd_rcpt}, {{"DATA", 4}, cmd_data},
		{{"EHLO", 4}, cmd_ehlo}, {{"HELO", 4}, cmd_helo}, {{"RSET", 4}, cmd_rset},
		{{"NOOP", 4}, cmd_noop}, {{"QUIT", 4}, cmd_quit}, {{"STARTTLS", 8}, cmd_starttls},
	};
	struct slice arg = line, verb = slice_word(&arg);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (slice_ieq(verb, verbs[i].verb)) {
			verbs[i].run(s, slice_trim(arg));
			return;
		}
	reply(s, SLICE_LIT("500 5.5.2 Unknown command"));
}

/* ---- data ---- */

/* "X-Smtpload: RUN SEQ", both decimal, in the header section. */
static void note_sequence(struct session *s, struct slice header)
{
	struct slice name = SLICE_LIT("\nX-Smtpload: ");
	size_t at = slice_starts(header, slice_from(name, 1)) ? 0 : slice_find_slice(header, name);
	if (at == SLICE_NPOS)
		return;
	struct slice rest = slice_from(header, at + name.len - (at == 0)), line = slice_split(&rest, '\r');
	struct slice run = slice_word(&line), seq = slice_word(&line);
	uint64_t r, q;
	if (slice_to_u64(run, UINT64_MAX, &r) == ERR_OK && slice_to_u64(seq, SINK_SEQ_MAX, &q) == ERR_OK)
		seen_add(s->sink->seen, r, q);
}

/* Copies a run of content, dropping the dot at the start of a line. */
static void take_content(struct session *s, struct slice in)
{
	s->data_octets += in.len;
	if (!s->sink->o.store_dir && !s->sink->o.digest)
		return;
	while (in.len) {
		if (s->line_start && in.ptr[0] == '.')
			in = slice_from(in, 1);
		size_t eol = slice_find_slice(in, SLICE_LIT("\r\n"));
		size_t n = eol == SLICE_NPOS ? in.len : eol + 2;
		buf_add(&s->content, slice_sub(in, 0, n));
		s->line_start = eol != SLICE_NPOS;
		in = slice_from(in, n);
	}
}

static void print_digest(struct session *s)
{
	struct slice c = buf_slice(&s->content);
	printf("%016llx %zu <%.*s>\n", (unsigned long long)XXH3_64bits(c.ptr ? c.ptr : "", c.len), c.len,
	       SLICE_ARG(buf_slice(&s->env.sender)));
	fflush(stdout); /* who reads a pipe wants it now */
}

static void message_done(struct session *s)
{
	struct sink *k = s->sink;
	struct diag d = {0};
	if (scripted(s, STEP_DOT, buf_slice(&s->env.sender))) {
		reset(s);
		return;
	}
	enum err e = s->content.failed ? diag_set(&d, ERR_LIMIT, "message too large") : ERR_OK;
	if (!e && k->o.store_dir)
		e = store_message(k->o.store_dir, k->n.messages, &s->env, buf_slice(&s->content),
				  loop_wall(k->loop), &d);
	if (e) {
		fprintf(stderr, "smtpsink: %s\n", d.text);
		reply(s, SLICE_LIT("452 4.3.1 Cannot store"));
		reset(s);
		return;
	}
	if (k->o.digest)
		print_digest(s);
	k->n.messages++;
	k->n.recipients += s->env.rcpt_count;
	k->n.octets += s->data_octets;
	k->last_ms = loop_now(k->loop);
	reset(s);
	reply_well(s, SLICE_LIT("250 2.0.0 Ok: taken"));
}

/* Octets of the header section as far as it is looked at: to the empty line, to the end of a content without one, or
 * SINK_HEADER_MAX. 0: more is needed to tell. */
static size_t header_end(struct slice in)
{
	struct slice part = slice_sub(in, 0, SINK_HEADER_MAX);
	if (slice_starts(in, SLICE_LIT(".\r\n")))
		return 3;
	size_t empty = slice_find_slice(part, SLICE_LIT("\r\n\r\n"));
	size_t dot = slice_find_slice(slice_sub(part, 0, empty), SLICE_LIT("\r\n.\r\n"));
	if (empty != SLICE_NPOS || dot != SLICE_NPOS)
		return MIN(empty, dot) + 2;
	return part.len == SINK_HEADER_MAX ? part.len : 0;
}

/* The last four octets stay unconsumed until it is clear that they do not begin the end of data. */
static size_t data_input(struct session *s, struct slice in)
{
	struct slice end = SLICE_LIT("\r\n.\r\n");
	if (s->header) {
		size_t n = header_end(in);
		if (n == 0)
			return 0;
		s->header = false;
		if (slice_starts(in, SLICE_LIT(".\r\n"))) {
			message_done(s);
			return 3;
		}
		note_sequence(s, slice_sub(in, 0, n));
	}
	size_t at = slice_find_slice(in, end);
	if (at == SLICE_NPOS) {
		size_t n = in.len > end.len - 1 ? in.len - (end.len - 1) : 0;
		take_content(s, slice_sub(in, 0, n));
		return n;
	}
	take_content(s, slice_sub(in, 0, at + 2));
	message_done(s);
	return at + end.len;
}

static size_t line_input(struct session *s, struct slice in)
{
	size_t eol = slice_find(in, '\n');
	if (eol == SLICE_NPOS && in.len > SINK_LINE_MAX) {
		s->closing = true;
		stream_abort(s->stream);
		return in.len;
	}
	if (eol == SLICE_NPOS)
		return 0;
	command(s, slice_trim(slice_sub(in, 0, eol)));
	return eol + 1;
}

/* ---- stream ---- */

static size_t on_read(void *ctx, struct slice in)
{
	struct session *s = ctx;
	size_t used = 0;
	while (!s->closing && !s->tls_next && s->state != HUNG && used < in.len) {
		struct slice rest = slice_from(in, used);
		size_t n = s->state == IN_DATA ? data_input(s, rest) : line_input(s, rest);
		if (n == 0)
			break;
		used += n;
	}
	return s->closing || s->state == HUNG ? in.len : used;
}

static void greet(struct session *s)
{
	char text[300];
	if (s->sink->n.open > s->sink->o.connections_max) {
		reply(s, SLICE_LIT("421 4.3.2 Too many connections"));
		s->closing = true;
		stream_close(s->stream, 1000);
		return;
	}
	if (scripted(s, STEP_CONNECT, SLICE_EMPTY))
		return;
	snprintf(text, sizeof(text), "220 %s ESMTP smtpsink", s->sink->o.hostname);
	reply_well(s, slice_str(text));
}

static void on_tls(void *ctx, const struct tls_info *info)
{
	struct session *s = ctx;
	s->env.tls = true;
	s->tls_next = false;
	s->sink->n.tls++;
	if (s->sink->o.implicit_tls)
		greet(s);
}

static void session_free(struct session *s)
{
	s->sink->n.open--;
	list_remove(&s->sink->sessions, &s->node);
	stream_free(s->stream);
	buf_done(&s->env.sender);
	buf_done(&s->env.recipients);
	buf_done(&s->content);
	mem_free(s);
}

static void on_close(void *ctx, const struct diag *why)
{
	session_free(ctx);
}

void session_start(struct sink *sink, struct stream *stream)
{
	static const struct stream_events events = {
		.on_read = on_read, .on_tls = on_tls, .on_close = on_close};
	struct session *s = NEW(struct session);
	struct diag d = {0};
	if (!s) {
		stream_free(stream);
		return;
	}
	s->sink = sink;
	s->stream = stream;
	buf_init(&s->env.sender, SINK_LINE_MAX);
	buf_init(&s->env.recipients, SINK_RCPTS_MAX * (size_t)1024);
	buf_init(&s->content, SINK_MESSAGE_MAX);
	list_push_back(&sink->sessions, &s->node);
	sink->n.connections++;
	sink->n.open++;
	stream_set_events(stream, &events, s);
	if (!sink->o.implicit_tls)
		greet(s);
	else if (stream_tls_accept(stream, sink->o.tls, 30000, &d) != ERR_OK)
		stream_abort(stream);
}

void sessions_close(struct sink *sink)
{
	LIST_EACH_SAFE (&sink->sessions, n, tmp) {
		session_free(CONTAINER_OF(n, struct session, node));
	}
}
