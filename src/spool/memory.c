/* The memory back end: for tests and for a relay without a disk. Contents are sealed memfds, so that a loan works
 * as with files; records are kept for spool_walk as values. Batches commit at the end of the turn. */
#include "core/hash.h"
#include "core/mem.h"
#include "spool/spool_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

struct stored {
	struct map_node node; /* in memory_spool.stored */
	uint64_t id, length;
	int fd; /* owned; sealed */
	uint32_t pins;
	bool dead;
};

/* A committed record. The cursor of a walk is the index of an item, plus one. */
struct item {
	enum spool_record kind;
	uint64_t id;
	uint32_t ordinal;
	uint8_t state;
	size_t at, len; /* in memory_spool.payloads */
};

struct memory_spool {
	struct spool spool;
	struct map stored;
	struct list submitted; /* struct spool_batch */
	struct list walks;     /* struct walking */
	struct task turn;
	struct item *items; /* owned array */
	size_t item_count, item_cap;
	struct buf payloads;
};

struct walking {
	struct list_node node;
	struct spool_walk walk;
};

static struct memory_spool *of(struct spool *sp)
{
	return CONTAINER_OF(sp, struct memory_spool, spool);
}

/* ---- contents ---- */

static bool same_id(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct stored, node)->id == *(const uint64_t *)key;
}

static struct stored *find_stored(const struct memory_spool *m, uint64_t id)
{
	struct map_node *n = map_find(&m->stored, hash_u64(id), &id);
	return n ? CONTAINER_OF(n, struct stored, node) : NULL;
}

static void stored_free(struct memory_spool *m, struct stored *s)
{
	map_remove(&m->stored, &s->node);
	base_close(&s->fd);
	mem_free(s);
}

static void release(struct memory_spool *m, struct stored *s)
{
	if (s->dead && s->pins == 0)
		stored_free(m, s);
}

static enum err write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t r = write(fd, p, n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return ERR_NOSPACE;
		p += r;
		n -= (size_t)r;
	}
	return ERR_OK;
}

static enum err fill(int fd, const struct chunk_list *l)
{
	for (const struct chunk *c = l->first; c; c = c->next) {
		enum err e = write_all(fd, c->octets, c->used);
		if (e)
			return e;
	}
	return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0 ? ERR_IO
												    : ERR_OK;
}

