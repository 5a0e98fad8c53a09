/* Inside the loop: what its two back ends (loop_epoll.c, sim_loop.c) provide, and what evio's own files share.
 *
 * Timers, tasks, streams, TLS, ipc framing and listeners are written once over these operations. They behave like the
 * system calls whose names they bear, on non-blocking descriptors, and return a negative errno.
 */
#pragma once

#include "core/map.h"
#include "evio/limits.h"
#include "evio/loop.h"
#include "evio/net.h"

#include <pthread.h>
#include <sys/uio.h>

enum { IO_READ = 1, IO_WRITE = 2 };

/* A descriptor's place in the loop. fn gets those of the wanted directions that are ready; an error or a hang-up shows as
 * all of them. What is not wanted is never called for, not even when it was ready before another callback of the same
 * turn changed its mind. */
struct io {
	int fd;
	unsigned wanted; /* IO_READ, IO_WRITE */
	bool exclusive;  /* shared listener: wake one process only */
	bool added;      /* known to the back end */
	void (*fn)(void *ctx, unsigned ready);
	void *ctx;
};

/* A call from another thread. */
struct post {
	struct list_node node;
	void (*fn)(void *ctx);
	void *ctx;
};

struct loop_ops {
	void (*free)(struct loop *l);
	/* Waits at most ms and calls io.fn of what is ready. Returns how many, or a negative errno. */
	int (*wait)(struct loop *l, uint64_t ms);
	void (*read_clock)(struct loop *l); /* sets now and wall */
	void (*random)(struct loop *l, void *p, size_t n);
	int (*update)(struct loop *l, struct io *io, unsigned wanted); /* 0 removes */

	int (*listen)(struct loop *l, const struct net_addr *a, unsigned unix_mode);
	int (*accept)(struct loop *l, int fd, struct net_addr *ret_peer);
	int (*connect)(struct loop *l, const struct net_addr *remote,
		       const struct net_addr *local);  /* fd in progress */
	int (*connect_result)(struct loop *l, int fd); /* 0 or -errno */
	int (*local_addr)(struct loop *l, int fd, struct net_addr *ret);
	int (*peer_addr)(struct loop *l, int fd, struct net_addr *ret);
	ssize_t (*read)(struct loop *l, int fd, void *p, size_t n);
	ssize_t (*writev)(struct loop *l, int fd, const struct iovec *iov, int n);
	int (*shutdown_write)(struct loop *l, int fd);
	void (*close)(struct loop *l, int fd);
	int (*dup)(struct loop *l, int fd);
	int (*pair)(struct loop *l, int fds[2]);
	ssize_t (*send_fds)(struct loop *l, int fd, struct slice data, const int *fds, unsigned nfds);
	/* *ret_nfds descriptors that came with what was read. */
	ssize_t (*recv_fds)(struct loop *l, int fd, void *p, size_t n, int fds[IPC_FDS_QUEUED_MAX],
			    unsigned *ret_nfds);
	int (*signal)(struct loop *l, int signo);
};

struct signal_handler {
	void (*fn)(void *ctx, int signo);
	void *ctx;
};

struct loop {
	const struct loop_ops *ops;
	uint64_t now;
	int64_t wall;
	struct heap timers;
	struct list tasks;
	bool stopped;
	int failed; /* errno of a back end that gave up */
	size_t ipc_unsent;
	struct list ipc_blocked; /* channels that got ERR_AGAIN from the cap */
	struct signal_handler signals[65];
	struct map watches; /* loop_watch_readable, by descriptor */
	char *scratch;      /* EVIO_SCRATCH octets for whoever reads */
	bool simulated;
	uint64_t worker_delay_ms; /* simulated workers */
	pthread_mutex_t post_lock;
	struct list posted; /* under post_lock */
	void (*post_wake)(struct loop *l);
};

MUST_CHECK enum err loop_init(struct loop *l, const struct loop_ops *ops, struct diag *d);
void loop_done(struct loop *l);
void loop_dispatch_signal(struct loop *l, int signo);

int io_update(struct loop *l, struct io *io,
	      unsigned wanted); /* 0 or -errno; does nothing if it is so already */

/* From any thread: fn runs on the loop, in the next turn. p belongs to the loop until then. */
void loop_post(struct loop *l, struct post *p);
void loop_run_posted(struct loop *l);
