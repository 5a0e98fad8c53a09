#include "evio/sim_priv.h"

#include "core/mem.h"

#include <errno.h>
#include <string.h>

#define WALL_DEFAULT INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */
#define CLOCK_START  1000                   /* not 0, which often means never */

uint64_t sim_random_next(struct sim_random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* ---- turns ---- */

static void read_clock(struct loop *l)
{
	struct sim_loop *s = sim_self(l);

	l->now = s->clock;
	l->wall = s->wall_base + (int64_t)s->clock;
}

static int run_signals(struct sim_loop *s)
{
	int n = 0;

	for (int signo = 1; s->signals && signo < 64; signo++)
		if (s->signals & UINT64_C(1) << signo) {
			s->signals &= ~(UINT64_C(1) << signo);
			loop_dispatch_signal(&s->loop, signo);
			n++;
		}
	return n;
}

static int run_posted(struct sim_loop *s)
{
	pthread_mutex_lock(&s->loop.post_lock);
	int n = (int)s->loop.posted.count;
	pthread_mutex_unlock(&s->loop.post_lock);
	if (n)
		loop_run_posted(&s->loop);
	return n;
}

/* Lets time pass until something arrives, at most ms. False: nothing ever will, and nobody asked for an end. */
static bool pass_time(struct sim_loop *s, uint64_t ms)
{
	uint64_t until = ms > UINT64_MAX - s->clock ? UINT64_MAX : s->clock + ms;

	until = MIN(until, sim_net_next(s));
	if (until == UINT64_MAX)
		return false;
	s->same_instant = until > s->clock ? 0 : s->same_instant;
	s->clock = MAX(s->clock, until);
	read_clock(&s->loop);
	return true;
}

static int sim_wait(struct loop *l, uint64_t ms)
{
	struct sim_loop *s = sim_self(l);
	int n = run_signals(s) + run_posted(s);

	if (n == 0 && s->net.ready.count == 0 && l->tasks.count == 0 && !pass_time(s, ms))
		return -EDEADLK;
	ASSERT(s->same_instant++ < SIM_SAME_INSTANT);
	sim_net_arrive(s);
	return n + sim_net_dispatch(s);
}

static void sim_random(struct loop *l, void *p, size_t n)
{
	struct sim_loop *s = sim_self(l);

	for (size_t done = 0; done < n;) {
		uint64_t v = sim_random_next(&s->owner);
		size_t part = MIN(n - done, sizeof(v));
		memcpy((char *)p + done, &v, part);
		done += part;
	}
}

/* ---- life ---- */

static int sim_signal_wanted(struct loop *l, int signo)
{
	return signo < 64 ? 0 : -EINVAL;
}

static void no_wake(struct loop *l)
{
}

static void sim_free(struct loop *l)
{
	struct sim_loop *s = sim_self(l);

	sim_net_done(s);
	loop_done(l);
	mem_free(s);
}

static const struct loop_ops sim_ops = {
	.free = sim_free,
	.wait = sim_wait,
	.read_clock = read_clock,
	.random = sim_random,
	.update = sim_net_update,
	.listen = sim_net_listen,
	.accept = sim_net_accept,
	.connect = sim_net_connect,
	.connect_result = sim_net_connect_result,
	.local_addr = sim_net_local_addr,
	.peer_addr = sim_net_peer_addr,
	.read = sim_net_read,
	.writev = sim_net_writev,
	.shutdown_write = sim_net_shutdown_write,
	.close = sim_net_close,
	.dup = sim_net_dup,
	.pair = sim_net_pair,
	.send_fds = sim_net_send_fds,
	.recv_fds = sim_net_recv_fds,
	.signal = sim_signal_wanted,
};

enum err loop_sim_new(const struct sim_options *o, struct loop **ret, struct diag *d)
{
	struct sim_loop *s = NEW(struct sim_loop);

	if (!s)
		return diag_set(d, ERR_NOMEM, "no memory for the simulated loop");
	s->loop.simulated = true;
	s->loop.post_wake = no_wake;
	s->clock = CLOCK_START;
	s->wall_base = (o->wall_ms ? o->wall_ms : WALL_DEFAULT) - CLOCK_START;
	s->chunk_max = o->chunk_max;
	s->owner.state = o->seed;
	s->chunks.state = ~o->seed;
	sim_net_init(&s->net);
	enum err e = loop_init(&s->loop, &sim_ops, d);
	if (e) {
		sim_free(&s->loop);
		return e;
	}
	*ret = &s->loop;
	return ERR_OK;
}

/* ---- what tests do to it ---- */

void sim_jump_wall(struct loop *l, int64_t by_ms)
{
	sim_self(l)->wall_base += by_ms;
	read_clock(l);
}

void sim_signal(struct loop *l, int signo)
{
	ASSERT(signo >= 1 && signo < 64);
	sim_self(l)->signals |= UINT64_C(1) << signo;
}

void sim_set_worker_delay(struct loop *l, uint64_t ms)
{
	ASSERT(l->simulated);
	l->worker_delay_ms = ms;
}

void sim_set_fds_max(struct loop *l, size_t n)
{
	sim_self(l)->net.fds_max = n;
}

bool sim_run_until(struct loop *l, bool (*fn)(void *ctx), void *ctx, uint64_t limit_ms)
{
	uint64_t end = l->now + limit_ms;
	bool any = true;

	ASSERT(l->simulated && limit_ms < UINT64_MAX / 2);
	while (!fn(ctx)) {
		/* What happens at the very end still counts, until nothing more does. */
		if ((l->now >= end && !any) || l->failed)
			return fn(ctx);
		any = loop_turn(l, l->now < end ? end - l->now : 0);
	}
	return true;
}

static bool never(void *ctx)
{
	return false;
}

void sim_run_for(struct loop *l, uint64_t ms)
{
	sim_run_until(l, never, NULL, ms);
}
