/* Reading back: one record, the envelope and edits of a message, walks over everything. On the bulk worker. */
#include "core/cursor.h"
#include "core/mem.h"
#include "spool/scan.h"
#include "spool/store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define FIRST_READ 4096 /* most records without their content fit */

static enum err read_more(struct disk d, int fd, uint64_t offset, size_t n, struct buf *out)
{
	if (out->len >= n)
		return ERR_OK;
	if (buf_reserve(out, n - out->len) != ERR_OK)
		return ERR_NOMEM;
	ssize_t got = d.ops->pread(d.self, fd, out->data + out->len, n - out->len, offset + out->len);
	if (got < 0)
		return err_from_errno((int)-got);
	out->len += (size_t)got;
	return ERR_OK;
}

enum err read_record(struct disk d, int fd, uint64_t seed, uint64_t offset, struct buf *out,
		     struct format_record *ret)
{
	buf_clear(out);
	enum err e = read_more(d, fd, offset, FIRST_READ, out);
	if (e)
		return e;
	e = format_header_read(buf_slice(out), offset, ret);
	if (e)
		return ERR_CORRUPT;
	e = read_more(d, fd, offset, FORMAT_RECORD_HEADER + ret->summed, out);
	if (e)
		return e;
	return format_intact(ret, buf_slice(out), seed) ? ERR_OK : ERR_CORRUPT;
}

/* ---- envelope and edits ---- */

struct reading {
	struct job job;
	struct store *store;
	struct segment *segment; /* kept from removal by `users` */
	uint64_t id, offset;
	spool_read_fn *fn;
	void *ctx;
	struct buf record;
	struct format_record header;
	enum err failed;
	bool open, large; /* a descriptor for loans is wanted; of its own file */
	int loan_fd;
};

static void open_for_loans(struct reading *r, const char *segment)
{
	struct disk d = r->store->disk;
	char name[STORE_NAME_MAX];
	store_name_large(name, r->id);
	r->loan_fd = d.ops->reopen_readonly(d.self, r->large ? name : segment);
}

static void run_reading(struct job *j)
{
	struct reading *r = CONTAINER_OF(j, struct reading, job);
	struct disk d = r->store->disk;
	char name[STORE_NAME_MAX];
	store_name_segment(name, r->segment->sequence);
	int fd = d.ops->open(d.self, name, O_RDONLY, 0);
	if (fd < 0) {
		r->failed = err_from_errno(-fd);
		return;
	}
	r->failed = read_record(d, fd, r->segment->seed, r->offset, &r->record, &r->header);
	d.ops->close(d.self, fd);
	if (r->open && !r->failed)
		open_for_loans(r, name);
}

/* The message may have moved, or ended, meanwhile. */
static void take_descriptor(struct store *s, struct reading *r)
{
	const struct spool_entry *e = spool_index_find(&s->spool.index, r->id);
	if (r->open && e && (e->large || e->home == r->segment))
		loan_found(s, e, r->loan_fd);
	else
		base_close(&r->loan_fd);
}

static void remember(struct store *s, const struct reading *r, const struct format_message *m)
{
	struct spool_entry *e = spool_index_find(&s->spool.index, r->id);
	struct payload *p = e && !e->cached ? payload_new(m->envelope, m->edits) : NULL;
	if (p)
		payload_cache_put(&s->spool.cache, e, p);
}

static void reading_done(struct job *j)
{
	struct reading *r = CONTAINER_OF(j, struct reading, job);
	struct store *s = r->store;
	struct format_message m = {.envelope = SLICE_EMPTY, .edits = SLICE_EMPTY};
	store_bulk_done(s);
	r->segment->users--;
	enum err e = r->failed;
	struct slice summed = slice_sub(buf_slice(&r->record), FORMAT_RECORD_HEADER, r->header.summed);
	if (!e && (r->header.type != FORMAT_MESSAGE || r->header.id != r->id))
		e = ERR_CORRUPT;
	if (!e)
		e = format_message_read(&r->header, summed, &m);
	if (!e)
		remember(s, r, &m);
	take_descriptor(s, r);
	r->fn(r->ctx, e, m.envelope, m.edits);
	buf_done(&r->record);
	mem_free(r);
	store_check_closed(s);
}

