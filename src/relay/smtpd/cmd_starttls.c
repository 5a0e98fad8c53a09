/* STARTTLS (RFC 3207). What was pipelined behind it is discarded by whoever starts the handshake (evio/stream.h,
 * invariant 4), so that nobody on the path can put commands into the encrypted session. */
#include "relay/smtpd/session_priv.h"

static bool check(struct smtpd_session *s, struct slice args)
{
	if (s->tls) {
		smtpd_reply(s, "503 5.5.1", "TLS is already active");
		return false;
	}
	if (s->opt.listener->tls != CONF_LISTENER_STARTTLS) {
		smtpd_reply(s, "502 5.5.1", "STARTTLS is not offered on this port");
		return false;
	}
	if (!s->opt.tls_available) {
		smtpd_reply(s, "454 4.7.0", "TLS is not available at the moment");
		return false;
	}
	return true;
}

static void proceed(struct smtpd_session *s, struct slice args)
{
	smtpd_set_state(s, SMTPD_TLS);
	smtpd_reply(s, "220 2.0.0", "Go ahead");
	s->act->set_timer(s->ctx, s->opt.conf->timeout.handshake);
	s->act->start_tls(s->ctx);
}

const struct smtpd_verb smtpd_cmd_starttls = {
	.name = "STARTTLS",
	.states = 1u << SMTPD_READY,
	.args = SMTPD_ARGS_NONE,
	.usage = "STARTTLS",
	.check = check,
	.proceed = proceed,
};
