#include "relay/queue/queue_priv.h"

#include "core/mem.h"
#include "sched/retry.h"

#define RETRY_RECORD_MS 1000 /* the spool refused: the records wait and are offered again */

struct outcome {
	struct list_node node;
	struct message *message;
	struct recipient *recipient;
	enum record_state state;
	uint64_t wait_ms;  /* DEFERRED */
	struct buf record; /* encoded */
};

struct ack {
	struct list_node node;
	uint32_t smtpc;
	uint64_t serial; /* of its channel */
	uint64_t job;
};

/* One batch of records: collected during a turn, durable together, then applied together. */
struct outcomes {
	struct list_node node; /* in queue.batches, once it is offered */
	struct queue *queue;
	struct list outcomes, acks;
	struct timer again;
};

static struct outcomes *collecting(struct queue *q);

/* ---- the outcome of one attempt ---- */

static struct retry_policy policy(const struct queue *q)
{
	const struct conf_retry *rc = &q->env.conf->retry;
	return (struct retry_policy){.waits = rc->schedule.items,
				     .count = rc->schedule.count,
				     .jitter_percent = (uint32_t)rc->jitter,
				     .expire = rc->expire,
				     .expire_null = rc->expire_null};
}

/* Adds what smtpc does not know: which attempt it was, when the next one is, or that there will be none. */
static void complete(struct queue *q, struct recipient *r, struct record_result *res, uint64_t *ret_wait)
{
	struct message *m = recipient_message(r);
	struct retry_policy p = policy(q);
	int64_t now = loop_wall(q->env.loop);
	r->attempts += r->attempts < UINT16_MAX;
	res->id = m->id;
	res->ordinal = r->ordinal;
	res->attempt = r->attempts;
	res->time_ms = now;
	res->next_try_ms = 0;
	if (res->state != RECORD_DEFERRED)
		return;
	struct retry_try t = {.now = now,
			      .accepted = m->time_ms,
			      .failures = r->attempts,
			      .null_sender = m->null_sender,
			      .seed = m->id};
	if (retry_again(&p, &t, ret_wait))
		res->next_try_ms = now + (int64_t)*ret_wait;
	else
		res->state = RECORD_FAILED;
}

static void log_outcome(struct queue *q, const struct message *m, const struct record_result *res)
{
	static const char *const events[] = {"message.queued", "message.deferred", "message.delivered",
					     "message.failed", "message.removed"};
	char id[RECORD_ID_TEXT_MAX];
	record_id_format(m->id, id);
	struct log_line l = log_begin(q->env.log, LOG_INFO, events[res->state]);
	log_cstr(&l, "id", id);
	log_u64(&l, "recipient", res->ordinal);
	log_u64(&l, "attempt", res->attempt);
	log_str(&l, "host", res->host);
	log_str(&l, "address", res->address);
	if (res->tls.len)
		log_str(&l, "tls", res->tls);
	if (res->code)
		log_u64(&l, "code", res->code);
	log_str(&l, "reply", res->text);
	if (res->unknown)
		log_cstr(&l, "outcome", "unknown");
	log_u64(&l, "took_ms", res->duration_ms);
	log_u64(&l, "age_ms", (uint64_t)MAX(res->time_ms - m->time_ms, 0));
	log_end(&l);
}

static void count(struct queue *q, const struct record_result *res)
{
	q->count.delivered += res->state == RECORD_DELIVERED;
	q->count.deferred += res->state == RECORD_DEFERRED;
	q->count.failed += res->state == RECORD_FAILED;
	q->count.unknown += res->unknown;
}

void outcome_add(struct queue *q, struct recipient *r, struct record_result *res)
{
	struct outcomes *batch = collecting(q);
	struct outcome *o = batch ? NEW(struct outcome) : NULL;
	recipient_move(r, PLACE_RECORDING);
	if (!o) {
		/* Without memory the outcome cannot be recorded; forgetting a delivery makes a duplicate, never a loss. */
		queue_log_spool(q, "message.outcome_lost", recipient_message(r)->id, NULL);
		recipient_schedule(q, r, loop_now(q->env.loop) + RETRY_RECORD_MS);
		return;
	}
	complete(q, r, res, &o->wait_ms);
	o->message = recipient_message(r);
	o->recipient = r;
	o->state = (enum record_state)res->state;
	buf_init(&o->record, WIRE_PART_MAX);
	record_result_encode(res, &o->record);
	list_push_back(&batch->outcomes, &o->node);
	count(q, res);
	log_outcome(q, o->message, res);
}

void outcome_ack(struct carrier *c, uint64_t job)
{
	struct outcomes *batch = collecting(c->queue);
	struct ack *a = batch ? NEW(struct ack) : NULL;
	if (!a)
		return; /* smtpc keeps the results a little longer */
	*a = (struct ack){.smtpc = c->slot, .serial = c->serial, .job = job};
	c->owed++;
	list_push_back(&batch->acks, &a->node);
}

