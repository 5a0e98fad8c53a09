/* `tidegate queue import`: a file is read frame by frame; its messages are stored, held as IMPORTING. Only at its END, when
 * all are durable, one batch releases them and remembers the export as IMPORTED (move.h).
 *
 *   READ head and meta --BEGIN--> READ
 *                      --MESSAGE--> (read a chunk, append)* --> stored in the background --> READ
 *                      --END--> all stored --> IMPORTED durable --> released, answered
 *   anything wrong --> what was stored is removed --> answered
 */
#include "core/mem.h"
#include "mail/edits.h"
#include "relay/queue/transfer.h"

#include <stdio.h>
#include <string.h>

#define DAY_MS  86400000
#define DAMAGED "the file is damaged"
#define STRANGE "not a file of `tidegate queue export`"

struct importing {
	struct transfer t;
	struct slice host; /* in host_text */
	char host_text[TRANSFER_NAME_MAX];
	struct stored *current;    /* owned; the message being taken */
	struct spool_write *write; /* owned; its content */
	uint64_t number;           /* of the next message */
	unsigned storing;          /* messages that wait for the disk */
	bool reading;              /* a step is under way, or the spool lets us wait */
	bool begun, ended;         /* BEGIN, END has come */
	bool failed, removing;
};

/* A message on its way into the spool. */
struct stored {
	struct importing *import;
	uint64_t id;
	uint32_t count;
	struct buf envelope, edits;
	uint8_t *states;    /* owned */
	uint16_t *attempts; /* owned */
};

static void read_frame(struct importing *x);
static void go_on(struct importing *x);

/* ---- giving up ---- */

static void stored_free(struct stored *s)
{
	if (!s)
		return;
	buf_done(&s->envelope);
	buf_done(&s->edits);
	mem_free(s->states);
	mem_free(s->attempts);
	mem_free(s);
}

static void drop_current(struct importing *x)
{
	if (x->write)
		spool_write_abort(x->write);
	x->write = NULL;
	stored_free(x->current);
	x->current = NULL;
}

static void on_removed(void *ctx)
{
	struct importing *x = ctx;
	x->t.move = NULL;
	if (!transfer_back(&x->t))
		task_defer(&x->t.end); /* fail() has set the answer */
}

/* Nothing is read or stored any more: what is in the spool goes, then comes the answer. */
static void undo(struct importing *x)
{
	struct transfer *t = &x->t;
	x->removing = true;
	t->pending++;
	if (t->move && t->move->count &&
	    move_remove(t->queue, t->move, "an import that did not get to its end", on_removed, x) == ERR_OK)
		return;
	t->pending--;
	if (t->move && t->move->count == 0)
		move_forget(t->move); /* else, for want of memory, the next opening does it */
	t->move = NULL;
	task_defer(&t->end);
}

static void fail(struct importing *x, enum err status, const char *text)
{
	if (!x->failed) {
		x->t.status = status;
		snprintf(x->t.text, sizeof(x->t.text), "nothing was imported: %s", text);
	}
	x->failed = true;
	go_on(x);
}

static void fail_reading(struct importing *x)
{
	const struct transfer_io *io = &x->t.io;
	if (io->status == ERR_IO)
		fail(x, ERR_IO, strerror(io->errnum));
	else if (io->status == ERR_CLOSED)
		fail(x, ERR_CORRUPT,
		     "the file ends too early. An export that did not get to its end gave nothing away: "
		     "export again");
	else if (io->status == ERR_CORRUPT)
		fail(x, ERR_CORRUPT, x->begun ? DAMAGED : STRANGE);
	else
		fail(x, io->status, err_name(io->status));
}

/* ---- the end ---- */

static void on_imported(void *ctx)
{
	struct importing *x = ctx;
	struct transfer *t = &x->t;
	char text[TRANSFER_TEXT_MAX];
	if (transfer_back(t))
		return;
	for (size_t i = 0; i < t->move->count; i++) {
		struct message *m = index_find(t->queue, t->move->ids[i]);
		if (m)
			message_release(t->queue, m);
	}
	transfer_format(t->export, text);
	t->messages = t->move->count;
	t->result = "imported";
	t->move->count = 0; /* they are mail like any other now */
	t->move = NULL;
	transfer_end(t, ERR_OK,
		     "they are delivered from here. Next, on %.*s: `tidegate queue acknowledge %s`",
		     SLICE_ARG(x->host), text);
}

