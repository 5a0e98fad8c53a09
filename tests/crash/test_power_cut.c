/* Power is cut at every disk operation of a scripted run, and what was not synced is kept, dropped or torn by seed.
 * After the restart (which is cut too, in some runs) this must hold, each time:
 *
 *   acknowledged is a subset of (live or finally resulted), which is a subset of submitted; each message whole and once;
 *   a recipient whose result was acknowledged has that state or a later one; a batch is there as a whole or not at all;
 *   no power cut is mistaken for damage; ids are never given twice.
 */
#include "world.h"

#include "core/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MESSAGES_MAX 256
#define DISK         (64u << 20)

/* What was asked for and what was acknowledged. */
struct expected {
	uint64_t id;
	uint32_t recipients;
	size_t length;
	char envelope[64];
	struct world_done stored;
	uint8_t asked[WORLD_RCPTS_MAX], acknowledged[WORLD_RCPTS_MAX]; /* enum spool_state */
	struct world_done result[WORLD_RCPTS_MAX];
	bool hold_asked, held;
	struct world_done hold;
	struct expected
		*bounce_of; /* stored in one batch with the failure of that message's first recipient */
};

struct run {
	struct world w;
	struct sim_disk *sim;
	struct expected m[MESSAGES_MAX];
	size_t count;
	uint64_t highest;
};

/* ---- the script ---- */

static bool working(const struct run *r)
{
	return r->w.spool && r->w.ready && !r->w.error && r->w.health == SPOOL_HEALTHY;
}

static struct expected *message(struct run *r, uint32_t recipients, size_t length, struct spool_batch **ret)
{
	*ret = NULL;
	if (!working(r))
		return NULL;
	struct expected *e = &r->m[r->count];
	CLEANUP(buf_done) struct buf b;
	*e = (struct expected){.id = spool_next_id(r->w.spool), .recipients = recipients, .length = length};
	assert_true(e->id > r->highest); /* never twice */
	r->highest = e->id;
	snprintf(e->envelope, sizeof(e->envelope), "envelope %zu", r->count);
	world_fill(&b, e->id, length);
	*ret = world_message(&r->w, e->id, recipients, slice_str(e->envelope), buf_slice(&b));
	if (*ret)
		r->count++;
	return *ret ? e : NULL;
}

static struct expected *put(struct run *r, uint32_t recipients, size_t length)
{
	struct spool_batch *b;
	struct expected *e = message(r, recipients, length, &b);
	if (e)
		world_commit(b, &e->stored);
	return e;
}

/* The failure that came with a bounce is acknowledged with it. */
static void settle_bounce(struct expected *e)
{
	if (e->bounce_of)
		e->bounce_of->result[0] = e->stored;
}

static void settle(struct run *r)
{
	for (size_t i = 0; i < r->count && r->w.spool; i++) {
		world_until(&r->w, &r->m[i].stored.done);
		settle_bounce(&r->m[i]);
	}
	for (size_t i = 0; i < r->count && r->w.spool; i++) {
		struct expected *e = &r->m[i];
		for (uint32_t k = 0; k < e->recipients; k++) {
			if (e->asked[k])
				world_until(&r->w, &e->result[k].done);
			if (e->asked[k] && e->result[k].outcome == SPOOL_COMMITTED)
				e->acknowledged[k] = e->asked[k];
		}
		if (e->hold_asked)
			world_until(&r->w, &e->hold.done);
	}
}

static bool add_result(struct spool_batch *b, struct expected *e, uint32_t k, enum spool_state s)
{
	char text[64];
	snprintf(text, sizeof(text), "%llx/%u/%d", (unsigned long long)e->id, k, (int)s);
	return spool_batch_result(b, e->id, k, s, slice_str(text)) == ERR_OK;
}

static void result(struct run *r, struct expected *e, uint32_t k, enum spool_state s)
{
	if (!e || !working(r) || e->stored.outcome != SPOOL_COMMITTED || !e->stored.done)
		return;
	struct spool_batch *b = spool_batch_new(r->w.spool);
	if (!add_result(b, e, k, s)) {
		spool_batch_abort(b);
		return;
	}
	e->asked[k] = (uint8_t)s;
	world_commit(b, &e->result[k]);
}

