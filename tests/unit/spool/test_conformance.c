/* One suite over every back end: memory, segments on a simulated disk, segments on a real one. */
#include "world.h"

#include "core/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum kind { MEMORY, SIMULATED, REAL };

struct fixture {
	struct world w;
	enum kind kind;
	struct sim_disk *sim;
	char dir[64];
};

static void start(struct fixture *f)
{
	struct diag d;
	if (f->kind == REAL) {
		assert_int_equal(loop_epoll_new(&f->w.loop, &d), ERR_OK);
		snprintf(f->dir, sizeof(f->dir), "/tmp/spool-test-XXXXXX");
		assert_non_null(mkdtemp(f->dir));
		assert_int_equal(disk_real_new(open(f->dir, O_RDONLY | O_DIRECTORY), &f->w.disk, &d), ERR_OK);
		return;
	}
	assert_int_equal(loop_sim_new(&(struct sim_options){.seed = 7}, &f->w.loop, &d), ERR_OK);
	if (f->kind == SIMULATED) {
		f->sim = sim_disk_new(7, 256u << 20);
		f->w.disk = sim_disk_disk(f->sim);
	}
}

static int setup(void **state, enum kind kind)
{
	struct fixture *f = mem_alloc(sizeof(*f));
	f->kind = kind;
	f->w.options = (struct spool_options){.segment_size = 256 << 10, .large_threshold = 64 << 10};
	start(f);
	world_open(&f->w);
	assert_int_equal(f->w.error, ERR_OK);
	*state = f;
	return 0;
}

static int setup_memory(void **state)
{
	return setup(state, MEMORY);
}
static int setup_simulated(void **state)
{
	return setup(state, SIMULATED);
}
static int setup_real(void **state)
{
	return setup(state, REAL);
}

static bool remove_name(void *ctx, const char *name)
{
	const struct disk *d = ctx;
	d->ops->unlink(d->self, name);
	return true;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	if (f->w.spool)
		world_close(&f->w);
	if (f->kind == REAL) {
		f->w.disk.ops->list(f->w.disk.self, ".", remove_name, &f->w.disk);
		disk_real_free(&f->w.disk);
		rmdir(f->dir);
	}
	sim_disk_free(f->sim);
	loop_free(f->w.loop);
	mem_free(f);
	return 0;
}

/* ---- storing and reading ---- */

static void test_committed_message_is_there(void **state)
{
	struct fixture *f = *state;
	char envelope[64];
	uint64_t id = world_put(&f->w, 2, "from a to b", SLICE_LIT("Subject: x\r\n\r\nbody\r\n"));
	assert_int_equal(world_read(&f->w, id, envelope), ERR_OK);
	assert_string_equal(envelope, "from a to b");
	world_check_content(&f->w, id, SLICE_LIT("Subject: x\r\n\r\nbody\r\n"));
	struct spool_stats st;
	spool_stats(f->w.spool, &st);
	assert_int_equal(st.live, 1);
	assert_int_equal(st.commits, 1);
}

static void test_ids_are_new_and_carry_the_generation(void **state)
{
	struct fixture *f = *state;
	uint64_t a = spool_next_id(f->w.spool), b = spool_next_id(f->w.spool);
	assert_int_equal(a >> 32, f->w.report.generation);
	assert_int_equal(b, a + 1);
}

static void test_empty_content(void **state)
{
	struct fixture *f = *state;
	uint64_t id = world_put(&f->w, 1, "empty", SLICE_EMPTY);
	world_check_content(&f->w, id, SLICE_EMPTY);
}

static void test_every_size_of_content(void **state)
{
	struct fixture *f = *state;
	static const size_t sizes[] = {1, 7, 8, 4096, 8175, 8176, 8177, 20000, 65535, 65536, 65537, 500000};
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		CLEANUP(buf_done) struct buf b;
		world_fill(&b, i, sizes[i]);
		uint64_t id = world_put(&f->w, 1, "sized", buf_slice(&b));
		world_check_content(&f->w, id, buf_slice(&b));
	}
}

