#include "core/mem.h"
#include "spool/seg_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define ZERO_CHUNK (1u << 20)
#define AGAIN_MS   1000
#define LOOK_MS    5000

struct segment *seg_segment_new(uint64_t sequence)
{
	struct segment *g = NEW(struct segment);
	if (!g)
		return NULL;
	g->sequence = sequence;
	g->fd = g->read_fd = -1;
	g->end = g->durable = SEGF_SEGMENT_HEADER;
	buf_init(&g->larges, 64u << 20);
	return g;
}

void seg_segment_free(struct seg_spool *s, struct segment *g)
{
	if (list_linked(&g->node))
		list_remove(&s->segments, &g->node);
	if (g->fd >= 0)
		s->disk.ops->close(s->disk.self, g->fd);
	base_close(&g->read_fd);
	buf_done(&g->larges);
	mem_free(g);
}

struct segment *seg_by_sequence(struct seg_spool *s, uint64_t sequence)
{
	for (struct list_node *n = s->segments.head.prev; n != &s->segments.head; n = n->prev) {
		struct segment *g = CONTAINER_OF(n, struct segment, node);
		if (g->sequence == sequence)
			return g;
	}
	return NULL;
}

/* ---- making: header, zeros, sync, directory ---- */

struct making {
	struct job job;
	struct seg_spool *spool;
	struct segment *segment;
	struct segf_segment header;
	struct buf first; /* encoded header */
	uint64_t size;
	int error;
};

static int zero_fill(struct disk *d, int fd, uint64_t from, uint64_t size)
{
	char *zeros = mem_alloc(ZERO_CHUNK);
	if (!zeros)
		return ENOMEM;
	int r = 0;
	while (r == 0 && from < size) {
		struct iovec iov = {zeros, (size_t)MIN((uint64_t)ZERO_CHUNK, size - from)};
		ssize_t n = d->ops->pwritev(d->self, fd, &iov, 1, from);
		if (n > 0)
			from += (uint64_t)n;
		else
			r = n < 0 ? (int)-n : ENOSPC;
	}
	mem_free(zeros);
	return r;
}

