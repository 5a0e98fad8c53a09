#include "smtpc_fake.h"

#include <stdio.h>
#include <string.h>

#define BIG (1u << 20)

/* ---- the server ---- */

static const char *friendly(enum fake_step s)
{
	static const char *const texts[FAKE_STEPS] = {
		[FAKE_GREETING] = "220 mx.example ESMTP\r\n",
		[FAKE_HELO] = "250 mx.example\r\n",
		[FAKE_STARTTLS] = "220 2.0.0 go\r\n",
		[FAKE_AUTH] = "235 2.7.0 welcome\r\n",
		[FAKE_MAIL] = "250 2.1.0 ok\r\n",
		[FAKE_RCPT0] = "250 2.1.5 ok\r\n",
		[FAKE_RCPT1] = "250 2.1.5 ok\r\n",
		[FAKE_RCPT2] = "250 2.1.5 ok\r\n",
		[FAKE_DATA] = "354 go ahead\r\n",
		[FAKE_DOT] = "250 2.0.0 queued as 77\r\n",
		[FAKE_RSET] = "250 2.0.0 ok\r\n",
		[FAKE_QUIT] = "221 2.0.0 bye\r\n",
	};
	return texts[s];
}

static void add_features(struct fake *f)
{
	struct slice rest = slice_str(f->tls && f->extensions_tls ? f->extensions_tls : f->extensions);
	buf_add_str(&f->out, rest.len ? "250-mx.example\r\n" : "250 mx.example\r\n");
	while (rest.len) {
		struct slice line = slice_split(&rest, '\n');
		buf_printf(&f->out, "250%c%.*s\r\n", rest.len ? '-' : ' ', SLICE_ARG(line));
	}
}

/* Sends the scripted reply; returns whether it begins with `class`. */
static bool say(struct fake *f, enum fake_step s, char class)
{
	const char *text = f->mute ? "" : f->replies[s];
	if (!text && s == FAKE_EHLO) {
		add_features(f);
		return class == '2';
	}
	if (!text)
		text = friendly(s);
	buf_add_str(&f->out, text);
	return text[0] == class;
}

static void end_transaction(struct fake *f)
{
	f->rcpt_seen = f->rcpt_ok = 0;
	memset(f->accepted, 0, sizeof(f->accepted));
}

static void take_command(struct fake *f, struct slice line)
{
	if (slice_istarts(line, SLICE_LIT("EHLO "))) {
		say(f, FAKE_EHLO, '2');
	} else if (slice_istarts(line, SLICE_LIT("HELO "))) {
		say(f, FAKE_HELO, '2');
	} else if (slice_ieq_str(line, "STARTTLS")) {
		say(f, FAKE_STARTTLS, '2');
	} else if (slice_istarts(line, SLICE_LIT("AUTH "))) {
		say(f, FAKE_AUTH, '2');
	} else if (slice_istarts(line, SLICE_LIT("MAIL FROM:<"))) {
		end_transaction(f);
		say(f, FAKE_MAIL, '2');
	} else if (slice_istarts(line, SLICE_LIT("RCPT TO:<"))) {
		unsigned i = f->rcpt_seen++ % FAKE_RCPTS;
		f->accepted[i] = say(f, (enum fake_step)(FAKE_RCPT0 + i), '2');
		f->rcpt_ok += f->accepted[i];
	} else if (slice_ieq_str(line, "DATA")) {
		f->data = say(f, FAKE_DATA, '3') || f->mute;
		buf_clear(&f->message);
	} else if (slice_ieq_str(line, "RSET")) {
		end_transaction(f);
		say(f, FAKE_RSET, '2');
	} else if (slice_ieq_str(line, "QUIT")) {
		say(f, FAKE_QUIT, '2');
	} else {
		ASSERT(!"the engine sent what is no command");
	}
}

