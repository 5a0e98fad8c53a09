/* Group commit. On the loop: batches become ready, are given their places, and after the sync go into the index. On
 * the commit worker: they are encoded and written with one pwritev (per 1024 pieces) and one fdatasync. Contents are
 * written from the chunks in which they arrived.
 */
#include "core/mem.h"
#include "spool/store.h"

#include <time.h>
#define XXH_STATIC_LINKING_ONLY /* the state of a running checksum on the stack */
#include <xxhash.h>

#define IOV_BATCH 1024 /* the kernel's limit for one call */

static struct spool_write *write_of(struct list_node *n)
{
	return CONTAINER_OF(n, struct spool_write, in_batch);
}

static struct spool_batch *batch_of(struct list_node *n)
{
	return CONTAINER_OF(n, struct spool_batch, node);
}

/* ---- on the worker: encoding ---- */

static void add_piece(struct group *g, const void *p, size_t n)
{
	if (n == 0)
		return;
	struct iovec *last = g->iov_count ? &g->iov[g->iov_count - 1] : NULL;
	if (last && (const char *)last->iov_base + last->iov_len == (const char *)p) {
		last->iov_len += n;
		return;
	}
	ASSERT(g->iov_count < g->iov_cap);
	g->iov[g->iov_count++] = (struct iovec){(void *)p, n};
}

/* Everything from `from` to the end of meta; reserved before, so that nothing moves. */
static void add_meta(struct group *g, size_t from)
{
	ASSERT(!g->meta.failed);
	add_piece(g, g->meta.data + from, g->meta.len - from);
}

static uint64_t sum_content(const struct chunk_list *l)
{
	XXH3_state_t st;
	if (l->first == l->last)
		return format_content_sum(l->first ? slice_of(l->first->octets, l->first->used)
						   : SLICE_EMPTY);
	XXH3_64bits_reset(&st);
	for (const struct chunk *c = l->first; c; c = c->next)
		XXH3_64bits_update(&st, c->octets, c->used);
	return XXH3_64bits_digest(&st);
}

static uint64_t summed_of(const struct spool_write *w)
{
	return FORMAT_MESSAGE_HEADER + w->payload->envelope_len + w->payload->edits_len + w->verdict.len;
}

static uint64_t message_size(const struct spool_write *w)
{
	return FORMAT_RECORD_HEADER + format_padded(summed_of(w) + w->content.octets);
}

static uint32_t back_of(const struct group *g, const struct spool_write *w)
{
	return w->origin ? (uint32_t)MIN(g->segment->sequence - w->origin, (uint64_t)UINT32_MAX) : 0;
}

static void encode_message(struct group *g, struct spool_write *w)
{
	size_t from = g->meta.len;
	struct format_message m = {.held = w->held,
				   .large = w->large || w->elsewhere,
				   .back = back_of(g, w),
				   .recipients = w->recipients,
				   .time_ms = w->batch->time_ms,
				   .content_length = w->content_length,
				   .content_sum = w->large || w->elsewhere ? w->content_sum
									   : sum_content(&w->content),
				   .envelope = payload_envelope(w->payload),
				   .edits = payload_edits(w->payload),
				   .verdict = buf_slice(&w->verdict)};
	char head[FORMAT_RECORD_HEADER + FORMAT_MESSAGE_HEADER];
	uint64_t summed = summed_of(w), length = summed + w->content.octets;
	format_header_put(
		&(struct format_header){
			.type = FORMAT_MESSAGE, .id = w->id, .length = length, .summed = summed},
		head);
	format_message_head(&m, head + FORMAT_RECORD_HEADER);
	buf_add_mem(&g->meta, head, sizeof(head));
	buf_add(&g->meta, m.envelope);
	buf_add(&g->meta, m.edits);
	buf_add(&g->meta, m.verdict);
	format_place(g->meta.data + from, w->offset, g->segment->seed);
	add_meta(g, from);
	for (const struct chunk *c = w->content.first; c; c = c->next)
		add_piece(g, c->octets, c->used);
	from = g->meta.len;
	buf_add_zero(&g->meta, format_padded(length) - length);
	add_meta(g, from);
}

static void encode_batch(struct group *g, struct spool_batch *b)
{
	uint64_t at = b->offset;
	LIST_EACH_SAFE (&b->messages, n, tmp) {
		encode_message(g, write_of(n));
		at += message_size(write_of(n));
	}
	size_t from = g->meta.len;
	buf_add(&g->meta, buf_slice(&b->records));
	format_place_all(g->meta.data + from, b->records.len, at, g->segment->seed);
	at += b->records.len;
	format_commit_put(b->commit, b->messages.count + b->record_count, b->time_ms, g->start);
	format_place(b->commit, at, g->segment->seed);
	buf_add_mem(&g->meta, b->commit, sizeof(b->commit));
	add_meta(g, from);
	ASSERT(at + sizeof(b->commit) == b->offset + b->size);
}

