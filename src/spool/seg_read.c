#include "core/mem.h"
#include "spool/seg_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define LARGE_LOAN (1ull << 63) /* loan numbers of msg- files: this bit and the id */

/* ---- loans ---- */

static enum err lend_large(struct seg_spool *s, struct entry *e, struct spool_loan *ret, struct diag *d)
{
	if (e->large_fd < 0)
		return diag_set(d, ERR_IO, "the content file could not be opened");
	*ret = (struct spool_loan){.segment = LARGE_LOAN | e->id,
				   .message = e->id,
				   .fd = e->large_fd,
				   .length = e->content_length};
	e->loans++;
	return ERR_OK;
}

enum err seg_lend(struct spool *sp, uint64_t id, struct spool_loan *ret, struct diag *d)
{
	struct seg_spool *s = seg_of(sp);
	struct entry *e = seg_find(s, id);
	if (!e || e->open == 0)
		return diag_set(d, ERR_NOTFOUND, "no such message");
	if (e->large)
		return lend_large(s, e, ret, d);
	struct segment *g = e->segment;
	char name[32];
	if (g->read_fd < 0 || s->disk.snapshots) {
		base_close(&g->read_fd);
		seg_name(name, "seg", g->sequence);
		g->read_fd = s->disk.ops->reopen_readonly(s->disk.self, name);
	}
	if (g->read_fd < 0)
		return diag_set_errno(d, -g->read_fd, "segment %llu", (unsigned long long)g->sequence);
	*ret = (struct spool_loan){.segment = g->sequence,
				   .message = id,
				   .fd = g->read_fd,
				   .offset = e->content_at,
				   .length = e->content_length};
	if (s->disk.snapshots)
		ret->segment = LARGE_LOAN | e->id; /* a snapshot holds no later messages */
	g->loans++;
	e->loans++;
	return ERR_OK;
}

static void entry_unlent(struct seg_spool *s, struct entry *e)
{
	ASSERT(e->loans > 0);
	if (--e->loans)
		return;
	base_close(&e->large_fd);
	if (e->open == 0)
		seg_entry_free(s, e);
}

void seg_unlend(struct spool *sp, const struct spool_loan *loan)
{
	struct seg_spool *s = seg_of(sp);
	struct entry *e = seg_find(s, loan->message);
	ASSERT(e && e->loans > 0);
	struct segment *g = e->large ? NULL : e->segment;
	if (g) {
		ASSERT(g->loans > 0);
		g->loans--;
	}
	entry_unlent(s, e);
	seg_collect(s);
}

/* ---- envelope and edits ---- */

struct reading {
	struct job job;
	struct list_node node; /* in seg_spool.early */
	struct seg_spool *spool;
	uint64_t id;
	spool_read_fn *fn;
	void *ctx;
	/* for the worker */
	char segment_name[32];
	uint64_t at;
	uint32_t envelope_len, edits_len;
	bool want_large;
	struct buf data;
	int error, large_fd;
};

static void reading_free(struct reading *r)
{
	buf_done(&r->data);
	mem_free(r);
}

