#include "spool/store.h"

#include "core/mem.h"

#include <stdio.h>
#include <string.h>

void store_name_segment(char out[STORE_NAME_MAX], uint64_t sequence)
{
	snprintf(out, STORE_NAME_MAX, "seg-%016llx", (unsigned long long)sequence);
}

void store_name_kept(char out[STORE_NAME_MAX], uint64_t sequence, enum format_kept kept)
{
	static const char *const prefixes[] = {"seg", "hdr", "idx"};
	snprintf(out, STORE_NAME_MAX, "%s-%016llx", prefixes[kept], (unsigned long long)sequence);
}

void store_name_large(char out[STORE_NAME_MAX], uint64_t id)
{
	snprintf(out, STORE_NAME_MAX, "msg-%016llx", (unsigned long long)id);
}

bool store_parse_name(const char *name, const char *prefix, uint64_t *ret_number)
{
	size_t n = strlen(prefix);
	uint64_t v = 0;
	if (strncmp(name, prefix, n) != 0 || strlen(name + n) != 16)
		return false;
	for (const char *p = name + n; *p; p++) {
		if (!ascii_is_digit(*p) && (*p < 'a' || *p > 'f'))
			return false;
		v = v << 4 | (uint64_t)(ascii_is_digit(*p) ? *p - '0' : *p - 'a' + 10);
	}
	*ret_number = v;
	return true;
}

void store_bulk(struct store *s, struct job *j)
{
	s->bulk_jobs++;
	worker_submit(s->bulk, j);
}

void store_bulk_done(struct store *s)
{
	ASSERT(s->bulk_jobs > 0);
	s->bulk_jobs--;
}

/* Newest first: what is asked for is mostly young. */
struct segment *store_segment(const struct store *s, uint64_t sequence)
{
	for (struct list_node *n = s->segments.head.prev; n != &s->segments.head; n = n->prev) {
		struct segment *seg = CONTAINER_OF(n, struct segment, node);
		if (seg->sequence <= sequence)
			return seg->sequence == sequence ? seg : NULL;
	}
	return NULL;
}

void store_health(struct store *s, const struct diag *why)
{
	bool low = s->full || (s->total_octets && s->free_octets < s->spool.options.disk_reserve);
	struct diag d;
	if (!s->active && (!s->full || !s->opened)) {
		spool_set_health(&s->spool, SPOOL_BROKEN, why);
	} else if (low) {
		if (!why) {
			diag_set(&d, ERR_NOSPACE, "%llu octets are free on the spool's disk",
				 (unsigned long long)s->free_octets);
			why = &d;
		}
		spool_set_health(&s->spool, SPOOL_RESERVE, why);
	} else {
		spool_set_health(&s->spool, SPOOL_HEALTHY, NULL);
	}
}

/* ---- closing ---- */

static void store_free(struct store *s)
{
	/* Before anything that their jobs hold. */
	worker_free(s->committer);
	worker_free(s->bulk);
	task_cancel(&s->kick);
	task_cancel(&s->closed);
	timer_cancel(&s->retry);
	timer_cancel(&s->tick);
	segment_free(s, s->next);
	for (struct list_node *n; (n = list_pop(&s->segments));)
		segment_free(s, CONTAINER_OF(n, struct segment, node));
	loan_done(s);
	recover_free(s->recovery);
	if (s->lock_fd >= 0)
		s->disk.ops->close(s->disk.self, s->lock_fd);
	buf_done(&s->group.meta);
	mem_free(s->group.iov);
	buf_done(&s->gone);
	spool_done(&s->spool);
	mem_free(s);
}

static void on_closed(void *ctx)
{
	struct store *s = ctx;
	void (*fn)(void *) = s->spool.on_closed;
	void *fn_ctx = s->spool.closed_ctx;
	store_free(s);
	fn(fn_ctx);
}

static bool busy(const struct store *s)
{
	return s->writing || s->ready.count || s->bulk_jobs || s->spool.ended.count || s->spool.asked.count ||
	       s->spool.writes.count;
}

