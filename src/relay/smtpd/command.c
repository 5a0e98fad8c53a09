#include "relay/smtpd/session_priv.h"

/* Every verb that does something. */
static const struct smtpd_verb *const verbs[] = {
	&smtpd_cmd_mail, &smtpd_cmd_rcpt, &smtpd_cmd_data, &smtpd_cmd_bdat,    &smtpd_cmd_ehlo,
	&smtpd_cmd_helo, &smtpd_cmd_rset, &smtpd_cmd_noop, &smtpd_cmd_quit,    &smtpd_cmd_starttls,
	&smtpd_cmd_auth, &smtpd_cmd_vrfy, &smtpd_cmd_help, &smtpd_cmd_xclient,
};

/* Commands of RFC 5321 and its older sisters that are known, but not served: 502 instead of 500 (4.2.4). */
static const char *const unserved[] = {"EXPN", "TURN", "ETRN", "ATRN", "SEND", "SOML", "SAML"};

/* Nobody who begins like this speaks SMTP: a browser was talked into connecting here, or a scanner; or a
 * balancer that is not listed. */
static const char *const foreign[] = {"GET",     "POST",  "PUT",   "HEAD", "DELETE", "OPTIONS",
				      "CONNECT", "TRACE", "PATCH", "PRI",  "PROXY"};

static bool listed(const char *const *list, size_t n, struct slice word)
{
	for (size_t i = 0; i < n; i++)
		if (slice_ieq_str(word, list[i]))
			return true;
	return false;
}

static const struct smtpd_verb *find(struct slice word)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (slice_ieq_str(word, verbs[i]->name))
			return verbs[i];
	return NULL;
}

/* What the client should have done first. */
static void out_of_order(struct smtpd_session *s)
{
	switch (s->state) {
	case SMTPD_GREETED:
		smtpd_reply(s, "503 5.5.1", "Send EHLO or HELO first");
		break;
	case SMTPD_READY:
		smtpd_reply(s, "503 5.5.1", "Send MAIL FROM first");
		break;
	case SMTPD_MAIL:
	case SMTPD_RCPT:
	case SMTPD_CHUNKS:
		smtpd_reply(s, "503 5.5.1", "%s is not allowed inside a mail; finish it or send RSET",
			    s->verb);
		break;
	default:
		ASSERT(!"a command in a state that reads none");
	}
}

static bool args_fit(struct smtpd_session *s, const struct smtpd_verb *v, struct slice args)
{
	if ((v->args == SMTPD_ARGS_NONE && args.len > 0) ||
	    (v->args == SMTPD_ARGS_REQUIRED && args.len == 0)) {
		smtpd_reply(s, "501 5.5.4", "Usage: %s", v->usage);
		return false;
	}
	return true;
}

/* Commands that bring no mail on are free only in small numbers: NOOP, RSET, EHLO, AUTH and so on for hours is an
 * abuse of a connection. */
bool smtpd_idle_talk(struct smtpd_session *s)
{
	if (++s->commands_without_mail <= s->opt.conf->limit.commands_without_mail)
		return false;
	smtpd_reply_close(s, "too many commands", "421 4.7.0", "Too many commands without a mail, closing");
	return true;
}

static void unknown(struct smtpd_session *s, struct slice word)
{
	if (listed(foreign, ARRAY_LEN(foreign), word))
		smtpd_reply_close(s, "foreign protocol", "421 4.7.0", "This is a mail server, closing");
	else if (listed(unserved, ARRAY_LEN(unserved), word))
		smtpd_reply(s, "502 5.5.1", "%.*s is not served here", SLICE_ARG(word));
	else
		smtpd_reply(s, "500 5.5.1", "Unknown command \"%.*s\"", SLICE_ARG(slice_sub(word, 0, 40)));
}

static bool brings_mail_on(const struct smtpd_verb *v)
{
	return v == &smtpd_cmd_mail || v == &smtpd_cmd_rcpt || v == &smtpd_cmd_data || v == &smtpd_cmd_bdat ||
	       v == &smtpd_cmd_quit;
}

static void dispatch(struct smtpd_session *s, const struct smtpd_verb *v, struct slice args)
{
	s->verb = v->name;
	s->arg = v->secret ? SLICE_EMPTY : args;
	if (!brings_mail_on(v) && smtpd_idle_talk(s))
		return;
	if (!(v->states & (1u << s->state)))
		out_of_order(s);
	else if (args_fit(s, v, args) && (!v->check || v->check(s, args)))
		v->proceed(s, args);
}

void smtpd_command(struct smtpd_session *s, struct slice line)
{
	struct slice args = line, word;
	s->verb = "command"; /* its text is not logged: it may be a password that came out of step */
	if (slice_has_control(line)) {
		smtpd_reply(s, "500 5.5.2", "A command may hold no control characters");
	} else {
		word = slice_word(&args);
		const struct smtpd_verb *v = line.len && line.ptr[0] != ' ' ? find(word) : NULL;
		if (v)
			dispatch(s, v, slice_trim(args));
		else
			unknown(s, word);
	}
	s->arg = SLICE_EMPTY;
	smtpd_settled(s);
}
