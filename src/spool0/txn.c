#include "spool0/spool_priv.h"

#include "core/cursor.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- the spool itself ---- */

void spool_init(struct spool *sp, const struct spool_ops *ops, struct loop *l, const struct spool_options *o,
		const struct spool_events *ev, void *ctx)
{
	sp->ops = ops;
	sp->loop = l;
	sp->ev = ev;
	sp->ctx = ctx;
	sp->o = *o;
	if (!sp->o.segment_size)
		sp->o.segment_size = SPOOL_SEGMENT_DEFAULT;
	if (!sp->o.large_threshold)
		sp->o.large_threshold = SPOOL_LARGE_DEFAULT;
	if (!sp->o.disk_reserve)
		sp->o.disk_reserve = SPOOL_RESERVE_DEFAULT;
}

void spool_set_health(struct spool *sp, enum spool_health h, const struct diag *why)
{
	if (sp->health == h)
		return;
	sp->health = h;
	sp->ev->on_health(sp->ctx, h, why);
}

void spool_close(struct spool *sp, void (*on_closed)(void *ctx), void *ctx)
{
	sp->ops->close(sp, on_closed, ctx);
}

uint64_t spool_next_id(struct spool *sp)
{
	return sp->generation << 32 | ++sp->next;
}

enum spool_health spool_health(const struct spool *sp)
{
	return sp->health;
}

enum err spool_lend(struct spool *sp, uint64_t id, struct spool_loan *ret, struct diag *d)
{
	return sp->ops->lend(sp, id, ret, d);
}

void spool_unlend(struct spool *sp, const struct spool_loan *loan)
{
	sp->ops->unlend(sp, loan);
}

void spool_read(struct spool *sp, uint64_t id, spool_read_fn *fn, void *ctx)
{
	sp->ops->read(sp, id, fn, ctx);
}

enum err spool_walk(struct spool *sp, const struct spool_walk *w)
{
	return sp->ops->walk(sp, w);
}

void spool_stats(const struct spool *sp, struct spool_stats *ret)
{
	sp->ops->stats(sp, ret);
}

/* ---- writes ---- */

enum err spool_write_begin(struct spool *sp, uint64_t id, struct spool_write **ret, struct diag *d)
{
	enum err e = sp->ops->may_write(sp, d);
	if (!e && sp->pending > SPOOL_PENDING_MAX)
		e = diag_set(d, ERR_LIMIT, "more than %u MiB wait for the disk", SPOOL_PENDING_MAX >> 20);
	if (e)
		return e;
	struct spool_write *w = NEW(struct spool_write);
	if (!w)
		return diag_set(d, ERR_NOMEM, "no memory for a message");
	w->spool = sp;
	w->id = id;
	buf_init(&w->content, SPOOL_CONTENT_MAX);
	buf_init(&w->envelope, SPOOL_PAYLOAD_MAX);
	buf_init(&w->edits, SPOOL_PAYLOAD_MAX);
	*ret = w;
	return ERR_OK;
}

enum err spool_write_append(struct spool_write *w, struct slice content)
{
	ASSERT(!w->finished);
	if (w->failed)
		return ERR_IO;
	w->length += content.len;
	buf_add(&w->content, content);
	if (w->content.failed)
		return w->content.failed;
	w->spool->pending += content.len;
	return w->spool->ops->append ? w->spool->ops->append(w, content) : ERR_OK;
}

void spool_write_on_drain(struct spool_write *w, void (*on_drain)(void *ctx), void *ctx)
{
	w->on_drain = on_drain;
	w->drain_ctx = ctx;
	w->want_drain = true;
}

enum err spool_write_finish(struct spool_write *w, uint32_t recipients, struct slice envelope,
			    struct slice edits)
{
	ASSERT(!w->finished && recipients > 0);
	if (recipients > SPOOL_RECIPIENTS_MAX)
		return ERR_LIMIT;
	w->recipients = recipients;
	buf_add(&w->envelope, envelope);
	buf_add(&w->edits, edits);
	if (w->envelope.failed || w->edits.failed)
		return ERR_LIMIT;
	w->finished = true;
	return w->spool->ops->finish ? w->spool->ops->finish(w) : ERR_OK;
}

void txn_write_free(struct spool_write *w)
{
	if (!w)
		return;
	if (w->spool->ops->drop)
		w->spool->ops->drop(w);
	w->spool->pending -= w->content.len;
	buf_done(&w->content);
	buf_done(&w->envelope);
	buf_done(&w->edits);
	mem_free(w);
}

void spool_write_abort(struct spool_write *w)
{
	txn_write_free(w);
}

