/* Opening, first half: what the files say becomes the index. Nothing else uses the store yet, so the bulk worker fills
 * it directly.
 *
 * Read are: every segment's header and seal, the last chain of checkpoints, and the segments behind it record by record.
 * Never the archive.
 */
#include "core/cursor.h"
#include "core/mem.h"
#include "spool/recover.h"
#include "spool/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUARANTINE_PIECE (64u << 10)

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void sort(struct numbers *l)
{
	if (l->count)
		qsort(l->items, l->count, sizeof(*l->items), ascending);
}

/* A segment and its digest have the same number. */
static void unique(struct numbers *l)
{
	size_t kept = 0;
	for (size_t i = 0; i < l->count; i++)
		if (kept == 0 || l->items[kept - 1] != l->items[i])
			l->items[kept++] = l->items[i];
	l->count = kept;
}

static void fail_errno(struct recovery *r, int errnum, const char *what)
{
	if (!r->failed)
		r->failed = diag_set_errno(&r->why, errnum, "%s", what);
}

void recover_fail_memory(struct recovery *r)
{
	if (!r->failed)
		r->failed = diag_set(&r->why, ERR_NOMEM, "no memory to open the spool");
}

/* ---- the directory ---- */

static bool on_name(void *ctx, const char *name)
{
	struct recovery *r = ctx;
	uint64_t v;
	bool kept = true;
	if (store_parse_name(name, "seg-", &v) || store_parse_name(name, "hdr-", &v) ||
	    store_parse_name(name, "idx-", &v))
		kept = numbers_add(&r->sequences, v);
	else if (store_parse_name(name, "msg-", &v))
		kept = numbers_add(&r->larges, v);
	if (!kept)
		recover_fail_memory(r);
	return kept;
}

static void lock_and_list(struct recovery *r)
{
	const struct disk *d = recover_disk(r);
	int fd = d->ops->open(d->self, "lock", O_RDWR | O_CREAT, 0600);
	if (fd < 0) {
		fail_errno(r, -fd, "opening the spool");
		return;
	}
	r->store->lock_fd = fd;
	int e = d->ops->lock(d->self, fd);
	if (e == -EWOULDBLOCK)
		r->failed = diag_set(&r->why, ERR_BUSY, "another process has this spool open");
	else if (e)
		fail_errno(r, -e, "locking the spool");
	if (r->failed)
		return;
	e = d->ops->list(d->self, ".", on_name, r);
	if (e)
		fail_errno(r, -e, "listing the spool");
	sort(&r->sequences);
	unique(&r->sequences);
	sort(&r->larges);
}

/* ---- segments: header and seal ---- */

static bool decode_header(struct recovery *r, struct slice in, uint64_t sequence, struct format_segment *ret)
{
	struct slice copies[] = {in, slice_from(in, FORMAT_HEADER_COPY)};
	for (size_t i = 0; i < ARRAY_LEN(copies); i++) {
		struct diag d;
		enum err e = format_segment_decode(copies[i], ret, &d);
		if (e == ERR_UNSUPPORTED) {
			r->failed = e;
			r->why = d;
		}
		if (!e && ret->sequence == sequence)
			return true;
	}
	return false;
}

static bool all_zero(struct recovery *r, int fd, uint64_t size)
{
	const struct disk *d = recover_disk(r);
	static const char zeros[4096];
	char page[4096];
	for (uint64_t at = FORMAT_SEGMENT_HEADER; at < size; at += sizeof(page)) {
		ssize_t n = d->ops->pread(d->self, fd, page, sizeof(page), at);
		if (n <= 0)
			return n == 0;
		if (memcmp(page, zeros, (size_t)n) != 0)
			return false;
	}
	return true;
}

/* Power went while it was made: nothing was ever in it. With something in it, it is damage. */
static void set_aside(struct recovery *r, const char *name, uint64_t sequence, bool empty)
{
	const struct disk *d = recover_disk(r);
	char bad[STORE_NAME_MAX];
	if (empty) {
		d->ops->unlink(d->self, name);
		return;
	}
	snprintf(bad, sizeof(bad), "bad-%016llx-%016x", (unsigned long long)sequence, 0);
	d->ops->rename(d->self, name, bad);
	r->report.damaged++;
}

