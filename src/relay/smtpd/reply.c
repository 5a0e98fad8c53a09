#include "relay/smtpd/session_priv.h"

#include <stdio.h>
#include <string.h>

/* Octets of text in one line beside "250-2.1.0 " and CRLF; enhanced codes have at most 9 characters. */
#define LINE_ROOM (SMTPD_REPLY_LINE_MAX - 16)

struct wire_reply smtpd_code(const char *code)
{
	ASSERT(ascii_is_digit(code[0]) && ascii_is_digit(code[1]) && ascii_is_digit(code[2]));
	struct wire_reply r = {
		.code = (uint16_t)((code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0'))};
	const char *p = code + 3;
	for (size_t i = 0; i < sizeof(r.enhanced) && *p; i++) {
		ASSERT(*p == ' ' || *p == '.');
		for (p++; ascii_is_digit(*p); p++)
			r.enhanced[i] = (uint8_t)(r.enhanced[i] * 10 + (*p - '0'));
	}
	return r;
}

/* Values from the network stand in texts: nothing but printable ASCII may leave. */
static void add_printable(struct buf *out, struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		buf_add_char(out, text.ptr[i] >= ' ' && text.ptr[i] < 127 ? text.ptr[i] : '?');
}

void smtpd_reply_line(struct buf *out, unsigned code, bool last, struct slice text)
{
	buf_printf(out, "%u%c", code, last ? ' ' : '-');
	add_printable(out, slice_sub(text, 0, LINE_ROOM));
	buf_add_str(out, "\r\n");
}

/* Where to break the text: at the last blank that leaves a line of reasonable length. */
static size_t fold(struct slice text)
{
	if (text.len <= LINE_ROOM)
		return text.len;
	size_t blank = slice_rfind(slice_sub(text, 0, LINE_ROOM), ' ');
	return blank == SLICE_NPOS || blank < LINE_ROOM / 2 ? LINE_ROOM : blank + 1;
}

static void format(struct buf *out, const struct wire_reply *r)
{
	struct slice text = r->text;
	bool last;
	do {
		size_t n = fold(text);
		last = n == text.len;
		buf_printf(out, "%u%c", r->code, last ? ' ' : '-');
		if (r->enhanced[0])
			buf_printf(out, "%u.%u.%u ", r->enhanced[0], r->enhanced[1], r->enhanced[2]);
		add_printable(out, slice_sub(text, 0, n));
		buf_add_str(out, "\r\n");
		text = slice_from(text, n);
	} while (!last);
}

static void send_reply(struct smtpd_session *s, const struct wire_reply *r)
{
	struct buf out;
	buf_init(&out, SMTPD_REPLY_MAX);
	format(&out, r);
	if (out.failed) { /* no memory: the code alone is still an answer */
		char bare[8];
		int n = snprintf(bare, sizeof(bare), "%u \r\n", r->code % 1000u);
		s->act->send(s->ctx, slice_of(bare, (size_t)n));
	} else {
		s->act->send(s->ctx, buf_slice(&out));
	}
	buf_done(&out);
}

static void log_refused(struct smtpd_session *s, const struct wire_reply *r)
{
	struct smtpd_event e = {.kind = SMTPD_EVENT_REFUSED,
				.verb = s->verb,
				.reply = *r,
				.text = s->arg,
				.id = s->mail.envelope.id,
				.sender = s->mail.envelope.sender,
				.mail = s->mail.state != SMTPD_MAIL_NONE || s->mail.envelope.id != 0};
	s->act->log(s->ctx, &e);
}

void smtpd_log(struct smtpd_session *s, enum smtpd_event_kind kind, struct slice text)
{
	struct smtpd_event e = {.kind = kind, .verb = s->verb, .text = text};
	s->act->log(s->ctx, &e);
}

/* A client that only makes mistakes is a broken one or an attacker: it may not go on for ever. Refused recipients
 * have a limit of their own, since a long list with old addresses is honest. */
static void count_refusal(struct smtpd_session *s)
{
	const struct conf_limit *limit = &s->opt.conf->limit;
	bool recipient = s->verb == smtpd_cmd_rcpt.name;
	uint32_t *count = recipient ? &s->bad_recipients : &s->bad_commands;
	if (++*count < (recipient ? limit->unknown_recipients : limit->bad_commands))
		return;
	smtpd_reply_close(s, recipient ? "too many refused recipients" : "too many errors", "421 4.7.0",
			  "Too many %s, closing", recipient ? "refused recipients" : "errors");
}

void smtpd_reply(struct smtpd_session *s, const char *code, const char *fmt, ...)
{
	char text[SMTPD_REPLY_LINE_MAX * 2];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	struct wire_reply r = smtpd_code(code);
	r.text = slice_of(text, MIN((size_t)MAX(n, 0), sizeof(text) - 1));
	send_reply(s, &r);
	if (r.code >= 400)
		log_refused(s, &r);
	if (r.code >= 500)
		count_refusal(s);
}

void smtpd_reply_wire(struct smtpd_session *s, const struct wire_reply *r)
{
	send_reply(s, r);
	if (r->code >= 400)
		log_refused(s, r);
}

void smtpd_reply_close(struct smtpd_session *s, const char *why, const char *code, const char *fmt, ...)
{
	char text[SMTPD_REPLY_LINE_MAX];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	struct wire_reply r = smtpd_code(code);
	r.text = slice_of(text, MIN((size_t)MAX(n, 0), sizeof(text) - 1));
	send_reply(s, &r);
	smtpd_close(s, why);
}
