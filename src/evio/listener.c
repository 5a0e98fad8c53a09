#include "core/mem.h"
#include "evio/stream_priv.h"

#include <errno.h>

struct listener {
	struct loop *loop;
	struct io io;
	const struct listener_events *ev;
	void *ctx;
	struct timer rest;      /* runs while descriptors are short */
	uint64_t complain_next; /* loop_now before which on_exhausted is not called again */
	bool paused;
};

static void listen_or_rest(struct listener *li)
{
	bool on = !li->paused && !timer_active(&li->rest);
	/* A failure here leaves the socket in the kernel's backlog; the next timer or resume tries again. */
	if (io_update(li->loop, &li->io, on ? IO_READ : 0) != 0 && on)
		timer_set(&li->rest, LISTENER_PAUSE_MS);
}

static void on_rest_over(void *ctx)
{
	listen_or_rest(ctx);
}

static void exhausted(struct listener *li, int errnum)
{
	uint64_t now = loop_now(li->loop);
	timer_set(&li->rest, LISTENER_PAUSE_MS);
	listen_or_rest(li);
	if (li->ev->on_exhausted && now >= li->complain_next) {
		li->complain_next = now + LISTENER_COMPLAIN_MS;
		li->ev->on_exhausted(li->ctx, err_from_errno(errnum));
	}
}

/* An accepted stream has no owner yet; if nobody sets events it must not crash. */
static size_t ignore_read(void *ctx, struct slice in)
{
	return in.len;
}

static void ignore_close(void *ctx, const struct diag *why)
{
}

/* One connection a wake: the other processes that share the socket get the next. */
static void on_ready(void *ctx, unsigned ready)
{
	static const struct stream_events nobody = {.on_read = ignore_read, .on_close = ignore_close};
	struct listener *li = ctx;
	struct net_addr peer;
	struct stream *s;
	int fd = li->loop->ops->accept(li->loop, li->io.fd, &peer);
	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS)
		exhausted(li, -fd);
	if (fd < 0)
		return; /* the client is gone, or another process was faster */
	if (stream_accepted(li->loop, fd, &peer, &nobody, &s) == ERR_OK)
		li->ev->on_accept(li->ctx, s);
	else
		exhausted(li, ENOMEM);
}

enum err listener_new(struct loop *l, int fd, const struct listener_events *ev, void *ctx,
		      struct listener **ret, struct diag *d)
{
	struct listener *li = NEW(struct listener);
	if (!li) {
		l->ops->close(l, fd);
		return diag_set(d, ERR_NOMEM, "no memory for a listener");
	}
	li->loop = l;
	li->io = (struct io){.fd = fd, .exclusive = true, .fn = on_ready, .ctx = li};
	li->ev = ev;
	li->ctx = ctx;
	timer_init(&li->rest, l, on_rest_over, li);
	int r = io_update(l, &li->io, IO_READ);
	if (r) {
		listener_free(li);
		return diag_set_errno(d, -r, "listener");
	}
	*ret = li;
	return ERR_OK;
}

void listener_pause(struct listener *li, bool paused)
{
	li->paused = paused;
	listen_or_rest(li);
}

void listener_free(struct listener *li)
{
	if (!li)
		return;
	timer_cancel(&li->rest);
	io_update(li->loop, &li->io, 0);
	li->loop->ops->close(li->loop, li->io.fd);
	mem_free(li);
}
