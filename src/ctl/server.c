#include "ctl/server.h"

#include "core/mem.h"
#include "ctl/descriptor.h"

#define REFUSALS 16u /* connections beyond CTL_CONNECTIONS that are still told "busy" */

enum state {
	CONN_WAITING, /* for the request */
	CONN_ASKED,   /* request read; the answer is up to the owner */
	CONN_FILE, /* waiting for a descriptor; no stream meanwhile, which would read the octet without it */
	CONN_CLOSING, /* END queued, or the stream aborted */
};

struct ctl_conn {
	struct list_node node;
	struct ctl_server *srv; /* borrowed */
	struct stream *stream;  /* owned; NULL in CONN_FILE */
	int fd;                 /* owned and watched; -1 but in CONN_FILE */
	enum state state;
	struct timer timer;  /* WAITING, FILE: for the client; ASKED: while the peer does not read */
	struct task deliver; /* calls on_request */
	struct buf raw;      /* the request frame */
	bool told;           /* on_request was called: on_close is owed */
	bool full;           /* ctl_conn_row gave ERR_AGAIN */
	void *data;
};

struct ctl_server {
	struct loop *loop; /* borrowed */
	struct ctl_events ev;
	void *ctx;
	struct list conns;
	struct buf frame; /* scratch for encoding */
};

static struct ctl_conn *conn_of(struct list_node *n)
{
	return CONTAINER_OF(n, struct ctl_conn, node);
}

static void stop_watching(struct ctl_conn *c)
{
	enum err e = c->fd >= 0 ? loop_watch_readable(c->srv->loop, c->fd, NULL, NULL) : ERR_OK;

	ASSERT(e == ERR_OK); /* taking away asks for nothing that could fail */
}

static void conn_free(struct ctl_conn *c)
{
	list_remove(&c->srv->conns, &c->node);
	timer_cancel(&c->timer);
	task_cancel(&c->deliver);
	stream_free(c->stream);
	stop_watching(c);
	base_close(&c->fd);
	buf_done(&c->raw);
	mem_free(c);
}

/* --- stream events ---------------------------------------------------------------------------------------- */

static void bad_request(struct ctl_conn *c, enum err e, const char *words)
{
	ctl_conn_end(c, e, slice_str(words));
}

static size_t on_read(void *ctx, struct slice in)
{
	struct ctl_conn *c = ctx;
	struct ctl_frame frame;
	struct diag d = {0};
	size_t used = 0;
	enum err e;

	if (c->state == CONN_ASKED) { /* a connection carries one request */
		c->state = CONN_CLOSING;
		stream_abort(c->stream);
	}
	if (c->state == CONN_CLOSING)
		return in.len;
	e = ctl_decode(in, CTL_REQUEST_MAX, &frame, &used, &d);
	if (e == ERR_AGAIN)
		return 0;
	if (e < 0) {
		bad_request(c, e, d.text);
		return in.len;
	}
	if (frame.type != CTL_REQUEST || used != in.len) {
		bad_request(c, ERR_CORRUPT, "control protocol: not a single request");
		return in.len;
	}
	buf_add(&c->raw, slice_sub(in, 0, used));
	if (c->raw.failed) {
		bad_request(c, c->raw.failed, "no memory for the request");
		return in.len;
	}
	c->state = CONN_ASKED;
	timer_cancel(&c->timer);
	task_defer(&c->deliver); /* the owner may release the stream, which must not happen inside on_read */
	return used;
}

static void on_drain(void *ctx)
{
	struct ctl_conn *c = ctx;

	if (!c->full)
		return;
	c->full = false;
	timer_cancel(&c->timer);
	if (c->state == CONN_ASKED && c->srv->ev.on_more)
		c->srv->ev.on_more(c->srv->ctx, c);
}

static void lost(struct ctl_conn *c)
{
	c->state = CONN_CLOSING;
	if (c->told && c->srv->ev.on_close)
		c->srv->ev.on_close(c->srv->ctx, c);
	conn_free(c);
}

static void on_close(void *ctx, const struct diag *why)
{
	lost(ctx);
}

static const struct stream_events stream_events = {
	.on_read = on_read, .on_drain = on_drain, .on_close = on_close};

static void on_timer(void *ctx)
{
	struct ctl_conn *c = ctx;

	if (c->state == CONN_FILE) {
		lost(c);
	} else if (c->state == CONN_WAITING) {
		bad_request(c, ERR_TIMEOUT, "no request came");
	} else {
		c->state = CONN_CLOSING;
		stream_abort(c->stream);
	}
}

