#include "sched/sched.h"

#include "core/hash.h"
#include "core/mem.h"

#include <string.h>

#define SITE_JOBS_DEFAULT  20u
#define SITE_START_DEFAULT 5u
#define ENTRY_READY        WHEEL_NEVER /* at.due of an entry that is in its queue */

struct sched_account {
	struct map_node node;
	char *name; /* owned */
	uint32_t name_len;
	uint32_t refs;
	struct fair_member turn; /* in s->accounts_ring while `granted` is not empty */
	struct link granted;     /* its queues that hold a slot of their site */
};

enum queue_state { QUEUE_EMPTY, QUEUE_PARKED, QUEUE_GRANTED };

/* The mail of one account for one site. Exists while it has entries; holds a reference to both. */
struct sched_queue {
	struct map_node node;
	struct sched_site *site;
	struct sched_account *account;
	struct link place; /* PARKED: in site->parked, GRANTED: in account->granted */
	struct link ready; /* entries, first come first served */
	uint32_t entries;  /* waiting and ready */
	uint8_t state;     /* enum queue_state; EMPTY: nothing is ready */
};

struct sched {
	struct sched_options o;
	struct map sites, accounts, queues; /* owned elements */
	struct fair ring;                   /* accounts that have a granted queue */
	struct wheel waiting;               /* entries */
	struct wheel sleeping;              /* sites that are DOWN; each counts a reference */
	struct sched_counts counts;
	struct sched_account *last; /* of the last job, referenced: the caller may still look at it */
	uint64_t draws;             /* for the jitter of sites */
};

/* ---- tables ---- */

static bool site_eq(const struct map_node *n, const void *key)
{
	return slice_eq(site_key(CONTAINER_OF(n, struct sched_site, node)), *(const struct slice *)key);
}

static bool account_eq(const struct map_node *n, const void *key)
{
	return slice_eq(sched_account_name(CONTAINER_OF(n, struct sched_account, node)),
			*(const struct slice *)key);
}

static bool queue_eq(const struct map_node *n, const void *key)
{
	const struct sched_queue *a = CONTAINER_OF(n, struct sched_queue, node), *b = key;
	return a->site == b->site && a->account == b->account;
}

static uint64_t queue_hash(const struct sched_site *t, const struct sched_account *a)
{
	return hash_u64(hash_u64((uintptr_t)t) ^ (uintptr_t)a);
}

static char *copy(struct slice s)
{
	char *p = mem_alloc(s.len + 1);
	if (p && s.len)
		memcpy(p, s.ptr, s.len);
	return p;
}

static void site_free(struct sched_site *t)
{
	mem_free(t->key);
	mem_free(t);
}

static enum err site_make(struct sched *s, struct slice key, struct sched_site **ret)
{
	struct sched_site *t = NEW(struct sched_site);
	if (!t)
		return ERR_NOMEM;
	t->key = copy(key);
	t->key_len = (uint32_t)key.len;
	t->limit = s->o.site_jobs;
	t->window = MIN(s->o.site_start, t->limit);
	link_init(&t->parked);
	if (!t->key || map_insert(&s->sites, &t->node, hash_slice(key)) != ERR_OK) {
		site_free(t);
		return ERR_NOMEM;
	}
	*ret = t;
	return ERR_OK;
}

enum err sched_site_ref(struct sched *s, struct slice key, struct sched_site **ret)
{
	if (key.len > SCHED_KEY_MAX)
		return ERR_LIMIT;
	struct map_node *n = map_find(&s->sites, hash_slice(key), &key);
	struct sched_site *t = n ? CONTAINER_OF(n, struct sched_site, node) : NULL;
	enum err e = t ? ERR_OK : site_make(s, key, &t);
	if (e)
		return e;
	t->refs++;
	*ret = t;
	return ERR_OK;
}

void sched_site_unref(struct sched *s, struct sched_site *t)
{
	ASSERT(t->refs > 0);
	if (--t->refs > 0)
		return;
	ASSERT(t->active == 0 && t->granted == 0 && link_empty(&t->parked));
	map_remove(&s->sites, &t->node);
	site_free(t);
}

static void account_free(struct sched_account *a)
{
	mem_free(a->name);
	mem_free(a);
}

