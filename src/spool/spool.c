/* The interface, dispatched to the back ends; and what they share of its state. */
#include "spool/spool_priv.h"

#include "core/hash.h"
#include "core/mem.h"

/* A read that the cache answers at the end of the turn: never inside the call. */
struct asked {
	struct list_node node;
	uint64_t id;
	spool_read_fn *fn;
	void *ctx;
};

static void answer_ended(struct spool *sp)
{
	for (size_t n = sp->ended.count; n > 0; n--) {
		struct spool_batch *b = CONTAINER_OF(list_pop(&sp->ended), struct spool_batch, node);
		struct diag why;
		diag_set(&why, b->failed, "%s", b->why);
		batch_end(b, SPOOL_FAILED, &why);
	}
}

static void answer_one(struct spool *sp, struct asked *a)
{
	struct spool_entry *e = spool_index_find(&sp->index, a->id);
	if (!e)
		a->fn(a->ctx, ERR_NOTFOUND, SLICE_EMPTY, SLICE_EMPTY);
	else if (!e->cached || (sp->backend->lendable && !sp->backend->lendable(sp, e)))
		sp->backend->read(sp, e, a->fn, a->ctx);
	else {
		payload_cache_use(&sp->cache, e->cached);
		a->fn(a->ctx, ERR_OK, payload_envelope(e->cached), payload_edits(e->cached));
	}
	mem_free(a);
}

static void answer_asked(struct spool *sp)
{
	for (size_t n = sp->asked.count; n > 0; n--)
		answer_one(sp, CONTAINER_OF(list_pop(&sp->asked), struct asked, node));
}

static void on_answer(void *ctx)
{
	struct spool *sp = ctx;
	answer_ended(sp);
	answer_asked(sp);
}

static bool same_id(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct spool_write, node)->id == *(const uint64_t *)key;
}

void spool_set_retention(struct spool *sp, const struct spool_retention *keep)
{
	struct spool_retention *k = &sp->options.keep;
	*k = *keep;
	k->headers_ms = k->headers_ms ? MIN(k->headers_ms, k->archive_ms) : k->archive_ms;
	k->body_ms = k->body_ms ? MIN(k->body_ms, k->headers_ms) : k->headers_ms;
}

void spool_set_reserve(struct spool *sp, uint64_t octets)
{
	sp->options.disk_reserve = octets;
}

enum err spool_init(struct spool *sp, const struct spool_backend *backend, struct loop *l,
		    const struct spool_options *o, const struct spool_events *ev, void *ctx)
{
	sp->backend = backend;
	sp->loop = l;
	sp->options = *o;
	spool_set_retention(sp, &o->keep);
	sp->events = *ev;
	sp->ctx = ctx;
	map_init(&sp->writes, same_id);
	list_init(&sp->cache.recent);
	sp->cache.max = SPOOL_CACHE_MAX;
	list_init(&sp->ended);
	list_init(&sp->asked);
	task_init(&sp->answer, l, on_answer, sp);
	return spool_index_init(&sp->index);
}

void spool_done(struct spool *sp)
{
	ASSERT(sp->ended.count == 0 && sp->asked.count == 0 && sp->writes.count == 0);
	task_cancel(&sp->answer);
	payload_cache_done(&sp->cache);
	spool_index_done(&sp->index);
	map_done(&sp->writes);
	while (sp->stock) {
		struct chunk *c = sp->stock;
		sp->stock = c->next;
		mem_free(c);
	}
}

void spool_set_health(struct spool *sp, enum spool_health h, const struct diag *why)
{
	if (sp->health == h)
		return;
	sp->health = h;
	if (sp->events.on_health && !sp->closing)
		sp->events.on_health(sp->ctx, h, why);
}

enum spool_health spool_health(const struct spool *sp)
{
	return sp->health;
}

uint64_t spool_next_id(struct spool *sp)
{
	ASSERT(sp->ready);
	/* Four billion messages in one opening: the counter runs into the next generation's numbers only then. */
	return (sp->generation << 32) + ++sp->counter;
}

void spool_close(struct spool *sp, void (*on_closed)(void *ctx), void *ctx)
{
	ASSERT(!sp->closing);
	sp->closing = true;
	sp->on_closed = on_closed;
	sp->closed_ctx = ctx;
	MAP_EACH_SAFE (&sp->writes, n, tmp) {
		struct spool_write *w = CONTAINER_OF(n, struct spool_write, node);
		ASSERT(w->state == WRITE_BATCHED); /* open writes are aborted by their owner before */
	}
	sp->backend->close(sp);
}

enum err spool_lend(struct spool *sp, uint64_t id, struct spool_loan *ret, struct diag *d)
{
	return sp->backend->lend(sp, id, ret, d);
}

void spool_unlend(struct spool *sp, const struct spool_loan *loan)
{
	sp->backend->unlend(sp, loan);
}

void spool_read(struct spool *sp, uint64_t id, spool_read_fn *fn, void *ctx)
{
	struct asked *a = NEW(struct asked);
	ASSERT(a); /* forty octets, and no way to say no */
	*a = (struct asked){.id = id, .fn = fn, .ctx = ctx};
	list_push_back(&sp->asked, &a->node);
	task_defer(&sp->answer);
}

enum err spool_walk(struct spool *sp, const struct spool_walk *w)
{
	return sp->backend->walk(sp, w);
}

void spool_stats(const struct spool *sp, struct spool_stats *ret)
{
	*ret = (struct spool_stats){.live = sp->index.entries.count,
				    .commits = sp->commits,
				    .batches = sp->batches,
				    .syncs = sp->syncs,
				    .sync_us_last = sp->sync_us_last,
				    .sync_us_max = sp->sync_us_max};
	sp->backend->stats(sp, ret);
}
