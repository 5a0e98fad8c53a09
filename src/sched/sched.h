/* What to deliver next: the queue process gives recipients with a time and a site, and takes jobs when it has room for
 * them. Pure: time comes in as a number (ms, monotonic), no clock, no log.
 *
 * An entry (one recipient, 32 octets, inside the caller's own struct) is
 *   IDLE --sched_add, due later--> WAITING --its time--> READY --sched_next--> IDLE (it belongs to a job now)
 *   IDLE --sched_add, due now--> READY            WAITING, READY --sched_remove--> IDLE
 *
 * Ready entries stand in one FIFO per site and account (struct sched_queue, inside). A queue that is not empty is
 * either *parked* at its site, in turn with the site's other accounts, or holds one of the site's free slots and is
 * *granted*: then it stands with its account, and accounts take turns (sched/fair.h, one unit of cost a recipient).
 * So neither many sites nor much mail for one site gives an account more than its share, and a full or dead site
 * costs nothing: its queues stay parked and nobody looks at them.
 *
 * Invariants:
 *  1. Work-conserving: sched_next gives a job whenever some site that is up and not paused has a free slot and a
 *     ready entry.
 *  2. active + granted <= window of each site; a queue is granted at most one slot at a time.
 *  3. Nothing is allocated per entry; sched_add allocates only for the first entry of an account at a site.
 *  4. Adding, removing and taking are O(1) amortised, whatever is queued.
 */
#pragma once

#include "sched/fair.h"
#include "sched/limits.h"
#include "sched/site.h"

struct sched;         /* owned by who made it */
struct sched_account; /* counted: sched_account_ref, sched_account_unref */
struct sched_queue;

/* Lies in the recipient. Zeroed: IDLE. */
struct sched_entry {
	struct wheel_node at;      /* WAITING: in the wheel; READY: in its queue */
	struct sched_queue *queue; /* NULL: IDLE */
};

struct sched_options {
	uint32_t site_jobs;              /* default limit of jobs at a time to one site; 0: 20 */
	uint32_t site_start;             /* window of a site that is not known yet; 0: 5 */
	uint32_t job_entries;            /* recipients of one job, at most SCHED_JOB_ENTRIES_MAX; 0: that */
	struct retry_policy site_policy; /* waits after failures of a site; count 0: retry_site_default */
	uint64_t seed;                   /* of the jitter */
	/* May these two stand in one job (the same message, and whatever else the caller's jobs share)? The second
	 * one follows the first in the same queue. */
	bool (*together)(const struct sched_entry *a, const struct sched_entry *b);
};

MUST_CHECK enum err sched_new(const struct sched_options *o, uint64_t now, struct sched **ret);
void sched_free(struct sched *s); /* every entry removed or taken, every reference given back */

/* Finds or makes, and counts one reference. Names are copied. ERR_NOMEM; ERR_LIMIT over SCHED_KEY_MAX. A site that
 * is down is remembered without references too, until its next probe would be due. */
MUST_CHECK enum err sched_site_ref(struct sched *s, struct slice key, struct sched_site **ret);
void sched_site_unref(struct sched *s, struct sched_site *t);
MUST_CHECK enum err sched_account_ref(struct sched *s, struct slice name, struct sched_account **ret);
void sched_account_unref(struct sched *s, struct sched_account *a);
struct slice sched_account_name(const struct sched_account *a);
void sched_account_set_weight(struct sched_account *a, uint32_t weight); /* its share; 1 at first */

/* e is IDLE. A due time at or before now makes it READY at once. Recipients of one message that shall share a job are
 * added one after the other with the same due time. ERR_NOMEM leaves e IDLE. */
MUST_CHECK enum err sched_add(struct sched *s, struct sched_entry *e, struct sched_site *t,
			      struct sched_account *a, uint64_t due, uint64_t now);
void sched_remove(struct sched *s, struct sched_entry *e); /* IDLE is fine */

static inline bool sched_entry_idle(const struct sched_entry *e)
{
	return e->queue == NULL;
}
bool sched_entry_ready(const struct sched_entry *e);
struct sched_site *sched_entry_site(const struct sched_entry *e);       /* not IDLE */
struct sched_account *sched_entry_account(const struct sched_entry *e); /* not IDLE */

/* The next job; its entries are IDLE now and the site has one active job more, until sched_site_done or
 * sched_site_failed. The caller asks only while it has room for a job. False: nothing to do before
 * sched_next_wakeup, sched_add, or the end of a job. */
struct sched_job {
	struct sched_site *site;       /* a reference is counted until done or failed */
	struct sched_account *account; /* borrowed: valid until the next sched_next, ref it to keep it */
	uint32_t count;
	struct sched_entry *entries[SCHED_JOB_ENTRIES_MAX];
};
MUST_CHECK bool sched_next(struct sched *s, uint64_t now, struct sched_job *ret);
/* Ms at which sched_next may have more by itself; perhaps too early, never too late. WHEEL_NEVER: not by itself. */
uint64_t sched_next_wakeup(struct sched *s);

/* A job ended. done: the site was reached, whatever it said about the recipients. failed: no connection could be made,
 * or it answered 421: the site is left alone for a while. */
void sched_site_done(struct sched *s, struct sched_site *t);
void sched_site_failed(struct sched *s, struct sched_site *t, uint64_t now);
/* A job was withdrawn before it told anything about the site (its smtpc died). */
void sched_site_withdrawn(struct sched *s, struct sched_site *t);
/* A job that an earlier queue process gave out and an smtpc still holds: counts as active, with a reference. */
void sched_site_adopt(struct sched *s, struct sched_site *t);

void sched_site_set_limit(struct sched *s, struct sched_site *t, uint32_t jobs); /* 1 or more */
void sched_site_pause(struct sched *s, struct sched_site *t, bool paused);
void sched_site_retry(struct sched *s, struct sched_site *t); /* by hand: forgets that it is down */

struct sched_counts {
	uint64_t waiting, ready, active; /* entries, entries, jobs */
	uint64_t sites, accounts, queues, sites_down;
};
struct sched_counts sched_counts(const struct sched *s);

/* Sites, for lists and tables: NULL starts, NULL at the end; unspecified order; nothing may change between. */
struct sched_site *sched_site_each(struct sched *s, struct sched_site *previous);