static void decide(struct importing *x)
{
	struct transfer *t = &x->t;
	t->pending++;
	if (move_decide(t->queue, t->move, RECORD_VERDICT_IMPORTED, on_imported, x) == ERR_OK)
		return;
	t->pending--;
	fail(x, ERR_NOMEM, "no memory");
}

/* After each step, also those in the background: what now? */
static void go_on(struct importing *x)
{
	if (!x->failed && !x->ended && transfer_over(&x->t)) {
		fail(x, ERR_CANCELLED, "it was broken off");
		return;
	}
	if (x->reading || x->removing)
		return;
	if (x->failed) {
		drop_current(x);
		if (x->storing == 0)
			undo(x);
	} else if (x->ended && x->storing == 0) {
		x->reading = true; /* nothing more comes */
		decide(x);
	} else if (!x->ended && x->storing < QUEUE_IMPORT_AHEAD) {
		read_frame(x);
	}
}

/* ---- storing a message ---- */

static enum err index_stored(struct queue *q, const struct stored *s)
{
	struct slice *none = mem_alloc(s->count * sizeof(*none));
	struct spool_live live = {.id = s->id,
				  .time_ms = loop_wall(q->env.loop),
				  .recipients = s->count,
				  .states = s->states,
				  .results = none,
				  .envelope = buf_slice(&s->envelope),
				  .held = true};
	enum err e = none ? index_add_live(q, &live) : ERR_NOMEM;
	struct message *m = e ? NULL : index_find(q, s->id);
	mem_free(none);
	for (uint32_t i = 0; m && i < m->count; i++)
		m->recipients[i].attempts = s->attempts[i];
	if (m)
		m->claim = RECORD_VERDICT_IMPORTING;
	return m ? ERR_OK : e ? e : ERR_CORRUPT;
}

static void on_stored(void *ctx, enum spool_outcome outcome, const struct diag *why)
{
	struct stored *s = ctx;
	struct importing *x = s->import;
	enum err e = outcome == SPOOL_COMMITTED ? ERR_OK : why && why->code ? why->code : ERR_IO;
	x->storing--;
	if (transfer_back(&x->t)) {
		stored_free(s);
		return;
	}
	if (!e)
		e = index_stored(x->t.queue, s);
	if (!e)
		e = move_add(x->t.move, s->id);
	stored_free(s);
	if (e)
		fail(x, e, e == ERR_NOSPACE ? "the disk is full" : "the spool could not store it");
	else
		go_on(x);
}

static enum err add_results(struct importing *x, struct spool_batch *b, const struct stored *s)
{
	CLEANUP(buf_done) struct buf record, text;
	enum err e = ERR_OK;
	buf_init(&record, WIRE_PART_MAX);
	buf_init(&text, TRANSFER_NAME_MAX + 32);
	buf_add_str(&text, "as it was on ");
	buf_add(&text, x->host);
	for (uint32_t i = 0; !e && i < s->count; i++) {
		struct record_result r = {.id = s->id,
					  .ordinal = i,
					  .attempt = s->attempts[i],
					  .time_ms = loop_wall(x->t.queue->env.loop),
					  .state = s->states[i],
					  .text = buf_slice(&text)};
		if (s->states[i] == RECORD_QUEUED)
			continue;
		buf_clear(&record);
		record_result_encode(&r, &record);
		e = spool_batch_result(b, s->id, i, (enum spool_state)s->states[i], buf_slice(&record));
	}
	return e;
}

static enum err fill(struct importing *x, struct spool_batch *b, struct stored *s)
{
	CLEANUP(buf_done) struct buf verdict;
	char text[TRANSFER_TEXT_MAX];
	transfer_format(x->t.export, text);
	struct record_verdict v = {.id = s->id,
				   .kind = RECORD_VERDICT_IMPORTING,
				   .time_ms = loop_wall(x->t.queue->env.loop),
				   .reason = slice_str(text)};
	buf_init(&verdict, WIRE_PART_MAX);
	record_verdict_encode(&v, &verdict);
	enum err e = spool_write_finish(x->write, s->count, buf_slice(&s->envelope), buf_slice(&s->edits));
	if (!e)
		e = spool_batch_message(b, x->write, buf_slice(&verdict), true);
	if (e)
		return e;
	x->write = NULL;
	return add_results(x, b, s);
}

