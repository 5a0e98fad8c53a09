/* The real back end: epoll, signalfd, eventfd, kernel sockets. */
#include "evio/loop_priv.h"

#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct epoll_loop {
	struct loop loop;
	int epoll;
	struct io wake;    /* eventfd of loop_post */
	struct io signals; /* signalfd, -1 until the first */
	sigset_t mask;
	/* Events of the wait in progress: an io that goes away meanwhile is struck out. */
	struct epoll_event events[EVIO_EVENTS_PER_WAIT];
	int count;
};

static struct epoll_loop *self(struct loop *l)
{
	return CONTAINER_OF(l, struct epoll_loop, loop);
}

static int neg_errno(int r)
{
	return r < 0 ? -errno : r;
}

/* ---- waiting ---- */

static int ep_update(struct loop *l, struct io *io, unsigned wanted)
{
	struct epoll_loop *e = self(l);
	struct epoll_event ev = {.data.ptr = io};
	if (wanted & IO_READ)
		ev.events |= EPOLLIN;
	if (wanted & IO_WRITE)
		ev.events |= EPOLLOUT;
	if (io->exclusive)
		ev.events = EPOLLIN | EPOLLEXCLUSIVE;
	int op = !wanted ? EPOLL_CTL_DEL : io->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (epoll_ctl(e->epoll, op, io->fd, &ev) != 0)
		return -errno;
	io->added = wanted != 0;
	io->wanted = wanted;
	for (int i = 0; !wanted && i < e->count; i++)
		if (e->events[i].data.ptr == io)
			e->events[i].data.ptr = NULL;
	return 0;
}

static unsigned ready_for(const struct io *io, uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP))
		return io->wanted;
	return ((events & EPOLLIN ? IO_READ : 0) | (events & EPOLLOUT ? IO_WRITE : 0)) & io->wanted;
}

static int ep_wait(struct loop *l, uint64_t ms)
{
	struct epoll_loop *e = self(l);
	int n = epoll_wait(e->epoll, e->events, EVIO_EVENTS_PER_WAIT, ms > INT32_MAX ? -1 : (int)ms);
	if (n < 0 && errno != EINTR)
		return -errno;
	l->ops->read_clock(l);
	e->count = MAX(n, 0);
	for (int i = 0; i < e->count; i++) {
		struct io *io = e->events[i].data.ptr;
		unsigned ready = io ? ready_for(io, e->events[i].events) : 0;
		if (ready)
			io->fn(io->ctx, ready);
	}
	n = e->count;
	e->count = 0;
	return n;
}

static void ep_read_clock(struct loop *l)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	l->now = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	clock_gettime(CLOCK_REALTIME, &ts);
	l->wall = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void ep_random(struct loop *l, void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = getrandom((char *)p + done, n - done, 0);
		ASSERT(r > 0 || errno == EINTR);
		done += r > 0 ? (size_t)r : 0;
	}
}

/* ---- sockets ---- */

static const int one = 1;

