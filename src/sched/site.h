/* One site: the destinations that share their mail exchangers. How many jobs it may have at a time, and whether it
 * is worth trying at all.
 *
 * States:
 *   UP      --site_failed--> DOWN       jobs under way go on, no new one starts before `wake`
 *   DOWN    --site_wake-->   PROBING    one job at a time finds out
 *   PROBING --site_done--> UP           the window opens by one with each job that reached the site
 *   PROBING --site_failed--> DOWN       a longer pause
 *
 * A dead host is so remembered once for all its mail. Pausing by the administrator is apart from it.
 */
#pragma once

#include "core/map.h"
#include "sched/retry.h"
#include "sched/wheel.h"

enum site_state { SITE_UP, SITE_DOWN, SITE_PROBING };
const char *site_state_name(enum site_state s); /* "up", "down", "probing" */

struct sched_site {
	struct map_node node;   /* in struct sched */
	struct wheel_node wake; /* in a wheel while DOWN */
	struct link parked;     /* queues of accounts with ready mail and no slot, in turn */
	char *key;              /* owned */
	uint32_t key_len;
	uint32_t refs;
	uint32_t limit;    /* jobs at a time */
	uint32_t window;   /* what the limit is now: 1 .. limit */
	uint32_t active;   /* jobs under way */
	uint32_t granted;  /* slots promised to queues that wait for their account's turn */
	uint32_t failures; /* in a row */
	uint8_t state;     /* enum site_state; moved by one function */
	bool paused;
};

static inline struct slice site_key(const struct sched_site *t)
{
	return slice_of(t->key, t->key_len);
}

/* Free slots that are not promised. */
uint32_t site_slots(const struct sched_site *t);

/* A job ended that reached the site, whatever became of its recipients; or one that did not. The caller has taken
 * it from `active`. site_failed returns how long to leave it alone, ms. */
void site_done(struct sched_site *t);
uint64_t site_failed(struct sched_site *t, const struct retry_policy *p, uint64_t seed);
void site_wake(struct sched_site *t);
