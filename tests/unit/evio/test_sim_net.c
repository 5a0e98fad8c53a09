/* The simulated network: when things arrive, what is held back, and that a seed decides everything. */
#include "conformance.h"

#include "core/hash.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct backend simulated = {"simulated", true, 0};

static void test_latency(void **state)
{
	struct fixture *f = *state;
	struct end a, b;
	uint64_t start = loop_now(f->loop);

	connect_ends(f, &a, &b);
	assert_int_equal(loop_now(f->loop) - start, 1);
	start = loop_now(f->loop);
	say(&a, "x");
	assert_true(heard(&b, "x"));
	assert_int_equal(loop_now(f->loop) - start, 1);
	end_done(&a);
	end_done(&b);
	pair_ends(f, &a, &b);
	start = loop_now(f->loop);
	say(&a, "x");
	assert_true(heard(&b, "x"));
	assert_int_equal(loop_now(f->loop) - start, 0);
	end_done(&a);
	end_done(&b);
}

static void test_black_hole(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	struct net_addr where = *stream_peer(a.s);
	say(&a, "before ");
	stream_flush(a.s);
	sim_blackhole(f->loop, &where, true);
	sim_blackhole(f->loop, &where, true);
	say(&a, "under way ");
	say(&b, "answer");
	run_for(f, 3600 * 1000);
	assert_int_equal(a.in.len + b.in.len, 0);
	net_addr_set_port(&where, 1);
	sim_blackhole(f->loop, &where, false); /* another one */
	run_for(f, 1000);
	assert_int_equal(b.in.len, 0);
	net_addr_set_port(&where, net_addr_port(stream_peer(a.s)));
	sim_blackhole(f->loop, &where, false);
	assert_true(heard(&b, "before under way "));
	assert_true(heard(&a, "answer"));
	end_done(&a);
	end_done(&b);
}

static void on_accept(void *ctx, struct stream *s)
{
	(*(unsigned *)ctx)++;
	stream_free(s);
}

static const struct listener_events events = {.on_accept = on_accept};

/* A connection that is being made waits too, and comes through when the hole is gone. */
static void test_black_hole_of_a_whole_host(void **state)
{
	struct fixture *f = *state;
	struct net_addr a, host;
	struct listener *li;
	struct end e;
	unsigned accepted = 0;

	assert_int_equal(net_addr_parse(SLICE_LIT("192.0.2.25:25"), 0, &a, NULL), ERR_OK);
	host = a;
	net_addr_set_port(&host, 0);
	sim_blackhole(f->loop, &host, true);
	assert_int_equal(listener_new(f->loop, listen_on(f, &a), &events, &accepted, &li, NULL), ERR_OK);
	end_init(&e, f);
	start_connect(f, &e, &a, 60000);
	run_for(f, 30000);
	assert_int_equal(accepted + e.opens + e.closes, 0);
	sim_blackhole(f->loop, &host, false);
	run_for(f, 10);
	assert_int_equal(accepted, 1);
	assert_int_equal(e.opens, 1);
	end_done(&e);
	listener_free(li);
}

static void test_any_address(void **state)
{
	struct fixture *f = *state;
	struct net_addr any, exact, to;
	struct listener *li[2];
	unsigned accepted[2] = {0, 0};
	struct end e[3];

	assert_int_equal(net_addr_parse(SLICE_LIT("0.0.0.0:25"), 0, &any, NULL), ERR_OK);
	assert_int_equal(net_addr_parse(SLICE_LIT("192.0.2.7:25"), 0, &exact, NULL), ERR_OK);
	assert_int_equal(listener_new(f->loop, listen_on(f, &exact), &events, &accepted[1], &li[1], NULL),
			 ERR_OK);
	assert_int_equal(listener_new(f->loop, listen_on(f, &any), &events, &accepted[0], &li[0], NULL),
			 ERR_OK);
	static const char *const targets[] = {"192.0.2.1:25", "192.0.2.7:25", "[::1]:25"};
	for (unsigned i = 0; i < 3; i++) {
		end_init(&e[i], f);
		assert_int_equal(net_addr_parse(slice_str(targets[i]), 0, &to, NULL), ERR_OK);
		start_connect(f, &e[i], &to, 0);
	}
	run_for(f, 10);
	assert_int_equal(accepted[0], 1);
	assert_int_equal(accepted[1], 1);
	assert_int_equal(e[2].why.code, ERR_CLOSED); /* the other family: refused */
	for (unsigned i = 0; i < 3; i++)
		end_done(&e[i]);
	listener_free(li[0]);
	listener_free(li[1]);
}

static void test_full_backlog(void **state)
{
	struct fixture *f = *state;
	struct net_addr a = loopback();
	struct listener *li;
	unsigned accepted = 0;
	struct end *e = mem_alloc((LISTEN_BACKLOG + 1) * sizeof(*e));

	assert_int_equal(listener_new(f->loop, listen_on(f, &a), &events, &accepted, &li, NULL), ERR_OK);
	listener_pause(li, true);
	for (unsigned i = 0; i <= LISTEN_BACKLOG; i++) {
		end_init(&e[i], f);
		start_connect(f, &e[i], &a, 0);
	}
	run_for(f, 10);
	assert_int_equal(e[LISTEN_BACKLOG - 1].opens, 1);
	assert_int_equal(e[LISTEN_BACKLOG].opens + e[LISTEN_BACKLOG].closes, 0);
	listener_pause(li, false);
	run_for(f, 2000);
	assert_int_equal(accepted, LISTEN_BACKLOG + 1);
	for (unsigned i = 0; i <= LISTEN_BACKLOG; i++)
		end_done(&e[i]);
	mem_free(e);
	listener_free(li);
}

