#include "evio/ipc.h"

#include "core/buf.h"
#include "core/cursor.h"
#include "core/mem.h"
#include "evio/loop_priv.h"

#include <errno.h>
#include <string.h>

#define HEADER     8
#define BUFFER_MAX (IPC_UNSENT_MAX + (1u << 20))

/* Descriptors that leave with the frame which starts at `at` (octets since the channel began). */
struct passing {
	struct list_node node;
	uint64_t at;
	int fds[IPC_FDS_MAX];
	unsigned nfds;
};

struct ipc {
	struct loop *loop;
	struct io io;
	const struct ipc_events *ev;
	void *ctx;
	struct task flush, close, resume;
	struct buf out; /* unsent frames; `sent` octets of it are gone */
	size_t sent;
	uint64_t written;            /* octets that left since the channel began */
	int error;                   /* errno of a failed write */
	struct list passing;         /* struct passing, in order */
	struct buf in;               /* an incomplete frame */
	int fds[IPC_FDS_QUEUED_MAX]; /* received, not yet claimed by a frame */
	unsigned nfds;
	struct list_node blocked; /* waits for the loop's unsent octets to go down */
	struct diag why;
	bool closed, freed, paused, want_drain;
	unsigned busy;
};

/* By the back end: a simulated channel carries descriptors of both kinds. */
static void close_fds(struct loop *l, int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (fds[i] >= 0)
			l->ops->close(l, fds[i]);
}

/* ---- memory and closing ---- */

static void release(struct ipc *c)
{
	if (!c->freed || c->busy)
		return;
	buf_done(&c->in);
	buf_done(&c->out);
	mem_free(c);
}

static bool called(struct ipc *c)
{
	c->busy--;
	if (!c->freed)
		return true;
	release(c);
	return false;
}

#define CALL(c, ...) ((c)->busy++, __VA_ARGS__, called(c))

/* Who waited for the octets of others tries again once half of the cap is free. */
static void wake_blocked(struct loop *l)
{
	while (l->ipc_unsent <= IPC_UNSENT_MAX / 2 && l->ipc_blocked.count) {
		struct ipc *c = CONTAINER_OF(list_pop(&l->ipc_blocked), struct ipc, blocked);
		c->want_drain = true;
		task_defer(&c->flush);
	}
}

static void shut(struct ipc *c)
{
	if (c->io.fd < 0)
		return;
	io_update(c->loop, &c->io, 0);
	c->loop->ops->close(c->loop, c->io.fd);
	c->io.fd = -1;
	c->loop->ipc_unsent -= c->out.len - c->sent;
	c->sent = c->out.len;
	task_cancel(&c->flush);
	if (list_linked(&c->blocked))
		list_remove(&c->loop->ipc_blocked, &c->blocked);
	wake_blocked(c->loop);
	for (struct list_node *n; (n = list_pop(&c->passing));) {
		struct passing *p = CONTAINER_OF(n, struct passing, node);
		close_fds(c->loop, p->fds, p->nfds);
		mem_free(p);
	}
	close_fds(c->loop, c->fds, c->nfds);
	c->nfds = 0;
}

/* on_close comes from a task, never inside the owner's call. */
static void fail(struct ipc *c, enum err code, const char *text)
{
	if (c->closed)
		return;
	c->closed = true;
	diag_set(&c->why, code, "%s", text);
	shut(c);
	task_defer(&c->close);
}

static void on_close_task(void *ctx)
{
	struct ipc *c = ctx;
	(void)CALL(c, c->ev->on_close(c->ctx, &c->why));
}

/* ---- sending ---- */

/* Output is tried at the end of the turn; only what is stuck then waits for IO_WRITE. */
static void update(struct ipc *c)
{
	bool stuck = c->out.len > c->sent && (!list_linked(&c->flush.node) || c->io.wanted & IO_WRITE);
	unsigned wanted = (c->paused ? 0 : IO_READ) | (stuck ? IO_WRITE : 0);
	if (!c->closed && io_update(c->loop, &c->io, wanted) != 0)
		fail(c, ERR_IO, "channel cannot be watched");
}

/* How far one system call may go, and the descriptors that it carries: from a frame with descriptors, or from where we
 * are, to the next frame with descriptors. The first octet that leaves takes them along. */
static struct slice next_run(struct ipc *c, struct passing **ret)
{
	struct slice rest = slice_from(buf_slice(&c->out), c->sent);
	*ret = NULL;
	LIST_EACH_SAFE (&c->passing, n, tmp) {
		struct passing *p = CONTAINER_OF(n, struct passing, node);
		if (p->at > c->written)
			return slice_sub(rest, 0, (size_t)(p->at - c->written));
		*ret = p;
	}
	return rest;
}

