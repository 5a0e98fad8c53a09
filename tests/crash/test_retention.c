/* What of finished mail is kept, and for how long: content, then headers, then records; with the power cut at every disk
 * operation of it. At any moment each finished message is on record exactly once.
 */
#include "world.h"

#include "core/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HOUR 3600000ll
#define DAY  (24 * HOUR)

struct fixture {
	struct world w;
	struct sim_disk *sim;
	uint64_t finished[64];
	size_t count;
};

static struct fixture *fixture_new(uint64_t seed)
{
	struct fixture *f = NEW(struct fixture);
	struct diag d;
	assert_int_equal(loop_sim_new(&(struct sim_options){.seed = seed}, &f->w.loop, &d), ERR_OK);
	f->sim = sim_disk_new(seed, 16u << 20);
	f->w.disk = sim_disk_disk(f->sim);
	f->w.options = (struct spool_options){.segment_size = 64 << 10,
					      .large_threshold = 20 << 10,
					      .disk_reserve = 4096,
					      .keep.archive_ms = 90 * DAY,
					      .keep.headers_ms = 14 * DAY,
					      .keep.body_ms = 3 * DAY};
	world_open(&f->w);
	assert_int_equal(f->w.error, ERR_OK);
	return f;
}

static void fixture_free(struct fixture *f)
{
	if (f->w.spool)
		world_close(&f->w);
	sim_disk_free(f->sim);
	loop_free(f->w.loop);
	mem_free(f);
}

/* ---- what is on the disk ---- */

struct search {
	struct fixture *f;
	const char *prefix;
	const char *needle; /* NULL: only names */
	unsigned count;
};

static bool holds(struct fixture *f, const char *name, const char *needle)
{
	static char data[1 << 20];
	const struct disk *d = &f->w.disk;
	int fd = d->ops->open(d->self, name, O_RDONLY, 0);
	ssize_t n = d->ops->pread(d->self, fd, data, sizeof(data), 0);
	d->ops->close(d->self, fd);
	return slice_find_slice(slice_of(data, (size_t)MAX(n, 0)), slice_str(needle)) != SLICE_NPOS;
}

static bool on_name(void *ctx, const char *name)
{
	struct search *s = ctx;
	if (strncmp(name, s->prefix, strlen(s->prefix)) == 0)
		s->count += !s->needle || holds(s->f, name, s->needle);
	return true;
}

static unsigned files(struct fixture *f, const char *prefix, const char *needle)
{
	struct search s = {.f = f, .prefix = prefix, .needle = needle};
	assert_int_equal(f->w.disk.ops->list(f->w.disk.self, ".", on_name, &s), 0);
	return s.count;
}

/* ---- mail ---- */

static uint64_t put(struct fixture *f, size_t n)
{
	CLEANUP(buf_done) struct buf b, body;
	buf_init(&b, n + 200);
	buf_add_str(&b, "Subject: the headers\r\nTo: somebody\r\n\r\nthe body\r\n");
	world_fill(&body, n, n);
	buf_add(&b, buf_slice(&body));
	return world_put(&f->w, 1, "the envelope", buf_slice(&b));
}

static void finish(struct fixture *f, uint64_t id)
{
	if (world_result(&f->w, id, 0, SPOOL_DELIVERED, "the result") == SPOOL_COMMITTED)
		f->finished[f->count++] = id;
}

static void deliver_some(struct fixture *f)
{
	for (int i = 0; i < 16; i++)
		finish(f, put(f, i % 5 == 4 ? 30000 : 9000));
}

static void pass(struct fixture *f, int64_t ms)
{
	sim_jump_wall(f->w.loop, ms);
	for (int i = 0; i < 3 && f->w.spool; i++)
		sim_run_for(
			f->w.loop,
			13 * HOUR); /* segments are sealed by age, what hangs on a checkpoint waits for one */
}

/* ---- what is on record ---- */

struct walked {
	bool done;
	enum err e;
	unsigned messages[64], results[64];
	struct fixture *f;
};

static void on_item(void *ctx, const struct spool_item *it)
{
	struct walked *w = ctx;
	for (size_t i = 0; i < w->f->count; i++) {
		if (w->f->finished[i] != it->id)
			continue;
		w->messages[i] += it->kind == SPOOL_REC_MESSAGE;
		w->results[i] += it->kind == SPOOL_REC_RESULT;
		if (it->kind == SPOOL_REC_MESSAGE)
			assert_true(slice_eq_str(it->payload, "the envelope"));
	}
}

static void on_walked(void *ctx, enum err e, uint64_t next)
{
	struct walked *w = ctx;
	w->done = true;
	w->e = e;
}

