/* What a stream costs, and what it does without memory. Its behaviour is the conformance suite's. */
#include "conformance.h"

#include "core/mem.h"
#include "counting.h"
#include "evio/stream_priv.h"

static const struct backend epoll = {"epoll", false, 0}, simulated = {"simulated", true, 0};

static size_t answer(struct end *e, struct slice in)
{
	e->step++;
	say(e, "250 ok\r\n");
	say(e, "250 and one more line of it\r\n");
	return in.len;
}

static bool ten_answers(void *ctx)
{
	const struct end *e = ctx;
	return e->step == 10;
}

static size_t ask_again(struct end *e, struct slice in)
{
	e->step++;
	if (e->step < 10)
		say(e, "NOOP\r\n");
	return in.len;
}

/* A request and its reply: one read and one write on each side, and nothing else. */
static void test_a_request_costs_two_calls(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	run_for(f, 5);
	a.on_read = ask_again;
	b.on_read = answer;
	struct op_counts *n = counting_start(f->loop);
	say(&a, "NOOP\r\n");
	RUN_UNTIL(f, ten_answers, &a);
	assert_int_equal(n->updates, 0);
	assert_int_equal(n->reads, 20);
	assert_int_equal(n->writes, 20);
	end_done(&a);
	end_done(&b);
}

static void test_an_idle_stream_holds_no_buffers(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	b.take = 3;
	say(&a, "abcdef");
	run_for(f, 5);
	b.take = SIZE_MAX;
	stream_resume(b.s);
	assert_true(heard(&b, "abcdef"));
	assert_null(a.s->out.data);
	assert_null(b.s->in.data);
	end_done(&a);
	end_done(&b);
}

static bool both_are_over(void *ctx)
{
	const struct end *e = ctx;
	return (e->closes || !e->s) && (e->other->closes || !e->other->s);
}

static void read_and_end(struct end *e, const char *event)
{
	if (strcmp(event, "eof") == 0)
		stream_close(e->s, 100);
}

static bool live_a_life(struct fixture *f, size_t fail_after)
{
	struct end a, b;
	int fds[2];

	end_init(&a, f);
	end_init(&b, f);
	a.other = &b;
	b.other = &a;
	b.on_event = a.on_event = read_and_end;
	assert_int_equal(f->loop->ops->pair(f->loop, fds), 0);
	b.take = 2; /* so that input is kept */
	mem_fail_after(fail_after);
	enum err ea = stream_from_fd(f->loop, fds[0], &end_events, &a, &a.s, NULL);
	enum err eb = stream_from_fd(f->loop, fds[1], &end_events, &b, &b.s, NULL);
	if (!ea && stream_write(a.s, SLICE_LIT("hello")) == ERR_OK)
		stream_close(a.s, 100);
	else if (!ea)
		stream_abort(a.s);
	RUN_UNTIL(f, both_are_over, &a);
	bool failed = ea || eb || b.why.code == ERR_NOMEM || b.in.len < 2;
	mem_fail_after(SIZE_MAX);
	end_done(&a);
	end_done(&b);
	return failed;
}

/* Every allocation in the life of a connection fails once: it ends, nothing leaks, nothing hangs. */
static void test_without_memory(void **state)
{
	struct fixture *f = *state;
	size_t n = 0;

	while (live_a_life(f, n))
		n++;
	assert_in_range(n, 3, 60);
}

#define OVER(back_end, name)                                                                                 \
	{                                                                                                    \
#name, name, suite_setup, suite_teardown, (void *)&(back_end)                                \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVER(epoll, test_a_request_costs_two_calls),
		OVER(simulated, test_a_request_costs_two_calls),
		OVER(simulated, test_an_idle_stream_holds_no_buffers),
		OVER(simulated, test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
