#include "relay/queue/intake.h"

#include "core/hash.h"
#include "core/mem.h"
#include "relay/queue/queue_priv.h"

#include <stdio.h>
#include <string.h>

enum submission_state { COLLECTING, COMMITTING, REFUSED, UNANSWERED };

struct submission {
	struct map_node node;
	uint64_t id;
	struct queue *queue;
	struct intake *intake; /* borrowed; NULL when UNANSWERED */
	enum submission_state state;
	struct spool_write *write; /* owned until the batch takes it */
	struct message *message;   /* owned until it is committed */
	struct buf envelope, edits;
	uint32_t owed; /* content octets taken and not yet credited */
	bool waiting;  /* for the spool to drain */
};

struct intake {
	struct queue *queue;
	struct ipc *channel; /* owned */
	uint32_t slot;
	struct map submissions; /* by id */
	uint64_t youngest;      /* first id of its youngest block */
	bool announced;
};

static bool submission_eq(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct submission, node)->id == *(const uint64_t *)key;
}

static struct submission *find(struct intake *in, uint64_t id)
{
	struct map_node *n = map_find(&in->submissions, hash_u64(id), &id);
	return n ? CONTAINER_OF(n, struct submission, node) : NULL;
}

static void set_state(struct submission *s, enum submission_state to)
{
	static const uint8_t allowed[] = {
		[COLLECTING] = 1 << COMMITTING | 1 << REFUSED,
		[COMMITTING] = 1 << UNANSWERED,
		[REFUSED] = 0,
		[UNANSWERED] = 0,
	};
	ASSERT(allowed[s->state] & 1 << to);
	s->state = to;
}

/* ---- answers ---- */

static struct buf *scratch(struct queue *q)
{
	buf_clear(&q->scratch);
	return &q->scratch;
}

static void intake_send(struct intake *in, enum wire_type type, const struct buf *payload)
{
	if (payload->failed || ipc_send(in->channel, (uint16_t)type, buf_slice(payload), NULL, 0) != ERR_OK)
		queue_channel_failed(in->queue, ROLE_SMTPD, in->slot);
}

static void answer(struct submission *s, uint16_t code, uint8_t x, uint8_t y, uint8_t z, struct slice text)
{
	struct buf *out = scratch(s->queue);
	struct wire_submit_result r = {
		.id = s->id,
		.reply = {.code = code, .enhanced = {x, y, z}, .text = slice_sub(text, 0, WIRE_TEXT_MAX)}};
	if (!s->intake)
		return;
	wire_submit_result_encode(&r, out);
	intake_send(s->intake, WIRE_SUBMIT_RESULT, out);
}

static void submission_free(struct submission *s)
{
	if (s->write)
		spool_write_abort(s->write);
	if (s->intake)
		map_remove(&s->intake->submissions, &s->node);
	message_discard(s->queue, s->message);
	s->queue->submissions--;
	buf_done(&s->envelope);
	buf_done(&s->edits);
	mem_free(s);
}

/* Answers with a temporary or permanent refusal and lets what is still on its way run into the void. */
static void refuse(struct submission *s, enum err e, const char *why)
{
	if (s->write) {
		spool_write_abort(s->write);
		s->write = NULL;
	}
	set_state(s, REFUSED);
	s->queue->count.refused++;
	if (e == ERR_NOSPACE)
		answer(s, 452, 4, 3, 1,
		       SLICE_LIT("The relay's disk is full; your mail stays with you, try again later"));
	else if (e == ERR_LIMIT)
		answer(s, 452, 4, 3, 1, SLICE_LIT("The relay is storing too much at once, try again soon"));
	else if (e == ERR_CORRUPT)
		answer(s, 554, 5, 6, 0, slice_str(why));
	else
		answer(s, 451, 4, 3, 0, SLICE_LIT("The relay cannot store mail now, try again later"));
}

static void credit(struct submission *s)
{
	if (!s->intake || s->owed == 0)
		return;
	struct buf *out = scratch(s->queue);
	wire_submit_credit_encode(&(struct wire_submit_credit){.id = s->id, .octets = s->owed}, out);
	s->owed = 0;
	intake_send(s->intake, WIRE_SUBMIT_CREDIT, out);
}

/* ---- taking parts ---- */

static struct submission *submission_new(struct intake *in, uint64_t id)
{
	struct submission *s = NEW(struct submission);
	if (!s)
		return NULL;
	s->id = id;
	s->queue = in->queue;
	s->intake = in;
	buf_init(&s->envelope, WIRE_ENVELOPE_MAX);
	buf_init(&s->edits, WIRE_EDITS_MAX);
	if (map_insert(&in->submissions, &s->node, hash_u64(id)) != ERR_OK) {
		mem_free(s);
		return NULL;
	}
	in->queue->submissions++;
	return s;
}

static void on_spool_drain(void *ctx)
{
	struct submission *s = ctx;
	s->waiting = false;
	credit(s);
}

