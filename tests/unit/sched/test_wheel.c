/* The timing wheel against a list that is searched. */
#include "sched/wheel.h"

#include "unit.h"

#define NODES 2000

static void test_never_early_first_tick(void **state)
{
	struct wheel w;
	struct wheel_node n = {0};

	wheel_init(&w, 5500);
	wheel_add(&w, &n, 7001);
	assert_int_equal(wheel_next(&w), 8000);
	assert_null(wheel_pop(&w, 7999));
	assert_ptr_equal(wheel_pop(&w, 8000), &n);
	assert_null(wheel_pop(&w, 8000));
	assert_int_equal(wheel_next(&w), WHEEL_NEVER);
}

static void test_keeps_order_in_a_tick(void **state)
{
	struct wheel w;
	struct wheel_node n[50] = {0};

	wheel_init(&w, 0);
	for (int i = 0; i < 50; i++)
		wheel_add(&w, &n[i], 300000);
	for (int i = 0; i < 50; i++)
		assert_ptr_equal(wheel_pop(&w, 300000), &n[i]);
}

static void test_far_times(void **state)
{
	struct wheel w;
	struct wheel_node n[2] = {0};
	uint64_t now = 77777777, far = now + 3 * 365 * 86400000ull;
	int wakes = 0;

	wheel_init(&w, now);
	wheel_add(&w, &n[0], far);
	wheel_add(&w, &n[1], WHEEL_NEVER - 1);
	struct wheel_node *got = NULL;
	while (!got && wakes++ < 100) {
		assert_true(wheel_next(&w) > now);
		now = wheel_next(&w);
		got = wheel_pop(&w, now);
	}
	assert_ptr_equal(got, &n[0]);
	assert_in_range(now, far, far + 999);
	assert_true(wakes < 20);
}

struct model {
	struct wheel w;
	struct wheel_node nodes[NODES];
	uint64_t due[NODES]; /* 0: not in the wheel */
	uint64_t now, rng;
};

static uint64_t draw_delay(uint64_t *rng)
{
	static const uint32_t spans[] = {2000, 100000, 5000000, 400000000};
	return unit_below(rng, spans[unit_below(rng, 4)]) * (unit_below(rng, 50) ? 1ull : 100ull);
}

static uint64_t tick_up(uint64_t ms)
{
	return (ms + SCHED_TICK_MS - 1) / SCHED_TICK_MS * SCHED_TICK_MS;
}

static void check_due(struct model *m)
{
	struct wheel_node *n;
	while ((n = wheel_pop(&m->w, m->now))) {
		size_t i = (size_t)(n - m->nodes);
		assert_true(m->due[i] != 0 && m->due[i] <= m->now);
		m->due[i] = 0;
	}
	uint64_t next = WHEEL_NEVER;
	for (size_t i = 0; i < NODES; i++) {
		assert_true(m->due[i] == 0 || tick_up(m->due[i]) > m->now);
		if (m->due[i])
			next = MIN(next, tick_up(m->due[i]));
	}
	assert_true(wheel_next(&m->w) <= next);
	assert_int_equal(next == WHEEL_NEVER, wheel_next(&m->w) == WHEEL_NEVER);
}

static void test_against_model(void **state)
{
	static struct model m;
	m.rng = 1;
	m.now = 123456789;
	wheel_init(&m.w, m.now);
	for (int round = 0; round < 3000; round++) {
		for (int k = 0; k < 5; k++) {
			size_t i = unit_below(&m.rng, NODES);
			if (m.due[i]) {
				wheel_remove(&m.nodes[i]);
				m.due[i] = 0;
			} else {
				m.due[i] = m.now + draw_delay(&m.rng);
				wheel_add(&m.w, &m.nodes[i], m.due[i]);
			}
		}
		m.now += draw_delay(&m.rng) / 100;
		check_due(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_never_early_first_tick),
		cmocka_unit_test(test_keeps_order_in_a_tick),
		cmocka_unit_test(test_far_times),
		cmocka_unit_test(test_against_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
