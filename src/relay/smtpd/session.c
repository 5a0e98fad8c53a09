#include "relay/smtpd/session_priv.h"

#include "core/mem.h"

#include <string.h>

#define BIT(state)           (1u << (state))
#define TLS_RECORD_HANDSHAKE 0x16 /* the first octet of a TLS connection, RFC 8446 5.1 */

/* From each state, where to (the drawing in session.h). CLOSED can be reached from everywhere. */
static const uint16_t transitions[SMTPD_STATE_COUNT] = {
	[SMTPD_NEW] = BIT(SMTPD_GREETED) | BIT(SMTPD_TLS),
	[SMTPD_TLS] = BIT(SMTPD_GREETED),
	[SMTPD_GREETED] = BIT(SMTPD_READY) | BIT(SMTPD_GREETED) | BIT(SMTPD_DISCARD),
	[SMTPD_READY] = BIT(SMTPD_READY) | BIT(SMTPD_TLS) | BIT(SMTPD_AUTH_WAIT) | BIT(SMTPD_MAIL) |
			BIT(SMTPD_GREETED) | BIT(SMTPD_DISCARD),
	[SMTPD_AUTH_WAIT] = BIT(SMTPD_AUTH_CLIENT) | BIT(SMTPD_READY),
	[SMTPD_AUTH_CLIENT] = BIT(SMTPD_AUTH_WAIT) | BIT(SMTPD_READY),
	[SMTPD_MAIL] = BIT(SMTPD_RCPT) | BIT(SMTPD_READY) | BIT(SMTPD_DISCARD),
	[SMTPD_RCPT] = BIT(SMTPD_DATA) | BIT(SMTPD_READY) | BIT(SMTPD_CHUNK) | BIT(SMTPD_DISCARD),
	[SMTPD_DATA] = BIT(SMTPD_COMMIT) | BIT(SMTPD_READY),
	[SMTPD_CHUNK] = BIT(SMTPD_CHUNKS) | BIT(SMTPD_COMMIT) | BIT(SMTPD_READY),
	[SMTPD_CHUNKS] = BIT(SMTPD_CHUNK) | BIT(SMTPD_READY),
	[SMTPD_DISCARD] = BIT(SMTPD_GREETED) | BIT(SMTPD_READY) | BIT(SMTPD_MAIL) | BIT(SMTPD_RCPT),
	[SMTPD_COMMIT] = BIT(SMTPD_READY),
};

const char *smtpd_state_name(enum smtpd_state s)
{
	static const char *const names[SMTPD_STATE_COUNT] = {
		[SMTPD_NEW] = "new",
		[SMTPD_TLS] = "tls",
		[SMTPD_GREETED] = "greeted",
		[SMTPD_READY] = "ready",
		[SMTPD_AUTH_WAIT] = "auth-wait",
		[SMTPD_AUTH_CLIENT] = "auth-client",
		[SMTPD_MAIL] = "mail",
		[SMTPD_RCPT] = "rcpt",
		[SMTPD_DATA] = "data",
		[SMTPD_CHUNK] = "chunk",
		[SMTPD_CHUNKS] = "chunks",
		[SMTPD_DISCARD] = "discard",
		[SMTPD_COMMIT] = "commit",
		[SMTPD_CLOSED] = "closed",
	};
	return s < SMTPD_STATE_COUNT ? names[s] : "?";
}

void smtpd_set_state(struct smtpd_session *s, enum smtpd_state to)
{
	ASSERT(to < SMTPD_STATE_COUNT && s->state != SMTPD_CLOSED);
	ASSERT(to == SMTPD_CLOSED || (transitions[s->state] & BIT(to)));
	if (s->act->trace)
		s->act->trace(s->ctx, s->state, to);
	s->state = to;
}

void smtpd_text_set(struct smtpd_text *t, struct slice s)
{
	t->len = (uint16_t)MIN(s.len, sizeof(t->octets));
	if (t->len)
		memcpy(t->octets, s.ptr, t->len);
}

struct smtpd_session *smtpd_session_new(const struct smtpd_options *o, const struct smtpd_actions *actions,
					void *ctx)
{
	ASSERT(o->conf->limit.command_line >= SMTPD_LINE_MIN);
	struct smtpd_session *s = NEW(struct smtpd_session);
	if (!s)
		return NULL;
	s->act = actions;
	s->ctx = ctx;
	s->opt = *o;
	smtpd_text_set(&s->client, o->client);
	s->opt.client = smtpd_text_slice(&s->client);
	return s;
}