void read_payload(struct spool *sp, struct spool_entry *e, spool_read_fn *fn, void *ctx)
{
	struct store *s = store_of(sp);
	struct reading *r = NEW(struct reading);
	if (!r) {
		fn(ctx, ERR_NOMEM, SLICE_EMPTY, SLICE_EMPTY);
		return;
	}
	*r = (struct reading){.store = s,
			      .segment = e->home,
			      .id = e->id,
			      .offset = 8ull * e->offset8,
			      .open = !loan_ready(sp, e),
			      .large = e->large,
			      .loan_fd = -1,
			      .fn = fn,
			      .ctx = ctx,
			      .job = {.run = run_reading, .done = reading_done}};
	buf_init(&r->record, SPOOL_RECORD_MAX);
	e->home->users++;
	store_bulk(s, &r->job);
}

/* ---- walks ---- */

/* A cursor is a segment's sequence number and an offset in it. Forwards it is the next record's, with CURSOR_INSIDE if
 * that is not the first of its batch (then the batch is found by reading the segment from its start); backwards it is
 * the record that was shown last. */
#define CURSOR_SHIFT  32
#define CURSOR_INSIDE (1ull << 31)

static uint64_t make_cursor(uint64_t sequence, uint64_t offset)
{
	return sequence << CURSOR_SHIFT | offset / 8;
}

static uint64_t cursor_sequence(uint64_t cursor)
{
	return cursor >> CURSOR_SHIFT;
}

static uint64_t cursor_offset(uint64_t cursor)
{
	return 8 * (cursor & (CURSOR_INSIDE - 1));
}

struct walked_item {
	struct spool_item item;
	size_t at;       /* of its payload in walking.payloads */
	uint64_t offset; /* of its record */
	uint64_t behind; /* where its batch ends */
};

struct walking {
	struct job job;
	struct store *store;
	struct spool_walk walk;
	struct segment *segment; /* the one being read; kept by `users` */
	uint64_t from, end;      /* octets of it to look at */
	uint64_t first, last;    /* records to show: first <= offset < last */
	uint64_t behind;         /* reading stopped here; 0: at the end */
	uint64_t since;          /* sequence: copies of what stands in this segment or later are left out */
	uint64_t cursor;
	uint32_t shown;
	struct walked_item *items; /* owned array */
	size_t count, cap;
	struct buf payloads;
	enum err failed;
};

static bool to_item(const struct format_record *r, struct slice payload, struct spool_item *ret)
{
	struct format_message m;
	struct format_result res;
	bool held;
	*ret = (struct spool_item){.id = r->id, .payload = payload};
	switch (r->type) {
	case FORMAT_MESSAGE:
		ret->kind = SPOOL_REC_MESSAGE;
		if (format_message_read(r, payload, &m) != ERR_OK)
			return false;
		ret->payload = m.envelope;
		return true;
	case FORMAT_RESULT:
		ret->kind = SPOOL_REC_RESULT;
		if (format_result_read(payload, &res) != ERR_OK)
			return false;
		ret->ordinal = res.ordinal;
		ret->state = res.state;
		ret->payload = res.payload;
		return true;
	case FORMAT_VERDICT:
		ret->kind = SPOOL_REC_VERDICT;
		return true;
	case FORMAT_HOLD:
		ret->kind = SPOOL_REC_HOLD;
		if (format_hold_read(payload, &held) != ERR_OK)
			return false;
		ret->state = held;
		ret->payload = SLICE_EMPTY;
		return true;
	default:
		return false;
	}
}

static enum err add_item(struct walking *w, const struct spool_item *it, uint64_t offset, uint64_t behind)
{
	if (w->count == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 64;
		struct walked_item *more = mem_resize(w->items, cap * sizeof(*more));
		if (!more)
			return ERR_NOMEM;
		w->items = more;
		w->cap = cap;
	}
	w->items[w->count++] =
		(struct walked_item){.item = *it, .at = w->payloads.len, .offset = offset, .behind = behind};
	buf_add(&w->payloads, it->payload);
	return w->payloads.failed;
}