/* Each exactly `times` times. */
static void check_record(struct fixture *f, unsigned times, bool newest_first)
{
	struct walked out = {.f = f};
	struct spool_walk w = {
		.max = 1000, .newest_first = newest_first, .fn = on_item, .done = on_walked, .ctx = &out};
	assert_int_equal(spool_walk(f->w.spool, &w), ERR_OK);
	world_until(&f->w, &out.done);
	assert_int_equal(out.e, ERR_OK);
	for (size_t i = 0; i < f->count; i++) {
		assert_int_equal(out.messages[i], times);
		assert_int_equal(out.results[i], times);
	}
}

static void check_both(struct fixture *f, unsigned times)
{
	check_record(f, times, false);
	check_record(f, times, true);
}

/* ---- tests ---- */

static void reopen(struct fixture *f)
{
	world_close(&f->w);
	world_open(&f->w);
	assert_int_equal(f->w.error, ERR_OK);
	assert_int_equal(f->w.report.damaged, 0);
}

static void test_content_goes_before_headers_and_headers_before_records(void **state)
{
	struct fixture *f = fixture_new(5);
	deliver_some(f);
	check_both(f, 1);
	assert_int_equal(files(f, "msg-", NULL), 3);
	pass(f, 4 * DAY);
	for (int opened = 0; opened < 2; opened++) {
		assert_true(files(f, "hdr-", "To: somebody") >= 2);
		assert_int_equal(files(f, "", "the body"), 0);
		assert_int_equal(files(f, "msg-", NULL), 0);
		check_both(f, 1);
		reopen(f);
	}
	pass(f, 15 * DAY);
	for (int opened = 0; opened < 2; opened++) {
		assert_true(files(f, "idx-", "the envelope") >= 2);
		assert_int_equal(files(f, "hdr-", NULL), 0);
		assert_int_equal(files(f, "", "To: somebody"), 0);
		check_both(f, 1);
		reopen(f);
	}
	pass(f, 91 * DAY);
	assert_int_equal(files(f, "", "the envelope"), 0);
	check_both(f, 0);
	fixture_free(f);
}

static void test_a_live_message_keeps_nothing_of_others(void **state)
{
	struct fixture *f = fixture_new(6);
	CLEANUP(buf_done) struct buf b;
	world_fill(&b, 3, 3000);
	uint64_t id = world_put(&f->w, 2, "alive", buf_slice(&b));
	world_result(&f->w, id, 1, SPOOL_DEFERRED, "later");
	deliver_some(f);
	pass(f, 4 * DAY);
	assert_int_equal(files(f, "", "the body"), 0);
	check_both(f, 1);
	reopen(f);
	world_check_content(&f->w, id, buf_slice(&b));
	assert_string_equal(world_find(&f->w, id)->results[1], "later");
	fixture_free(f);
}

static void test_little_mail_is_not_kept_longer(void **state)
{
	struct fixture *f = fixture_new(7);
	finish(f, put(f, 100));
	pass(f, 4 * DAY);
	assert_int_equal(files(f, "", "the body"), 0);
	assert_int_equal(files(f, "hdr-", "To: somebody"), 1);
	check_both(f, 1);
	fixture_free(f);
}

/* Returns whether the script came to operation `op`. */
static bool cut_at(uint64_t seed, uint64_t op)
{
	struct fixture *f = fixture_new(seed);
	deliver_some(f);
	check_both(f, 1);
	op += sim_disk_ops(f->sim);
	sim_disk_cut_at(f->sim, op);
	pass(f, 4 * DAY);
	pass(f, 15 * DAY);
	bool reached = sim_disk_ops(f->sim) >= op;
	if (!reached)
		sim_disk_cut_at(f->sim, sim_disk_ops(f->sim) + 1);
	world_close(&f->w);
	sim_disk_reboot(f->sim, seed * 1000 + op);
	world_open(&f->w);
	assert_int_equal(f->w.error, ERR_OK);
	assert_int_equal(f->w.report.damaged, 0);
	check_both(f, 1);
	pass(f, 1 * DAY);
	assert_int_equal(files(f, "", "To: somebody"), 0);
	check_both(f, 1);
	fixture_free(f);
	return reached;
}

static void test_power_cut_at_every_operation(void **state)
{
	for (uint64_t seed = 1; seed <= 3; seed++)
		for (uint64_t op = 1; cut_at(seed, op); op++)
			;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_content_goes_before_headers_and_headers_before_records),
		cmocka_unit_test(test_a_live_message_keeps_nothing_of_others),
		cmocka_unit_test(test_little_mail_is_not_kept_longer),
		cmocka_unit_test(test_power_cut_at_every_operation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
