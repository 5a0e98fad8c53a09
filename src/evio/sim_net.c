#include "evio/sim_priv.h"

#include "core/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum packet_kind { PACKET_DATA, PACKET_END, PACKET_RESET, PACKET_SYN };

struct packet {
	struct heap_node arrival; /* index 0: it has arrived */
	struct list_node node;    /* in to->inbox; a SYN is in none */
	struct sim_sock *to;      /* for a SYN the connecting socket itself */
	enum packet_kind kind;
	int fds[IPC_FDS_QUEUED_MAX]; /* owned */
	unsigned nfds;
	size_t len, pos; /* pos octets were read */
	char *data;      /* behind the struct */
};

enum sock_state { SOCK_LISTENING, SOCK_CONNECTING, SOCK_FAILED, SOCK_CONNECTED };

struct sim_sock {
	struct list_node node; /* in sim_net.socks */
	enum sock_state state;
	struct list fds;       /* struct sim_fd.of_sock */
	struct sim_sock *peer; /* NULL before the connection, and after the other end was closed */
	struct net_addr local, remote;
	uint64_t latency;
	struct list inbox;
	size_t unread;      /* octets of data in the inbox, arrived or not */
	unsigned fds_given; /* descriptors that it ever had */
	bool end_sent;
	int error;                /* errno of SOCK_FAILED */
	struct list backlog;      /* SOCK_LISTENING: not yet accepted */
	struct list_node waiting; /* in a listener's backlog */
	/* Need no allocation: an end cannot fail. */
	struct packet syn, end;
};

struct hole {
	struct list_node node;
	struct net_addr addr;
};

void sim_net_init(struct sim_net *n)
{
	list_init(&n->socks);
	list_init(&n->ready);
	list_init(&n->holes);
	heap_init(&n->arrivals);
	n->fds_max = SIZE_MAX;
	n->next_port = SIM_FIRST_PORT;
}

/* ---- readiness ---- */

static struct packet *first_arrived(const struct sim_sock *k)
{
	struct list_node *n = k->inbox.count ? k->inbox.head.next : NULL;
	struct packet *p = n ? CONTAINER_OF(n, struct packet, node) : NULL;

	return p && p->arrival.index == 0 ? p : NULL;
}

static unsigned readiness(const struct sim_sock *k)
{
	const struct packet *p;

	switch (k->state) {
	case SOCK_LISTENING:
		return k->backlog.count ? IO_READ : 0;
	case SOCK_CONNECTING:
		return 0;
	case SOCK_FAILED:
		return IO_READ | IO_WRITE;
	case SOCK_CONNECTED:
		p = first_arrived(k);
		if (p && p->kind == PACKET_RESET)
			return IO_READ | IO_WRITE;
		return (p ? IO_READ : 0) | (!k->peer || k->peer->unread < SIM_WINDOW ? IO_WRITE : 0);
	}
	return 0;
}

static unsigned ready_for(const struct sim_fd *f)
{
	return f->io ? readiness(f->sock) & f->io->wanted : 0;
}

/* After every change of a socket or of what its descriptors want. */
static void check(struct sim_loop *s, struct sim_sock *k)
{
	LIST_EACH_SAFE (&k->fds, n, tmp) {
		struct sim_fd *f = CONTAINER_OF(n, struct sim_fd, of_sock);
		bool ready = ready_for(f) != 0;

		if (ready && !list_linked(&f->ready))
			list_push_back(&s->net.ready, &f->ready);
		else if (!ready && list_linked(&f->ready))
			list_remove(&s->net.ready, &f->ready);
	}
}

/* Everybody who is ready, once, in an order of chance: no program may rely on one. */
int sim_net_dispatch(struct sim_loop *s)
{
	struct sim_net *n = &s->net;
	int called = 0;

	n->nbatch = 0;
	LIST_EACH_SAFE (&n->ready, node, tmp)
		n->batch[n->nbatch++] = CONTAINER_OF(node, struct sim_fd, ready);
	for (size_t i = n->nbatch; i > 1; i--) {
		size_t j = (size_t)(sim_random_next(&s->chunks) % i);
		struct sim_fd *f = n->batch[i - 1];
		n->batch[i - 1] = n->batch[j];
		n->batch[j] = f;
	}
	for (size_t i = 0; i < n->nbatch; i++) {
		struct sim_fd *f = n->batch[i];
		unsigned ready = f ? ready_for(f) : 0;
		if (!ready)
			continue;
		called++;
		f->io->fn(f->io->ctx, ready);
	}
	n->nbatch = 0;
	return called;
}