static enum err account_make(struct sched *s, struct slice name, struct sched_account **ret)
{
	struct sched_account *a = NEW(struct sched_account);
	if (!a)
		return ERR_NOMEM;
	a->name = copy(name);
	a->name_len = (uint32_t)name.len;
	fair_member_init(&a->turn, 1);
	link_init(&a->granted);
	if (!a->name || map_insert(&s->accounts, &a->node, hash_slice(name)) != ERR_OK) {
		account_free(a);
		return ERR_NOMEM;
	}
	*ret = a;
	return ERR_OK;
}

enum err sched_account_ref(struct sched *s, struct slice name, struct sched_account **ret)
{
	if (name.len > SCHED_KEY_MAX)
		return ERR_LIMIT;
	struct map_node *n = map_find(&s->accounts, hash_slice(name), &name);
	struct sched_account *a = n ? CONTAINER_OF(n, struct sched_account, node) : NULL;
	enum err e = a ? ERR_OK : account_make(s, name, &a);
	if (e)
		return e;
	a->refs++;
	*ret = a;
	return ERR_OK;
}

void sched_account_unref(struct sched *s, struct sched_account *a)
{
	ASSERT(a->refs > 0);
	if (--a->refs > 0)
		return;
	map_remove(&s->accounts, &a->node);
	account_free(a);
}

struct slice sched_account_name(const struct sched_account *a)
{
	return slice_of(a->name, a->name_len);
}

void sched_account_set_weight(struct sched_account *a, uint32_t weight)
{
	ASSERT(weight > 0 && weight <= INT32_MAX);
	a->turn.weight = weight;
}

static enum err queue_get(struct sched *s, struct sched_site *t, struct sched_account *a,
			  struct sched_queue **ret)
{
	struct sched_queue key = {.site = t, .account = a};
	struct map_node *n = map_find(&s->queues, queue_hash(t, a), &key);
	if (n) {
		*ret = CONTAINER_OF(n, struct sched_queue, node);
		return ERR_OK;
	}
	struct sched_queue *q = NEW(struct sched_queue);
	if (!q)
		return ERR_NOMEM;
	q->site = t;
	q->account = a;
	link_init(&q->ready);
	if (map_insert(&s->queues, &q->node, queue_hash(t, a)) != ERR_OK) {
		mem_free(q);
		return ERR_NOMEM;
	}
	t->refs++;
	a->refs++;
	*ret = q;
	return ERR_OK;
}

/* ---- slots ---- */

static void queue_grant(struct sched *s, struct sched_queue *q)
{
	struct sched_account *a = q->account;
	if (link_empty(&a->granted))
		fair_join(&s->ring, &a->turn);
	link_push_back(&a->granted, &q->place);
	q->state = QUEUE_GRANTED;
	q->site->granted++;
}

static void queue_park(struct sched_queue *q, bool front)
{
	if (front)
		link_push_front(&q->site->parked, &q->place);
	else
		link_push_back(&q->site->parked, &q->place);
	q->state = QUEUE_PARKED;
}

/* Out of wherever it stands. */
static void queue_withdraw(struct sched *s, struct sched_queue *q)
{
	if (q->state != QUEUE_EMPTY)
		link_remove(&q->place);
	if (q->state == QUEUE_GRANTED) {
		q->site->granted--;
		if (link_empty(&q->account->granted))
			fair_leave(&s->ring, &q->account->turn);
	}
	q->state = QUEUE_EMPTY;
}

/* Hands the free slots of a site to its parked queues in turn. To be called whenever either has changed. */
static void site_grant(struct sched *s, struct sched_site *t)
{
	for (uint32_t n = site_slots(t); n > 0; n--) {
		struct link *p = link_pop(&t->parked);
		if (!p)
			return;
		queue_grant(s, CONTAINER_OF(p, struct sched_queue, place));
	}
}

static void queue_free_if_empty(struct sched *s, struct sched_queue *q)
{
	if (q->entries > 0)
		return;
	ASSERT(q->state == QUEUE_EMPTY);
	map_remove(&s->queues, &q->node);
	sched_site_unref(s, q->site);
	sched_account_unref(s, q->account);
	mem_free(q);
}

/* ---- entries ---- */

static void entry_ready(struct sched *s, struct sched_entry *e)
{
	struct sched_queue *q = e->queue;
	e->at.due = ENTRY_READY;
	link_push_back(&q->ready, &e->at.link);
	s->counts.ready++;
	if (q->state != QUEUE_EMPTY)
		return;
	queue_park(q, false);
	site_grant(s, q->site);
}

