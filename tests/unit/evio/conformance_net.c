#include "conformance.h"

#include "core/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLIENTS 20

struct server {
	struct fixture *f;
	struct net_addr addr;
	struct listener *listener;
	struct end ends[CLIENTS];
	unsigned accepted, exhausted;
	bool drops, frees_itself;
};

static void on_accept(void *ctx, struct stream *s)
{
	struct server *v = ctx;

	v->accepted++;
	if (v->frees_itself) {
		listener_free(v->listener);
		v->listener = NULL;
	}
	if (v->drops) {
		stream_free(s);
		return;
	}
	struct end *e = &v->ends[v->accepted - 1];
	end_init(e, v->f);
	e->s = s;
	stream_set_events(s, &end_events, e);
}

static void on_exhausted(void *ctx, enum err e)
{
	struct server *v = ctx;

	assert_int_equal(e, ERR_LIMIT);
	v->exhausted++;
}

static const struct listener_events server_events = {on_accept, on_exhausted};

static void server_start(struct server *v, struct fixture *f, const struct net_addr *a)
{
	*v = (struct server){.f = f, .addr = *a};
	int fd = listen_on(f, &v->addr);
	assert_int_equal(listener_new(f->loop, fd, &server_events, v, &v->listener, NULL), ERR_OK);
}

static void server_stop(struct server *v)
{
	listener_free(v->listener);
	for (unsigned i = 0; i < v->accepted && !v->drops; i++)
		end_done(&v->ends[i]);
}

static void clients_start(struct server *v, struct end *clients, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		end_init(&clients[i], v->f);
		start_connect(v->f, &clients[i], &v->addr, 0);
	}
}

static void clients_done(struct end *clients, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		end_done(&clients[i]);
}

static bool all_accepted(void *ctx)
{
	const struct server *v = ctx;
	return v->accepted == CLIENTS;
}

static unsigned number_of(const struct end *e)
{
	uint64_t v = CLIENTS;

	assert_int_equal(slice_to_u64(buf_slice(&e->in), CLIENTS - 1, &v), ERR_OK);
	return (unsigned)v;
}

static void test_many_are_accepted(void **state)
{
	struct fixture *f = *state;
	struct net_addr a = loopback();
	struct server v;
	struct end clients[CLIENTS];
	char text[8];

	server_start(&v, f, &a);
	clients_start(&v, clients, CLIENTS);
	RUN_UNTIL(f, all_accepted, &v);
	for (unsigned i = 0; i < CLIENTS; i++) {
		assert_true(net_addr_eq(stream_peer(clients[i].s), &v.addr));
		assert_true(net_addr_eq_ip(stream_peer(v.ends[i].s), &v.addr));
		assert_true(net_addr_eq(stream_local(v.ends[i].s), &v.addr));
		snprintf(text, sizeof(text), "%u", i);
		say(&v.ends[i], text);
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		RUN_UNTIL(f, end_is_open, &clients[i]);
	run_for(f, 10);
	for (unsigned i = 0; i < CLIENTS; i++) {
		/* Whom the server told i knows the server as that connection's peer. */
		unsigned number = number_of(&clients[i]);
		assert_true(net_addr_eq(stream_local(clients[i].s), stream_peer(v.ends[number].s)));
	}
	clients_done(clients, CLIENTS);
	server_stop(&v);
}

static void test_listener_pauses(void **state)
{
	struct fixture *f = *state;
	struct net_addr a = loopback();
	struct server v;
	struct end clients[CLIENTS];

	server_start(&v, f, &a);
	listener_pause(v.listener, true);
	clients_start(&v, clients, CLIENTS);
	RUN_UNTIL(f, end_is_open, &clients[CLIENTS - 1]); /* the kernel's backlog takes it */
	run_for(f, 5);
	assert_int_equal(v.accepted, 0);
	listener_pause(v.listener, false);
	RUN_UNTIL(f, all_accepted, &v);
	clients_done(clients, CLIENTS);
	server_stop(&v);
}

static bool both_have_all(void *ctx)
{
	const struct server *v = ctx;
	return v[0].accepted + v[1].accepted == CLIENTS;
}

/* Two processes with the same socket: each connection goes to exactly one. */
static void test_listeners_share_a_socket(void **state)
{
	struct fixture *f = *state;
	struct net_addr a = loopback();
	struct server v[2];
	struct end clients[CLIENTS];

	v[0] = v[1] = (struct server){.f = f, .addr = a, .drops = true};
	int fd = listen_on(f, &v[0].addr), copy = f->loop->ops->dup(f->loop, fd);
	assert_true(copy >= 0 && copy != fd);
	assert_int_equal(listener_new(f->loop, fd, &server_events, &v[0], &v[0].listener, NULL), ERR_OK);
	assert_int_equal(listener_new(f->loop, copy, &server_events, &v[1], &v[1].listener, NULL), ERR_OK);
	clients_start(&v[0], clients, CLIENTS);
	RUN_UNTIL(f, both_have_all, v);
	/* A dead process strands nobody. */
	clients_done(clients, CLIENTS);
	listener_free(v[0].listener);
	v[0].accepted = v[1].accepted = 0;
	clients_start(&v[0], clients, CLIENTS);
	RUN_UNTIL(f, all_accepted, &v[1]);
	clients_done(clients, CLIENTS);
	listener_free(v[1].listener);
}

static void test_listener_freed_inside_on_accept(void **state)
{
	struct fixture *f = *state;
	struct net_addr a = loopback();
	struct server v;
	struct end clients[2];

	server_start(&v, f, &a);
	v.frees_itself = true;
	clients_start(&v, clients, 2);
	RUN_UNTIL(f, end_is_closed, &clients[1]); /* refused, or reset in the backlog */
	assert_int_equal(v.accepted, 1);
	clients_done(clients, 2);
	server_stop(&v);
}

static size_t open_now(struct fixture *f)
{
	int fds[2];

	assert_int_equal(f->loop->ops->pair(f->loop, fds), 0);
	f->loop->ops->close(f->loop, fds[0]);
	f->loop->ops->close(f->loop, fds[1]);
	return (size_t)MAX(fds[0], fds[1]) - 1; /* numbers are given from below */
}

static void limit_descriptors(struct fixture *f, size_t n, struct rlimit *old)
{
	if (f->backend->simulated) {
		sim_set_fds_max(f->loop, n == SIZE_MAX ? n : n - 0x40000000);
		return;
	}
	struct rlimit now;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, n == SIZE_MAX ? &now : old), 0);
	now = *old;
	now.rlim_cur = n == SIZE_MAX ? old->rlim_cur : n;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
}

