#include "evio/stream_priv.h"

#include "core/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The states and what moves them (the header shows the picture). */
void stream_set_state(struct stream *s, enum stream_state to)
{
	static const uint8_t allowed[] = {
		[STREAM_CONNECTING] = 1 << STREAM_OPEN | 1 << STREAM_CLOSED,
		[STREAM_OPEN] = 1 << STREAM_HANDSHAKE | 1 << STREAM_CLOSING | 1 << STREAM_CLOSED,
		[STREAM_HANDSHAKE] = 1 << STREAM_OPEN | 1 << STREAM_CLOSED,
		[STREAM_CLOSING] = 1 << STREAM_LINGER | 1 << STREAM_CLOSED,
		[STREAM_LINGER] = 1 << STREAM_CLOSED,
		[STREAM_CLOSED] = 0,
	};
	ASSERT(allowed[s->state] & 1 << to);
	s->state = to;
}

/* ---- memory ---- */

static void release(struct stream *s)
{
	if (!s->freed || s->busy)
		return;
	buf_done(&s->in);
	buf_done(&s->out);
	mem_free(s);
}

bool stream_called(struct stream *s)
{
	s->busy--;
	if (!s->freed)
		return true;
	release(s);
	return false;
}

static void close_descriptor(struct stream *s)
{
	timer_cancel(&s->deadline);
	task_cancel(&s->flush);
	if (s->io.fd < 0)
		return;
	io_update(s->loop, &s->io, 0);
	stream_tls_free(s);
	s->loop->ops->close(s->loop, s->io.fd);
	s->io.fd = -1;
}

/* ---- closing ---- */

/* on_close comes from the show task, so never inside a call of the owner. */
void stream_fail(struct stream *s, enum err code, const char *fmt, ...)
{
	va_list ap;
	if (s->state == STREAM_CLOSED)
		return;
	va_start(ap, fmt);
	s->why.code = code;
	vsnprintf(s->why.text, sizeof(s->why.text), fmt, ap);
	va_end(ap);
	stream_set_state(s, STREAM_CLOSED);
	close_descriptor(s);
	task_defer(&s->show);
}

static void fail_errno(struct stream *s, int errnum)
{
	struct diag d = {0};
	switch (errnum) {
	case ECONNRESET:
	case EPIPE:
		stream_fail(s, ERR_CLOSED, "connection reset by the peer");
		break;
	case EPROTO:
		tls_error(&d, ERR_IO, "TLS");
		stream_fail(s, d.code, "%s", d.text);
		break;
	default:
		stream_fail(s, err_from_errno(errnum), "%s", strerror(errnum));
	}
}

static void on_deadline(void *ctx)
{
	struct stream *s = ctx;
	switch (s->state) {
	case STREAM_CONNECTING:
		stream_fail(s, ERR_TIMEOUT, "no connection in time");
		break;
	case STREAM_OPEN: /* the clear output before it did not go */
	case STREAM_HANDSHAKE:
		stream_fail(s, ERR_TIMEOUT, "no TLS handshake in time");
		break;
	default:
		stream_fail(s, ERR_CLOSED, "closed");
		break;
	}
}

/* ---- raw input and output ---- */

ssize_t stream_raw_read(struct stream *s, void *p, size_t n)
{
	return s->loop->ops->read(s->loop, s->io.fd, p, n);
}

ssize_t stream_raw_write(struct stream *s, const void *p, size_t n)
{
	struct iovec iov = {(void *)p, n};
	return s->loop->ops->writev(s->loop, s->io.fd, &iov, 1);
}

static ssize_t read_some(struct stream *s, void *p, size_t n)
{
	return s->ssl ? stream_tls_read(s, p, n) : stream_raw_read(s, p, n);
}

/* How much of out may go now: with STARTTLS under way only what was queued before it. */
static size_t out_end(const struct stream *s)
{
	return s->tls_waits ? s->clear : s->out.len;
}

/* Writes until nothing is left (0) or nothing goes (negative errno). */
static int write_out(struct stream *s)
{
	while (s->sent < out_end(s)) {
		const char *p = s->out.data + s->sent;
		size_t n = out_end(s) - s->sent;
		ssize_t r = s->ssl && !s->tls_waits ? stream_tls_write(s, p, n) : stream_raw_write(s, p, n);
		if (r < 0)
			return (int)r;
		s->sent += (size_t)r;
	}
	return 0;
}

/* ---- input ---- */

static bool wants_input(const struct stream *s)
{
	switch (s->state) {
	case STREAM_OPEN:
		return !s->paused && !s->eof && s->in.len < s->limits.read_max && !s->tls_waits;
	case STREAM_HANDSHAKE:
	case STREAM_LINGER:
		return true;
	default:
		return false;
	}
}