static void hold(struct run *r, struct expected *e)
{
	if (!e || !working(r) || e->stored.outcome != SPOOL_COMMITTED)
		return;
	struct spool_batch *b = spool_batch_new(r->w.spool);
	e->hold_asked = spool_batch_hold(b, e->id, true) == ERR_OK;
	if (e->hold_asked)
		world_commit(b, &e->hold);
	else
		spool_batch_abort(b);
}

/* One batch: the failure of `of` and its bounce. */
static void bounce(struct run *r, struct expected *of)
{
	struct spool_batch *b;
	if (!of || of->stored.outcome != SPOOL_COMMITTED)
		return;
	struct expected *e = message(r, 1, 700, &b);
	if (!e)
		return;
	assert_true(add_result(b, of, 0, SPOOL_FAILED_FOR_GOOD));
	e->bounce_of = of;
	of->asked[0] = SPOOL_FAILED_FOR_GOOD;
	world_commit(b, &e->stored);
}

static void reopen(struct run *r)
{
	if (r->w.spool)
		world_close(&r->w);
	world_open(&r->w);
}

/* Enough to roll over several segments, with a clean restart among it. */
static void script(struct run *r)
{
	struct expected *a, *b, *c, *big;
	reopen(r);
	a = put(r, 2, 3000);
	b = put(r, 1, 100);
	settle(r);
	c = put(r, 1, 9000);
	big = put(r, 2, 70000);
	result(r, a, 0, SPOOL_DELIVERED);
	result(r, b, 0, SPOOL_DEFERRED);
	settle(r);
	for (int i = 0; i < 12; i++)
		put(r, 1, 4096);
	hold(r, a);
	settle(r);
	bounce(r, c);
	settle(r);
	reopen(r);
	result(r, big, 1, SPOOL_DELIVERED);
	for (int i = 0; i < 12; i++)
		put(r, 3, 5000);
	settle(r);
	for (size_t i = 4; i < r->count; i += 2)
		result(r, &r->m[i], 0, SPOOL_DELIVERED);
	settle(r);
	result(r, b, 0, SPOOL_DELIVERED);
	result(r, big, 0, SPOOL_REMOVED);
	for (int i = 0; i < 10; i++)
		put(r, 1, 6000);
	settle(r);
}

static void pass(struct run *r, unsigned ms)
{
	for (uint64_t until = loop_now(r->w.loop) + ms; r->w.spool && loop_now(r->w.loop) < until;)
		loop_turn(r->w.loop, 1);
}

/* Few messages live long among many that come and go: they move from segment to segment, while more is said of them. */
static void script_aging(struct run *r)
{
	enum { ROUNDS = 12 };
	struct expected *a, *c, *big;
	reopen(r);
	sim_set_worker_delay(r->w.loop, 4); /* so that the two workers' jobs overlap in many ways */
	a = put(r, ROUNDS + 1, 3000);
	c = put(r, ROUNDS + 1, 1000);
	big = put(r, 2, 70000);
	settle(r);
	result(r, big, 1, SPOOL_DEFERRED);
	hold(r, a);
	settle(r);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		size_t first = r->count;
		for (int i = 0; i < 15; i++)
			put(r, 1, 4000);
		settle(r);
		for (size_t i = first; i < r->count; i++)
			result(r, &r->m[i], 0, SPOOL_DELIVERED);
		pass(r, 40 + round);
		result(r, a, round, SPOOL_DELIVERED);
		pass(r, 3 + round % 5);
		result(r, c, round, SPOOL_DELIVERED);
		pass(r, 60);
		settle(r);
	}
	result(r, big, 0, SPOOL_DELIVERED);
	settle(r);
	sim_set_worker_delay(r->w.loop, 0);
}

typedef void script_fn(struct run *r);
static script_fn *const scripts[] = {script, script_aging};

/* ---- what must hold ---- */

static bool at_least(uint8_t have, const struct expected *e, uint32_t k)
{
	return have == e->acknowledged[k] || have == e->asked[k];
}