static void test_content_is_lent_before_the_commit(void **state)
{
	struct fixture *f = *state;
	struct world_done d;
	uint64_t id = spool_next_id(f->w.spool);
	struct spool_batch *b = world_message(&f->w, id, 1, SLICE_LIT("judged"), SLICE_LIT("content"));
	world_check_content(&f->w, id, SLICE_LIT("content"));
	world_commit(b, &d);
	assert_int_equal(world_wait(&f->w, &d), SPOOL_COMMITTED);
	world_check_content(&f->w, id, SLICE_LIT("content"));
}

static void test_loan_cannot_be_written(void **state)
{
	struct fixture *f = *state;
	struct spool_loan loan;
	uint64_t id = world_put(&f->w, 1, "x", SLICE_LIT("content"));
	assert_int_equal(spool_lend(f->w.spool, id, &loan, NULL), ERR_OK);
	assert_true(pwrite(loan.fd, "X", 1, (off_t)loan.offset) < 0);
	spool_unlend(f->w.spool, &loan);
}

static void test_loan_outlives_its_message(void **state)
{
	struct fixture *f = *state;
	struct spool_loan loan;
	char got[7];
	uint64_t id = world_put(&f->w, 1, "x", SLICE_LIT("content"));
	assert_int_equal(spool_lend(f->w.spool, id, &loan, NULL), ERR_OK);
	assert_int_equal(world_result(&f->w, id, 0, SPOOL_DELIVERED, "250"), SPOOL_COMMITTED);
	world_turns(&f->w, 20);
	assert_int_equal(pread(loan.fd, got, 7, (off_t)loan.offset), 7);
	assert_memory_equal(got, "content", 7);
	spool_unlend(f->w.spool, &loan);
}

static void test_many_loans_share_a_number(void **state)
{
	struct fixture *f = *state;
	struct spool_loan a, b;
	uint64_t id = world_put(&f->w, 1, "x", SLICE_LIT("content"));
	assert_int_equal(spool_lend(f->w.spool, id, &a, NULL), ERR_OK);
	assert_int_equal(spool_lend(f->w.spool, id, &b, NULL), ERR_OK);
	assert_int_equal(a.segment, b.segment);
	assert_int_equal(a.fd, b.fd);
	spool_unlend(f->w.spool, &a);
	char got[7];
	assert_int_equal(pread(b.fd, got, 7, (off_t)b.offset), 7);
	spool_unlend(f->w.spool, &b);
}

static void test_unknown_id(void **state)
{
	struct fixture *f = *state;
	char envelope[64];
	struct spool_loan loan;
	struct diag d;
	assert_int_equal(world_read(&f->w, 99, envelope), ERR_NOTFOUND);
	assert_int_equal(spool_lend(f->w.spool, 99, &loan, &d), ERR_NOTFOUND);
	assert_int_equal(d.code, ERR_NOTFOUND);
}

static void test_aborted_write_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct spool_write *w;
	CLEANUP(buf_done) struct buf big;
	world_fill(&big, 1, 300000);
	for (int large = 0; large < 2; large++) {
		uint64_t id = spool_next_id(f->w.spool);
		assert_int_equal(spool_write_begin(f->w.spool, id, &w, NULL), ERR_OK);
		enum err e = spool_write_append(w, large ? buf_slice(&big) : SLICE_LIT("part"));
		assert_true(e == ERR_OK || e == ERR_AGAIN);
		if (large)
			assert_int_equal(spool_write_finish(w, 1, SLICE_LIT("e"), SLICE_EMPTY), ERR_OK);
		spool_write_abort(w);
		world_turns(&f->w, 5);
		assert_int_equal(spool_lend(f->w.spool, id, &(struct spool_loan){0}, NULL), ERR_NOTFOUND);
	}
}

static void test_limits_are_answers(void **state)
{
	struct fixture *f = *state;
	struct spool_write *w;
	assert_int_equal(spool_write_begin(f->w.spool, spool_next_id(f->w.spool), &w, NULL), ERR_OK);
	assert_int_equal(spool_write_finish(w, 1000000, SLICE_EMPTY, SLICE_EMPTY), ERR_LIMIT);
	spool_write_abort(w);
}

