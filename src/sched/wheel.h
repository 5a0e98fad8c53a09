/* A hierarchical timing wheel: millions of waiting nodes, O(1) to add and remove, no allocation.
 *
 * Four levels of 64 slots over ticks of SCHED_TICK_MS reach 194 days; what lies beyond waits in the last slot
 * and is looked at again. A node fires at the first tick at or after its time, never before. Nodes of the same
 * tick leave in the order in which they were added, unless they were added from far and from near.
 *
 * Invariant: a node on level l shares with `now` all tick digits (base 64) above l, and its digit l is larger.
 * So lower levels are due earlier, and no slot at or below the hand's digit holds anything.
 */
#pragma once

#include "sched/limits.h"
#include "sched/link.h"

#define WHEEL_LEVELS 4u
#define WHEEL_SLOTS  64u
#define WHEEL_NEVER  UINT64_MAX

struct wheel_node {
	struct link link;
	uint64_t due; /* ms, monotonic */
};

struct wheel {
	uint64_t tick;                                /* the hand: everything up to it has been fired */
	uint64_t used[WHEEL_LEVELS];                  /* bit s: slot s may hold nodes */
	struct link slots[WHEEL_LEVELS][WHEEL_SLOTS]; /* nodes are borrowed */
	struct link fired;                            /* due, not yet popped */
};

void wheel_init(struct wheel *w, uint64_t now);
void wheel_add(struct wheel *w, struct wheel_node *n, uint64_t due); /* n in no wheel */
void wheel_remove(struct wheel_node *n);                             /* n in a wheel */
/* The next node that is due at `now`, removed; NULL: none left. */
struct wheel_node *wheel_pop(struct wheel *w, uint64_t now);
/* When to call wheel_pop next, ms: never later than a node's tick, perhaps earlier. WHEEL_NEVER: it is empty. */
uint64_t wheel_next(struct wheel *w);