/* Writes what goes now, without any callback; a failure stays in c->error. */
static void send_now(struct ipc *c)
{
	while (c->sent < c->out.len) {
		struct passing *p;
		struct slice run = next_run(c, &p);
		ssize_t n =
			c->loop->ops->send_fds(c->loop, c->io.fd, run, p ? p->fds : NULL, p ? p->nfds : 0);
		if (n == -EAGAIN || n == -ENOBUFS)
			break;
		if (n < 0) {
			c->error = (int)-n;
			break;
		}
		if (p) {
			list_remove(&c->passing, &p->node);
			close_fds(c->loop, p->fds, p->nfds);
			mem_free(p);
		}
		c->sent += (size_t)n;
		c->written += (size_t)n;
		c->loop->ipc_unsent -= (size_t)n;
	}
	if (c->sent == c->out.len) {
		if (c->out.cap > IPC_BUFFER_KEPT)
			buf_done(&c->out);
		buf_clear(&c->out);
		c->sent = 0;
	}
}

static bool flush(struct ipc *c)
{
	send_now(c);
	if (c->error) {
		fail(c, ERR_CLOSED, strerror(c->error));
		return true;
	}
	wake_blocked(c->loop);
	update(c);
	if (!c->want_drain || c->closed)
		return true;
	c->want_drain = false;
	return !c->ev->on_drain || CALL(c, c->ev->on_drain(c->ctx));
}

static void on_flush(void *ctx)
{
	struct ipc *c = ctx;
	if (!c->closed)
		(void)flush(c);
}

static enum err pass(struct ipc *c, const int *fds, unsigned nfds)
{
	struct passing *p = NEW(struct passing);
	if (!p)
		return ERR_NOMEM;
	p->at = c->written + (c->out.len - c->sent);
	for (; p->nfds < nfds; p->nfds++) {
		p->fds[p->nfds] = c->loop->ops->dup(c->loop, fds[p->nfds]);
		if (p->fds[p->nfds] < 0) {
			close_fds(c->loop, p->fds, p->nfds);
			mem_free(p);
			return ERR_LIMIT;
		}
	}
	list_push_back(&c->passing, &p->node);
	return ERR_OK;
}

enum err ipc_send(struct ipc *c, uint16_t type, struct slice payload, const int *fds, unsigned nfds)
{
	ASSERT(payload.len <= IPC_PAYLOAD_MAX && nfds <= IPC_FDS_MAX);
	if (c->closed)
		return ERR_CLOSED;
	if (c->loop->ipc_unsent + payload.len + HEADER > IPC_UNSENT_MAX) {
		if (!list_linked(&c->blocked))
			list_push_back(&c->loop->ipc_blocked, &c->blocked);
		return ERR_AGAIN;
	}
	if (c->sent > c->out.len / 2 || c->out.len + HEADER + payload.len > BUFFER_MAX) {
		buf_consume(&c->out, c->sent);
		c->sent = 0;
	}
	if (buf_reserve(&c->out, HEADER + payload.len) != ERR_OK)
		return ERR_NOMEM;
	enum err e = nfds ? pass(c, fds, nfds) : ERR_OK;
	if (e)
		return e;
	buf_add_u32(&c->out, (uint32_t)payload.len);
	buf_add_u16(&c->out, type);
	buf_add_u8(&c->out, (uint8_t)nfds);
	buf_add_u8(&c->out, 0);
	buf_add(&c->out, payload);
	c->loop->ipc_unsent += HEADER + payload.len;
	task_defer(&c->flush);
	return ERR_OK;
}

size_t ipc_unsent(const struct ipc *c)
{
	return c->out.len - c->sent;
}

void ipc_flush(struct ipc *c)
{
	if (c->closed)
		return;
	send_now(c);
	task_defer(&c->flush); /* tells what came of it */
}

/* ---- receiving ---- */

static void take_fds(struct ipc *c, struct ipc_frame *f)
{
	memcpy(f->fds, c->fds, f->nfds * sizeof(int));
	c->nfds -= f->nfds;
	memmove(c->fds, c->fds + f->nfds, c->nfds * sizeof(int));
}

