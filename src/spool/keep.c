/* What is kept and what goes: free space, removal of segments that nobody needs, of large files without a message.
 *
 * Segments go one at a time from the oldest, and the directory is synced before the next: so a result never goes before
 * its message. The archive goes early before anyone gets a 452 for want of space.
 */
#include "core/mem.h"
#include "spool/store.h"

#include <fcntl.h>
#include <string.h>

struct look {
	struct job job;
	struct store *store;
	uint64_t free_octets, total_octets;
	bool failed, by_tick;
};

struct removal {
	struct job job;
	struct store *store;
	uint64_t sequence, octets;
	enum format_kept kept;
	bool gone;
};

/* ---- segments ---- */

static bool low(const struct store *s)
{
	return s->full || (s->total_octets && s->free_octets < s->spool.options.disk_reserve);
}

/* Some segments before the reserve is reached: the archive makes room before mail is refused. */
static bool tight(const struct store *s)
{
	uint64_t wanted =
		s->spool.options.disk_reserve + SPOOL_TIGHT_SEGMENTS * s->spool.options.segment_size;
	return s->full || (s->total_octets && s->free_octets < wanted);
}

static bool older(const struct store *s, const struct segment *seg, uint64_t ms)
{
	int64_t age = loop_wall(s->spool.loop) - seg->last_ms;
	return age > 0 && (uint64_t)age > ms;
}

/* When room gets scarce, content goes first; whole segments only when there is nothing else or no time. */
static bool expired(const struct store *s, const struct segment *seg)
{
	uint64_t ms = s->spool.options.keep.archive_ms;
	bool scarce = low(s) || (tight(s) && seg->kept == FORMAT_KEPT_RECORDS);
	return !ms || scarce || older(s, seg, ms);
}

static enum format_kept allowed(const struct store *s, const struct segment *seg)
{
	const struct spool_retention *keep = &s->spool.options.keep;
	if (tight(s) || older(s, seg, keep->headers_ms))
		return FORMAT_KEPT_RECORDS;
	return older(s, seg, keep->body_ms) ? FORMAT_KEPT_HEADERS : FORMAT_KEPT_ALL;
}

/* A checkpoint that the next recovery would begin with stays, whatever its segment's messages are. */
static bool needed(const struct store *s, const struct segment *seg)
{
	return seg == s->active || seg->live || seg->users || loan_lent(seg) || seg->sequence >= s->base;
}

/* Whether its live messages are all that keep it. */
static bool movable(const struct store *s, const struct segment *seg)
{
	return seg->live && seg != s->active && !seg->users && seg->sequence < s->base;
}

static bool remove_oldest(struct store *s);

static void run_removal(struct job *j)
{
	struct removal *r = CONTAINER_OF(j, struct removal, job);
	const struct disk *d = &r->store->disk;
	char name[STORE_NAME_MAX];
	store_name_kept(name, r->sequence, r->kept);
	/* What cannot be removed now is found again at the next opening. */
	r->gone = d->ops->unlink(d->self, name) == 0;
	if (r->gone)
		d->ops->fsync_dir(d->self, ".");
}

static void removal_done(struct job *j)
{
	struct removal *r = CONTAINER_OF(j, struct removal, job);
	struct store *s = r->store;
	store_bulk_done(s);
	s->removing = false;
	if (r->gone) {
		s->free_octets += r->octets; /* until the next look */
		s->full = false;
	}
	mem_free(r);
	if (!s->spool.closing && !remove_oldest(s))
		store_health(s, NULL);
	store_check_closed(s);
}

/* From the oldest on; behind one that is needed as it is, none is touched. */
static void digest_oldest(struct store *s)
{
	for (struct list_node *n = s->segments.head.next; n != &s->segments.head && !s->digesting;
	     n = n->next) {
		struct segment *seg = CONTAINER_OF(n, struct segment, node);
		if (allowed(s, seg) > seg->kept && movable(s, seg))
			move_start(s, seg);
		if (needed(s, seg))
			return;
		if (allowed(s, seg) > seg->kept)
			digest_start(s, seg, allowed(s, seg));
	}
}

/* False: nothing may go. */
static bool remove_oldest(struct store *s)
{
	struct list_node *n = list_first(&s->segments);
	struct segment *seg = n ? CONTAINER_OF(n, struct segment, node) : NULL;
	if (s->removing)
		return true;
	if (!seg || !expired(s, seg)) {
		digest_oldest(s);
		return false;
	}
	if (needed(s, seg)) {
		if (movable(s, seg))
			move_start(s, seg);
		return false;
	}
	struct removal *r = NEW(struct removal);
	if (!r)
		return false;
	*r = (struct removal){.store = s,
			      .sequence = seg->sequence,
			      .kept = seg->kept,
			      .octets = seg->allocated,
			      .job = {.run = run_removal, .done = removal_done}};
	list_remove(&s->segments, &seg->node);
	segment_free(s, seg);
	s->removing = true;
	store_bulk(s, &r->job);
	return true;
}

/* ---- the age of the active segment ---- */

/* Little mail fills a segment slowly, and all of it would be kept as long as the youngest of it may be. */
static uint64_t lifetime(const struct store *s)
{
	return MAX((uint64_t)SPOOL_LIFETIME_MIN_MS,
		   MIN(s->spool.options.keep.body_ms / 8, (uint64_t)SPOOL_LIFETIME_MAX_MS));
}

/* A segment that only a checkpoint keeps: a complete one behind it lets it go. */
static bool kept_by_checkpoint(const struct store *s)
{
	for (const struct list_node *n = s->segments.head.next; n != &s->segments.head; n = n->next) {
		const struct segment *seg = CONTAINER_OF(n, const struct segment, node);
		if (seg != s->active && !seg->live && seg->sequence >= s->base &&
		    seg->end > FORMAT_SEGMENT_HEADER && allowed(s, seg) > seg->kept)
			return true;
	}
	return false;
}