/* Only a socket may be removed: connect(2) refuses an ordinary file in the same words. */
static bool stale_socket(const struct net_addr *a)
{
	struct stat st;
	if (lstat(a->u.un.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return false;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	bool stale = connect(fd, &a->u.sa, a->len) != 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int bind_and_listen(int fd, const struct net_addr *a, unsigned unix_mode)
{
	bool is_unix = a->u.sa.sa_family == AF_UNIX;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (a->u.sa.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	int r = bind(fd, &a->u.sa, a->len);
	if (r != 0 && errno == EADDRINUSE && is_unix && stale_socket(a)) {
		unlink(a->u.un.sun_path);
		r = bind(fd, &a->u.sa, a->len);
	}
	if (r == 0 && is_unix)
		r = chmod(a->u.un.sun_path, unix_mode);
	return neg_errno(r == 0 ? listen(fd, LISTEN_BACKLOG) : r);
}

static int ep_listen(struct loop *l, const struct net_addr *a, unsigned unix_mode)
{
	int fd = socket(a->u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int r = bind_and_listen(fd, a, unix_mode);
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

static void set_nodelay(int fd, int family)
{
	if (family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static int ep_accept(struct loop *l, int fd, struct net_addr *ret_peer)
{
	memset(ret_peer, 0, sizeof(*ret_peer));
	ret_peer->len = sizeof(ret_peer->u);
	int c = accept4(fd, &ret_peer->u.sa, &ret_peer->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (c < 0)
		return -errno;
	set_nodelay(c, ret_peer->u.sa.sa_family);
	return c;
}

static int ep_connect(struct loop *l, const struct net_addr *remote, const struct net_addr *local)
{
	int family = remote->u.sa.sa_family;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	set_nodelay(fd, family);
	int r = 0;
	if (local->len) {
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		r = bind(fd, &local->u.sa, local->len);
	}
	if (r == 0)
		r = connect(fd, &remote->u.sa, remote->len);
	if (r == 0 || errno == EINPROGRESS)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

static int ep_connect_result(struct loop *l, int fd)
{
	int value = 0;
	socklen_t len = sizeof(value);
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len) == 0 ? -value : -errno;
}

static int ep_local_addr(struct loop *l, int fd, struct net_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->len = sizeof(ret->u);
	return neg_errno(getsockname(fd, &ret->u.sa, &ret->len));
}

static int ep_peer_addr(struct loop *l, int fd, struct net_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->len = sizeof(ret->u);
	return neg_errno(getpeername(fd, &ret->u.sa, &ret->len));
}

static ssize_t ep_read(struct loop *l, int fd, void *p, size_t n)
{
	ssize_t r = read(fd, p, n);
	return r < 0 ? -errno : r;
}

static ssize_t ep_writev(struct loop *l, int fd, const struct iovec *iov, int n)
{
	struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
	ssize_t r = sendmsg(fd, &m, MSG_NOSIGNAL);
	return r < 0 ? -errno : r;
}

static int ep_shutdown_write(struct loop *l, int fd)
{
	return neg_errno(shutdown(fd, SHUT_WR));
}

static void ep_close(struct loop *l, int fd)
{
	close(fd);
}

static int ep_dup(struct loop *l, int fd)
{
	return neg_errno(fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

static int ep_pair(struct loop *l, int fds[2])
{
	return neg_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
}

/* ---- passed descriptors ---- */

union fd_control {
	char buf[CMSG_SPACE(sizeof(int) * IPC_FDS_QUEUED_MAX)];
	struct cmsghdr align;
};

static ssize_t ep_send_fds(struct loop *l, int fd, struct slice data, const int *fds, unsigned nfds)
{
	union fd_control ctl;
	struct iovec iov = {(void *)data.ptr, data.len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	if (nfds) {
		memset(&ctl, 0, sizeof(ctl));
		m.msg_control = ctl.buf;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	ssize_t r = sendmsg(fd, &m, MSG_NOSIGNAL);
	return r < 0 ? -errno : r;
}

static ssize_t ep_recv_fds(struct loop *l, int fd, void *p, size_t n, int fds[IPC_FDS_QUEUED_MAX],
			   unsigned *ret_nfds)
{
	union fd_control ctl;
	struct iovec iov = {p, n};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.buf, .msg_controllen = sizeof(ctl.buf)};
	*ret_nfds = 0;
	ssize_t r = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	if (r < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		unsigned count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds + *ret_nfds, CMSG_DATA(c), count * sizeof(int));
		*ret_nfds += count;
	}
	return m.msg_flags & MSG_CTRUNC ? -EMSGSIZE : r;
}

/* ---- signals ---- */

static void on_signals(void *ctx, unsigned ready)
{
	struct epoll_loop *e = ctx;
	struct signalfd_siginfo info;
	while (read(e->signals.fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		loop_dispatch_signal(&e->loop, (int)info.ssi_signo);
}

static int ep_signal(struct loop *l, int signo)
{
	struct epoll_loop *e = self(l);
	sigaddset(&e->mask, signo);
	int r = pthread_sigmask(SIG_BLOCK, &e->mask, NULL);
	if (r)
		return -r;
	int fd = signalfd(e->signals.fd, &e->mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	e->signals.fd = fd;
	return io_update(l, &e->signals, IO_READ);
}

/* ---- life ---- */

static void ep_post_wake(struct loop *l)
{
	uint64_t v = 1;
	ssize_t r = write(self(l)->wake.fd, &v, sizeof(v)); /* full means that it is awake */
	(void)r;
}

static void on_wake(void *ctx, unsigned ready)
{
	struct epoll_loop *e = ctx;
	uint64_t v;
	ssize_t r = read(e->wake.fd, &v, sizeof(v));
	(void)r;
	loop_run_posted(&e->loop);
}

static void ep_free(struct loop *l)
{
	struct epoll_loop *e = self(l);
	loop_done(l);
	base_close(&e->signals.fd);
	base_close(&e->wake.fd);
	base_close(&e->epoll);
	mem_free(e);
}

static const struct loop_ops epoll_ops = {
	.free = ep_free,
	.wait = ep_wait,
	.read_clock = ep_read_clock,
	.random = ep_random,
	.update = ep_update,
	.listen = ep_listen,
	.accept = ep_accept,
	.connect = ep_connect,
	.connect_result = ep_connect_result,
	.local_addr = ep_local_addr,
	.peer_addr = ep_peer_addr,
	.read = ep_read,
	.writev = ep_writev,
	.shutdown_write = ep_shutdown_write,
	.close = ep_close,
	.dup = ep_dup,
	.pair = ep_pair,
	.send_fds = ep_send_fds,
	.recv_fds = ep_recv_fds,
	.signal = ep_signal,
};

enum err loop_epoll_new(struct loop **ret_loop, struct diag *d)
{
	struct epoll_loop *e = NEW(struct epoll_loop);
	if (!e)
		return diag_set(d, ERR_NOMEM, "no memory for the event loop");
	sigemptyset(&e->mask);
	e->loop.post_wake = ep_post_wake;
	e->signals = (struct io){.fd = -1, .fn = on_signals, .ctx = e};
	e->wake = (struct io){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .fn = on_wake, .ctx = e};
	e->epoll = epoll_create1(EPOLL_CLOEXEC);
	enum err err = loop_init(&e->loop, &epoll_ops, d);
	if (!err && (e->epoll < 0 || e->wake.fd < 0))
		err = diag_set_errno(d, errno, "event loop");
	int r = err ? 0 : io_update(&e->loop, &e->wake, IO_READ);
	if (r)
		err = diag_set_errno(d, -r, "event loop");
	if (err) {
		ep_free(&e->loop);
		return err;
	}
	*ret_loop = &e->loop;
	return ERR_OK;
}
