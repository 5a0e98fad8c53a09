/* The helper thread, on the epoll loop and on the simulated one: order, where callbacks run, and what free waits
 * for. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "evio/sim.h"
#include "evio/worker.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#define JOBS 100

struct fixture {
	struct loop *loop;
	struct worker *worker;
	bool simulated;
	unsigned ran[JOBS], done[JOBS]; /* order of numbers */
	unsigned nran, ndone;
	bool run_on_loop, done_elsewhere, signals_open; /* each written by one thread only */
	pthread_t loop_thread;
	unsigned resubmits;
};

struct numbered {
	struct job job;
	struct fixture *f;
	unsigned number;
};

static void run(struct job *j)
{
	struct numbered *n = CONTAINER_OF(j, struct numbered, job);
	sigset_t blocked;

	if (!n->f->simulated) {
		n->f->run_on_loop |= pthread_equal(pthread_self(), n->f->loop_thread) != 0;
		pthread_sigmask(SIG_SETMASK, NULL, &blocked);
		n->f->signals_open |= !sigismember(&blocked, SIGTERM);
	}
	n->f->ran[n->f->nran++] = n->number;
}

static void done(struct job *j)
{
	struct numbered *n = CONTAINER_OF(j, struct numbered, job);

	n->f->done_elsewhere |= !pthread_equal(pthread_self(), n->f->loop_thread);
	n->f->done[n->f->ndone++] = n->number;
	if (n->f->ndone == JOBS)
		loop_stop(n->f->loop);
}

static void setup(struct fixture *f, bool simulated)
{
	struct sim_options o = {.seed = 1};

	memset(f, 0, sizeof(*f));
	f->simulated = simulated;
	f->loop_thread = pthread_self();
	assert_int_equal(simulated ? loop_sim_new(&o, &f->loop, NULL) : loop_epoll_new(&f->loop, NULL),
			 ERR_OK);
	assert_int_equal(worker_new(f->loop, "test", &f->worker, NULL), ERR_OK);
}

static void check_order(const struct fixture *f, unsigned n)
{
	assert_false(f->run_on_loop);
	assert_false(f->done_elsewhere);
	assert_false(f->signals_open);
	assert_int_equal(f->nran, n);
	assert_int_equal(f->ndone, n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(f->ran[i], i);
		assert_int_equal(f->done[i], i);
	}
}

static void jobs_come_back_in_order(bool simulated)
{
	struct numbered jobs[JOBS];
	struct fixture f;

	setup(&f, simulated);
	for (unsigned i = 0; i < JOBS; i++) {
		jobs[i] = (struct numbered){.job = {.run = run, .done = done}, .f = &f, .number = i};
		worker_submit(f.worker, &jobs[i].job);
	}
	assert_int_equal(f.ndone, 0); /* never inside submit */
	assert_int_equal(worker_pending(f.worker), JOBS);
	assert_int_equal(loop_run(f.loop), ERR_OK);
	assert_int_equal(worker_pending(f.worker), 0);
	check_order(&f, JOBS);
	worker_free(f.worker);
	loop_free(f.loop);
}

static void free_runs_what_is_queued(bool simulated)
{
	struct numbered jobs[10];
	struct fixture f;

	setup(&f, simulated);
	for (unsigned i = 0; i < 10; i++) {
		jobs[i] = (struct numbered){.job = {.run = run, .done = done}, .f = &f, .number = i};
		worker_submit(f.worker, &jobs[i].job);
	}
	worker_free(f.worker);
	check_order(&f, 10);
	loop_free(f.loop);
}

static void resubmit(struct job *j)
{
	struct numbered *n = CONTAINER_OF(j, struct numbered, job);

	n->f->ndone++;
	if (n->f->resubmits++ < 3)
		worker_submit(n->f->worker, j);
}

static void free_runs_what_done_submits(bool simulated)
{
	struct fixture f;
	struct numbered job = {.job = {.run = run, .done = resubmit}, .f = &f};

	setup(&f, simulated);
	worker_submit(f.worker, &job.job);
	worker_free(f.worker);
	assert_int_equal(f.nran, 4);
	assert_int_equal(f.ndone, 4);
	loop_free(f.loop);
}

static void test_order_real(void **state)
{
	jobs_come_back_in_order(false);
}

static void test_order_simulated(void **state)
{
	jobs_come_back_in_order(true);
}

static void test_free_real(void **state)
{
	free_runs_what_is_queued(false);
	free_runs_what_done_submits(false);
}

static void test_free_simulated(void **state)
{
	free_runs_what_is_queued(true);
	free_runs_what_done_submits(true);
}

static void test_simulated_jobs_take_virtual_time(void **state)
{
	struct numbered jobs[3];
	struct fixture f;
	uint64_t start;

	setup(&f, true);
	sim_set_worker_delay(f.loop, 2000);
	start = loop_now(f.loop);
	for (unsigned i = 0; i < 3; i++) {
		jobs[i] = (struct numbered){.job = {.run = run, .done = done}, .f = &f, .number = i};
		worker_submit(f.worker, &jobs[i].job);
	}
	sim_run_for(f.loop, 1999);
	assert_int_equal(f.ndone, 0);
	sim_run_for(f.loop, 2);
	assert_int_equal(f.ndone, 1);
	sim_run_for(f.loop, 4000);
	assert_int_equal(f.ndone, 3);
	assert_true(loop_now(f.loop) >= start + 6000);
	worker_free(f.worker);
	loop_free(f.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_real),
		cmocka_unit_test(test_order_simulated),
		cmocka_unit_test(test_free_real),
		cmocka_unit_test(test_free_simulated),
		cmocka_unit_test(test_simulated_jobs_take_virtual_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
