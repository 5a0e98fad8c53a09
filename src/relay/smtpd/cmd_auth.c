/* AUTH (RFC 4954). The mechanisms themselves run in the auth process; here are only the lines: base64 both ways,
 * the initial response, "*" to cancel, and what each verdict sounds like. */
#include "relay/smtpd/session_priv.h"

#include "core/text.h"

#include <string.h>

/* Secrets pass through this buffer: it is emptied before it is freed. */
static void forget_secret(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	buf_done(b);
}

static bool mechanism_offered(const struct smtpd_session *s, struct slice name)
{
	struct slice rest = s->opt.mechanisms;
	for (struct slice m; (m = smtpd_next_mechanism(s, &rest)).len;)
		if (slice_ieq(m, name))
			return true;
	return false;
}

static bool plus_offered(const struct smtpd_session *s)
{
	return mechanism_offered(s, SLICE_LIT("SCRAM-SHA-256-PLUS"));
}

static bool check_session(struct smtpd_session *s)
{
	if (!s->esmtp)
		smtpd_reply(s, "503 5.5.1", "Send EHLO first: AUTH is an extension");
	else if (s->opt.listener->auth != CONF_AUTH_REQUIRED)
		smtpd_reply(s, "502 5.5.1", "AUTH is not offered on this port");
	else if (!smtpd_auth_allowed(s))
		smtpd_reply(s, "538 5.7.11", "Encryption required: send STARTTLS first");
	else if (s->server.len)
		smtpd_reply(s, "503 5.5.1", "Already authenticated as %.*s",
			    SLICE_ARG(smtpd_text_slice(&s->server)));
	else
		return true;
	return false;
}

static bool check(struct smtpd_session *s, struct slice args)
{
	if (!check_session(s))
		return false;
	struct slice name = slice_word(&args);
	if (!mechanism_offered(s, name)) {
		smtpd_reply(s, "504 5.5.4", "Mechanism not offered here; EHLO tells which are");
		return false;
	}
	slice_word(&args);
	if (slice_word(&args).len) {
		smtpd_reply(s, "501 5.5.4", "Usage: %s", smtpd_cmd_auth.usage);
		return false;
	}
	return true;
}

static void wait_for_verdict(struct smtpd_session *s)
{
	smtpd_set_state(s, SMTPD_AUTH_WAIT);
	s->act->set_timer(s->ctx, SMTPD_AUTH_WAIT_MS);
}

static void proceed(struct smtpd_session *s, struct slice args)
{
	char name[SMTPD_AUTH_NAME_MAX];
	struct slice given = slice_word(&args), initial = slice_word(&args);
	ASSERT(given.len <= sizeof(name)); /* it is one of those offered */
	for (size_t i = 0; i < given.len; i++)
		name[i] = ascii_upper(given.ptr[i]);
	struct buf CLEANUP(forget_secret) decoded;
	buf_init(&decoded, WIRE_SASL_MAX);
	bool empty = slice_eq_str(initial, "="); /* RFC 4954 4: present, but of no length */
	if (!empty && base64_decode(&decoded, initial) != ERR_OK) {
		smtpd_auth_failed(s, WIRE_AUTH_MALFORMED, SLICE_EMPTY);
		return;
	}
	struct smtpd_auth_request r = {.mechanism = slice_of(name, given.len),
				       .has_initial = initial.len > 0,
				       .initial = buf_slice(&decoded),
				       .binding = plus_offered(s)};
	wait_for_verdict(s);
	s->act->auth_start(s->ctx, &r);
}

