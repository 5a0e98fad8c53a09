/* Content over the threshold streams into a `msg-` file of its own: what is appended is handed to the bulk worker in
 * portions, and the file is synced, then the directory, before the batch with its record may be written. */
#include "core/mem.h"
#include "spool0/seg_priv.h"

#include <errno.h>
#include <fcntl.h>

struct large {
	struct job job;
	struct spool_write *write; /* NULL: dropped; freed when the worker is done */
	struct seg_spool *spool;
	uint64_t id;
	int fd;
	uint64_t written;
	struct buf portion; /* the worker's */
	bool working, last, synced, keep;
	int error;
	XXH3_state_t sum;
	struct spool_batch *batch; /* waits for synced */
};

static void work(struct large *l);

static void free_large(struct large *l)
{
	buf_done(&l->portion);
	mem_free(l);
}

/* ---- on the worker ---- */

static int write_portion(struct large *l)
{
	struct disk *d = &l->spool->disk;
	char name[32];
	if (l->fd < 0) {
		seg_name(name, "msg", l->id);
		l->fd = d->ops->open(d->self, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (l->fd < 0)
			return -l->fd;
	}
	for (size_t done = 0; done < l->portion.len;) {
		struct iovec iov = {l->portion.data + done, l->portion.len - done};
		ssize_t n = d->ops->pwritev(d->self, l->fd, &iov, 1, l->written + done);
		if (n <= 0)
			return n < 0 ? (int)-n : ENOSPC;
		done += (size_t)n;
	}
	l->written += l->portion.len;
	return 0;
}

static int finish_file(struct large *l)
{
	struct disk *d = &l->spool->disk;
	int r = d->ops->fdatasync(d->self, l->fd);
	return r ? -r : -d->ops->fsync_dir(d->self, ".");
}

static void run(struct job *j)
{
	struct large *l = CONTAINER_OF(j, struct large, job);
	struct disk *d = &l->spool->disk;
	char name[32];
	if (!l->error && l->write)
		l->error = write_portion(l);
	if (!l->error && l->write && l->last)
		l->error = finish_file(l);
	bool over = l->error || l->last || !l->write;
	if (over && l->fd >= 0) {
		d->ops->close(d->self, l->fd);
		l->fd = -1;
	}
	if ((l->error || !l->write) && !l->keep) {
		seg_name(name, "msg", l->id);
		d->ops->unlink(d->self, name);
	}
}

/* ---- on the loop ---- */

static void done(struct job *j)
{
	struct large *l = CONTAINER_OF(j, struct large, job);
	struct seg_spool *s = l->spool;
	struct spool_write *w = l->write;
	l->working = false;
	s->bulk_jobs--;
	buf_done(&l->portion);
	if (!w) {
		free_large(l);
		seg_check_closed(s);
		return;
	}
	w->failed |= l->error != 0;
	l->synced = l->last && !l->error;
	if (l->batch && (l->synced || l->error)) {
		struct spool_batch *b = l->batch;
		l->batch = NULL;
		seg_large_done(b, l->error);
		return;
	}
	if (!l->error && (w->content.len || (w->finished && !l->synced)))
		work(l);
	if (w->want_drain && w->content.len < SPOOL_LARGE_AHEAD / 2) {
		w->want_drain = false;
		w->on_drain(w->drain_ctx);
	}
}

/* Gives the worker all that is in memory; the write goes on filling a fresh buffer. */
static void work(struct large *l)
{
	struct spool_write *w = l->write;
	if (l->working || l->error)
		return;
	l->portion = w->content;
	w->spool->pending -= l->portion.len;
	buf_init(&w->content, SPOOL_CONTENT_MAX);
	XXH3_64bits_update(&l->sum, l->portion.len ? l->portion.data : "", l->portion.len);
	l->last = w->finished;
	l->working = true;
	l->job = (struct job){.run = run, .done = done};
	l->spool->bulk_jobs++;
	worker_submit(l->spool->bulk, &l->job);
}

static struct large *large_new(struct spool_write *w)
{
	struct large *l = NEW(struct large);
	if (!l)
		return NULL;
	l->write = w;
	l->spool = seg_of(w->spool);
	l->id = w->id;
	l->fd = -1;
	XXH3_64bits_reset_withSeed(&l->sum, w->id);
	return l;
}

enum err seg_append(struct spool_write *w, struct slice content)
{
	if (!w->large && w->length <= w->spool->o.large_threshold)
		return ERR_OK;
	if (!w->large && !(w->large = large_new(w)))
		return ERR_NOMEM;
	work(w->large);
	return w->content.len > SPOOL_LARGE_AHEAD ? ERR_AGAIN : ERR_OK;
}

enum err seg_finish(struct spool_write *w)
{
	if (w->large)
		work(w->large);
	return w->failed ? ERR_IO : ERR_OK;
}

bool seg_large_wait(struct spool_write *w, struct spool_batch *b)
{
	if (w->large->synced)
		return false;
	if (w->large->error) {
		b->failed = err_from_errno(w->large->error);
		return false;
	}
	w->large->batch = b;
	return true;
}

uint64_t seg_large_sum(const struct spool_write *w)
{
	return XXH3_64bits_digest(&w->large->sum);
}

void seg_large_keep(struct spool_write *w)
{
	w->large->keep = true;
}

/* The write ends: committed (the file stays) or not (it goes). */
void seg_drop(struct spool_write *w)
{
	struct large *l = w->large;
	if (!l)
		return;
	w->large = NULL;
	l->write = NULL;
	if (l->working)
		return; /* freed when the worker is done, which also removes the file */
	if (l->keep || l->error) {
		free_large(l);
		return;
	}
	l->job = (struct job){.run = run, .done = done};
	l->working = true;
	l->spool->bulk_jobs++;
	worker_submit(l->spool->bulk, &l->job);
}
