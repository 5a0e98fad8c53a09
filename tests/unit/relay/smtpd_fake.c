#include "smtpd_fake.h"

#include <string.h>

#define FAKE_MAX (8u << 20)
#define FAKE_BUFS(f)                                                                                         \
	{                                                                                                    \
		&(f)->in, &(f)->out, &(f)->codes, &(f)->content, &(f)->trace, &(f)->edits, &(f)->secret,     \
			&(f)->envelope                                                                       \
	}

static void on_send(void *ctx, struct slice octets)
{
	struct fake *f = ctx;
	ASSERT(!f->closed && octets.len >= 4 && slice_ends(octets, SLICE_LIT("\r\n")));
	if (f->stale)
		buf_clear(&f->out);
	f->stale = false;
	buf_add(&f->out, octets);
}

static void on_start_tls(void *ctx)
{
	struct fake *f = ctx;
	ASSERT(!f->closed && !f->want_tls);
	f->want_tls = true;
}

static void judge_auth(struct fake *f, struct slice message)
{
	f->want_verdict = true;
	f->verdict = WIRE_AUTH_BAD;
	if (slice_eq(message, slice_of("\0houston\0secret", 15)))
		f->verdict = WIRE_AUTH_OK;
}

static void on_auth_start(void *ctx, const struct smtpd_auth_request *r)
{
	struct fake *f = ctx;
	ASSERT(!f->closed && !f->asked_auth);
	f->asked_auth = true;
	f->login_step = slice_eq_str(r->mechanism, "LOGIN") ? 1 : 0;
	buf_clear(&f->secret);
	if (f->login_step && r->has_initial) {
		buf_add(&f->secret, r->initial);
		f->login_step = 2;
	}
	if (!f->login_step && r->has_initial)
		judge_auth(f, r->initial);
	else
		f->want_challenge = true;
}

static void on_auth_response(void *ctx, struct slice data)
{
	struct fake *f = ctx;
	ASSERT(!f->closed && f->asked_auth);
	if (f->login_step == 0) {
		judge_auth(f, data);
	} else if (f->login_step == 1) {
		buf_add(&f->secret, data);
		f->login_step = 2;
		f->want_challenge = true;
	} else {
		f->want_verdict = true;
		f->verdict = slice_eq_str(buf_slice(&f->secret), "houston") && slice_eq_str(data, "secret")
				     ? WIRE_AUTH_OK
				     : WIRE_AUTH_BAD;
	}
}

static void on_auth_cancel(void *ctx)
{
	struct fake *f = ctx;
	ASSERT(f->asked_auth);
	f->asked_auth = f->want_challenge = f->want_verdict = false;
}

static bool on_mail_welcome(void *ctx, struct wire_reply *ret)
{
	struct fake *f = ctx;
	*ret = (struct wire_reply){452, {4, 3, 1}, SLICE_LIT("The disk is full")};
	return f->welcome;
}

static bool on_mail_begin(void *ctx, uint64_t *ret_id, uint64_t *ret_window)
{
	struct fake *f = ctx;
	ASSERT(!f->closed && !f->streaming && !f->want_result);
	if (!f->ids)
		return false;
	f->begun++;
	f->owed = 0;
	f->streaming = true;
	buf_clear(&f->content);
	*ret_id = f->next_id++;
	*ret_window = f->window;
	return true;
}

static void on_mail_append(void *ctx, struct slice content)
{
	struct fake *f = ctx;
	ASSERT(f->streaming && content.len > 0 && content.len <= f->window);
	f->owed += content.len;
	buf_add(&f->content, content);
}

static bool on_mail_end(void *ctx, const struct record_message *envelope, const struct edits *edits)
{
	struct fake *f = ctx;
	ASSERT(f->streaming && envelope->size == f->content.len && envelope->recipient_count > 0);
	buf_clear(&f->envelope);
	record_message_encode(envelope, &f->envelope);
	buf_clear(&f->edits);
	edits_encode(edits, &f->edits);
	if (!f->handover)
		return false;
	f->streaming = false;
	f->ended++;
	f->want_result = true;
	return true;
}