/* ---- descriptors ---- */

static struct sim_fd *get(struct sim_loop *s, int fd)
{
	size_t i = (size_t)fd - SIM_FD_BASE;

	return fd >= SIM_FD_BASE && i < s->net.cap ? s->net.fds[i] : NULL;
}

static bool grow(struct sim_net *n)
{
	size_t cap = n->cap ? 2 * n->cap : 64;
	struct sim_fd **fds = mem_resize(n->fds, cap * sizeof(struct sim_fd *));
	struct sim_fd **batch = fds ? mem_resize(n->batch, cap * sizeof(struct sim_fd *)) : NULL;

	n->fds = fds ? fds : n->fds;
	n->batch = batch ? batch : n->batch;
	if (!batch)
		return false;
	memset(fds + n->cap, 0, (cap - n->cap) * sizeof(struct sim_fd *));
	n->cap = cap;
	return true;
}

/* The lowest free number, as the kernel gives it: a stale descriptor soon means somebody else's. */
static int fd_new(struct sim_loop *s, struct sim_sock *k)
{
	struct sim_net *n = &s->net;
	size_t i = 0;

	if (n->open >= n->fds_max)
		return -EMFILE;
	while (i < n->cap && n->fds[i])
		i++;
	struct sim_fd *f = i < n->cap || grow(n) ? NEW(struct sim_fd) : NULL;
	if (!f)
		return -ENOMEM;
	f->number = SIM_FD_BASE + (int)i;
	f->sock = k;
	list_push_back(&k->fds, &f->of_sock);
	n->fds[i] = f;
	n->open++;
	k->fds_given++;
	return f->number;
}

static struct sim_sock *sock_new(struct sim_loop *s, enum sock_state state)
{
	struct sim_sock *k = NEW(struct sim_sock);

	if (!k)
		return NULL;
	k->state = state;
	k->latency = SIM_LATENCY_MS;
	list_init(&k->fds);
	list_init(&k->inbox);
	list_init(&k->backlog);
	list_push_back(&s->net.socks, &k->node);
	return k;
}

/* ---- packets ---- */

static bool is_hole(const struct net_addr *hole, const struct net_addr *a)
{
	return net_addr_port(hole) == 0 && hole->u.sa.sa_family != AF_UNIX ? net_addr_eq_ip(hole, a)
									   : net_addr_eq(hole, a);
}

static bool is_held(struct sim_loop *s, const struct sim_sock *k)
{
	LIST_EACH_SAFE (&s->net.holes, n, tmp) {
		const struct hole *h = CONTAINER_OF(n, struct hole, node);
		if (is_hole(&h->addr, &k->remote) || is_hole(&h->addr, &k->local))
			return true;
	}
	return false;
}

static uint64_t arrival_time(struct sim_loop *s, const struct sim_sock *to)
{
	return is_held(s, to) ? UINT64_MAX : s->clock + to->latency;
}

static bool post_packet(struct sim_loop *s, struct packet *p)
{
	return heap_insert(&s->net.arrivals, &p->arrival, arrival_time(s, p->to)) == ERR_OK;
}

static void packet_drop(struct sim_loop *s, struct packet *p)
{
	struct sim_sock *k = p->to;

	if (p->arrival.index)
		heap_remove(&s->net.arrivals, &p->arrival);
	if (list_linked(&p->node))
		list_remove(&k->inbox, &p->node);
	for (unsigned i = 0; i < p->nfds; i++)
		sim_net_close(&s->loop, p->fds[i]);
	p->nfds = 0;
	k->unread -= p->len - p->pos;
	if (p != &k->syn && p != &k->end)
		mem_free(p);
}

/* The last thing that a socket hears from the other end. A reset overtakes an end, not data. */
static void send_end(struct sim_loop *s, struct sim_sock *to, enum packet_kind kind)
{
	struct packet *p = &to->end;

	p->kind = kind;
	if (!list_linked(&p->node)) {
		p->to = to;
		list_push_back(&to->inbox, &p->node);
		(void)post_packet(s, p); /* without memory for the way it is there at once */
	}
	check(s, to);
}