/* Tells those who work for us that nobody waits for their answer any more. */
static void withdraw(struct smtpd_session *s)
{
	if (s->state == SMTPD_AUTH_WAIT || s->state == SMTPD_AUTH_CLIENT)
		s->act->auth_cancel(s->ctx);
	smtpd_mail_forget(s);
}

void smtpd_session_free(struct smtpd_session *s)
{
	if (!s)
		return;
	if (s->state != SMTPD_CLOSED)
		withdraw(s);
	mem_free(s);
}

void smtpd_close(struct smtpd_session *s, const char *why)
{
	withdraw(s);
	smtpd_set_state(s, SMTPD_CLOSED);
	smtpd_log(s, SMTPD_EVENT_CLOSED, slice_str(why));
	s->act->set_timer(s->ctx, 0);
	s->act->close(s->ctx);
}

static bool mail_under_way(const struct smtpd_session *s)
{
	return s->mail.state != SMTPD_MAIL_NONE;
}

static bool reads_lines(const struct smtpd_session *s)
{
	return (SMTPD_STATES_COMMAND & BIT(s->state)) || s->state == SMTPD_AUTH_CLIENT;
}

static void stopping(struct smtpd_session *s)
{
	smtpd_reply_close(s, "drain", "421 4.3.2", "%.*s is shutting down, try again",
			  SLICE_ARG(s->opt.conf->hostname));
}

void smtpd_settled(struct smtpd_session *s)
{
	if (s->state == SMTPD_CLOSED)
		return;
	if (s->draining && !mail_under_way(s) && s->state != SMTPD_TLS)
		stopping(s);
	else if (reads_lines(s))
		s->act->set_timer(s->ctx, s->opt.conf->timeout.command);
}

static void greet(struct smtpd_session *s)
{
	smtpd_set_state(s, SMTPD_GREETED);
	smtpd_reply(s, "220", "%.*s ESMTP Tidegate", SLICE_ARG(s->opt.conf->hostname));
	smtpd_settled(s);
}

void smtpd_greet_again(struct smtpd_session *s)
{
	s->helo.len = 0;
	s->esmtp = false;
	greet(s);
}

void smtpd_session_start(struct smtpd_session *s)
{
	s->verb = "connect";
	if (s->opt.listener->tls != CONF_LISTENER_IMPLICIT) {
		greet(s);
		return;
	}
	smtpd_set_state(s, SMTPD_TLS);
	s->act->set_timer(s->ctx, s->opt.conf->timeout.handshake);
	s->act->start_tls(s->ctx);
}

/* RFC 3207 4.2: whatever was learnt before the handshake could have come from somebody else. */
static void forget_all(struct smtpd_session *s)
{
	s->helo.len = 0;
	s->server.len = 0;
	s->esmtp = false;
	s->skip = SMTPD_SKIP_NONE;
	s->skipped = 0;
}

void smtpd_session_tls(struct smtpd_session *s, const struct tls_info *info)
{
	if (s->state != SMTPD_TLS)
		return;
	char text[SMTPD_TLS_TEXT_MAX];
	struct buf b;
	buf_init(&b, sizeof(text));
	buf_printf(&b, "%s %s", info->version, info->cipher);
	smtpd_text_set(&s->tls_text, buf_slice(&b));
	buf_done(&b);
	forget_all(s);
	s->tls = true;
	s->bindable = info->bindable;
	s->external = info->peer_name.len > 0;
	smtpd_log(s, SMTPD_EVENT_TLS, smtpd_text_slice(&s->tls_text));
	if (s->opt.listener->tls == CONF_LISTENER_IMPLICIT) {
		greet(s);
		return;
	}
	smtpd_set_state(s, SMTPD_GREETED);
	smtpd_settled(s);
}

bool smtpd_auth_allowed(const struct smtpd_session *s)
{
	const struct conf_listener *l = s->opt.listener;
	return l->auth == CONF_AUTH_REQUIRED && (s->tls || l->tls == CONF_LISTENER_NONE);
}

struct slice smtpd_next_mechanism(const struct smtpd_session *s, struct slice *rest)
{
	struct slice m;
	while ((m = slice_word(rest)).len) {
		bool fits = slice_iends(m, SLICE_LIT("-PLUS")) ? s->bindable
			    : slice_ieq_str(m, "EXTERNAL")     ? s->external
							       : true;
		if (fits)
			break;
	}
	return m;
}

bool smtpd_auth_required(const struct smtpd_session *s)
{
	return s->opt.listener->auth == CONF_AUTH_REQUIRED && s->server.len == 0;
}