/* Output is tried at the end of the turn; only what is stuck then waits for IO_WRITE, so that a request and its reply
 * cost no change of what is wanted. */
static bool wants_output(const struct stream *s)
{
	switch (s->state) {
	case STREAM_CONNECTING:
		return true;
	case STREAM_HANDSHAKE:
		return stream_tls_wants_write(s);
	case STREAM_OPEN:
	case STREAM_CLOSING:
		return out_end(s) > s->sent && (!list_linked(&s->flush.node) || s->io.wanted & IO_WRITE);
	default:
		return false;
	}
}

void stream_update(struct stream *s)
{
	if (s->io.fd < 0)
		return;
	unsigned wanted = wants_input(s) ? IO_READ : 0;
	if (wants_output(s))
		wanted |= IO_WRITE;
	int r = io_update(s->loop, &s->io, wanted);
	if (r)
		fail_errno(s, -r);
}

/* Keeps what was not consumed of `fresh`, which followed s->in. */
static void keep(struct stream *s, struct slice shown, size_t used, bool was_buffered)
{
	ASSERT(used <= shown.len);
	if (s->discard) {
		s->discard = false;
		s->discarded += shown.len - used;
		buf_done(&s->in);
	} else if (was_buffered) {
		buf_consume(&s->in, used);
		if (s->in.len == 0)
			buf_done(&s->in);
	} else if (used < shown.len) {
		buf_add(&s->in, slice_from(shown, used));
		if (s->in.failed)
			stream_fail(s, s->in.failed, "no memory for input");
	}
}

/* Shows all unconsumed input; false: the stream is gone. */
static bool show(struct stream *s, struct slice fresh)
{
	bool buffered = s->in.len > 0;
	s->again = false;
	if (buffered)
		buf_add(&s->in, fresh);
	struct slice all = buffered ? buf_slice(&s->in) : fresh;
	if (all.len == 0 || s->state != STREAM_OPEN)
		return true;
	size_t used = 0;
	s->showing = true;
	if (!CALL(s, used = s->ev->on_read(s->ctx, all)))
		return false;
	s->showing = false;
	if (s->state == STREAM_OPEN || s->state == STREAM_HANDSHAKE)
		keep(s, all, MIN(used, all.len), buffered);
	return true;
}

static bool on_end_of_input(struct stream *s)
{
	s->eof = true;
	if (s->write_error)
		fail_errno(s, s->write_error);
	else if (!s->ev->on_eof)
		stream_fail(s, ERR_CLOSED, "closed by the peer");
	return s->state == STREAM_CLOSED || CALL(s, s->ev->on_eof(s->ctx));
}

/* LINGER: the peer's rest is thrown away until it closes too. */
static void swallow(struct stream *s)
{
	ssize_t n = stream_raw_read(s, s->loop->scratch, EVIO_SCRATCH);
	if (n == 0 || (n < 0 && n != -EAGAIN))
		stream_fail(s, ERR_CLOSED, "closed");
}

static bool input_ready(struct stream *s)
{
	for (int i = 0; i < EVIO_READS_PER_WAKE && wants_input(s) && s->state == STREAM_OPEN; i++) {
		size_t room = MIN((size_t)EVIO_SCRATCH, s->limits.read_max - s->in.len);
		ssize_t n = read_some(s, s->loop->scratch, room);
		if (n == -EAGAIN)
			return true;
		if (n == 0)
			return on_end_of_input(s);
		if (n < 0) {
			fail_errno(s, (int)-n);
			return true;
		}
		if (!show(s, slice_of(s->loop->scratch, (size_t)n)))
			return false;
		if ((size_t)n < room && !stream_tls_pending(s))
			return true;
	}
	/* What OpenSSL still holds makes no descriptor readable. (Not after EAGAIN: that is the beginning of a record.) */
	if (wants_input(s) && stream_tls_pending(s))
		task_defer(&s->show);
	return true;
}

/* ---- output ---- */

/* The peer takes no more, but its last words may wait to be read ("421 ..."): the end of input then ends the stream. */
static void output_failed(struct stream *s, int errnum)
{
	s->write_error = errnum;
	buf_done(&s->out);
	s->sent = 0;
	if (s->tls_waits || !wants_input(s))
		fail_errno(s, errnum);
}

static bool output_gone(struct stream *s)
{
	buf_done(&s->out);
	s->sent = 0;
	if (s->state == STREAM_CLOSING) {
		stream_tls_bye(s);
		s->loop->ops->shutdown_write(s->loop, s->io.fd);
		stream_set_state(s, STREAM_LINGER);
		stream_update(s);
		return true;
	}
	bool tell = s->want_empty || s->want_drain;
	s->want_empty = s->want_drain = false;
	return !tell || !s->ev->on_drain || CALL(s, s->ev->on_drain(s->ctx));
}

