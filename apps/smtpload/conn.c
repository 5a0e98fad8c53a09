#include "load.h"

#include "core/text.h"

#include <stdio.h>
#include <string.h>

/* ---- accounts ---- */

static void count_code(uint64_t *codes, uint16_t code)
{
	codes[code < LOAD_CODES ? code : 0]++;
}

/* The message has its final reply. */
static void message_over(struct conn *c, uint16_t code)
{
	struct load *l = c->load;
	struct message *m = &c->cur;
	uint16_t decided = m->refused ? m->refused : code;
	l->last_reply_us = l->clock_us(l);
	l->progress_ms = loop_now(l->loop);
	count_code(l->n.codes, decided);
	if (decided / 100 == 2) {
		latency_add(&l->message, l->last_reply_us - m->started_us);
		l->n.accepted++;
		l->n.rcpt_accepted += m->rcpts_accepted;
		l->n.rcpt_refused += l->o.recipients - m->rcpts_accepted;
		l->n.octets += l->o.sizes[m->seq % l->o.size_count];
		c->backoff_ms = LOAD_BACKOFF_MIN_MS;
		load_acknowledge(l, m->seq);
	} else {
		l->n.refused++;
	}
	c->messages++;
	m->active = false;
}

/* What a connection that is no more leaves behind: see the first invariant of load.h. */
static void settle(struct conn *c)
{
	struct load_counts *n = &c->load->n;
	if (c->cur.active)
		*(c->cur.content_begun ? &n->unanswered : &n->aborted) += 1;
	if (c->next.active)
		load_give_back(c->load, c->next.seq);
	c->cur.active = c->next.active = false;
	stream_free(c->stream);
	c->stream = NULL;
	if (list_linked(&c->waiting))
		list_remove(&c->load->waiting, &c->waiting);
	c->step = CONN_OFF;
}

/* Not as planned: tried again after a while, if asked to. */
static void broken(struct conn *c, const char *why)
{
	static const char *const steps[CONN_COUNT] = {
		"",     "connect", "greeting", "EHLO", "STARTTLS", "AUTH", "idle",
		"RSET", "MAIL",    "RCPT",     "DATA", "content",  "QUIT",
	};
	struct load *l = c->load;
	l->n.broken++;
	diag_set(&l->trouble, ERR_CLOSED, "%s: %s", steps[c->step], why);
	settle(c);
	if (!l->o.reconnect || !load_has_work(l)) {
		load_conn_ended(l);
		return;
	}
	timer_set(&c->backoff, c->backoff_ms);
	c->backoff_ms = MIN(c->backoff_ms * 2, (uint64_t)LOAD_BACKOFF_MAX_MS);
}

/* As planned: opened anew while there is work. */
static void quit_done(struct conn *c)
{
	settle(c);
	if (load_has_work(c->load))
		timer_set(&c->backoff, 0);
	else
		load_conn_ended(c->load);
}

/* ---- sending ---- */

static void go(struct conn *c, enum conn_step step)
{
	c->step = step;
	c->since = loop_now(c->load->loop);
}

static void send_text(struct conn *c, struct slice text)
{
	if (stream_write(c->stream, text) == ERR_LIMIT)
		stream_abort(c->stream); /* no memory; on_close comes */
}

/* What was built in load.scratch: all of it or nothing. */
static void send_scratch(struct conn *c)
{
	struct buf *out = &c->load->scratch;
	if (out->failed)
		stream_abort(c->stream);
	else
		send_text(c, buf_slice(out));
}

static void add_mail(const struct conn *c, struct buf *out, uint64_t seq)
{
	const struct load_options *o = &c->load->o;
	buf_add_str(out, "MAIL FROM:<");
	pattern_expand(out, o->from, seq, 0);
	buf_add_char(out, '>');
	if (c->has_size) {
		buf_add_str(out, " SIZE=");
		add_decimal(out, o->sizes[seq % o->size_count]);
	}
	buf_add_str(out, "\r\n");
}

