/* Changes that are committed together. */
#include "core/mem.h"
#include "spool/segment.h"
#include "spool/spool_priv.h"

struct spool_batch *spool_batch_new(struct spool *sp)
{
	struct spool_batch *b = NEW(struct spool_batch);
	if (!b)
		return NULL;
	b->spool = sp;
	list_init(&b->messages);
	buf_init(&b->records, SPOOL_BATCH_MAX);
	return b;
}

static struct spool_write *write_of(struct list_node *n)
{
	return CONTAINER_OF(n, struct spool_write, in_batch);
}

static void batch_free(struct spool_batch *b)
{
	for (struct list_node *n; (n = list_pop(&b->messages));)
		write_free(write_of(n));
	buf_done(&b->records);
	mem_free(b);
}

void spool_batch_abort(struct spool_batch *b)
{
	batch_free(b);
}

enum err spool_batch_message(struct spool_batch *b, struct spool_write *w, struct slice verdict, bool held)
{
	ASSERT(w->state == WRITE_FINISHED && w->spool == b->spool);
	if (w->failed)
		return w->failed;
	if (b->messages.count >= SPOOL_BATCH_MESSAGES || verdict.len > SPOOL_PAYLOAD_MAX)
		return ERR_LIMIT;
	buf_clear(&w->verdict);
	buf_add(&w->verdict, verdict);
	if (w->verdict.failed)
		return w->verdict.failed;
	w->state = WRITE_BATCHED;
	w->batch = b;
	w->held = w->entry->held = held;
	list_push_back(&b->messages, &w->in_batch);
	return ERR_OK;
}

/* Live, or a message of this batch. */
static struct spool_entry *entry_in(struct spool_batch *b, uint64_t id)
{
	struct spool_entry *e = spool_index_find(&b->spool->index, id);
	LIST_EACH_SAFE (&b->messages, n, tmp) {
		if (!e && write_of(n)->id == id)
			e = write_of(n)->entry;
	}
	return e;
}

enum err spool_batch_result(struct spool_batch *b, uint64_t id, uint32_t ordinal, enum spool_state s,
			    struct slice payload)
{
	const struct spool_entry *e = entry_in(b, id);
	if (!e)
		return ERR_NOTFOUND;
	if (ordinal >= e->recipients || s > SPOOL_REMOVED)
		return ERR_RANGE;
	if (payload.len > SPOOL_PAYLOAD_MAX)
		return ERR_LIMIT;
	if (spool_state_final((enum spool_state)e->rcpt[ordinal].state))
		return ERR_OK; /* said before: a caller that did not learn of it says it again */
	struct format_result r = {.ordinal = ordinal, .state = (uint8_t)s, .payload = payload};
	enum err err = format_result_add(&b->records, id, &r);
	b->record_count += !err;
	return err;
}

static enum err add_record(struct spool_batch *b, enum format_type type, uint64_t id, struct slice payload)
{
	if (!entry_in(b, id))
		return ERR_NOTFOUND;
	if (payload.len > SPOOL_PAYLOAD_MAX)
		return ERR_LIMIT;
	enum err e = buf_reserve(&b->records, FORMAT_RECORD_HEADER + format_padded(payload.len));
	if (e)
		return e;
	format_add(&b->records, type, id, payload);
	b->record_count++;
	return ERR_OK;
}

enum err spool_batch_verdict(struct spool_batch *b, uint64_t id, struct slice payload)
{
	return add_record(b, FORMAT_VERDICT, id, payload);
}

enum err spool_batch_hold(struct spool_batch *b, uint64_t id, bool held)
{
	return add_record(b, FORMAT_HOLD, id, slice_of(held ? "\1" : "\0", 1));
}

/* Counts for each message the batches that are under way and concern it: meanwhile it is not copied (move.c). */
static void touch(struct spool_batch *b, bool on)
{
	struct slice rest = buf_slice(&b->records), payload;
	struct format_record r;
	b->touching = on;
	while (format_next(&rest, &r, &payload)) {
		struct spool_entry *e = spool_index_find(&b->spool->index, r.id);
		ASSERT(!e || on || e->touched > 0);
		if (e)
			e->touched += on ? 1 : -1;
	}
}

void batch_untouch(struct spool_batch *b)
{
	if (b->touching)
		touch(b, false);
}

void spool_batch_commit(struct spool_batch *b, spool_done_fn *done, void *ctx)
{
	b->done = done;
	b->ctx = ctx;
	if (!b->moves) {
		b->time_ms = loop_wall(b->spool->loop);
		touch(b, true);
	}
	b->spool->backend->commit(b);
}

/* ---- the end of a batch ---- */

void batch_end(struct spool_batch *b, enum spool_outcome outcome, const struct diag *why)
{
	spool_done_fn *done = b->done;
	void *ctx = b->ctx;
	batch_untouch(b);
	batch_free(b);
	done(ctx, outcome, why);
}

