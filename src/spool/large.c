/* Content over the threshold: a file of its own, written by the bulk worker while it arrives, and safe (file and
 * directory synced) before the batch with its message goes to the commit worker.
 *
 *     filling --(finish)--> closing --(synced)--> safe --(committed)--> kept
 *         `------(error)-----> broken;     dropped in any state but kept: the file is removed
 */
#include "core/mem.h"
#include "spool/store.h"

#include <errno.h>
#include <fcntl.h>
#include <xxhash.h>

#define IOV_BATCH 64

struct large {
	struct job job;
	struct store *store;
	struct spool_write *write; /* NULL: dropped while the worker had the job */
	uint64_t id;
	struct chunk_list content; /* with the worker */
	uint64_t written;
	XXH3_state_t *sum; /* owned; the library aligns it */
	int fd, errnum;
	int loan_fd; /* opened when it is safe; -1 */
	bool working, last, safe, kept;
};

/* ---- on the worker ---- */

static int open_file(struct large *l)
{
	const struct disk *d = &l->store->disk;
	char name[STORE_NAME_MAX];
	if (l->fd >= 0)
		return 0;
	store_name_large(name, l->id);
	l->fd = d->ops->open(d->self, name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	return l->fd < 0 ? -l->fd : 0;
}

static int write_content(struct large *l)
{
	const struct disk *d = &l->store->disk;
	struct iovec iov[IOV_BATCH];
	const struct chunk *c = l->content.first;
	while (c) {
		int n = 0;
		for (; c && n < IOV_BATCH; c = c->next) {
			XXH3_64bits_update(l->sum, c->octets, c->used);
			iov[n++] = (struct iovec){(void *)c->octets, c->used};
		}
		ssize_t r = d->ops->pwritev(d->self, l->fd, iov, n, l->written);
		if (r < 0)
			return (int)-r;
		l->written += (uint64_t)r;
	}
	return 0;
}

static int make_safe(struct large *l)
{
	const struct disk *d = &l->store->disk;
	char name[STORE_NAME_MAX];
	int r = -d->ops->fdatasync(d->self, l->fd);
	if (!r)
		r = -d->ops->fsync_dir(d->self, ".");
	store_name_large(name, l->id);
	if (!r)
		l->loan_fd = d->ops->reopen_readonly(d->self, name);
	return r;
}

static void close_file(struct large *l)
{
	if (l->fd >= 0)
		l->store->disk.ops->close(l->store->disk.self, l->fd);
	l->fd = -1;
}

static void run_large(struct job *j)
{
	struct large *l = CONTAINER_OF(j, struct large, job);
	int r = open_file(l);
	if (!r)
		r = write_content(l);
	if (!r && l->last)
		r = make_safe(l);
	l->errnum = r;
	if (r || l->last)
		close_file(l);
}

static void run_removal(struct job *j)
{
	struct large *l = CONTAINER_OF(j, struct large, job);
	char name[STORE_NAME_MAX];
	close_file(l);
	store_name_large(name, l->id);
	l->store->disk.ops->unlink(l->store->disk.self, name);
}

/* ---- on the loop ---- */

static void large_free(struct large *l)
{
	base_close(&l->loan_fd);
	XXH3_freeState(l->sum);
	mem_free(l);
}

static void removed(struct job *j)
{
	struct large *l = CONTAINER_OF(j, struct large, job);
	struct store *s = l->store;
	store_bulk_done(s);
	large_free(l);
	store_check_closed(s);
}

static void drop(struct large *l)
{
	l->job = (struct job){.run = run_removal, .done = removed};
	store_bulk(l->store, &l->job);
}

static void large_done(struct job *j);

/* All that has come is the worker's; the write goes on filling new chunks. */
static void work(struct large *l)
{
	struct spool_write *w = l->write;
	bool finished = w->state != WRITE_OPEN;
	if (l->working || l->safe || l->errnum || (!w->content.first && !finished))
		return;
	l->content = w->content;
	w->content = (struct chunk_list){0};
	l->last = finished;
	l->working = true;
	l->job = (struct job){.run = run_large, .done = large_done};
	store_bulk(l->store, &l->job);
}

static void tell(struct spool_write *w)
{
	void (*fn)(void *) = w->on_drain;
	w->on_drain = NULL;
	if (fn)
		fn(w->drain_ctx);
}

static void large_done(struct job *j)
{
	struct large *l = CONTAINER_OF(j, struct large, job);
	struct store *s = l->store;
	struct spool_write *w = l->write;
	store_bulk_done(s);
	l->working = false;
	chunks_free(&s->spool, &l->content);
	if (!w) {
		drop(l);
		return;
	}
	if (l->errnum)
		w->failed = err_from_errno(l->errnum);
	l->safe = l->last && !l->errnum;
	w->content_sum = l->safe ? XXH3_64bits_digest(l->sum) : 0;
	work(l);
	bool over = l->safe || l->errnum;
	if (over && w->state == WRITE_BATCHED && w->batch->done && !w->batch->failed)
		commit_submit(w->batch);
	else if (w->content.octets < SPOOL_LARGE_AHEAD / 2)
		tell(w);
	store_check_closed(s);
}

static struct large *large_new(struct spool_write *w)
{
	struct large *l = NEW(struct large);
	if (!l)
		return NULL;
	l->store = store_of(w->spool);
	l->write = w;
	l->id = w->id;
	l->fd = -1;
	l->loan_fd = -1;
	l->sum = XXH3_createState();
	if (!l->sum) {
		mem_free(l);
		return NULL;
	}
	XXH3_64bits_reset(l->sum);
	return l;
}

enum err large_written(struct spool_write *w)
{
	if (w->content_length <= w->spool->options.large_threshold)
		return ERR_OK;
	if (!w->large)
		w->large = large_new(w);
	if (!w->large) {
		w->failed = ERR_NOMEM;
		return w->failed;
	}
	work(w->large);
	return w->content.octets > SPOOL_LARGE_AHEAD ? ERR_AGAIN : ERR_OK;
}

void large_discard(struct spool_write *w)
{
	struct large *l = w->large;
	if (!l)
		return;
	w->large = NULL;
	l->write = NULL;
	if (l->kept)
		large_free(l);
	else if (!l->working)
		drop(l);
}

void large_keep(struct large *l)
{
	ASSERT(l->safe);
	l->kept = true;
	loan_open_large(l->store, l->id, l->loan_fd);
	l->loan_fd = -1;
}

void large_attach(struct spool_batch *b)
{
	b->waiting = 0;
	b->failed = ERR_OK;
	LIST_EACH_SAFE (&b->messages, n, tmp) {
		struct spool_write *w = CONTAINER_OF(n, struct spool_write, in_batch);
		if (w->failed)
			b->failed = w->failed;
		else if (w->large && !w->large->safe)
			b->waiting++;
	}
}
