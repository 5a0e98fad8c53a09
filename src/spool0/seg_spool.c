#include "core/hash.h"
#include "core/mem.h"
#include "spool0/seg_priv.h"

static bool entry_eq(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct entry, node)->id == *(const uint64_t *)key;
}

static enum err may_write(struct spool *sp, struct diag *d)
{
	struct seg_spool *s = seg_of(sp);
	if (!s->ready || s->closing)
		return diag_set(d, ERR_BUSY, "the spool is not open");
	if (sp->health == SPOOL_RESERVE)
		return diag_set(d, ERR_NOSPACE, "the disk is nearly full");
	return sp->health == SPOOL_BROKEN ? diag_set(d, ERR_IO, "the spool cannot be written") : ERR_OK;
}

static void stats(const struct spool *sp, struct spool_stats *ret)
{
	const struct seg_spool *s = CONTAINER_OF(sp, const struct seg_spool, spool);
	*ret = (struct spool_stats){.live = s->entries.count,
				    .segments = s->segments.count,
				    .octets = s->segments.count * sp->o.segment_size,
				    .free_octets = s->free_octets,
				    .commits = s->commits,
				    .syncs = s->syncs,
				    .batches = s->batches,
				    .sync_us_last = s->sync_us_last,
				    .sync_us_max = s->sync_us_max};
}

/* ---- closing: what was submitted ends first ---- */

static void free_all(struct seg_spool *s)
{
	MAP_EACH_SAFE (&s->entries, n, tmp) {
		seg_entry_free(s, CONTAINER_OF(n, struct entry, node));
	}
	map_done(&s->entries);
	if (s->spare)
		seg_segment_free(s, s->spare);
	LIST_EACH_SAFE (&s->segments, n, tmp) {
		seg_segment_free(s, CONTAINER_OF(n, struct segment, node));
	}
	if (s->lock_fd >= 0)
		s->disk.ops->close(s->disk.self, s->lock_fd);
	worker_free(s->commit);
	worker_free(s->bulk);
	mem_free(s);
}

static void on_closed_task(void *ctx)
{
	struct seg_spool *s = ctx;
	void (*on_closed)(void *) = s->on_closed;
	void *closed_ctx = s->closed_ctx;
	free_all(s);
	if (on_closed)
		on_closed(closed_ctx);
}

void seg_check_closed(struct seg_spool *s)
{
	bool busy = s->flying || s->groups.count || s->bulk_jobs || s->early.count;
	if (!s->closing || busy)
		return;
	timer_cancel(&s->again);
	timer_cancel(&s->look);
	task_cancel(&s->submit);
	task_cancel(&s->answer);
	task_init(&s->answer, s->spool.loop, on_closed_task, s);
	task_defer(&s->answer);
}

static void close_spool(struct spool *sp, void (*on_closed)(void *ctx), void *ctx)
{
	struct seg_spool *s = seg_of(sp);
	struct diag d = {0};
	s->closing = true;
	s->on_closed = on_closed;
	s->closed_ctx = ctx;
	timer_cancel(&s->again);
	timer_cancel(&s->look);
	diag_set(&d, ERR_CANCELLED, "the spool is being closed");
	seg_fail_waiting(s, &d);
	seg_check_closed(s);
}

/* ---- opening ---- */

static const struct spool_ops ops = {
	.close = close_spool,
	.may_write = may_write,
	.append = seg_append,
	.finish = seg_finish,
	.drop = seg_drop,
	.commit = seg_commit,
	.lend = seg_lend,
	.unlend = seg_unlend,
	.read = seg_read,
	.walk = seg_walk,
	.stats = stats,
};

static void on_again(void *ctx)
{
	seg_make(ctx);
}

enum err spool_open_segments(struct loop *l, struct disk disk, const struct spool_options *o,
			     const struct spool_events *ev, void *ctx, struct spool **ret, struct diag *d)
{
	struct seg_spool *s = NEW(struct seg_spool);
	if (!s)
		return diag_set(d, ERR_NOMEM, "no memory for the spool");
	spool_init(&s->spool, &ops, l, o, ev, ctx);
	s->disk = disk;
	s->lock_fd = -1;
	s->opened_ms = loop_now(l);
	map_init(&s->entries, entry_eq);
	list_init(&s->segments);
	list_init(&s->cache);
	list_init(&s->waiting);
	list_init(&s->groups);
	list_init(&s->early);
	task_init(&s->submit, l, seg_submit, s);
	task_init(&s->answer, l, seg_answer, s);
	timer_init(&s->again, l, on_again, s);
	timer_init(&s->look, l, seg_look, s);
	enum err e = worker_new(l, "commit", &s->commit, d);
	if (!e)
		e = worker_new(l, "bulk", &s->bulk, d);
	if (!e)
		e = seg_recover(s);
	if (e) {
		worker_free(s->commit);
		worker_free(s->bulk);
		map_done(&s->entries);
		mem_free(s);
		return e;
	}
	*ret = &s->spool;
	return ERR_OK;
}
