#include "core/hash.h"
#include "core/mem.h"
#include "spool/seg_priv.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* ---- index ---- */

struct entry *seg_find(struct seg_spool *s, uint64_t id)
{
	struct map_node *n = map_find(&s->entries, hash_u64(id), &id);
	return n ? CONTAINER_OF(n, struct entry, node) : NULL;
}

void seg_cache_drop(struct seg_spool *s, struct cached *c)
{
	c->entry->cached = NULL;
	list_remove(&s->cache, &c->node);
	s->cache_octets -= c->envelope_len + c->edits_len;
	mem_free(c);
}

void seg_cache_put(struct seg_spool *s, struct entry *e, struct slice envelope, struct slice edits)
{
	struct cached *c = mem_alloc(sizeof(*c) + envelope.len + edits.len);
	if (!c)
		return; /* it can be read again */
	c->entry = e;
	c->envelope_len = (uint32_t)envelope.len;
	c->edits_len = (uint32_t)edits.len;
	memcpy(c->octets, envelope.ptr, envelope.len);
	if (edits.len)
		memcpy(c->octets + envelope.len, edits.ptr, edits.len);
	e->cached = c;
	list_push_back(&s->cache, &c->node);
	s->cache_octets += envelope.len + edits.len;
	while (s->cache_octets > SPOOL_CACHE_MAX)
		seg_cache_drop(s, CONTAINER_OF(list_first(&s->cache), struct cached, node));
}

void seg_entry_free(struct seg_spool *s, struct entry *e)
{
	if (e->cached)
		seg_cache_drop(s, e->cached);
	base_close(&e->large_fd);
	map_remove(&s->entries, &e->node);
	mem_free(e);
}

void seg_set_state(struct seg_spool *s, struct entry *e, uint32_t ordinal, uint8_t state)
{
	if (ordinal >= e->recipients || e->states[ordinal] >= SPOOL_DELIVERED)
		return; /* a final state never changes again */
	e->states[ordinal] = state;
	if (state < SPOOL_DELIVERED || --e->open > 0)
		return;
	e->segment->live--;
	if (e->loans == 0)
		seg_entry_free(s, e);
	seg_collect(s);
}

/* ---- encoding a batch into a group ---- */

static uint64_t padded(uint64_t n)
{
	return SEGF_RECORD_HEADER + ((n + 7) & ~7ull);
}

static uint64_t op_size(const struct op *op)
{
	const struct spool_write *w = op->write;
	switch (op->kind) {
	case OP_MESSAGE:
		return padded(SEGF_MESSAGE_HEADER + w->envelope.len + w->edits.len + op->payload.len +
			      (w->large ? 0 : w->content.len));
	case OP_RESULT:
		return padded(8 + op->payload.len);
	case OP_VERDICT:
		return padded(op->payload.len);
	default:
		return padded(1);
	}
}

static uint64_t batch_size(const struct spool_batch *b)
{
	uint64_t n = padded(8);
	for (const struct list_node *it = b->ops.head.next; it != &b->ops.head; it = it->next)
		n += op_size(CONTAINER_OF(it, struct op, node));
	return n;
}

static void encode_message(struct group *g, struct op *op)
{
	struct spool_write *w = op->write;
	struct segf_message m = {.held = op->state,
				 .large = w->large != NULL,
				 .recipients = w->recipients,
				 .time_ms = loop_wall(g->spool->spool.loop),
				 .content_length = w->length,
				 .content_sum = w->large ? seg_large_sum(w) : 0,
				 .envelope = buf_slice(&w->envelope),
				 .edits = buf_slice(&w->edits),
				 .verdict = op->payload};
	struct entry *e = op->entry;
	size_t begun = g->data.len;
	segf_message_head(&m, &g->data);
	e->segment = g->segment;
	e->envelope_at = g->base + begun + SEGF_MESSAGE_HEADER;
	e->envelope_len = (uint32_t)m.envelope.len;
	e->edits_len = (uint32_t)m.edits.len;
	e->content_at = g->base + g->data.len;
	e->content_length = w->length;
	e->large = m.large;
	e->held = m.held;
	if (!m.large)
		buf_add(&g->data, buf_slice(&w->content));
}

