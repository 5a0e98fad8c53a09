/* DATA (RFC 5321 4.1.1.4): opens the mail at the queue, then content follows (mail.c). */
#include "relay/smtpd/session_priv.h"

static bool check(struct smtpd_session *s, struct slice args)
{
	if (s->state == SMTPD_RCPT)
		return true;
	smtpd_reply(s, s->mail.refused_recipients ? "554 5.5.1" : "503 5.5.1",
		    s->mail.refused_recipients ? "No recipient was accepted" : "Send RCPT TO first");
	return false;
}

static struct slice protocol(const struct smtpd_session *s)
{
	static const char *const names[2][2] = {{"ESMTP", "ESMTPA"}, {"ESMTPS", "ESMTPSA"}};
	static const char *const utf8_names[2][2] = {{"UTF8SMTP", "UTF8SMTPA"}, {"UTF8SMTPS", "UTF8SMTPSA"}};
	if (!s->esmtp) /* RFC 3848 has no name for HELO under TLS */
		return SLICE_LIT("SMTP");
	return slice_str((s->mail.envelope.smtputf8 ? utf8_names : names)[s->tls][s->server.len > 0]);
}

static void complete_envelope(struct smtpd_session *s)
{
	struct record_message *e = &s->mail.envelope;
	e->time_ms = s->wall_ms;
	e->server = smtpd_text_slice(&s->server);
	e->account = e->server;
	e->listener = s->opt.listener->name;
	e->client = s->opt.client;
	e->helo = smtpd_text_slice(&s->helo);
	e->protocol = protocol(s);
	e->tls = smtpd_text_slice(&s->tls_text);
	e->recipients = s->mail.recipients;
}

static void proceed(struct smtpd_session *s, struct slice args)
{
	struct smtpd_mail *m = &s->mail;
	complete_envelope(s);
	if (!s->act->mail_begin(s->ctx, &m->envelope.id, &m->window)) {
		smtpd_reply(s, "451 4.3.0", "The queue cannot take this mail now, try again later");
		return;
	}
	smtpd_mail_set_state(s, SMTPD_MAIL_STREAMING);
	smtpd_set_state(s, SMTPD_DATA);
	data_init(&m->reader, SMTPD_CONTENT_LINE);
	buf_init(&m->header, s->opt.conf->limit.header_size);
	m->progress = 0;
	s->act->set_timer(s->ctx, s->opt.conf->timeout.data);
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