static int read_range(struct disk *d, const char *name, uint64_t at, size_t n, struct buf *out)
{
	int fd = d->ops->open(d->self, name, O_RDONLY, 0);
	if (fd < 0)
		return -fd;
	int r = buf_reserve(out, n) == ERR_OK ? 0 : ENOMEM;
	while (r == 0 && n > 0) {
		ssize_t got = d->ops->pread(d->self, fd, out->data + out->len, n, at);
		if (got <= 0) {
			r = got < 0 ? (int)-got : EIO;
			break;
		}
		out->len += (size_t)got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	d->ops->close(d->self, fd);
	return r;
}

static void run_read(struct job *j)
{
	struct reading *r = CONTAINER_OF(j, struct reading, job);
	struct disk *d = &r->spool->disk;
	char name[32];
	r->error = read_range(d, r->segment_name, r->at, (size_t)r->envelope_len + r->edits_len, &r->data);
	if (r->want_large) {
		seg_name(name, "msg", r->id);
		r->large_fd = d->ops->reopen_readonly(d->self, name);
	}
}

static void read_done(struct job *j)
{
	struct reading *r = CONTAINER_OF(j, struct reading, job);
	struct seg_spool *s = r->spool;
	struct entry *e = seg_find(s, r->id);
	struct slice all = buf_slice(&r->data);
	struct slice envelope = slice_sub(all, 0, r->envelope_len), edits = slice_from(all, r->envelope_len);
	s->bulk_jobs--;
	if (e && e->large_fd < 0)
		e->large_fd = r->large_fd;
	else
		base_close(&r->large_fd);
	if (e && !r->error && !e->cached)
		seg_cache_put(s, e, envelope, edits);
	if (!e)
		r->fn(r->ctx, ERR_NOTFOUND, SLICE_EMPTY, SLICE_EMPTY);
	else if (r->error)
		r->fn(r->ctx, ERR_IO, SLICE_EMPTY, SLICE_EMPTY);
	else
		r->fn(r->ctx, ERR_OK, envelope, edits);
	reading_free(r);
	seg_check_closed(s);
}

/* Answers that need no disk, at the end of the turn. */
void seg_answer(void *ctx)
{
	struct seg_spool *s = ctx;
	for (struct list_node *n; (n = list_pop(&s->early));) {
		struct reading *r = CONTAINER_OF(n, struct reading, node);
		struct entry *e = seg_find(s, r->id);
		struct cached *c = e ? e->cached : NULL;
		if (!e) {
			r->fn(r->ctx, ERR_NOTFOUND, SLICE_EMPTY, SLICE_EMPTY);
		} else if (c) {
			r->fn(r->ctx, ERR_OK, slice_of(c->octets, c->envelope_len),
			      slice_of(c->octets + c->envelope_len, c->edits_len));
		} else { /* fell out of the cache meanwhile */
			seg_read(&s->spool, r->id, r->fn, r->ctx);
		}
		reading_free(r);
	}
}

void seg_read(struct spool *sp, uint64_t id, spool_read_fn *fn, void *ctx)
{
	struct seg_spool *s = seg_of(sp);
	struct entry *e = seg_find(s, id);
	struct reading *r = NEW(struct reading);
	ASSERT(r); /* small; without it the caller could not be answered */
	*r = (struct reading){.spool = s, .id = id, .fn = fn, .ctx = ctx, .large_fd = -1};
	buf_init(&r->data, 2 * (size_t)SPOOL_PAYLOAD_MAX);
	bool want_large = e && e->large && e->large_fd < 0;
	if (!e || (e->cached && !want_large)) {
		list_push_back(&s->early, &r->node);
		task_defer(&s->answer);
		return;
	}
	seg_name(r->segment_name, "seg", e->segment->sequence);
	r->at = e->envelope_at;
	r->envelope_len = e->envelope_len;
	r->edits_len = e->edits_len;
	r->want_large = want_large;
	r->job = (struct job){.run = run_read, .done = read_done};
	s->bulk_jobs++;
	worker_submit(s->bulk, &r->job);
}

/* ---- walks ---- */

struct walking {
	struct job job;
	struct seg_spool *spool;
	struct spool_walk walk;
	size_t count;
	struct {
		uint64_t sequence, seed, end;
	} * segments;            /* owned; in the order to be read */
	struct walk_items items; /* in the order of the spool */
	int error;
};

static void walk_record(struct walking *w, const struct segf_record *rec, struct walk_items *to)
{
	struct spool_item it = {.id = rec->id};
	struct segf_message m;
	struct segf_result r;
	if (w->walk.only_id && rec->id != w->walk.only_id)
		return;
	switch (rec->type) {
	case SEGF_MESSAGE:
		if (segf_message_read(rec->payload, &m) != ERR_OK)
			return;
		it.kind = SPOOL_REC_MESSAGE;
		it.payload = m.envelope;
		break;
	case SEGF_RESULT:
		if (segf_result_read(rec->payload, &r) != ERR_OK)
			return;
		it.kind = SPOOL_REC_RESULT;
		it.ordinal = r.ordinal;
		it.state = r.state;
		it.payload = r.payload;
		break;
	case SEGF_VERDICT:
		it.kind = SPOOL_REC_VERDICT;
		it.payload = rec->payload;
		break;
	case SEGF_HOLD:
		it.kind = SPOOL_REC_HOLD;
		it.state = rec->payload.len ? (uint8_t)rec->payload.ptr[0] : 0;
		break;
	default:
		return;
	}
	walk_add(to, &it);
}

/* Only what is durable is read, so every batch is whole. */
static int walk_segment(struct walking *w, size_t i, struct walk_items *to)
{
	CLEANUP(buf_done) struct buf data;
	char name[32];
	buf_init(&data, w->spool->spool.o.segment_size + SEGF_SEGMENT_HEADER);
	seg_name(name, "seg", w->segments[i].sequence);
	int r = read_range(&w->spool->disk, name, 0, w->segments[i].end, &data);
	if (r)
		return r;
	struct slice all = buf_slice(&data);
	struct segf_record rec;
	uint64_t at = SEGF_SEGMENT_HEADER;
	while (at < all.len) {
		enum err e = segf_read(slice_from(all, at), at, w->segments[i].seed, &rec);
		if (e == ERR_OK)
			walk_record(w, &rec, to);
		else if (e == ERR_NOTFOUND)
			break;
		at += e == ERR_OK ? rec.size : 8;
	}
	return 0;
}

/* Newest first: segments from the last one on, each put before what is there, until there is enough. */
static void run_walk(struct job *j)
{
	struct walking *w = CONTAINER_OF(j, struct walking, job);
	for (size_t i = 0; i < w->count && w->items.count < w->walk.max && !w->error; i++) {
		struct walk_items one = {0};
		buf_init(&one.data, w->items.data.max);
		w->error = walk_segment(w, i, &one);
		if (w->walk.newest_first) {
			buf_add(&one.data, buf_slice(&w->items.data));
			buf_done(&w->items.data);
			one.count += w->items.count;
			w->items = one;
		} else {
			buf_add(&w->items.data, buf_slice(&one.data));
			w->items.count += one.count;
			buf_done(&one.data);
		}
	}
	if (w->error == ENOENT)
		w->error = 0; /* removed meanwhile: it was over its time */
}

static void walked(struct job *j)
{
	struct walking *w = CONTAINER_OF(j, struct walking, job);
	struct seg_spool *s = w->spool;
	s->bulk_jobs--;
	if (!w->error)
		walk_show(&w->items, &w->walk);
	w->walk.done(w->walk.ctx, w->error ? ERR_IO : ERR_OK, 0);
	buf_done(&w->items.data);
	mem_free(w->segments);
	mem_free(w);
	seg_check_closed(s);
}

enum err seg_walk(struct spool *sp, const struct spool_walk *walk)
{
	struct seg_spool *s = seg_of(sp);
	struct walking *w = NEW(struct walking);
	if (!w)
		return ERR_NOMEM;
	*w = (struct walking){.job = {.run = run_walk, .done = walked}, .spool = s, .walk = *walk};
	buf_init(&w->items.data, 256u << 20);
	w->segments = mem_alloc((s->segments.count + 1) * sizeof(*w->segments));
	if (!w->segments) {
		mem_free(w);
		return ERR_NOMEM;
	}
	size_t n = s->segments.count;
	LIST_EACH_SAFE (&s->segments, it, tmp) {
		const struct segment *g = CONTAINER_OF(it, struct segment, node);
		size_t to = walk->newest_first ? n - 1 - w->count : w->count;
		w->segments[to].sequence = g->sequence;
		w->segments[to].seed = g->seed;
		w->segments[to].end = g->durable;
		w->count++;
	}
	s->bulk_jobs++;
	worker_submit(s->bulk, &w->job);
	return ERR_OK;
}
