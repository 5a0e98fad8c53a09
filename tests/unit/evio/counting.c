#include "counting.h"

static const struct loop_ops *real;
static struct loop_ops counted;
static struct op_counts counts;

static int count_wait(struct loop *l, uint64_t ms)
{
	counts.waits++;
	return real->wait(l, ms);
}

static int count_update(struct loop *l, struct io *io, unsigned wanted)
{
	counts.updates++;
	return real->update(l, io, wanted);
}

static ssize_t count_read(struct loop *l, int fd, void *p, size_t n)
{
	counts.reads++;
	return real->read(l, fd, p, n);
}

static ssize_t count_writev(struct loop *l, int fd, const struct iovec *iov, int n)
{
	counts.writes++;
	return real->writev(l, fd, iov, n);
}

static ssize_t count_send_fds(struct loop *l, int fd, struct slice data, const int *fds, unsigned nfds)
{
	counts.sends++;
	return real->send_fds(l, fd, data, fds, nfds);
}

static ssize_t count_recv_fds(struct loop *l, int fd, void *p, size_t n, int fds[IPC_FDS_QUEUED_MAX],
			      unsigned *ret_nfds)
{
	counts.receives++;
	return real->recv_fds(l, fd, p, n, fds, ret_nfds);
}

struct op_counts *counting_start(struct loop *l)
{
	counts = (struct op_counts){0};
	if (l->ops == &counted)
		return &counts;
	real = l->ops;
	counted = *real;
	counted.wait = count_wait;
	counted.update = count_update;
	counted.read = count_read;
	counted.writev = count_writev;
	counted.send_fds = count_send_fds;
	counted.recv_fds = count_recv_fds;
	l->ops = &counted;
	return &counts;
}
