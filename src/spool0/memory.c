/* The spool without a disk, for tests and simulations: the same interface, durable as long as the process lives. */
#include "core/hash.h"
#include "core/mem.h"
#include "spool0/spool_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

struct stored {
	struct map_node node;
	uint64_t id;
	struct buf content, envelope, edits;
	uint32_t recipients, open, loans;
	int fd; /* sealed memfd while lent; -1 */
	uint8_t states[];
};

struct memory_spool {
	struct spool spool;
	struct map messages;
	struct walk_items log; /* everything that was committed, in order */
	struct list batches;   /* to be committed in the next turn */
	struct list readings;
	struct list walks;
	struct task turn;
	struct task opened;
	uint64_t commits;
	bool closing;
	void (*on_closed)(void *ctx);
	void *closed_ctx;
};

struct reading {
	struct list_node node;
	uint64_t id;
	spool_read_fn *fn;
	void *ctx;
};

struct walking {
	struct list_node node;
	struct spool_walk walk;
};

static struct memory_spool *self(struct spool *sp)
{
	return CONTAINER_OF(sp, struct memory_spool, spool);
}

static bool stored_eq(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct stored, node)->id == *(const uint64_t *)key;
}

static struct stored *find(struct memory_spool *m, uint64_t id)
{
	struct map_node *n = map_find(&m->messages, hash_u64(id), &id);
	return n ? CONTAINER_OF(n, struct stored, node) : NULL;
}

static void stored_free(struct memory_spool *m, struct stored *s)
{
	map_remove(&m->messages, &s->node);
	base_close(&s->fd);
	buf_done(&s->content);
	buf_done(&s->envelope);
	buf_done(&s->edits);
	mem_free(s);
}

/* ---- commits ---- */

static void note(struct memory_spool *m, const struct op *op)
{
	static const enum spool_record kinds[] = {[OP_MESSAGE] = SPOOL_REC_MESSAGE,
						  [OP_RESULT] = SPOOL_REC_RESULT,
						  [OP_VERDICT] = SPOOL_REC_VERDICT,
						  [OP_HOLD] = SPOOL_REC_HOLD};
	struct spool_item it = {.kind = kinds[op->kind],
				.id = op->id,
				.ordinal = op->ordinal,
				.state = op->state,
				.payload = op->kind == OP_MESSAGE ? buf_slice(&op->write->envelope)
								  : op->payload};
	walk_add(&m->log, &it);
}

static bool store(struct memory_spool *m, struct op *op)
{
	struct spool_write *w = op->write;
	struct stored *s = mem_alloc(sizeof(*s) + w->recipients);
	if (!s)
		return false;
	s->id = w->id;
	s->fd = -1;
	s->recipients = s->open = w->recipients;
	if (map_insert(&m->messages, &s->node, hash_u64(s->id)) != ERR_OK) {
		mem_free(s);
		return false;
	}
	m->spool.pending -= w->content.len;
	s->content = w->content;
	s->envelope = w->envelope;
	s->edits = w->edits;
	note(m, op);
	buf_init(&w->content, 0);
	buf_init(&w->envelope, 0);
	buf_init(&w->edits, 0);
	return true;
}

static void set_state(struct memory_spool *m, const struct op *op)
{
	struct stored *s = find(m, op->id);
	if (!s || op->ordinal >= s->recipients || s->states[op->ordinal] >= SPOOL_DELIVERED)
		return;
	s->states[op->ordinal] = op->state;
	if (op->state >= SPOOL_DELIVERED && --s->open == 0 && s->loans == 0)
		stored_free(m, s);
}

static void commit_one(struct memory_spool *m, struct spool_batch *b)
{
	spool_done_fn *done = b->done;
	void *ctx = b->ctx;
	bool ok = true;
	LIST_EACH_SAFE (&b->ops, n, tmp) {
		struct op *op = CONTAINER_OF(n, struct op, node);
		if (op->kind == OP_MESSAGE) {
			ok = store(m, op);
			continue;
		}
		note(m, op);
		if (op->kind == OP_RESULT)
			set_state(m, op);
	}
	struct diag d = {0};
	if (!ok)
		diag_set(&d, ERR_NOMEM, "no memory for the message");
	txn_batch_free(b);
	m->commits++;
	done(ctx, ok ? SPOOL_COMMITTED : SPOOL_FAILED, &d);
}

static void commit(struct spool_batch *b)
{
	struct memory_spool *m = self(b->spool);
	list_push_back(&m->batches, &b->node);
	task_defer(&m->turn);
}

/* ---- reading ---- */

static void answer(struct memory_spool *m, struct reading *r)
{
	struct stored *s = find(m, r->id);
	if (s)
		r->fn(r->ctx, ERR_OK, buf_slice(&s->envelope), buf_slice(&s->edits));
	else
		r->fn(r->ctx, ERR_NOTFOUND, SLICE_EMPTY, SLICE_EMPTY);
	mem_free(r);
}

static void read_message(struct spool *sp, uint64_t id, spool_read_fn *fn, void *ctx)
{
	struct memory_spool *m = self(sp);
	struct reading *r = NEW(struct reading);
	ASSERT(r); /* small; without it the caller could not be answered */
	*r = (struct reading){.id = id, .fn = fn, .ctx = ctx};
	list_push_back(&m->readings, &r->node);
	task_defer(&m->turn);
}