static bool is_exhausted(void *ctx)
{
	const struct server *v = ctx;
	return v->exhausted > 0;
}

static bool one_accepted(void *ctx)
{
	const struct server *v = ctx;
	return v->accepted == 1;
}

/* No descriptor left: told once a second, without turning in circles, and it goes on by itself. */
static void test_no_descriptors_left(void **state)
{
	struct fixture *f = *state;
	struct net_addr a = loopback();
	struct server v;
	struct end client;
	struct rlimit old;

	server_start(&v, f, &a);
	clients_start(&v, &client, 1);
	limit_descriptors(f, open_now(f), &old);
	RUN_UNTIL(f, is_exhausted, &v);
	unsigned turns = 0;
	for (uint64_t end = loop_now(f->loop) + 250; loop_now(f->loop) < end; turns++)
		loop_turn(f->loop, end - loop_now(f->loop));
	assert_true(turns < 20);
	assert_int_equal(v.exhausted, 1);
	assert_int_equal(v.accepted, 0);
	struct connect_options o = {.remote = v.addr};
	struct stream *s;
	assert_int_equal(stream_connect(f->loop, &o, &end_events, NULL, &s, NULL), ERR_LIMIT);
	limit_descriptors(f, SIZE_MAX, &old);
	RUN_UNTIL(f, one_accepted, &v);
	assert_int_equal(v.exhausted, 1);
	clients_done(&client, 1);
	server_stop(&v);
}

/* ---- connecting ---- */

static void test_refused(void **state)
{
	struct fixture *f = *state;
	struct net_addr a = loopback();
	struct end e;

	f->loop->ops->close(f->loop, listen_on(f, &a)); /* a port that nobody has */
	end_init(&e, f);
	start_connect(f, &e, &a, 0);
	RUN_UNTIL(f, end_is_closed, &e);
	assert_int_equal(e.why.code, ERR_CLOSED);
	assert_non_null(strstr(e.why.text, "refused"));
	assert_int_equal(e.opens, 0);
	end_done(&e);
}

struct silent {
	struct net_addr addr;
	int listener, fill[4];
	unsigned filled;
};

/* An address that does not answer: on Linux a backlog that is full. */
static void silent_start(struct silent *q, struct fixture *f)
{
	*q = (struct silent){.addr = loopback(), .listener = -1};
	if (f->backend->simulated) {
		net_addr_set_port(&q->addr, 25);
		sim_blackhole(f->loop, &q->addr, true);
		return;
	}
	q->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(q->listener, &q->addr.u.sa, q->addr.len), 0);
	assert_int_equal(listen(q->listener, 0), 0);
	assert_int_equal(getsockname(q->listener, &q->addr.u.sa, &q->addr.len), 0);
	for (; q->filled < ARRAY_LEN(q->fill); q->filled++) {
		q->fill[q->filled] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		int r = connect(q->fill[q->filled], &q->addr.u.sa, q->addr.len);
		assert_true(r == 0 || errno == EINPROGRESS);
	}
}

