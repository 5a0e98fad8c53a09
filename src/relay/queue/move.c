#include "relay/queue/move.h"

#include "core/mem.h"
#include "relay/queue/transfer_file.h"

#define AGAIN_MS     1000    /* the spool refused: the change is offered again */
#define TIDY_MS      3600000 /* how often markers that nobody needs are looked for */
#define REMOVE_CHUNK 4000    /* recipients that one batch removes */
#define VERDICT_MAX  128     /* octets of one of our verdicts */

/* One durable change under way. */
struct change {
	struct list_node node; /* in queue.moves.changes */
	struct queue *queue;
	struct move *move;
	enum record_verdict_kind kind; /* a decision */
	const char *text;              /* a removal: why; NULL: a decision */
	move_done_fn *done;
	void *ctx;
	struct timer again;
	uint64_t marker;
	size_t next, upto; /* a removal: the spool has removed so many; is removing so many */
	bool offered;      /* the spool has it */
};

/* ---- what is known ---- */

struct move *move_find(const struct queue *q, uint64_t export)
{
	LIST_EACH_SAFE (&q->moves.known, n, tmp) {
		struct move *mv = CONTAINER_OF(n, struct move, node);
		if (mv->export == export)
			return mv;
	}
	return NULL;
}

struct move *move_new(struct queue *q, uint64_t export, enum record_verdict_kind kind)
{
	struct move *mv = NEW(struct move);
	if (!mv)
		return NULL;
	mv->queue = q;
	mv->export = export;
	mv->kind = (uint8_t)kind;
	list_push_back(&q->moves.known, &mv->node);
	return mv;
}

enum err move_add(struct move *mv, uint64_t id)
{
	if (mv->count == mv->cap) {
		size_t cap = mv->cap ? mv->cap * 2 : 64;
		uint64_t *more = mem_resize(mv->ids, cap * sizeof(*more));
		if (!more)
			return ERR_NOMEM;
		mv->ids = more;
		mv->cap = cap;
	}
	mv->ids[mv->count++] = id;
	return ERR_OK;
}

void move_forget(struct move *mv)
{
	list_remove(&mv->queue->moves.known, &mv->node);
	mem_free(mv->ids);
	mem_free(mv);
}

/* ---- messages ---- */

bool message_waits(const struct message *m)
{
	for (uint32_t i = 0; i < m->count; i++)
		if (m->recipients[i].place != PLACE_SCHEDULED && m->recipients[i].place != PLACE_DONE)
			return false;
	return !m->held;
}

void message_withdraw(struct queue *q, struct message *m, uint8_t claim)
{
	m->held = true;
	m->claim = claim;
	for (uint32_t i = 0; i < m->count; i++) {
		struct recipient *r = &m->recipients[i];
		if (r->place == PLACE_DONE)
			continue;
		sched_remove(q->sched, &r->entry);
		recipient_move(r, PLACE_HELD);
	}
}

void message_release(struct queue *q, struct message *m)
{
	m->held = false;
	m->claim = RECORD_VERDICT_NONE;
	for (uint32_t i = 0; i < m->count; i++)
		if (m->recipients[i].place == PLACE_HELD)
			recipient_schedule(q, &m->recipients[i], loop_now(q->env.loop));
}

static void message_end(struct queue *q, struct message *m)
{
	for (uint32_t i = 0; i < m->count; i++) {
		struct recipient *r = &m->recipients[i];
		if (r->place == PLACE_DONE)
			continue;
		recipient_move(r, PLACE_RECORDING);
		recipient_move(r, PLACE_DONE);
		target_unref(r->target);
		r->target = NULL;
	}
	m->open = 0;
	index_remove(q, m);
}

/* ---- offering a change to the spool ---- */

static void offer(struct change *c);

static void on_again(void *ctx)
{
	offer(ctx);
}

static struct change *change_new(struct move *mv, move_done_fn *done, void *ctx)
{
	struct change *c = NEW(struct change);
	if (!c)
		return NULL;
	c->queue = mv->queue;
	c->move = mv;
	c->done = done;
	c->ctx = ctx;
	timer_init(&c->again, mv->queue->env.loop, on_again, c);
	list_push_back(&mv->queue->moves.changes, &c->node);
	return c;
}

static void change_free(struct change *c)
{
	timer_cancel(&c->again);
	list_remove(&c->queue->moves.changes, &c->node);
	mem_free(c);
}

static void change_end(struct change *c)
{
	struct queue *q = c->queue;
	move_done_fn *done = c->done;
	void *ctx = c->ctx;
	change_free(c);
	done(ctx); /* perhaps only because the queue has stopped */
	queue_check_drained(q);
}

/* ---- decisions ---- */

static bool is_marker(enum record_verdict_kind kind)
{
	return kind == RECORD_VERDICT_IMPORTED || kind == RECORD_VERDICT_REFUSED;
}