static void show(struct memory_spool *m, struct walking *w)
{
	struct walk_items items = {.data = m->log.data, .count = m->log.count};
	struct walk_items chosen = {0};
	buf_init(&chosen.data, m->log.data.max);
	if (w->walk.only_id) {
		walk_filter(&items, w->walk.only_id, &chosen);
		walk_show(&chosen, &w->walk);
	} else {
		walk_show(&items, &w->walk);
	}
	buf_done(&chosen.data);
	w->walk.done(w->walk.ctx, ERR_OK, 0);
	mem_free(w);
}

static enum err walk(struct spool *sp, const struct spool_walk *walk)
{
	struct memory_spool *m = self(sp);
	struct walking *w = NEW(struct walking);
	if (!w)
		return ERR_NOMEM;
	w->walk = *walk;
	list_push_back(&m->walks, &w->node);
	task_defer(&m->turn);
	return ERR_OK;
}

static int content_fd(const struct buf *content)
{
	int fd = memfd_create("tidegate-message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	for (size_t done = 0; done < content->len;) {
		ssize_t n = write(fd, content->data + done, content->len - done);
		if (n < 0) {
			int e = errno;
			close(fd);
			return -e;
		}
		done += (size_t)n;
	}
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	return fd;
}

static enum err lend(struct spool *sp, uint64_t id, struct spool_loan *ret, struct diag *d)
{
	struct stored *s = find(self(sp), id);
	if (!s)
		return diag_set(d, ERR_NOTFOUND, "no such message");
	if (s->fd < 0)
		s->fd = content_fd(&s->content);
	if (s->fd < 0)
		return diag_set_errno(d, -s->fd, "lending a message");
	s->loans++;
	*ret = (struct spool_loan){.segment = id, .message = id, .fd = s->fd, .length = s->content.len};
	return ERR_OK;
}

static void unlend(struct spool *sp, const struct spool_loan *loan)
{
	struct memory_spool *m = self(sp);
	struct stored *s = find(m, loan->message);
	ASSERT(s && s->loans > 0);
	if (--s->loans)
		return;
	base_close(&s->fd);
	if (s->open == 0)
		stored_free(m, s);
}

/* ---- life ---- */

static void on_turn(void *ctx)
{
	struct memory_spool *m = ctx;
	for (struct list_node *n; (n = list_pop(&m->batches));)
		commit_one(m, CONTAINER_OF(n, struct spool_batch, node));
	for (struct list_node *n; (n = list_pop(&m->readings));)
		answer(m, CONTAINER_OF(n, struct reading, node));
	for (struct list_node *n; (n = list_pop(&m->walks));)
		show(m, CONTAINER_OF(n, struct walking, node));
	if (!m->closing)
		return;
	void (*on_closed)(void *) = m->on_closed;
	void *closed_ctx = m->closed_ctx;
	MAP_EACH_SAFE (&m->messages, n, tmp) {
		stored_free(m, CONTAINER_OF(n, struct stored, node));
	}
	map_done(&m->messages);
	buf_done(&m->log.data);
	task_cancel(&m->turn);
	mem_free(m);
	if (on_closed)
		on_closed(closed_ctx);
}

static void close_spool(struct spool *sp, void (*on_closed)(void *ctx), void *ctx)
{
	struct memory_spool *m = self(sp);
	m->closing = true;
	m->on_closed = on_closed;
	m->closed_ctx = ctx;
	task_cancel(&m->opened);
	task_defer(&m->turn);
}

static enum err may_write(struct spool *sp, struct diag *d)
{
	return self(sp)->closing ? diag_set(d, ERR_BUSY, "the spool is closed") : ERR_OK;
}

static void stats(const struct spool *sp, struct spool_stats *ret)
{
	const struct memory_spool *m = CONTAINER_OF(sp, const struct memory_spool, spool);
	*ret = (struct spool_stats){.live = m->messages.count, .commits = m->commits, .batches = m->commits};
}

static const struct spool_ops ops = {
	.close = close_spool,
	.may_write = may_write,
	.commit = commit,
	.lend = lend,
	.unlend = unlend,
	.read = read_message,
	.walk = walk,
	.stats = stats,
};

static void on_opened(void *ctx)
{
	struct memory_spool *m = ctx;
	struct spool_report r = {.generation = m->spool.generation};
	m->spool.ev->on_ready(m->spool.ctx, ERR_OK, &r, NULL);
}

enum err spool_open_memory(struct loop *l, const struct spool_options *o, const struct spool_events *ev,
			   void *ctx, struct spool **ret, struct diag *d)
{
	struct memory_spool *m = NEW(struct memory_spool);
	if (!m)
		return diag_set(d, ERR_NOMEM, "no memory for the spool");
	spool_init(&m->spool, &ops, l, o, ev, ctx);
	m->spool.generation = 1;
	map_init(&m->messages, stored_eq);
	buf_init(&m->log.data, 256u << 20);
	list_init(&m->batches);
	list_init(&m->readings);
	list_init(&m->walks);
	task_init(&m->turn, l, on_turn, m);
	task_init(&m->opened, l, on_opened, m);
	task_defer(&m->opened);
	*ret = &m->spool;
	return ERR_OK;
}