static void store(struct importing *x)
{
	struct transfer *t = &x->t;
	struct stored *s = x->current;
	struct spool_batch *b = spool_batch_new(t->queue->spool);
	enum err e = b ? fill(x, b, s) : ERR_NOMEM;
	if (e) {
		if (b)
			spool_batch_abort(b);
		fail(x, e, "the spool cannot store it");
		return;
	}
	x->current = NULL;
	x->storing++;
	t->pending++;
	t->octets += t->io.head.content_len;
	spool_batch_commit(b, on_stored, s);
	go_on(x);
}

/* ---- content ---- */

static void read_piece(struct importing *x);

static void content_goes_on(struct importing *x)
{
	x->reading = false;
	if (x->failed || transfer_over(&x->t))
		go_on(x);
	else if (x->t.io.left)
		read_piece(x);
	else
		store(x);
}

static void on_drain(void *ctx)
{
	content_goes_on(ctx);
}

static void on_piece(void *ctx)
{
	struct importing *x = ctx;
	struct transfer_io *io = &x->t.io;
	if (transfer_back(&x->t))
		return;
	enum err e = io->status ? ERR_OK : spool_write_append(x->write, io->piece);
	x->reading = e == ERR_AGAIN;
	if (io->status)
		fail_reading(x);
	else if (e == ERR_AGAIN)
		spool_write_on_drain(x->write, on_drain, x);
	else if (e)
		fail(x, e, "the spool cannot store it");
	else
		content_goes_on(x);
}

static void read_piece(struct importing *x)
{
	x->reading = true;
	x->t.pending++;
	transfer_io_piece(&x->t.io, on_piece, x);
}

/* ---- frames ---- */

/* The envelope with an id of this relay's. */
static enum err take_envelope(struct importing *x, struct stored *s, const struct transfer_message *m)
{
	CLEANUP(arena_done) struct arena a;
	struct record_message rec;
	arena_init(&a, QUEUE_ENVELOPE_ARENA);
	uint64_t length;
	enum err e = record_message_decode(m->envelope, &a, &rec);
	if (!e)
		e = edits_check(m->edits, x->t.io.head.content_len, &length);
	if (!e && (rec.recipient_count != m->count || rec.size != x->t.io.head.content_len))
		e = ERR_CORRUPT;
	if (e)
		return e;
	rec.id = s->id;
	buf_init(&s->envelope, WIRE_ENVELOPE_MAX);
	buf_init(&s->edits, WIRE_EDITS_MAX);
	record_message_encode(&rec, &s->envelope);
	buf_add(&s->edits, m->edits);
	return s->envelope.failed ? s->envelope.failed : s->edits.failed;
}

static enum err take_recipients(struct stored *s, const struct transfer_message *m)
{
	s->count = m->count;
	s->states = mem_alloc(m->count);
	s->attempts = mem_alloc(m->count * sizeof(*s->attempts));
	for (uint32_t i = 0; s->states && s->attempts && i < m->count; i++) {
		s->states[i] = m->recipients[i].state;
		s->attempts[i] = m->recipients[i].attempts;
	}
	return s->states && s->attempts ? ERR_OK : ERR_NOMEM;
}

static enum err begin_message(struct importing *x, const struct transfer_message *m, struct diag *d)
{
	struct queue *q = x->t.queue;
	struct stored *s = x->current = NEW(struct stored);
	if (!s)
		return diag_set(d, ERR_NOMEM, "no memory");
	s->import = x;
	s->id = spool_next_id(q->spool);
	enum err e = take_recipients(s, m);
	if (!e)
		e = take_envelope(x, s, m);
	if (e)
		return diag_set(d, e, "message %llu of the file cannot be read",
				(unsigned long long)m->number);
	return spool_write_begin(q->spool, s->id, &x->write, d);
}