void batch_fail_later(struct spool_batch *b, enum err code, const char *why)
{
	b->failed = code;
	b->why = why;
	batch_untouch(b);
	list_push_back(&b->spool->ended, &b->node);
	task_defer(&b->spool->answer);
}

/* What a record says about a live message: the one place that both a commit and a recovery go through. */
void batch_apply_record(struct spool_entry *e, const struct format_record *r, struct slice payload,
			uint64_t sequence)
{
	uint64_t behind = sequence - segment_sequence(e->home);
	uint32_t offset8 = (uint32_t)(r->offset / 8);
	struct format_result res;
	bool held;
	switch (r->type) {
	case FORMAT_RESULT:
		if (format_result_read(payload, &res) != ERR_OK || res.ordinal >= e->recipients ||
		    !spool_index_set_state(e, res.ordinal, (enum spool_state)res.state))
			return;
		/* Out of reach after half a billion segments: only the words of the last attempt are lost. */
		e->rcpt[res.ordinal].segment =
			(uint32_t)MIN(behind, INDEX_RESULT_SEGMENTS) & INDEX_RESULT_SEGMENTS;
		e->rcpt[res.ordinal].offset8 = behind <= INDEX_RESULT_SEGMENTS ? offset8 : 0;
		return;
	case FORMAT_VERDICT:
		e->verdict_segment = (uint32_t)behind;
		e->verdict_offset8 = offset8;
		return;
	case FORMAT_HOLD:
		if (format_hold_read(payload, &held) == ERR_OK)
			e->held = held;
		return;
	default:
		return;
	}
}

static void set_place(struct spool_write *w, struct spool_entry *e, struct segment *home)
{
	e->home = home;
	e->offset8 = (uint32_t)(w->offset / 8);
	e->large = w->large || w->elsewhere;
	e->summed = FORMAT_MESSAGE_HEADER + w->payload->envelope_len + w->payload->edits_len +
		    (uint32_t)w->verdict.len;
	e->verdict_segment = e->verdict_offset8 = 0;
	if (home)
		home->live++;
}

static void apply_message(struct spool_write *w, struct segment *home)
{
	struct spool *sp = w->spool;
	struct spool_entry *e = w->entry;
	set_place(w, e, home);
	spool_index_add(&sp->index, e);
	spool_index_mark_changed(&sp->index, e);
	payload_cache_put(&sp->cache, e, w->payload);
	w->entry = NULL;
	w->payload = NULL;
}

/* A copy in a younger segment takes the place of the message; the records of its batch repeat all that was
 * said about it, so that places in older segments are needed no more. */
static void apply_move(struct spool_write *w, struct segment *home)
{
	struct spool_entry *e = spool_index_find(&w->spool->index, w->id);
	ASSERT(e && e->home);
	e->home->live--;
	set_place(w, e, home);
	for (uint32_t i = 0; i < e->recipients; i++)
		e->rcpt[i].offset8 = 0;
	spool_index_mark_changed(&w->spool->index, e);
}

static void apply_moved_result(struct spool_entry *e, const struct format_record *r, struct slice payload)
{
	struct format_result res;
	if (format_result_read(payload, &res) != ERR_OK || res.ordinal >= e->recipients)
		return;
	e->rcpt[res.ordinal].segment = 0;
	e->rcpt[res.ordinal].offset8 = (uint32_t)(r->offset / 8);
}

static void bury(struct spool *sp, struct spool_entry *e)
{
	spool_index_remove(&sp->index, e);
	payload_cache_drop(&sp->cache, e);
	if (e->home)
		e->home->live--;
	if (sp->backend->dead)
		sp->backend->dead(sp, e);
	spool_index_entry_free(e);
}

static void apply_records(struct spool_batch *b, uint64_t sequence)
{
	struct slice rest = buf_slice(&b->records), payload;
	struct format_record r;
	uint64_t messages = b->size - FORMAT_COMMIT_SIZE - b->records.len;
	while (format_next(&rest, &r, &payload)) {
		struct spool_entry *e = spool_index_find(&b->spool->index, r.id);
		r.offset = b->offset + messages + (uint64_t)(payload.ptr - b->records.data) -
			   FORMAT_RECORD_HEADER;
		if (!e)
			continue; /* its last recipient ended in a batch before this one */
		if (b->moves && r.type == FORMAT_RESULT)
			apply_moved_result(e, &r, payload);
		else
			batch_apply_record(e, &r, payload, sequence);
		spool_index_mark_changed(&b->spool->index, e);
		if (e->open == 0)
			bury(b->spool, e);
	}
}

void batch_apply(struct spool_batch *b, struct segment *home)
{
	batch_untouch(b); /* before its own messages are in the index: they were not there to be counted */
	LIST_EACH_SAFE (&b->messages, n, tmp) {
		struct spool_write *w = write_of(n);
		if (b->moves)
			apply_move(w, home);
		else
			apply_message(w, home);
	}
	apply_records(b, segment_sequence(home));
	b->spool->commits += b->moves ? 0 : b->messages.count;
	b->spool->batches++;
}
