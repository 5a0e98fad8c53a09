/* The scheduler: examples, and long random runs against a model that looks at everything. */
#include "sched/sched.h"

#include "core/mem.h"
#include "unit.h"

#include <stdio.h>

struct rcpt {
	struct sched_entry e;
	int message, site, account;
	uint64_t due;
	enum { OUT, IN, RUNNING } where;
};

static bool same_message(const struct sched_entry *a, const struct sched_entry *b)
{
	return CONTAINER_OF(a, const struct rcpt, e)->message ==
	       CONTAINER_OF(b, const struct rcpt, e)->message;
}

static const uint64_t waits[] = {30000, 60000};

static struct sched *make(uint32_t jobs, uint32_t entries)
{
	struct sched_options o = {.site_jobs = jobs,
				  .site_start = jobs,
				  .job_entries = entries,
				  .together = same_message,
				  .site_policy = {.waits = waits, .count = 2}};
	struct sched *s;
	assert_int_equal(sched_new(&o, 0, &s), ERR_OK);
	return s;
}

static struct sched_site *site(struct sched *s, const char *key)
{
	struct sched_site *t;
	assert_int_equal(sched_site_ref(s, slice_str(key), &t), ERR_OK);
	return t;
}

static struct sched_account *account(struct sched *s, const char *name)
{
	struct sched_account *a;
	assert_int_equal(sched_account_ref(s, slice_str(name), &a), ERR_OK);
	return a;
}

static void add(struct sched *s, struct rcpt *r, struct sched_site *t, struct sched_account *a, uint64_t due,
		uint64_t now)
{
	assert_int_equal(sched_add(s, &r->e, t, a, due, now), ERR_OK);
}

static void test_sizes(void **state)
{
	/* 64 octets a recipient in the whole index: half of it is the scheduler's. */
	assert_int_equal(sizeof(struct sched_entry), 32);
}

static void test_recipients_share_a_job(void **state)
{
	struct sched *s = make(5, 3);
	struct sched_site *t = site(s, "mx.example");
	struct sched_account *a = account(s, "houston");
	struct rcpt r[6] = {{.message = 1}, {.message = 1}, {.message = 1},
			    {.message = 1}, {.message = 2}, {.message = 3}};
	struct sched_job job;

	for (int i = 0; i < 6; i++)
		add(s, &r[i], t, a, 0, 0);
	static const uint32_t counts[] = {3, 1, 1, 1};
	for (int i = 0, at = 0; i < 4; at += counts[i++]) {
		assert_true(sched_next(s, 0, &job));
		assert_int_equal(job.count, counts[i]);
		assert_ptr_equal(job.entries[0], &r[at].e);
		assert_ptr_equal(job.account, a);
		assert_ptr_equal(job.site, t);
		sched_site_done(s, job.site);
	}
	assert_false(sched_next(s, 0, &job));
	sched_site_unref(s, t);
	sched_account_unref(s, a);
	sched_free(s);
}

static void test_due_later(void **state)
{
	struct sched *s = make(5, 0);
	struct sched_site *t = site(s, "x");
	struct sched_account *a = account(s, "a");
	struct rcpt r[2] = {0};
	struct sched_job job;

	add(s, &r[0], t, a, 60000, 0);
	add(s, &r[1], t, a, 90000, 0);
	assert_false(sched_next(s, 59999, &job));
	assert_in_range(sched_next_wakeup(s), 1, 60000);
	assert_true(sched_next(s, 60000, &job));
	assert_ptr_equal(job.entries[0], &r[0].e);
	sched_site_done(s, t);
	sched_remove(s, &r[1].e);
	sched_remove(s, &r[1].e);
	assert_int_equal(sched_next_wakeup(s), WHEEL_NEVER);
	sched_site_unref(s, t);
	sched_account_unref(s, a);
	sched_free(s);
}

