/* Inside the simulated back end: sim_loop.c (clock, turns, randomness) and sim_net.c (descriptors and connections).
 *
 * A simulated descriptor is a number at or above SIM_FD_BASE, where the kernel has none, so that one channel can carry
 * both kinds. Several descriptors may share a socket (dup, passing), each with its own place in the loop.
 *
 * What one end writes is a packet in the other's inbox. It has arrived once it has left the heap of arrivals; packets of
 * an inbox arrive in order. Readiness changes only through sim_net.c's check(), which keeps the list of ready
 * descriptors, so that a turn costs what happens in it and not what exists.
 */
#pragma once

#include "evio/loop_priv.h"
#include "evio/sim.h"

#define SIM_FD_BASE      0x40000000
#define SIM_LATENCY_MS   1            /* one way; none over a pair */
#define SIM_WINDOW       (256 * 1024) /* octets written and not yet read in one direction of a connection */
#define SIM_SYN_AGAIN    1000         /* ms until a connection is tried again at a full backlog */
#define SIM_FIRST_PORT   32768        /* ephemeral ones, upward */
#define SIM_SAME_INSTANT 10000000     /* turns without time passing: a livelock */

/* SplitMix64. */
struct sim_random {
	uint64_t state;
};
uint64_t sim_random_next(struct sim_random *r);

struct sim_fd {
	int number;
	struct sim_sock *sock;
	struct io *io; /* borrowed; NULL: nobody waits */
	struct list_node of_sock, ready;
};

struct sim_net {
	struct sim_fd **fds;   /* by number - SIM_FD_BASE; NULL: free */
	struct sim_fd **batch; /* being dispatched; as long as fds */
	size_t cap, open, nbatch;
	size_t fds_max; /* as RLIMIT_NOFILE */
	struct list socks;
	struct list ready;    /* struct sim_fd */
	struct heap arrivals; /* struct packet, by time; UINT64_MAX: held by a black hole */
	struct list holes;
	uint16_t next_port;
};

struct sim_loop {
	struct loop loop;
	uint64_t clock;    /* ms; loop.now shows it */
	int64_t wall_base; /* wall clock where clock is 0 */
	uint64_t signals;  /* bit n: signal n is pending */
	uint32_t chunk_max;
	uint32_t same_instant; /* turns since time passed */
	/* Apart, so that what the program draws does not change how its input is cut. */
	struct sim_random owner, chunks;
	struct sim_net net;
};

static inline struct sim_loop *sim_self(struct loop *l)
{
	ASSERT(l->simulated);
	return CONTAINER_OF(l, struct sim_loop, loop);
}

void sim_net_init(struct sim_net *n);
void sim_net_done(struct sim_loop *s);
uint64_t sim_net_next(const struct sim_loop *s); /* time of the next arrival; UINT64_MAX: none */
void sim_net_arrive(struct sim_loop *s);         /* everything due by the clock */
int sim_net_dispatch(struct sim_loop *s);        /* calls who is ready; how many */

/* The back end's operations; as loop_priv.h has them. */
int sim_net_update(struct loop *l, struct io *io, unsigned wanted);
int sim_net_listen(struct loop *l, const struct net_addr *a, unsigned unix_mode);
int sim_net_accept(struct loop *l, int fd, struct net_addr *ret_peer);
int sim_net_connect(struct loop *l, const struct net_addr *remote, const struct net_addr *local);
int sim_net_connect_result(struct loop *l, int fd);
int sim_net_local_addr(struct loop *l, int fd, struct net_addr *ret);
int sim_net_peer_addr(struct loop *l, int fd, struct net_addr *ret);
ssize_t sim_net_read(struct loop *l, int fd, void *p, size_t n);
ssize_t sim_net_writev(struct loop *l, int fd, const struct iovec *iov, int n);
int sim_net_shutdown_write(struct loop *l, int fd);
void sim_net_close(struct loop *l, int fd);
int sim_net_dup(struct loop *l, int fd);
int sim_net_pair(struct loop *l, int fds[2]);
ssize_t sim_net_send_fds(struct loop *l, int fd, struct slice data, const int *fds, unsigned nfds);
ssize_t sim_net_recv_fds(struct loop *l, int fd, void *p, size_t n, int fds[IPC_FDS_QUEUED_MAX],
			 unsigned *ret_nfds);