static bool wanted(const struct walking *w, const struct format_record *r)
{
	return (!w->walk.only_id || r->id == w->walk.only_id) && r->offset >= w->first && r->offset < w->last;
}

/* A copy made by compaction repeats what the walk sees elsewhere, if the original is still there. */
static bool repeats(const struct walking *w, const struct scan *sc)
{
	struct format_message m;
	const struct scan_record *first = sc->count ? &sc->records[0] : NULL;
	return first && first->record.type == FORMAT_MESSAGE &&
	       format_message_read(&first->record, scan_payload(sc, first), &m) == ERR_OK && m.back &&
	       w->segment->sequence - m.back >= w->since;
}

static enum err add_batch(struct walking *w, const struct scan *sc, uint64_t behind)
{
	struct spool_item it;
	if (repeats(w, sc))
		return ERR_OK;
	for (size_t i = 0; i < sc->count; i++) {
		const struct scan_record *r = &sc->records[i];
		if (!wanted(w, &r->record) || !to_item(&r->record, scan_payload(sc, r), &it))
			continue;
		enum err e = add_item(w, &it, r->record.offset, behind);
		if (e)
			return e;
	}
	return ERR_OK;
}

/* Forwards a walk stops reading when it has enough; backwards it wants the last ones of the segment, so all are read
 * and the older half is forgotten whenever there are twice as many as can be shown. */
static bool enough(struct walking *w)
{
	uint64_t want = w->walk.max - w->shown;
	if (!w->walk.newest_first)
		return w->count >= want || w->payloads.len > SPOOL_WALK_OCTETS;
	if (w->count < 2 * want + 64)
		return false;
	size_t drop = w->count - (size_t)want, octets = w->items[drop].at;
	memmove(w->items, w->items + drop, (size_t)want * sizeof(*w->items));
	w->count = (size_t)want;
	buf_consume(&w->payloads, octets);
	for (size_t i = 0; i < w->count; i++)
		w->items[i].at -= octets;
	return false;
}

static void scan_segment(struct walking *w, int fd)
{
	struct scan sc;
	struct scan_result r;
	enum scan_found f;
	scan_init(&sc, w->store->disk, fd, w->segment->seed, w->from, w->end);
	w->behind = 0;
	while (!w->failed && (f = scan_next(&sc, &r)) != SCAN_END) {
		if (f == SCAN_FAILED)
			w->failed = err_from_errno(sc.errnum);
		if (f != SCAN_BATCH)
			continue;
		w->failed = add_batch(w, &sc, r.to);
		if (enough(w)) {
			w->behind = r.to;
			break;
		}
	}
	scan_done(&sc);
}

static void run_walking(struct job *j)
{
	struct walking *w = CONTAINER_OF(j, struct walking, job);
	struct disk d = w->store->disk;
	char name[STORE_NAME_MAX];
	store_name_kept(name, w->segment->sequence, w->segment->kept);
	int fd = d.ops->open(d.self, name, O_RDONLY, 0);
	if (fd < 0) {
		w->failed = err_from_errno(-fd);
		return;
	}
	scan_segment(w, fd);
	d.ops->close(d.self, fd);
}

static void show(struct walking *w, size_t i)
{
	struct spool_item it = w->items[i].item;
	it.payload = slice_of(w->payloads.data + w->items[i].at, it.payload.len);
	w->shown++;
	w->walk.fn(w->walk.ctx, &it);
}

static uint64_t next_cursor(const struct walking *w, size_t shown)
{
	uint64_t sequence = w->segment->sequence;
	if (w->walk.newest_first)
		return shown ? make_cursor(sequence, w->items[w->count - shown].offset)
			     : make_cursor(sequence, 0);
	if (shown == w->count)
		return w->behind ? make_cursor(sequence, w->behind) : make_cursor(sequence, w->end);
	bool inside = shown > 0 && w->items[shown - 1].behind == w->items[shown].behind;
	return make_cursor(sequence, w->items[shown].offset) | (inside ? CURSOR_INSIDE : 0);
}

