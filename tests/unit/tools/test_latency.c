/* Percentiles of smtpload: exact below 256 us, within 1 % above, at any size of the sample. */
#include "smtpload/load.h"

#include "core/mem.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int setup(void **state)
{
	*state = NEW(struct latency);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	mem_free(*state);
	return 0;
}

static void test_empty(void **state)
{
	assert_int_equal(latency_percentile(*state, 50), 0);
	assert_int_equal(latency_percentile(*state, 100), 0);
}

static void test_one_value(void **state)
{
	struct latency *l = *state;
	latency_add(l, 123456789);
	for (int p = 0; p <= 100; p += 10)
		assert_int_equal(latency_percentile(l, p), 123456789);
	assert_int_equal(l->min, 123456789);
	assert_int_equal(l->max, 123456789);
}

/* Nearest rank: the smallest value that so many percent do not exceed. */
static void test_exact_ranks(void **state)
{
	struct latency *l = *state;
	for (uint64_t us = 100; us >= 1; us--)
		latency_add(l, us);
	assert_int_equal(latency_percentile(l, 0), 1);
	assert_int_equal(latency_percentile(l, 1), 1);
	assert_int_equal(latency_percentile(l, 50), 50);
	assert_int_equal(latency_percentile(l, 90), 90);
	assert_int_equal(latency_percentile(l, 99), 99);
	assert_int_equal(latency_percentile(l, 99.5), 100);
	assert_int_equal(latency_percentile(l, 100), 100);
}

/* Every power of two and its neighbours: the bucket's top is not below the value and less than 1 % above it. */
static void test_error_is_bounded(void **state)
{
	for (unsigned bit = 0; bit < 36; bit++)
		for (int64_t off = -1; off <= 1; off++) {
			uint64_t us = (uint64_t)((int64_t)(1ull << bit) + off);
			struct latency *l = *state;
			*l = (struct latency){0};
			latency_add(l, us);
			latency_add(l, 1ull << 37); /* so that the maximum does not cap it */
			uint64_t p50 = latency_percentile(l, 50);
			assert_true(p50 >= us && (double)p50 <= (double)us * 1.01);
		}
}

/* The rounding alone, without the shortcut for the lowest value. */
static void test_second_value_is_bounded(void **state)
{
	for (uint64_t us = 200; us < 1000000; us += us / 37 + 1) {
		struct latency *l = *state;
		*l = (struct latency){0};
		latency_add(l, 0);
		latency_add(l, us);
		latency_add(l, us);
		latency_add(l, 1ull << 37);
		uint64_t p = latency_percentile(l, 75);
		assert_true(p >= us && (double)p <= (double)us * 1.01);
	}
}

static void test_beyond_the_scale(void **state)
{
	struct latency *l = *state;
	latency_add(l, 1);
	latency_add(l, UINT64_MAX);
	latency_add(l, UINT64_MAX);
	assert_int_equal(l->max, UINT64_MAX);
	assert_true(latency_percentile(l, 50) > 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_value, setup, teardown),
		cmocka_unit_test_setup_teardown(test_exact_ranks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_error_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_second_value_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_beyond_the_scale, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