enum err sched_add(struct sched *s, struct sched_entry *e, struct sched_site *t, struct sched_account *a,
		   uint64_t due, uint64_t now)
{
	struct sched_queue *q;
	ASSERT(sched_entry_idle(e));
	enum err err = queue_get(s, t, a, &q);
	if (err)
		return err;
	e->queue = q;
	q->entries++;
	if (due <= now) {
		entry_ready(s, e);
		return ERR_OK;
	}
	wheel_add(&s->waiting, &e->at, MIN(due, WHEEL_NEVER - 1));
	s->counts.waiting++;
	return ERR_OK;
}

bool sched_entry_ready(const struct sched_entry *e)
{
	return e->queue && e->at.due == ENTRY_READY;
}

struct sched_site *sched_entry_site(const struct sched_entry *e)
{
	return e->queue->site;
}

struct sched_account *sched_entry_account(const struct sched_entry *e)
{
	return e->queue->account;
}

/* Makes a READY entry IDLE; the queue stays where it is, perhaps empty. */
static void entry_take(struct sched *s, struct sched_entry *e)
{
	link_remove(&e->at.link);
	e->queue->entries--;
	e->queue = NULL;
	s->counts.ready--;
}

void sched_remove(struct sched *s, struct sched_entry *e)
{
	struct sched_queue *q = e->queue;
	if (!q)
		return;
	if (sched_entry_ready(e)) {
		entry_take(s, e);
		if (link_empty(&q->ready)) {
			queue_withdraw(s, q);
			site_grant(s, q->site);
		}
	} else {
		wheel_remove(&e->at);
		e->queue = NULL;
		q->entries--;
		s->counts.waiting--;
	}
	queue_free_if_empty(s, q);
}

/* ---- time ---- */

static void site_sleep_end(struct sched *s, struct sched_site *t)
{
	s->counts.sites_down--;
	site_grant(s, t);
	sched_site_unref(s, t);
}

static void fire(struct sched *s, uint64_t now)
{
	struct wheel_node *n;
	while ((n = wheel_pop(&s->sleeping, now))) {
		struct sched_site *t = CONTAINER_OF(n, struct sched_site, wake);
		site_wake(t);
		site_sleep_end(s, t);
	}
	while ((n = wheel_pop(&s->waiting, now))) {
		s->counts.waiting--;
		entry_ready(s, CONTAINER_OF(n, struct sched_entry, at));
	}
}

uint64_t sched_next_wakeup(struct sched *s)
{
	return MIN(wheel_next(&s->waiting), wheel_next(&s->sleeping));
}

/* ---- jobs ---- */

/* The queue whose turn it is, still granted. Grants that a site can no longer honour are taken back here. */
static struct sched_queue *next_queue(struct sched *s)
{
	struct fair_member *m;
	while ((m = fair_pick(&s->ring))) {
		struct sched_account *a = CONTAINER_OF(m, struct sched_account, turn);
		struct sched_queue *q = CONTAINER_OF(a->granted.next, struct sched_queue, place);
		struct sched_site *t = q->site;
		t->granted--; /* seen from the site, this one's own slot must be free */
		bool open = site_slots(t) > 0;
		t->granted++;
		if (open)
			return q;
		queue_withdraw(s, q);
		queue_park(q, true);
	}
	return NULL;
}

static void take_entries(struct sched *s, struct sched_queue *q, struct sched_job *job)
{
	job->count = 0;
	while (job->count < s->o.job_entries && !link_empty(&q->ready)) {
		struct sched_entry *e = CONTAINER_OF(q->ready.next, struct sched_entry, at.link);
		if (job->count > 0 && !s->o.together(job->entries[0], e))
			break;
		entry_take(s, e);
		job->entries[job->count++] = e;
	}
}

static void forget_last(struct sched *s)
{
	if (s->last)
		sched_account_unref(s, s->last);
	s->last = NULL;
}

bool sched_next(struct sched *s, uint64_t now, struct sched_job *ret)
{
	fire(s, now);
	struct sched_queue *q = next_queue(s);
	if (!q)
		return false;
	struct sched_site *t = ret->site = q->site;
	ret->account = q->account;
	take_entries(s, q, ret);
	fair_charge(&q->account->turn, ret->count);
	queue_withdraw(s, q);
	sched_site_adopt(s, t);
	if (!link_empty(&q->ready))
		queue_park(q, false);
	site_grant(s, t);
	q->account->refs++;
	forget_last(s);
	s->last = q->account;
	queue_free_if_empty(s, q);
	return true;
}