static void encode_verdict(const struct change *c, uint64_t id, enum record_verdict_kind kind,
			   struct buf *out)
{
	char text[TRANSFER_TEXT_MAX];
	transfer_format(c->move->export, text);
	struct record_verdict v = {.id = id,
				   .kind = (uint8_t)kind,
				   .time_ms = loop_wall(c->queue->env.loop),
				   .reason = slice_str(text)};
	buf_clear(out);
	record_verdict_encode(&v, out);
}

/* A message that is nothing but its verdict. The same record stands in its envelope, which so is none of a mail. */
static enum err add_marker(struct change *c, struct spool_batch *b, struct buf *verdict)
{
	struct spool_write *w;
	struct diag d = {0};
	c->marker = spool_next_id(c->queue->spool);
	encode_verdict(c, c->marker, c->kind, verdict);
	enum err e = spool_write_begin(c->queue->spool, c->marker, &w, &d);
	if (e)
		return e;
	e = spool_write_finish(w, 1, buf_slice(verdict), SLICE_EMPTY);
	if (!e)
		e = spool_batch_message(b, w, buf_slice(verdict), true);
	if (e)
		spool_write_abort(w);
	return e;
}

static enum err fill_decision(struct change *c, struct spool_batch *b)
{
	CLEANUP(buf_done) struct buf verdict;
	bool held = c->kind == RECORD_VERDICT_EXPORTED;
	enum err e = ERR_OK;
	buf_init(&verdict, VERDICT_MAX);
	if (is_marker(c->kind))
		e = add_marker(c, b, &verdict);
	for (size_t i = 0; !e && i < c->move->count; i++) {
		uint64_t id = c->move->ids[i];
		encode_verdict(c, id, held ? c->kind : RECORD_VERDICT_NONE, &verdict);
		e = spool_batch_hold(b, id, held);
		if (!e)
			e = spool_batch_verdict(b, id, buf_slice(&verdict));
	}
	return e;
}

static void apply_decision(struct change *c)
{
	c->move->kind = (uint8_t)c->kind;
	if (is_marker(c->kind)) {
		c->move->marker = c->marker;
		c->move->since_ms = loop_wall(c->queue->env.loop);
	}
	change_end(c);
}

/* ---- removals ---- */

static enum err remove_message(struct change *c, struct spool_batch *b, const struct message *m)
{
	CLEANUP(buf_done) struct buf record;
	enum err e = ERR_OK;
	buf_init(&record, WIRE_PART_MAX);
	for (uint32_t i = 0; !e && i < m->count; i++) {
		struct record_result r = {.id = m->id,
					  .ordinal = i,
					  .attempt = m->recipients[i].attempts,
					  .time_ms = loop_wall(c->queue->env.loop),
					  .state = RECORD_REMOVED,
					  .text = slice_str(c->text)};
		if (m->recipients[i].place == PLACE_DONE)
			continue;
		buf_clear(&record);
		record_result_encode(&r, &record);
		e = spool_batch_result(b, m->id, i, SPOOL_REMOVED, buf_slice(&record));
	}
	return e;
}

static enum err fill_removal(struct change *c, struct spool_batch *b)
{
	enum err e = ERR_OK;
	uint64_t recipients = 0;
	for (c->upto = c->next; !e && c->upto < c->move->count && recipients < REMOVE_CHUNK; c->upto++) {
		const struct message *m = index_find(c->queue, c->move->ids[c->upto]);
		if (m)
			e = remove_message(c, b, m);
		recipients += m ? m->count : 0;
	}
	return e;
}

static void apply_removal(struct change *c)
{
	for (; c->next < c->upto; c->next++) {
		struct message *m = index_find(c->queue, c->move->ids[c->next]);
		if (m)
			message_end(c->queue, m);
	}
	if (c->next < c->move->count) {
		offer(c);
		return;
	}
	move_forget(c->move);
	change_end(c);
}

/* ---- both ---- */

static void on_offered(void *ctx, enum spool_outcome outcome, const struct diag *why)
{
	struct change *c = ctx;
	c->offered = false;
	if (c->queue->stopped) {
		change_end(c);
	} else if (outcome != SPOOL_COMMITTED) { /* UNKNOWN too: what is there twice says the same twice */
		queue_log_spool(c->queue, "queue.move_not_stored", 0, why);
		timer_set(&c->again, AGAIN_MS);
	} else if (c->text) {
		apply_removal(c);
	} else {
		apply_decision(c);
	}
}

static void offer(struct change *c)
{
	struct spool_batch *b = spool_batch_new(c->queue->spool);
	if (b && (c->text ? fill_removal(c, b) : fill_decision(c, b)) == ERR_OK) {
		c->offered = true;
		spool_batch_commit(b, on_offered, c);
		return;
	}
	if (b)
		spool_batch_abort(b);
	timer_set(&c->again, AGAIN_MS);
}

