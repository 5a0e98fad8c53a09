/* The kernel's side: signals, socket options, sockets in the file system. */
#include "conformance.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct backend epoll = {"epoll", false, 0};

/* ---- signals ---- */

static void on_signal(void *ctx, int signo)
{
	int *last = ctx;
	*last = *last * 100 + signo;
}

static void test_signals(void **state)
{
	struct fixture *f = *state;
	sigset_t old;
	int got = 0;

	pthread_sigmask(SIG_SETMASK, NULL, &old);
	assert_int_equal(loop_signal(f->loop, SIGUSR1, on_signal, &got), ERR_OK);
	assert_int_equal(loop_signal(f->loop, SIGUSR2, on_signal, &got), ERR_OK);
	kill(getpid(), SIGUSR2);
	assert_int_equal(got, 0);
	assert_true(loop_turn(f->loop, 1000));
	assert_int_equal(got, SIGUSR2);
	got = 0;
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	assert_true(loop_turn(f->loop, 1000));
	assert_int_equal(got, SIGUSR1 * 100 + SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* ---- options ---- */

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static void test_small_packets_are_not_held_back(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	int fds[2] = {stream_release(a.s), stream_release(b.s)};
	a.s = b.s = NULL;
	for (int i = 0; i < 2; i++) {
		assert_true(fds[i] >= 0);
		assert_int_equal(option(fds[i], IPPROTO_TCP, TCP_NODELAY), 1);
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		assert_true(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
		close(fds[i]);
	}
	end_done(&a);
	end_done(&b);
}

static void test_both_families_listen_on_one_port(void **state)
{
	struct fixture *f = *state;
	struct net_addr v6 = {.len = sizeof(v6.u.in6)}, v4 = loopback();

	v6.u.in6.sin6_family = AF_INET6;
	int six = listen_on(f, &v6); /* [::], any port */
	v4.u.in4.sin_addr.s_addr = htonl(INADDR_ANY);
	net_addr_set_port(&v4, net_addr_port(&v6));
	int four = listen_on(f, &v4);
	assert_int_equal(option(six, SOL_SOCKET, SO_REUSEADDR), 1);
	assert_true(fcntl(four, F_GETFD) & FD_CLOEXEC);
	close(six);
	close(four);
}

/* ---- sockets in the file system ---- */

struct place {
	char dir[32];
	struct net_addr addr;
};

static void place_make(struct place *p)
{
	char text[64];

	snprintf(p->dir, sizeof(p->dir), "/tmp/evio-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(text, sizeof(text), "unix:%s/socket", p->dir);
	assert_int_equal(net_addr_parse(slice_str(text), 0, &p->addr, NULL), ERR_OK);
}

static void place_done(struct place *p)
{
	unlink(p->addr.u.un.sun_path);
	rmdir(p->dir);
}

static void test_stale_socket_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct place p;
	struct stat st;
	int fd, other;

	place_make(&p);
	assert_int_equal(net_listen(f->loop, &p.addr, 0640, &fd, NULL), ERR_OK);
	assert_int_equal(stat(p.addr.u.un.sun_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(net_listen(f->loop, &p.addr, 0600, &other, NULL), ERR_BUSY); /* alive */
	close(fd); /* its name stays behind */
	assert_int_equal(net_listen(f->loop, &p.addr, 0600, &fd, NULL), ERR_OK);
	close(fd);
	place_done(&p);
}

static void test_a_file_is_not_taken_for_a_socket(void **state)
{
	struct fixture *f = *state;
	struct place p;
	int fd;

	place_make(&p);
	fd = open(p.addr.u.un.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "precious", 8), 8);
	close(fd);
	assert_int_equal(net_listen(f->loop, &p.addr, 0600, &fd, NULL), ERR_BUSY);
	assert_int_equal(access(p.addr.u.un.sun_path, F_OK), 0);
	place_done(&p);
}

static void test_no_such_directory(void **state)
{
	struct fixture *f = *state;
	struct net_addr a;
	struct diag d = {0};
	int fd;

	assert_int_equal(net_addr_parse(SLICE_LIT("unix:/tmp/evio-none/socket"), 0, &a, NULL), ERR_OK);
	assert_int_equal(net_listen(f->loop, &a, 0600, &fd, &d), ERR_NOTFOUND);
	assert_non_null(strstr(d.text, "/tmp/evio-none/socket"));
}

/* ---- events of the same wait ---- */

struct pair {
	struct io io[2];
	struct loop *loop;
	unsigned calls;
};

static void on_either(void *ctx, unsigned ready)
{
	struct pair *p = ctx;

	p->calls++;
	for (int i = 0; i < 2; i++)
		assert_int_equal(p->loop->ops->update(p->loop, &p->io[i], 0), 0);
}

/* Two are ready at once, and the first takes both out: the second must not be called. */
static void test_an_event_dies_with_its_place(void **state)
{
	struct fixture *f = *state;
	struct pair p = {.loop = f->loop};
	int fds[2];

	assert_int_equal(f->loop->ops->pair(f->loop, fds), 0);
	for (int i = 0; i < 2; i++) {
		p.io[i] = (struct io){.fd = fds[i], .fn = on_either, .ctx = &p};
		assert_int_equal(io_update(f->loop, &p.io[i], IO_WRITE), 0);
	}
	assert_true(loop_turn(f->loop, 0));
	assert_int_equal(p.calls, 1);
	assert_false(p.io[0].added || p.io[1].added);
	close(fds[0]);
	close(fds[1]);
}

#define OVER(back_end, name)                                                                                 \
	{                                                                                                    \
#name, name, suite_setup, suite_teardown, (void *)&(back_end)                                \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVER(epoll, test_signals),
		OVER(epoll, test_small_packets_are_not_held_back),
		OVER(epoll, test_both_families_listen_on_one_port),
		OVER(epoll, test_stale_socket_is_replaced),
		OVER(epoll, test_a_file_is_not_taken_for_a_socket),
		OVER(epoll, test_no_such_directory),
		OVER(epoll, test_an_event_dies_with_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