static bool find_seal(struct recovery *r, int fd, const struct segment *seg, struct format_record *ret)
{
	const struct disk *d = recover_disk(r);
	char seal[FORMAT_RECORD_HEADER];
	if (seg->allocated < FORMAT_SEGMENT_HEADER + FORMAT_RECORD_HEADER || seg->allocated % 8)
		return false;
	uint64_t at = seg->allocated - FORMAT_RECORD_HEADER;
	struct slice in = slice_of(seal, sizeof(seal));
	return d->ops->pread(d->self, fd, seal, sizeof(seal), at) == (ssize_t)sizeof(seal) &&
	       format_header_read(in, at, ret) == ERR_OK && ret->type == FORMAT_SEAL &&
	       format_intact(ret, in, seg->seed);
}

/* Where the checkpoint lies that the segment ends in; 0: it has none. */
static uint64_t find_checkpoint(struct recovery *r, int fd, const struct segment *seg)
{
	struct format_record rec;
	if (!find_seal(r, fd, seg, &rec))
		return 0;
	return rec.id < rec.offset && rec.id >= FORMAT_SEGMENT_HEADER && rec.id % 8 == 0 ? rec.id : 0;
}

static void add_segment(struct recovery *r, struct segment *seg, uint64_t generation)
{
	list_push_back(&r->store->segments, &seg->node);
	r->segments[r->segment_count++] = seg;
	r->store->spool.generation = MAX(r->store->spool.generation, generation);
}

static void keep_segment(struct recovery *r, int fd, const struct format_segment *h,
			 const struct disk_stat *st)
{
	struct segment *seg = segment_new(h->sequence);
	if (!seg) {
		recover_fail_memory(r);
		return;
	}
	seg->generation = h->generation;
	seg->seed = format_seed(h);
	seg->allocated = seg->end = st->size;
	seg->last_ms = MAX(h->created_ms, st->mtime_ms);
	uint64_t checkpoint = find_checkpoint(r, fd, seg);
	seg->sealed = checkpoint != 0;
	if (seg->sealed)
		seg->end = checkpoint;
	add_segment(r, seg, h->generation);
}

/* ---- digests ---- */

/* NULL: none that is whole. */
static struct segment *read_digest(struct recovery *r, uint64_t sequence, enum format_kept kept, int fd)
{
	const struct disk *d = recover_disk(r);
	char head[FORMAT_SEGMENT_HEADER] = {0};
	struct format_segment h;
	struct format_record seal;
	struct disk_stat st;
	if (d->ops->stat(d->self, fd, &st) != 0 || d->ops->pread(d->self, fd, head, sizeof(head), 0) < 0 ||
	    !decode_header(r, slice_of(head, sizeof(head)), sequence, &h) || h.kept != kept)
		return NULL;
	struct segment *seg = segment_new(sequence);
	if (!seg) {
		recover_fail_memory(r);
		return NULL;
	}
	seg->generation = h.generation;
	seg->seed = format_seed(&h);
	seg->kept = kept;
	seg->last_ms = h.last_ms;
	seg->allocated = st.size;
	seg->end = st.size - FORMAT_RECORD_HEADER;
	if (find_seal(r, fd, seg, &seal))
		return seg;
	mem_free(seg);
	return NULL;
}

static bool exists(struct recovery *r, uint64_t sequence, enum format_kept kept)
{
	const struct disk *d = recover_disk(r);
	char name[STORE_NAME_MAX];
	store_name_kept(name, sequence, kept);
	int fd = d->ops->open(d->self, name, O_RDONLY, 0);
	if (fd >= 0)
		d->ops->close(d->self, fd);
	return fd >= 0;
}

/* What the digest was made of goes, if it is still there: the power may have gone before it did. */
static void remove_sources(struct recovery *r, uint64_t sequence, enum format_kept kept)
{
	const struct disk *d = recover_disk(r);
	char name[STORE_NAME_MAX];
	for (unsigned less = FORMAT_KEPT_ALL; less < kept; less++) {
		store_name_kept(name, sequence, (enum format_kept)less);
		d->ops->unlink(d->self, name);
	}
}

