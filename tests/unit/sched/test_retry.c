/* When to try again. */
#include "sched/retry.h"

#include "unit.h"

#define MINUTE 60000ull
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static void test_schedule(void **state)
{
	static const uint64_t want[] = {1, 5, 15, 30, 60, 120, 240, 240, 240};
	for (uint32_t i = 0; i < ARRAY_LEN(want); i++) {
		for (uint64_t seed = 0; seed < 200; seed++) {
			uint64_t wait = retry_wait(&retry_default, i + 1, seed), w = want[i] * MINUTE;
			assert_in_range(wait, w - w / 10, w + w / 10);
		}
	}
}

static void test_jitter_spreads_and_repeats(void **state)
{
	uint64_t low = 0, high = 0;
	for (uint64_t seed = 0; seed < 1000; seed++) {
		uint64_t wait = retry_wait(&retry_default, 4, seed);
		assert_int_equal(wait, retry_wait(&retry_default, 4, seed));
		low += wait < 28 * MINUTE;
		high += wait > 32 * MINUTE;
	}
	assert_in_range(low, 100, 250);
	assert_in_range(high, 100, 250);
}

static void test_gives_up(void **state)
{
	struct retry_try t = {.accepted = 1000, .failures = 30, .seed = 7};
	uint64_t wait = 99;

	t.now = t.accepted + (int64_t)(5 * DAY) - 1000;
	assert_true(retry_again(&retry_default, &t, &wait));
	assert_int_equal(wait, 1000); /* the last try comes when it expires, not 4 hours later */
	t.now += 1000;
	wait = 99;
	assert_false(retry_again(&retry_default, &t, &wait));
	assert_int_equal(wait, 99);
	t.now = t.accepted + (int64_t)(2 * DAY);
	assert_true(retry_again(&retry_default, &t, &wait));
	t.null_sender = true;
	assert_false(retry_again(&retry_default, &t, &wait));
}

static void test_clock_set_back(void **state)
{
	struct retry_try t = {.now = 0, .accepted = (int64_t)(9 * DAY), .failures = 1};
	uint64_t wait = 0;
	assert_true(retry_again(&retry_default, &t, &wait));
	assert_in_range(wait, 54000, 66000);
}

/* A whole life: about how many tries does a message get in five days? */
static void test_life(void **state)
{
	struct retry_try t = {.seed = 3};
	uint64_t wait;
	for (t.failures = 1; retry_again(&retry_default, &t, &wait); t.failures++)
		t.now += (int64_t)wait;
	assert_in_range(t.failures, 30, 42);
	assert_int_equal(t.now, 5 * DAY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schedule), cmocka_unit_test(test_jitter_spreads_and_repeats),
		cmocka_unit_test(test_gives_up), cmocka_unit_test(test_clock_set_back),
		cmocka_unit_test(test_life),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
