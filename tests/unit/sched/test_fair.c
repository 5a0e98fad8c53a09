/* Round robin with debts. */
#include "sched/fair.h"

#include "unit.h"

#define MEMBERS 4

static void test_empty(void **state)
{
	struct fair f;
	fair_init(&f);
	assert_null(fair_pick(&f));
}

/* Everybody always has work; costs differ wildly; shares must follow the weights. */
static void test_shares_follow_weights(void **state)
{
	static const uint32_t weights[MEMBERS] = {1, 1, 2, 4}, costs[MEMBERS] = {1, 50, 7, 100};
	struct fair f;
	struct fair_member m[MEMBERS];
	uint64_t served[MEMBERS] = {0}, total = 0;

	fair_init(&f);
	for (int i = 0; i < MEMBERS; i++) {
		fair_member_init(&m[i], weights[i]);
		fair_join(&f, &m[i]);
	}
	while (total < 80000) {
		struct fair_member *p = fair_pick(&f);
		size_t i = (size_t)(p - m);
		fair_charge(p, costs[i]);
		served[i] += costs[i];
		total += costs[i];
	}
	for (int i = 0; i < MEMBERS; i++) {
		uint64_t want = total * weights[i] / 8;
		assert_in_range(served[i], want - 250, want + 250);
	}
}

static void test_debt_survives_leaving(void **state)
{
	struct fair f;
	struct fair_member a, b;

	fair_init(&f);
	fair_member_init(&a, 1);
	fair_member_init(&b, 1);
	fair_join(&f, &a);
	fair_join(&f, &b);
	assert_ptr_equal(fair_pick(&f), &a);
	fair_charge(&a, 10);
	fair_leave(&f, &a);
	fair_join(&f, &a);
	int turns = 0;
	for (; fair_pick(&f) == &b; turns++)
		fair_charge(&b, 1);
	assert_in_range(turns, 9, 11);
}

static void test_alone_is_always_served(void **state)
{
	struct fair f;
	struct fair_member a;

	fair_init(&f);
	fair_member_init(&a, 3);
	fair_join(&f, &a);
	for (int i = 0; i < 100; i++) {
		assert_ptr_equal(fair_pick(&f), &a);
		fair_charge(&a, 100);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_shares_follow_weights),
		cmocka_unit_test(test_debt_survives_leaving),
		cmocka_unit_test(test_alone_is_always_served),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
