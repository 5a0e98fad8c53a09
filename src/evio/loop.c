#include "evio/loop_priv.h"

#include "core/hash.h"
#include "core/mem.h"

#include <errno.h>
#include <signal.h>

struct watch {
	struct map_node node;
	struct io io;
	void (*fn)(void *ctx);
	void *ctx;
};

static bool watch_eq(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct watch, node)->io.fd == *(const int *)key;
}

enum err loop_init(struct loop *l, const struct loop_ops *ops, struct diag *d)
{
	l->ops = ops;
	heap_init(&l->timers);
	list_init(&l->tasks);
	list_init(&l->ipc_blocked);
	list_init(&l->posted);
	map_init(&l->watches, watch_eq);
	pthread_mutex_init(&l->post_lock, NULL);
	l->scratch = mem_alloc(EVIO_SCRATCH);
	ops->read_clock(l);
	return l->scratch ? ERR_OK : diag_set(d, ERR_NOMEM, "no memory for the event loop");
}

void loop_done(struct loop *l)
{
	MAP_EACH_SAFE (&l->watches, n, tmp) {
		struct watch *w = CONTAINER_OF(n, struct watch, node);
		map_remove(&l->watches, n);
		mem_free(w);
	}
	map_done(&l->watches);
	heap_done(&l->timers);
	mem_free(l->scratch);
	pthread_mutex_destroy(&l->post_lock);
}

void loop_free(struct loop *l)
{
	if (l)
		l->ops->free(l);
}

/* ---- turns ---- */

static uint64_t time_to_timer(const struct loop *l)
{
	const struct heap_node *n = heap_min(&l->timers);
	if (!n)
		return UINT64_MAX;
	return n->key > l->now ? n->key - l->now : 0;
}

/* Timers that are set while these run wait for the next turn: one of no delay must not keep the others out. */
static bool run_timers(struct loop *l)
{
	bool any = false;
	uint64_t newest = l->timers.next_seq;
	for (struct heap_node *n; (n = heap_min(&l->timers)) && n->key <= l->now && n->seq < newest;
	     any = true) {
		struct timer *t = CONTAINER_OF(n, struct timer, node);
		heap_remove(&l->timers, n);
		t->fn(t->ctx);
	}
	return any;
}

/* Tasks that are deferred while these run belong to this turn too (flushing may follow from flushing), but not without
 * end: the rest runs in the next turn, which does not sleep then. */
static bool run_tasks(struct loop *l)
{
	bool any = false;
	for (unsigned round = 0; round < EVIO_TASK_ROUNDS && l->tasks.count; round++)
		for (size_t left = l->tasks.count; left > 0 && l->tasks.count; left--, any = true) {
			struct task *t = CONTAINER_OF(list_pop(&l->tasks), struct task, node);
			t->fn(t->ctx);
		}
	return any;
}

bool loop_turn(struct loop *l, uint64_t max_wait_ms)
{
	uint64_t wait = l->tasks.count ? 0 : MIN(max_wait_ms, time_to_timer(l));
	int n = l->ops->wait(l, wait);
	if (n < 0) {
		l->failed = -n;
		l->stopped = true;
		return false;
	}
	bool any = n > 0;
	any |= run_timers(l);
	any |= run_tasks(l);
	return any;
}

enum err loop_run(struct loop *l)
{
	l->stopped = false;
	l->failed = 0;
	while (!l->stopped)
		loop_turn(l, UINT64_MAX);
	run_tasks(l);
	return l->failed ? ERR_IO : ERR_OK;
}

void loop_stop(struct loop *l)
{
	l->stopped = true;
}

uint64_t loop_now(const struct loop *l)
{
	return l->now;
}

int64_t loop_wall(const struct loop *l)
{
	return l->wall;
}

void loop_random(struct loop *l, void *p, size_t n)
{
	l->ops->random(l, p, n);
}

/* ---- timers and tasks ---- */

void timer_init(struct timer *t, struct loop *l, void (*fn)(void *ctx), void *ctx)
{
	*t = (struct timer){.loop = l, .fn = fn, .ctx = ctx};
}