static void test_dead_site_sleeps_and_is_probed_once(void **state)
{
	struct sched *s = make(3, 0);
	struct sched_site *t = site(s, "x");
	struct sched_account *a = account(s, "a");
	struct rcpt r[6];
	struct sched_job job;

	for (int i = 0; i < 6; i++) {
		r[i] = (struct rcpt){.message = i};
		add(s, &r[i], t, a, 0, 0);
	}
	for (int i = 0; i < 3; i++)
		assert_true(sched_next(s, 0, &job));
	assert_false(sched_next(s, 0, &job));
	for (int i = 0; i < 3; i++)
		sched_site_failed(s, t, 1000);
	assert_false(sched_next(s, 30000, &job));
	assert_int_equal(sched_counts(s).sites_down, 1);
	assert_int_equal(sched_next_wakeup(s), 31000);
	assert_true(sched_next(s, 31000, &job));
	assert_false(sched_next(s, 31000, &job)); /* one probe only */
	sched_site_failed(s, t, 32000);
	assert_false(sched_next(s, 91999, &job));
	assert_true(sched_next(s, 92000, &job));
	sched_site_done(s, t);
	assert_true(sched_next(s, 92000, &job));
	assert_int_equal(sched_counts(s).sites_down, 0);
	sched_site_done(s, t);
	sched_site_unref(s, t);
	sched_account_unref(s, a);
	sched_free(s);
}

static void test_retry_by_hand_and_pause(void **state)
{
	struct sched *s = make(3, 0);
	struct sched_site *t = site(s, "x");
	struct sched_account *a = account(s, "a");
	struct rcpt r[3];
	struct sched_job job;

	for (int i = 0; i < 3; i++) {
		r[i] = (struct rcpt){.message = i};
		add(s, &r[i], t, a, 0, 0);
	}
	assert_true(sched_next(s, 0, &job));
	sched_site_failed(s, t, 0);
	sched_site_retry(s, t);
	sched_site_pause(s, t, true);
	assert_false(sched_next(s, 0, &job)); /* what was granted already is taken back */
	sched_site_pause(s, t, false);
	assert_true(sched_next(s, 0, &job));
	sched_site_withdrawn(s, t);
	assert_true(sched_next(s, 0, &job));
	sched_site_done(s, t);
	sched_site_unref(s, t);
	sched_account_unref(s, a);
	sched_free(s);
}

/* An account with mail for many sites does not push aside one with a single message. */
static void test_many_sites_are_one_account(void **state)
{
	enum { SITES = 500 };
	static struct rcpt r[SITES], other;
	struct sched *s = make(1, 0);
	struct sched_account *big = account(s, "big"), *small = account(s, "small");
	struct sched_job job;

	for (int i = 0; i < SITES; i++) {
		char key[16];
		snprintf(key, sizeof(key), "site%d", i);
		struct sched_site *t = site(s, key);
		add(s, &r[i], t, big, 0, 0);
		sched_site_unref(s, t);
	}
	struct sched_site *t = site(s, "quiet");
	add(s, &other, t, small, 0, 0);
	for (int n = 0;; n++) {
		assert_true(n < 3);
		assert_true(sched_next(s, 0, &job));
		sched_site_done(s, job.site);
		if (job.entries[0] == &other.e)
			break;
	}
	while (sched_next(s, 0, &job))
		sched_site_done(s, job.site);
	sched_site_unref(s, t);
	sched_account_unref(s, big);
	sched_account_unref(s, small);
	sched_free(s);
}

/* At one crowded site accounts take turns, whatever their backlog. */
static void test_one_site_many_accounts(void **state)
{
	enum { BULK = 300 };
	static struct rcpt r[BULK], late;
	struct sched *s = make(1, 0);
	struct sched_site *t = site(s, "x");
	struct sched_account *a = account(s, "bulk"), *b = account(s, "late");
	struct sched_job job;

	for (int i = 0; i < BULK; i++) {
		r[i].message = i;
		add(s, &r[i], t, a, 0, 0);
	}
	assert_true(sched_next(s, 0, &job));
	add(s, &late, t, b, 0, 0);
	int n = 0;
	do {
		assert_true(n++ < 3);
		sched_site_done(s, t);
		assert_true(sched_next(s, 0, &job));
	} while (job.entries[0] != &late.e);
	do
		sched_site_done(s, t);
	while (sched_next(s, 0, &job));
	sched_site_unref(s, t);
	sched_account_unref(s, a);
	sched_account_unref(s, b);
	sched_free(s);
}