static void take_data_line(struct fake *f, struct slice line)
{
	if (slice_eq_str(line, ".")) {
		f->data = false;
		f->dots++;
		f->lone_dots += f->rcpt_ok == 0;
		f->messages += say(f, FAKE_DOT, '2') && f->rcpt_ok > 0;
		return;
	}
	if (slice_starts(line, SLICE_LIT(".")))
		line = slice_from(line, 1);
	buf_add(&f->message, line);
	buf_add_str(&f->message, "\r\n");
}

static void serve(struct fake *f)
{
	size_t end;
	while ((end = slice_find_slice(buf_slice(&f->in), SLICE_LIT("\r\n"))) != SLICE_NPOS) {
		struct slice line = slice_sub(buf_slice(&f->in), 0, end);
		if (f->data)
			take_data_line(f, line);
		else
			take_command(f, line);
		buf_consume(&f->in, end + 2);
	}
}

/* ---- what the engine asks for ---- */

static void act_send(void *ctx, struct slice octets)
{
	struct fake *f = ctx;
	buf_add(&f->in, octets);
}

static void act_start_tls(void *ctx)
{
	struct fake *f = ctx;
	f->start_tls = true;
}

static void act_want(void *ctx, uint64_t offset, uint64_t max)
{
	struct fake *f = ctx;
	f->wants = true;
	f->want_offset = offset;
	f->want_max = max;
}

static void act_ready(void *ctx)
{
	struct fake *f = ctx;
	f->ready = true;
}

static void act_result(void *ctx, const struct client_result *r)
{
	struct fake *f = ctx;
	ASSERT(r->rcpt < FAKE_RCPTS && ++f->results[r->rcpt] == 1);
	ASSERT(!f->ends && f->jobs_given > f->jobs_done);
	ASSERT(r->enhanced[0] == (r->outcome == CLIENT_DELIVERED ? 2 : r->outcome == CLIENT_FAILED ? 5 : 4));
	/* What a mute server accepted only the input knows. */
	if (r->outcome == CLIENT_DELIVERED)
		ASSERT(f->mute ? f->dots > 0 : f->messages > 0 && f->accepted[r->rcpt]);
	if (r->unknown)
		ASSERT(r->outcome == CLIENT_DEFERRED && f->dots > 0 && (f->mute || f->accepted[r->rcpt]));
	f->outcome[r->rcpt] = r->outcome;
	f->unknown[r->rcpt] = r->unknown;
	f->code[r->rcpt] = r->code;
	memcpy(f->enhanced[r->rcpt], r->enhanced, 3);
	snprintf(f->text[r->rcpt], sizeof(f->text[0]), "%.*s", SLICE_ARG(r->text));
}

static void act_job_done(void *ctx)
{
	struct fake *f = ctx;
	ASSERT(++f->jobs_done <= f->jobs_given);
	for (int i = 0; i < FAKE_RCPTS; i++)
		ASSERT(f->results[i] == 1);
}

static void act_close(void *ctx, const struct client_end *e)
{
	struct fake *f = ctx;
	ASSERT(++f->ends == 1);
	ASSERT(e->untouched || f->jobs_done == f->jobs_given);
	f->end = *e;
	snprintf(f->end_text, sizeof(f->end_text), "%.*s", SLICE_ARG(e->text));
}

static void act_timer(void *ctx, uint64_t ms)
{
	struct fake *f = ctx;
	ASSERT(ms > 0);
	f->timers++;
	f->last_timer = ms;
}

static void act_trace(void *ctx, enum client_line kind, struct slice line)
{
	struct fake *f = ctx;
	buf_printf(&f->dialogue, "%s %.*s\n", kind == CLIENT_LINE_SENT ? "C:" : "S:", SLICE_ARG(line));
}

static const struct client_actions actions = {
	.send = act_send,
	.start_tls = act_start_tls,
	.want_content = act_want,
	.ready = act_ready,
	.result = act_result,
	.job_done = act_job_done,
	.close = act_close,
	.set_timer = act_timer,
	.trace = act_trace,
};

/* ---- the driver ---- */

