#include "relay/queue/queue_priv.h"

#include "core/hash.h"
#include "core/mem.h"

/* With the spool's entry (spool/index.h: 104 and 8), two allocations and their places in two tables a queued message takes
 * less than 300 octets and 64 per recipient. */
_Static_assert(sizeof(struct message) <= 80 && sizeof(struct recipient) <= 56, "memory of a queued message");

struct message *index_find(struct queue *q, uint64_t id)
{
	struct map_node *n = map_find(&q->messages, hash_serial(id), &id);
	return n ? CONTAINER_OF(n, struct message, node) : NULL;
}

/* ---- places ---- */

void recipient_move(struct recipient *r, enum place to)
{
	static const uint8_t allowed[] = {
		[PLACE_NEW] = 1 << PLACE_SCHEDULED | 1 << PLACE_HELD | 1 << PLACE_DONE | 1 << PLACE_RECORDING,
		[PLACE_SCHEDULED] = 1 << PLACE_IN_JOB | 1 << PLACE_HELD | 1 << PLACE_RECORDING,
		[PLACE_IN_JOB] = 1 << PLACE_RECORDING | 1 << PLACE_SCHEDULED | 1 << PLACE_HELD,
		[PLACE_RECORDING] = 1 << PLACE_SCHEDULED | 1 << PLACE_HELD | 1 << PLACE_DONE,
		[PLACE_HELD] = 1 << PLACE_SCHEDULED | 1 << PLACE_RECORDING,
		[PLACE_DONE] = 0,
	};
	ASSERT(allowed[r->place] & 1 << to);
	r->place = (uint8_t)to;
}

void recipient_schedule(struct queue *q, struct recipient *r, uint64_t due)
{
	struct message *m = recipient_message(r);
	if (m->held) {
		recipient_move(r, PLACE_HELD);
		return;
	}
	recipient_move(r, PLACE_SCHEDULED);
	if (sched_add(q->sched, &r->entry, r->target->site, m->account, due, loop_now(q->env.loop)) != ERR_OK)
		queue_log_spool(q, "queue.not_scheduled", m->id, NULL); /* index_expire tries again */
	task_defer(&q->pump);
}

/* What the scheduler had no memory for. */
static void schedule_again(struct queue *q, struct recipient *r)
{
	uint64_t now = loop_now(q->env.loop);
	if (sched_add(q->sched, &r->entry, r->target->site, recipient_message(r)->account, now, now) ==
	    ERR_OK)
		task_defer(&q->pump);
}

/* ---- adding ---- */

static void message_free(struct queue *q, struct message *m)
{
	for (uint32_t i = 0; i < m->count; i++) {
		sched_remove(q->sched, &m->recipients[i].entry);
		if (m->recipients[i].target)
			target_unref(m->recipients[i].target);
	}
	sched_account_unref(q->sched, m->account);
	mem_free(m);
}

struct message *message_new(struct queue *q, const struct record_message *rec)
{
	struct message *m = mem_alloc(sizeof(*m) + rec->recipient_count * sizeof(m->recipients[0]));
	if (!m)
		return NULL;
	m->id = rec->id;
	m->time_ms = rec->time_ms;
	m->size = rec->size;
	m->count = m->open = rec->recipient_count;
	m->null_sender = rec->sender.len == 0;
	if (sched_account_ref(q->sched, rec->account, &m->account) != ERR_OK) {
		mem_free(m);
		return NULL;
	}
	for (uint32_t i = 0; i < m->count; i++) {
		m->recipients[i].ordinal = i;
		m->recipients[i].target = target_for(q, rec->recipients[i].address);
		if (!m->recipients[i].target) {
			message_free(q, m);
			return NULL;
		}
	}
	return m;
}

void message_discard(struct queue *q, struct message *m)
{
	if (m)
		message_free(q, m);
}

/* The first insertion makes the table; later ones cannot fail, they only share buckets (core/map.h). */
enum err index_init(struct queue *q)
{
	struct map_node first;
	enum err e = map_insert(&q->messages, &first, 0);
	if (!e)
		map_remove(&q->messages, &first);
	return e;
}

static void index_insert(struct queue *q, struct message *m)
{
	enum err e = map_insert(&q->messages, &m->node, hash_serial(m->id));
	ASSERT(e == ERR_OK);
}

