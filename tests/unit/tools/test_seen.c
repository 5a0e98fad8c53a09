/* Gaps and duplicates that smtpsink reports: per run, in any order, up to the highest number that it tracks. */
#include "smtpsink/sink.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int setup(void **state)
{
	*state = seen_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	seen_free(*state);
	return 0;
}

static void reports(struct seen *s, uint64_t numbered, uint64_t duplicates, uint64_t missing)
{
	struct seen_report r = seen_report(s);
	assert_int_equal(r.numbered, numbered);
	assert_int_equal(r.duplicates, duplicates);
	assert_int_equal(r.missing, missing);
}

static void test_nothing(void **state)
{
	reports(*state, 0, 0, 0);
	seen_free(NULL);
}

static void test_whole(void **state)
{
	for (uint64_t i = 5000; i-- > 0;)
		seen_add(*state, 7, i);
	reports(*state, 5000, 0, 0);
}

static void test_gap_and_duplicate(void **state)
{
	for (uint64_t i = 0; i < 200; i++)
		if (i != 63 && i != 64 && i != 199)
			seen_add(*state, 7, i);
	reports(*state, 197, 0, 2); /* what comes after the highest is not known to be missing */
	seen_add(*state, 7, 64);
	seen_add(*state, 7, 64);
	seen_add(*state, 7, 0);
	reports(*state, 198, 2, 1);
}

/* A number far away makes room for all below it, and what was seen before stays. */
static void test_growth(void **state)
{
	seen_add(*state, 7, 3);
	seen_add(*state, 7, 1000000);
	reports(*state, 2, 0, 999999);
	seen_add(*state, 7, 3);
	seen_add(*state, 7, 65536);
	reports(*state, 3, 1, 999998);
}

static void test_runs_are_apart(void **state)
{
	for (uint64_t run = 1; run <= 300; run++)
		seen_add(*state, run, run % 2);
	reports(*state, 300, 0, 150); /* odd runs lack number 0 */
}

static void test_bounds(void **state)
{
	seen_add(*state, 7, (uint64_t)SINK_SEQ_MAX + 1);
	reports(*state, 0, 0, 0);
	seen_add(*state, 7, SINK_SEQ_MAX);
	reports(*state, 1, 0, SINK_SEQ_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gap_and_duplicate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_growth, setup, teardown),
		cmocka_unit_test_setup_teardown(test_runs_are_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