static void silent_stop(struct silent *q, struct fixture *f)
{
	if (f->backend->simulated)
		sim_blackhole(f->loop, &q->addr, false);
	while (q->filled > 0)
		close(q->fill[--q->filled]);
	if (q->listener >= 0)
		close(q->listener);
}

static void test_connect_times_out(void **state)
{
	struct fixture *f = *state;
	struct silent q;
	struct end e;

	silent_start(&q, f);
	end_init(&e, f);
	uint64_t before = loop_now(f->loop);
	start_connect(f, &e, &q.addr, 50);
	RUN_UNTIL(f, end_is_closed, &e);
	assert_int_equal(e.why.code, ERR_TIMEOUT);
	assert_in_range(loop_now(f->loop) - before, 50, 5000);
	end_done(&e);
	end_init(&e, f);
	start_connect(f, &e, &q.addr, 50);
	end_done(&e); /* given up in the middle */
	silent_stop(&q, f);
}

static void free_in_open(struct end *e, const char *event)
{
	stream_free(e->s);
	e->s = NULL;
}

static void test_free_inside_on_open(void **state)
{
	struct fixture *f = *state;
	struct net_addr a = loopback();
	struct server v;
	struct end e;

	server_start(&v, f, &a);
	end_init(&e, f);
	e.on_event = free_in_open;
	start_connect(f, &e, &v.addr, 0);
	RUN_UNTIL(f, end_is_open, &e);
	assert_null(e.s);
	end_done(&e);
	RUN_UNTIL(f, one_accepted, &v);
	server_stop(&v);
}

static void test_own_address(void **state)
{
	struct fixture *f = *state;
	struct net_addr a = loopback(), from;
	struct server v;
	struct end e;

	server_start(&v, f, &a);
	assert_int_equal(net_addr_parse(SLICE_LIT("127.0.0.2"), 0, &from, NULL), ERR_OK);
	const struct connect_options o = {.remote = v.addr, .local = from};
	end_init(&e, f);
	assert_int_equal(stream_connect(f->loop, &o, &end_events, &e, &e.s, NULL), ERR_OK);
	RUN_UNTIL(f, one_accepted, &v);
	RUN_UNTIL(f, end_is_open, &e);
	assert_true(net_addr_eq_ip(stream_peer(v.ends[0].s), &from));
	assert_true(net_addr_eq_ip(stream_local(e.s), &from));
	assert_int_not_equal(net_addr_port(stream_local(e.s)), 0);
	end_done(&e);
	server_stop(&v);
}

static void test_said_before_connected(void **state)
{
	struct fixture *f = *state;
	struct net_addr a = loopback();
	struct server v;
	struct end e;

	server_start(&v, f, &a);
	end_init(&e, f);
	start_connect(f, &e, &v.addr, 0);
	say(&e, "early");
	RUN_UNTIL(f, one_accepted, &v);
	assert_true(heard(&v.ends[0], "early"));
	end_done(&e);
	server_stop(&v);
}

static void test_unix_socket(void **state)
{
	struct fixture *f = *state;
	struct net_addr a;
	struct server v;
	struct end e;
	char dir[] = "/tmp/evio-XXXXXX", text[64];

	assert_non_null(mkdtemp(dir));
	snprintf(text, sizeof(text), "unix:%s/socket", dir);
	assert_int_equal(net_addr_parse(slice_str(text), 0, &a, NULL), ERR_OK);
	server_start(&v, f, &a);
	clients_start(&v, &e, 1);
	RUN_UNTIL(f, one_accepted, &v);
	say(&v.ends[0], "hello");
	assert_true(heard(&e, "hello"));
	end_done(&e);
	server_stop(&v);
	unlink(a.u.un.sun_path);
	rmdir(dir);
}

static void test_address_in_use(void **state)
{
	struct fixture *f = *state;
	struct net_addr a = loopback();
	struct diag d = {0};
	int fd = listen_on(f, &a), other;

	assert_int_equal(net_listen(f->loop, &a, 0, &other, &d), ERR_BUSY);
	assert_non_null(strstr(d.text, "127.0.0.1:"));
	f->loop->ops->close(f->loop, fd);
}

const struct CMUnitTest net_tests[] = {
	cmocka_unit_test(test_many_are_accepted),
	cmocka_unit_test(test_listener_pauses),
	cmocka_unit_test(test_listeners_share_a_socket),
	cmocka_unit_test(test_listener_freed_inside_on_accept),
	cmocka_unit_test(test_no_descriptors_left),
	cmocka_unit_test(test_refused),
	cmocka_unit_test(test_connect_times_out),
	cmocka_unit_test(test_free_inside_on_open),
	cmocka_unit_test(test_own_address),
	cmocka_unit_test(test_said_before_connected),
	cmocka_unit_test(test_unix_socket),
	cmocka_unit_test(test_address_in_use),
};
const size_t net_tests_count = ARRAY_LEN(net_tests);