static void take_message(struct importing *x)
{
	CLEANUP(arena_done) struct arena a;
	struct transfer_message m;
	struct diag d = {0};
	arena_init(&a, QUEUE_ENVELOPE_ARENA);
	enum err e = transfer_message_decode(buf_slice(&x->t.io.meta), &a, &m);
	if (!e && (m.number != x->number++ || x->number > QUEUE_EXPORT_MAX))
		e = ERR_CORRUPT;
	if (e)
		diag_set(&d, e, DAMAGED);
	else
		e = begin_message(x, &m, &d);
	if (e)
		fail(x, e, d.text);
	else
		content_goes_on(x);
}

static void take_end(struct importing *x)
{
	struct transfer_end m;
	if (transfer_end_decode(buf_slice(&x->t.io.meta), &m) != ERR_OK || m.export != x->t.export ||
	    m.messages != x->number) {
		fail(x, ERR_CORRUPT, DAMAGED);
		return;
	}
	x->ended = true;
	go_on(x);
}

/* False: this export is known here. */
static bool take_export(struct importing *x)
{
	struct transfer *t = &x->t;
	const struct move *known = move_find(t->queue, t->export);
	if (known && known->kind == RECORD_VERDICT_IMPORTED) {
		t->result = "imported before";
		transfer_end(t, ERR_OK, "nothing was to be done: this relay has that export already");
		return false;
	}
	if (known && known->kind == RECORD_VERDICT_REFUSED)
		transfer_end(t, ERR_PERM,
			     "that export was refused here, so that the other relay could reclaim it");
	else if (known && known->kind == RECORD_VERDICT_EXPORTED)
		transfer_end(t, ERR_EXISTS,
			     "this relay itself exported that; `tidegate queue reclaim` takes it back");
	else if (known)
		transfer_end(t, ERR_BUSY,
			     "an import of that which was broken off is being removed; try again");
	return !known;
}

static void take_begin(struct importing *x)
{
	struct transfer *t = &x->t;
	struct transfer_begin m;
	struct diag d = {0};
	int64_t now = loop_wall(t->queue->env.loop);
	if (transfer_begin_decode(buf_slice(&x->t.io.meta), &m, &d) != ERR_OK) {
		fail(x, d.code, d.text);
		return;
	}
	t->export = m.export;
	x->begun = true;
	memcpy(x->host_text, m.host.ptr, m.host.len);
	x->host = slice_of(x->host_text, m.host.len);
	if (!take_export(x))
		return;
	if (m.time_ms < now - (int64_t)QUEUE_IMPORT_AGE_MS || m.time_ms > now + DAY_MS) {
		fail(x, ERR_RANGE,
		     "the export is over 30 days old, or the clocks of the relays differ by over a day");
		return;
	}
	t->move = move_new(t->queue, t->export, RECORD_VERDICT_IMPORTING);
	if (t->move)
		go_on(x);
	else
		fail(x, ERR_NOMEM, "no memory");
}

static void on_frame(void *ctx)
{
	struct importing *x = ctx;
	struct transfer_io *io = &x->t.io;
	if (transfer_back(&x->t))
		return;
	x->reading = false;
	if (io->status)
		fail_reading(x);
	else if (x->begun == (io->head.type == TRANSFER_BEGIN))
		fail(x, ERR_CORRUPT, x->begun ? DAMAGED : STRANGE);
	else if (io->head.type == TRANSFER_BEGIN)
		take_begin(x);
	else if (io->head.type == TRANSFER_MESSAGE)
		take_message(x);
	else
		take_end(x);
}

static void read_frame(struct importing *x)
{
	x->reading = true;
	x->t.pending++;
	transfer_io_read(&x->t.io, on_frame, x);
}

static void begin(struct transfer *t)
{
	struct importing *x = CONTAINER_OF(t, struct importing, t);
	x->host = SLICE_EMPTY;
	read_frame(x);
}

static void release(struct transfer *t)
{
	struct importing *x = CONTAINER_OF(t, struct importing, t);
	drop_current(x);
}

const struct transfer_kind transfer_import = {.verb = CTL_QUEUE_IMPORT,
					      .file = true,
					      .size = sizeof(struct importing),
					      .begin = begin,
					      .free = release};
