#include "evio/stream_priv.h"

#include "core/mem.h"

#include <errno.h>
#include <openssl/err.h>
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
	if (errnum == ECONNRESET || errnum == EPIPE)
		stream_fail(s, ERR_CLOSED, "connection reset by the peer");
	else
		stream_fail(s, err_from_errno(errnum), "%s", strerror(errnum));
}

static void on_deadline(void *ctx)
{
	struct stream *s = ctx;
	switch (s->state) {
	case STREAM_CONNECTING:
		stream_fail(s, ERR_TIMEOUT, "no connection in time");
		break;
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

static ssize_t ssl_result(struct stream *s, int r)
{
	switch (SSL_get_error(s->ssl, r)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		return -ECONNRESET;
	default:
		return -EPROTO;
	}
}

static ssize_t read_some(struct stream *s, void *p, size_t n)
{
	if (!s->ssl)
		return stream_raw_read(s, p, n);
	ERR_clear_error();
	size_t got = 0;
	int r = SSL_read_ex(s->ssl, p, n, &got);
	return r == 1 ? (ssize_t)got : ssl_result(s, r);
}

static ssize_t write_some(struct stream *s, const void *p, size_t n)
{
	if (!s->ssl || s->tls_waits)
		return stream_raw_write(s, p, n);
	ERR_clear_error();
	size_t done = 0;
	int r = SSL_write_ex(s->ssl, p, n, &done);
	ssize_t res = r == 1 ? (ssize_t)done : ssl_result(s, r);
	return res == 0 ? -EPIPE : res;
}

/* ---- input ---- */

static bool wants_input(const struct stream *s)
{
	switch (s->state) {
	case STREAM_OPEN:
		return !s->paused && !s->eof && !s->hup && s->in.len < s->limits.read_max && !s->tls_waits;
	case STREAM_HANDSHAKE:
	case STREAM_LINGER:
		return true;
	default:
		return false;
	}
}

void stream_update(struct stream *s)
{
	if (s->io.fd < 0)
		return;
	unsigned wanted = wants_input(s) ? IO_READ : 0;
	bool output = s->out.len > s->sent && s->state != STREAM_HANDSHAKE;
	if (s->state == STREAM_CONNECTING || output ||
	    (s->state == STREAM_HANDSHAKE && SSL_want_write(s->ssl)))
		wanted |= IO_WRITE;
	int r = io_update(s->loop, &s->io, wanted);
	if (r)
		fail_errno(s, -r);
}

/* Output is normally tried at once, at the end of the turn; only what is stuck waits for IO_WRITE. */
static void stop_waiting_for_write(struct stream *s)
{
	if (s->io.added && (s->io.wanted & IO_WRITE) && s->out.len == s->sent)
		stream_update(s);
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
	if (!s->ev->on_eof) {
		stream_fail(s, ERR_CLOSED, "closed by the peer");
		return true;
	}
	return CALL(s, s->ev->on_eof(s->ctx));
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
			break;
		if (n == 0)
			return on_end_of_input(s);
		if (n < 0) {
			fail_errno(s, (int)-n);
			return true;
		}
		if (!show(s, slice_of(s->loop->scratch, (size_t)n)))
			return false;
		if ((size_t)n < room && !stream_tls_pending(s))
			break;
	}
	return true;
}

/* ---- output ---- */

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
	if (s->tls_waits)
		stream_tls_start(s);
	bool tell = s->want_empty || s->want_drain;
	s->want_empty = s->want_drain = false;
	return !tell || !s->ev->on_drain || CALL(s, s->ev->on_drain(s->ctx));
}

static bool flush(struct stream *s)
{
	if (s->state != STREAM_OPEN && s->state != STREAM_CLOSING)
		return true;
	while (s->sent < s->out.len) {
		ssize_t n = write_some(s, s->out.data + s->sent, s->out.len - s->sent);
		if (n == -EAGAIN) {
			stream_update(s);
			break;
		}
		if (n < 0) {
			fail_errno(s, (int)-n);
			return true;
		}
		s->sent += (size_t)n;
	}
	if (s->sent == s->out.len)
		return output_gone(s);
	if (s->want_drain && s->out.len - s->sent <= s->limits.write_max / 2) {
		s->want_drain = false;
		return !s->ev->on_drain || CALL(s, s->ev->on_drain(s->ctx));
	}
	return true;
}

static void on_flush(void *ctx)
{
	struct stream *s = ctx;
	if (flush(s))
		stop_waiting_for_write(s);
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
	else if (ready & IO_READ && !wants_input(s) && !(ready & IO_WRITE && s->io.wanted & IO_WRITE)) {
		/* Gone while nobody reads: told when reading goes on; until then it must not wake us again. */
		s->hup = true;
		io_update(s->loop, &s->io, 0);
		return;
	} else {
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
	s->hup = false;
	if (s->state == STREAM_HANDSHAKE)
		lives = stream_tls_step(s);
	else if (!s->paused && s->state == STREAM_OPEN && !s->tls_waits) {
		lives = show(s, SLICE_EMPTY);
		if (lives && s->state == STREAM_OPEN && stream_tls_pending(s))
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
	struct stream *s = stream_new(l, fd, STREAM_OPEN);
	if (!s) {
		l->ops->close(l, fd);
		return diag_set(d, ERR_NOMEM, "no memory for a connection");
	}
	stream_set_events(s, ev, ctx);
	l->ops->peer_addr(l, fd, &s->peer);
	l->ops->local_addr(l, fd, &s->local);
	return give(s, ret, d);
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
	if (s->state != STREAM_OPEN || s->ssl || s->in.len || s->out.len > s->sent)
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

enum err stream_writev(struct stream *s, const struct iovec *iov, size_t n)
{
	size_t total = 0;
	if (s->state > STREAM_HANDSHAKE)
		return ERR_CLOSED;
	for (size_t i = 0; i < n; i++)
		total += iov[i].iov_len;
	if (s->sent) {
		buf_consume(&s->out, s->sent);
		s->sent = 0;
	}
	if (buf_reserve(&s->out, total) != ERR_OK)
		return ERR_LIMIT;
	for (size_t i = 0; i < n; i++)
		buf_add_mem(&s->out, iov[i].iov_base, iov[i].iov_len);
	if (s->state == STREAM_OPEN)
		task_defer(&s->flush);
	if (s->out.len <= s->limits.write_max)
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
	/* on_drain and on_close may follow, but only from the loop: write what goes now, leave the rest to the task. */
	while (s->state == STREAM_OPEN && s->sent < s->out.len) {
		ssize_t n = write_some(s, s->out.data + s->sent, s->out.len - s->sent);
		if (n < 0)
			break;
		s->sent += (size_t)n;
	}
	if (s->state == STREAM_OPEN)
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
	stream_set_state(s, STREAM_CLOSING);
	buf_done(&s->in);
	timer_set(&s->deadline, linger_ms);
	task_defer(&s->flush);
}

void stream_abort(struct stream *s)
{
	stream_fail(s, ERR_CLOSED, "closed by our side");
}