static void add_rcpt(const struct conn *c, struct buf *out, uint64_t seq, uint32_t rcpt)
{
	buf_add_str(out, "RCPT TO:<");
	pattern_expand(out, c->load->o.to, seq, rcpt);
	buf_add_str(out, ">\r\n");
}

/* MAIL, all RCPT and DATA: one group (RFC 2920 3.1). */
static void add_group(const struct conn *c, struct buf *out, uint64_t seq)
{
	add_mail(c, out, seq);
	for (uint32_t i = 0; i < c->load->o.recipients; i++)
		add_rcpt(c, out, seq, i);
	buf_add_str(out, "DATA\r\n");
}

/* The command of the step that was reached; nothing if it went out with its group. */
static void send_step(struct conn *c)
{
	struct buf *out = &c->load->scratch;
	if (c->grouped)
		return;
	buf_clear(out);
	if (c->step == CONN_RSET)
		buf_add_str(out, "RSET\r\n");
	else if (c->step == CONN_MAIL)
		add_mail(c, out, c->cur.seq);
	else if (c->step == CONN_RCPT)
		add_rcpt(c, out, c->cur.seq, c->cur.rcpts_answered);
	else
		buf_add_str(out, "DATA\r\n");
	send_scratch(c);
}

static void quit(struct conn *c)
{
	if (!c->quit_sent)
		send_text(c, SLICE_LIT("QUIT\r\n"));
	c->quit_sent = true;
	go(c, CONN_QUIT);
}

static bool used_up(const struct conn *c, uint64_t begun)
{
	return c->load->o.per_connection && begun >= c->load->o.per_connection;
}

static void begin_message(struct conn *c, uint64_t seq)
{
	c->cur = (struct message){.seq = seq, .started_us = c->load->clock_us(c->load), .active = true};
	c->grouped = c->has_pipelining;
	go(c, c->need_rset ? CONN_RSET : CONN_MAIL);
	c->need_rset = false;
	if (!c->grouped) {
		send_step(c);
		return;
	}
	struct buf *out = &c->load->scratch;
	buf_clear(out);
	if (c->step == CONN_RSET)
		buf_add_str(out, "RSET\r\n");
	add_group(c, out, seq);
	send_scratch(c);
}

void conn_wake(struct conn *c)
{
	uint64_t seq;
	switch (load_take(c->load, &seq)) {
	case TAKE_MESSAGE:
		begin_message(c, seq);
		return;
	case TAKE_LATER:
		go(c, CONN_IDLE);
		load_wait(c->load, c);
		return;
	case TAKE_NEVER:
		quit(c);
		return;
	}
}

/* The last message is over, or the first can begin. */
static void next_message(struct conn *c)
{
	if (c->next.active) {
		c->cur = c->next;
		c->next.active = false;
		c->cur.started_us = MAX(c->cur.started_us, c->load->last_reply_us);
		c->grouped = true;
		go(c, CONN_MAIL);
	} else if (c->quit_sent || used_up(c, c->messages)) {
		quit(c);
	} else {
		conn_wake(c);
	}
}

/* What may follow the final dot without waiting for its reply: the next envelope, or QUIT. */
static void add_follower(struct conn *c, struct buf *out)
{
	uint64_t seq;
	if (!c->has_pipelining)
		return;
	enum load_take t = used_up(c, c->messages + 1) ? TAKE_NEVER : load_take(c->load, &seq);
	if (t == TAKE_MESSAGE) {
		c->next = (struct message){
			.seq = seq, .started_us = c->load->clock_us(c->load), .active = true};
		add_group(c, out, seq);
	} else if (t == TAKE_NEVER) {
		c->quit_sent = true;
		buf_add_str(out, "QUIT\r\n");
	}
}

