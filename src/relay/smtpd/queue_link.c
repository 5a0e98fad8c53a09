/* Mails on their way to the queue: ids from its blocks, content in frames, answers back to sessions. The window of
 * octets under way is kept by the sessions; the channel's own limit is met rarely, then frames wait in a backlog and
 * no input is read until it is gone. */
#include "relay/smtpd/smtpd_priv.h"

#include "core/cursor.h"
#include "core/hash.h"

#include <string.h>

static bool mail_eq(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct smtpd_conn, mail_node)->mail_id == *(const uint64_t *)key;
}

/* ---- frames out ---- */

/* The channel has to be given up. It may be found out inside a call from a session, which must not be called back in
 * the same breath: the rest happens in the next turn (on_broken). */
static void broken(struct smtpd_queue_link *q, const char *why)
{
	q->broken_why = why;
	task_defer(&q->broken);
}

/* Backlog entry: u16 type, u32 length, payload. */
static void send_frame(struct smtpd_queue_link *q, uint16_t type, struct slice payload)
{
	if (!q->ipc)
		return;
	if (q->backlog.len == 0 && ipc_send(q->ipc, type, payload, NULL, 0) != ERR_AGAIN)
		return; /* sent, or the channel is closed and on_close comes */
	buf_add_u16(&q->backlog, type);
	buf_add_slice32(&q->backlog, payload);
}

static void on_drain(void *ctx)
{
	struct smtpd_queue_link *q = ctx;
	struct cursor c = cursor_of(buf_slice(&q->backlog));
	size_t sent = 0;
	if (q->backlog.failed) {
		broken(q, "backlog over its limit");
		return;
	}
	while (cursor_left(&c) > 0) {
		uint16_t type = cursor_u16(&c);
		struct slice payload = cursor_slice32(&c);
		ASSERT(!c.failed);
		if (ipc_send(q->ipc, type, payload, NULL, 0) == ERR_AGAIN)
			break;
		sent = c.pos;
	}
	buf_consume(&q->backlog, sent);
	if (q->backlog.len > 0)
		return;
	LIST_EACH_SAFE (&q->d->conns, n, tmp)
		smtpd_conn_wake(CONTAINER_OF(n, struct smtpd_conn, node));
}

bool smtpd_queue_blocked(const struct smtpd_queue_link *q)
{
	return q->backlog.len > 0;
}

static void send_part(struct smtpd_queue_link *q, uint64_t id, enum wire_part part, struct slice data)
{
	do {
		struct wire_submit_part m = {
			.id = id, .part = part, .data = slice_sub(data, 0, WIRE_PART_MAX)};
		buf_clear(&q->payload);
		wire_submit_part_encode(&m, &q->payload);
		if (q->payload.failed) {
			broken(q, "no memory");
			return;
		}
		send_frame(q, WIRE_SUBMIT_PART, buf_slice(&q->payload));
		data = slice_from(data, m.data.len);
	} while (data.len > 0);
}

static void send_ref(struct smtpd_queue_link *q, uint16_t type, uint64_t id)
{
	buf_clear(&q->payload);
	wire_submit_ref_encode(&(struct wire_submit_ref){.id = id}, &q->payload);
	if (q->payload.failed)
		broken(q, "no memory");
	else
		send_frame(q, type, buf_slice(&q->payload));
}

void smtpd_queue_flush(struct smtpd_queue_link *q)
{
	if (q->part.len > 0)
		send_part(q, q->part_id, WIRE_PART_CONTENT, buf_slice(&q->part));
	buf_clear(&q->part);
}

/* ---- mails ---- */

bool smtpd_queue_welcome(struct smtpd_queue_link *q, struct wire_reply *ret_refusal)
{
	*ret_refusal = (struct wire_reply){.code = 451,
					   .enhanced = {4, 3, 0},
					   .text = SLICE_LIT("The queue is not available, try again later")};
	if (q->ipc && q->state_code == 0)
		return true;
	if (q->ipc && q->state_text.len > 0) {
		ret_refusal->code = q->state_code;
		memcpy(ret_refusal->enhanced, q->state_enhanced, sizeof(q->state_enhanced));
		ret_refusal->text = buf_slice(&q->state_text);
	}
	return false;
}

static bool take_id(struct smtpd_queue_link *q, uint64_t *ret_id)
{
	if (q->grant_count == 0)
		return false;
	struct wire_submit_grant *g = &q->grants[0];
	*ret_id = g->first++;
	if (--g->count == 0)
		memmove(q->grants, q->grants + 1, --q->grant_count * sizeof(q->grants[0]));
	return true;
}

