/* The virtual clock, its seed, and what tests do to it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "evio/sim.h"

#include <signal.h>
#include <string.h>

static struct loop *loop_of(uint64_t seed)
{
	const struct sim_options o = {.seed = seed};
	struct loop *l = NULL;

	assert_int_equal(loop_sim_new(&o, &l, NULL), ERR_OK);
	return l;
}

static void count_up(void *ctx)
{
	(*(unsigned *)ctx)++;
}

static bool is_two(void *ctx)
{
	return *(unsigned *)ctx == 2;
}

static bool never(void *ctx)
{
	return false;
}

static void test_time_passes_only_when_nothing_is_left(void **state)
{
	struct loop *l = loop_of(1);
	struct timer a, b;
	unsigned fired = 0;
	uint64_t start = loop_now(l);
	int64_t wall = loop_wall(l);

	timer_init(&a, l, count_up, &fired);
	timer_init(&b, l, count_up, &fired);
	timer_set(&a, 24ull * 3600 * 1000);
	timer_set(&b, 24ull * 3600 * 1000);
	assert_true(sim_run_until(l, is_two, &fired, 365ull * 24 * 3600 * 1000));
	assert_int_equal(loop_now(l) - start, 24 * 3600 * 1000);
	assert_int_equal(loop_wall(l) - wall, 24 * 3600 * 1000);
	loop_free(l);
}

static void test_run_for_is_exact(void **state)
{
	struct loop *l = loop_of(1);
	struct timer t;
	unsigned fired = 0;
	uint64_t start = loop_now(l);

	timer_init(&t, l, count_up, &fired);
	timer_set(&t, 2000);
	sim_run_for(l, 1999);
	assert_int_equal(fired, 0);
	assert_int_equal(loop_now(l) - start, 1999);
	sim_run_for(l, 1);
	assert_int_equal(fired, 1); /* what falls on the end still happens */
	sim_run_for(l, 0);
	assert_int_equal(loop_now(l) - start, 2000);
	loop_free(l);
}

static void test_run_until_ends_at_its_limit(void **state)
{
	struct loop *l = loop_of(1);
	uint64_t start = loop_now(l);

	assert_false(sim_run_until(l, never, NULL, 500));
	assert_int_equal(loop_now(l) - start, 500);
	loop_free(l);
}

static void test_a_loop_that_waits_for_nothing_fails(void **state)
{
	struct loop *l = loop_of(1);
	unsigned fired = 0;
	struct timer t;

	timer_init(&t, l, count_up, &fired);
	timer_set(&t, 10);
	assert_int_equal(loop_run(l), ERR_IO);
	assert_int_equal(fired, 1);
	sim_run_for(l, 10); /* the clock itself is sound */
	loop_free(l);
}

static void test_wall_clock(void **state)
{
	const struct sim_options o = {.seed = 1, .wall_ms = 5000};
	struct loop *l = loop_of(1), *other = NULL;
	uint64_t now = loop_now(l);

	assert_int_equal(loop_wall(l), 1767225600000); /* 2026-01-01T00:00:00Z */
	sim_jump_wall(l, -3600 * 1000);
	assert_int_equal(loop_wall(l), 1767225600000 - 3600 * 1000);
	assert_int_equal(loop_now(l), now);
	sim_run_for(l, 10);
	assert_int_equal(loop_wall(l), 1767225600000 - 3600 * 1000 + 10);
	assert_int_equal(loop_sim_new(&o, &other, NULL), ERR_OK);
	assert_int_equal(loop_wall(other), 5000);
	loop_free(l);
	loop_free(other);
}

static void test_randomness_follows_the_seed(void **state)
{
	struct loop *a = loop_of(1), *b = loop_of(1), *c = loop_of(2);
	uint8_t x[24], y[24], z[24];

	loop_random(a, x, sizeof(x));
	loop_random(b, y, sizeof(y));
	loop_random(c, z, sizeof(z));
	assert_memory_equal(x, y, sizeof(x));
	assert_memory_not_equal(x, z, sizeof(x));
	loop_free(a);
	loop_free(b);
	loop_free(c);
}

struct heard {
	int signals[4];
	unsigned n;
};

static void on_signal(void *ctx, int signo)
{
	struct heard *h = ctx;
	h->signals[h->n++] = signo;
}

static void test_signals(void **state)
{
	struct loop *l = loop_of(1);
	struct heard h = {.n = 0};

	assert_int_equal(loop_signal(l, SIGHUP, on_signal, &h), ERR_OK);
	assert_int_equal(loop_signal(l, SIGTERM, on_signal, &h), ERR_OK);
	sim_signal(l, SIGTERM);
	sim_signal(l, SIGHUP);
	sim_signal(l, SIGHUP);  /* as the kernel: pending once */
	sim_signal(l, SIGUSR1); /* nobody handles it */
	assert_int_equal(h.n, 0);
	sim_run_for(l, 0);
	assert_int_equal(h.n, 2);
	assert_int_equal(h.signals[0], SIGHUP);
	assert_int_equal(h.signals[1], SIGTERM);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time_passes_only_when_nothing_is_left),
		cmocka_unit_test(test_run_for_is_exact),
		cmocka_unit_test(test_run_until_ends_at_its_limit),
		cmocka_unit_test(test_a_loop_that_waits_for_nothing_fails),
		cmocka_unit_test(test_wall_clock),
		cmocka_unit_test(test_randomness_follows_the_seed),
		cmocka_unit_test(test_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
