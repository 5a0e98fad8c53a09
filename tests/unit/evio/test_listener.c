/* What a listener does when descriptors or memory run out, in virtual time. The rest is the conformance suite's. */
#include "conformance.h"

#include "core/mem.h"

static const struct backend simulated = {"simulated", true, 0};

struct server {
	struct listener *listener;
	struct net_addr addr;
	unsigned accepted, complaints;
};

static void on_accept(void *ctx, struct stream *s)
{
	struct server *v = ctx;
	v->accepted++;
	stream_free(s);
}

static void on_exhausted(void *ctx, enum err e)
{
	struct server *v = ctx;
	v->complaints++;
}

static const struct listener_events events = {on_accept, on_exhausted}, silent = {on_accept, NULL};

static void start(struct fixture *f, struct server *v, const struct listener_events *ev)
{
	*v = (struct server){.addr = loopback()};
	int fd = listen_on(f, &v->addr);
	assert_int_equal(listener_new(f->loop, fd, ev, v, &v->listener, NULL), ERR_OK);
}

static void test_complaints_are_a_second_apart(void **state)
{
	struct fixture *f = *state;
	struct server v;
	struct end e;

	start(f, &v, &events);
	end_init(&e, f);
	start_connect(f, &e, &v.addr, 0);
	sim_set_fds_max(f->loop, 0);
	run_for(f, 3500);
	assert_int_equal(v.complaints, 4); /* at once, then each second */
	assert_int_equal(v.accepted, 0);
	sim_set_fds_max(f->loop, SIZE_MAX);
	run_for(f, LISTENER_PAUSE_MS);
	assert_int_equal(v.accepted, 1);
	end_done(&e);
	listener_free(v.listener);
}

static void test_pause_outlasts_the_rest(void **state)
{
	struct fixture *f = *state;
	struct server v;
	struct end e;

	start(f, &v, &silent);
	end_init(&e, f);
	start_connect(f, &e, &v.addr, 0);
	sim_set_fds_max(f->loop, 0);
	run_for(f, 50);
	listener_pause(v.listener, true);
	sim_set_fds_max(f->loop, SIZE_MAX);
	run_for(f, 1000);
	assert_int_equal(v.accepted, 0);
	listener_pause(v.listener, false);
	run_for(f, 5);
	assert_int_equal(v.accepted, 1);
	end_done(&e);
	listener_free(v.listener);
}

static void test_without_memory(void **state)
{
	struct fixture *f = *state;
	struct server v;
	struct net_addr a = loopback();
	struct listener *li;
	int fd = listen_on(f, &a), again;

	mem_fail_after(0);
	assert_int_equal(listener_new(f->loop, fd, &events, &v, &li, NULL), ERR_NOMEM);
	/* It owned the descriptor: the port is free again. */
	assert_int_equal(net_listen(f->loop, &a, 0, &again, NULL), ERR_OK);
	f->loop->ops->close(f->loop, again);
}

static void test_what_cannot_be_listened_on(void **state)
{
	struct fixture *f = *state;
	struct listener *li;
	struct diag d = {0};

	assert_int_equal(listener_new(f->loop, 1000000, &events, NULL, &li, &d), ERR_PERM);
	assert_int_equal(d.code, ERR_PERM);
	assert_int_equal(f->loop->timers.count, 0);
}

#define OVER(back_end, name)                                                                                 \
	{                                                                                                    \
#name, name, suite_setup, suite_teardown, (void *)&(back_end)                                \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVER(simulated, test_complaints_are_a_second_apart),
		OVER(simulated, test_pause_outlasts_the_rest),
		OVER(simulated, test_without_memory),
		OVER(simulated, test_what_cannot_be_listened_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