static bool all_final(const uint8_t *states, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (states[i] < SPOOL_DELIVERED)
			return false;
	return true;
}

static void check_live(struct run *r, const struct expected *e, const struct world_live *l)
{
	CLEANUP(buf_done) struct buf b;
	char envelope[64];
	assert_string_equal(l->envelope, e->envelope);
	assert_int_equal(l->recipients, e->recipients);
	assert_int_equal(l->content_length, e->length);
	world_fill(&b, e->id, e->length);
	world_check_content(&r->w, e->id, buf_slice(&b));
	assert_int_equal(world_read(&r->w, e->id, envelope), ERR_OK);
	assert_string_equal(envelope, e->envelope);
	for (uint32_t k = 0; k < e->recipients; k++) {
		char text[64] = "";
		assert_true(at_least(l->states[k], e, k));
		if (l->states[k])
			snprintf(text, sizeof(text), "%llx/%u/%u", (unsigned long long)e->id, k,
				 l->states[k]);
		assert_string_equal(l->results[k], text);
	}
	if (e->hold_asked && e->hold.outcome == SPOOL_COMMITTED)
		assert_true(l->held);
	assert_false(l->held && !e->hold_asked);
	assert_string_equal(l->verdict, "verdict");
}

static void check_message(struct run *r, struct expected *e)
{
	const struct world_live *l = world_find(&r->w, e->id);
	if (l)
		check_live(r, e, l);
	else if (e->stored.done && e->stored.outcome == SPOOL_COMMITTED)
		assert_true(all_final(
			e->asked, e->recipients)); /* not live: every recipient was at least asked to end */
	/* An unacknowledged message that is not there was given up by all. */
	assert_false(l && e->stored.outcome == SPOOL_FAILED && e->stored.done);
	if (l)
		assert_false(all_final(e->acknowledged, e->recipients));
	if (e->bounce_of) {
		const struct world_live *lof = world_find(&r->w, e->bounce_of->id);
		/* One recipient: failed with the bounce or not at all. */
		assert_false(l && lof);
		assert_true(l || lof || e->asked[0] >= SPOOL_DELIVERED);
	}
}

static void check(struct run *r)
{
	assert_int_equal(r->w.error, ERR_OK);
	assert_true(r->w.ready);
	assert_int_equal(r->w.report.damaged, 0);
	assert_int_equal(r->w.report.live, r->w.live_count);
	for (size_t i = 0; i < r->count; i++)
		check_message(r, &r->m[i]);
	for (size_t i = 0; i < r->w.live_count; i++) {
		size_t k = 0;
		while (k < r->count && r->m[k].id != r->w.live[i].id)
			k++;
		assert_true(k < r->count); /* nothing that was never submitted */
	}
}

/* From here on what was found counts as acknowledged: it must not be lost by another restart. */
static void adopt(struct run *r)
{
	for (size_t i = 0; i < r->count; i++) {
		struct expected *e = &r->m[i];
		const struct world_live *l = world_find(&r->w, e->id);
		if (!l)
			continue;
		e->stored = (struct world_done){.done = true, .outcome = SPOOL_COMMITTED};
		for (uint32_t k = 0; k < e->recipients; k++)
			e->acknowledged[k] = e->asked[k] = l->states[k];
	}
}

/* ---- runs ---- */

static struct run *run_new(uint64_t seed)
{
	struct diag d;
	struct run *r = NEW(struct run);
	assert_int_equal(loop_sim_new(&(struct sim_options){.seed = seed + 1}, &r->w.loop, &d), ERR_OK);
	r->sim = sim_disk_new(seed, DISK);
	r->w.disk = sim_disk_disk(r->sim);
	r->w.options = (struct spool_options){
		.segment_size = 64 << 10, .large_threshold = 40 << 10, .disk_reserve = 4096};
	return r;
}

static void run_free(struct run *r)
{
	if (r->w.spool)
		world_close(&r->w);
	sim_disk_free(r->sim);
	loop_free(r->w.loop);
	mem_free(r);
}

/* The process dies with the disk: nothing that its end does reaches the disk any more. */
static void die(struct run *r, uint64_t seed)
{
	if (r->w.spool) {
		sim_disk_cut_at(r->sim, sim_disk_ops(r->sim) + 1);
		world_close(&r->w);
	}
	sim_disk_reboot(r->sim, seed);
}

