#include "evio/worker.h"

#include "core/mem.h"
#include "evio/loop_priv.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#define NAME_MAX_THREAD 15 /* the kernel's limit for a thread's name */

/* A job goes queue -> running -> finished -> done. Lists, `posted` and `stop` are under `lock`; the rest belongs to
 * the loop's thread. The simulated worker uses `queue` alone. */
struct worker {
	struct loop *loop; /* borrowed */
	size_t pending;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct list queue, finished;
	bool posted; /* `post` is under way to the loop */
	bool stop;
	struct post post;
	struct timer timer; /* simulated: the job at the head of the queue runs when it fires */
	char name[NAME_MAX_THREAD + 1];
};

static struct job *pop(struct list *l)
{
	struct list_node *n = list_pop(l);

	return n ? CONTAINER_OF(n, struct job, node) : NULL;
}

/* ---- the helper thread ---- */

/* The next job, NULL once it is time to end: only when the queue is empty. */
static struct job *next_job(struct worker *w)
{
	struct job *j;

	pthread_mutex_lock(&w->lock);
	while (!(j = pop(&w->queue)) && !w->stop)
		pthread_cond_wait(&w->wake, &w->lock);
	pthread_mutex_unlock(&w->lock);
	return j;
}

static void finish_job(struct worker *w, struct job *j)
{
	bool first;

	pthread_mutex_lock(&w->lock);
	list_push_back(&w->finished, &j->node);
	first = !w->posted;
	w->posted = true;
	pthread_mutex_unlock(&w->lock);
	if (first) /* one wake-up for all that finish until the loop looks */
		loop_post(w->loop, &w->post);
}

static void *thread_main(void *arg)
{
	struct worker *w = arg;
	struct job *j;

	pthread_setname_np(pthread_self(), w->name);
	while ((j = next_job(w))) {
		j->run(j);
		finish_job(w, j);
	}
	return NULL;
}

/* ---- on the loop ---- */

static void job_done(struct worker *w, struct job *j)
{
	ASSERT(w->pending > 0);
	w->pending--;
	j->done(j);
}

/* What has finished by now; what finishes meanwhile posts again. */
static void deliver(void *ctx)
{
	struct worker *w = ctx;
	struct job *j;
	size_t n;

	pthread_mutex_lock(&w->lock);
	w->posted = false;
	n = w->finished.count;
	pthread_mutex_unlock(&w->lock);
	while (n-- > 0) {
		pthread_mutex_lock(&w->lock);
		j = pop(&w->finished);
		pthread_mutex_unlock(&w->lock);
		job_done(w, j);
	}
}

static void simulate(void *ctx)
{
	struct worker *w = ctx;
	struct job *j = pop(&w->queue);

	if (w->queue.count > 0)
		timer_set(&w->timer, w->loop->worker_delay_ms);
	j->run(j);
	job_done(w, j);
}

/* Signals are the loop's business: a thread that takes one would run its handler or swallow it. */
static int start_thread(struct worker *w)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&w->thread, NULL, thread_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

enum err worker_new(struct loop *l, const char *name, struct worker **ret, struct diag *d)
{
	struct worker *w = NEW(struct worker);
	int r;

	if (!w)
		return diag_set(d, ERR_NOMEM, "no memory for thread %s", name);
	w->loop = l;
	w->post = (struct post){.fn = deliver, .ctx = w};
	snprintf(w->name, sizeof(w->name), "%s", name);
	list_init(&w->queue);
	list_init(&w->finished);
	timer_init(&w->timer, l, simulate, w);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	r = l->simulated ? 0 : start_thread(w);
	if (r) {
		mem_free(w);
		return diag_set_errno(d, r, "thread %s", name);
	}
	*ret = w;
	return ERR_OK;
}

void worker_submit(struct worker *w, struct job *j)
{
	w->pending++;
	pthread_mutex_lock(&w->lock);
	list_push_back(&w->queue, &j->node);
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	if (w->loop->simulated && !timer_active(&w->timer))
		timer_set(&w->timer, w->loop->worker_delay_ms);
}

size_t worker_pending(const struct worker *w)
{
	return w->pending;
}

/* The thread ends when its queue is empty. A post that has not run yet must not find a freed worker. */
static void join_thread(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_mutex_lock(&w->loop->post_lock);
	if (list_linked(&w->post.node))
		list_remove(&w->loop->posted, &w->post.node);
	pthread_mutex_unlock(&w->loop->post_lock);
	deliver(w);
}

void worker_free(struct worker *w)
{
	struct job *j;

	if (!w)
		return;
	timer_cancel(&w->timer);
	if (!w->loop->simulated)
		join_thread(w);
	/* What a done submitted after the thread had ended, or a simulated one had queued. */
	while ((j = pop(&w->queue))) {
		j->run(j);
		job_done(w, j);
	}
	ASSERT(w->pending == 0);
	timer_cancel(&w->timer);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	mem_free(w);
}
