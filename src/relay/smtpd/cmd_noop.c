/* NOOP, VRFY, HELP (RFC 5321 4.1.1.6-9): commands that change nothing. */
#include "relay/smtpd/session_priv.h"

static void noop(struct smtpd_session *s, struct slice args)
{
	smtpd_reply(s, "250 2.0.0", "Ok");
}

/* RFC 5321 3.5.3: 252 tells nothing to those who collect addresses. */
static void vrfy(struct smtpd_session *s, struct slice args)
{
	smtpd_reply(s, "252 2.5.2", "Cannot verify, but will take mail for it and try to deliver");
}

static void help(struct smtpd_session *s, struct slice args)
{
	smtpd_reply(s, "214 2.0.0",
		    "EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT; see RFC 5321");
}

const struct smtpd_verb smtpd_cmd_noop = {
	.name = "NOOP",
	.states = SMTPD_STATES_COMMAND,
	.args = SMTPD_ARGS_OPTIONAL,
	.usage = "NOOP",
	.proceed = noop,
};

const struct smtpd_verb smtpd_cmd_vrfy = {
	.name = "VRFY",
	.states = SMTPD_STATES_COMMAND,
	.args = SMTPD_ARGS_REQUIRED,
	.usage = "VRFY address",
	.proceed = vrfy,
};

const struct smtpd_verb smtpd_cmd_help = {
	.name = "HELP",
	.states = SMTPD_STATES_COMMAND,
	.args = SMTPD_ARGS_OPTIONAL,
	.usage = "HELP",
	.proceed = help,
};
