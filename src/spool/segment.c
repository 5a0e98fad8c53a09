/* Making segments, on the bulk worker. A zeroed one is written in slices, so that reads need not wait for it. */
#include "core/mem.h"
#include "spool/store.h"

#include <errno.h>
#include <fcntl.h>

#define ZERO_SLICE (1u << 20)

struct making {
	struct job job;
	struct store *store;
	struct segment *segment; /* owned until it is `next` */
	struct format_segment header;
	bool zeroed;
	uint64_t size; /* to zero up to */
	int errnum, loan_fd;
};

struct segment *segment_new(uint64_t sequence)
{
	struct segment *seg = NEW(struct segment);
	if (!seg)
		return NULL;
	seg->sequence = sequence;
	seg->fd = -1;
	return seg;
}

void segment_free(struct store *s, struct segment *seg)
{
	if (!seg)
		return;
	loan_drop(s, seg);
	if (seg->fd >= 0)
		s->disk.ops->close(s->disk.self, seg->fd);
	mem_free(seg);
}

/* ---- on the worker ---- */

static int write_at(const struct disk *d, int fd, const void *p, size_t n, uint64_t offset)
{
	struct iovec iov = {(void *)p, n};
	ssize_t r = d->ops->pwritev(d->self, fd, &iov, 1, offset);
	return r < 0 ? (int)-r : 0;
}

static int write_header(struct making *m)
{
	const struct disk *d = &m->store->disk;
	CLEANUP(buf_done) struct buf b;
	buf_init(&b, FORMAT_SEGMENT_HEADER);
	format_segment_encode(&m->header, &b);
	if (b.failed)
		return ENOMEM;
	int r = write_at(d, m->segment->fd, b.data, b.len, 0);
	if (!r)
		r = -d->ops->fdatasync(d->self, m->segment->fd);
	if (!r)
		r = -d->ops->fsync_dir(d->self, ".");
	return r;
}

static int begin(struct making *m)
{
	const struct disk *d = &m->store->disk;
	char name[STORE_NAME_MAX];
	store_name_segment(name, m->segment->sequence);
	m->segment->fd = d->ops->open(d->self, name, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (m->segment->fd < 0)
		return -m->segment->fd;
	int r = write_header(m);
	if (r)
		d->ops->unlink(d->self, name); /* if that fails too, the next opening finds it empty */
	m->segment->allocated = m->segment->end = FORMAT_SEGMENT_HEADER;
	if (!r && !d->snapshots)
		m->loan_fd = d->ops->reopen_readonly(d->self, name);
	return r;
}

static int zero_slice(struct making *m)
{
	static const char zeros[ZERO_SLICE];
	struct segment *seg = m->segment;
	size_t n = (size_t)MIN((uint64_t)ZERO_SLICE, m->size - seg->allocated);
	int r = write_at(&m->store->disk, seg->fd, zeros, n, seg->allocated);
	if (r)
		return r;
	seg->allocated += n;
	return seg->allocated < m->size ? 0 : -m->store->disk.ops->fdatasync(m->store->disk.self, seg->fd);
}

static void run_making(struct job *j)
{
	struct making *m = CONTAINER_OF(j, struct making, job);
	if (m->segment->end == 0)
		m->errnum = begin(m);
	else if (zero_slice(m) != 0)
		m->size = 0; /* zeros are a favour: a segment that could not be filled up grows instead */
}

/* ---- on the loop ---- */

static void making_free(struct making *m)
{
	segment_free(m->store, m->segment);
	m->store->making = false;
	mem_free(m);
}

static void making_failed(struct making *m)
{
	struct store *s = m->store;
	struct diag why;
	diag_set_errno(&why, m->errnum, "making a segment of the spool");
	s->full |= why.code == ERR_NOSPACE;
	making_free(m);
	if (!s->active) {
		commit_fail_ready(s, &why);
		store_health(s, &why);
		keep_look(s); /* what is old may go early */
		if (!s->spool.closing)
			timer_set(&s->retry, SPOOL_RETRY_MS);
	}
	store_check_closed(s);
}

static void made(struct making *m)
{
	struct store *s = m->store;
	struct segment *seg = m->segment;
	loan_open_segment(s, seg, m->loan_fd);
	m->segment = NULL;
	making_free(m);
	if (s->active) {
		s->next = seg;
	} else {
		s->active = seg;
		seg->since = loop_now(s->spool.loop);
		list_push_back(&s->segments, &seg->node);
		if (!s->opened && !s->spool.closing)
			recover_ready(s);
		store_health(s, NULL);
	}
	commit_kick(s);
	store_check_closed(s);
}

static void making_done(struct job *j)
{
	struct making *m = CONTAINER_OF(j, struct making, job);
	struct store *s = m->store;
	store_bulk_done(s);
	if (m->errnum) {
		making_failed(m);
	} else if (s->active && !s->spool.closing && m->zeroed && m->segment->allocated < m->size) {
		store_bulk(s, &m->job); /* the next slice; without an active segment nobody waits for zeros */
	} else {
		made(m);
	}
}

void segment_make(struct store *s, bool zeroed)
{
	if (s->making || s->next || (s->spool.closing && s->active))
		return;
	struct making *m = NEW(struct making);
	struct segment *seg = m ? segment_new(s->next_sequence) : NULL;
	if (!seg) {
		mem_free(m);
		timer_set(&s->retry, SPOOL_RETRY_MS);
		return;
	}
	*m = (struct making){.store = s, .segment = seg, .zeroed = zeroed, .loan_fd = -1};
	m->size = s->spool.options.segment_size;
	m->header = (struct format_segment){.sequence = s->next_sequence++,
					    .generation = s->spool.generation,
					    .created_ms = loop_wall(s->spool.loop)};
	loop_random(s->spool.loop, m->header.secret, sizeof(m->header.secret));
	seg->generation = m->header.generation;
	seg->last_ms = m->header.created_ms;
	seg->seed = format_seed(&m->header);
	m->job = (struct job){.run = run_making, .done = making_done};
	s->making = true;
	store_bulk(s, &m->job);
}
