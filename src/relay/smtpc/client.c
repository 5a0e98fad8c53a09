#include "relay/smtpc/client_priv.h"

#include "core/mem.h"

#define BIT(s) (1u << (s))

const char *client_state_name(enum client_state s)
{
	static const char *const names[] = {"new",       "greeting", "ehlo", "helo", "starttls",
					    "handshake", "auth",     "idle", "scan", "envelope",
					    "content",   "dot",      "rset", "quit", "closed"};
	ASSERT((size_t)s < ARRAY_LEN(names));
	return names[s];
}

const char *client_end_name(enum client_end_kind k)
{
	static const char *const names[] = {"quit", "refused", "shutdown", "tls",
					    "lost", "timeout", "protocol"};
	ASSERT((size_t)k < ARRAY_LEN(names));
	return names[k];
}

/* The picture of client.h. */
void client_set_state(struct client *c, enum client_state to)
{
	static const uint32_t allowed[CLIENT_STATE_COUNT] = {
		[CLIENT_NEW] = BIT(CLIENT_GREETING),
		[CLIENT_GREETING] = BIT(CLIENT_EHLO),
		[CLIENT_EHLO] = BIT(CLIENT_HELO) | BIT(CLIENT_STARTTLS) | BIT(CLIENT_AUTH) | BIT(CLIENT_IDLE),
		[CLIENT_HELO] = BIT(CLIENT_IDLE),
		[CLIENT_STARTTLS] = BIT(CLIENT_HANDSHAKE) | BIT(CLIENT_AUTH) | BIT(CLIENT_IDLE),
		[CLIENT_HANDSHAKE] = BIT(CLIENT_EHLO),
		[CLIENT_AUTH] = BIT(CLIENT_IDLE),
		[CLIENT_IDLE] = BIT(CLIENT_SCAN) | BIT(CLIENT_ENVELOPE) | BIT(CLIENT_QUIT) | BIT(CLIENT_IDLE),
		[CLIENT_SCAN] = BIT(CLIENT_ENVELOPE) | BIT(CLIENT_IDLE),
		[CLIENT_ENVELOPE] =
			BIT(CLIENT_CONTENT) | BIT(CLIENT_DOT) | BIT(CLIENT_RSET) | BIT(CLIENT_IDLE),
		[CLIENT_CONTENT] = BIT(CLIENT_DOT),
		[CLIENT_DOT] = BIT(CLIENT_IDLE),
		[CLIENT_RSET] = BIT(CLIENT_IDLE),
		[CLIENT_QUIT] = 0,
		[CLIENT_CLOSED] = 0,
	};
	ASSERT((to == CLIENT_CLOSED && c->state != CLIENT_CLOSED) || allowed[c->state] & BIT(to));
	c->state = to;
}

enum client_state client_state(const struct client *c)
{
	return c->state;
}

uint32_t client_jobs_done(const struct client *c)
{
	return c->jobs_done;
}

bool client_secure(const struct client *c)
{
	return c->tls;
}

void client_trace(struct client *c, enum client_line kind, struct slice line)
{
	if (c->act->trace)
		c->act->trace(c->ctx, kind, line);
}

static uint64_t timeout_of(const struct client *c, enum client_state s)
{
	const struct client_timeouts *t = &c->o.timeouts;
	switch (s) {
	case CLIENT_GREETING:
		return t->greeting;
	case CLIENT_HANDSHAKE:
		return t->handshake;
	case CLIENT_IDLE:
		return t->idle;
	case CLIENT_SCAN:
	case CLIENT_CONTENT:
		return t->data_block;
	case CLIENT_DOT:
		return t->data_end;
	case CLIENT_QUIT:
		return t->quit;
	default:
		return t->reply;
	}
}

void client_command(struct client *c, enum client_state state, struct slice line, struct slice shown)
{
	client_set_state(c, state);
	client_trace(c, CLIENT_LINE_SENT, shown);
	buf_clear(&c->out);
	buf_add(&c->out, line);
	buf_add_str(&c->out, "\r\n");
	if (c->out.failed) {
		client_end_text(c, CLIENT_END_PROTOCOL, (const uint8_t[]){4, 3, 0},
				"no memory for a command");
		return;
	}
	c->act->send(c->ctx, buf_slice(&c->out));
	c->act->set_timer(c->ctx, timeout_of(c, state));
}

