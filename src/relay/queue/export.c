/* `tidegate queue export`: what waits is withdrawn, copied into the file a message at a time, then given up in one batch.
 *
 *   begin: withdraw -> BEGIN -> (read envelope and edits -> copy content)* -> sync -> EXPORTED durable -> END -> answer
 *
 * Until EXPORTED is offered to the spool everything can be undone by releasing the messages; then nothing is.
 */
#include "core/mem.h"
#include "relay/queue/transfer.h"

#include <stdlib.h>
#include <string.h>

struct exporting {
	struct transfer t;
	size_t next; /* index in the move's ids */
	struct spool_loan loan;
	bool lent;
};

/* ---- undoing ---- */

static void take_back(struct exporting *x)
{
	struct transfer *t = &x->t;
	for (size_t i = 0; i < t->move->count; i++) {
		struct message *m = index_find(t->queue, t->move->ids[i]);
		if (m)
			message_release(t->queue, m);
	}
	move_forget(t->move);
	t->move = NULL;
}

static void give_up(struct exporting *x)
{
	const struct transfer_io *io = &x->t.io;
	take_back(x);
	transfer_end(&x->t, io->status, "nothing was exported: %s: %s",
		     io->source ? "the spool cannot be read" : "the file cannot be written",
		     strerror(io->errnum));
}

/* True: nothing more is to be done. */
static bool stop_here(struct exporting *x)
{
	if (!transfer_over(&x->t))
		return false;
	take_back(x);
	transfer_end(&x->t, ERR_CANCELLED, "nothing was exported: it was broken off");
	return true;
}

/* ---- steps ---- */

static void next_message(struct exporting *x);

static void write_frame(struct exporting *x, void (*done)(void *ctx))
{
	x->t.pending++;
	transfer_io_write(&x->t.io, done, x);
}

static void on_end_synced(void *ctx)
{
	struct exporting *x = ctx;
	struct transfer *t = &x->t;
	char text[TRANSFER_TEXT_MAX];
	if (transfer_back(t))
		return;
	transfer_format(t->export, text);
	t->result = "exported";
	if (t->io.status) /* perhaps it is there, perhaps not: only people can look */
		transfer_end(t, t->io.status,
			     "the end of the file could not be written (%s). If `tidegate queue import` "
			     "takes it on the other "
			     "relay, acknowledge %s here; if not, reclaim it",
			     strerror(t->io.errnum), text);
	else
		transfer_end(t, ERR_OK,
			     "next: `tidegate queue import` on the other relay; then here: `tidegate queue "
			     "acknowledge %s`",
			     text);
}

static void sync_file(struct exporting *x, void (*done)(void *ctx))
{
	x->t.pending++;
	transfer_io_sync(&x->t.io, done, x);
}

static void on_end_written(void *ctx)
{
	struct exporting *x = ctx;
	struct transfer *t = &x->t;
	if (t->io.status) {
		on_end_synced(x); /* says what that means */
		return;
	}
	if (!transfer_back(t))
		sync_file(x, on_end_synced);
}

static void on_exported(void *ctx)
{
	struct exporting *x = ctx;
	struct transfer *t = &x->t;
	if (transfer_back(t))
		return;
	t->messages = t->move->count;
	buf_clear(&t->io.meta);
	transfer_end_encode(&(struct transfer_end){.export = t->export, .messages = t->messages},
			    &t->io.meta);
	transfer_io_frame(&t->io, TRANSFER_END, -1, 0, 0);
	write_frame(x, on_end_written);
}

static void on_synced(void *ctx)
{
	struct exporting *x = ctx;
	struct transfer *t = &x->t;
	if (transfer_back(t) || stop_here(x))
		return;
	if (t->io.status) {
		give_up(x);
		return;
	}
	t->pending++;
	if (move_decide(t->queue, t->move, RECORD_VERDICT_EXPORTED, on_exported, x) == ERR_OK)
		return;
	t->pending--;
	take_back(x);
	transfer_end(t, ERR_NOMEM, "nothing was exported: no memory");
}

static void unlend(struct exporting *x)
{
	if (x->lent)
		spool_unlend(x->t.queue->spool, &x->loan);
	x->lent = false;
}

static void on_copied(void *ctx)
{
	struct exporting *x = ctx;
	struct transfer *t = &x->t;
	bool more = !t->io.status && t->io.left;
	if (!more || t->queue->stopped || transfer_over(t))
		unlend(x);
	if (transfer_back(t) || stop_here(x))
		return;
	if (t->io.status) {
		give_up(x);
	} else if (more) {
		write_frame(x, on_copied);
	} else {
		t->octets += t->io.head.content_len;
		x->next++;
		next_message(x);
	}
}