static int make(struct making *m)
{
	struct disk *d = &m->spool->disk;
	struct segment *g = m->segment;
	char name[32];
	seg_name(name, "seg", g->sequence);
	g->fd = d->ops->open(d->self, name, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (g->fd < 0)
		return -g->fd;
	struct iovec iov = {m->first.data, m->first.len};
	ssize_t n = d->ops->pwritev(d->self, g->fd, &iov, 1, 0);
	if (n != (ssize_t)m->first.len)
		return n < 0 ? (int)-n : ENOSPC;
	int r = zero_fill(d, g->fd, m->first.len, m->size);
	if (r == 0)
		r = -d->ops->fdatasync(d->self, g->fd);
	if (r == 0)
		r = -d->ops->fsync_dir(d->self, ".");
	if (r)
		return r;
	g->read_fd = d->ops->reopen_readonly(d->self, name);
	return g->read_fd < 0 ? -g->read_fd : 0;
}

static void run_make(struct job *j)
{
	struct making *m = CONTAINER_OF(j, struct making, job);
	char name[32];
	m->error = make(m);
	if (!m->error)
		return;
	seg_name(name, "seg", m->segment->sequence);
	m->spool->disk.ops->unlink(m->spool->disk.self, name);
}

static void first_segment(struct seg_spool *s)
{
	s->ready = true;
	s->report.took_ms = loop_now(s->spool.loop) - s->opened_ms;
	s->spool.ev->on_ready(s->spool.ctx, ERR_OK, &s->report, NULL);
	seg_look(s);
}

static void made(struct job *j)
{
	struct making *m = CONTAINER_OF(j, struct making, job);
	struct seg_spool *s = m->spool;
	struct diag d = {0};
	s->making = false;
	s->bulk_jobs--;
	if (m->error) {
		diag_set_errno(&d, m->error, "a new segment cannot be made");
		seg_segment_free(s, m->segment);
		timer_set(&s->again, AGAIN_MS);
		if (!s->active) { /* a spare would only have been useful later */
			seg_fail_waiting(s, &d);
			spool_set_health(&s->spool, SPOOL_BROKEN, &d);
		}
	} else {
		s->spare = m->segment;
		if (!s->active && seg_rotate(s) && s->spool.health == SPOOL_BROKEN)
			spool_set_health(&s->spool, SPOOL_HEALTHY, NULL);
		if (!s->ready && !s->closing)
			first_segment(s);
		seg_place_waiting(s);
	}
	buf_done(&m->first);
	mem_free(m);
	seg_check_closed(s);
}

void seg_make(struct seg_spool *s)
{
	if (s->making || s->spare || s->closing)
		return;
	struct making *m = NEW(struct making);
	struct segment *g = m ? seg_segment_new(s->next_sequence) : NULL;
	if (!g) {
		mem_free(m);
		timer_set(&s->again, AGAIN_MS);
		return;
	}
	s->next_sequence++;
	g->created_ms = loop_wall(s->spool.loop);
	m->spool = s;
	m->segment = g;
	m->size = s->spool.o.segment_size;
	m->header = (struct segf_segment){
		.sequence = g->sequence, .generation = s->spool.generation, .created_ms = g->created_ms};
	loop_random(s->spool.loop, m->header.secret, sizeof(m->header.secret));
	g->seed = segf_seed(&m->header);
	buf_init(&m->first, SEGF_SEGMENT_HEADER);
	segf_segment_encode(&m->header, &m->first);
	m->job = (struct job){.run = run_make, .done = made};
	s->making = true;
	s->bulk_jobs++;
	worker_submit(s->bulk, &m->job);
}

bool seg_rotate(struct seg_spool *s)
{
	if (s->active)
		s->active->sealed = true;
	s->active = s->spare;
	s->spare = NULL;
	if (s->active)
		list_push_back(&s->segments, &s->active->node);
	seg_make(s);
	return s->active != NULL;
}

void seg_abandon(struct seg_spool *s, struct segment *g)
{
	g->sealed = true;
	if (s->active == g)
		seg_rotate(s);
}

/* ---- removing, from the oldest ---- */

struct removing {
	struct job job;
	struct seg_spool *spool;
	struct segment *segment;
};

static void run_remove(struct job *j)
{
	struct removing *r = CONTAINER_OF(j, struct removing, job);
	struct disk *d = &r->spool->disk;
	struct segment *g = r->segment;
	char name[32];
	for (size_t i = 0; i + 8 <= g->larges.len; i += 8) {
		uint64_t id;
		memcpy(&id, g->larges.data + i, 8);
		seg_name(name, "msg", id);
		d->ops->unlink(d->self, name);
	}
	seg_name(name, "seg", g->sequence);
	d->ops->unlink(d->self, name);
	/* The next oldest may only go after this one has for sure (FORMAT.md, invariant 6). */
	d->ops->fsync_dir(d->self, ".");
}

static void removed(struct job *j)
{
	struct removing *r = CONTAINER_OF(j, struct removing, job);
	struct seg_spool *s = r->spool;
	s->bulk_jobs--;
	seg_segment_free(s, r->segment);
	mem_free(r);
	seg_check_closed(s);
}

void seg_collect(struct seg_spool *s)
{
	while (s->segments.count && !s->closing) {
		struct segment *g = CONTAINER_OF(list_first(&s->segments), struct segment, node);
		int64_t age = loop_wall(s->spool.loop) - g->created_ms;
		if (!g->sealed || g->live || g->loans || age < (int64_t)s->spool.o.archive_ms ||
		    (s->flying && s->flying->segment == g))
			return;
		struct removing *r = NEW(struct removing);
		if (!r)
			return;
		list_remove(&s->segments, &g->node);
		*r = (struct removing){.job = {.run = run_remove, .done = removed}, .spool = s, .segment = g};
		s->bulk_jobs++;
		worker_submit(s->bulk, &r->job);
	}
}

/* ---- free space ---- */

struct looking {
	struct job job;
	struct seg_spool *spool;
	uint64_t free, total;
	int error;
};

static void run_look(struct job *j)
{
	struct looking *l = CONTAINER_OF(j, struct looking, job);
	l->error = l->spool->disk.ops->space(l->spool->disk.self, &l->free, &l->total);
}

static void looked(struct job *j)
{
	struct looking *l = CONTAINER_OF(j, struct looking, job);
	struct seg_spool *s = l->spool;
	struct diag d = {0};
	s->bulk_jobs--;
	s->looking = false;
	if (!l->error) {
		s->free_octets = l->free;
		s->total_octets = l->total;
		bool low = l->free < s->spool.o.disk_reserve;
		diag_set(&d, ERR_NOSPACE, "%llu MiB free, %llu MiB are kept in reserve",
			 (unsigned long long)(l->free >> 20),
			 (unsigned long long)(s->spool.o.disk_reserve >> 20));
		if (s->spool.health != SPOOL_BROKEN)
			spool_set_health(&s->spool, low ? SPOOL_RESERVE : SPOOL_HEALTHY, low ? &d : NULL);
	}
	mem_free(l);
	if (!s->closing)
		timer_set(&s->look, LOOK_MS);
	seg_collect(s);
	seg_check_closed(s);
}

void seg_look(void *ctx)
{
	struct seg_spool *s = ctx;
	struct looking *l = s->looking || s->closing ? NULL : NEW(struct looking);
	if (!l)
		return;
	*l = (struct looking){.job = {.run = run_look, .done = looked}, .spool = s};
	s->looking = true;
	s->bulk_jobs++;
	worker_submit(s->bulk, &l->job);
}
