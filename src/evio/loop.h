/* The event loop: timers, deferred calls, clock and randomness. Two back ends behind one interface: epoll for
 * the programs, and a simulated one (evio/sim.h) with a virtual clock and seeded randomness for tests.
 *
 * Invariants:
 *  1. Every callback runs on the loop's thread, never inside the call that requested it.
 *  2. Descriptors are ints whose meaning is the back end's: simulated ones are not known to the kernel.
 *  3. loop_now never goes back; loop_wall may jump with the system clock.
 *  4. Deferred tasks run at the end of the turn, before the loop sleeps, in the order in which they were
 * deferred.
 */
#pragma once

#include "core/diag.h"
#include "core/heap.h"
#include "core/list.h"

struct loop; /* opaque; owned by who made it */

MUST_CHECK enum err loop_epoll_new(struct loop **ret_loop, struct diag *d);
void loop_free(struct loop *l); /* everything registered must be closed before */

/* Runs turns until loop_stop. Returns ERR_OK, or ERR_IO if the back end failed. */
enum err loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* One turn; waits at most max_wait_ms for an event (simulated: advances the clock to the next event). Returns
 * whether anything happened. */
bool loop_turn(struct loop *l, uint64_t max_wait_ms);

uint64_t loop_now(const struct loop *l); /* ms, monotonic, read once a turn */
int64_t loop_wall(const struct loop *l); /* ms since 1970-01-01 UTC, read once a turn */
void loop_random(struct loop *l, void *p, size_t n);

struct timer {
	struct heap_node node;
	struct loop *loop; /* borrowed */
	void (*fn)(void *ctx);
	void *ctx;
};
void timer_init(struct timer *t, struct loop *l, void (*fn)(void *ctx), void *ctx);
void timer_set(struct timer *t, uint64_t delay_ms); /* (re)starts */
void timer_cancel(struct timer *t);                 /* fine when it does not run */
bool timer_active(const struct timer *t);

struct task {
	struct list_node node;
	struct loop *loop;
	void (*fn)(void *ctx);
	void *ctx;
};
void task_init(struct task *t, struct loop *l, void (*fn)(void *ctx), void *ctx);
void task_defer(struct task *t); /* at the end of this turn, once, however often it is called */
void task_cancel(struct task *t);

/* SIGTERM and friends as callbacks (signalfd). At most one handler per signal; epoll back end only, the
 * simulated one has sim_signal(). */
MUST_CHECK enum err loop_signal(struct loop *l, int signo, void (*fn)(void *ctx, int signo), void *ctx);

/* Readiness of a foreign descriptor (libunbound's ub_fd, a pipe): fn runs while it is readable. fn NULL
 * removes. */
MUST_CHECK enum err loop_watch_readable(struct loop *l, int fd, void (*fn)(void *ctx), void *ctx);