static void encode_op(struct group *g, struct op *op)
{
	static const enum segf_type types[] = {[OP_MESSAGE] = SEGF_MESSAGE,
					       [OP_RESULT] = SEGF_RESULT,
					       [OP_VERDICT] = SEGF_VERDICT,
					       [OP_HOLD] = SEGF_HOLD};
	size_t begun = segf_begin(&g->data, types[op->kind], op->id);
	switch (op->kind) {
	case OP_MESSAGE:
		encode_message(g, op);
		break;
	case OP_RESULT:
		segf_result_add(&(struct segf_result){op->ordinal, op->state, op->payload}, &g->data);
		break;
	case OP_VERDICT:
		buf_add(&g->data, op->payload);
		break;
	case OP_HOLD:
		buf_add_u8(&g->data, op->state);
		break;
	}
	segf_end(&g->data, begun, g->base, g->segment->seed);
}

/* False: no memory; the group is as it was. */
static bool encode_batch(struct group *g, struct spool_batch *b)
{
	size_t before = g->data.len;
	LIST_EACH_SAFE (&b->ops, n, tmp) {
		encode_op(g, CONTAINER_OF(n, struct op, node));
	}
	size_t begun = segf_begin(&g->data, SEGF_COMMIT, b->ops.count);
	buf_add_u64(&g->data, (uint64_t)loop_wall(g->spool->spool.loop));
	segf_end(&g->data, begun, g->base, g->segment->seed);
	if (!g->data.failed)
		return true;
	g->data.failed = ERR_OK;
	g->data.len = before;
	return false;
}

/* ---- ends ---- */

static void batch_end(struct seg_spool *s, struct spool_batch *b, enum spool_outcome outcome,
		      const struct diag *why)
{
	spool_done_fn *done = b->done;
	void *ctx = b->ctx;
	txn_batch_free(b);
	done(ctx, outcome, why);
}

struct failing {
	struct task task;
	struct seg_spool *spool;
	struct spool_batch *batch;
	struct diag why;
};

static void on_failing(void *ctx)
{
	struct failing *f = ctx;
	batch_end(f->spool, f->batch, SPOOL_FAILED, &f->why);
	mem_free(f);
}

/* FAILED, but not inside the caller's call. */
static void fail_later(struct seg_spool *s, struct spool_batch *b, enum err code, const char *text)
{
	struct failing *f = NEW(struct failing);
	ASSERT(f); /* a few hundred octets; without them nobody could be told */
	f->spool = s;
	f->batch = b;
	diag_set(&f->why, code, "%s", text);
	task_init(&f->task, s->spool.loop, on_failing, f);
	task_defer(&f->task);
}

static void apply_message(struct seg_spool *s, struct op *op)
{
	struct entry *e = op->entry;
	struct spool_write *w = op->write;
	op->entry = NULL;
	e->segment->live++;
	if (map_insert(&s->entries, &e->node, hash_u64(e->id)) != ERR_OK)
		base_bug(__FILE__, __LINE__,
			 "no memory for the index"); /* a restart recovers all; going on would lose it */
	if (e->large) {
		buf_add_u64(&e->segment->larges, e->id);
		seg_large_keep(w);
	}
	seg_cache_put(s, e, buf_slice(&w->envelope), buf_slice(&w->edits));
}