/* A digest that is whole stands for its segment; one that is not was being written, and its source is there. */
static bool open_digest(struct recovery *r, uint64_t sequence, enum format_kept kept)
{
	const struct disk *d = recover_disk(r);
	char name[STORE_NAME_MAX];
	store_name_kept(name, sequence, kept);
	int fd = d->ops->open(d->self, name, O_RDONLY, 0);
	if (fd < 0)
		return false;
	struct segment *seg = read_digest(r, sequence, kept, fd);
	d->ops->close(d->self, fd);
	if (r->failed)
		return true; /* nothing is decided in this opening */
	if (seg) {
		add_segment(r, seg, seg->generation);
		remove_sources(r, sequence, kept);
	} else {
		bool source = exists(r, sequence, FORMAT_KEPT_ALL) ||
			      (kept == FORMAT_KEPT_RECORDS && exists(r, sequence, FORMAT_KEPT_HEADERS));
		set_aside(r, name, sequence, source);
	}
	return seg != NULL;
}

static void open_segment(struct recovery *r, uint64_t sequence)
{
	if (open_digest(r, sequence, FORMAT_KEPT_RECORDS) || open_digest(r, sequence, FORMAT_KEPT_HEADERS)) {
		r->store->next_sequence = sequence + 1;
		return;
	}
	const struct disk *d = recover_disk(r);
	char name[STORE_NAME_MAX], head[FORMAT_SEGMENT_HEADER] = {0};
	struct format_segment h;
	struct disk_stat st;
	store_name_segment(name, sequence);
	r->store->next_sequence = sequence + 1;
	int fd = d->ops->open(d->self, name, O_RDONLY, 0);
	if (fd == -ENOENT)
		return; /* only a digest was there, and it was damaged */
	if (fd < 0) {
		fail_errno(r, -fd, name);
		return;
	}
	int e = d->ops->stat(d->self, fd, &st);
	ssize_t n = e ? e : d->ops->pread(d->self, fd, head, sizeof(head), 0);
	bool readable = n >= 0,
	     good = readable && decode_header(r, slice_of(head, sizeof(head)), sequence, &h);
	bool empty = readable && !good && all_zero(r, fd, st.size);
	if (good)
		keep_segment(r, fd, &h, &st);
	d->ops->close(d->self, fd);
	if (!readable)
		fail_errno(r, (int)-n, name);
	if (!good && !r->failed)
		set_aside(r, name, sequence, empty);
}

struct segment *recover_segment(const struct recovery *r, uint64_t sequence)
{
	size_t from = 0, to = r->segment_count;
	while (from < to) {
		size_t mid = from + (to - from) / 2;
		if (r->segments[mid]->sequence < sequence)
			from = mid + 1;
		else
			to = mid;
	}
	return from < r->segment_count && r->segments[from]->sequence == sequence ? r->segments[from] : NULL;
}

/* ---- checkpoints ---- */

static enum err read_checkpoint(struct recovery *r, const struct segment *seg, struct buf *out)
{
	const struct disk *d = recover_disk(r);
	struct format_record rec;
	char name[STORE_NAME_MAX];
	store_name_segment(name, seg->sequence);
	int fd = d->ops->open(d->self, name, O_RDONLY, 0);
	if (fd < 0)
		return err_from_errno(-fd);
	enum err e = read_record(*d, fd, seg->seed, seg->end, out, &rec);
	d->ops->close(d->self, fd);
	if (!e && rec.type != FORMAT_CHECKPOINT)
		e = ERR_CORRUPT;
	if (!e)
		out->len = FORMAT_RECORD_HEADER + rec.summed;
	return e;
}

void recover_forget(struct store *s, struct spool_entry *e)
{
	spool_index_remove(&s->spool.index, e);
	if (e->home)
		e->home->live--;
	spool_index_entry_free(e);
}

static void set_recipient(struct spool_entry *e, uint32_t i, uint8_t state, struct format_place result)
{
	e->rcpt[i].state = state & 7;
	e->open -= spool_state_final((enum spool_state)state);
	if (e->home && result.offset8 && result.sequence >= e->home->sequence) {
		e->rcpt[i].segment = (uint32_t)(result.sequence - e->home->sequence) & INDEX_RESULT_SEGMENTS;
		e->rcpt[i].offset8 = result.offset8;
	}
}

/* One entry with its recipients. NULL without memory. Its home may be missing: what came later says whether the message
 * was finished or moved before that segment was removed. */