static void on_mail_abort(void *ctx)
{
	struct fake *f = ctx;
	ASSERT(f->streaming || f->want_result);
	f->streaming = f->want_result = false;
	f->aborted++;
}

static void on_set_timer(void *ctx, uint64_t delay_ms)
{
	struct fake *f = ctx;
	f->timer_ms = delay_ms;
}

static void on_close(void *ctx)
{
	struct fake *f = ctx;
	ASSERT(!f->closed);
	f->closed = true;
}

static void on_log(void *ctx, const struct smtpd_event *e)
{
	struct fake *f = ctx;
	f->events[e->kind]++;
	bool may_be_secret =
		slice_eq_str(SLICE_LIT("AUTH"), e->verb) || slice_eq_str(SLICE_LIT("command"), e->verb);
	/* neither the password nor its base64 */
	ASSERT(!may_be_secret || (slice_find_slice(e->text, SLICE_LIT("secret")) == SLICE_NPOS &&
				  slice_find_slice(e->text, SLICE_LIT("c2VjcmV0")) == SLICE_NPOS));
	if (e->kind == SMTPD_EVENT_REFUSED)
		f->last_refused_verb = slice_str(e->verb);
}

static void on_trace(void *ctx, enum smtpd_state from, enum smtpd_state to)
{
	struct fake *f = ctx;
	buf_printf(&f->trace, "%s>%s ", smtpd_state_name(from), smtpd_state_name(to));
}

static const struct smtpd_actions actions = {
	.send = on_send,
	.start_tls = on_start_tls,
	.auth_start = on_auth_start,
	.auth_response = on_auth_response,
	.auth_cancel = on_auth_cancel,
	.mail_welcome = on_mail_welcome,
	.mail_begin = on_mail_begin,
	.mail_append = on_mail_append,
	.mail_end = on_mail_end,
	.mail_abort = on_mail_abort,
	.set_timer = on_set_timer,
	.close = on_close,
	.log = on_log,
	.trace = on_trace,
};

void fake_init(struct fake *f)
{
	*f = (struct fake){.welcome = true,
			   .ids = true,
			   .handover = true,
			   .window = 4096,
			   .next_id = (1ull << 32) + 1,
			   .wall_ms = 1767225600000};
	f->conf.hostname = SLICE_LIT("relay.example.net");
	f->conf.limit = (struct conf_limit){.message_size = 1 << 20,
					    .recipients = 5,
					    .messages_per_connection = 100,
					    .commands_without_mail = 50,
					    .bad_commands = 20,
					    .unknown_recipients = 10,
					    .auth_failures = 3,
					    .command_line = 4096,
					    .header_size = 4096,
					    .received_hops = 100,
					    .session_memory = 1 << 18};
	f->conf.timeout = (struct conf_timeout){.command = 300000, .data = 180000, .handshake = 60000};
	f->listener = (struct conf_listener){.name = SLICE_LIT("submission"), .auth = CONF_AUTH_REQUIRED};
	f->options = (struct smtpd_options){.conf = &f->conf,
					    .listener = &f->listener,
					    .client = SLICE_LIT("192.0.2.7"),
					    .tls_available = true,
					    .extensions = SMTPD_EXT_8BITMIME | SMTPD_EXT_CHUNKING,
					    .mechanisms = SLICE_LIT("PLAIN LOGIN")};
	struct buf *const bufs[] = FAKE_BUFS(f);
	for (size_t i = 0; i < ARRAY_LEN(bufs); i++) {
		buf_init(bufs[i], FAKE_MAX);
		/* room, so that tests which fail the n-th allocation meet those of the session */
		ASSERT(buf_reserve(bufs[i], 16384) == ERR_OK);
	}
}

void fake_init_clear(struct fake *f)
{
	fake_init(f);
	f->listener.tls = CONF_LISTENER_NONE;
}

void fake_start(struct fake *f)
{
	f->s = smtpd_session_new(&f->options, &actions, f);
	ASSERT(f->s);
	smtpd_session_start(f->s);
	fake_pump(f);
}

void fake_done(struct fake *f)
{
	smtpd_session_free(f->s);
	ASSERT(!f->streaming && !f->asked_auth);
	struct buf *const bufs[] = FAKE_BUFS(f);
	for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
		buf_done(bufs[i]);
}