static void test_drain_is_told(void **state);

/* ---- batches ---- */

static void test_results_end_a_message(void **state)
{
	struct fixture *f = *state;
	char envelope[64];
	uint64_t id = world_put(&f->w, 2, "x", SLICE_LIT("c"));
	assert_int_equal(world_result(&f->w, id, 0, SPOOL_DELIVERED, "250"), SPOOL_COMMITTED);
	assert_int_equal(world_read(&f->w, id, envelope), ERR_OK);
	assert_int_equal(world_result(&f->w, id, 1, SPOOL_DEFERRED, "451"), SPOOL_COMMITTED);
	assert_int_equal(world_read(&f->w, id, envelope), ERR_OK);
	assert_int_equal(world_result(&f->w, id, 1, SPOOL_FAILED_FOR_GOOD, "550"), SPOOL_COMMITTED);
	assert_int_equal(world_read(&f->w, id, envelope), ERR_NOTFOUND);
}

static void test_final_state_stays(void **state)
{
	struct fixture *f = *state;
	char envelope[64];
	uint64_t id = world_put(&f->w, 2, "x", SLICE_LIT("c"));
	assert_int_equal(world_result(&f->w, id, 0, SPOOL_DELIVERED, "250"), SPOOL_COMMITTED);
	assert_int_equal(world_result(&f->w, id, 0, SPOOL_QUEUED, "again"), SPOOL_COMMITTED);
	assert_int_equal(world_result(&f->w, id, 1, SPOOL_DELIVERED, "250"), SPOOL_COMMITTED);
	assert_int_equal(world_read(&f->w, id, envelope), ERR_NOTFOUND);
}

static void test_bad_changes_are_refused(void **state)
{
	struct fixture *f = *state;
	uint64_t id = world_put(&f->w, 2, "x", SLICE_LIT("c"));
	struct spool_batch *b = spool_batch_new(f->w.spool);
	assert_int_equal(spool_batch_result(b, id + 1000, 0, SPOOL_DELIVERED, SLICE_EMPTY), ERR_NOTFOUND);
	assert_int_equal(spool_batch_result(b, id, 2, SPOOL_DELIVERED, SLICE_EMPTY), ERR_RANGE);
	assert_int_equal(spool_batch_hold(b, id + 1000, true), ERR_NOTFOUND);
	assert_int_equal(spool_batch_verdict(b, id + 1000, SLICE_EMPTY), ERR_NOTFOUND);
	spool_batch_abort(b);
}

/* The last failure and the bounce that it causes. */
static void test_batch_of_result_and_message(void **state)
{
	struct fixture *f = *state;
	struct world_done d;
	char envelope[64];
	uint64_t id = world_put(&f->w, 1, "x", SLICE_LIT("c")), bounce = spool_next_id(f->w.spool);
	struct spool_batch *b = world_message(&f->w, bounce, 1, SLICE_LIT("bounce"), SLICE_LIT("sorry"));
	assert_int_equal(spool_batch_result(b, id, 0, SPOOL_FAILED_FOR_GOOD, SLICE_LIT("550")), ERR_OK);
	assert_int_equal(spool_batch_result(b, bounce, 0, SPOOL_DEFERRED, SLICE_LIT("later")), ERR_OK);
	world_commit(b, &d);
	assert_int_equal(world_wait(&f->w, &d), SPOOL_COMMITTED);
	assert_int_equal(world_read(&f->w, id, envelope), ERR_NOTFOUND);
	assert_int_equal(world_read(&f->w, bounce, envelope), ERR_OK);
}