/* ---- closing ---- */

/* Who closes without having read, or was never accepted, resets. */
static void part_from_peer(struct sim_loop *s, struct sim_sock *k)
{
	struct sim_sock *peer = k->peer;

	if (!peer)
		return;
	k->peer = peer->peer = NULL;
	if (k->unread || k->fds_given == 0)
		send_end(s, peer, PACKET_RESET);
	else if (!k->end_sent)
		send_end(s, peer, PACKET_END);
	check(s, peer);
}

static void sock_free(struct sim_loop *s, struct sim_sock *k)
{
	for (struct list_node *n; (n = list_pop(&k->backlog));)
		sock_free(s, CONTAINER_OF(n, struct sim_sock, waiting));
	part_from_peer(s, k);
	for (struct list_node *n; (n = list_first(&k->inbox));)
		packet_drop(s, CONTAINER_OF(n, struct packet, node));
	if (k->syn.arrival.index)
		heap_remove(&s->net.arrivals, &k->syn.arrival);
	list_remove(&s->net.socks, &k->node);
	mem_free(k);
}

void sim_net_close(struct loop *l, int fd)
{
	struct sim_loop *s = sim_self(l);
	struct sim_fd *f = get(s, fd);

	if (!f) {
		ASSERT(fd < SIM_FD_BASE);
		close(fd);
		return;
	}
	struct sim_sock *k = f->sock;
	if (list_linked(&f->ready))
		list_remove(&s->net.ready, &f->ready);
	for (size_t i = 0; i < s->net.nbatch; i++)
		if (s->net.batch[i] == f)
			s->net.batch[i] = NULL;
	list_remove(&k->fds, &f->of_sock);
	s->net.fds[f->number - SIM_FD_BASE] = NULL;
	s->net.open--;
	mem_free(f);
	if (k->fds.count == 0)
		sock_free(s, k);
}

void sim_net_done(struct sim_loop *s)
{
	struct sim_net *n = &s->net;

	for (size_t i = 0; i < n->cap; i++)
		if (n->fds[i])
			sim_net_close(&s->loop, n->fds[i]->number);
	for (struct list_node *h; (h = list_pop(&n->holes));)
		mem_free(CONTAINER_OF(h, struct hole, node));
	heap_done(&n->arrivals);
	mem_free(n->fds);
	mem_free(n->batch);
}

int sim_net_update(struct loop *l, struct io *io, unsigned wanted)
{
	struct sim_loop *s = sim_self(l);
	struct sim_fd *f = get(s, io->fd);

	if (!f)
		return -EPERM; /* the kernel's, which this clock cannot wait for */
	if (f->io && f->io != io)
		return -EEXIST;
	f->io = wanted ? io : NULL;
	io->added = wanted != 0;
	io->wanted = wanted;
	check(s, f->sock);
	return 0;
}

int sim_net_dup(struct loop *l, int fd)
{
	struct sim_loop *s = sim_self(l);
	struct sim_fd *f = get(s, fd);

	if (f)
		return fd_new(s, f->sock);
	int r = fd < SIM_FD_BASE ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
	return r >= 0 ? r : fd < SIM_FD_BASE ? -errno : -EBADF;
}

/* ---- connections ---- */

static bool is_any(const struct net_addr *a)
{
	if (a->u.sa.sa_family == AF_INET)
		return a->u.in4.sin_addr.s_addr == htonl(INADDR_ANY);
	return a->u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->u.in6.sin6_addr);
}

static struct sim_sock *find_listener(struct sim_loop *s, const struct net_addr *a)
{
	struct sim_sock *any = NULL;

	LIST_EACH_SAFE (&s->net.socks, n, tmp) {
		struct sim_sock *k = CONTAINER_OF(n, struct sim_sock, node);
		if (k->state != SOCK_LISTENING)
			continue;
		if (net_addr_eq(&k->local, a))
			return k;
		if (is_any(&k->local) && k->local.u.sa.sa_family == a->u.sa.sa_family &&
		    net_addr_port(&k->local) == net_addr_port(a))
			any = k;
	}
	return any;
}