static struct spool_entry *load_entry(struct recovery *r, struct cursor *c)
{
	struct format_entry f;
	struct format_place result;
	uint8_t state;
	format_entry_read(c, &f);
	if (c->failed)
		return NULL;
	struct spool_entry *e = spool_index_entry_new(f.id, f.recipients);
	if (!e)
		return NULL;
	e->home = recover_segment(r, f.home.sequence);
	e->offset8 = f.home.offset8;
	e->held = f.held;
	e->checkpointed = true;
	if (e->home && f.verdict.offset8) {
		e->verdict_segment = (uint32_t)(f.verdict.sequence - f.home.sequence);
		e->verdict_offset8 = f.verdict.offset8;
	}
	for (uint32_t i = 0; i < f.recipients; i++) {
		format_rcpt_read(c, &state, &result);
		if (!c->failed)
			set_recipient(e, i, state, result);
	}
	return e;
}

static enum err load_entries(struct recovery *r, struct cursor *c, uint64_t count)
{
	struct store *s = r->store;
	for (; count > 0; count--) {
		struct spool_entry *e = load_entry(r, c);
		if (!e)
			return c->failed ? ERR_CORRUPT : ERR_NOMEM;
		struct spool_entry *older = spool_index_find(&s->spool.index, e->id);
		if (older)
			recover_forget(s, older);
		if (c->failed || e->open == 0) {
			spool_index_entry_free(e);
			continue;
		}
		if (e->home)
			e->home->live++;
		spool_index_add(&s->spool.index, e);
	}
	return c->failed ? ERR_CORRUPT : ERR_OK;
}

static enum err apply_checkpoint(struct recovery *r, struct slice payload)
{
	struct cursor c = cursor_of(payload);
	struct format_checkpoint cp;
	format_checkpoint_read(&c, &cp);
	enum err e = load_entries(r, &c, cp.entries);
	for (uint64_t i = 0; i < cp.gone && !c.failed && !e; i++) {
		struct spool_entry *dead = spool_index_find(&r->store->spool.index, cursor_u64(&c));
		if (dead)
			recover_forget(r->store, dead);
	}
	return e ? e : cursor_finish(&c);
}

static void forget_all(struct recovery *r)
{
	MAP_EACH_SAFE (&r->store->spool.index.entries, n, tmp) {
		recover_forget(r->store, CONTAINER_OF(n, struct spool_entry, node));
	}
}

/* Collects the chain that ends in `newest`, then applies it from its complete one on. */
static enum err load_chain(struct recovery *r, struct segment *newest)
{
	struct segment *chain[SPOOL_CHECKPOINT_CHAIN + 2];
	CLEANUP(buf_done) struct buf b;
	size_t n = 0;
	enum err e = ERR_OK;
	buf_init(&b, SPOOL_CHECKPOINT_MAX);
	for (struct segment *seg = newest; seg && !e;) {
		struct format_checkpoint cp = {0};
		if (n == ARRAY_LEN(chain) || !seg->sealed)
			return ERR_CORRUPT;
		chain[n++] = seg;
		e = read_checkpoint(r, seg, &b);
		struct cursor c = cursor_of(slice_from(buf_slice(&b), FORMAT_RECORD_HEADER));
		format_checkpoint_read(&c, &cp);
		if (cp.previous >= seg->sequence)
			e = ERR_CORRUPT;
		seg = cp.previous ? recover_segment(r, cp.previous) : NULL;
		if (!e && cp.previous && !seg)
			e = ERR_NOTFOUND;
	}
	for (size_t i = n; i > 0 && !e; i--) {
		e = read_checkpoint(r, chain[i - 1], &b);
		if (!e)
			e = apply_checkpoint(r, slice_from(buf_slice(&b), FORMAT_RECORD_HEADER));
	}
	if (!e)
		r->store->base = chain[n - 1]->sequence;
	return e;
}

/* The newest chain that is whole; without one everything is read. */
static void load_checkpoints(struct recovery *r)
{
	for (size_t i = r->segment_count; i > 0 && !r->failed; i--) {
		struct segment *seg = r->segments[i - 1];
		if (!seg->sealed)
			continue;
		enum err e = load_chain(r, seg);
		if (!e) {
			r->sealed = seg->sequence;
			return;
		}
		forget_all(r);
		/* Its writing may have been cut off; what it says is said by the records too. */
		seg->sealed = false;
		if (e == ERR_NOMEM)
			recover_fail_memory(r);
	}
}

/* ---- records behind the checkpoint ---- */