/* Content as far as the stream takes it; goes on in on_drain. */
static void feed(struct conn *c)
{
	struct buf *out = &c->load->scratch;
	enum err e = ERR_OK;
	while (c->body.len && !e) {
		struct slice part = slice_sub(c->body, 0, LOAD_CHUNK);
		e = stream_write(c->stream, part);
		c->body = slice_from(c->body, part.len);
	}
	if (c->body.len)
		return;
	c->content_out = true;
	buf_clear(out);
	buf_add_str(out, ".\r\n");
	if (c->cur.content_begun)
		add_follower(c, out);
	send_scratch(c);
}

/* After 354. A message that nobody is to get is ended at once (RFC 2920 3.1: the server refuses the empty one). */
static void send_content(struct conn *c)
{
	struct load *l = c->load;
	go(c, CONN_FINAL);
	c->body = SLICE_EMPTY;
	c->content_out = false;
	c->cur.content_begun = !c->cur.refused;
	if (c->cur.content_begun) {
		buf_clear(&l->scratch);
		c->body = content_of(&l->content, &l->o, c->cur.seq, &l->scratch);
		send_scratch(c);
	}
	feed(c);
}

/* ---- the session before the first MAIL ---- */

static void refused_session(struct conn *c, uint16_t code)
{
	char why[32];
	snprintf(why, sizeof(why), "refused with %u", code);
	count_code(c->load->n.session_codes, code);
	broken(c, why);
}

static void send_ehlo(struct conn *c)
{
	struct buf *out = &c->load->scratch;
	c->has_pipelining = c->has_size = c->has_starttls = false;
	buf_clear(out);
	buf_add_str(out, "EHLO ");
	buf_add_str(out, c->load->o.helo);
	buf_add_str(out, "\r\n");
	send_scratch(c);
	go(c, CONN_EHLO);
}

/* RFC 4616: no authorization identity, then user and password, each after a NUL. */
static void send_auth(struct conn *c)
{
	CLEANUP(buf_done) struct buf plain = {.max = LOAD_COMMAND_MAX};
	struct buf *out = &c->load->scratch;
	struct slice password = slice_str(c->load->o.auth), user = slice_split(&password, ':');
	buf_add_zero(&plain, 1);
	buf_add(&plain, user);
	buf_add_zero(&plain, 1);
	buf_add(&plain, password);
	buf_clear(out);
	buf_add_str(out, "AUTH PLAIN ");
	base64_encode(out, buf_slice(&plain));
	buf_add_str(out, "\r\n");
	send_scratch(c);
	go(c, CONN_AUTH);
}

static void session_ready(struct conn *c)
{
	c->load->n.ready++;
	latency_add(&c->load->session, c->load->clock_us(c->load) - c->opened_us);
	next_message(c);
}

static void start_tls(struct conn *c)
{
	const struct load_options *o = &c->load->o;
	CLEANUP(buf_done) struct buf name = {.max = 256};
	struct diag d = {0};
	if (o->tls_name)
		buf_add_str(&name, o->tls_name);
	else if (o->target.u.sa.sa_family != AF_UNIX)
		net_addr_format_ip(&o->target, &name);
	struct tls_peer peer = {.name = buf_slice(&name), .require_verified = !o->insecure};
	go(c, CONN_CONNECT);
	if (stream_tls_connect(c->stream, c->load->tls, &peer, o->timeout_ms, &d) != ERR_OK)
		broken(c, d.text);
}

static void on_ehlo_reply(struct conn *c)
{
	const struct load_options *o = &c->load->o;
	if (o->no_pipelining)
		c->has_pipelining = false;
	if (o->tls == LOAD_TLS_STARTTLS && !c->secured) {
		if (!c->has_starttls) {
			broken(c, "STARTTLS is not offered");
			return;
		}
		send_text(c, SLICE_LIT("STARTTLS\r\n"));
		go(c, CONN_STARTTLS);
	} else if (o->auth) {
		send_auth(c);
	} else {
		session_ready(c);
	}
}