void smtpd_auth_line(struct smtpd_session *s, struct slice line)
{
	s->verb = smtpd_cmd_auth.name;
	s->arg = SLICE_EMPTY;
	struct buf CLEANUP(forget_secret) decoded;
	buf_init(&decoded, WIRE_SASL_MAX);
	if (slice_eq_str(line, "*")) {
		s->act->auth_cancel(s->ctx);
		smtpd_set_state(s, SMTPD_READY);
		smtpd_reply(s, "501 5.7.0", "Authentication cancelled");
	} else if (base64_decode(&decoded, line) != ERR_OK) {
		s->act->auth_cancel(s->ctx);
		smtpd_auth_failed(s, WIRE_AUTH_MALFORMED, SLICE_EMPTY);
	} else {
		wait_for_verdict(s);
		s->act->auth_response(s->ctx, buf_slice(&decoded));
		return;
	}
	smtpd_settled(s);
}

void smtpd_session_auth_challenge(struct smtpd_session *s, struct slice data)
{
	if (s->state != SMTPD_AUTH_WAIT)
		return;
	struct buf out;
	buf_init(&out, SMTPD_AUTH_LINE_MAX);
	buf_add_str(&out, "334 ");
	base64_encode(&out, data);
	buf_add_str(&out, "\r\n");
	if (out.failed) {
		s->act->auth_cancel(s->ctx);
		smtpd_auth_failed(s, WIRE_AUTH_LATER, SLICE_EMPTY);
	} else {
		smtpd_set_state(s, SMTPD_AUTH_CLIENT);
		s->act->send(s->ctx, buf_slice(&out));
		smtpd_settled(s);
	}
	buf_done(&out);
}

/* Leaves AUTH, if it was entered, with the reply for the outcome; too many failures end the connection. */
void smtpd_auth_failed(struct smtpd_session *s, enum wire_auth_outcome outcome, struct slice name)
{
	static const struct {
		const char *code, *text;
	} answers[] = {
		[WIRE_AUTH_BAD] = {"535 5.7.8", "Authentication failed: name or password is wrong"},
		[WIRE_AUTH_MALFORMED] = {"501 5.5.2", "This is not a valid message of the mechanism"},
		[WIRE_AUTH_MECHANISM] = {"504 5.5.4", "Mechanism not supported"},
		[WIRE_AUTH_LATER] = {"454 4.7.0",
				     "Authentication is not possible at the moment, try again later"},
	};
	ASSERT(outcome != WIRE_AUTH_OK && (size_t)outcome < ARRAY_LEN(answers));
	if (s->state != SMTPD_READY)
		smtpd_set_state(s, SMTPD_READY);
	s->verb = smtpd_cmd_auth.name;
	smtpd_log(s, SMTPD_EVENT_AUTH_FAILED, name);
	smtpd_reply(s, answers[outcome].code, "%s", answers[outcome].text);
	if (s->state == SMTPD_CLOSED)
		return;
	if (outcome != WIRE_AUTH_LATER && ++s->auth_failures >= s->opt.conf->limit.auth_failures)
		smtpd_reply_close(s, "too many failed authentications", "421 4.7.0",
				  "Too many failed authentications, closing");
	else
		smtpd_settled(s);
}

void smtpd_session_auth_verdict(struct smtpd_session *s, enum wire_auth_outcome outcome, struct slice server)
{
	if (s->state != SMTPD_AUTH_WAIT)
		return;
	if (outcome != WIRE_AUTH_OK) {
		smtpd_auth_failed(s, outcome, server);
		return;
	}
	ASSERT(server.len > 0 && server.len <= SMTPD_NAME_MAX);
	smtpd_text_set(&s->server, server);
	s->verb = smtpd_cmd_auth.name;
	smtpd_set_state(s, SMTPD_READY);
	smtpd_log(s, SMTPD_EVENT_AUTH, server);
	smtpd_reply(s, "235 2.7.0", "Authentication succeeded");
	smtpd_settled(s);
}

const struct smtpd_verb smtpd_cmd_auth = {
	.name = "AUTH",
	.states = 1u << SMTPD_READY,
	.args = SMTPD_ARGS_REQUIRED,
	.secret = true,
	.usage = "AUTH mechanism [initial-response]",
	.check = check,
	.proceed = proceed,
};