static void on_deliver(void *ctx)
{
	struct ctl_conn *c = ctx;
	struct slice raw = buf_slice(&c->raw);
	struct ctl_frame frame;
	size_t used;

	if (c->state != CONN_ASKED)
		return;
	ASSERT(ctl_decode(raw, CTL_REQUEST_MAX, &frame, &used, NULL) ==
	       ERR_OK); /* was checked when it came */
	c->told = true;
	c->srv->ev.on_request(c->srv->ctx, c, &frame, raw);
}

/* --- server ----------------------------------------------------------------------------------------------- */

enum err ctl_server_new(struct loop *l, const struct ctl_events *ev, void *ctx, struct ctl_server **ret,
			struct diag *d)
{
	struct ctl_server *srv = NEW(struct ctl_server);

	if (!srv)
		return diag_set(d, ERR_NOMEM, "no memory for the control server");
	srv->loop = l;
	srv->ev = *ev;
	srv->ctx = ctx;
	list_init(&srv->conns);
	buf_init(&srv->frame, CTL_FRAME_MAX);
	*ret = srv;
	return ERR_OK;
}

void ctl_server_free(struct ctl_server *srv)
{
	if (!srv)
		return;
	LIST_EACH_SAFE (&srv->conns, n, next)
		conn_free(conn_of(n));
	buf_done(&srv->frame);
	mem_free(srv);
}

size_t ctl_server_connections(const struct ctl_server *srv)
{
	return srv->conns.count;
}

/* Owns s, also on failure. */
static struct ctl_conn *conn_new(struct ctl_server *srv, struct stream *s)
{
	struct ctl_conn *c = srv->conns.count < CTL_CONNECTIONS + REFUSALS ? NEW(struct ctl_conn) : NULL;

	if (!c) {
		stream_free(s);
		return NULL;
	}
	c->srv = srv;
	c->fd = -1;
	c->stream = s;
	timer_init(&c->timer, srv->loop, on_timer, c);
	task_init(&c->deliver, srv->loop, on_deliver, c);
	buf_init(&c->raw, CTL_REQUEST_MAX);
	list_push_back(&srv->conns, &c->node);
	stream_set_events(s, &stream_events, c);
	stream_set_limits(s, (struct stream_limits){.write_max = CTL_UNSENT_MAX});
	return c;
}

void ctl_server_accept(struct ctl_server *srv, struct stream *s)
{
	struct ctl_conn *c = conn_new(srv, s);

	if (!c)
		return;
	if (srv->conns.count > CTL_CONNECTIONS)
		bad_request(c, ERR_BUSY, "tidegated has too many control connections; try again");
	else
		timer_set(&c->timer, CTL_REQUEST_MS);
}

enum err ctl_server_adopt(struct ctl_server *srv, int fd, struct slice raw, struct diag *d)
{
	struct ctl_frame frame;
	struct ctl_conn *c;
	struct stream *s;
	size_t used;
	enum err e = ctl_decode(raw, CTL_REQUEST_MAX, &frame, &used, d);

	if (e < 0 || frame.type != CTL_REQUEST || used != raw.len) {
		base_close(&fd);
		return diag_set(d, ERR_CORRUPT, "a connection was handed over without a whole request");
	}
	e = stream_from_fd(srv->loop, fd, &stream_events, NULL, &s, d);
	if (e < 0)
		return e;
	c = conn_new(srv, s);
	if (!c)
		return diag_set(d, ERR_LIMIT, "too many control connections");
	buf_add(&c->raw, raw);
	if (c->raw.failed) {
		conn_free(c);
		return diag_set(d, ERR_NOMEM, "no memory for the request");
	}
	c->state = CONN_ASKED;
	task_defer(&c->deliver);
	return ERR_OK;
}

/* --- answering -------------------------------------------------------------------------------------------- */

int ctl_conn_release(struct ctl_conn *c)
{
	int fd = c->state == CONN_ASKED ? stream_release(c->stream) : -1;

	if (fd < 0) { /* the peer broke the protocol or is gone: nobody waits for an answer */
		c->told = false;
		c->state = CONN_CLOSING;
		stream_abort(c->stream);
		return -1;
	}
	c->stream = NULL;
	conn_free(c);
	return fd;
}

