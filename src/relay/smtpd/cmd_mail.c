/* MAIL (RFC 5321 4.1.1.2) with SIZE (1870), BODY (6152, 3030), AUTH (4954), SMTPUTF8 (6531), RET and ENVID (3461). */
#include "relay/smtpd/session_priv.h"

#include <inttypes.h>

static bool no_memory(struct smtpd_session *s)
{
	smtpd_reply(s, "452 4.3.1", "Envelope too large, try again with fewer recipients");
	return false;
}

static bool bad_value(struct smtpd_session *s, const char *name, struct slice value)
{
	smtpd_reply(s, "501 5.5.4", "\"%.*s\" is not a value for %s", SLICE_ARG(value), name);
	return false;
}

static bool set_size(struct smtpd_session *s, void *target, struct slice value)
{
	uint64_t max = s->opt.conf->limit.message_size;
	if (slice_to_u64(value, UINT64_MAX, &s->mail.declared_size) != ERR_OK)
		return bad_value(s, "SIZE", value);
	if (s->mail.declared_size <= max)
		return true;
	smtpd_reply(s, "552 5.3.4", "The mail is over the limit of %" PRIu64 " octets", max);
	return false;
}

static bool set_body(struct smtpd_session *s, void *target, struct slice value)
{
	struct record_message *e = target;
	if (slice_ieq_str(value, "7BIT"))
		e->body = RECORD_BODY_7BIT;
	else if (slice_ieq_str(value, "8BITMIME"))
		e->body = RECORD_BODY_8BITMIME;
	else if (slice_ieq_str(value, "BINARYMIME") && (s->opt.extensions & SMTPD_EXT_BINARYMIME))
		e->body = RECORD_BODY_BINARYMIME;
	else
		return bad_value(s, "BODY", value);
	return true;
}

/* Kept as given: who may vouch for whom is decided by those who know the server (RFC 4954 5). */
static bool set_auth(struct smtpd_session *s, void *target, struct slice value)
{
	struct record_message *e = target;
	if (value.len > SMTPD_AUTH_PARAM_MAX || !smtpd_xtext_valid(value))
		return bad_value(s, "AUTH", value);
	return smtpd_mail_keep(s, value, &e->auth_param) || no_memory(s);
}

static bool set_smtputf8(struct smtpd_session *s, void *target, struct slice value)
{
	struct record_message *e = target;
	e->smtputf8 = true;
	return true;
}

static bool set_ret(struct smtpd_session *s, void *target, struct slice value)
{
	struct record_message *e = target;
	if (slice_ieq_str(value, "FULL"))
		e->ret = 1;
	else if (slice_ieq_str(value, "HDRS"))
		e->ret = 2;
	else
		return bad_value(s, "RET", value);
	return true;
}

static bool set_envid(struct smtpd_session *s, void *target, struct slice value)
{
	struct record_message *e = target;
	if (value.len > SMTPD_ENVID_MAX || !smtpd_xtext_valid(value))
		return bad_value(s, "ENVID", value);
	return smtpd_mail_keep(s, value, &e->envid) || no_memory(s);
}

static const struct smtpd_param params[] = {
	{"SIZE", 0, true, set_size},           {"BODY", SMTPD_EXT_8BITMIME, true, set_body},
	{"AUTH", 0, true, set_auth},           {"SMTPUTF8", SMTPD_EXT_SMTPUTF8, false, set_smtputf8},
	{"RET", SMTPD_EXT_DSN, true, set_ret}, {"ENVID", SMTPD_EXT_DSN, true, set_envid},
};

static bool check(struct smtpd_session *s, struct slice args)
{
	struct wire_reply refusal;
	if (smtpd_auth_required(s) && !smtpd_auth_allowed(s))
		smtpd_reply(s, "530 5.7.0", "Send STARTTLS first, then authenticate");
	else if (smtpd_auth_required(s))
		smtpd_reply(s, "530 5.7.0", "Authentication required");
	else if (s->messages >= s->opt.conf->limit.messages_per_connection)
		smtpd_reply_close(s, "limit of messages", "421 4.7.0",
				  "Enough mails on this connection, open another");
	else if (!s->act->mail_welcome(s->ctx, &refusal))
		smtpd_reply_wire(s, &refusal);
	else
		return true;
	return false;
}

static void proceed(struct smtpd_session *s, struct slice args)
{
	struct smtpd_mail *m = &s->mail;
	struct smtpd_path path;
	smtpd_mail_begin(s);
	if (!smtpd_path(s, "FROM:", args, &path) ||
	    !smtpd_params(s, path.params, params, ARRAY_LEN(params), &m->envelope) ||
	    !smtpd_path_fits(s, &path, m->envelope.smtputf8) ||
	    (!smtpd_mail_keep(s, path.address, &m->envelope.sender) && !no_memory(s))) {
		smtpd_mail_forget(s);
		return;
	}
	s->messages++;
	smtpd_set_state(s, SMTPD_MAIL);
	smtpd_reply(s, "250 2.1.0", "Ok");
}

const struct smtpd_verb smtpd_cmd_mail = {
	.name = "MAIL",
	.states = 1u << SMTPD_READY,
	.args = SMTPD_ARGS_REQUIRED,
	.usage = "MAIL FROM:<address> [parameters]",
	.check = check,
	.proceed = proceed,
};