static bool flush(struct stream *s)
{
	if (s->state != STREAM_OPEN && s->state != STREAM_CLOSING)
		return true;
	int r = s->write_error ? 0 : write_out(s);
	if (r < 0 && r != -EAGAIN) {
		output_failed(s, -r);
		return true;
	}
	if (s->tls_waits && s->sent == s->clear)
		stream_tls_start(s);
	else if (s->sent == s->out.len)
		return output_gone(s);
	if (s->want_drain && stream_unsent(s) <= s->limits.write_max / 2) {
		s->want_drain = false;
		return !s->ev->on_drain || CALL(s, s->ev->on_drain(s->ctx));
	}
	return true;
}

static void on_flush(void *ctx)
{
	struct stream *s = ctx;
	if (flush(s))
		stream_update(s);
}

/* ---- readiness ---- */

static bool connected(struct stream *s)
{
	int r = s->loop->ops->connect_result(s->loop, s->io.fd);
	if (r < 0) {
		fail_errno(s, -r);
		return true;
	}
	timer_cancel(&s->deadline);
	stream_set_state(s, STREAM_OPEN);
	s->loop->ops->local_addr(s->loop, s->io.fd, &s->local);
	task_defer(&s->flush); /* what was queued meanwhile */
	return !s->ev->on_open || CALL(s, s->ev->on_open(s->ctx));
}

static void on_ready(void *ctx, unsigned ready)
{
	struct stream *s = ctx;
	bool lives = true;
	if (s->state == STREAM_CONNECTING)
		lives = connected(s);
	else if (s->state == STREAM_HANDSHAKE)
		lives = stream_tls_step(s);
	else if (s->state == STREAM_LINGER)
		swallow(s);
	else {
		if (ready & IO_WRITE && s->out.len > s->sent)
			lives = flush(s);
		if (lives && ready & IO_READ)
			lives = input_ready(s);
	}
	if (lives && s->state != STREAM_CLOSED)
		stream_update(s);
}

static void on_show(void *ctx)
{
	struct stream *s = ctx;
	if (s->state == STREAM_CLOSED) {
		if (!s->close_told && !s->freed) {
			s->close_told = true;
			(void)CALL(s, s->ev->on_close(s->ctx, &s->why));
		}
		return;
	}
	bool lives = true;
	if (s->state == STREAM_HANDSHAKE)
		lives = stream_tls_step(s);
	else if (!s->paused && s->state == STREAM_OPEN && !s->tls_waits) {
		lives = !s->again || show(s, SLICE_EMPTY);
		if (lives && stream_tls_pending(s))
			lives = input_ready(s);
	}
	if (lives)
		stream_update(s);
}

/* ---- making ---- */

static struct stream *stream_new(struct loop *l, int fd, enum stream_state state)
{
	struct stream *s = NEW(struct stream);
	if (!s)
		return NULL;
	s->loop = l;
	s->state = state;
	s->io = (struct io){.fd = fd, .fn = on_ready, .ctx = s};
	timer_init(&s->deadline, l, on_deadline, s);
	task_init(&s->flush, l, on_flush, s);
	task_init(&s->show, l, on_show, s);
	stream_set_limits(s, (struct stream_limits){0});
	return s;
}

static enum err give(struct stream *s, struct stream **ret, struct diag *d)
{
	int r = io_update(s->loop, &s->io, s->state == STREAM_CONNECTING ? IO_WRITE : IO_READ);
	if (r) {
		stream_free(s);
		return diag_set_errno(d, -r, "connection");
	}
	*ret = s;
	return ERR_OK;
}

enum err stream_connect(struct loop *l, const struct connect_options *o, const struct stream_events *ev,
			void *ctx, struct stream **ret, struct diag *d)
{
	int fd = l->ops->connect(l, &o->remote, &o->local);
	/* A refusal at once is still told by on_close; only what is our own fault fails here. */
	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS)
		return diag_set_errno(d, -fd, "no socket for a connection");
	struct stream *s = stream_new(l, fd >= 0 ? fd : -1, STREAM_CONNECTING);
	if (!s) {
		if (fd >= 0)
			l->ops->close(l, fd);
		return diag_set(d, ERR_NOMEM, "no memory for a connection");
	}
	s->peer = o->remote;
	s->local = o->local;
	stream_set_limits(s, o->limits);
	stream_set_events(s, ev, ctx);
	if (fd < 0) {
		fail_errno(s, -fd);
		*ret = s;
		return ERR_OK;
	}
	timer_set(&s->deadline, o->timeout_ms ? o->timeout_ms : STREAM_CONNECT_TIMEOUT_MS);
	return give(s, ret, d);
}