static void test_window(void **state)
{
	struct fixture *f = *state;
	const struct loop_ops *ops = f->loop->ops;
	size_t n = 1 << 20;
	char *text = mem_alloc(n);
	struct iovec iov = {text, n};
	int fds[2];

	assert_int_equal(ops->pair(f->loop, fds), 0);
	ssize_t taken = ops->writev(f->loop, fds[0], &iov, 1);
	assert_in_range(taken, 1, n - 1);
	assert_int_equal(ops->writev(f->loop, fds[0], &iov, 1), -EAGAIN);
	assert_int_equal(ops->read(f->loop, fds[1], text, n), -EAGAIN); /* not yet */
	run_for(f, 0);
	assert_int_equal(ops->read(f->loop, fds[1], text, 10), 10);
	assert_int_equal(ops->writev(f->loop, fds[0], &iov, 1), 10);
	ops->close(f->loop, fds[0]);
	ops->close(f->loop, fds[1]);
	mem_free(text);
}

static void test_errors_are_the_kernels(void **state)
{
	struct fixture *f = *state;
	const struct loop_ops *ops = f->loop->ops;
	struct iovec iov = {(void *)"x", 1};
	struct net_addr a = loopback(), peer;
	int fds[2], li = listen_on(f, &a), kernel = memfd_create("test", MFD_CLOEXEC), copy;
	char c;

	assert_int_equal(ops->pair(f->loop, fds), 0);
	assert_int_equal(ops->shutdown_write(f->loop, fds[0]), 0);
	assert_int_equal(ops->writev(f->loop, fds[0], &iov, 1), -EPIPE);
	run_for(f, 0);
	assert_int_equal(ops->read(f->loop, fds[1], &c, 1), 0);
	assert_int_equal(ops->read(f->loop, fds[1], &c, 1), 0);
	assert_int_equal(ops->writev(f->loop, fds[1], &iov, 1), 1);
	ops->close(f->loop, fds[0]); /* with unread input */
	run_for(f, 0);
	assert_int_equal(ops->read(f->loop, fds[1], &c, 1), -ECONNRESET);
	assert_int_equal(ops->writev(f->loop, fds[1], &iov, 1), -EPIPE);
	assert_int_equal(ops->accept(f->loop, li, &peer), -EAGAIN);
	assert_int_equal(ops->accept(f->loop, fds[1], &peer), -EINVAL);
	assert_int_equal(ops->read(f->loop, li, &c, 1), -ENOTCONN);
	assert_int_equal(ops->read(f->loop, kernel, &c, 1), -EBADF);
	copy = ops->dup(f->loop, kernel);
	assert_true(copy >= 0 && fcntl(copy, F_GETFD) >= 0);
	ops->close(f->loop, copy);
	assert_int_equal(fcntl(copy, F_GETFD), -1);
	/* Numbers are used again from below. */
	int lowest = fds[0];
	ops->close(f->loop, fds[1]);
	assert_int_equal(ops->pair(f->loop, fds), 0);
	assert_int_equal(fds[0], lowest);
	ops->close(f->loop, fds[0]);
	ops->close(f->loop, fds[1]);
	ops->close(f->loop, li);
	close(kernel);
}

/* ---- the seed ---- */

struct trace {
	uint64_t digest;
	struct loop *loop;
};

static size_t trace_read(struct end *e, struct slice in)
{
	struct trace *t = (struct trace *)e->f;
	uint64_t at[3] = {loop_now(t->loop), (uint64_t)e->step, in.len};

	t->digest = hash_u64(t->digest ^ hash_slice(slice_of(at, sizeof(at))));
	return in.len;
}

static uint64_t run_seed(uint64_t seed)
{
	const struct sim_options o = {.seed = seed, .chunk_max = 50};
	struct trace t = {0};
	struct end ends[8];
	char text[2000];

	memset(text, 'x', sizeof(text));
	assert_int_equal(loop_sim_new(&o, &t.loop, NULL), ERR_OK);
	for (int i = 0; i < 8; i += 2) {
		int fds[2];
		assert_int_equal(t.loop->ops->pair(t.loop, fds), 0);
		for (int k = 0; k < 2; k++) {
			struct end *e = &ends[i + k];
			end_init(e, (struct fixture *)&t);
			e->on_read = trace_read;
			e->step = i + k;
			assert_int_equal(stream_from_fd(t.loop, fds[k], &end_events, e, &e->s, NULL), ERR_OK);
			assert_int_equal(stream_write(e->s, slice_of(text, sizeof(text))), ERR_OK);
		}
	}
	sim_run_for(t.loop, 100);
	for (int i = 0; i < 8; i++)
		end_done(&ends[i]);
	loop_free(t.loop);
	return t.digest;
}

static void test_the_seed_decides(void **state)
{
	assert_int_equal(run_seed(1), run_seed(1));
	assert_int_equal(run_seed(2), run_seed(2));
	assert_int_not_equal(run_seed(1), run_seed(2));
}

#define OVER(back_end, name)                                                                                 \
	{                                                                                                    \
#name, name, suite_setup, suite_teardown, (void *)&(back_end)                                \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVER(simulated, test_latency),
		OVER(simulated, test_black_hole),
		OVER(simulated, test_black_hole_of_a_whole_host),
		OVER(simulated, test_any_address),
		OVER(simulated, test_full_backlog),
		OVER(simulated, test_window),
		OVER(simulated, test_errors_are_the_kernels),
		cmocka_unit_test(test_the_seed_decides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