static void give_port(struct sim_loop *s, struct net_addr *a)
{
	if (a->u.sa.sa_family != AF_UNIX && net_addr_port(a) == 0) {
		net_addr_set_port(a, s->net.next_port);
		s->net.next_port = s->net.next_port == UINT16_MAX ? SIM_FIRST_PORT : s->net.next_port + 1;
	}
}

/* The address that a client without one of its own gets: loopback, or no name at all. */
static struct net_addr own_addr(const struct net_addr *remote)
{
	struct net_addr a = {.len = remote->len};

	a.u.sa.sa_family = remote->u.sa.sa_family;
	if (a.u.sa.sa_family == AF_INET)
		a.u.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (a.u.sa.sa_family == AF_INET6)
		a.u.in6.sin6_addr = in6addr_loopback;
	else
		a.len = sizeof(sa_family_t);
	return a;
}

int sim_net_listen(struct loop *l, const struct net_addr *a, unsigned unix_mode)
{
	struct sim_loop *s = sim_self(l);
	struct net_addr addr = *a;

	give_port(s, &addr);
	if (find_listener(s, &addr))
		return -EADDRINUSE;
	struct sim_sock *k = sock_new(s, SOCK_LISTENING);
	if (!k)
		return -ENOMEM;
	k->local = addr;
	int fd = fd_new(s, k);
	if (fd < 0)
		sock_free(s, k);
	return fd;
}

int sim_net_accept(struct loop *l, int fd, struct net_addr *ret_peer)
{
	struct sim_loop *s = sim_self(l);
	struct sim_fd *f = get(s, fd);

	if (!f || f->sock->state != SOCK_LISTENING)
		return -EINVAL;
	struct list_node *n = list_first(&f->sock->backlog);
	if (!n)
		return -EAGAIN;
	struct sim_sock *k = CONTAINER_OF(n, struct sim_sock, waiting);
	int c = fd_new(s, k);
	if (c < 0)
		return c; /* it stays in the backlog, as with the kernel */
	list_remove(&f->sock->backlog, n);
	check(s, f->sock);
	*ret_peer = k->remote;
	return c;
}

int sim_net_connect(struct loop *l, const struct net_addr *remote, const struct net_addr *local)
{
	struct sim_loop *s = sim_self(l);
	struct sim_sock *k = sock_new(s, SOCK_CONNECTING);

	if (!k)
		return -ENOMEM;
	k->remote = *remote;
	k->local = local->len ? *local : own_addr(remote);
	give_port(s, &k->local);
	k->syn = (struct packet){.to = k, .kind = PACKET_SYN};
	int fd = !is_held(s, k) && !find_listener(s, remote) ? -ECONNREFUSED : fd_new(s, k);
	if (fd >= 0 && post_packet(s, &k->syn))
		return fd;
	if (fd >= 0)
		sim_net_close(l, fd);
	else
		sock_free(s, k);
	return fd >= 0 ? -ENOMEM : fd;
}

static void syn_arrives(struct sim_loop *s, struct packet *syn)
{
	struct sim_sock *k = syn->to, *li = find_listener(s, &k->remote);

	if (li && li->backlog.count >= LISTEN_BACKLOG &&
	    heap_insert(&s->net.arrivals, &syn->arrival, s->clock + SIM_SYN_AGAIN) == ERR_OK)
		return;
	struct sim_sock *other = li ? sock_new(s, SOCK_CONNECTED) : NULL;
	k->state = other ? SOCK_CONNECTED : SOCK_FAILED;
	k->error = ECONNREFUSED;
	if (other) {
		k->peer = other;
		other->peer = k;
		other->local = k->remote;
		other->remote = k->local;
		list_push_back(&li->backlog, &other->waiting);
		check(s, li);
	}
	check(s, k);
}

int sim_net_connect_result(struct loop *l, int fd)
{
	struct sim_fd *f = get(sim_self(l), fd);

	if (!f)
		return -EBADF;
	return f->sock->state == SOCK_FAILED ? -f->sock->error : 0;
}

int sim_net_local_addr(struct loop *l, int fd, struct net_addr *ret)
{
	struct sim_fd *f = get(sim_self(l), fd);

	*ret = f ? f->sock->local : (struct net_addr){0};
	return f ? 0 : -EBADF;
}

int sim_net_peer_addr(struct loop *l, int fd, struct net_addr *ret)
{
	struct sim_fd *f = get(sim_self(l), fd);

	*ret = f ? f->sock->remote : (struct net_addr){0};
	return f ? 0 : -EBADF;
}

