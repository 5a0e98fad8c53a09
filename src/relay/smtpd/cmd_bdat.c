/* BDAT (RFC 3030 2): content in chunks of told length. The octets follow at once, whatever is answered: those of a
 * refused chunk are thrown away, so that they are never taken for commands; and a chunk whose length cannot be known ends
 * the connection. Once a chunk was refused no later one makes the mail whole again. */
#include "relay/smtpd/session_priv.h"

static bool parse(struct slice args, uint64_t *ret_size, bool *ret_last)
{
	struct slice size = slice_word(&args), last = slice_word(&args);
	*ret_last = last.len > 0;
	return slice_to_u64(size, SMTPD_CHUNK_MAX, ret_size) == ERR_OK &&
	       (!*ret_last || slice_ieq_str(last, "LAST")) && slice_word(&args).len == 0;
}

static void discard(struct smtpd_session *s, uint64_t size)
{
	s->mail.refused_chunk = s->mail.state != SMTPD_MAIL_NONE;
	if (s->state == SMTPD_CLOSED || size == 0)
		return;
	if (size > SMTPD_DROP_MAX) {
		smtpd_reply_close(s, "endless refused chunk", "421 4.3.4",
				  "The refused chunk is too large to be skipped, closing");
		return;
	}
	s->discard_back = s->state;
	s->chunk_left = size;
	smtpd_set_state(s, SMTPD_DISCARD);
	s->act->set_timer(s->ctx, s->opt.conf->timeout.data);
}

/* Answers if content may not come now. */
static bool in_place(struct smtpd_session *s)
{
	if (s->state == SMTPD_RCPT && !s->mail.refused_chunk)
		return true;
	if (s->state == SMTPD_GREETED)
		smtpd_reply(s, "503 5.5.1", "Send EHLO first");
	else if (s->state == SMTPD_READY)
		smtpd_reply(s, "503 5.5.1", "Send MAIL FROM first");
	else if (s->mail.refused_chunk)
		smtpd_reply(s, "503 5.5.1", "A chunk of this mail was refused, send RSET");
	else if (s->mail.refused_recipients)
		smtpd_reply(s, "554 5.5.1", "No recipient was accepted");
	else
		smtpd_reply(s, "503 5.5.1", "Send RCPT TO first");
	return false;
}

static void first_chunk(struct smtpd_session *s)
{
	bool is_binary = s->mail.envelope.body == RECORD_BODY_BINARYMIME;
	if (!smtpd_mail_open(s, is_binary ? DATA_BINARY : DATA_CHUNKS))
		smtpd_mail_refuse(s, "451 4.3.0", "The queue cannot take this mail now, try again later");
}

static void proceed(struct smtpd_session *s, struct slice args)
{
	uint64_t size = 0;
	bool last = false;
	if (!parse(args, &size, &last)) {
		smtpd_reply_close(s, "malformed chunk size", "501 5.5.4",
				  "Usage: %s; closing, since the chunk cannot be told from commands",
				  smtpd_cmd_bdat.usage);
		return;
	}
	if (size == 0 && !last && smtpd_idle_talk(s)) /* a chunk of nothing brings no mail on */
		return;
	if (s->state != SMTPD_CHUNKS && !in_place(s)) {
		discard(s, size);
		return;
	}
	if (s->state == SMTPD_RCPT)
		first_chunk(s);
	s->chunk_left = size;
	s->chunk_last = last;
	smtpd_set_state(s, SMTPD_CHUNK);
	s->act->set_timer(s->ctx, s->opt.conf->timeout.data);
	if (size == 0)
		smtpd_chunk_end(s);
}

/* The chunk behind a BDAT that was never offered cannot be told from commands either. */
static bool check(struct smtpd_session *s, struct slice args)
{
	if (s->opt.extensions & SMTPD_EXT_CHUNKING)
		return true;
	smtpd_reply_close(s, "BDAT that was not offered", "502 5.5.1", "BDAT is not offered here, closing");
	return false;
}

const struct smtpd_verb smtpd_cmd_bdat = {
	.name = "BDAT",
	.states = SMTPD_STATES_COMMAND,
	.args = SMTPD_ARGS_OPTIONAL,
	.usage = "BDAT octets [LAST]",
	.check = check,
	.proceed = proceed,
};