void fake_init(struct fake *f)
{
	*f = (struct fake){.lose_after = UINT64_MAX};
	f->extensions = "PIPELINING\nSIZE 1000000\n8BITMIME\nENHANCEDSTATUSCODES";
	f->options = (struct client_options){
		.helo = SLICE_LIT("relay.example"),
		.timeouts = {300000, 300000, 120000, 180000, 600000, 5000, 30000, 60000},
	};
	f->content = SLICE_LIT("Subject: x\r\n\r\n.dot\r\nbody\r\n");
	buf_init(&f->in, BIG);
	buf_init(&f->out, BIG);
	buf_init(&f->message, BIG);
	buf_init(&f->dialogue, BIG);
	static const char *const names[FAKE_RCPTS] = {"a@example.org", "b@example.org", "c@example.org"};
	for (uint32_t i = 0; i < FAKE_RCPTS; i++)
		f->rcpts[i] = (struct wire_rcpt){.ordinal = i, .address = slice_str(names[i])};
}

void fake_done(struct fake *f)
{
	client_free(f->client);
	buf_done(&f->in);
	buf_done(&f->out);
	buf_done(&f->message);
	buf_done(&f->dialogue);
}

static bool deliver(struct fake *f)
{
	size_t n = f->out.len;
	if (f->chunk)
		n = MIN(n, f->chunk);
	n = (size_t)MIN((uint64_t)n, f->lose_after - f->delivered_octets);
	if (n == 0)
		return false;
	size_t used = client_input(f->client, slice_sub(buf_slice(&f->out), 0, n));
	f->delivered_octets += used;
	buf_consume(&f->out, used);
	return used > 0;
}

static bool feed(struct fake *f)
{
	if (!f->wants || f->ends)
		return false;
	f->wants = false;
	uint64_t n = f->content_chunk ? MIN(f->want_max, f->content_chunk) : f->want_max;
	ASSERT(f->want_offset + n <= f->content.len);
	client_content(f->client, slice_sub(f->content, (size_t)f->want_offset, (size_t)n));
	return true;
}

static bool handshake(struct fake *f)
{
	struct tls_info info = {.version = "TLSv1.3", .cipher = "X", .verified = !f->tls_unverified};
	if (!f->start_tls)
		return false;
	f->start_tls = false;
	buf_clear(&f->out); /* octets before the handshake are dropped */
	if (f->tls_fails) {
		client_tls_failed(f->client, SLICE_LIT("handshake failure"));
	} else {
		f->tls = true;
		client_tls(f->client, &info);
	}
	return true;
}

void fake_go_on(struct fake *f)
{
	bool any = true;
	while (any && !f->ends) {
		serve(f);
		any = deliver(f);
		any |= handshake(f);
		any |= feed(f);
		serve(f);
		if (!f->ends && f->delivered_octets >= f->lose_after) {
			client_lost(f->client, SLICE_LIT("reset by peer"));
			any = false;
		}
	}
	serve(f);
}

void fake_run(struct fake *f)
{
	f->client = client_new(&f->options, &actions, f);
	client_start(f->client);
	say(f, FAKE_GREETING, '2');
	fake_go_on(f);
}

bool fake_idle(const struct fake *f)
{
	return client_state(f->client) == CLIENT_IDLE;
}

void fake_give_job(struct fake *f)
{
	f->ready = false;
	memset(f->results, 0, sizeof(f->results));
	f->job = (struct client_job){.sender = SLICE_LIT("sender@example.net"),
				     .rcpts = f->rcpts,
				     .rcpt_count = FAKE_RCPTS,
				     .length = f->content.len,
				     .edits = f->edits,
				     .body = f->body,
				     .smtputf8 = f->smtputf8};
	f->jobs_given++;
	f->messages = f->dots = 0;
	client_job(f->client, &f->job);
	fake_go_on(f);
}

const char *fake_outcomes(const struct fake *f)
{
	static char text[FAKE_RCPTS + 1];
	for (int i = 0; i < FAKE_RCPTS; i++)
		text[i] = !f->results[i] ? '-' : f->unknown[i] ? 'U' : "DFL"[f->outcome[i]];
	return text;
}