void client_idle(struct client *c)
{
	client_set_state(c, CLIENT_IDLE);
	reply_parser_trim(&c->parser);
	c->act->set_timer(c->ctx, c->o.timeouts.idle);
	c->act->ready(c->ctx);
}

/* ---- ends ---- */

/* Nothing of the job was answered, and the connection was kept from earlier jobs: servers drop idle connections, or count
 * messages, and that is no failure of this job. */
static bool job_untouched(const struct client *c, enum client_end_kind kind)
{
	bool early = c->state == CLIENT_SCAN || (c->state == CLIENT_ENVELOPE && c->answered == 0);
	return c->job && c->jobs_done > 0 && early &&
	       (kind == CLIENT_END_LOST || kind == CLIENT_END_SHUTDOWN);
}

void client_end(struct client *c, enum client_end_kind kind, const struct client_verdict *v)
{
	struct client_end e = {.kind = kind,
			       .state = c->state,
			       .untouched = job_untouched(c, kind),
			       .code = v->code,
			       .enhanced = {v->enhanced[0], v->enhanced[1], v->enhanced[2]},
			       .text = v->text};
	bool job = c->job && !e.untouched;
	if (job)
		client_report_rest(c, v);
	client_set_state(c, CLIENT_CLOSED);
	c->job = NULL;
	if (job)
		c->act->job_done(c->ctx);
	c->act->close(c->ctx, &e);
}

void client_end_reply(struct client *c, enum client_end_kind kind, const struct smtp_reply *r)
{
	struct client_verdict v = {.outcome = CLIENT_DEFERRED,
				   .code = r->code,
				   .enhanced = {r->enhanced[0], r->enhanced[1], r->enhanced[2]},
				   .text = r->text};
	client_end(c, kind, &v);
}

void client_end_text(struct client *c, enum client_end_kind kind, const uint8_t enhanced[3], const char *text)
{
	struct client_verdict v = {.outcome = CLIENT_DEFERRED,
				   .unknown = c->state == CLIENT_DOT,
				   .enhanced = {enhanced[0], enhanced[1], enhanced[2]},
				   .text = slice_str(text)};
	client_end(c, kind, &v);
}

/* "<what> while waiting for <the reply to MAIL>[: why]" */
static void end_waiting(struct client *c, enum client_end_kind kind, const char *what, struct slice why)
{
	struct diag d = {0};
	diag_set(&d, ERR_IO, "%s while waiting for %s%s%.*s", what, client_waiting_for(c),
		 why.len ? ": " : "", SLICE_ARG(why));
	client_end_text(c, kind, (const uint8_t[]){4, 4, 2}, d.text);
}

static void end_protocol(struct client *c, const char *what)
{
	struct diag d = {0};
	diag_set(&d, ERR_SYNTAX, "%s while waiting for %s", what, client_waiting_for(c));
	client_end_text(c, CLIENT_END_PROTOCOL, (const uint8_t[]){4, 5, 0}, d.text);
}

void client_lost(struct client *c, struct slice why)
{
	if (c->state == CLIENT_CLOSED)
		return;
	if (c->state == CLIENT_QUIT)
		client_end_text(c, CLIENT_END_QUIT, (const uint8_t[]){2, 0, 0}, "closed");
	else
		end_waiting(c, CLIENT_END_LOST, "connection lost", why);
}

void client_timeout(struct client *c)
{
	if (c->state == CLIENT_CLOSED)
		return;
	if (c->state == CLIENT_IDLE)
		client_quit(c);
	else if (c->state == CLIENT_QUIT)
		client_end_text(c, CLIENT_END_QUIT, (const uint8_t[]){2, 0, 0}, "closed");
	else
		end_waiting(c, CLIENT_END_TIMEOUT, "time-out", SLICE_EMPTY);
}

