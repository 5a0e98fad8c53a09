/* The life of one mail: from MAIL through its content to the answer (the second drawing in session.h). */
#include "relay/smtpd/session_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BIT(state) (1u << (state))

/* From each state, where to. */
static const uint8_t transitions[] = {
	[SMTPD_MAIL_NONE] = BIT(SMTPD_MAIL_ENVELOPE),
	[SMTPD_MAIL_ENVELOPE] = BIT(SMTPD_MAIL_STREAMING) | BIT(SMTPD_MAIL_REFUSED) | BIT(SMTPD_MAIL_NONE),
	[SMTPD_MAIL_STREAMING] = BIT(SMTPD_MAIL_ENDED) | BIT(SMTPD_MAIL_REFUSED) | BIT(SMTPD_MAIL_NONE),
	[SMTPD_MAIL_REFUSED] = BIT(SMTPD_MAIL_NONE),
	[SMTPD_MAIL_ENDED] = BIT(SMTPD_MAIL_NONE),
};

void smtpd_mail_set_state(struct smtpd_session *s, enum smtpd_mail_state to)
{
	ASSERT(transitions[s->mail.state] & BIT(to));
	s->mail.state = to;
}

void smtpd_mail_begin(struct smtpd_session *s)
{
	smtpd_mail_set_state(s, SMTPD_MAIL_ENVELOPE);
	arena_init(&s->mail.arena, s->opt.conf->limit.session_memory);
}

void smtpd_mail_forget(struct smtpd_session *s)
{
	if (s->mail.state == SMTPD_MAIL_STREAMING || s->mail.state == SMTPD_MAIL_ENDED)
		s->act->mail_abort(s->ctx);
	if (s->mail.state != SMTPD_MAIL_NONE)
		smtpd_mail_set_state(s, SMTPD_MAIL_NONE);
	arena_done(&s->mail.arena);
	buf_done(&s->mail.header);
	memset(&s->mail, 0, sizeof(s->mail));
}

bool smtpd_mail_keep(struct smtpd_session *s, struct slice text, struct slice *ret)
{
	return arena_dup(&s->mail.arena, text, ret) == ERR_OK;
}

/* ---- refusal while content is still coming: it is read to its end, dropped, and then answered ---- */

static void refused(struct smtpd_session *s, const struct wire_reply *r)
{
	struct smtpd_mail *m = &s->mail;
	smtpd_mail_set_state(s, SMTPD_MAIL_REFUSED);
	m->refusal_code = r->code;
	memcpy(m->refusal_enhanced, r->enhanced, sizeof(m->refusal_enhanced));
	smtpd_text_set(&m->refusal_text, r->text);
}

/* The queue has let go of the mail already. */
void smtpd_mail_refuse_wire(struct smtpd_session *s, const struct wire_reply *reply)
{
	struct wire_reply odd = {451, {4, 3, 0}, SLICE_LIT("The queue gave no usable answer")};
	refused(s, reply->code >= 400 ? reply : &odd);
}

void smtpd_mail_refuse(struct smtpd_session *s, const char *code, const char *fmt, ...)
{
	char text[SMTPD_HELO_MAX];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	struct wire_reply r = smtpd_code(code);
	r.text = slice_of(text, MIN((size_t)MAX(n, 0), sizeof(text) - 1));
	if (s->mail.state == SMTPD_MAIL_STREAMING)
		s->act->mail_abort(s->ctx);
	refused(s, &r);
}

/* A flaw of the content. Which reply it gets is decided at the end, from all that was seen: a choice made on the way
 * would depend on how the input was cut into runs. */
static void stop_streaming(struct smtpd_session *s)
{
	s->act->mail_abort(s->ctx);
	smtpd_mail_set_state(s, SMTPD_MAIL_REFUSED);
}

static bool bare_refused(const struct smtpd_session *s)
{
	return (s->mail.reader.flaws & (DATA_BARE_CR | DATA_BARE_LF)) &&
	       s->opt.listener->bare_newline == CONF_BARE_REJECT;
}

static bool flawed(const struct smtpd_session *s)
{
	const struct smtpd_mail *m = &s->mail;
	return m->reader.octets > s->opt.conf->limit.message_size ||
	       (m->reader.flaws & (DATA_NUL | DATA_LONG_LINE)) || bare_refused(s) || m->header_flaw;
}