enum err move_decide(struct queue *q, struct move *mv, enum record_verdict_kind kind, move_done_fn *done,
		     void *ctx)
{
	struct change *c = change_new(mv, done, ctx);
	if (!c)
		return ERR_NOMEM;
	c->kind = kind;
	offer(c);
	return ERR_OK;
}

enum err move_remove(struct queue *q, struct move *mv, const char *text, move_done_fn *done, void *ctx)
{
	struct change *c = change_new(mv, done, ctx);
	if (!c)
		return ERR_NOMEM;
	c->text = text;
	offer(c);
	return ERR_OK;
}

/* ---- opening ---- */

static bool verdict_of(const struct spool_live *live, struct record_verdict *ret_v, uint64_t *ret_export)
{
	return live->verdict.len && record_verdict_decode(live->verdict, ret_v) == ERR_OK &&
	       ret_v->kind >= RECORD_VERDICT_EXPORTED && transfer_parse(ret_v->reason, ret_export) == ERR_OK;
}

/* Without memory for it the queue does not open: to forget a marker would mean to take an export twice. */
static struct move *known_or_new(struct queue *q, uint64_t export, uint8_t kind)
{
	struct move *mv = move_find(q, export);
	return mv ? mv : move_new(q, export, (enum record_verdict_kind)kind);
}

bool moves_is_marker(struct queue *q, const struct spool_live *live)
{
	struct record_verdict v;
	uint64_t export;
	if (!verdict_of(live, &v, &export) || !is_marker((enum record_verdict_kind)v.kind))
		return false;
	struct move *mv = known_or_new(q, export, v.kind);
	ASSERT(mv);
	mv->marker = live->id;
	mv->since_ms = live->time_ms;
	return true;
}

void moves_on_live(struct queue *q, const struct spool_live *live)
{
	struct message *m = index_find(q, live->id);
	struct record_verdict v;
	uint64_t export;
	if (!m || !m->held || !verdict_of(live, &v, &export))
		return;
	struct move *mv = known_or_new(q, export, v.kind);
	if (mv && move_add(mv, m->id) == ERR_OK)
		m->claim = v.kind;
}

static void on_dropped(void *ctx)
{
	struct queue *q = ctx;
	if (!q->stopped)
		log_event(q->env.log, LOG_WARNING, "queue.import_dropped", "why",
			  "it did not get to the end of its file", NULL);
}

void moves_opened(struct queue *q)
{
	LIST_EACH_SAFE (&q->moves.known, n, tmp) {
		struct move *mv = CONTAINER_OF(n, struct move, node);
		if (mv->kind == RECORD_VERDICT_IMPORTING &&
		    move_remove(q, mv, "an import that did not get to its end", on_dropped, q) != ERR_OK)
			queue_log_spool(q, "queue.import_not_dropped", 0,
					NULL); /* it stays held until the next opening */
	}
	timer_set(&q->moves.tidy, TIDY_MS);
}

/* ---- markers that are old enough ---- */

static void on_marker_removed(void *ctx, enum spool_outcome outcome, const struct diag *why)
{
	(void)outcome; /* if it is still there, the next opening finds it, and so this */
}

static void remove_marker(struct queue *q, struct move *mv)
{
	struct spool_batch *b = spool_batch_new(q->spool);
	if (!b)
		return;
	if (spool_batch_result(b, mv->marker, 0, SPOOL_REMOVED, SLICE_EMPTY) != ERR_OK) {
		spool_batch_abort(b);
		return;
	}
	spool_batch_commit(b, on_marker_removed, q);
	move_forget(mv);
}

static void on_tidy(void *ctx)
{
	struct queue *q = ctx;
	int64_t before = loop_wall(q->env.loop) - (int64_t)QUEUE_MARKER_MS;
	LIST_EACH_SAFE (&q->moves.known, n, tmp) {
		struct move *mv = CONTAINER_OF(n, struct move, node);
		if (mv->marker && mv->since_ms < before)
			remove_marker(q, mv);
	}
	timer_set(&q->moves.tidy, TIDY_MS);
}

void moves_init(struct queue *q)
{
	list_init(&q->moves.known);
	list_init(&q->moves.changes);
	timer_init(&q->moves.tidy, q->env.loop, on_tidy, q);
}

/* What the spool has at this moment is freed when it is done with it. */
void moves_stop(struct queue *q)
{
	timer_cancel(&q->moves.tidy);
	LIST_EACH_SAFE (&q->moves.changes, n, tmp) {
		struct change *c = CONTAINER_OF(n, struct change, node);
		if (!c->offered)
			change_end(c);
	}
}

void moves_free(struct queue *q)
{
	LIST_EACH_SAFE (&q->moves.known, n, tmp) {
		move_forget(CONTAINER_OF(n, struct move, node));
	}
}