static void test_no_memory(void **state)
{
	struct sched *s = make(1, 0);
	struct sched_site *t = site(s, "x");
	struct sched_account *a = account(s, "a");
	struct rcpt r = {0};

	for (size_t n = 0;; n++) {
		mem_fail_after(n);
		enum err e = sched_add(s, &r.e, t, a, 0, 0);
		mem_fail_after(SIZE_MAX);
		if (e == ERR_OK)
			break;
		assert_int_equal(e, ERR_NOMEM);
		assert_true(sched_entry_idle(&r.e));
	}
	sched_remove(s, &r.e);
	sched_site_unref(s, t);
	sched_account_unref(s, a);
	sched_free(s);
}

/* ---- the model ---- */

enum { RCPTS = 600, SITES = 12, ACCOUNTS = 7, LIMIT = 3, JOB_MAX = 4 };

struct model {
	struct sched *s;
	struct sched_site *sites[SITES];
	struct sched_account *accounts[ACCOUNTS];
	struct rcpt r[RCPTS];
	struct running {
		struct sched_site *site;
		int rcpts[JOB_MAX], count;
	} jobs[SITES * LIMIT * 2];
	int njobs, active[SITES];
	bool down[SITES], paused[SITES];
	uint64_t now, rng;
	uint64_t passed[ACCOUNTS]; /* jobs given to others while this one could have had one */
};

static int index_of_site(struct model *m, const struct sched_site *t)
{
	for (int i = 0; i < SITES; i++)
		if (m->sites[i] == t)
			return i;
	fail();
	return -1;
}

/* May entry i be taken now, as far as an onlooker can tell? */
static bool takeable(struct model *m, const struct rcpt *r)
{
	const struct sched_site *t = m->sites[r->site];
	uint64_t tick = (r->due + SCHED_TICK_MS - 1) / SCHED_TICK_MS * SCHED_TICK_MS;
	bool due = r->due <= m->now && (sched_entry_ready(&r->e) || tick <= m->now);
	if (r->where != IN || !due || t->paused || t->state == SITE_DOWN)
		return false;
	uint32_t room = t->state == SITE_PROBING ? 1 : t->window;
	return t->active < room;
}

static void model_add(struct model *m)
{
	int message = (int)unit_below(&m->rng, 1 << 30), n = 1 + (int)unit_below(&m->rng, 6);
	int where = (int)unit_below(&m->rng, SITES), who = (int)unit_below(&m->rng, ACCOUNTS);
	uint64_t due = unit_below(&m->rng, 3) ? m->now : m->now + unit_below(&m->rng, 200000);

	/* Account 0 floods site 0. */
	if (unit_below(&m->rng, 3) == 0)
		where = who = 0;
	for (int i = 0; i < RCPTS && n > 0; i++) {
		struct rcpt *r = &m->r[i];
		if (r->where != OUT)
			continue;
		*r = (struct rcpt){
			.message = message, .site = where, .account = who, .due = due, .where = IN};
		add(m->s, r, m->sites[where], m->accounts[who], due, m->now);
		n--;
	}
}

static void model_next(struct model *m)
{
	bool could[ACCOUNTS] = {0}, any = false;
	struct sched_job job;
	/* fires what is due, without taking */
	for (int i = 0; i < RCPTS; i++)
		if (takeable(m, &m->r[i]))
			could[m->r[i].account] = any = true;
	bool got = sched_next(m->s, m->now, &job);
	if (any)
		assert_true(got); /* work-conserving */
	if (!got)
		return;
	assert_in_range(job.count, 1, JOB_MAX);
	struct running *run = &m->jobs[m->njobs++];
	*run = (struct running){.site = job.site, .count = (int)job.count};
	int where = index_of_site(m, job.site);
	assert_true(!job.site->paused && job.site->state != SITE_DOWN);
	assert_true(job.site->active <= LIMIT && (uint32_t)++m->active[where] == job.site->active);
	struct rcpt *first = CONTAINER_OF(job.entries[0], struct rcpt, e);
	for (uint32_t i = 0; i < job.count; i++) {
		struct rcpt *r = CONTAINER_OF(job.entries[i], struct rcpt, e);
		assert_true(r->where == IN && r->due <= m->now && r->site == where);
		assert_int_equal(r->message, first->message);
		assert_int_equal(r->account, first->account);
		assert_true(sched_entry_idle(&r->e));
		r->where = RUNNING;
		run->rcpts[i] = (int)(r - m->r);
	}
	assert_ptr_equal(job.account, m->accounts[first->account]);
	for (int i = 0; i < ACCOUNTS; i++)
		m->passed[i] = could[i] && i != first->account ? m->passed[i] + 1 : 0;
	for (int i = 0; i < ACCOUNTS; i++)
		assert_true(m->passed[i] < 120); /* nobody starves */
}