void client_tls_failed(struct client *c, struct slice why)
{
	if (c->state != CLIENT_HANDSHAKE)
		return;
	struct client_verdict v = {.outcome = CLIENT_DEFERRED, .enhanced = {4, 7, 5}, .text = why};
	client_end(c, CLIENT_END_TLS, &v);
}

/* ---- input ---- */

static void trace_reply(struct client *c, const struct smtp_reply *r)
{
	struct slice rest = r->text;
	char code[4] = {(char)('0' + r->code / 100), (char)('0' + r->code / 10 % 10),
			(char)('0' + r->code % 10), 0};
	if (!c->act->trace)
		return;
	for (uint32_t i = 0; i < r->lines; i++) {
		struct slice line = rest.ptr ? slice_split(&rest, '\n') : SLICE_EMPTY;
		buf_clear(&c->out);
		buf_add_str(&c->out, code);
		buf_add_char(&c->out, i + 1 < r->lines ? '-' : ' ');
		buf_add(&c->out, line);
		c->act->trace(c->ctx, CLIENT_LINE_RECEIVED, buf_slice(&c->out));
	}
}

static void unexpected(struct client *c, const struct smtp_reply *r)
{
	if (r->code == 421)
		client_end_reply(c, CLIENT_END_SHUTDOWN, r);
	else
		end_protocol(c, "a reply to nothing");
}

static void take_reply(struct client *c, const struct smtp_reply *r)
{
	switch (c->state) {
	case CLIENT_GREETING:
		client_greeting(c, r);
		return;
	case CLIENT_EHLO:
	case CLIENT_HELO:
		client_hello(c, r);
		return;
	case CLIENT_STARTTLS:
		client_starttls(c, r);
		return;
	case CLIENT_AUTH:
		client_authenticated(c, r);
		return;
	case CLIENT_ENVELOPE:
		client_envelope(c, r);
		return;
	case CLIENT_CONTENT:
		client_early(c, r);
		return;
	case CLIENT_DOT:
		client_dot(c, r);
		return;
	case CLIENT_RSET:
		if (smtp_reply_class(r) == 2)
			client_idle(c);
		else
			client_end_reply(c, CLIENT_END_SHUTDOWN, r);
		return;
	case CLIENT_QUIT:
		client_end_reply(c, CLIENT_END_QUIT, r);
		return;
	default: /* IDLE, SCAN: nothing was asked */
		unexpected(c, r);
		return;
	}
}

size_t client_input(struct client *c, struct slice in)
{
	size_t used = 0;
	while (used < in.len && c->state != CLIENT_CLOSED && c->state != CLIENT_HANDSHAKE) {
		struct smtp_reply r;
		size_t n;
		enum reply_status st = reply_parser_feed(&c->parser, slice_from(in, used), &n, &r);
		used += n;
		if (st == REPLY_BAD)
			end_protocol(c, reply_flaw_text(c->parser.flaw));
		if (st != REPLY_DONE)
			break;
		trace_reply(c, &r);
		/* What stands behind the 220 came in the clear and would be believed under TLS. */
		if (c->state == CLIENT_STARTTLS && used < in.len)
			end_protocol(c, "octets behind");
		else
			take_reply(c, &r);
	}
	return used;
}

/* ---- life ---- */

struct client *client_new(const struct client_options *o, const struct client_actions *actions, void *ctx)
{
	struct client *c = NEW(struct client);
	if (!c)
		return NULL;
	c->act = actions;
	c->ctx = ctx;
	c->o = *o;
	reply_parser_init(&c->parser);
	buf_init(&c->out, SMTPC_OUT_MAX);
	return c;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	reply_parser_done(&c->parser);
	buf_done(&c->out);
	mem_free(c);
}

void client_start(struct client *c)
{
	client_set_state(c, CLIENT_GREETING);
	c->act->set_timer(c->ctx, c->o.timeouts.greeting);
}

void client_quit(struct client *c)
{
	ASSERT(c->state == CLIENT_IDLE);
	client_command(c, CLIENT_QUIT, SLICE_LIT("QUIT"), SLICE_LIT("QUIT"));
}