static void show_items(struct walking *w)
{
	size_t n = MIN(w->count, (size_t)(w->walk.max - w->shown));
	for (size_t i = 0; i < n; i++)
		show(w, w->walk.newest_first ? w->count - 1 - i : i);
	w->cursor = next_cursor(w, n);
	w->count = 0;
	buf_clear(&w->payloads);
}

/* Each sets what of the segment is to be read. False: nothing. */
static bool take_forwards(struct walking *w, const struct segment *seg)
{
	bool here = seg->sequence == cursor_sequence(w->cursor);
	if (seg->sequence < cursor_sequence(w->cursor))
		return false;
	w->first =
		here ? MAX(cursor_offset(w->cursor), (uint64_t)FORMAT_SEGMENT_HEADER) : FORMAT_SEGMENT_HEADER;
	w->from = here && w->cursor & CURSOR_INSIDE ? FORMAT_SEGMENT_HEADER : w->first;
	w->last = w->end = seg->end;
	return w->first < w->end;
}

static bool take_backwards(struct walking *w, const struct segment *seg)
{
	bool here = seg->sequence == cursor_sequence(w->cursor);
	if (w->cursor && seg->sequence > cursor_sequence(w->cursor))
		return false;
	w->first = w->from = FORMAT_SEGMENT_HEADER;
	w->end = seg->end;
	w->last = here ? cursor_offset(w->cursor) : seg->end;
	return w->first < w->last;
}

/* The segment to read for the cursor. NULL: nothing is left. */
static struct segment *next_segment(struct walking *w)
{
	const struct list *all = &w->store->segments;
	bool back = w->walk.newest_first;
	for (struct list_node *n = back ? all->head.prev : all->head.next; n != &all->head;
	     n = back ? n->prev : n->next) {
		struct segment *seg = CONTAINER_OF(n, struct segment, node);
		if (back ? take_backwards(w, seg) : take_forwards(w, seg))
			return seg;
	}
	return NULL;
}

static bool read_next(struct walking *w)
{
	struct store *s = w->store;
	if (w->failed || w->shown >= w->walk.max)
		return false;
	w->segment = next_segment(w);
	if (!w->segment)
		return false;
	w->segment->users++;
	store_bulk(s, &w->job);
	return true;
}

static void walking_end(struct walking *w)
{
	struct store *s = w->store;
	w->walk.done(w->walk.ctx, w->failed, w->cursor);
	buf_done(&w->payloads);
	mem_free(w->items);
	mem_free(w);
	store_check_closed(s);
}

static void walking_done(struct job *j)
{
	struct walking *w = CONTAINER_OF(j, struct walking, job);
	store_bulk_done(w->store);
	w->segment->users--;
	if (!w->failed)
		show_items(w);
	if (!read_next(w))
		walking_end(w);
}

static void run_nothing(struct job *j)
{
}

static void nothing_done(struct job *j)
{
	struct walking *w = CONTAINER_OF(j, struct walking, job);
	store_bulk_done(w->store);
	walking_end(w);
}

enum err read_walk(struct spool *sp, const struct spool_walk *walk)
{
	struct store *s = store_of(sp);
	struct walking *w = NEW(struct walking);
	if (!w)
		return ERR_NOMEM;
	*w = (struct walking){.store = s, .walk = *walk, .cursor = walk->cursor};
	w->job = (struct job){.run = run_walking, .done = walking_done};
	buf_init(&w->payloads, SIZE_MAX);
	const struct spool_entry *e = walk->only_id ? spool_index_find(&sp->index, walk->only_id) : NULL;
	const struct list_node *oldest = list_first(&s->segments);
	w->since = oldest ? CONTAINER_OF(oldest, const struct segment, node)->sequence : 0;
	/* A live message's record, be it a copy, says all that is true of it; and nothing stands before it. */
	if (e && !walk->newest_first && !walk->cursor) {
		w->since = e->home->sequence;
		w->cursor = make_cursor(e->home->sequence, 8ull * e->offset8) | CURSOR_INSIDE;
	}
	if (!read_next(w)) {
		w->job = (struct job){.run = run_nothing, .done = nothing_done};
		store_bulk(s, &w->job);
	}
	return ERR_OK;
}