/* ---- input ---- */

static size_t line_max(const struct smtpd_session *s)
{
	return s->state == SMTPD_AUTH_CLIENT ? SMTPD_AUTH_LINE_MAX : s->opt.conf->limit.command_line;
}

static size_t skip_more(struct smtpd_session *s, size_t n)
{
	s->skipped += (uint32_t)n;
	if (s->skipped > SMTPD_SKIP_MAX)
		smtpd_reply_close(s, "endless line", "421 4.7.0", "Too much input without an end of line");
	return n;
}

/* A broken line inside AUTH ends the exchange: what follows are commands again. */
static void skip_begins(struct smtpd_session *s, enum smtpd_skip how)
{
	s->skip = how;
	s->line_max = (uint32_t)line_max(s);
	if (s->state != SMTPD_AUTH_CLIENT)
		return;
	s->act->auth_cancel(s->ctx);
	smtpd_set_state(s, SMTPD_READY);
}

static void skip_ends(struct smtpd_session *s)
{
	s->skip = SMTPD_SKIP_NONE;
	s->skipped = 0;
}

/* A bare LF is answered at once, so that a client that never sends CR hears why nothing works; the rest of the line
 * up to the CRLF is thrown away, so that nothing can be smuggled in behind the LF. */
static size_t bare_lf(struct smtpd_session *s, size_t n)
{
	skip_begins(s, SMTPD_SKIP_BARE);
	s->skipped += (uint32_t)n;
	smtpd_reply(s, "500 5.5.2", "A line must end with CR LF; a bare LF was found");
	return n;
}

/* Throws away up to the end of a line that cannot become a command. A last CR is left, its LF may follow. */
static size_t skip_line(struct smtpd_session *s, struct slice in)
{
	const char *lf = memchr(in.ptr, '\n', in.len);
	if (!lf)
		return skip_more(s, in.ptr[in.len - 1] == '\r' ? in.len - 1 : in.len);
	size_t n = (size_t)(lf - in.ptr) + 1;
	if (n < 2 || lf[-1] != '\r')
		return bare_lf(s, n);
	enum smtpd_skip was = s->skip;
	skip_ends(s);
	if (was == SMTPD_SKIP_LONG)
		smtpd_reply(s, "500 5.5.6", "Line too long: at most %u octets are allowed", s->line_max);
	return n;
}

static void line_done(struct smtpd_session *s, struct slice line)
{
	if (s->state == SMTPD_AUTH_CLIENT)
		smtpd_auth_line(s, line);
	else
		smtpd_command(s, line);
}

/* A client set to implicit TLS on a port that begins in the clear would else wait for its time-out. */
static size_t tls_too_early(struct smtpd_session *s)
{
	s->verb = "line";
	smtpd_reply_close(s, "TLS on a port in the clear", "421 4.7.0",
			  "This port begins in the clear; TLS comes with STARTTLS");
	return 1;
}

static size_t input_line(struct smtpd_session *s, struct slice in)
{
	if (s->skip != SMTPD_SKIP_NONE)
		return skip_line(s, in);
	if (s->state == SMTPD_GREETED && in.ptr[0] == TLS_RECORD_HANDSHAKE)
		return tls_too_early(s);
	size_t max = line_max(s);
	const char *lf = memchr(in.ptr, '\n', MIN(in.len, max));
	s->verb = "line";
	if (!lf && in.len < max)
		return 0;
	if (!lf) { /* one octet stays: it may be the CR */
		skip_begins(s, SMTPD_SKIP_LONG);
		return skip_more(s, max - 1);
	}
	size_t n = (size_t)(lf - in.ptr) + 1;
	if (n < 2 || lf[-1] != '\r')
		return bare_lf(s, n);
	line_done(s, slice_sub(in, 0, n - 2));
	return n;
}

/* The octets of a chunk that nobody wants. timeout.data is for all of them: they lead nowhere. */
static size_t discard(struct smtpd_session *s, struct slice in)
{
	size_t n = (size_t)MIN(s->chunk_left, in.len);
	s->chunk_left -= n;
	if (s->chunk_left == 0) {
		smtpd_set_state(s, s->discard_back);
		smtpd_settled(s);
	}
	return n;
}