/* Cut at `op`; returns whether the script came so far. */
static bool one(script_fn *fn, uint64_t seed, uint64_t op, uint64_t again)
{
	struct run *r = run_new(seed);
	sim_disk_cut_at(r->sim, op);
	fn(r);
	bool reached = sim_disk_ops(r->sim) >= op;
	die(r, seed * 1000 + op);
	if (again) { /* the restart is cut too */
		sim_disk_cut_at(r->sim, sim_disk_ops(r->sim) + again);
		world_open(&r->w);
		die(r, seed * 1000 + op + 1);
	}
	world_open(&r->w);
	check(r);
	adopt(r);
	struct expected *e = put(r, 1, 2000);
	assert_non_null(e);
	settle(r);
	assert_int_equal(e->stored.outcome, SPOOL_COMMITTED);
	reopen(r);
	check(r);
	run_free(r);
	return reached;
}

static uint64_t seeds(uint64_t fallback)
{
	const char *z = getenv("CRASH_SEEDS");
	uint64_t v;
	return z && slice_to_u64(slice_str(z), 1000000, &v) == ERR_OK ? v : fallback;
}

static void test_without_a_cut(void **state)
{
	struct run *r = run_new(1);
	script(r);
	assert_int_equal(r->count, 39);
	for (size_t i = 0; i < r->count; i++)
		assert_int_equal(r->m[i].stored.outcome, SPOOL_COMMITTED);
	reopen(r);
	check(r);
	run_free(r);
}

/* Else the cuts would show nothing about moving. */
static void test_old_messages_move(void **state)
{
	struct run *r = run_new(2);
	struct spool_stats st;
	script_aging(r);
	spool_stats(r->w.spool, &st);
	assert_true(st.moved >= 3);
	reopen(r);
	check(r);
	run_free(r);
}

static void test_cut_at_every_operation(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
		for (uint64_t seed = 0; seed < seeds(6); seed++)
			for (uint64_t op = 1; one(scripts[i], seed, op, 0); op++)
				;
}

static void test_restart_is_cut_too(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
		for (uint64_t seed = 0; seed < seeds(6); seed++)
			for (uint64_t op = 1 + seed; one(scripts[i], seed, op, 1 + (op + seed) % 7); op += 5)
				;
}

/* The n-th call of the disk fails, once or from then on; then the process is gone (kill -9 between two operations), and the
 * disk is well again. Returns whether the script came so far. */
static bool fail_at(script_fn *fn, uint64_t op, int errnum, bool forever)
{
	struct run *r = run_new(op);
	sim_disk_fail(r->sim, SIM_WRITE | SIM_SYNC | SIM_DIR | SIM_ALLOC, op, errnum, forever);
	fn(r);
	bool reached = sim_disk_ops(r->sim) >= op;
	if (r->w.spool)
		world_close(&r->w);
	sim_disk_fail(r->sim, 0, 1, 0, false);
	world_open(&r->w);
	assert_int_equal(r->w.error, ERR_OK);
	for (size_t i = 0; i < r->count; i++)
		check_message(r, &r->m[i]);
	run_free(r);
	return reached;
}

#define CALLS_MAX 700

static void test_every_call_fails(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
		for (uint64_t op = 1; op < CALLS_MAX && fail_at(scripts[i], op, EIO, true); op += 1 + 2 * i)
			;
}

static void test_every_call_fails_once(void **state)
{
	static const int errors[] = {EIO, ENOSPC, EROFS};
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
		for (size_t k = 0; k < ARRAY_LEN(errors); k++)
			for (uint64_t op = 1; op < CALLS_MAX && fail_at(scripts[i], op, errors[k], false);
			     op += 1 + 2 * i)
				;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_cut),          cmocka_unit_test(test_old_messages_move),
		cmocka_unit_test(test_cut_at_every_operation), cmocka_unit_test(test_restart_is_cut_too),
		cmocka_unit_test(test_every_call_fails),       cmocka_unit_test(test_every_call_fails_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