static enum err recover_message(struct recovery *r, struct segment *seg, const struct format_record *rec,
				struct slice payload)
{
	struct store *s = r->store;
	struct format_message m;
	if (format_message_read(rec, payload, &m) != ERR_OK)
		return ERR_CORRUPT;
	/* A copy by compaction: its batch says everything again. */
	struct spool_entry *older = spool_index_find(&s->spool.index, rec->id);
	if (older)
		recover_forget(s, older);
	if (m.cut)
		return ERR_OK; /* only what is finished is cut */
	struct spool_entry *e = spool_index_entry_new(rec->id, m.recipients);
	if (!e)
		return ERR_NOMEM;
	e->home = seg;
	e->offset8 = (uint32_t)(rec->offset / 8);
	e->held = m.held;
	e->home->live++;
	spool_index_add(&s->spool.index, e);
	return ERR_OK;
}

static void recover_record(struct recovery *r, struct segment *seg, const struct format_record *rec,
			   struct slice payload)
{
	struct store *s = r->store;
	struct spool_entry *e;
	if (rec->type == FORMAT_MESSAGE) {
		enum err err = recover_message(r, seg, rec, payload);
		if (err == ERR_NOMEM)
			recover_fail_memory(r);
		r->report.damaged += err == ERR_CORRUPT;
		return;
	}
	e = spool_index_find(&s->spool.index, rec->id);
	if (!e)
		return;
	batch_apply_record(e, rec, payload, seg->sequence);
}

/* Messages end only with their batch: a copy's results follow it. */
static void recover_batch(struct recovery *r, struct segment *seg, const struct scan *sc)
{
	struct store *s = r->store;
	for (size_t i = 0; i < sc->count; i++)
		recover_record(r, seg, &sc->records[i].record, scan_payload(sc, &sc->records[i]));
	for (size_t i = 0; i < sc->count; i++) {
		struct spool_entry *e = spool_index_find(&s->spool.index, sc->records[i].record.id);
		if (e && e->open == 0)
			recover_forget(s, e);
	}
}