static enum err begin_write(struct submission *s, struct diag *d)
{
	if (s->write)
		return ERR_OK;
	if (s->queue->submissions > QUEUE_SUBMISSIONS_MAX)
		return diag_set(d, ERR_LIMIT, "%u messages are being stored", QUEUE_SUBMISSIONS_MAX);
	return spool_write_begin(s->queue->spool, s->id, &s->write, d);
}

static void take_content(struct submission *s, struct slice data)
{
	struct diag d = {0};
	enum err e = begin_write(s, &d);
	if (!e)
		e = spool_write_append(s->write, data);
	if (e && e != ERR_AGAIN) {
		refuse(s, e, d.text);
		return;
	}
	s->owed += (uint32_t)data.len;
	if (e == ERR_AGAIN && !s->waiting) {
		s->waiting = true;
		spool_write_on_drain(s->write, on_spool_drain, s);
	} else if (!s->waiting && s->owed >= WIRE_SUBMIT_WINDOW / 4) {
		credit(s);
	}
}

/* Blocks are aligned, so that the owner of an id is found by its number alone, however late its first part comes. */
static uint8_t *owner_of(struct queue *q, uint64_t id)
{
	size_t block = (uint32_t)id / WIRE_ID_BLOCK;
	bool ours = id >> 32 == q->report.generation && block < q->owners.len;
	return ours ? (uint8_t *)q->owners.data + block : NULL;
}

static void grant(struct intake *in)
{
	struct queue *q = in->queue;
	struct buf *out = scratch(q);
	uint64_t first = spool_next_id(q->spool);
	while ((uint32_t)first % WIRE_ID_BLOCK)
		first = spool_next_id(q->spool);
	for (uint32_t i = 1; i < WIRE_ID_BLOCK; i++)
		(void)spool_next_id(q->spool);
	size_t block = (uint32_t)first / WIRE_ID_BLOCK;
	if (block >= q->owners.len)
		buf_add_zero(&q->owners, block + 1 - q->owners.len);
	uint8_t *owner = owner_of(q, first);
	if (!owner) {
		queue_channel_failed(q, ROLE_SMTPD, in->slot);
		return;
	}
	*owner = (uint8_t)(in->slot + 1);
	in->youngest = first;
	wire_submit_grant_encode(&(struct wire_submit_grant){.first = first, .count = WIRE_ID_BLOCK}, out);
	intake_send(in, WIRE_SUBMIT_GRANT, out);
}

/* The first part of a message. NULL: not an id of this smtpd, or no memory; either way the channel is of no more use.
 */
static struct submission *begin(struct intake *in, uint64_t id)
{
	const uint8_t *owner = owner_of(in->queue, id);
	if (!owner || *owner != in->slot + 1 || index_find(in->queue, id))
		return NULL;
	if (id >= in->youngest) /* it has begun to use its last block */
		grant(in);
	return submission_new(in, id);
}

static void on_part(struct intake *in, const struct wire_submit_part *m)
{
	struct submission *s = find(in, m->id);
	if (!s)
		s = begin(in, m->id);
	if (!s) {
		queue_channel_failed(in->queue, ROLE_SMTPD, in->slot);
		return;
	}
	if (s->state != COLLECTING)
		return;
	switch (m->part) {
	case WIRE_PART_ENVELOPE:
		buf_add(&s->envelope, m->data);
		break;
	case WIRE_PART_EDITS:
		buf_add(&s->edits, m->data);
		break;
	case WIRE_PART_CONTENT:
		take_content(s, m->data);
		return;
	}
	if (s->envelope.failed || s->edits.failed)
		refuse(s, ERR_CORRUPT, "Envelope or header changes over the relay's limit");
}

/* ---- committing ---- */

static void on_committed(void *ctx, enum spool_outcome outcome, const struct diag *why)
{
	struct submission *s = ctx;
	struct queue *q = s->queue;
	char id[RECORD_ID_TEXT_MAX];
	char text[64];

	if (q->stopped) {
		submission_free(s); /* the next queue finds what is durable */
		return;
	}
	if (outcome == SPOOL_COMMITTED) {
		record_id_format(s->id, id);
		snprintf(text, sizeof(text), "Ok: queued as %s", id);
		answer(s, 250, 2, 0, 0, slice_str(text));
		q->count.accepted++;
		q->count.unanswered += s->intake == NULL;
		queue_message_committed(q, s->message);
		s->message = NULL;
	} else {
		/* UNKNOWN too: the client tries again; a duplicate is better than a loss. */
		q->count.refused++;
		if (why && why->code == ERR_NOSPACE)
			answer(s, 452, 4, 3, 1, SLICE_LIT("The relay's disk is full; try again later"));
		else
			answer(s, 451, 4, 3, 0,
			       SLICE_LIT("The relay could not store the message, try again later"));
		queue_log_spool(q, "message.not_stored", s->id, why);
	}
	submission_free(s);
}

static enum err read_envelope(struct submission *s, struct arena *a, struct record_message *ret,
			      struct diag *d)
{
	enum err e = record_message_decode(buf_slice(&s->envelope), a, ret);
	if (e && e != ERR_CORRUPT)
		return diag_set(d, e, "no memory for the envelope");
	if (e || ret->id != s->id || ret->recipient_count == 0 || ret->recipient_count > QUEUE_RECIPIENTS_MAX)
		return diag_set(d, ERR_CORRUPT, "The envelope could not be read");
	s->message = message_new(s->queue, ret);
	return s->message ? ERR_OK : diag_set(d, ERR_NOMEM, "no memory for a message");
}

