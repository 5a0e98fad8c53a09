#include "sched/wheel.h"

#define DIGIT_BITS 6u
#define DIGIT_MASK (WHEEL_SLOTS - 1u)
#define TOP_SHIFT  (DIGIT_BITS * (WHEEL_LEVELS - 1))

void wheel_init(struct wheel *w, uint64_t now)
{
	w->tick = now / SCHED_TICK_MS;
	for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
		w->used[l] = 0;
		for (unsigned s = 0; s < WHEEL_SLOTS; s++)
			link_init(&w->slots[l][s]);
	}
	link_init(&w->fired);
}

static unsigned digit(uint64_t tick, unsigned level)
{
	return (unsigned)(tick >> (DIGIT_BITS * level)) & DIGIT_MASK;
}

/* The first tick that is not before `due`; far times are brought into reach and looked at again there. */
static uint64_t tick_of(const struct wheel *w, uint64_t due)
{
	uint64_t tick = due / SCHED_TICK_MS + (due % SCHED_TICK_MS != 0);
	uint64_t last = ((w->tick >> TOP_SHIFT) + DIGIT_MASK) << TOP_SHIFT;
	return MIN(tick, last);
}

/* Puts a node where the invariant wants it; one that is due goes to `fired`. */
static void place(struct wheel *w, struct wheel_node *n)
{
	uint64_t tick = tick_of(w, n->due);
	if (tick <= w->tick) {
		link_push_back(&w->fired, &n->link);
		return;
	}
	unsigned level = (63u - (unsigned)__builtin_clzll(tick ^ w->tick)) / DIGIT_BITS;
	if (level >= WHEEL_LEVELS)
		level = WHEEL_LEVELS - 1;
	w->used[level] |= 1ull << digit(tick, level);
	link_push_back(&w->slots[level][digit(tick, level)], &n->link);
}

void wheel_add(struct wheel *w, struct wheel_node *n, uint64_t due)
{
	n->due = due;
	place(w, n);
}

void wheel_remove(struct wheel_node *n)
{
	link_remove(&n->link);
}

static uint64_t rotate_right(uint64_t bits, unsigned by)
{
	return by ? bits >> by | bits << (64u - by) : bits;
}

/* The tick at which the earliest slot in use begins, UINT64_MAX if none. Slots emptied by wheel_remove are noticed
 * here. Slots are read from the hand's digit on; only the top level holds any below it, those of its next round. */
static uint64_t next_slot(struct wheel *w, unsigned *ret_level)
{
	for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
		unsigned hand = digit(w->tick, l), shift = DIGIT_BITS * l;
		while (w->used[l]) {
			unsigned ahead = (unsigned)__builtin_ctzll(rotate_right(w->used[l], hand));
			unsigned s = (hand + ahead) & DIGIT_MASK;
			if (!link_empty(&w->slots[l][s])) {
				*ret_level = l;
				return ((w->tick >> shift) + ahead) << shift;
			}
			w->used[l] &= ~(1ull << s);
		}
	}
	return UINT64_MAX;
}

/* Moves the hand to `tick`, where slot `level` begins, and spreads its nodes over the levels below. */
static void open_slot(struct wheel *w, uint64_t tick, unsigned level)
{
	struct link nodes, *n;
	unsigned s = digit(tick, level);
	link_init(&nodes);
	link_splice(&nodes, &w->slots[level][s]);
	w->used[level] &= ~(1ull << s);
	w->tick = tick;
	while ((n = link_pop(&nodes)))
		place(w, CONTAINER_OF(n, struct wheel_node, link));
}

struct wheel_node *wheel_pop(struct wheel *w, uint64_t now)
{
	uint64_t target = now / SCHED_TICK_MS;
	while (link_empty(&w->fired) && w->tick < target) {
		unsigned level = 0;
		uint64_t tick = next_slot(w, &level);
		if (tick > target) {
			w->tick = target;
			break;
		}
		open_slot(w, tick, level);
	}
	struct link *n = link_pop(&w->fired);
	return n ? CONTAINER_OF(n, struct wheel_node, link) : NULL;
}

uint64_t wheel_next(struct wheel *w)
{
	unsigned level;
	if (!link_empty(&w->fired))
		return w->tick * SCHED_TICK_MS;
	uint64_t tick = next_slot(w, &level);
	return tick == UINT64_MAX ? WHEEL_NEVER : tick * SCHED_TICK_MS;
}