/* ---- on the worker: writing ---- */

static uint64_t now_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int write_group(const struct store *s, const struct group *g)
{
	uint64_t at = g->start;
	for (size_t i = 0; i < g->iov_count; i += IOV_BATCH) {
		int n = (int)MIN(g->iov_count - i, (size_t)IOV_BATCH);
		ssize_t r = s->disk.ops->pwritev(s->disk.self, g->segment->fd, &g->iov[i], n, at);
		if (r < 0)
			return (int)-r;
		at += (uint64_t)r;
	}
	ASSERT(at == g->end);
	return 0;
}

/* A write that failed may have left any part of itself. Cutting the file there, durably, makes sure that nothing of it
 * is ever found; then, and only then, the outcome is FAILED. */
static bool undo(const struct store *s, const struct group *g)
{
	return s->disk.ops->truncate(s->disk.self, g->segment->fd, g->start) == 0 &&
	       s->disk.ops->fdatasync(s->disk.self, g->segment->fd) == 0;
}

static void run_group(struct job *j)
{
	struct group *g = CONTAINER_OF(j, struct group, job);
	struct store *s = CONTAINER_OF(g, struct store, group);
	uint64_t began = now_us();
	LIST_EACH_SAFE (&g->batches, n, tmp) {
		encode_batch(g, batch_of(n));
	}
	g->errnum = write_group(s, g);
	if (g->errnum) {
		g->undone = undo(s, g);
	} else {
		g->written = true;
		g->errnum = -s->disk.ops->fdatasync(s->disk.self, g->segment->fd);
	}
	g->took_us = now_us() - began;
}

/* ---- on the loop: choosing and placing ---- */

static void measure(struct spool_batch *b, size_t *meta, size_t *pieces)
{
	b->size = b->records.len + FORMAT_COMMIT_SIZE;
	*meta += b->size;
	*pieces += 1;
	LIST_EACH_SAFE (&b->messages, n, tmp) {
		const struct spool_write *w = write_of(n);
		b->size += message_size(w);
		*meta += message_size(w) - w->content.octets;
		*pieces += 3 + w->content.octets / CHUNK_ROOM;
	}
}

static bool iov_reserve(struct group *g, size_t n)
{
	if (n <= g->iov_cap)
		return true;
	struct iovec *more = mem_resize(g->iov, n * sizeof(*more));
	if (!more)
		return false;
	g->iov = more;
	g->iov_cap = n;
	return true;
}

static void place(struct group *g, struct spool_batch *b)
{
	b->offset = g->end;
	g->end += b->size;
	uint64_t at = b->offset;
	LIST_EACH_SAFE (&b->messages, n, tmp) {
		write_of(n)->offset = at;
		at += message_size(write_of(n));
	}
}

/* Moves ready batches into the group until it is large enough. False: no memory. */
static bool gather(struct store *s, struct group *g)
{
	size_t meta = 0, pieces = 0, count = 0;
	uint64_t octets = 0;
	for (struct list_node *n = s->ready.head.next; n != &s->ready.head && octets < SPOOL_GROUP_MAX;
	     n = n->next) {
		measure(batch_of(n), &meta, &pieces);
		octets += batch_of(n)->size;
		count++;
	}
	buf_clear(&g->meta);
	if (buf_reserve(&g->meta, meta) != ERR_OK || !iov_reserve(g, pieces))
		return false;
	g->iov_count = 0;
	g->segment = s->active;
	g->start = g->end = s->active->end;
	for (; count > 0; count--) {
		struct spool_batch *b = batch_of(list_pop(&s->ready));
		place(g, b);
		list_push_back(&g->batches, &b->node);
	}
	return true;
}

/* Half full: the next one is prepared, and zeroed before if mail comes quickly (overwriting syncs two to three times as
 * fast as growing). Full: it takes over, if it is there; else this one grows. */
static void roll(struct store *s)
{
	struct segment *a = s->active;
	uint64_t size = s->spool.options.segment_size;
	if (a->end > size / 2) {
		uint64_t ms = loop_now(s->spool.loop) - a->since;
		segment_make(s, ms < SPOOL_ZERO_BELOW_MS);
	}
	if ((a->end < size && !a->retire) || !s->next)
		return;
	s->active = s->next;
	s->next = NULL;
	s->active->since = loop_now(s->spool.loop);
	list_push_back(&s->segments, &s->active->node);
	checkpoint_seal(s, a);
}