static void session_reply(struct conn *c, uint16_t code)
{
	if (code / 100 != 2) {
		refused_session(c, code);
		return;
	}
	switch (c->step) {
	case CONN_GREETING:
		send_ehlo(c);
		return;
	case CONN_EHLO:
		on_ehlo_reply(c);
		return;
	case CONN_STARTTLS:
		start_tls(c);
		return;
	default:
		session_ready(c);
		return;
	}
}

/* ---- a message ---- */

/* Refused before its content: without a group there is nothing more to read of it. */
static void refuse(struct conn *c, uint16_t code)
{
	if (!c->cur.refused)
		c->cur.refused = code;
}

static void give_up(struct conn *c)
{
	c->need_rset = c->cur.mail_accepted;
	message_over(c, c->cur.refused);
	next_message(c);
}

static void advance(struct conn *c, enum conn_step step)
{
	go(c, step);
	send_step(c);
}

static void mail_reply(struct conn *c, uint16_t code)
{
	c->cur.mail_accepted = code / 100 == 2;
	if (!c->cur.mail_accepted)
		refuse(c, code);
	if (!c->cur.mail_accepted && !c->grouped)
		give_up(c);
	else
		advance(c, CONN_RCPT);
}

static void rcpt_reply(struct conn *c, uint16_t code)
{
	struct message *m = &c->cur;
	m->rcpts_answered++;
	if (code / 100 == 2)
		m->rcpts_accepted++;
	else if (m->mail_accepted)
		count_code(c->load->n.rcpt_codes, code);
	if (m->rcpts_answered < c->load->o.recipients) {
		advance(c, CONN_RCPT);
		return;
	}
	if (m->rcpts_accepted == 0)
		refuse(c, code);
	if (m->rcpts_accepted == 0 && !c->grouped)
		give_up(c);
	else
		advance(c, CONN_DATA);
}

static void data_reply(struct conn *c, uint16_t code)
{
	if (code == 354) {
		send_content(c);
		return;
	}
	refuse(c, code);
	give_up(c);
}

static void final_reply(struct conn *c, uint16_t code)
{
	bool early = !c->content_out;
	message_over(c, code);
	if (early)
		broken(c, "reply before the end of the content");
	else
		next_message(c);
}

static void take_reply(struct conn *c, uint16_t code)
{
	bool waits = c->step != CONN_IDLE && c->step != CONN_CONNECT;
	if (!waits || (code == 421 && c->step != CONN_GREETING && c->step != CONN_QUIT)) {
		if (c->step >= CONN_RSET && c->step <= CONN_FINAL)
			message_over(c, code);
		broken(c, waits || code == 421 ? "server closes with 421" : "reply to nothing");
		return;
	}
	switch (c->step) {
	case CONN_RSET:
		advance(c, CONN_MAIL);
		return;
	case CONN_MAIL:
		mail_reply(c, code);
		return;
	case CONN_RCPT:
		rcpt_reply(c, code);
		return;
	case CONN_DATA:
		data_reply(c, code);
		return;
	case CONN_FINAL:
		final_reply(c, code);
		return;
	case CONN_QUIT:
		quit_done(c);
		return;
	default:
		session_reply(c, code);
		return;
	}
}

/* ---- lines ---- */

static void note_extension(struct conn *c, struct slice text)
{
	struct slice word = slice_word(&text);
	c->has_pipelining |= slice_ieq_str(word, "PIPELINING");
	c->has_size |= slice_ieq_str(word, "SIZE");
	c->has_starttls |= slice_ieq_str(word, "STARTTLS");
}

/* RFC 5321 4.2: three digits, then '-' if more lines follow. */
static void take_line(struct conn *c, struct slice line)
{
	uint64_t code;
	if (slice_to_u64(slice_sub(line, 0, 3), LOAD_CODES - 1, &code) != ERR_OK || code < 200 ||
	    (line.len > 3 && line.ptr[3] != ' ' && line.ptr[3] != '-')) {
		broken(c, "not an SMTP reply");
		return;
	}
	if (c->step == CONN_EHLO)
		note_extension(c, slice_from(line, 4));
	if (line.len <= 3 || line.ptr[3] == ' ')
		take_reply(c, (uint16_t)code);
}

