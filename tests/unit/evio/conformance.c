#include "conformance.h"

#include "core/mem.h"
#include "tls_fixture.h"

#include <arpa/inet.h>

#define REAL_MS    10000 /* a bound, not a wait */
#define VIRTUAL_MS 600000

int suite_setup(void **state)
{
	const struct backend *b = *state;
	const struct sim_options o = {.seed = 7, .chunk_max = b->chunk_max};
	struct fixture *f = NEW(struct fixture);

	assert_non_null(f);
	f->backend = b;
	assert_int_equal(b->simulated ? loop_sim_new(&o, &f->loop, NULL) : loop_epoll_new(&f->loop, NULL),
			 ERR_OK);
	f->server_tls = fixture_server();
	f->client_tls = fixture_client();
	*state = f;
	return 0;
}

int suite_teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->loop->ipc_unsent, 0);
	assert_null(heap_min(&f->loop->timers));
	assert_int_equal(f->loop->tasks.count, 0);
	loop_free(f->loop);
	tls_server_unref(f->server_tls);
	tls_client_free(f->client_tls);
	mem_free(f);
	return 0;
}

bool run_until(struct fixture *f, bool (*cond)(void *ctx), void *ctx)
{
	if (f->backend->simulated)
		return sim_run_until(f->loop, cond, ctx, VIRTUAL_MS);
	uint64_t end = loop_now(f->loop) + REAL_MS;
	while (!cond(ctx) && loop_now(f->loop) < end)
		loop_turn(f->loop, 100);
	return cond(ctx);
}

void run_for(struct fixture *f, uint64_t ms)
{
	uint64_t end = loop_now(f->loop) + ms;

	if (f->backend->simulated)
		sim_run_for(f->loop, ms);
	else
		while (loop_now(f->loop) < end)
			loop_turn(f->loop, end - loop_now(f->loop));
}

/* ---- ends ---- */

static void event(struct end *e, const char *name)
{
	if (e->on_event)
		e->on_event(e, name);
}

static void on_open(void *ctx)
{
	struct end *e = ctx;
	e->opens++;
	event(e, "open");
}

static size_t on_read(void *ctx, struct slice in)
{
	struct end *e = ctx;
	e->reads++;
	e->shown_max = MAX(e->shown_max, in.len);
	if (e->on_read)
		return e->on_read(e, in);
	size_t n = MIN(in.len, e->take);
	buf_add_mem(&e->in, in.ptr, n);
	return n;
}

static void on_drain(void *ctx)
{
	struct end *e = ctx;
	e->drains++;
	event(e, "drain");
}

static void on_eof(void *ctx)
{
	struct end *e = ctx;
	e->eofs++;
	event(e, "eof");
}

static void on_tls(void *ctx, const struct tls_info *info)
{
	struct end *e = ctx;
	e->tlss++;
	e->info = *info;
	e->verified = info->verified;
	e->info_complete = info->version && info->cipher && info->bits >= 128;
	event(e, "tls");
}

static void on_close(void *ctx, const struct diag *why)
{
	struct end *e = ctx;
	e->closes++;
	e->why = *why;
	event(e, "close");
}

const struct stream_events end_events = {on_open, on_read, on_drain, on_eof, on_tls, on_close};
const struct stream_events end_events_without_eof = {on_open, on_read, on_drain, NULL, on_tls, on_close};

void end_init(struct end *e, struct fixture *f)
{
	*e = (struct end){.f = f, .take = SIZE_MAX};
	buf_init(&e->in, 64u << 20);
}

void end_done(struct end *e)
{
	assert_true(e->closes <= 1);
	stream_free(e->s);
	e->s = NULL;
	buf_done(&e->in);
}

bool end_is_open(void *end)
{
	const struct end *e = end;
	return e->opens > 0;
}

bool end_is_closed(void *end)
{
	const struct end *e = end;
	return e->closes > 0;
}

bool end_has_eof(void *end)
{
	const struct end *e = end;
	return e->eofs > 0;
}

bool end_has_drained(void *end)
{
	const struct end *e = end;
	return e->drains > 0;
}

bool end_has_tls(void *end)
{
	const struct end *e = end;
	return e->tlss > 0;
}

void say(struct end *e, const char *text)
{
	assert_int_equal(stream_write(e->s, slice_str(text)), ERR_OK);
}

struct expected {
	struct end *e;
	struct slice text;
};

static bool is_heard(void *ctx)
{
	const struct expected *x = ctx;
	return slice_eq(buf_slice(&x->e->in), x->text);
}

bool heard(struct end *e, const char *text)
{
	struct expected x = {e, slice_str(text)};
	return run_until(e->f, is_heard, &x);
}

/* ---- connections ---- */

struct net_addr loopback(void)
{
	struct net_addr a = {.len = sizeof(a.u.in4)};

	a.u.in4.sin_family = AF_INET;
	a.u.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

int listen_on(struct fixture *f, struct net_addr *a)
{
	struct diag d = {0};
	int fd = -1;

	if (net_listen(f->loop, a, 0600, &fd, &d))
		fail_msg("%s", d.text);
	if (a->u.sa.sa_family != AF_UNIX)
		assert_int_equal(f->loop->ops->local_addr(f->loop, fd, a), 0);
	return fd;
}

static void on_accept(void *ctx, struct stream *s)
{
	struct end *e = ctx;

	assert_null(e->s);
	e->s = s;
	e->opens++;
	stream_set_events(s, &end_events, e);
}

void start_connect(struct fixture *f, struct end *e, const struct net_addr *remote, uint64_t timeout_ms)
{
	const struct connect_options o = {.remote = *remote, .timeout_ms = timeout_ms};

	assert_int_equal(stream_connect(f->loop, &o, &end_events, e, &e->s, NULL), ERR_OK);
	assert_int_equal(e->opens + e->closes, 0);
}

void connect_ends(struct fixture *f, struct end *client, struct end *server)
{
	static const struct listener_events events = {.on_accept = on_accept};
	struct net_addr a = loopback();
	struct listener *li;

	end_init(client, f);
	end_init(server, f);
	client->other = server;
	server->other = client;
	assert_int_equal(listener_new(f->loop, listen_on(f, &a), &events, server, &li, NULL), ERR_OK);
	start_connect(f, client, &a, 0);
	RUN_UNTIL(f, end_is_open, client);
	RUN_UNTIL(f, end_is_open, server);
	listener_free(li);
}

void pair_ends(struct fixture *f, struct end *a, struct end *b)
{
	int fds[2];

	end_init(a, f);
	end_init(b, f);
	a->other = b;
	b->other = a;
	assert_int_equal(f->loop->ops->pair(f->loop, fds), 0);
	assert_int_equal(stream_from_fd(f->loop, fds[0], &end_events, a, &a->s, NULL), ERR_OK);
	assert_int_equal(stream_from_fd(f->loop, fds[1], &end_events, b, &b->s, NULL), ERR_OK);
}
