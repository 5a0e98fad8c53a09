/* A site's window and its memory of failures. */
#include "sched/site.h"

#include "unit.h"

static const uint64_t waits[] = {1000, 2000, 4000};
static const struct retry_policy policy = {.waits = waits, .count = 3};

static void test_window_opens_with_success(void **state)
{
	struct sched_site t = {.limit = 4, .window = 2};
	assert_int_equal(site_slots(&t), 2);
	for (int i = 0; i < 5; i++)
		site_done(&t);
	assert_int_equal(site_slots(&t), 4);
	t.active = 3;
	t.granted = 1;
	assert_int_equal(site_slots(&t), 0);
	t.active = 9; /* the limit was lowered meanwhile */
	assert_int_equal(site_slots(&t), 0);
}

static void test_down_probe_up(void **state)
{
	struct sched_site t = {.limit = 4, .window = 4};
	assert_int_equal(site_failed(&t, &policy, 0), 1000);
	assert_int_equal(t.state, SITE_DOWN);
	assert_int_equal(site_slots(&t), 0);
	/* the others of the same time fail too: still one failure */
	assert_int_equal(site_failed(&t, &policy, 0), 1000);
	site_wake(&t);
	assert_int_equal(site_slots(&t), 1);
	assert_int_equal(site_failed(&t, &policy, 0), 2000);
	site_wake(&t);
	assert_int_equal(site_failed(&t, &policy, 0), 4000);
	site_wake(&t);
	site_done(&t);
	assert_int_equal(t.state, SITE_UP);
	assert_int_equal(t.failures, 0);
	assert_int_equal(site_slots(&t), 2);
}

static void test_success_while_down(void **state)
{
	struct sched_site t = {.limit = 4, .window = 4};
	(void)site_failed(&t, &policy, 0);
	site_done(&t);
	assert_int_equal(t.state, SITE_UP);
}

static void test_paused(void **state)
{
	struct sched_site t = {.limit = 4, .window = 4, .paused = true};
	assert_int_equal(site_slots(&t), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window_opens_with_success),
		cmocka_unit_test(test_down_probe_up),
		cmocka_unit_test(test_success_while_down),
		cmocka_unit_test(test_paused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