static void model_end_job(struct model *m)
{
	if (!m->njobs)
		return;
	int i = (int)unit_below(&m->rng, (uint32_t)m->njobs);
	struct running run = m->jobs[i];
	m->jobs[i] = m->jobs[--m->njobs];
	m->active[index_of_site(m, run.site)]--;
	switch (unit_below(&m->rng, 12)) {
	case 0:
		sched_site_failed(m->s, run.site, m->now);
		break;
	case 1:
		sched_site_withdrawn(m->s, run.site);
		break;
	default:
		sched_site_done(m->s, run.site);
		break;
	}
	for (int k = 0; k < run.count; k++)
		m->r[run.rcpts[k]].where = OUT;
}

static void model_disturb(struct model *m)
{
	struct rcpt *r = &m->r[unit_below(&m->rng, RCPTS)];
	struct sched_site *t = m->sites[unit_below(&m->rng, SITES)];
	switch (unit_below(&m->rng, 40)) {
	case 0:
		sched_site_pause(m->s, t, true);
		break;
	case 1:
	case 2:
		sched_site_pause(m->s, t, false);
		break;
	case 3:
		sched_site_retry(m->s, t);
		break;
	case 4:
	case 5:
	case 6:
		if (r->where == IN) {
			sched_remove(m->s, &r->e);
			r->where = OUT;
		}
		break;
	default:
		break;
	}
}

static void model_check_counts(struct model *m)
{
	struct sched_counts c = sched_counts(m->s);
	uint64_t in = 0;
	for (int i = 0; i < RCPTS; i++)
		in += m->r[i].where == IN;
	assert_int_equal(c.waiting + c.ready, in);
	assert_int_equal(c.active, m->njobs);
}

static void model_step(struct model *m)
{
	switch (unit_below(&m->rng, 8)) {
	case 0:
	case 1:
		model_add(m);
		break;
	case 2:
		m->now += unit_below(&m->rng, 4000);
		break;
	case 3:
		model_disturb(m);
		break;
	case 4:
	case 5:
		model_end_job(m);
		break;
	default:
		model_next(m);
		break;
	}
}

static void model_finish(struct model *m)
{
	for (int i = 0; i < SITES; i++)
		sched_site_pause(m->s, m->sites[i], false);
	while (m->njobs)
		model_end_job(m);
	for (int i = 0; i < RCPTS; i++)
		sched_remove(m->s, &m->r[i].e);
	for (int i = 0; i < SITES; i++)
		sched_site_unref(m->s, m->sites[i]);
	for (int i = 0; i < ACCOUNTS; i++)
		sched_account_unref(m->s, m->accounts[i]);
	sched_free(m->s);
}

static void test_against_model(void **state)
{
	for (uint64_t seed = 1; seed <= 6; seed++) {
		static struct model m;
		char name[2] = "A";
		m = (struct model){.rng = seed, .s = make(LIMIT, JOB_MAX)};
		for (int i = 0; i < SITES; i++, name[0]++)
			m.sites[i] = site(m.s, name);
		for (int i = 0; i < ACCOUNTS; i++, name[0]++)
			m.accounts[i] = account(m.s, name);
		for (int i = 0; i < 6000; i++) {
			model_step(&m);
			model_check_counts(&m);
		}
		model_finish(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_recipients_share_a_job),
		cmocka_unit_test(test_due_later),
		cmocka_unit_test(test_dead_site_sleeps_and_is_probed_once),
		cmocka_unit_test(test_retry_by_hand_and_pause),
		cmocka_unit_test(test_many_sites_are_one_account),
		cmocka_unit_test(test_one_site_many_accounts),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_against_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