/* One step; 0: nothing can be consumed now. */
static size_t input_step(struct smtpd_session *s, struct slice in)
{
	switch (s->state) {
	case SMTPD_GREETED:
	case SMTPD_READY:
	case SMTPD_MAIL:
	case SMTPD_RCPT:
	case SMTPD_CHUNKS:
	case SMTPD_AUTH_CLIENT:
		return input_line(s, in);
	case SMTPD_DATA:
		return smtpd_mail_input(s, in);
	case SMTPD_CHUNK:
		return smtpd_chunk_input(s, in);
	case SMTPD_DISCARD:
		return discard(s, in);
	default:
		return 0;
	}
}

size_t smtpd_session_input(struct smtpd_session *s, struct slice in, int64_t wall_ms)
{
	s->wall_ms = wall_ms;
	size_t used = 0;
	while (used < in.len) {
		size_t n = input_step(s, slice_from(in, used));
		if (n == 0)
			break;
		used += n;
	}
	return used;
}

/* ---- events ---- */

void smtpd_session_drain(struct smtpd_session *s)
{
	s->draining = true;
	if (s->state == SMTPD_TLS || s->state == SMTPD_NEW)
		smtpd_close(s, "drain");
	else if (s->state != SMTPD_CLOSED && !mail_under_way(s))
		stopping(s);
}

void smtpd_session_expire(struct smtpd_session *s)
{
	if (s->state == SMTPD_CLOSED)
		return;
	if (s->state == SMTPD_TLS || s->state == SMTPD_NEW)
		smtpd_close(s, "expired");
	else
		smtpd_reply_close(s, "expired", "421 4.4.2", "This connection has lasted too long");
}

void smtpd_session_timeout(struct smtpd_session *s)
{
	struct wire_reply late = {451, {4, 3, 0}, SLICE_LIT("The queue does not answer; try again later")};
	switch (s->state) {
	case SMTPD_NEW:
	case SMTPD_CLOSED:
		return;
	case SMTPD_TLS:
		smtpd_close(s, "handshake timed out");
		return;
	case SMTPD_AUTH_WAIT:
		s->act->auth_cancel(s->ctx);
		smtpd_auth_failed(s, WIRE_AUTH_LATER, SLICE_EMPTY);
		return;
	case SMTPD_COMMIT:
		s->act->mail_abort(s->ctx);
		smtpd_session_result(s, &late);
		return;
	default:
		smtpd_reply_close(s, "timed out", "421 4.4.2", "Timed out waiting for you");
	}
}

void smtpd_session_credit(struct smtpd_session *s, uint64_t octets)
{
	if (s->mail.state != SMTPD_MAIL_STREAMING)
		return;
	s->mail.window += octets;
	if (s->state == SMTPD_CHUNK && s->chunk_left == 0)
		smtpd_chunk_end(s);
}

static void mail_answered(struct smtpd_session *s, const struct wire_reply *reply)
{
	struct smtpd_mail *m = &s->mail;
	bool accepted = reply->code / 100 == 2;
	s->verb = m->reader.mode == DATA_DOTS ? smtpd_cmd_data.name : smtpd_cmd_bdat.name;
	smtpd_mail_set_state(s, SMTPD_MAIL_NONE);
	smtpd_set_state(s, SMTPD_READY);
	if (accepted)
		s->commands_without_mail = 0;
	struct smtpd_event e = {.kind = SMTPD_EVENT_ACCEPTED,
				.verb = s->verb,
				.reply = *reply,
				.id = m->envelope.id,
				.size = m->reader.octets,
				.recipients = m->envelope.recipient_count,
				.sender = m->envelope.sender,
				.mail = true};
	if (accepted)
		s->act->log(s->ctx, &e);
	smtpd_reply_wire(s, reply);
	smtpd_mail_forget(s);
	smtpd_settled(s);
}

void smtpd_session_result(struct smtpd_session *s, const struct wire_reply *reply)
{
	if (s->mail.state == SMTPD_MAIL_ENDED)
		mail_answered(s, reply);
	else if (s->mail.state == SMTPD_MAIL_STREAMING)
		smtpd_mail_refuse_wire(s, reply);
}

enum smtpd_state smtpd_session_state(const struct smtpd_session *s)
{
	return s->state;
}

struct slice smtpd_session_helo(const struct smtpd_session *s)
{
	return smtpd_text_slice(&s->helo);
}

struct slice smtpd_session_server(const struct smtpd_session *s)
{
	return smtpd_text_slice(&s->server);
}

struct slice smtpd_session_tls_text(const struct smtpd_session *s)
{
	return smtpd_text_slice(&s->tls_text);
}

struct slice smtpd_session_client(const struct smtpd_session *s)
{
	return smtpd_text_slice(&s->client);
}