/* ---- batches ---- */

static void on_again(void *ctx);

static struct outcomes *collecting(struct queue *q)
{
	if (q->outcomes)
		return q->outcomes;
	struct outcomes *b = NEW(struct outcomes);
	if (!b)
		return NULL;
	b->queue = q;
	list_init(&b->outcomes);
	list_init(&b->acks);
	timer_init(&b->again, q->env.loop, on_again, b);
	q->outcomes = b;
	task_defer(&q->record);
	return b;
}

static void send_ack(struct queue *q, const struct ack *a)
{
	struct carrier *c = q->carriers[a->smtpc];
	if (!c)
		return;
	c->owed -= c->serial == a->serial;
	buf_clear(&q->scratch);
	wire_job_ref_encode(&(struct wire_job_ref){.job = a->job}, &q->scratch);
	if (ipc_send(c->channel, WIRE_RESULT_ACK, buf_slice(&q->scratch), NULL, 0) != ERR_OK)
		queue_channel_failed(q, ROLE_SMTPC, a->smtpc);
}

static void apply(struct queue *q, const struct outcome *o)
{
	struct recipient *r = o->recipient;
	r->state = (uint8_t)o->state;
	if (!record_state_final(o->state)) {
		recipient_schedule(q, r, loop_now(q->env.loop) + o->wait_ms);
		return;
	}
	recipient_move(r, PLACE_DONE);
	target_unref(r->target);
	r->target = NULL;
	if (--o->message->open == 0)
		index_remove(q, o->message);
}

static void batch_free(struct outcomes *b)
{
	for (struct list_node *n; (n = list_pop(&b->outcomes));) {
		struct outcome *o = CONTAINER_OF(n, struct outcome, node);
		buf_done(&o->record);
		mem_free(o);
	}
	for (struct list_node *n; (n = list_pop(&b->acks));)
		mem_free(CONTAINER_OF(n, struct ack, node));
	timer_cancel(&b->again);
	if (list_linked(&b->node)) {
		list_remove(&b->queue->batches, &b->node);
		b->queue->recording--;
	}
	mem_free(b);
}

/* FAILED or UNKNOWN: offered again until it is durable; a record that is there twice says the same twice. */
static void on_recorded(void *ctx, enum spool_outcome outcome, const struct diag *why)
{
	struct outcomes *b = ctx;
	struct queue *q = b->queue;
	if (q->stopped) {
		batch_free(b);
		return;
	}
	if (outcome != SPOOL_COMMITTED) {
		queue_log_spool(q, "queue.results_not_stored", 0, why);
		timer_set(&b->again, RETRY_RECORD_MS);
		return;
	}
	LIST_EACH_SAFE (&b->outcomes, n, tmp) {
		apply(q, CONTAINER_OF(n, struct outcome, node));
	}
	LIST_EACH_SAFE (&b->acks, n, tmp) {
		send_ack(q, CONTAINER_OF(n, struct ack, node));
	}
	batch_free(b);
	task_defer(&q->pump);
	queue_check_drained(q);
}

static enum err fill(struct spool_batch *sb, struct outcomes *b)
{
	LIST_EACH_SAFE (&b->outcomes, n, tmp) {
		struct outcome *o = CONTAINER_OF(n, struct outcome, node);
		enum err e = spool_batch_result(sb, o->message->id, o->recipient->ordinal,
						(enum spool_state)o->state, buf_slice(&o->record));
		if (e)
			return e;
	}
	return ERR_OK;
}

static void offer(struct outcomes *b)
{
	struct spool_batch *sb = spool_batch_new(b->queue->spool);
	if (sb && fill(sb, b) == ERR_OK) {
		spool_batch_commit(sb, on_recorded, b);
		return;
	}
	if (sb)
		spool_batch_abort(sb);
	timer_set(&b->again, RETRY_RECORD_MS);
}

static void on_again(void *ctx)
{
	offer(ctx);
}

void outcome_commit(void *ctx)
{
	struct queue *q = ctx;
	struct outcomes *b = q->outcomes;
	if (!b)
		return;
	q->outcomes = NULL;
	list_push_back(&q->batches, &b->node);
	q->recording++;
	offer(b);
}

/* Those that the spool has at this moment are freed when it is done with them. */
void outcomes_free(struct queue *q)
{
	if (q->outcomes)
		batch_free(q->outcomes);
	q->outcomes = NULL;
	LIST_EACH_SAFE (&q->batches, n, tmp) {
		struct outcomes *b = CONTAINER_OF(n, struct outcomes, node);
		if (timer_active(&b->again))
			batch_free(b);
	}
}