static void apply(struct seg_spool *s, struct spool_batch *b)
{
	LIST_EACH_SAFE (&b->ops, n, tmp) {
		struct op *op = CONTAINER_OF(n, struct op, node);
		struct entry *e = op->kind == OP_MESSAGE ? NULL : seg_find(s, op->id);
		if (op->kind == OP_MESSAGE)
			apply_message(s, op);
		else if (e && op->kind == OP_RESULT)
			seg_set_state(s, e, op->ordinal, op->state);
		else if (e && op->kind == OP_HOLD)
			e->held = op->state;
	}
}

/* ---- groups ---- */

static uint64_t now_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void run_group(struct job *j)
{
	struct group *g = CONTAINER_OF(j, struct group, job);
	struct disk *d = &g->spool->disk;
	uint64_t began = now_us();
	for (size_t done = 0; done < g->data.len;) {
		struct iovec iov = {g->data.data + done, g->data.len - done};
		ssize_t n = d->ops->pwritev(d->self, g->segment->fd, &iov, 1, g->base + done);
		if (n <= 0) {
			g->write_error = n < 0 ? (int)-n : ENOSPC;
			return;
		}
		done += (size_t)n;
		g->partly = true;
	}
	g->sync_error = -d->ops->fdatasync(d->self, g->segment->fd);
	g->sync_us = now_us() - began;
}

static void group_free(struct group *g)
{
	buf_done(&g->data);
	mem_free(g);
}

static void group_committed(struct seg_spool *s, struct group *g)
{
	g->segment->durable = g->base + g->data.len;
	s->syncs++;
	s->sync_us_last = g->sync_us;
	s->sync_us_max = MAX(s->sync_us_max, g->sync_us);
	for (struct list_node *n; (n = list_pop(&g->batches));) {
		struct spool_batch *b = CONTAINER_OF(n, struct spool_batch, node);
		s->batches++;
		apply(s, b);
		batch_end(s, b, SPOOL_COMMITTED, NULL);
	}
}

static void group_lost(struct seg_spool *s, struct group *g, enum spool_outcome outcome,
		       const struct diag *why)
{
	for (struct list_node *n; (n = list_pop(&g->batches));)
		batch_end(s, CONTAINER_OF(n, struct spool_batch, node), outcome, why);
}

/* After a failure nothing in this segment counts as on disk any more but what was synced before: it is abandoned, and
 * what waits to be written behind it has failed for certain. */
static void group_failed(struct seg_spool *s, struct group *g)
{
	struct diag d = {0};
	int errnum = g->write_error ? g->write_error : g->sync_error;
	diag_set_errno(&d, errnum, g->write_error ? "writing the spool" : "syncing the spool");
	spool_set_health(&s->spool, SPOOL_BROKEN, &d);
	seg_abandon(s, g->segment);
	group_lost(s, g, g->partly ? SPOOL_UNKNOWN : SPOOL_FAILED, &d);
	LIST_EACH_SAFE (&s->groups, n, tmp) {
		struct group *other = CONTAINER_OF(n, struct group, node);
		if (other->segment != g->segment)
			continue;
		list_remove(&s->groups, n);
		group_lost(s, other, SPOOL_FAILED, &d);
		group_free(other);
	}
	if (s->active)
		spool_set_health(&s->spool, SPOOL_HEALTHY, NULL);
}

static void group_done(struct job *j)
{
	struct group *g = CONTAINER_OF(j, struct group, job);
	struct seg_spool *s = g->spool;
	s->flying = NULL;
	s->commits++;
	/* The next group flies while this one is answered. */
	if (g->write_error || g->sync_error) {
		group_failed(s, g);
		seg_submit(s);
	} else {
		seg_submit(s);
		group_committed(s, g);
	}
	group_free(g);
	seg_collect(s);
	seg_check_closed(s);
}

void seg_submit(void *ctx)
{
	struct seg_spool *s = ctx;
	if (s->flying || s->groups.count == 0)
		return;
	struct group *g = CONTAINER_OF(list_pop(&s->groups), struct group, node);
	s->flying = g;
	g->job = (struct job){.run = run_group, .done = group_done};
	worker_submit(s->commit, &g->job);
}