static void retire_active(struct store *s)
{
	const struct segment *a = s->active;
	if (!a || !s->spool.options.keep.archive_ms || loop_now(s->spool.loop) - a->since <= lifetime(s))
		return;
	bool wanted = kept_by_checkpoint(s);
	s->complete_wanted |= wanted;
	if (wanted || a->end > FORMAT_SEGMENT_HEADER)
		commit_retire(s);
}

/* ---- large files without a message ---- */

struct sweep {
	struct job job;
	struct store *store;
	uint64_t *ids; /* owned array */
	size_t count, cap;
	int64_t before_ms; /* files changed since are kept */
};

static bool on_name(void *ctx, const char *name)
{
	struct sweep *w = ctx;
	uint64_t id;
	if (!store_parse_name(name, "msg-", &id))
		return true;
	if (w->count == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 64;
		uint64_t *more = mem_resize(w->ids, cap * sizeof(*more));
		if (!more)
			return false; /* the rest another time */
		w->ids = more;
		w->cap = cap;
	}
	w->ids[w->count++] = id;
	return true;
}

static void run_list(struct job *j)
{
	struct sweep *w = CONTAINER_OF(j, struct sweep, job);
	w->store->disk.ops->list(w->store->disk.self, ".", on_name, w);
}

static bool old_enough(const struct sweep *w, const char *name)
{
	const struct disk *d = &w->store->disk;
	struct disk_stat st;
	int fd = d->ops->open(d->self, name, O_RDONLY, 0);
	int e = fd < 0 ? fd : d->ops->stat(d->self, fd, &st);
	if (fd >= 0)
		d->ops->close(d->self, fd);
	return e == 0 && st.mtime_ms <= w->before_ms;
}

static void run_sweep(struct job *j)
{
	struct sweep *w = CONTAINER_OF(j, struct sweep, job);
	const struct disk *d = &w->store->disk;
	char name[STORE_NAME_MAX];
	for (size_t i = 0; i < w->count; i++) {
		store_name_large(name, w->ids[i]);
		if (old_enough(w, name))
			d->ops->unlink(d->self, name);
	}
}

static void sweep_end(struct sweep *w)
{
	struct store *s = w->store;
	s->sweeping = false;
	mem_free(w->ids);
	mem_free(w);
	store_check_closed(s);
}

static void sweep_done(struct job *j)
{
	struct sweep *w = CONTAINER_OF(j, struct sweep, job);
	store_bulk_done(w->store);
	sweep_end(w);
}

/* An id that is neither live nor being written now never will be again: ids are given once. */
static void list_done(struct job *j)
{
	struct sweep *w = CONTAINER_OF(j, struct sweep, job);
	struct store *s = w->store;
	size_t kept = 0;
	store_bulk_done(s);
	for (size_t i = 0; i < w->count; i++)
		if (!spool_index_find(&s->spool.index, w->ids[i]) && !spool_find_write(&s->spool, w->ids[i]))
			w->ids[kept++] = w->ids[i];
	w->count = kept;
	if (kept == 0 || s->spool.closing) {
		sweep_end(w);
		return;
	}
	w->job = (struct job){.run = run_sweep, .done = sweep_done};
	store_bulk(s, &w->job);
}

static void sweep(struct store *s)
{
	struct sweep *w = s->sweeping ? NULL : NEW(struct sweep);
	if (!w)
		return;
	/* Digests read the headers of large content too: it stays until they have been made. */
	uint64_t keep = low(s) || !s->spool.options.keep.archive_ms
				? 0
				: s->spool.options.keep.body_ms + 2 * lifetime(s);
	*w = (struct sweep){.store = s, .job = {.run = run_list, .done = list_done}};
	w->before_ms = loop_wall(s->spool.loop) - (int64_t)MIN(keep, (uint64_t)INT64_MAX / 2);
	s->sweeping = true;
	store_bulk(s, &w->job);
}

/* ---- looking ---- */

static void run_look(struct job *j)
{
	struct look *l = CONTAINER_OF(j, struct look, job);
	const struct disk *d = &l->store->disk;
	l->failed = d->ops->space(d->self, &l->free_octets, &l->total_octets) != 0;
}

static void look_done(struct job *j)
{
	struct look *l = CONTAINER_OF(j, struct look, job);
	struct store *s = l->store;
	store_bulk_done(s);
	s->looking = false;
	if (!l->failed) {
		s->free_octets = l->free_octets;
		s->total_octets = l->total_octets;
	}
	/* A quota can be full on an empty disk: a write that found no space is believed until the next tick. */
	if (l->by_tick && s->free_octets >= s->spool.options.disk_reserve)
		s->full = false;
	mem_free(l);
	if (!s->spool.closing && s->recovered && !remove_oldest(s))
		store_health(s, NULL);
	store_check_closed(s);
}

static void look(struct store *s, bool by_tick)
{
	struct look *l = s->looking || s->spool.closing ? NULL : NEW(struct look);
	if (!l)
		return;
	*l = (struct look){.store = s, .by_tick = by_tick, .job = {.run = run_look, .done = look_done}};
	s->looking = true;
	store_bulk(s, &l->job);
}

void keep_look(struct store *s)
{
	look(s, false);
}

void keep_tick(void *ctx)
{
	struct store *s = ctx;
	timer_set(&s->tick, SPOOL_TICK_MS);
	look(s, true);
	retire_active(s);
	if (loop_now(s->spool.loop) >= s->sweep_at) {
		s->sweep_at = loop_now(s->spool.loop) + SPOOL_SWEEP_MS;
		sweep(s);
	}
}
