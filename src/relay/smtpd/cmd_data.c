/* DATA (RFC 5321 4.1.1.4): opens the mail at the queue, then content follows (mail.c). */
#include "relay/smtpd/session_priv.h"

static bool check(struct smtpd_session *s, struct slice args)
{
	if (s->mail.envelope.body == RECORD_BODY_BINARYMIME) { /* RFC 3030 3 */
		smtpd_reply(s, "503 5.5.1", "A mail with BODY=BINARYMIME comes by BDAT, not by DATA");
		return false;
	}
	if (s->mail.refused_chunk) {
		smtpd_reply(s, "503 5.5.1", "A chunk of this mail was refused, send RSET");
		return false;
	}
	if (s->state == SMTPD_RCPT)
		return true;
	smtpd_reply(s, s->mail.refused_recipients ? "554 5.5.1" : "503 5.5.1",
		    s->mail.refused_recipients ? "No recipient was accepted" : "Send RCPT TO first");
	return false;
}

static void proceed(struct smtpd_session *s, struct slice args)
{
	if (!smtpd_mail_open(s, DATA_DOTS)) {
		smtpd_reply(s, "451 4.3.0", "The queue cannot take this mail now, try again later");
		return;
	}
	smtpd_set_state(s, SMTPD_DATA);
	smtpd_reply(s, "354", "End the mail with a dot on a line of its own");
}

const struct smtpd_verb smtpd_cmd_data = {
	.name = "DATA",
	.states = (1u << SMTPD_MAIL) | (1u << SMTPD_RCPT),
	.args = SMTPD_ARGS_NONE,
	.usage = "DATA",
	.check = check,
	.proceed = proceed,
};