static void encode_message(struct exporting *x, const struct message *m, struct slice envelope,
			   struct slice edits)
{
	struct transfer_recipient *r = mem_alloc(m->count * sizeof(*r));
	for (uint32_t i = 0; r && i < m->count; i++)
		r[i] = (struct transfer_recipient){m->recipients[i].state, m->recipients[i].attempts};
	buf_clear(&x->t.io.meta);
	if (r)
		transfer_message_encode(&(struct transfer_message){.number = x->next,
								   .envelope = envelope,
								   .edits = edits,
								   .count = m->count,
								   .recipients = r},
					&x->t.io.meta);
	else
		x->t.io.meta.failed = ERR_NOMEM;
	mem_free(r);
}

static enum err begin_copy(struct exporting *x, const struct message *m, struct slice envelope,
			   struct slice edits)
{
	struct diag d = {0};
	encode_message(x, m, envelope, edits);
	if (x->t.io.meta.failed)
		return x->t.io.meta.failed;
	enum err e = spool_lend(x->t.queue->spool, m->id, &x->loan, &d);
	if (e)
		return e;
	x->lent = true;
	transfer_io_frame(&x->t.io, TRANSFER_MESSAGE, x->loan.fd, x->loan.offset, x->loan.length);
	write_frame(x, on_copied);
	return ERR_OK;
}

/* What cannot be read stays here: the queue tells about it when it is to be delivered. */
static void leave_out(struct exporting *x, struct message *m)
{
	struct move *mv = x->t.move;
	if (m)
		message_release(x->t.queue, m);
	mv->ids[x->next] = mv->ids[--mv->count];
	x->t.skipped++;
	next_message(x);
}

static void on_payload(void *ctx, enum err e, struct slice envelope, struct slice edits)
{
	struct exporting *x = ctx;
	if (transfer_back(&x->t))
		return;
	struct message *m = index_find(x->t.queue, x->t.move->ids[x->next]);
	if (!e && m)
		e = begin_copy(x, m, envelope, edits);
	if (e || !m)
		leave_out(x, m);
}

static void next_message(struct exporting *x)
{
	struct transfer *t = &x->t;
	if (stop_here(x))
		return;
	if (x->next == t->move->count) {
		sync_file(x, on_synced);
		return;
	}
	t->pending++;
	spool_read(t->queue->spool, t->move->ids[x->next], on_payload, x);
}

static void on_begun(void *ctx)
{
	struct exporting *x = ctx;
	if (transfer_back(&x->t) || stop_here(x))
		return;
	if (x->t.io.status)
		give_up(x);
	else
		next_message(x);
}

/* ---- beginning ---- */

static int by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* The oldest that wait; those just being delivered stay. */
static enum err choose(struct exporting *x)
{
	struct transfer *t = &x->t;
	struct move *mv = t->move;
	enum err e = ERR_OK;
	MAP_EACH_SAFE (&t->queue->messages, n, tmp) {
		const struct message *m = CONTAINER_OF(n, struct message, node);
		if (!e && message_waits(m))
			e = move_add(mv, m->id);
		t->skipped += !m->held && !message_waits(m);
	}
	if (mv->count)
		qsort(mv->ids, mv->count, sizeof(*mv->ids), by_id);
	mv->count = MIN(mv->count, (size_t)t->limit);
	for (size_t i = 0; !e && i < mv->count; i++)
		message_withdraw(t->queue, index_find(t->queue, mv->ids[i]), RECORD_VERDICT_EXPORTED);
	return e;
}

static void write_begin(struct exporting *x)
{
	struct queue *q = x->t.queue;
	transfer_begin_encode(&(struct transfer_begin){.export = x->t.export,
						       .time_ms = loop_wall(q->env.loop),
						       .host = q->env.conf->hostname},
			      &x->t.io.meta);
	transfer_io_frame(&x->t.io, TRANSFER_BEGIN, -1, 0, 0);
	write_frame(x, on_begun);
}

static void begin(struct transfer *t)
{
	struct exporting *x = CONTAINER_OF(t, struct exporting, t);
	while (t->export == 0)
		loop_random(t->queue->env.loop, &t->export, sizeof(t->export));
	t->move = move_new(t->queue, t->export, RECORD_VERDICT_NONE);
	enum err e = t->move ? choose(x) : ERR_NOMEM;
	if (!e && t->move->count) {
		write_begin(x);
		return;
	}
	if (t->move)
		move_forget(t->move);
	t->move = NULL;
	transfer_end(t, e ? e : ERR_NOTFOUND, "%s",
		     e ? "no memory" : "no mail waits here that could be exported");
}

static void release(struct transfer *t)
{
	struct exporting *x = CONTAINER_OF(t, struct exporting, t);
	unlend(x);
}

const struct transfer_kind transfer_export = {.verb = CTL_QUEUE_EXPORT,
					      .file = true,
					      .size = sizeof(struct exporting),
					      .begin = begin,
					      .free = release};
