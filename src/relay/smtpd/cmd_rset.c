/* RSET (RFC 5321 4.1.1.5): forgets the mail under way, keeps everything else. */
#include "relay/smtpd/session_priv.h"

static void proceed(struct smtpd_session *s, struct slice args)
{
	smtpd_mail_forget(s);
	if (s->state != SMTPD_GREETED)
		smtpd_set_state(s, SMTPD_READY);
	smtpd_reply(s, "250 2.0.0", "Ok");
}

const struct smtpd_verb smtpd_cmd_rset = {
	.name = "RSET",
	.states = SMTPD_STATES_COMMAND,
	.args = SMTPD_ARGS_NONE,
	.usage = "RSET",
	.proceed = proceed,
};