static void test_many_batches_share_syncs(void **state)
{
	struct fixture *f = *state;
	enum { N = 500 };
	static struct world_done d[N];
	struct spool_stats before, after;
	spool_stats(f->w.spool, &before);
	for (int i = 0; i < N; i++)
		world_commit(world_message(&f->w, spool_next_id(f->w.spool), 1, SLICE_LIT("e"),
					   SLICE_LIT("content")),
			     &d[i]);
	for (int i = 0; i < N; i++)
		assert_int_equal(world_wait(&f->w, &d[i]), SPOOL_COMMITTED);
	spool_stats(f->w.spool, &after);
	assert_int_equal(after.commits - before.commits, N);
	assert_int_equal(after.live - before.live, N);
	assert_true(after.syncs - before.syncs <= 5);
}

/* ---- walking ---- */

struct walked {
	bool done;
	enum err e;
	uint64_t next;
	unsigned count;
	struct {
		enum spool_record kind;
		uint64_t id;
		char payload[64];
	} items[1200];
};

static void on_item(void *ctx, const struct spool_item *it)
{
	struct walked *w = ctx;
	assert_true(w->count < ARRAY_LEN(w->items));
	w->items[w->count].kind = it->kind;
	w->items[w->count].id = it->id;
	snprintf(w->items[w->count].payload, 64, "%.*s", SLICE_ARG(it->payload));
	w->count++;
}

static void on_walked(void *ctx, enum err e, uint64_t next)
{
	struct walked *w = ctx;
	w->done = true;
	w->e = e;
	w->next = next;
}

static void walk(struct fixture *f, struct walked *out, uint64_t cursor, uint32_t max, bool newest_first,
		 uint64_t only)
{
	struct spool_walk w = {.cursor = cursor,
			       .max = max,
			       .newest_first = newest_first,
			       .only_id = only,
			       .fn = on_item,
			       .done = on_walked,
			       .ctx = out};
	out->done = false;
	assert_int_equal(spool_walk(f->w.spool, &w), ERR_OK);
	assert_false(out->done);
	world_until(&f->w, &out->done);
	assert_int_equal(out->e, ERR_OK);
}

static void test_walk_shows_what_was_committed(void **state)
{
	struct fixture *f = *state;
	static struct walked w;
	uint64_t a = world_put(&f->w, 1, "first", SLICE_LIT("c")),
		 b = world_put(&f->w, 1, "second", SLICE_LIT("c"));
	world_result(&f->w, a, 0, SPOOL_DELIVERED, "250 thanks");
	w.count = 0;
	walk(f, &w, 0, 100, false, 0);
	assert_int_equal(w.count, 3);
	assert_string_equal(w.items[0].payload, "first");
	assert_string_equal(w.items[1].payload, "second");
	assert_int_equal(w.items[2].kind, SPOOL_REC_RESULT);
	assert_string_equal(w.items[2].payload, "250 thanks");
	/* What is new comes with the cursor, and nothing else. */
	world_result(&f->w, b, 0, SPOOL_DEFERRED, "451 later");
	uint64_t next = w.next;
	w.count = 0;
	walk(f, &w, next, 100, false, 0);
	assert_int_equal(w.count, 1);
	assert_string_equal(w.items[0].payload, "451 later");
	w.count = 0;
	walk(f, &w, 0, 2, true, 0);
	assert_int_equal(w.count, 2);
	assert_string_equal(w.items[0].payload, "451 later");
	assert_string_equal(w.items[1].payload, "250 thanks");
	w.count = 0;
	walk(f, &w, 0, 100, false, b);
	assert_int_equal(w.count, 2);
	w.count = 0;
	walk(f, &w, 0, 100, false, 12345);
	assert_int_equal(w.count, 0);
}