static enum err seal(struct spool_write *w)
{
	struct memory_spool *m = of(w->spool);
	CLEANUP(base_close) int fd = memfd_create("spool", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_from_errno(errno);
	enum err e = fill(fd, &w->content);
	if (e)
		return e;
	struct stored *s = NEW(struct stored);
	if (!s)
		return ERR_NOMEM;
	*s = (struct stored){.id = w->id, .length = w->content_length, .fd = fd};
	e = map_insert(&m->stored, &s->node, hash_u64(w->id));
	if (e) {
		mem_free(s);
		return e;
	}
	fd = -1;
	chunks_free(w->spool, &w->content);
	return ERR_OK;
}

static enum err memory_written(struct spool_write *w)
{
	if (w->state == WRITE_FINISHED)
		w->failed = seal(w);
	return w->failed;
}

/* Also after the commit; then the index has the message and its content stays. */
static void memory_discard(struct spool_write *w)
{
	struct stored *s = find_stored(of(w->spool), w->id);
	if (!s || spool_index_find(&w->spool->index, w->id))
		return;
	s->dead = true;
	release(of(w->spool), s);
}

static void memory_dead(struct spool *sp, const struct spool_entry *e)
{
	struct stored *s = find_stored(of(sp), e->id);
	s->dead = true;
	release(of(sp), s);
}

static enum err memory_lend(struct spool *sp, uint64_t id, struct spool_loan *ret, struct diag *d)
{
	struct stored *s = find_stored(of(sp), id);
	if (!s || s->dead)
		return diag_set(d, ERR_NOTFOUND, "no such message in the spool");
	s->pins++;
	*ret = (struct spool_loan){.segment = id, .fd = s->fd, .offset = 0, .length = s->length};
	return ERR_OK;
}

static void memory_unlend(struct spool *sp, const struct spool_loan *loan)
{
	struct stored *s = find_stored(of(sp), loan->segment);
	ASSERT(s && s->pins > 0);
	s->pins--;
	release(of(sp), s);
}

/* Never asked for: the cache keeps everything here. */
static void memory_read(struct spool *sp, struct spool_entry *e, spool_read_fn *fn, void *ctx)
{
	fn(ctx, ERR_NOTFOUND, SLICE_EMPTY, SLICE_EMPTY);
}

/* ---- records ---- */

static enum err items_reserve(struct memory_spool *m, size_t more)
{
	if (m->item_count + more <= m->item_cap)
		return ERR_OK;
	size_t cap = MAX(m->item_cap * 2, m->item_count + more);
	struct item *items = mem_resize(m->items, cap * sizeof(*items));
	if (!items)
		return ERR_NOMEM;
	m->items = items;
	m->item_cap = cap;
	return ERR_OK;
}

static enum err reserve(struct memory_spool *m, const struct spool_batch *b)
{
	size_t octets = b->records.len;
	LIST_EACH_SAFE (&b->messages, n, tmp) {
		octets += CONTAINER_OF(n, struct spool_write, in_batch)->payload->envelope_len;
	}
	enum err e = items_reserve(m, b->messages.count + b->record_count);
	return e ? e : buf_reserve(&m->payloads, octets);
}

static void keep(struct memory_spool *m, struct item it, struct slice payload)
{
	it.at = m->payloads.len;
	it.len = payload.len;
	buf_add(&m->payloads, payload);
	m->items[m->item_count++] = it;
}

static void keep_record(struct memory_spool *m, const struct format_record *r, struct slice payload)
{
	struct format_result res;
	bool held;
	if (r->type == FORMAT_RESULT && format_result_read(payload, &res) == ERR_OK)
		keep(m,
		     (struct item){.kind = SPOOL_REC_RESULT,
				   .id = r->id,
				   .ordinal = res.ordinal,
				   .state = res.state},
		     res.payload);
	else if (r->type == FORMAT_VERDICT)
		keep(m, (struct item){.kind = SPOOL_REC_VERDICT, .id = r->id}, payload);
	else if (r->type == FORMAT_HOLD && format_hold_read(payload, &held) == ERR_OK)
		keep(m, (struct item){.kind = SPOOL_REC_HOLD, .id = r->id, .state = held}, SLICE_EMPTY);
}

static void keep_batch(struct memory_spool *m, struct spool_batch *b)
{
	struct slice rest = buf_slice(&b->records), payload;
	struct format_record r;
	LIST_EACH_SAFE (&b->messages, n, tmp) {
		struct spool_write *w = CONTAINER_OF(n, struct spool_write, in_batch);
		keep(m, (struct item){.kind = SPOOL_REC_MESSAGE, .id = w->id}, payload_envelope(w->payload));
	}
	while (format_next(&rest, &r, &payload))
		keep_record(m, &r, payload);
}

static void commit_one(struct memory_spool *m, struct spool_batch *b)
{
	struct diag why;
	if (reserve(m, b) != ERR_OK) {
		diag_set(&why, ERR_NOMEM, "no memory for the spool");
		batch_end(b, SPOOL_FAILED, &why);
		return;
	}
	keep_batch(m, b);
	b->size = FORMAT_COMMIT_SIZE + b->records.len;
	batch_apply(b, NULL);
	batch_end(b, SPOOL_COMMITTED, NULL);
}

/* ---- walking ---- */

static void show(struct memory_spool *m, const struct spool_walk *w, const struct item *it)
{
	struct spool_item shown = {.kind = it->kind,
				   .id = it->id,
				   .ordinal = it->ordinal,
				   .state = it->state,
				   .payload = slice_of(m->payloads.data + it->at, it->len)};
	w->fn(w->ctx, &shown);
}

/* Forwards the cursor is the number of items passed; backwards that of items left, plus one. */
static void walk_now(struct memory_spool *m, const struct spool_walk *w)
{
	uint64_t count = m->item_count, shown = 0;
	uint64_t at =
		w->newest_first ? (w->cursor ? MIN(w->cursor - 1, count) : count) : MIN(w->cursor, count);
	while (shown < w->max && (w->newest_first ? at > 0 : at < count)) {
		const struct item *it = &m->items[w->newest_first ? --at : at++];
		if (w->only_id && it->id != w->only_id)
			continue;
		show(m, w, it);
		shown++;
	}
	w->done(w->ctx, ERR_OK, w->newest_first ? at + 1 : at);
}

static enum err memory_walk(struct spool *sp, const struct spool_walk *w)
{
	struct memory_spool *m = of(sp);
	struct walking *wk = NEW(struct walking);
	if (!wk)
		return ERR_NOMEM;
	wk->walk = *w;
	list_push_back(&m->walks, &wk->node);
	task_defer(&m->turn);
	return ERR_OK;
}

/* ---- the turn ---- */

static void memory_commit(struct spool_batch *b)
{
	struct memory_spool *m = of(b->spool);
	list_push_back(&m->submitted, &b->node);
	task_defer(&m->turn);
}

static void memory_stats(const struct spool *sp, struct spool_stats *ret)
{
	const struct memory_spool *m = CONTAINER_OF(sp, const struct memory_spool, spool);
	ret->octets = m->payloads.len;
	MAP_EACH_SAFE (&m->stored, n, tmp) {
		ret->octets += CONTAINER_OF(n, struct stored, node)->length;
	}
}

static void memory_free(struct memory_spool *m)
{
	task_cancel(&m->turn);
	MAP_EACH_SAFE (&m->stored, n, tmp) {
		stored_free(m, CONTAINER_OF(n, struct stored, node));
	}
	map_done(&m->stored);
	spool_done(&m->spool);
	mem_free(m->items);
	buf_done(&m->payloads);
	mem_free(m);
}

static void open_now(struct memory_spool *m)
{
	struct spool_report r = {.generation = m->spool.generation};
	m->spool.ready = true;
	m->spool.events.on_ready(m->spool.ctx, ERR_OK, &r, NULL);
}

static void close_now(struct memory_spool *m)
{
	void (*on_closed)(void *ctx) = m->spool.on_closed;
	void *ctx = m->spool.closed_ctx;
	memory_free(m);
	on_closed(ctx);
}

/* What callbacks add meanwhile waits for the next turn. */
static void on_turn(void *ctx)
{
	struct memory_spool *m = ctx;
	if (!m->spool.ready && !m->spool.closing)
		open_now(m);
	for (size_t n = m->submitted.count; n > 0; n--)
		commit_one(m, CONTAINER_OF(list_pop(&m->submitted), struct spool_batch, node));
	for (size_t n = m->walks.count; n > 0; n--) {
		struct walking *wk = CONTAINER_OF(list_pop(&m->walks), struct walking, node);
		walk_now(m, &wk->walk);
		mem_free(wk);
	}
	bool busy = m->submitted.count || m->walks.count || m->spool.asked.count;
	if (busy)
		task_defer(&m->turn);
	else if (m->spool.closing)
		close_now(m);
}

static void memory_close(struct spool *sp)
{
	task_defer(&of(sp)->turn);
}

static const struct spool_backend memory_backend = {
	.close = memory_close,
	.written = memory_written,
	.discard = memory_discard,
	.commit = memory_commit,
	.lend = memory_lend,
	.unlend = memory_unlend,
	.read = memory_read,
	.walk = memory_walk,
	.stats = memory_stats,
	.dead = memory_dead,
};

#define PAYLOADS_MAX ((size_t)1 << 32)

enum err spool_open_memory(struct loop *l, const struct spool_options *o, const struct spool_events *ev,
			   void *ctx, struct spool **ret, struct diag *d)
{
	struct memory_spool *m = NEW(struct memory_spool);
	if (!m)
		return diag_set(d, ERR_NOMEM, "no memory for a spool");
	map_init(&m->stored, same_id);
	list_init(&m->submitted);
	list_init(&m->walks);
	buf_init(&m->payloads, PAYLOADS_MAX);
	task_init(&m->turn, l, on_turn, m);
	if (spool_init(&m->spool, &memory_backend, l, o, ev, ctx) != ERR_OK) {
		memory_free(m);
		return diag_set(d, ERR_NOMEM, "no memory for a spool");
	}
	m->spool.generation = 1;
	m->spool.cache.max = SIZE_MAX; /* there is no other copy */
	task_defer(&m->turn);
	*ret = &m->spool;
	return ERR_OK;
}