enum err stream_from_fd(struct loop *l, int fd, const struct stream_events *ev, void *ctx,
			struct stream **ret, struct diag *d)
{
	struct net_addr peer = {0};
	l->ops->peer_addr(l, fd, &peer);
	enum err e = stream_accepted(l, fd, &peer, ev, ret);
	if (e)
		return diag_set(d, e, "connection cannot be taken over: %s", err_name(e));
	stream_set_events(*ret, ev, ctx);
	return ERR_OK;
}

enum err stream_accepted(struct loop *l, int fd, const struct net_addr *peer, const struct stream_events *ev,
			 struct stream **ret)
{
	struct stream *s = stream_new(l, fd, STREAM_OPEN);
	if (!s) {
		l->ops->close(l, fd);
		return ERR_NOMEM;
	}
	stream_set_events(s, ev, NULL);
	s->peer = *peer;
	l->ops->local_addr(l, fd, &s->local);
	return give(s, ret, NULL);
}

void stream_free(struct stream *s)
{
	if (!s || s->freed)
		return;
	s->freed = true;
	close_descriptor(s);
	task_cancel(&s->show);
	release(s);
}

int stream_release(struct stream *s)
{
	if (s->state != STREAM_OPEN || s->ssl || s->showing || s->in.len || stream_unsent(s) ||
	    s->write_error)
		return -1;
	int fd = s->io.fd;
	io_update(s->loop, &s->io, 0);
	s->io.fd = -1;
	stream_free(s);
	return fd;
}

/* ---- small calls ---- */

void stream_set_events(struct stream *s, const struct stream_events *ev, void *ctx)
{
	s->ev = ev;
	s->ctx = ctx;
}

void stream_set_limits(struct stream *s, struct stream_limits lim)
{
	s->limits.read_max = lim.read_max ? lim.read_max : STREAM_READ_MAX_DEFAULT;
	s->limits.write_max = lim.write_max ? lim.write_max : STREAM_WRITE_MAX_DEFAULT;
	s->in.max = s->limits.read_max + EVIO_SCRATCH;
	s->out.max = 2 * s->limits.write_max;
}

const struct net_addr *stream_peer(const struct stream *s)
{
	return &s->peer;
}

const struct net_addr *stream_local(const struct stream *s)
{
	return &s->local;
}

struct loop *stream_loop(const struct stream *s)
{
	return s->loop;
}

size_t stream_unsent(const struct stream *s)
{
	return s->out.len - s->sent;
}

static void forget_sent(struct stream *s)
{
	buf_consume(&s->out, s->sent);
	s->clear -= MIN(s->clear, s->sent);
	s->sent = 0;
}

enum err stream_writev(struct stream *s, const struct iovec *iov, size_t n)
{
	size_t total = 0;
	if (s->state > STREAM_HANDSHAKE || s->write_error)
		return ERR_CLOSED;
	for (size_t i = 0; i < n; i++)
		total += iov[i].iov_len;
	if (total > s->out.max || s->sent > s->out.len / 2 || s->out.len > s->out.max - total)
		forget_sent(s);
	if (buf_reserve(&s->out, total) != ERR_OK)
		return ERR_LIMIT;
	for (size_t i = 0; i < n; i++)
		buf_add_mem(&s->out, iov[i].iov_base, iov[i].iov_len);
	if (s->state == STREAM_OPEN)
		task_defer(&s->flush);
	if (stream_unsent(s) <= s->limits.write_max)
		return ERR_OK;
	s->want_drain = true;
	return ERR_AGAIN;
}

enum err stream_write(struct stream *s, struct slice data)
{
	struct iovec iov = {(void *)data.ptr, data.len};
	return stream_writev(s, &iov, 1);
}

void stream_notify_drain(struct stream *s)
{
	s->want_empty = true;
	if (s->state < STREAM_CLOSING)
		task_defer(&s->flush);
}

void stream_flush(struct stream *s)
{
	/* on_drain and on_close may follow, but only from the loop: what becomes of it is the task's business, which
	 * meets an error again. */
	if (s->state != STREAM_OPEN || s->write_error)
		return;
	(void)write_out(s);
	task_defer(&s->flush);
}

void stream_pause(struct stream *s)
{
	s->paused = true;
	stream_update(s);
}

void stream_resume(struct stream *s)
{
	s->paused = false;
	s->again = true;
	task_defer(&s->show);
}

void stream_close(struct stream *s, uint64_t linger_ms)
{
	if (s->state == STREAM_CONNECTING || s->state == STREAM_HANDSHAKE) {
		stream_abort(s);
		return;
	}
	if (s->state != STREAM_OPEN)
		return;
	stream_flush(s); /* with a linger of 0 there is no other time */
	stream_set_state(s, STREAM_CLOSING);
	if (!s->showing) /* else the owner still looks at it */
		buf_done(&s->in);
	timer_set(&s->deadline, linger_ms);
	task_defer(&s->flush);
}

void stream_abort(struct stream *s)
{
	stream_fail(s, ERR_CLOSED, "closed by our side");
}
