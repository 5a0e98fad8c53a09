/* QUIT (RFC 5321 4.1.1.10). */
#include "relay/smtpd/session_priv.h"

static void proceed(struct smtpd_session *s, struct slice args)
{
	smtpd_reply_close(s, "quit", "221 2.0.0", "%.*s closing", SLICE_ARG(s->opt.conf->hostname));
}

const struct smtpd_verb smtpd_cmd_quit = {
	.name = "QUIT",
	.states = SMTPD_STATES_COMMAND,
	.args = SMTPD_ARGS_NONE,
	.usage = "QUIT",
	.proceed = proceed,
};