int sim_net_pair(struct loop *l, int fds[2])
{
	struct sim_loop *s = sim_self(l);
	struct sim_sock *k[2];

	for (int i = 0; i < 2; i++) {
		k[i] = sock_new(s, SOCK_CONNECTED);
		fds[i] = k[i] ? fd_new(s, k[i]) : -ENOMEM;
		if (fds[i] >= 0) {
			k[i]->latency = 0;
			k[i]->local.u.sa.sa_family = k[i]->remote.u.sa.sa_family = AF_UNIX;
			k[i]->local.len = k[i]->remote.len = sizeof(sa_family_t);
			continue;
		}
		if (k[i])
			sock_free(s, k[i]);
		if (i == 1)
			sim_net_close(l, fds[0]);
		return fds[i];
	}
	k[0]->peer = k[1];
	k[1]->peer = k[0];
	return 0;
}

/* ---- octets ---- */

static struct sim_sock *connected(struct sim_loop *s, int fd)
{
	struct sim_fd *f = get(s, fd);

	return f && f->sock->state == SOCK_CONNECTED ? f->sock : NULL;
}

/* Writing: 0 if there is room, else what the caller gets. */
static int may_write(const struct sim_sock *k)
{
	const struct packet *p = first_arrived(k);

	if (!k->peer || k->end_sent || (p && p->kind == PACKET_RESET))
		return -EPIPE;
	return k->peer->unread < SIM_WINDOW ? 0 : -EAGAIN;
}

static struct packet *packet_new(struct sim_sock *to, const struct iovec *iov, int n)
{
	size_t total = 0;

	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	total = MIN(total, SIM_WINDOW - to->unread);
	struct packet *p = mem_alloc(sizeof(*p) + total);
	if (!p)
		return NULL;
	p->to = to;
	p->data = (char *)(p + 1);
	for (int i = 0; i < n && p->len < total; i++) {
		size_t part = MIN(iov[i].iov_len, total - p->len);
		if (part)
			memcpy(p->data + p->len, iov[i].iov_base, part);
		p->len += part;
	}
	return p;
}

/* Takes p; on failure nothing was sent. */
static ssize_t send_packet(struct sim_loop *s, struct packet *p)
{
	size_t n = p->len;

	p->to->unread += n;
	list_push_back(&p->to->inbox, &p->node);
	if (post_packet(s, p))
		return (ssize_t)n;
	packet_drop(s, p);
	return -ENOBUFS;
}

ssize_t sim_net_writev(struct loop *l, int fd, const struct iovec *iov, int n)
{
	struct sim_loop *s = sim_self(l);
	struct sim_sock *k = connected(s, fd);

	if (!k)
		return get(s, fd) ? -ENOTCONN : -EBADF;
	int r = may_write(k);
	if (r)
		return r;
	struct packet *p = packet_new(k->peer, iov, n);
	if (!p)
		return -ENOBUFS;
	if (p->len == 0) {
		packet_drop(s, p);
		return 0;
	}
	ssize_t sent = send_packet(s, p);
	check(s, k);
	return sent;
}

ssize_t sim_net_send_fds(struct loop *l, int fd, struct slice data, const int *fds, unsigned nfds)
{
	struct sim_loop *s = sim_self(l);
	struct sim_sock *k = connected(s, fd);
	struct iovec iov = {(void *)data.ptr, data.len};

	if (!k || nfds > IPC_FDS_QUEUED_MAX)
		return -EINVAL;
	int r = may_write(k);
	struct packet *p = r ? NULL : packet_new(k->peer, &iov, 1);
	if (!p)
		return r ? r : -ENOBUFS;
	for (; p->nfds < nfds; p->nfds++) {
		int copy = sim_net_dup(l, fds[p->nfds]);
		if (copy < 0) {
			k->peer->unread += p->len; /* which packet_drop takes back */
			packet_drop(s, p);
			return copy;
		}
		p->fds[p->nfds] = copy;
	}
	ssize_t sent = send_packet(s, p);
	check(s, k);
	return sent;
}

/* How much one read may give. */
static size_t chunk(struct sim_loop *s, size_t n)
{
	if (s->chunk_max == 0)
		return n;
	size_t most = 1 + (size_t)(sim_random_next(&s->chunks) % s->chunk_max);
	return MIN(n, most);
}