void queue_message_committed(struct queue *q, struct message *m)
{
	index_insert(q, m);
	for (uint32_t i = 0; i < m->count; i++)
		recipient_schedule(q, &m->recipients[i], loop_now(q->env.loop));
}

/* Wall clock of the next try -> loop time; a time long past or absurdly far off (the clock was set) means now. */
static uint64_t due_of(struct queue *q, int64_t next_try_ms)
{
	const struct conf_retry *rc = &q->env.conf->retry;
	uint64_t longest = rc->schedule.items[rc->schedule.count - 1] * 2;
	int64_t wait = next_try_ms - loop_wall(q->env.loop);
	if (wait <= 0 || (uint64_t)wait > longest)
		return loop_now(q->env.loop);
	return loop_now(q->env.loop) + (uint64_t)wait;
}

static void restore(struct queue *q, struct message *m, struct recipient *r, const struct spool_live *live)
{
	struct record_result last = {0};
	bool tried = live->results[r->ordinal].len &&
		     record_result_decode(live->results[r->ordinal], &last) == ERR_OK;
	r->state = live->states[r->ordinal];
	r->attempts = tried ? (uint16_t)MIN(last.attempt, UINT16_MAX) : 0;
	if (record_state_final((enum record_state)r->state)) {
		recipient_move(r, PLACE_DONE);
		target_unref(r->target);
		r->target = NULL;
		m->open--;
		return;
	}
	recipient_schedule(q, r, tried ? due_of(q, last.next_try_ms) : loop_now(q->env.loop));
}

enum err index_add_live(struct queue *q, const struct spool_live *live)
{
	CLEANUP(arena_done) struct arena a;
	struct record_message rec;
	arena_init(&a, QUEUE_ENVELOPE_ARENA);
	enum err e = record_message_decode(live->envelope, &a, &rec);
	if (e)
		return e;
	if (rec.id != live->id || rec.recipient_count != live->recipients)
		return ERR_CORRUPT;
	struct message *m = message_new(q, &rec);
	if (!m)
		return ERR_NOMEM;
	index_insert(q, m);
	m->held = live->held;
	for (uint32_t i = 0; i < m->count; i++)
		restore(q, m, &m->recipients[i], live);
	if (m->open == 0)
		index_remove(q, m);
	return ERR_OK;
}

/* ---- giving up ---- */

/* A site that is down keeps its ready mail untried; nobody would look at its age but for this. */
static void expire_recipient(struct queue *q, struct recipient *r)
{
	struct record_result res = {
		.state = RECORD_FAILED,
		.enhanced = {5, 4, 7},
		.host = r->target->key,
		.text = SLICE_LIT("delivery time expired: the destination could not be reached")};
	sched_remove(q->sched, &r->entry);
	outcome_add(q, r, &res);
}

/* Not what has only just become ready, perhaps after the relay itself was off for days. */
static bool given_up(const struct recipient *r)
{
	return r->attempts > 0 || sched_entry_site(&r->entry)->state != SITE_UP;
}

static void expire_message(struct queue *q, struct message *m, bool old)
{
	for (uint32_t i = 0; i < m->count; i++) {
		struct recipient *r = &m->recipients[i];
		if (r->place != PLACE_SCHEDULED)
			continue;
		if (sched_entry_idle(&r->entry))
			schedule_again(q, r);
		else if (old && sched_entry_ready(&r->entry) && given_up(r))
			expire_recipient(q, r);
	}
}

void index_expire(void *ctx)
{
	struct queue *q = ctx;
	const struct conf_retry *rc = &q->env.conf->retry;
	int64_t now = loop_wall(q->env.loop);
	MAP_EACH_SAFE (&q->messages, n, tmp) {
		struct message *m = CONTAINER_OF(n, struct message, node);
		uint64_t limit = m->null_sender ? rc->expire_null : rc->expire;
		expire_message(q, m, now - m->time_ms > (int64_t)limit);
	}
	timer_set(&q->expire, QUEUE_EXPIRE_MS);
}

/* ---- removing ---- */

void index_remove(struct queue *q, struct message *m)
{
	map_remove(&q->messages, &m->node);
	message_free(q, m);
}

void index_free(struct queue *q)
{
	MAP_EACH_SAFE (&q->messages, n, tmp) {
		index_remove(q, CONTAINER_OF(n, struct message, node));
	}
	map_done(&q->messages);
}
