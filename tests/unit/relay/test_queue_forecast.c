/* The forecast of a full disk against lines whose end is known. */
#include "relay/queue/forecast.h"

#include "../unit.h"

#define GIG (1ull << 30)

/* Falls by `step` every minute for `hours`. */
static struct forecast falling(uint64_t from, uint64_t step, uint64_t hours)
{
	struct forecast f = {.count = 0};
	for (uint64_t minute = 0; minute <= hours * 60; minute++)
		forecast_add(&f, 5000 + minute * 60000, from - minute * step);
	return f;
}

static void test_steady_fall(void **state)
{
	static const uint64_t hours[] = {1, 5, 23, 24, 25, 100};
	for (size_t i = 0; i < ARRAY_LEN(hours); i++) {
		struct forecast f = falling(1000 * GIG, GIG / 60, hours[i]); /* 1 GiB an hour */
		uint64_t seconds;
		assert_true(forecast_full(&f, GIG, &seconds));
		uint64_t wanted = (999 - hours[i]) * 3600;
		assert_in_range(seconds, wanted - 60, wanted + 60);
	}
}

static void test_nothing_in_sight(void **state)
{
	uint64_t seconds = 42;
	struct forecast none = {.count = 0}, short_time = falling(GIG, 1000, 0), level = falling(GIG, 0, 48);
	assert_false(forecast_full(&none, 0, &seconds));
	for (uint64_t minute = 0; minute < 59; minute++)
		forecast_add(&short_time, 5000 + minute * 60000, GIG - minute * 1000);
	assert_false(forecast_full(&short_time, 0, &seconds));
	assert_false(forecast_full(&level, 0, &seconds));
	assert_int_equal(seconds, 42);
}

/* What was more than a day ago does not count: a disk that fell and then rose is not forecast as full. */
static void test_old_samples_go(void **state)
{
	struct forecast f = falling(1000 * GIG, GIG, 10);
	uint64_t seconds, now = f.last.time_ms;
	for (uint64_t minute = 1; minute <= 30 * 60; minute++)
		forecast_add(&f, now + minute * 60000, 500 * GIG + minute * GIG);
	assert_false(forecast_full(&f, 0, &seconds));
}

static void test_already_there(void **state)
{
	struct forecast f = falling(10 * GIG, GIG / 60, 5);
	uint64_t seconds = 42;
	assert_true(forecast_full(&f, 6 * GIG, &seconds));
	assert_int_equal(seconds, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steady_fall),
		cmocka_unit_test(test_nothing_in_sight),
		cmocka_unit_test(test_old_samples_go),
		cmocka_unit_test(test_already_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