/* The flaw of the header section comes last: it is only looked for while nothing else is wrong. */
static struct wire_reply flaw_reply(const struct smtpd_session *s, char *text, size_t room)
{
	const struct data_reader *r = &s->mail.reader;
	const struct conf_limit *limit = &s->opt.conf->limit;
	const char *code = "550 5.6.0";
	int n;
	if (r->octets > limit->message_size) {
		code = "552 5.3.4";
		n = snprintf(text, room, "The mail is over the limit of %" PRIu64 " octets",
			     limit->message_size);
	} else if (r->flaws & DATA_NUL) {
		n = snprintf(text, room, "The mail contains a NUL octet");
	} else if (r->flaws & DATA_LONG_LINE) {
		n = snprintf(text, room, "The mail contains a line of more than %zu octets", r->line_max);
	} else if (bare_refused(s)) {
		n = snprintf(text, room, "The mail contains a bare CR or LF; lines must end with CR LF");
	} else if (s->mail.header_flaw == ERR_LIMIT) {
		code = "552 5.3.4";
		n = snprintf(text, room, "The header section is over the limit of %" PRIu64 " octets",
			     limit->header_size);
	} else {
		code = "452 4.3.1";
		n = snprintf(text, room, "Out of memory, try again later");
	}
	struct wire_reply reply = smtpd_code(code);
	reply.text = slice_of(text, MIN((size_t)MAX(n, 0), room - 1));
	return reply;
}

/* `text` has SMTPD_HELO_MAX octets of room. */
static struct wire_reply refusal(const struct smtpd_session *s, char *text)
{
	const struct smtpd_mail *m = &s->mail;
	struct wire_reply r = {.code = m->refusal_code, .text = smtpd_text_slice(&m->refusal_text)};
	memcpy(r.enhanced, m->refusal_enhanced, sizeof(r.enhanced));
	return r.code ? r : flaw_reply(s, text, SMTPD_HELO_MAX);
}

static void answer_refusal(struct smtpd_session *s)
{
	char text[SMTPD_HELO_MAX];
	struct wire_reply r = refusal(s, text);
	smtpd_mail_set_state(s, SMTPD_MAIL_NONE);
	smtpd_set_state(s, SMTPD_READY);
	smtpd_reply_wire(s, &r);
	smtpd_mail_forget(s);
	smtpd_settled(s);
}

/* ---- content ---- */

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

bool smtpd_mail_open(struct smtpd_session *s, enum data_mode mode)
{
	struct smtpd_mail *m = &s->mail;
	data_init(&m->reader, mode, SMTPD_CONTENT_LINE);
	complete_envelope(s);
	if (!s->act->mail_begin(s->ctx, &m->envelope.id, &m->window))
		return false;
	smtpd_mail_set_state(s, SMTPD_MAIL_STREAMING);
	buf_init(&m->header, s->opt.conf->limit.header_size);
	m->progress = 0;
	s->act->set_timer(s->ctx, s->opt.conf->timeout.data);
	return true;
}

/* The header section ends with the first empty line; until then it is kept for the duties of submit.c. */
static void keep_header(struct smtpd_session *s, struct slice run)
{
	struct smtpd_mail *m = &s->mail;
	struct buf *h = &m->header;
	size_t room = h->max - h->len, before = h->len;
	buf_add(h, slice_sub(run, 0, room));
	struct slice all = buf_slice(h);
	size_t from = before < 3 ? 0 : before - 3;
	size_t end = slice_find_slice(slice_from(all, from), SLICE_LIT("\r\n\r\n"));
	m->header_done = true;
	if (before < 2 && slice_starts(all, SLICE_LIT("\r\n")))
		h->len = 2;
	else if (end != SLICE_NPOS)
		h->len = from + end + 4;
	else if (h->failed || run.len > room)
		m->header_flaw = h->failed ? h->failed : ERR_LIMIT;
	else
		m->header_done = false;
}

static void content(struct smtpd_session *s, struct slice run)
{
	struct smtpd_mail *m = &s->mail;
	if (m->state != SMTPD_MAIL_STREAMING)
		return;
	if (!m->header_done && !flawed(s))
		keep_header(s, run);
	if (flawed(s)) {
		stop_streaming(s);
		return;
	}
	m->window -= run.len;
	s->act->mail_append(s->ctx, run);
}