void timer_set(struct timer *t, uint64_t delay_ms)
{
	uint64_t at = delay_ms > UINT64_MAX - t->loop->now ? UINT64_MAX : t->loop->now + delay_ms;
	if (timer_active(t))
		heap_update(&t->loop->timers, &t->node, at);
	else if (heap_insert(&t->loop->timers, &t->node, at) != ERR_OK)
		/* A time-out that cannot be armed would be a hang; the slots array is small and grows rarely. */
		base_bug(__FILE__, __LINE__, "no memory for a timer");
}

void timer_cancel(struct timer *t)
{
	if (timer_active(t))
		heap_remove(&t->loop->timers, &t->node);
}

bool timer_active(const struct timer *t)
{
	return t->node.index != 0;
}

void task_init(struct task *t, struct loop *l, void (*fn)(void *ctx), void *ctx)
{
	*t = (struct task){.loop = l, .fn = fn, .ctx = ctx};
}

void task_defer(struct task *t)
{
	if (!list_linked(&t->node))
		list_push_back(&t->loop->tasks, &t->node);
}

void task_cancel(struct task *t)
{
	if (list_linked(&t->node))
		list_remove(&t->loop->tasks, &t->node);
}

/* ---- descriptors ---- */

int io_update(struct loop *l, struct io *io, unsigned wanted)
{
	if (io->added ? io->wanted == wanted : wanted == 0)
		return 0;
	return l->ops->update(l, io, wanted);
}

static void on_watch(void *ctx, unsigned ready)
{
	struct watch *w = ctx;
	w->fn(w->ctx);
}

static void unwatch(struct loop *l, struct watch *w)
{
	io_update(l, &w->io, 0);
	map_remove(&l->watches, &w->node);
	mem_free(w);
}

static struct watch *watch_new(struct loop *l, int fd, uint64_t hash)
{
	struct watch *w = NEW(struct watch);
	if (!w)
		return NULL;
	w->io = (struct io){.fd = fd, .fn = on_watch, .ctx = w};
	if (map_insert(&l->watches, &w->node, hash) == ERR_OK)
		return w;
	mem_free(w);
	return NULL;
}

enum err loop_watch_readable(struct loop *l, int fd, void (*fn)(void *ctx), void *ctx)
{
	uint64_t hash = hash_u64((uint64_t)fd);
	struct map_node *n = map_find(&l->watches, hash, &fd);
	struct watch *w = n ? CONTAINER_OF(n, struct watch, node) : NULL;
	if (!fn) {
		if (w)
			unwatch(l, w);
		return ERR_OK;
	}
	if (!w)
		w = watch_new(l, fd, hash);
	if (!w)
		return ERR_NOMEM;
	w->fn = fn;
	w->ctx = ctx;
	int r = io_update(l, &w->io, IO_READ);
	if (r)
		unwatch(l, w);
	return r ? err_from_errno(-r) : ERR_OK;
}

/* ---- signals ---- */

enum err loop_signal(struct loop *l, int signo, void (*fn)(void *ctx, int signo), void *ctx)
{
	if (signo < 1 || signo > 64)
		return ERR_RANGE;
	l->signals[signo] = (struct signal_handler){fn, ctx};
	int r = l->ops->signal(l, signo);
	return r ? err_from_errno(-r) : ERR_OK;
}

void loop_dispatch_signal(struct loop *l, int signo)
{
	if (signo >= 1 && signo <= 64 && l->signals[signo].fn)
		l->signals[signo].fn(l->signals[signo].ctx, signo);
}

/* ---- calls from other threads ---- */

void loop_post(struct loop *l, struct post *p)
{
	pthread_mutex_lock(&l->post_lock);
	bool first = l->posted.count == 0;
	list_push_back(&l->posted, &p->node);
	pthread_mutex_unlock(&l->post_lock);
	if (first)
		l->post_wake(l);
}

void loop_run_posted(struct loop *l)
{
	for (;;) {
		pthread_mutex_lock(&l->post_lock);
		struct list_node *n = list_pop(&l->posted);
		pthread_mutex_unlock(&l->post_lock);
		if (!n)
			return;
		struct post *p = CONTAINER_OF(n, struct post, node);
		p->fn(p->ctx);
	}
}