bool smtpd_queue_begin(struct smtpd_queue_link *q, struct smtpd_conn *c, uint64_t *ret_id)
{
	ASSERT(c->mail_id == 0);
	if (!q->ipc || !take_id(q, ret_id))
		return false;
	c->mail_id = *ret_id;
	if (map_insert(&q->mails, &c->mail_node, hash_u64(*ret_id)) == ERR_OK)
		return true;
	c->mail_id = 0;
	return false;
}

void smtpd_queue_append(struct smtpd_queue_link *q, struct smtpd_conn *c, struct slice content)
{
	if (q->part_id != c->mail_id || q->part.len + content.len > SMTPD_PART_SMALL)
		smtpd_queue_flush(q);
	q->part_id = c->mail_id;
	if (content.len >= SMTPD_PART_SMALL)
		send_part(q, c->mail_id, WIRE_PART_CONTENT, content);
	else
		buf_add(&q->part, content);
	if (q->part.failed)
		broken(q, "no memory");
}

/* An encoded value in as many parts as it takes. The scratch of send_part cannot hold it at the same time. */
static bool send_value(struct smtpd_queue_link *q, uint64_t id, enum wire_part part, struct buf *value)
{
	bool ok = !value->failed;
	if (ok)
		send_part(q, id, part, buf_slice(value));
	buf_done(value);
	return ok;
}

bool smtpd_queue_end(struct smtpd_queue_link *q, struct smtpd_conn *c, const struct record_message *envelope,
		     const struct edits *edits)
{
	struct buf b;
	if (!q->ipc || c->mail_id == 0)
		return false;
	smtpd_queue_flush(q);
	buf_init(&b, WIRE_ENVELOPE_MAX);
	record_message_encode(envelope, &b);
	if (!send_value(q, c->mail_id, WIRE_PART_ENVELOPE, &b))
		return false;
	buf_init(&b, WIRE_EDITS_MAX);
	edits_encode(edits, &b);
	if (!send_value(q, c->mail_id, WIRE_PART_EDITS, &b))
		return false;
	send_ref(q, WIRE_SUBMIT_END, c->mail_id);
	return true;
}

static void forget(struct smtpd_queue_link *q, struct smtpd_conn *c)
{
	map_remove(&q->mails, &c->mail_node);
	if (q->part_id == c->mail_id) {
		buf_clear(&q->part);
		q->part_id = 0;
	}
	c->mail_id = 0;
}

void smtpd_queue_abort(struct smtpd_queue_link *q, struct smtpd_conn *c)
{
	if (c->mail_id == 0)
		return;
	send_ref(q, WIRE_SUBMIT_ABORT, c->mail_id);
	forget(q, c);
}

/* ---- frames in ---- */

static struct smtpd_conn *find(struct smtpd_queue_link *q, uint64_t id)
{
	struct map_node *n = map_find(&q->mails, hash_u64(id), &id);
	return n ? CONTAINER_OF(n, struct smtpd_conn, mail_node) : NULL;
}

static void on_grant(struct smtpd_queue_link *q, const struct wire_submit_grant *g)
{
	if (g->count > 0 && q->grant_count < SMTPD_GRANTS_MAX)
		q->grants[q->grant_count++] = *g;
}

static void on_state(struct smtpd_queue_link *q, const struct wire_reply *r)
{
	q->state_code = r->code;
	memcpy(q->state_enhanced, r->enhanced, sizeof(q->state_enhanced));
	buf_clear(&q->state_text);
	buf_add(&q->state_text, r->text);
}

static void on_credit(struct smtpd_queue_link *q, const struct wire_submit_credit *m)
{
	struct smtpd_conn *c = find(q, m->id);
	if (!c)
		return;
	smtpd_session_credit(c->session, m->octets);
	smtpd_conn_wake(c);
}

/* An answer before the end is a refusal; the queue keeps the mail's place until it is told that no more comes. */
static void on_result(struct smtpd_queue_link *q, const struct wire_submit_result *m)
{
	struct smtpd_conn *c = find(q, m->id);
	if (!c)
		return;
	if (smtpd_session_state(c->session) != SMTPD_COMMIT)
		send_ref(q, WIRE_SUBMIT_ABORT, m->id);
	forget(q, c);
	smtpd_session_result(c->session, &m->reply);
	smtpd_conn_wake(c);
}