static void hand_over(struct smtpd_session *s, const struct edits *e)
{
	struct smtpd_mail *m = &s->mail;
	m->envelope.size = m->reader.octets;
	if (s->act->mail_end(s->ctx, &m->envelope, e)) {
		smtpd_mail_set_state(s, SMTPD_MAIL_ENDED);
		smtpd_set_state(s, SMTPD_COMMIT);
		s->act->set_timer(s->ctx, SMTPD_COMMIT_WAIT_MS);
		return;
	}
	smtpd_mail_refuse(s, "451 4.3.0", "The queue cannot take this mail now, try again later");
	answer_refusal(s);
}

static void content_ends(struct smtpd_session *s)
{
	struct edits e;
	edits_init(&e);
	if (s->mail.state == SMTPD_MAIL_STREAMING && smtpd_submit_edits(s, &e))
		hand_over(s, &e);
	else
		answer_refusal(s);
	edits_done(&e);
}

/* Whoever sends a trickle does not get a new term for every octet. */
static void note_progress(struct smtpd_session *s, size_t n)
{
	struct smtpd_mail *m = &s->mail;
	m->progress += n;
	if (m->state == SMTPD_MAIL_REFUSED)
		m->dropped += n;
	if (m->dropped > SMTPD_DROP_MAX) {
		smtpd_reply_close(s, "endless refused mail", "421 4.3.4",
				  "The mail was refused and does not end");
	} else if (m->progress >= SMTPD_PROGRESS_OCTETS) {
		m->progress = 0;
		s->act->set_timer(s->ctx, s->opt.conf->timeout.data);
	}
}

/* Passes on what the window allows; returns how many octets that took. */
static size_t pass_on(struct smtpd_session *s, struct slice in)
{
	struct smtpd_mail *m = &s->mail;
	struct slice rest = in;
	while (rest.len > 0 && m->reader.state != DATA_END) {
		bool streaming = m->state == SMTPD_MAIL_STREAMING;
		if (streaming && m->window < 2)
			break;
		struct slice run =
			data_next(&m->reader, &rest, streaming ? (size_t)MIN(m->window, SIZE_MAX) : SIZE_MAX);
		if (run.len > 0)
			content(s, run);
	}
	return in.len - rest.len;
}

size_t smtpd_mail_input(struct smtpd_session *s, struct slice in)
{
	size_t used = pass_on(s, in);
	s->verb = smtpd_cmd_data.name;
	if (s->mail.reader.state == DATA_END)
		content_ends(s);
	else if (used > 0)
		note_progress(s, used);
	return used;
}

/* ---- chunks (RFC 3030) ---- */

static void last_chunk_ends(struct smtpd_session *s)
{
	struct slice run = data_finish(&s->mail.reader);
	if (run.len > 0)
		content(s, run);
	if (s->mail.state == SMTPD_MAIL_STREAMING && flawed(s)) /* a bare CR at the very end */
		stop_streaming(s);
	content_ends(s);
}

void smtpd_chunk_end(struct smtpd_session *s)
{
	char text[SMTPD_HELO_MAX];
	s->verb = smtpd_cmd_bdat.name;
	if (s->mail.state == SMTPD_MAIL_STREAMING && s->mail.window < 2)
		return; /* smtpd_session_credit comes back here */
	if (s->chunk_last) {
		last_chunk_ends(s);
		return;
	}
	smtpd_set_state(s, SMTPD_CHUNKS);
	if (s->mail.state == SMTPD_MAIL_REFUSED) {
		struct wire_reply r = refusal(s, text);
		smtpd_reply_wire(s, &r);
	} else {
		smtpd_reply(s, "250 2.0.0", "%" PRIu64 " octets so far", s->mail.reader.octets);
	}
	smtpd_settled(s);
}

size_t smtpd_chunk_input(struct smtpd_session *s, struct slice in)
{
	size_t used = pass_on(s, slice_sub(in, 0, (size_t)MIN(s->chunk_left, in.len)));
	s->chunk_left -= used;
	s->verb = smtpd_cmd_bdat.name;
	if (used > 0)
		note_progress(s, used);
	if (used > 0 && s->chunk_left == 0 && s->state == SMTPD_CHUNK)
		smtpd_chunk_end(s);
	return used;
}
