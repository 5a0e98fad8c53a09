#include "conformance.h"

struct mark {
	struct timer timer;
	struct task task;
	struct fixture *f;
	char letter;
	struct buf *out;
	unsigned again; /* how often it starts itself anew */
	struct mark *cancels;
	bool stops;
};

static void on_mark(void *ctx)
{
	struct mark *m = ctx;

	if (m->out)
		buf_add_char(m->out, m->letter);
	if (m->cancels)
		timer_cancel(&m->cancels->timer);
	if (m->stops)
		loop_stop(m->f->loop);
}

static void mark_init(struct mark *m, struct fixture *f, char letter, struct buf *out)
{
	*m = (struct mark){.f = f, .letter = letter, .out = out};
	timer_init(&m->timer, f->loop, on_mark, m);
	task_init(&m->task, f->loop, on_mark, m);
}

static void test_timers_fire_in_order(void **state)
{
	static const uint64_t delays[] = {5, 1, 3, 1, 0};
	struct fixture *f = *state;
	struct mark m[ARRAY_LEN(delays)];
	CLEANUP(buf_done) struct buf out;

	buf_init(&out, 16);
	for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
		mark_init(&m[i], f, (char)('a' + i), &out);
		timer_set(&m[i].timer, delays[i]);
		assert_true(timer_active(&m[i].timer));
	}
	m[0].stops = true;
	assert_int_equal(out.len, 0);
	uint64_t before = loop_now(f->loop);
	assert_int_equal(loop_run(f->loop), ERR_OK);
	assert_string_equal(buf_cstr(&out), "ebdca");
	assert_true(loop_now(f->loop) >= before + 5);
	assert_false(timer_active(&m[1].timer));
}

static void test_timers_can_be_cancelled_and_moved(void **state)
{
	struct fixture *f = *state;
	struct mark a, b, c;
	CLEANUP(buf_done) struct buf out;

	buf_init(&out, 16);
	mark_init(&a, f, 'a', &out);
	mark_init(&b, f, 'b', &out);
	mark_init(&c, f, 'c', &out);
	timer_set(&a.timer, 1);
	timer_set(&b.timer, 2);
	timer_set(&c.timer, 1000000);
	timer_set(&c.timer, 5);
	timer_cancel(&c.timer);
	timer_cancel(&c.timer);
	timer_set(&c.timer, 6);
	a.cancels = &b;
	c.stops = true;
	assert_int_equal(loop_run(f->loop), ERR_OK);
	assert_string_equal(buf_cstr(&out), "ac");
}

static void restart(void *ctx)
{
	struct mark *m = ctx;
	m->again++;
	timer_set(&m->timer, 0);
}

static void redefer(void *ctx)
{
	struct mark *m = ctx;
	m->again++;
	task_defer(&m->task);
}

/* A timer without delay, or a task, that starts itself again must not keep others out. */
static void test_nobody_starves(void **state)
{
	struct fixture *f = *state;
	struct mark timer, task;
	struct end a, b;

	pair_ends(f, &a, &b);
	mark_init(&timer, f, 0, NULL);
	mark_init(&task, f, 0, NULL);
	timer.timer.fn = restart;
	task.task.fn = redefer;
	task_defer(&task.task);
	timer_set(&timer.timer, 0);
	say(&a, "x");
	assert_true(heard(&b, "x"));
	assert_true(task.again > 0 && timer.again > 0);
	task_cancel(&task.task);
	timer_cancel(&timer.timer);
	end_done(&a);
	end_done(&b);
}

static void defer_more(void *ctx)
{
	struct mark *m = ctx;

	on_mark(m);
	if (m->again) {
		m->again--;
		task_defer(&m->task);
	}
}

static void test_tasks_run_in_order_once_and_late(void **state)
{
	struct fixture *f = *state;
	struct mark a, b, c, t;
	CLEANUP(buf_done) struct buf out;

	buf_init(&out, 32);
	mark_init(&a, f, 'a', &out);
	mark_init(&b, f, 'b', &out);
	mark_init(&c, f, 'c', &out);
	mark_init(&t, f, 't', &out);
	a.task.fn = defer_more;
	a.again = 2;
	task_defer(&b.task);
	task_defer(&a.task);
	task_defer(&b.task);
	task_defer(&c.task);
	task_cancel(&c.task);
	task_cancel(&c.task);
	timer_set(&t.timer, 0);
	assert_int_equal(out.len, 0); /* never inside the call */
	assert_true(loop_turn(f->loop, 0));
	assert_string_equal(buf_cstr(&out),
			    "tbaaa"); /* timers first; then what tasks defer, in the same turn */
}

static void test_turn_without_anything(void **state)
{
	struct fixture *f = *state;
	uint64_t before = loop_now(f->loop);

	assert_false(loop_turn(f->loop, 0));
	assert_false(loop_turn(f->loop, 3));
	assert_true(loop_now(f->loop) >= before + (f->backend->simulated ? 3 : 2));
}

static void test_randomness_differs(void **state)
{
	struct fixture *f = *state;
	uint8_t a[40], b[40];

	memset(a, 0, sizeof(a));
	memset(b, 0, sizeof(b));
	loop_random(f->loop, a, sizeof(a));
	loop_random(f->loop, b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_memory_not_equal(a + 32, "\0\0\0\0\0\0\0", 8);
}

static void on_post(void *ctx)
{
	(*(unsigned *)ctx)++;
}

static void test_posts_run_in_the_next_turn(void **state)
{
	struct fixture *f = *state;
	unsigned count = 0;
	struct post p = {.fn = on_post, .ctx = &count}, q = p;

	loop_post(f->loop, &p);
	loop_post(f->loop, &q);
	assert_int_equal(count, 0);
	assert_true(loop_turn(f->loop, 0));
	assert_int_equal(count, 2);
	loop_post(f->loop, &p);
	assert_true(loop_turn(f->loop, 0));
	assert_int_equal(count, 3);
	assert_false(loop_turn(f->loop, 0));
}

const struct CMUnitTest loop_tests[] = {
	cmocka_unit_test(test_timers_fire_in_order),
	cmocka_unit_test(test_timers_can_be_cancelled_and_moved),
	cmocka_unit_test(test_nobody_starves),
	cmocka_unit_test(test_tasks_run_in_order_once_and_late),
	cmocka_unit_test(test_turn_without_anything),
	cmocka_unit_test(test_randomness_differs),
	cmocka_unit_test(test_posts_run_in_the_next_turn),
};
const size_t loop_tests_count = ARRAY_LEN(loop_tests);