static enum err commit(struct submission *s, struct diag *d)
{
	CLEANUP(arena_done) struct arena a;
	struct record_message m;
	arena_init(&a, QUEUE_ENVELOPE_ARENA);
	enum err e = read_envelope(s, &a, &m, d);
	if (e)
		return e;
	e = begin_write(s, d); /* a message without any content */
	if (!e)
		e = spool_write_finish(s->write, m.recipient_count, buf_slice(&s->envelope),
				       buf_slice(&s->edits));
	if (e)
		return e;
	struct spool_batch *b = spool_batch_new(s->queue->spool);
	if (!b)
		return diag_set(d, ERR_NOMEM, "no memory");
	e = spool_batch_message(b, s->write, SLICE_EMPTY, false);
	if (e) {
		spool_batch_abort(b);
		return e;
	}
	s->write = NULL;
	set_state(s, COMMITTING);
	spool_batch_commit(b, on_committed, s);
	return ERR_OK;
}

static void on_end(struct intake *in, uint64_t id)
{
	struct submission *s = find(in, id);
	struct diag d = {0};
	if (!s)
		return;
	if (s->state == COLLECTING) {
		enum err e = commit(s, &d);
		if (e)
			refuse(s, e, d.text);
	}
	if (s->state == REFUSED)
		submission_free(s);
}

static void on_abort(struct intake *in, uint64_t id)
{
	struct submission *s = find(in, id);
	if (s && s->state != COMMITTING)
		submission_free(s);
}

/* ---- welcome ---- */

void intake_announce(struct intake *in)
{
	struct queue *q = in->queue;
	struct wire_reply r = {.code = 0, .text = SLICE_EMPTY};
	if (!q->ready)
		return;
	if (!in->announced)
		grant(in);
	in->announced = true;
	if (q->draining)
		r = (struct wire_reply){
			421, {4, 3, 2}, SLICE_LIT("The relay is being shut down, try again soon")};
	else if (spool_health(q->spool) == SPOOL_RESERVE)
		r = (struct wire_reply){
			452, {4, 3, 1}, SLICE_LIT("The relay's disk is nearly full, try again later")};
	else if (spool_health(q->spool) == SPOOL_BROKEN)
		r = (struct wire_reply){451, {4, 3, 0}, SLICE_LIT("The relay's disk fails, try again later")};
	struct buf *out = scratch(q);
	wire_submit_state_encode(&r, out);
	intake_send(in, WIRE_SUBMIT_STATE, out);
}

/* ---- channel ---- */

static void on_frame(void *ctx, struct ipc_frame *f)
{
	struct intake *in = ctx;
	struct wire_submit_part part;
	struct wire_submit_ref ref;
	enum err e = ERR_CORRUPT;

	switch (f->type) {
	case WIRE_SUBMIT_PART:
		e = wire_submit_part_decode(f->payload, &part);
		if (!e)
			on_part(in, &part);
		break;
	case WIRE_SUBMIT_END:
		e = wire_submit_ref_decode(f->payload, &ref);
		if (!e)
			on_end(in, ref.id);
		break;
	case WIRE_SUBMIT_ABORT:
		e = wire_submit_ref_decode(f->payload, &ref);
		if (!e)
			on_abort(in, ref.id);
		break;
	default:
		break;
	}
	if (e)
		queue_channel_failed(in->queue, ROLE_SMTPD, in->slot);
}

static void on_close(void *ctx, const struct diag *why)
{
	struct intake *in = ctx;
	queue_channel_failed(in->queue, ROLE_SMTPD, in->slot);
}

enum err intake_new(struct queue *q, uint32_t slot, int fd, struct intake **ret, struct diag *d)
{
	static const struct ipc_events events = {.on_frame = on_frame, .on_close = on_close};
	struct intake *in = NEW(struct intake);
	if (!in) {
		base_close(&fd);
		return diag_set(d, ERR_NOMEM, "no memory for a channel");
	}
	in->queue = q;
	in->slot = slot;
	map_init(&in->submissions, submission_eq);
	enum err e = ipc_new(q->env.loop, fd, &events, in, &in->channel, d);
	if (e) {
		map_done(&in->submissions);
		mem_free(in);
		return e;
	}
	*ret = in;
	return ERR_OK;
}

void intake_free(struct intake *in)
{
	if (!in)
		return;
	MAP_EACH_SAFE (&in->submissions, n, tmp) {
		struct submission *s = CONTAINER_OF(n, struct submission, node);
		if (s->state != COMMITTING) {
			submission_free(s);
			continue;
		}
		map_remove(&in->submissions, &s->node);
		set_state(s, UNANSWERED);
		s->intake = NULL;
	}
	map_done(&in->submissions);
	ipc_free(in->channel);
	mem_free(in);
}