/* The last thing: the active segment gets its checkpoint, so that the next opening has little to read. */
void store_check_closed(struct store *s)
{
	if (!s->spool.closing || busy(s) || list_linked(&s->closed.node))
		return;
	struct segment *a = s->active;
	s->active = NULL;
	if (a)
		checkpoint_seal(s, a);
	else
		task_defer(&s->closed);
}

static void store_close(struct spool *sp)
{
	struct store *s = store_of(sp);
	timer_cancel(&s->retry);
	timer_cancel(&s->tick);
	if (!s->active && s->ready.count)
		commit_fail_ready(s,
				  &(struct diag){.code = ERR_CANCELLED, .text = "the spool is being closed"});
	store_check_closed(s);
}

static void store_stats(const struct spool *sp, struct spool_stats *ret)
{
	const struct store *s = CONTAINER_OF(sp, const struct store, spool);
	ret->segments = s->segments.count;
	ret->free_octets = s->free_octets;
	ret->moved = s->moved;
	for (const struct list_node *n = s->segments.head.next; n != &s->segments.head; n = n->next)
		ret->octets += CONTAINER_OF(n, const struct segment, node)->allocated;
}

static void store_discard(struct spool_write *w)
{
	loan_discard_preview(w);
	large_discard(w);
}

static void store_dead(struct spool *sp, const struct spool_entry *e)
{
	if (e->checkpointed)
		buf_add_u64(&store_of(sp)->gone, e->id);
}

static const struct spool_backend store_backend = {
	.close = store_close,
	.written = large_written,
	.discard = store_discard,
	.commit = commit_submit,
	.lend = loan_lend,
	.lendable = loan_ready,
	.unlend = loan_unlend,
	.read = read_payload,
	.walk = read_walk,
	.stats = store_stats,
	.dead = store_dead,
};

/* ---- opening ---- */

static void on_retry(void *ctx)
{
	segment_make(ctx, false);
}

static uint64_t or_default(uint64_t v, uint64_t fallback, uint64_t min, uint64_t max)
{
	v = v ? v : fallback;
	return MAX(min, MIN(v, max));
}

static void take_options(struct spool_options *o)
{
	o->segment_size =
		or_default(o->segment_size, SPOOL_SEGMENT_DEFAULT, SPOOL_SEGMENT_MIN, SPOOL_SEGMENT_MAX);
	o->large_threshold = or_default(o->large_threshold, SPOOL_LARGE_DEFAULT, 1, SPOOL_LARGE_MAX);
	o->disk_reserve = or_default(o->disk_reserve, SPOOL_RESERVE_DEFAULT, 0, UINT64_MAX);
}

static struct store *store_new(struct loop *l, struct disk disk)
{
	struct store *s = NEW(struct store);
	if (!s)
		return NULL;
	s->disk = disk;
	s->lock_fd = -1;
	s->next_sequence = 1;
	list_init(&s->segments);
	list_init(&s->ready);
	list_init(&s->group.batches);
	buf_init(&s->group.meta, SIZE_MAX);
	buf_init(&s->gone, SPOOL_CHECKPOINT_MAX / 2);
	task_init(&s->kick, l, commit_kick, s);
	task_init(&s->closed, l, on_closed, s);
	timer_init(&s->retry, l, on_retry, s);
	timer_init(&s->tick, l, keep_tick, s);
	loan_init(s);
	return s;
}

enum err spool_open_segments(struct loop *l, struct disk disk, const struct spool_options *o,
			     const struct spool_events *ev, void *ctx, struct spool **ret, struct diag *d)
{
	struct store *s = store_new(l, disk);
	if (!s)
		return diag_set(d, ERR_NOMEM, "no memory for a spool");
	enum err e = spool_init(&s->spool, &store_backend, l, o, ev, ctx);
	take_options(&s->spool.options);
	if (e)
		diag_set(d, e, "no memory for a spool");
	if (!e)
		e = worker_new(l, "commit", &s->committer, d);
	if (!e)
		e = worker_new(l, "bulk", &s->bulk, d);
	if (!e)
		e = recover_start(s, d);
	if (e) {
		store_free(s);
		return e;
	}
	*ret = &s->spool;
	return ERR_OK;
}