/* Any step width shows everything once, both ways; batches of several records and several segments are among it. */
static void test_walk_in_steps(void **state)
{
	struct fixture *f = *state;
	static struct walked all, some;
	CLEANUP(buf_done) struct buf b;
	world_fill(&b, 3, 30000);
	for (int i = 0; i < 30; i++) {
		uint64_t id = world_put(&f->w, 3, "m", buf_slice(&b));
		struct world_done d;
		struct spool_batch *batch = spool_batch_new(f->w.spool);
		for (uint32_t k = 0; k < 3; k++) {
			char text[32];
			snprintf(text, sizeof(text), "%d/%u", i, k);
			assert_int_equal(spool_batch_result(batch, id, k, SPOOL_DEFERRED, slice_str(text)),
					 ERR_OK);
		}
		world_commit(batch, &d);
		assert_int_equal(world_wait(&f->w, &d), SPOOL_COMMITTED);
	}
	all.count = 0;
	walk(f, &all, 0, 1000, false, 0);
	assert_int_equal(all.count, 120);
	for (uint32_t step = 1; step < 8; step++) {
		some.count = 0;
		some.next = 0;
		for (unsigned last = 1; some.count != last;) {
			last = some.count;
			walk(f, &some, some.next, step, false, 0);
		}
		assert_int_equal(some.count, 120);
		for (unsigned i = 0; i < 120; i++)
			assert_string_equal(some.items[i].payload, all.items[i].payload);
		some.count = 0;
		some.next = 0;
		for (unsigned last = 1; some.count != last;) {
			last = some.count;
			walk(f, &some, some.next, step, true, 0);
		}
		assert_int_equal(some.count, 120);
		for (unsigned i = 0; i < 120; i++)
			assert_string_equal(some.items[i].payload, all.items[119 - i].payload);
	}
}

/* ---- a large message outruns the disk ---- */

static void drained(void *ctx)
{
	*(bool *)ctx = true;
}

static void test_drain_is_told(void **state)
{
	struct fixture *f = *state;
	struct spool_write *w;
	CLEANUP(buf_done) struct buf b;
	bool told = false;
	world_fill(&b, 5, 1 << 20);
	uint64_t id = spool_next_id(f->w.spool);
	assert_int_equal(spool_write_begin(f->w.spool, id, &w, NULL), ERR_OK);
	enum err e = ERR_OK;
	for (int i = 0; i < 16 && e == ERR_OK; i++)
		e = spool_write_append(w, buf_slice(&b));
	if (e == ERR_AGAIN) {
		spool_write_on_drain(w, drained, &told);
		world_until(&f->w, &told);
		assert_int_equal(spool_write_append(w, SLICE_LIT("more")), ERR_OK);
	} else {
		assert_int_equal(f->kind, MEMORY);
	}
	spool_write_abort(w);
}

static void test_closing_answers_what_is_under_way(void **state)
{
	struct fixture *f = *state;
	struct world_done d[3];
	CLEANUP(buf_done) struct buf b;
	world_fill(&b, 5, 200000);
	for (int i = 0; i < 3; i++)
		world_commit(world_message(&f->w, spool_next_id(f->w.spool), 1, SLICE_LIT("e"),
					   i == 1 ? buf_slice(&b) : SLICE_LIT("c")),
			     &d[i]);
	world_close(&f->w);
	for (int i = 0; i < 3; i++) {
		assert_true(d[i].done);
		assert_int_equal(d[i].outcome, SPOOL_COMMITTED);
	}
}

#define EACH(test)                                                                                           \
	{#test ", memory", test, setup_memory, teardown, NULL},                                              \
		{#test ", simulated disk", test, setup_simulated, teardown, NULL},                           \
	{                                                                                                    \
#test ", real disk", test, setup_real, teardown, NULL                                        \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(test_committed_message_is_there),
		EACH(test_ids_are_new_and_carry_the_generation),
		EACH(test_empty_content),
		EACH(test_every_size_of_content),
		EACH(test_content_is_lent_before_the_commit),
		EACH(test_loan_cannot_be_written),
		EACH(test_loan_outlives_its_message),
		EACH(test_many_loans_share_a_number),
		EACH(test_unknown_id),
		EACH(test_aborted_write_leaves_nothing),
		EACH(test_limits_are_answers),
		EACH(test_results_end_a_message),
		EACH(test_final_state_stays),
		EACH(test_bad_changes_are_refused),
		EACH(test_batch_of_result_and_message),
		EACH(test_many_batches_share_syncs),
		EACH(test_walk_shows_what_was_committed),
		EACH(test_walk_in_steps),
		EACH(test_drain_is_told),
		EACH(test_closing_answers_what_is_under_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