static void quarantine(struct recovery *r, int fd, const struct segment *seg, uint64_t from, uint64_t to)
{
	const struct disk *d = recover_disk(r);
	char name[STORE_NAME_MAX];
	snprintf(name, sizeof(name), "bad-%016llx-%016llx", (unsigned long long)seg->sequence,
		 (unsigned long long)from);
	int out = d->ops->open(d->self, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	char *piece = mem_alloc(QUARANTINE_PIECE);
	for (uint64_t at = from; out >= 0 && piece && at < to;) {
		size_t want = (size_t)MIN(to - at, (uint64_t)QUARANTINE_PIECE);
		ssize_t n = d->ops->pread(d->self, fd, piece, want, at);
		struct iovec iov = {piece, n > 0 ? (size_t)n : 0};
		if (n <= 0 || d->ops->pwritev(d->self, out, &iov, 1, at - from) < 0)
			break; /* the damage also stays where it is */
		at += (uint64_t)n;
	}
	mem_free(piece);
	if (out >= 0)
		d->ops->close(d->self, out);
}

struct tail {
	struct numbers damage; /* from, to, from, to */
	uint64_t group;        /* start of the last group seen: what lies before it was durable */
	uint64_t group_messages;
};

static void note_batch(struct tail *t, const struct scan *sc, const struct scan_result *res)
{
	if (res->commit.group > t->group) {
		t->group = res->commit.group;
		t->group_messages = 0;
	}
	for (size_t i = 0; i < sc->count; i++)
		t->group_messages += sc->records[i].record.type == FORMAT_MESSAGE;
}

/* Damage that a power cut explains (in the last group, whose sync never returned) is no damage. */
static void judge_damage(struct recovery *r, int fd, const struct segment *seg, const struct tail *t)
{
	for (size_t i = 0; i + 1 < t->damage.count; i += 2) {
		if (t->damage.items[i] >= t->group)
			continue;
		r->report.damaged++;
		quarantine(r, fd, seg, t->damage.items[i], t->damage.items[i + 1]);
	}
}

static void scan_tail(struct recovery *r, struct segment *seg, int fd, struct tail *t)
{
	struct scan sc;
	struct scan_result res;
	enum scan_found f = SCAN_BATCH;
	scan_init(&sc, *recover_disk(r), fd, seg->seed, FORMAT_SEGMENT_HEADER, seg->end);
	sc.verify = true;
	while (!r->failed && f != SCAN_END) {
		f = scan_next(&sc, &res);
		r->report.dropped += res.dropped;
		if (f == SCAN_BATCH) {
			note_batch(t, &sc, &res);
			recover_batch(r, seg, &sc);
		} else if (f == SCAN_DAMAGE) {
			if (!numbers_add(&t->damage, res.from) || !numbers_add(&t->damage, res.to))
				recover_fail_memory(r);
		} else if (f == SCAN_FAILED) {
			fail_errno(r, sc.errnum, "reading a segment of the spool");
		}
	}
	if (!r->failed)
		seg->end = res.to;
	scan_done(&sc);
}

/* What was found counts from here on: it is made durable, and the torn rest goes. */
static void settle(struct recovery *r, struct segment *seg, const char *name)
{
	const struct disk *d = recover_disk(r);
	int fd = d->ops->open(d->self, name, O_RDWR, 0);
	int e = fd < 0 ? fd : 0;
	if (!e && seg->allocated > seg->end)
		e = d->ops->truncate(d->self, fd, seg->end);
	if (!e)
		e = d->ops->fdatasync(d->self, fd);
	if (fd >= 0)
		d->ops->close(d->self, fd);
	if (!e)
		seg->allocated = seg->end;
	/* A file system that can only be read still shows what it has; making a segment fails then and says so. */
	if (e && e != -EROFS)
		fail_errno(r, -e, name);
}

static void recover_tail(struct recovery *r, struct segment *seg)
{
	const struct disk *d = recover_disk(r);
	struct tail t = {0};
	r->tails++;
	char name[STORE_NAME_MAX];
	store_name_kept(name, seg->sequence, seg->kept);
	int fd = d->ops->open(d->self, name, O_RDONLY, 0);
	if (fd < 0) {
		fail_errno(r, -fd, name);
		return;
	}
	scan_tail(r, seg, fd, &t);
	judge_damage(r, fd, seg, &t);
	d->ops->close(d->self, fd);
	mem_free(t.damage.items);
	if (!r->failed && !seg->sealed && seg->kept == FORMAT_KEPT_ALL)
		settle(r, seg, name);
	/* Only the last group of the last segment can have been cut off between its sync and its answers. */
	r->report.unanswered = t.group ? t.group_messages : r->report.unanswered;
}

/* ---- the first job ---- */

/* Ids of what is live, in order. What nobody knows a record of is lost. */
static void collect_live(struct recovery *r)
{
	MAP_EACH_SAFE (&r->store->spool.index.entries, n, tmp) {
		struct spool_entry *e = CONTAINER_OF(n, struct spool_entry, node);
		if (!e->home) {
			r->report.damaged++;
			recover_forget(r->store, e);
		} else if (!r->failed && !numbers_add(&r->ids, e->id)) {
			recover_fail_memory(r);
		}
	}
	sort(&r->ids);
}

static void run_recovery(struct job *j)
{
	struct recovery *r = CONTAINER_OF(j, struct recovery, job);
	lock_and_list(r);
	if (!r->failed && r->sequences.count) {
		r->segments = mem_alloc(r->sequences.count * sizeof(struct segment *));
		if (!r->segments)
			recover_fail_memory(r);
	}
	for (size_t i = 0; i < r->sequences.count && !r->failed; i++)
		open_segment(r, r->sequences.items[i]);
	if (!r->failed)
		load_checkpoints(r);
	for (size_t i = 0; i < r->segment_count && !r->failed; i++)
		if (r->segments[i]->sequence > r->sealed)
			recover_tail(r, r->segments[i]);
	collect_live(r);
}

/* ---- starting ---- */

static void recovery_done(struct job *j)
{
	struct recovery *r = CONTAINER_OF(j, struct recovery, job);
	store_bulk_done(r->store);
	show_start(r);
}

enum err recover_start(struct store *s, struct diag *d)
{
	struct recovery *r = NEW(struct recovery);
	if (!r)
		return diag_set(d, ERR_NOMEM, "no memory to open the spool");
	r->store = s;
	r->began_ms = loop_now(s->spool.loop);
	r->fd = -1;
	buf_init(&r->text, SIZE_MAX);
	buf_init(&r->record, SPOOL_CHECKPOINT_MAX);
	r->job = (struct job){.run = run_recovery, .done = recovery_done};
	s->recovery = r;
	store_bulk(s, &r->job);
	return ERR_OK;
}