static bool has_line(const struct fake *f, const char *line)
{
	return slice_find_slice(buf_slice(&f->content), slice_str(line)) != SLICE_NPOS;
}

static void deliver_tls(struct fake *f)
{
	struct tls_info info = {.version = "TLSv1.3", .cipher = "TLS_AES_256_GCM_SHA384", .bits = 256};
	f->want_tls = false;
	buf_clear(&f->in);
	smtpd_session_tls(f->s, &info);
}

static void deliver_auth(struct fake *f)
{
	static const char *const prompts[] = {"", "Username:", "Password:"};
	if (f->want_verdict) {
		f->want_verdict = f->asked_auth = false;
		smtpd_session_auth_verdict(f->s, f->verdict,
					   f->verdict == WIRE_AUTH_OK ? SLICE_LIT("houston") : SLICE_EMPTY);
		return;
	}
	f->want_challenge = false;
	smtpd_session_auth_challenge(f->s, slice_str(prompts[f->login_step]));
}

static const struct wire_reply not_this = {554, {5, 7, 1}, {"Not this mail", 13}};

static void deliver_result(struct fake *f)
{
	struct wire_reply ok = {250, {2, 0, 0}, SLICE_LIT("Ok: queued as 1-1")};
	struct wire_reply late = {450, {4, 7, 1}, SLICE_LIT("Not now")};
	const struct wire_reply *r = &ok;
	if (has_line(f, "X-Fake: late\r\n"))
		r = &late;
	if (has_line(f, "X-Fake: refuse\r\n"))
		r = &not_this; /* it came in one piece: the refusal is late, too */
	f->want_result = false;
	f->accepted += r == &ok;
	smtpd_session_result(f->s, r);
}

/* One event, if any is due. */
static bool deliver(struct fake *f)
{
	if (f->hold || f->closed)
		return false;
	if (f->want_tls) {
		deliver_tls(f);
	} else if (f->want_verdict || f->want_challenge) {
		deliver_auth(f);
	} else if (f->want_result) {
		deliver_result(f);
	} else if (f->streaming && has_line(f, "X-Fake: refuse\r\n")) {
		f->streaming = false;
		smtpd_session_result(f->s, &not_this);
	} else {
		return false;
	}
	return true;
}

static bool credit(struct fake *f)
{
	uint64_t owed = f->owed;
	if (!f->streaming || f->hold || owed == 0)
		return false;
	f->owed = 0;
	smtpd_session_credit(f->s, owed);
	return true;
}

void fake_pump(struct fake *f)
{
	bool more = true;
	while (more) {
		size_t n = f->in.len ? smtpd_session_input(f->s, buf_slice(&f->in), f->wall_ms) : 0;
		ASSERT(n <= f->in.len);
		buf_consume(&f->in, n);
		more = credit(f) || deliver(f) || n > 0;
	}
	if (f->closed)
		buf_clear(&f->in);
}

void fake_feed(struct fake *f, struct slice octets)
{
	buf_add(&f->in, octets);
	ASSERT(!f->in.failed);
	fake_pump(f);
}

void fake_say(struct fake *f, const char *text)
{
	fake_feed(f, slice_str(text));
}

static void forget_stale(struct fake *f)
{
	if (f->stale)
		buf_clear(&f->out);
	f->stale = true;
}

const char *fake_codes(struct fake *f)
{
	forget_stale(f);
	buf_clear(&f->codes);
	struct slice rest = buf_slice(&f->out);
	while (rest.len) {
		size_t end = slice_find_slice(rest, SLICE_LIT("\r\n"));
		ASSERT(end != SLICE_NPOS && end >= 4);
		if (rest.ptr[3] == ' ') {
			buf_add(&f->codes, slice_sub(rest, 0, 3));
			buf_add_char(&f->codes, ' ');
		}
		rest = slice_from(rest, end + 2);
	}
	return buf_cstr(&f->codes);
}

const char *fake_replies(struct fake *f)
{
	forget_stale(f);
	return buf_cstr(&f->out);
}