static struct group *group_new(struct seg_spool *s)
{
	struct group *g = NEW(struct group);
	if (!g)
		return NULL;
	g->spool = s;
	g->segment = s->active;
	g->base = s->active->end;
	buf_init(&g->data, s->spool.o.segment_size);
	list_init(&g->batches);
	list_push_back(&s->groups, &g->node);
	return g;
}

/* The group that collects and has room; NULL: none. */
static struct group *collecting(struct seg_spool *s, uint64_t size)
{
	if (s->groups.count == 0)
		return NULL;
	struct group *g = CONTAINER_OF(s->groups.head.prev, struct group, node);
	bool room = g->segment == s->active && (g->data.len + size <= SPOOL_GROUP_MAX || g->data.len == 0);
	return room ? g : NULL;
}

/* False: there is no segment to go to yet. */
static bool place(struct seg_spool *s, struct spool_batch *b)
{
	uint64_t size = batch_size(b);
	if (size > s->spool.o.segment_size - SEGF_SEGMENT_HEADER) {
		fail_later(s, b, ERR_LIMIT, "a batch larger than a segment");
		return true;
	}
	if (!s->active || s->active->end + size > s->spool.o.segment_size)
		if (!seg_rotate(s))
			return false;
	struct group *g = collecting(s, size);
	if (!g)
		g = group_new(s);
	if (!g || !encode_batch(g, b)) {
		fail_later(s, b, ERR_NOMEM, "no memory for the spool");
		return true;
	}
	s->active->end += size;
	ASSERT(g->base + g->data.len == s->active->end);
	list_push_back(&g->batches, &b->node);
	task_defer(&s->submit);
	return true;
}

void seg_place_waiting(struct seg_spool *s)
{
	while (s->waiting.count) {
		struct list_node *n = list_pop(&s->waiting);
		if (place(s, CONTAINER_OF(n, struct spool_batch, node)))
			continue;
		list_push_front(&s->waiting, n);
		return;
	}
}

void seg_fail_waiting(struct seg_spool *s, const struct diag *why)
{
	for (struct list_node *n; (n = list_pop(&s->waiting));)
		fail_later(s, CONTAINER_OF(n, struct spool_batch, node), why->code, why->text);
}

static void go(struct seg_spool *s, struct spool_batch *b)
{
	if (b->failed)
		fail_later(s, b, b->failed, "the content of a large message could not be written");
	else if (s->waiting.count || !place(s, b))
		list_push_back(&s->waiting, &b->node);
}

void seg_large_done(struct spool_batch *b, int error)
{
	if (error)
		b->failed = err_from_errno(error);
	if (--b->large_waiting == 0)
		go(seg_of(b->spool), b);
}

/* Everything the index will need is allocated before the write: after it nothing may fail. */
static bool prepare(struct spool_batch *b)
{
	LIST_EACH_SAFE (&b->ops, n, tmp) {
		struct op *op = CONTAINER_OF(n, struct op, node);
		if (op->kind != OP_MESSAGE)
			continue;
		op->entry = mem_alloc(sizeof(*op->entry) + op->write->recipients);
		if (!op->entry)
			return false;
		op->entry->id = op->id;
		op->entry->recipients = op->entry->open = op->write->recipients;
		op->entry->large_fd = -1;
	}
	return true;
}

void seg_commit(struct spool_batch *b)
{
	struct seg_spool *s = seg_of(b->spool);
	if (!prepare(b)) {
		fail_later(s, b, ERR_NOMEM, "no memory for the index");
		return;
	}
	LIST_EACH_SAFE (&b->ops, n, tmp) {
		struct op *op = CONTAINER_OF(n, struct op, node);
		if (op->kind == OP_MESSAGE && op->write->large && seg_large_wait(op->write, b))
			b->large_waiting++;
	}
	if (b->large_waiting == 0)
		go(s, b);
}