/* One frame at the start of in: how many octets it had; 0: not whole yet, or the channel failed or is gone (*lives). */
static size_t one_frame(struct ipc *c, struct slice in, bool *lives)
{
	struct cursor cur = cursor_of(in);
	uint32_t len = cursor_u32(&cur);
	struct ipc_frame f = {.type = cursor_u16(&cur), .nfds = cursor_u8(&cur)};
	uint8_t zero = cursor_u8(&cur);
	if (cur.failed)
		return 0;
	if (len > IPC_PAYLOAD_MAX || f.nfds > IPC_FDS_MAX || zero != 0) {
		fail(c, ERR_CORRUPT, "malformed frame");
		return 0;
	}
	f.payload = cursor_bytes(&cur, len);
	if (cur.failed)
		return 0;
	if (f.nfds > c->nfds) {
		fail(c, ERR_CORRUPT, "frame without its descriptors");
		return 0;
	}
	struct loop *l = c->loop;
	take_fds(c, &f);
	*lives = CALL(c, c->ev->on_frame(c->ctx, &f));
	close_fds(l, f.fds, f.nfds);
	return HEADER + len;
}

/* Hands out whole frames. What is left over, at most one frame's beginning, or more while paused, stays in c->in. */
static bool frames(struct ipc *c, struct slice in)
{
	bool lives = true, buffered = c->in.len > 0;
	if (buffered) {
		buf_add(&c->in, in);
		in = buf_slice(&c->in);
	}
	size_t used = 0;
	while (lives && !c->closed && !c->paused) {
		size_t n = one_frame(c, slice_from(in, used), &lives);
		if (n == 0)
			break;
		used += n;
	}
	if (!lives)
		return false;
	if (buffered)
		buf_consume(&c->in, used);
	else
		buf_add(&c->in, slice_from(in, used));
	if (c->in.failed)
		fail(c, c->in.failed, "no memory for a frame");
	return true;
}

static bool receive(struct ipc *c)
{
	int fds[IPC_FDS_QUEUED_MAX];
	unsigned nfds = 0;
	char *p = c->loop->scratch;
	ssize_t n = c->loop->ops->recv_fds(c->loop, c->io.fd, p, EVIO_SCRATCH, fds, &nfds);
	if (n == -EAGAIN)
		return true;
	if (nfds > IPC_FDS_QUEUED_MAX - c->nfds) {
		close_fds(c->loop, fds, nfds);
		fail(c, ERR_CORRUPT, "too many descriptors");
		return true;
	}
	memcpy(c->fds + c->nfds, fds, nfds * sizeof(int));
	c->nfds += nfds;
	if (n > 0)
		return frames(c, slice_of(p, (size_t)n));
	fail(c, ERR_CLOSED, n == 0 ? "the other process closed the channel" : strerror((int)-n));
	return true;
}

static void on_ready(void *ctx, unsigned ready)
{
	struct ipc *c = ctx;
	bool lives = true;
	if (ready & IO_WRITE && c->out.len > c->sent)
		lives = flush(c);
	if (lives && !c->closed && ready & IO_READ) {
		lives = receive(c);
	}
	if (lives)
		update(c);
}

void ipc_pause(struct ipc *c, bool paused)
{
	c->paused = paused;
	if (c->closed)
		return;
	if (!paused && c->in.len)
		task_defer(&c->resume);
	update(c);
}

static void on_resume(void *ctx)
{
	struct ipc *c = ctx;
	if (!c->closed && !c->paused)
		(void)frames(c, SLICE_EMPTY);
}

/* ---- making ---- */

enum err ipc_pair(struct loop *l, int ret_fds[2], struct diag *d)
{
	int r = l->ops->pair(l, ret_fds);
	return r ? diag_set_errno(d, -r, "pair of channels") : ERR_OK;
}

enum err ipc_new(struct loop *l, int fd, const struct ipc_events *ev, void *ctx, struct ipc **ret,
		 struct diag *d)
{
	struct ipc *c = NEW(struct ipc);
	if (!c) {
		l->ops->close(l, fd);
		return diag_set(d, ERR_NOMEM, "no memory for a channel");
	}
	c->loop = l;
	c->io = (struct io){.fd = fd, .fn = on_ready, .ctx = c};
	c->ev = ev;
	c->ctx = ctx;
	task_init(&c->flush, l, on_flush, c);
	task_init(&c->close, l, on_close_task, c);
	task_init(&c->resume, l, on_resume, c);
	list_init(&c->passing);
	buf_init(&c->out, BUFFER_MAX);
	buf_init(&c->in, 2 * EVIO_SCRATCH + IPC_PAYLOAD_MAX);
	int r = io_update(l, &c->io, IO_READ);
	if (r) {
		ipc_free(c);
		return diag_set_errno(d, -r, "channel");
	}
	*ret = c;
	return ERR_OK;
}

void ipc_free(struct ipc *c)
{
	if (!c || c->freed)
		return;
	c->freed = c->closed = true;
	shut(c);
	task_cancel(&c->close);
	task_cancel(&c->resume);
	release(c);
}