static size_t read_packet(struct sim_sock *k, struct packet *p, char *to, size_t n)
{
	size_t part = MIN(n, p->len - p->pos);

	memcpy(to, p->data + p->pos, part);
	p->pos += part;
	k->unread -= part;
	return part;
}

/* A packet with descriptors gives them with its first octet and is the last of its read, as on a Unix socket. */
ssize_t sim_net_recv_fds(struct loop *l, int fd, void *to, size_t n, int fds[IPC_FDS_QUEUED_MAX],
			 unsigned *ret_nfds)
{
	struct sim_loop *s = sim_self(l);
	struct sim_sock *k = connected(s, fd);
	size_t got = 0;
	struct packet *p;

	*ret_nfds = 0;
	if (!k)
		return get(s, fd) ? -ENOTCONN : -EBADF;
	n = chunk(s, n);
	while (got < n && *ret_nfds == 0 && (p = first_arrived(k)) && p->kind == PACKET_DATA) {
		memcpy(fds, p->fds, p->nfds * sizeof(int));
		*ret_nfds = p->nfds;
		p->nfds = 0;
		got += read_packet(k, p, (char *)to + got, n - got);
		if (p->pos == p->len)
			packet_drop(s, p);
	}
	check(s, k);
	if (k->peer)
		check(s, k->peer); /* there is room again */
	if (got)
		return (ssize_t)got;
	p = first_arrived(k);
	return !p ? -EAGAIN : p->kind == PACKET_RESET ? -ECONNRESET : 0;
}

ssize_t sim_net_read(struct loop *l, int fd, void *p, size_t n)
{
	int fds[IPC_FDS_QUEUED_MAX];
	unsigned nfds;
	ssize_t r = sim_net_recv_fds(l, fd, p, n, fds, &nfds);

	while (nfds > 0)
		sim_net_close(l, fds[--nfds]);
	return r;
}

int sim_net_shutdown_write(struct loop *l, int fd)
{
	struct sim_loop *s = sim_self(l);
	struct sim_sock *k = connected(s, fd);

	if (!k)
		return -ENOTCONN;
	if (k->peer && !k->end_sent)
		send_end(s, k->peer, PACKET_END);
	k->end_sent = true;
	return 0;
}

/* ---- time ---- */

uint64_t sim_net_next(const struct sim_loop *s)
{
	const struct heap_node *n = heap_min(&s->net.arrivals);

	return n ? n->key : UINT64_MAX;
}

void sim_net_arrive(struct sim_loop *s)
{
	struct heap_node *n;

	while ((n = heap_min(&s->net.arrivals)) && n->key <= s->clock) {
		struct packet *p = CONTAINER_OF(n, struct packet, arrival);
		heap_remove(&s->net.arrivals, n);
		if (p->kind == PACKET_SYN)
			syn_arrives(s, p);
		else
			check(s, p->to);
	}
}

static void retime(struct sim_loop *s, struct packet *p)
{
	if (!p->arrival.index)
		return;
	uint64_t at = arrival_time(s, p->to);
	if ((at == UINT64_MAX) != (p->arrival.key == UINT64_MAX))
		heap_update(&s->net.arrivals, &p->arrival, at);
}

void sim_blackhole(struct loop *l, const struct net_addr *a, bool on)
{
	struct sim_loop *s = sim_self(l);

	LIST_EACH_SAFE (&s->net.holes, n, tmp) {
		struct hole *h = CONTAINER_OF(n, struct hole, node);
		if (!net_addr_eq(&h->addr, a))
			continue;
		list_remove(&s->net.holes, n);
		mem_free(h);
	}
	if (on) {
		struct hole *h = NEW(struct hole);
		ASSERT(h); /* a test's own doing, with nobody to tell */
		h->addr = *a;
		list_push_back(&s->net.holes, &h->node);
	}
	LIST_EACH_SAFE (&s->net.socks, n, tmp) {
		struct sim_sock *k = CONTAINER_OF(n, struct sim_sock, node);
		retime(s, &k->syn);
		LIST_EACH_SAFE (&k->inbox, m, next)
			retime(s, CONTAINER_OF(m, struct packet, node));
	}
}
