/* What only one kind of loop can show: other threads, foreign descriptors, memory. The rest is the conformance suite's. */
#include "conformance.h"

#include "core/mem.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static const struct backend epoll = {"epoll", false, 0}, simulated = {"simulated", true, 0};

/* ---- calls from other threads ---- */

#define POSTS 1000

struct poster {
	struct loop *loop;
	struct post posts[POSTS];
	unsigned ran;
	pthread_t loop_thread;
	bool wrong_thread;
};

static void on_post(void *ctx)
{
	struct poster *p = ctx;

	p->wrong_thread |= !pthread_equal(pthread_self(), p->loop_thread);
	if (++p->ran == POSTS)
		loop_stop(p->loop);
}

static void *post_all(void *arg)
{
	struct poster *p = arg;

	for (unsigned i = 0; i < POSTS; i++) {
		p->posts[i] = (struct post){.fn = on_post, .ctx = p};
		loop_post(p->loop, &p->posts[i]);
	}
	return NULL;
}

/* The loop sleeps without any timer: only the posts wake it, and none may be lost on the way. */
static void test_posts_wake_a_sleeping_loop(void **state)
{
	struct fixture *f = *state;
	struct poster p = {.loop = f->loop, .loop_thread = pthread_self()};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, post_all, &p), 0);
	assert_int_equal(loop_run(f->loop), ERR_OK);
	pthread_join(thread, NULL);
	assert_int_equal(p.ran, POSTS);
	assert_false(p.wrong_thread);
}

/* ---- foreign descriptors ---- */

struct watcher {
	struct loop *loop;
	int fds[2];
	unsigned calls, others;
	bool removes, leaves_it;
};

static void on_readable(void *ctx)
{
	struct watcher *w = ctx;
	char c;

	w->calls++;
	if (!w->leaves_it)
		assert_int_equal(read(w->fds[0], &c, 1), 1);
	if (w->removes)
		assert_int_equal(loop_watch_readable(w->loop, w->fds[0], NULL, NULL), ERR_OK);
}

static void on_other(void *ctx)
{
	struct watcher *w = ctx;

	w->others++;
}

static void watch(struct watcher *w, struct fixture *f)
{
	*w = (struct watcher){.loop = f->loop};
	assert_int_equal(pipe2(w->fds, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(loop_watch_readable(f->loop, w->fds[0], on_readable, w), ERR_OK);
}

static void unwatch(struct watcher *w)
{
	assert_int_equal(loop_watch_readable(w->loop, w->fds[0], NULL, NULL), ERR_OK);
	assert_int_equal(loop_watch_readable(w->loop, w->fds[0], NULL, NULL), ERR_OK);
	close(w->fds[0]);
	close(w->fds[1]);
}

static void test_watching(void **state)
{
	struct fixture *f = *state;
	struct watcher w;

	watch(&w, f);
	assert_false(loop_turn(f->loop, 0));
	assert_int_equal(write(w.fds[1], "ab", 2), 2);
	assert_true(loop_turn(f->loop, 0));
	assert_true(loop_turn(f->loop, 0)); /* still readable */
	assert_false(loop_turn(f->loop, 0));
	assert_int_equal(w.calls, 2);
	assert_int_equal(loop_watch_readable(f->loop, w.fds[0], on_other, &w), ERR_OK);
	assert_int_equal(write(w.fds[1], "c", 1), 1);
	assert_true(loop_turn(f->loop, 0));
	assert_int_equal(w.calls, 2);
	assert_int_equal(w.others, 1);
	unwatch(&w);
}

static void test_watch_removes_itself(void **state)
{
	struct fixture *f = *state;
	struct watcher w;

	watch(&w, f);
	w.removes = w.leaves_it = true;
	assert_int_equal(write(w.fds[1], "ab", 2), 2);
	assert_true(loop_turn(f->loop, 0));
	assert_false(loop_turn(f->loop, 0));
	assert_int_equal(w.calls, 1);
	unwatch(&w);
}

static void test_what_cannot_be_watched(void **state)
{
	struct fixture *f = *state;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_int_equal(loop_watch_readable(f->loop, file, on_other, NULL), ERR_PERM);
	assert_int_equal(f->loop->watches.count, 0);
	mem_fail_after(0);
	assert_int_equal(loop_watch_readable(f->loop, fd, on_other, NULL), ERR_NOMEM);
	close(fd);
	close(file);
}

/* ---- the rest ---- */

static void test_without_memory(void **state)
{
	struct loop *l = NULL;
	struct sim_options o = {.seed = 1};
	struct diag d;

	for (size_t n = 0; n < 2; n++) {
		mem_fail_after(n);
		assert_int_equal(loop_epoll_new(&l, &d), ERR_NOMEM);
		mem_fail_after(n);
		assert_int_equal(loop_sim_new(&o, &l, &d), ERR_NOMEM);
		assert_null(l);
	}
	mem_fail_after(SIZE_MAX);
	loop_free(NULL);
}

static void count_up(void *ctx)
{
	(*(unsigned *)ctx)++;
}

static void test_longest_delay_does_not_wrap(void **state)
{
	struct fixture *f = *state;
	struct timer t;
	unsigned fired = 0;

	timer_init(&t, f->loop, count_up, &fired);
	timer_set(&t, UINT64_MAX);
	loop_turn(f->loop, 0);
	assert_int_equal(fired, 0);
	timer_cancel(&t);
}

static void test_signal_numbers(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(loop_signal(f->loop, 0, NULL, NULL), ERR_RANGE);
	assert_int_equal(loop_signal(f->loop, 65, NULL, NULL), ERR_RANGE);
	loop_dispatch_signal(f->loop, 15); /* nobody handles it */
}

#define OVER(back_end, name)                                                                                 \
	{                                                                                                    \
#name, name, suite_setup, suite_teardown, (void *)&(back_end)                                \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVER(epoll, test_posts_wake_a_sleeping_loop),
		OVER(epoll, test_watching),
		OVER(epoll, test_watch_removes_itself),
		OVER(epoll, test_what_cannot_be_watched),
		cmocka_unit_test(test_without_memory),
		OVER(simulated, test_longest_delay_does_not_wrap),
		OVER(simulated, test_signal_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