static void job_end(struct sched *s, struct sched_site *t)
{
	ASSERT(t->active > 0);
	t->active--;
	s->counts.active--;
}

static void site_up_again(struct sched *s, struct sched_site *t)
{
	wheel_remove(&t->wake);
	site_sleep_end(s, t);
}

void sched_site_done(struct sched *s, struct sched_site *t)
{
	bool down = t->state == SITE_DOWN;
	job_end(s, t);
	site_done(t);
	if (down)
		site_up_again(s, t);
	site_grant(s, t);
	sched_site_unref(s, t);
}

void sched_site_failed(struct sched *s, struct sched_site *t, uint64_t now)
{
	bool down = t->state == SITE_DOWN;
	job_end(s, t);
	uint64_t wait = site_failed(t, &s->o.site_policy, s->o.seed ^ ++s->draws);
	if (!down) {
		wheel_add(&s->sleeping, &t->wake, now + wait);
		t->refs++;
		s->counts.sites_down++;
	}
	sched_site_unref(s, t);
}

void sched_site_withdrawn(struct sched *s, struct sched_site *t)
{
	job_end(s, t);
	site_grant(s, t);
	sched_site_unref(s, t);
}

void sched_site_adopt(struct sched *s, struct sched_site *t)
{
	t->active++;
	t->refs++;
	s->counts.active++;
}

/* ---- by hand ---- */

void sched_site_set_limit(struct sched *s, struct sched_site *t, uint32_t jobs)
{
	ASSERT(jobs > 0 && jobs <= SCHED_SITE_JOBS_MAX);
	t->limit = jobs;
	t->window = MIN(t->window, jobs);
	site_grant(s, t);
}

void sched_site_pause(struct sched *s, struct sched_site *t, bool paused)
{
	if (t->paused == paused)
		return;
	t->paused = paused;
	t->refs += paused; /* a pause is remembered though no mail is there */
	site_grant(s, t);
	if (!paused)
		sched_site_unref(s, t);
}

void sched_site_retry(struct sched *s, struct sched_site *t)
{
	if (t->state != SITE_DOWN)
		return;
	site_wake(t);
	site_up_again(s, t);
}

struct sched_counts sched_counts(const struct sched *s)
{
	struct sched_counts c = s->counts;
	c.sites = s->sites.count;
	c.accounts = s->accounts.count;
	c.queues = s->queues.count;
	return c;
}

struct sched_site *sched_site_each(struct sched *s, struct sched_site *previous)
{
	struct map_node *n = map_next(&s->sites, previous ? &previous->node : NULL);
	return n ? CONTAINER_OF(n, struct sched_site, node) : NULL;
}

/* ---- life ---- */

static bool never_together(const struct sched_entry *a, const struct sched_entry *b)
{
	return false;
}

enum err sched_new(const struct sched_options *o, uint64_t now, struct sched **ret)
{
	struct sched *s = NEW(struct sched);
	if (!s)
		return ERR_NOMEM;
	s->o = *o;
	if (!s->o.site_jobs)
		s->o.site_jobs = SITE_JOBS_DEFAULT;
	if (!s->o.site_start)
		s->o.site_start = SITE_START_DEFAULT;
	if (!s->o.job_entries || s->o.job_entries > SCHED_JOB_ENTRIES_MAX)
		s->o.job_entries = SCHED_JOB_ENTRIES_MAX;
	if (!s->o.site_policy.count)
		s->o.site_policy = retry_site_default;
	if (!s->o.together)
		s->o.together = never_together;
	map_init(&s->sites, site_eq);
	map_init(&s->accounts, account_eq);
	map_init(&s->queues, queue_eq);
	fair_init(&s->ring);
	wheel_init(&s->waiting, now);
	wheel_init(&s->sleeping, now);
	*ret = s;
	return ERR_OK;
}

/* Sites that sleep hold themselves; everything else was given back. */
void sched_free(struct sched *s)
{
	if (!s)
		return;
	forget_last(s);
	ASSERT(s->queues.count == 0 && s->accounts.count == 0);
	MAP_EACH_SAFE (&s->sites, n, next) {
		struct sched_site *t = CONTAINER_OF(n, struct sched_site, node);
		ASSERT(t->refs == (uint32_t)(t->state == SITE_DOWN) + t->paused);
		map_remove(&s->sites, n);
		site_free(t);
	}
	map_done(&s->sites);
	map_done(&s->accounts);
	map_done(&s->queues);
	mem_free(s);
}
