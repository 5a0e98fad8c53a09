/* What a submission server owes a message: a Received field, Date and Message-ID if they are missing, no Bcc and no
 * Return-Path, no loop (RFC 6409 8, RFC 5321 4.4 and 6.3, RFC 5322 3.6.3). The content is not touched: all of it are
 * edits that are applied when the message leaves. */
#include "relay/smtpd/session_priv.h"

#include "mail/date.h"
#include "mail/header.h"
#include "mail/received.h"

struct survey {
	uint64_t received, own; /* Received fields in all; those that this relay wrote */
	bool date, message_id;
	bool headerless;  /* the content begins with something that is no field: all of it is body */
	bool too_many;    /* more fields than are looked at */
	size_t mbox_line; /* octets of a "From " line at the front, which is no field */
};

/* The first "by" of a Received field names its writer. */
static bool written_here(struct slice value, struct slice hostname)
{
	struct buf line;
	bool ours = false;
	buf_init(&line, RECEIVED_MAX);
	header_unfold(slice_sub(value, 0, RECEIVED_MAX), &line);
	struct slice rest = buf_slice(&line);
	for (struct slice word; (word = slice_word(&rest)).len;) {
		if (!slice_ieq_str(word, "by"))
			continue;
		ours = slice_ieq(slice_word(&rest), hostname);
		break;
	}
	buf_done(&line);
	return ours;
}

static void look_at(const struct header_field *f, struct slice hostname, struct survey *v)
{
	if (slice_ieq_str(f->name, "Date")) {
		v->date = true;
	} else if (slice_ieq_str(f->name, "Message-ID")) {
		v->message_id |= slice_trim(f->value).len > 0;
	} else if (slice_ieq_str(f->name, "Received")) {
		v->received++;
		v->own += written_here(f->value, hostname);
	}
}

static bool mbox_line(struct slice raw)
{
	return slice_starts(raw, SLICE_LIT("From ")) || slice_starts(raw, SLICE_LIT(">From "));
}

static struct survey survey(struct slice header, struct slice hostname)
{
	struct survey v = {0};
	struct header_iter it = header_iter_of(header);
	for (struct header_field f; header_next(&it, &f);) {
		if (f.malformed && f.offset == 0 && mbox_line(f.raw))
			v.mbox_line = f.raw.len;
		else if (f.malformed && f.offset == v.mbox_line)
			v.headerless = true;
		if (v.headerless)
			return v;
		look_at(&f, hostname, &v);
	}
	v.too_many = it.count >= HEADER_FIELDS_MAX;
	return v;
}

/* ---- refusals ---- */

static bool acceptable(struct smtpd_session *s, const struct survey *v)
{
	uint64_t hops = s->opt.conf->limit.received_hops;
	if (v->received > hops)
		smtpd_mail_refuse(s, "554 5.4.6", "Mail loop: it has passed more than %llu servers",
				  (unsigned long long)hops);
	else if (v->own > SMTPD_OWN_HOPS_MAX)
		smtpd_mail_refuse(s, "554 5.4.6", "Mail loop: it has passed this server %llu times",
				  (unsigned long long)v->own);
	else if (v->too_many)
		smtpd_mail_refuse(s, "552 5.3.4", "The mail has more than %u header fields",
				  HEADER_FIELDS_MAX - 1);
	else
		return true;
	return false;
}

/* ---- edits ---- */

static void add_received(const struct smtpd_session *s, struct slice id, struct buf *out)
{
	const struct record_message *e = &s->mail.envelope;
	bool unix_socket = slice_eq_str(s->opt.client, "unix");
	struct received r = {.helo = e->helo,
			     .client = unix_socket ? SLICE_EMPTY : s->opt.client,
			     .hostname = s->opt.conf->hostname,
			     .protocol = e->protocol,
			     .id = id,
			     .tls = e->tls,
			     .server = e->server,
			     .time_ms = e->time_ms};
	if (e->recipient_count == 1)
		r.recipient = e->recipients[0].address;
	received_format(&r, out);
}

static void fields_in_front(const struct smtpd_session *s, const struct survey *v, struct buf *out)
{
	char id[RECORD_ID_TEXT_MAX];
	int64_t now = s->mail.envelope.time_ms;
	record_id_format(s->mail.envelope.id, id);
	add_received(s, slice_str(id), out);
	if (!v->date) {
		buf_add_str(out, "Date: ");
		mail_date_format(now, out);
		buf_add_str(out, "\r\n");
	}
	if (!v->message_id) /* ids are unique within a spool, the time tells spools apart */
		buf_printf(out, "Message-ID: <%s.%llx@%.*s>\r\n", id, (unsigned long long)now,
			   SLICE_ARG(s->opt.conf->hostname));
	if (v->headerless)
		buf_add_str(out, "\r\n");
}

/* An empty Message-ID is replaced by ours: two of them would be worse than none. */
static bool is_removed(const struct header_field *f, const struct survey *v)
{
	return slice_ieq_str(f->name, "Bcc") || slice_ieq_str(f->name, "Resent-Bcc") ||
	       slice_ieq_str(f->name, "Return-Path") ||
	       (!v->message_id && slice_ieq_str(f->name, "Message-ID"));
}

static void remove_fields(struct slice header, const struct survey *v, struct edits *ret)
{
	struct header_iter it = header_iter_of(header);
	if (v->mbox_line)
		edits_delete(ret, 0, v->mbox_line);
	if (v->headerless)
		return;
	for (struct header_field f; header_next(&it, &f);)
		if (is_removed(&f, v))
			edits_delete(ret, f.offset, f.raw.len);
}

bool smtpd_submit_edits(struct smtpd_session *s, struct edits *ret)
{
	struct slice header = buf_slice(&s->mail.header);
	struct survey v = survey(header, s->opt.conf->hostname);
	struct buf front;
	if (!acceptable(s, &v))
		return false;
	buf_init(&front, SMTPD_FRONT_MAX);
	fields_in_front(s, &v, &front);
	if (front.failed)
		ret->failed = front.failed;
	else
		edits_insert(ret, 0, buf_slice(&front));
	buf_done(&front);
	remove_fields(header, &v, ret);
	if (ret->failed == ERR_LIMIT)
		smtpd_mail_refuse(s, "552 5.3.4", "The mail has too many header fields that must be removed");
	else if (ret->failed)
		smtpd_mail_refuse(s, "451 4.3.0", "Out of memory, try again later");
	return !ret->failed;
}