/* ---- batches ---- */

struct spool_batch *spool_batch_new(struct spool *sp)
{
	struct spool_batch *b = NEW(struct spool_batch);
	if (!b)
		return NULL;
	b->spool = sp;
	list_init(&b->ops);
	return b;
}

static struct op *op_add(struct spool_batch *b, enum op_kind kind, uint64_t id, struct slice payload)
{
	if (payload.len > SPOOL_PAYLOAD_MAX)
		return NULL;
	struct op *op = mem_alloc(sizeof(*op) + payload.len);
	if (!op)
		return NULL;
	op->kind = kind;
	op->id = id;
	op->payload = slice_of(op + 1, payload.len);
	if (payload.len)
		memcpy(op + 1, payload.ptr, payload.len);
	list_push_back(&b->ops, &op->node);
	return op;
}

enum err spool_batch_message(struct spool_batch *b, struct spool_write *w, struct slice verdict, bool held)
{
	ASSERT(w->finished);
	struct op *op = op_add(b, OP_MESSAGE, w->id, verdict);
	if (!op)
		return ERR_NOMEM;
	op->state = held;
	op->write = w;
	return ERR_OK;
}

enum err spool_batch_result(struct spool_batch *b, uint64_t id, uint32_t ordinal, enum spool_state s,
			    struct slice payload)
{
	struct op *op = op_add(b, OP_RESULT, id, payload);
	if (!op)
		return ERR_NOMEM;
	op->ordinal = ordinal;
	op->state = (uint8_t)s;
	return ERR_OK;
}

enum err spool_batch_verdict(struct spool_batch *b, uint64_t id, struct slice payload)
{
	return op_add(b, OP_VERDICT, id, payload) ? ERR_OK : ERR_NOMEM;
}

enum err spool_batch_hold(struct spool_batch *b, uint64_t id, bool held)
{
	struct op *op = op_add(b, OP_HOLD, id, SLICE_EMPTY);
	if (!op)
		return ERR_NOMEM;
	op->state = held;
	return ERR_OK;
}

void txn_batch_free(struct spool_batch *b)
{
	for (struct list_node *n; (n = list_pop(&b->ops));) {
		struct op *op = CONTAINER_OF(n, struct op, node);
		txn_write_free(op->write);
		mem_free(op->entry);
		mem_free(op);
	}
	mem_free(b);
}

void spool_batch_abort(struct spool_batch *b)
{
	/* Writes stay their owner's until the commit. */
	LIST_EACH_SAFE (&b->ops, n, tmp) {
		CONTAINER_OF(n, struct op, node)->write = NULL;
	}
	txn_batch_free(b);
}

void spool_batch_commit(struct spool_batch *b, spool_done_fn *done, void *ctx)
{
	b->done = done;
	b->ctx = ctx;
	b->spool->ops->commit(b);
}

/* ---- walks ---- */

void walk_add(struct walk_items *w, const struct spool_item *item)
{
	buf_add_u32(&w->data, (uint32_t)item->payload.len);
	buf_add_u8(&w->data, (uint8_t)item->kind);
	buf_add_u8(&w->data, item->state);
	buf_add_u64(&w->data, item->id);
	buf_add_u32(&w->data, item->ordinal);
	buf_add(&w->data, item->payload);
	w->count += !w->data.failed;
}

static struct spool_item item_read(struct cursor *c)
{
	uint32_t len = cursor_u32(c);
	struct spool_item it = {.kind = (enum spool_record)cursor_u8(c), .state = cursor_u8(c)};
	it.id = cursor_u64(c);
	it.ordinal = cursor_u32(c);
	it.payload = cursor_bytes(c, len);
	return it;
}

void walk_filter(const struct walk_items *from, uint64_t id, struct walk_items *to)
{
	struct cursor c = cursor_of(buf_slice(&from->data));
	for (uint32_t i = 0; i < from->count; i++) {
		struct spool_item it = item_read(&c);
		if (it.id == id)
			walk_add(to, &it);
	}
}

void walk_show(const struct walk_items *items, const struct spool_walk *w)
{
	struct cursor c = cursor_of(buf_slice(&items->data));
	struct spool_item *all = mem_alloc((items->count + 1) * sizeof(*all));
	if (!all)
		return;
	for (uint32_t i = 0; i < items->count; i++)
		all[i] = item_read(&c);
	uint32_t shown = MIN(items->count, w->max);
	for (uint32_t i = 0; i < shown; i++)
		w->fn(w->ctx, &all[w->newest_first ? items->count - 1 - i : i]);
	mem_free(all);
}