static enum err frame(struct smtpd_queue_link *q, const struct ipc_frame *f)
{
	union {
		struct wire_submit_grant grant;
		struct wire_reply state;
		struct wire_submit_credit credit;
		struct wire_submit_result result;
	} m;
	enum err e = ERR_CORRUPT;
	switch (f->type) {
	case WIRE_SUBMIT_GRANT:
		if (!(e = wire_submit_grant_decode(f->payload, &m.grant)))
			on_grant(q, &m.grant);
		break;
	case WIRE_SUBMIT_STATE:
		if (!(e = wire_submit_state_decode(f->payload, &m.state)))
			on_state(q, &m.state);
		break;
	case WIRE_SUBMIT_CREDIT:
		if (!(e = wire_submit_credit_decode(f->payload, &m.credit)))
			on_credit(q, &m.credit);
		break;
	case WIRE_SUBMIT_RESULT:
		if (!(e = wire_submit_result_decode(f->payload, &m.result)))
			on_result(q, &m.result);
		break;
	default:
		break;
	}
	return e;
}

static void on_frame(void *ctx, struct ipc_frame *f)
{
	struct smtpd_queue_link *q = ctx;
	if (frame(q, f) != ERR_OK)
		broken(q, "malformed frame");
}

/* The channel is gone: whoever waits for an answer on it gets 451; whether the mail was stored nobody can tell. */
static void fail_mails(struct smtpd_queue_link *q)
{
	struct wire_reply lost = {451, {4, 3, 0}, SLICE_LIT("The queue was restarted, try again later")};
	q->grant_count = 0;
	q->state_code = 451;
	buf_clear(&q->state_text);
	buf_clear(&q->backlog);
	LIST_EACH_SAFE (&q->d->conns, n, tmp) {
		struct smtpd_conn *c = CONTAINER_OF(n, struct smtpd_conn, node);
		if (c->mail_id == 0)
			continue;
		forget(q, c);
		smtpd_session_result(c->session, &lost);
		smtpd_conn_wake(c);
	}
}

static void lose(struct smtpd_queue_link *q, const char *why)
{
	log_event(q->d->env.log, LOG_WARNING, "smtpd.queue_lost", "why", why, NULL);
	ipc_free(q->ipc);
	q->ipc = NULL;
	fail_mails(q);
}

static void on_close(void *ctx, const struct diag *why)
{
	struct smtpd_queue_link *q = ctx;
	lose(q, why->text);
	q->d->env.lost(q->d->env.ctx, ROLE_QUEUE);
}

static void on_broken(void *ctx)
{
	struct smtpd_queue_link *q = ctx;
	if (!q->ipc)
		return;
	lose(q, q->broken_why);
	q->d->env.lost(q->d->env.ctx, ROLE_QUEUE);
}

void smtpd_queue_init(struct smtpd_queue_link *q, struct smtpd *d)
{
	*q = (struct smtpd_queue_link){.d = d, .state_code = 451, .state_enhanced = {4, 3, 0}};
	task_init(&q->broken, d->env.loop, on_broken, q);
	map_init(&q->mails, mail_eq);
	buf_init(&q->state_text, WIRE_TEXT_MAX);
	buf_init(&q->part, WIRE_PART_MAX);
	buf_init(&q->payload, WIRE_ENVELOPE_MAX);
	buf_init(&q->backlog, SMTPD_BACKLOG_MAX);
}

void smtpd_queue_done(struct smtpd_queue_link *q)
{
	ASSERT(q->mails.count == 0);
	task_cancel(&q->broken);
	ipc_free(q->ipc);
	map_done(&q->mails);
	buf_done(&q->state_text);
	buf_done(&q->part);
	buf_done(&q->payload);
	buf_done(&q->backlog);
}

void smtpd_queue_connect(struct smtpd_queue_link *q, int fd)
{
	static const struct ipc_events events = {
		.on_frame = on_frame, .on_drain = on_drain, .on_close = on_close};
	struct diag why = {0};
	task_cancel(&q->broken);
	if (q->ipc)
		lose(q, "replaced by a new channel");
	if (ipc_new(q->d->env.loop, fd, &events, q, &q->ipc, &why) != ERR_OK) {
		q->ipc = NULL;
		log_event(q->d->env.log, LOG_ERROR, "smtpd.queue_lost", "why", why.text, NULL);
	}
}