static size_t on_read(void *ctx, struct slice in)
{
	struct conn *c = ctx;
	const struct stream *s = c->stream;
	size_t used = 0;
	while (c->stream == s && c->step != CONN_CONNECT) {
		struct slice rest = slice_from(in, used);
		size_t eol = slice_find(rest, '\n');
		if (eol == SLICE_NPOS && rest.len <= LOAD_REPLY_MAX)
			return used;
		if (eol == SLICE_NPOS) {
			broken(c, "reply line too long");
			break;
		}
		used += eol + 1;
		take_line(c, slice_trim(slice_sub(rest, 0, eol)));
	}
	return in.len;
}

/* ---- the stream ---- */

static void on_open(void *ctx)
{
	struct conn *c = ctx;
	if (c->load->o.tls == LOAD_TLS_IMPLICIT)
		start_tls(c);
	else
		go(c, CONN_GREETING);
}

static void on_tls(void *ctx, const struct tls_info *info)
{
	struct conn *c = ctx;
	c->secured = true;
	if (c->load->o.tls == LOAD_TLS_IMPLICIT)
		go(c, CONN_GREETING);
	else
		send_ehlo(c);
}

static void on_drain(void *ctx)
{
	struct conn *c = ctx;
	if (c->step != CONN_FINAL || c->content_out)
		return;
	go(c, CONN_FINAL); /* it moves: the time for the reply begins anew */
	feed(c);
}

static void on_close(void *ctx, const struct diag *why)
{
	struct conn *c = ctx;
	if (c->step == CONN_QUIT)
		quit_done(c);
	else
		broken(c, why->text);
}

void conn_open(struct conn *c)
{
	static const struct stream_events events = {
		.on_open = on_open,
		.on_read = on_read,
		.on_drain = on_drain,
		.on_tls = on_tls,
		.on_close = on_close,
	};
	struct load *l = c->load;
	struct diag d = {0};
	if (!load_has_work(l)) {
		load_conn_ended(l);
		return;
	}
	struct connect_options o = {
		.remote = l->o.target,
		.local = c->local,
		.timeout_ms = l->o.timeout_ms,
		/* A whole group of commands has room behind the content before it. */
		.limits = {.write_max = 2 * (size_t)LOAD_CHUNK + l->scratch.max},
	};
	l->n.connects++;
	c->opened_us = l->clock_us(l);
	c->messages = 0;
	c->need_rset = c->quit_sent = c->secured = false;
	go(c, CONN_CONNECT);
	if (stream_connect(l->loop, &o, &events, c, &c->stream, &d) != ERR_OK)
		broken(c, d.text);
}

static void on_backoff(void *ctx)
{
	conn_open(ctx);
}

void conn_init(struct conn *c, struct load *l, uint32_t number)
{
	c->load = l;
	c->backoff_ms = LOAD_BACKOFF_MIN_MS;
	timer_init(&c->backoff, l->loop, on_backoff, c);
	if (l->o.sources == 0)
		return;
	c->local = l->o.target;
	net_addr_set_port(&c->local, 0);
	c->local.u.in4.sin_addr.s_addr = htonl(0x7f000101 + number % l->o.sources);
}

void conn_check_time(struct conn *c)
{
	if (c->step == CONN_OFF || c->step == CONN_IDLE)
		return;
	if (loop_now(c->load->loop) - c->since > c->load->o.timeout_ms)
		broken(c, "no reply in time");
}

void conn_leave(struct conn *c)
{
	if (c->step < CONN_CONNECT || c->step > CONN_AUTH)
		return;
	settle(c);
	load_conn_ended(c->load);
}

void conn_shut(struct conn *c)
{
	settle(c);
	timer_cancel(&c->backoff);
}