/* Sends what is in the scratch frame. */
static enum err send_frame(struct ctl_conn *c, enum err encoded)
{
	enum err e = encoded;

	if (e == ERR_OK)
		e = stream_write(c->stream, buf_slice(&c->srv->frame));
	buf_clear(&c->srv->frame);
	return e;
}

/* The descriptor is here, or the peer broke off: either way there is a stream again, or the connection has ended. */
static void on_octet(void *ctx)
{
	struct ctl_conn *c = ctx;
	int file = -1, fd = c->fd;
	enum err e = ctl_descriptor_receive(fd, &file, NULL);

	if (e == ERR_AGAIN)
		return;
	stop_watching(c);
	timer_cancel(&c->timer);
	c->fd = -1;
	if (e < 0)
		base_close(&fd);
	else
		e = stream_from_fd(c->srv->loop, fd, &stream_events, c, &c->stream, NULL);
	if (e < 0) {
		base_close(&file);
		lost(c);
		return;
	}
	stream_set_limits(c->stream, (struct stream_limits){.write_max = CTL_UNSENT_MAX});
	c->state = CONN_ASKED;
	c->srv->ev.on_file(c->srv->ctx, c, file);
}

static enum err wait_for_file(struct ctl_conn *c)
{
	int fd = stream_release(c->stream);

	if (fd < 0)
		return ERR_CLOSED;
	c->stream = NULL;
	c->state = CONN_FILE;
	timer_set(&c->timer, CTL_REQUEST_MS);
	if (loop_watch_readable(c->srv->loop, fd, on_octet, c) == ERR_OK)
		c->fd = fd;
	else
		base_close(&fd);
	return c->fd >= 0 ? ERR_OK : ERR_NOMEM;
}

void ctl_conn_ask_file(struct ctl_conn *c)
{
	ASSERT(c->srv->ev.on_file);
	if (c->state != CONN_ASKED)
		return; /* on_close comes */
	enum err e = send_frame(c, ctl_encode_file(&c->srv->frame));
	if (e == ERR_OK)
		stream_flush(c->stream);
	if (e == ERR_OK)
		e = wait_for_file(c);
	if (e == ERR_OK)
		return;
	if (c->stream)
		stream_abort(c->stream);
	else
		timer_set(&c->timer, 0);
}

/* A row has columns of its table only, of their kinds. */
static void assert_columns(enum ctl_table table, const struct ctl_fields *f)
{
	const struct ctl_table_info *t = ctl_table_info(table);
	struct ctl_view v = {.data = buf_slice(&f->data), .count = f->count};
	struct ctl_field field;

	ASSERT(t != NULL);
	for (size_t pos = 0; ctl_view_next(&v, &pos, &field);) {
		const struct ctl_column *column = ctl_table_column(t, field.key);
		ASSERT(column != NULL);
		ASSERT(field.kind == CTL_NULL || field.kind == column->kind);
	}
}

enum err ctl_conn_row(struct ctl_conn *c, enum ctl_table table, const struct ctl_fields *f)
{
	enum err e;

	if (c->state != CONN_ASKED)
		return ERR_CLOSED;
	if (!f->data.failed)
		assert_columns(table, f);
	e = send_frame(c, ctl_encode_row(&c->srv->frame, table, f));
	if (e == ERR_AGAIN && !c->full) {
		c->full = true;
		timer_set(&c->timer, CTL_STALL_MS);
	}
	return e;
}

void ctl_conn_end(struct ctl_conn *c, enum err status, struct slice message)
{
	enum err e;

	if (c->state == CONN_CLOSING)
		return;
	c->state = CONN_CLOSING;
	timer_cancel(&c->timer);
	e = send_frame(c, ctl_encode_end(&c->srv->frame, status, message, NULL));
	if (e == ERR_OK || e == ERR_AGAIN)
		stream_close(c->stream, CTL_STALL_MS);
	else
		stream_abort(c->stream); /* without END: the reader knows that the answer is cut */
}

void ctl_conn_fail(struct ctl_conn *c, const struct diag *why)
{
	ctl_conn_end(c, why ? why->code : ERR_OK, why ? slice_str(why->text) : SLICE_EMPTY);
}

void ctl_conn_set_data(struct ctl_conn *c, void *data)
{
	c->data = data;
}

void *ctl_conn_data(const struct ctl_conn *c)
{
	return c->data;
}