static void group_done(struct job *j);

void commit_kick(void *ctx)
{
	struct store *s = ctx;
	if (!s->writing && s->active && s->active->retire)
		roll(s);
	if (s->writing || s->ready.count == 0)
		return;
	if (!s->active) {
		segment_make(s, false);
		return;
	}
	roll(s);
	struct group *g = &s->group;
	if (!gather(s, g)) {
		commit_fail_ready(s, &(struct diag){.code = ERR_NOMEM, .text = "no memory for a write"});
		return;
	}
	g->errnum = 0;
	g->written = g->undone = false;
	g->job = (struct job){.run = run_group, .done = group_done};
	s->writing = true;
	worker_submit(s->committer, &g->job);
}

void commit_retire(struct store *s)
{
	if (!s->active)
		return;
	s->active->retire = true;
	segment_make(s, false);
	commit_kick(s); /* or when it is made */
}

/* ---- on the loop: what came of it ---- */

static void apply_group(struct store *s, struct group *g)
{
	struct segment *seg = g->segment;
	seg->end = g->end;
	seg->allocated = MAX(seg->allocated, g->end);
	seg->last_ms = loop_wall(s->spool.loop);
	s->spool.syncs++;
	s->spool.sync_us_last = g->took_us;
	s->spool.sync_us_max = MAX(s->spool.sync_us_max, g->took_us);
	LIST_EACH_SAFE (&g->batches, n, tmp) {
		struct spool_batch *b = batch_of(n);
		LIST_EACH_SAFE (&b->messages, m, tmp2) {
			if (write_of(m)->large)
				large_keep(write_of(m)->large);
		}
		batch_apply(b, seg);
	}
}

/* Nothing in this segment counts as on disk any more but what was synced before. Without a checkpoint in it, recovery
 * reads it whole. */
static void abandon(struct store *s, struct segment *seg)
{
	ASSERT(s->active == seg);
	s->active = NULL;
	s->disk.ops->close(s->disk.self, seg->fd);
	seg->fd = -1;
	if (s->next) {
		s->active = s->next;
		s->next = NULL;
		s->active->since = loop_now(s->spool.loop);
		list_push_back(&s->segments, &s->active->node);
	} else {
		segment_make(s, false);
	}
}

static void group_failed(struct store *s, struct group *g, struct diag *why)
{
	diag_set_errno(why, g->errnum, g->written ? "syncing the spool" : "writing the spool");
	bool full = why->code == ERR_NOSPACE;
	if (!g->undone || !full)
		abandon(s, g->segment);
	else
		g->segment->allocated = g->start;
	if (full)
		s->full = true;
	store_health(s, why);
	keep_look(s);
}

static void group_done(struct job *j)
{
	struct group *g = CONTAINER_OF(j, struct group, job);
	struct store *s = CONTAINER_OF(g, struct store, group);
	enum spool_outcome outcome = !g->errnum ? SPOOL_COMMITTED : g->undone ? SPOOL_FAILED : SPOOL_UNKNOWN;
	struct diag why = {0};
	struct list ended;
	if (outcome == SPOOL_COMMITTED)
		apply_group(s, g);
	else
		group_failed(s, g, &why);
	list_init(&ended);
	for (struct list_node *n; (n = list_pop(&g->batches));) {
		batch_untouch(batch_of(n));
		list_push_back(&ended, n);
	}
	/* The next group is written while this one is answered. */
	s->writing = false;
	commit_kick(s);
	for (struct list_node *n; (n = list_pop(&ended));)
		batch_end(batch_of(n), outcome, outcome == SPOOL_COMMITTED ? NULL : &why);
	store_check_closed(s);
}

/* ---- coming in ---- */

void commit_fail_ready(struct store *s, const struct diag *why)
{
	for (struct list_node *n; (n = list_pop(&s->ready));)
		batch_fail_later(batch_of(n), why->code, err_name(why->code));
}

void commit_submit(struct spool_batch *b)
{
	struct store *s = store_of(b->spool);
	large_attach(b);
	if (b->failed) {
		batch_fail_later(b, b->failed, "a large message could not be written");
	} else if (b->waiting == 0 && !s->active && s->spool.health == SPOOL_BROKEN) {
		batch_fail_later(b, ERR_IO, "the spool's disk fails");
	} else if (b->waiting == 0) {
		list_push_back(&s->ready, &b->node);
		task_defer(&s->kick);
	}
}
