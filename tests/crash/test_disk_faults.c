/* What the spool does when the disk fails, fills up, is slow or has rotted; and what it gives back. */
#include "world.h"

#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include <cmocka.h>

#define CAPACITY (8u << 20)

struct fixture {
	struct world w;
	struct sim_disk *sim;
};

static int setup(void **state)
{
	struct fixture *f = NEW(struct fixture);
	struct diag d;
	assert_int_equal(loop_sim_new(&(struct sim_options){.seed = 3}, &f->w.loop, &d), ERR_OK);
	f->sim = sim_disk_new(3, CAPACITY);
	f->w.disk = sim_disk_disk(f->sim);
	f->w.options = (struct spool_options){
		.segment_size = 64 << 10, .large_threshold = 40 << 10, .disk_reserve = 4096};
	world_open(&f->w);
	assert_int_equal(f->w.error, ERR_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	if (f->w.spool)
		world_close(&f->w);
	sim_disk_free(f->sim);
	loop_free(f->w.loop);
	mem_free(f);
	return 0;
}

static void reopen(struct fixture *f)
{
	world_close(&f->w);
	world_open(&f->w);
}

static uint64_t put(struct fixture *f, size_t n)
{
	CLEANUP(buf_done) struct buf b;
	world_fill(&b, n, n);
	return world_put(&f->w, 1, "e", buf_slice(&b));
}

static void check(struct fixture *f, uint64_t id, size_t n)
{
	CLEANUP(buf_done) struct buf b;
	world_fill(&b, n, n);
	world_check_content(&f->w, id, buf_slice(&b));
}

/* Offers a message without expecting anything of it. */
static enum spool_outcome offer(struct fixture *f, uint64_t *ret_id, enum err *ret_code)
{
	struct world_done d;
	*ret_id = spool_next_id(f->w.spool);
	struct spool_batch *b = world_message(&f->w, *ret_id, 1, SLICE_LIT("e"), SLICE_LIT("content"));
	assert_non_null(b);
	world_commit(b, &d);
	enum spool_outcome o = world_wait(&f->w, &d);
	*ret_code = d.code;
	return o;
}

static bool healthy(void *ctx)
{
	return ((struct world *)ctx)->health == SPOOL_HEALTHY;
}

struct search {
	const char *prefix;
	unsigned count;
	char name[64]; /* the first in order */
};

static bool on_name(void *ctx, const char *name)
{
	struct search *s = ctx;
	if (strncmp(name, s->prefix, strlen(s->prefix)) != 0)
		return true;
	if (!s->count++ || strcmp(name, s->name) < 0)
		snprintf(s->name, sizeof(s->name), "%s", name);
	return true;
}

static struct search files(struct fixture *f, const char *prefix)
{
	struct search s = {.prefix = prefix};
	assert_int_equal(f->w.disk.ops->list(f->w.disk.self, ".", on_name, &s), 0);
	return s;
}

/* Offset of `needle` in a file; asserts that it is there. */
static uint64_t offset_of(struct fixture *f, const char *name, const char *needle)
{
	static char data[1 << 20];
	const struct disk *d = &f->w.disk;
	int fd = d->ops->open(d->self, name, O_RDONLY, 0);
	ssize_t n = d->ops->pread(d->self, fd, data, sizeof(data), 0);
	d->ops->close(d->self, fd);
	size_t at = slice_find_slice(slice_of(data, (size_t)n), slice_str(needle));
	assert_true(at != SLICE_NPOS);
	return at;
}

/* ---- failing ---- */

static void test_failed_sync_is_unknown_and_ends_the_segment(void **state)
{
	struct fixture *f = *state;
	uint64_t before = put(f, 1000), id;
	enum err code;
	unsigned segments = files(f, "seg-").count;
	sim_disk_fail(f->sim, SIM_SYNC, 1, EIO, false);
	assert_int_equal(offer(f, &id, &code), SPOOL_UNKNOWN);
	assert_int_equal(code, ERR_IO);
	assert_true(sim_run_until(f->w.loop, healthy, &f->w, 10000));
	uint64_t after = put(f, 2000);
	assert_int_equal(files(f, "seg-").count, segments + 1);
	check(f, before, 1000);
	reopen(f);
	check(f, before, 1000);
	check(f, after, 2000);
	assert_int_equal(f->w.report.damaged, 0);
}

static void test_failed_write_is_undone(void **state)
{
	static const int errors[] = {EIO, ENOSPC};
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		uint64_t before = put(f, 1000), id;
		enum err code;
		sim_disk_fail(f->sim, SIM_WRITE, 1, errors[i], false);
		assert_int_equal(offer(f, &id, &code), SPOOL_FAILED);
		assert_int_equal(code, err_from_errno(errors[i]));
		assert_true(sim_run_until(f->w.loop, healthy, &f->w, 20000));
		uint64_t after = put(f, 2000);
		reopen(f);
		assert_null(world_find(&f->w, id));
		check(f, before, 1000);
		check(f, after, 2000);
	}
}

static void test_broken_disk_refuses_and_comes_back(void **state)
{
	struct fixture *f = *state;
	struct spool_write *w;
	uint64_t before = put(f, 1000), id;
	enum err code;
	sim_disk_fail(f->sim, SIM_WRITE | SIM_SYNC | SIM_OPEN, 1, EIO, true);
	assert_int_equal(offer(f, &id, &code), SPOOL_UNKNOWN);
	sim_run_for(f->w.loop, 5000);
	assert_int_equal(f->w.health, SPOOL_BROKEN);
	assert_int_equal(spool_write_begin(f->w.spool, spool_next_id(f->w.spool), &w, NULL), ERR_IO);
	assert_int_equal(world_result(&f->w, before, 0, SPOOL_DEFERRED, "x"), SPOOL_FAILED);
	sim_disk_fail(f->sim, 0, 1, 0, false);
	assert_true(sim_run_until(f->w.loop, healthy, &f->w, 10000));
	assert_int_equal(world_result(&f->w, before, 0, SPOOL_DEFERRED, "x"), SPOOL_COMMITTED);
	reopen(f);
	assert_string_equal(world_find(&f->w, before)->results[0], "x");
}

/* Writes a file that takes nearly everything. */
static int ballast(struct fixture *f, uint64_t leave)
{
	const struct disk *d = &f->w.disk;
	uint64_t free_octets, total;
	assert_int_equal(d->ops->space(d->self, &free_octets, &total), 0);
	int fd = d->ops->open(d->self, "ballast", O_RDWR | O_CREAT, 0600);
	assert_int_equal(d->ops->allocate(d->self, fd, 0, free_octets - leave), 0);
	return fd;
}

static void test_full_disk_refuses_and_comes_back(void **state)
{
	struct fixture *f = *state;
	struct spool_write *w;
	uint64_t before = put(f, 1000), id = 0;
	enum err code = ERR_OK;
	enum spool_outcome o = SPOOL_COMMITTED;
	int fd = ballast(f, 16384);
	for (int i = 0; i < 400 && o == SPOOL_COMMITTED && f->w.health == SPOOL_HEALTHY; i++)
		o = offer(f, &id, &code);
	assert_true(o == SPOOL_FAILED || f->w.health == SPOOL_RESERVE);
	sim_run_for(f->w.loop, 1000);
	assert_int_equal(f->w.health, SPOOL_RESERVE);
	assert_int_equal(spool_write_begin(f->w.spool, spool_next_id(f->w.spool), &w, NULL), ERR_NOSPACE);
	f->w.disk.ops->close(f->w.disk.self, fd);
	f->w.disk.ops->unlink(f->w.disk.self, "ballast");
	f->w.disk.ops->fsync_dir(f->w.disk.self, ".");
	assert_true(sim_run_until(f->w.loop, healthy, &f->w, 30000));
	uint64_t after = put(f, 2000);
	reopen(f);
	check(f, before, 1000);
	check(f, after, 2000);
	if (o == SPOOL_FAILED)
		assert_null(world_find(&f->w, id));
}

static void test_large_message_on_a_full_disk(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_done) struct buf b;
	struct world_done d = {0};
	world_fill(&b, 9, 300000);
	int fd = ballast(f, 100000);
	struct spool_batch *batch =
		world_message(&f->w, spool_next_id(f->w.spool), 1, SLICE_LIT("e"), buf_slice(&b));
	if (batch) {
		world_commit(batch, &d);
		assert_int_equal(world_wait(&f->w, &d), SPOOL_FAILED);
		assert_int_equal(d.code, ERR_NOSPACE);
	}
	f->w.disk.ops->close(f->w.disk.self, fd);
	f->w.disk.ops->unlink(f->w.disk.self, "ballast");
	world_turns(&f->w, 20);
	assert_int_equal(files(f, "msg-").count, 0);
}

static bool is_ready(void *ctx)
{
	return ((struct world *)ctx)->ready;
}

static void test_opening_waits_for_a_full_disk(void **state)
{
	struct fixture *f = *state;
	uint64_t id = put(f, 1000);
	world_close(&f->w);
	int fd = ballast(f, 0);
	world_open(&f->w);
	assert_false(f->w.ready);
	assert_int_not_equal(f->w.health, SPOOL_HEALTHY);
	f->w.disk.ops->close(f->w.disk.self, fd);
	f->w.disk.ops->unlink(f->w.disk.self, "ballast");
	f->w.disk.ops->fsync_dir(f->w.disk.self, ".");
	assert_true(sim_run_until(f->w.loop, is_ready, &f->w, 10000));
	assert_true(sim_run_until(f->w.loop, healthy, &f->w, 10000));
	check(f, id, 1000);
	put(f, 2000);
}

static void test_slow_disk_stops_nothing_else(void **state)
{
	struct fixture *f = *state;
	struct world_done d;
	char envelope[64];
	uint64_t id = put(f, 1000);
	sim_set_worker_delay(f->w.loop, 2000);
	world_commit(world_message(&f->w, spool_next_id(f->w.spool), 1, SLICE_LIT("e"), SLICE_LIT("c")), &d);
	uint64_t now = loop_now(f->w.loop);
	assert_int_equal(world_read(&f->w, id, envelope), ERR_OK);
	check(f, id, 1000);
	assert_int_equal(loop_now(f->w.loop), now);
	assert_false(d.done);
	assert_int_equal(world_wait(&f->w, &d), SPOOL_COMMITTED);
	sim_set_worker_delay(f->w.loop, 0);
}

/* Whatever allocation fails: an answer comes, and what is said to be stored is stored. */
static void test_every_allocation_fails(void **state)
{
	struct fixture *f = *state;
	for (size_t n = 0; n < 60; n++) {
		struct world_done d = {0};
		uint64_t id = spool_next_id(f->w.spool);
		struct spool_write *w = NULL;
		struct spool_batch *b = spool_batch_new(f->w.spool);
		mem_fail_after(n);
		enum err e = spool_write_begin(f->w.spool, id, &w, NULL);
		if (!e)
			e = spool_write_append(w, SLICE_LIT("content"));
		if (!e)
			e = spool_write_finish(w, 3, SLICE_LIT("e"), SLICE_LIT("edits"));
		if (!e)
			e = spool_batch_message(b, w, SLICE_LIT("verdict"), false);
		if (e && w)
			spool_write_abort(w);
		if (!e)
			e = spool_batch_result(b, id, 1, SPOOL_DEFERRED, SLICE_LIT("r"));
		if (e) {
			mem_fail_after(SIZE_MAX);
			assert_true(e == ERR_NOMEM);
			spool_batch_abort(b);
			continue;
		}
		world_commit(b, &d);
		enum spool_outcome o = world_wait(&f->w, &d);
		mem_fail_after(SIZE_MAX);
		if (o == SPOOL_COMMITTED)
			world_check_content(&f->w, id, SLICE_LIT("content"));
		else
			assert_int_equal(spool_lend(f->w.spool, id, &(struct spool_loan){0}, NULL),
					 ERR_NOTFOUND);
	}
	world_turns(&f->w, 2000);
	reopen(f);
	assert_int_equal(f->w.report.damaged, 0);
}

/* ---- rot ---- */

static void test_damage_in_the_middle_is_set_aside(void **state)
{
	struct fixture *f = *state;
	uint64_t a = put(f, 1000), b = put(f, 1001), c = put(f, 1002);
	struct search seg = files(f, "seg-");
	char needle[32];
	snprintf(needle, sizeof(needle), "%x:0\r\n", 1001);
	uint64_t at = offset_of(f, seg.name, needle);
	/* Without the checkpoint that a clean end writes: the records themselves are read again. */
	sim_disk_cut_at(f->sim, sim_disk_ops(f->sim) + 1);
	world_close(&f->w);
	sim_disk_reboot(f->sim, 1);
	assert_int_equal(sim_disk_damage(f->sim, seg.name, at + 500, 0x40), 0);
	world_open(&f->w);
	assert_int_equal(f->w.error, ERR_OK);
	assert_int_equal(f->w.report.damaged, 1);
	assert_int_equal(files(f, "bad-").count, 1);
	assert_null(world_find(&f->w, b));
	check(f, a, 1000);
	check(f, c, 1002);
}

static void test_damaged_record_behind_a_checkpoint(void **state)
{
	struct fixture *f = *state;
	uint64_t a = put(f, 1000), b = world_put(&f->w, 1, "to be damaged", SLICE_LIT("content"));
	struct search seg = files(f, "seg-");
	uint64_t at = offset_of(f, seg.name, "to be damaged");
	world_close(&f->w);
	assert_int_equal(sim_disk_damage(f->sim, seg.name, at, 1), 0);
	world_open(&f->w);
	assert_int_equal(f->w.report.damaged, 1);
	assert_null(world_find(&f->w, b));
	check(f, a, 1000);
	assert_int_equal(f->w.report.live, 1);
}

static void test_either_copy_of_the_header_serves(void **state)
{
	struct fixture *f = *state;
	uint64_t id = put(f, 1000);
	struct search seg = files(f, "seg-");
	world_close(&f->w);
	assert_int_equal(sim_disk_damage(f->sim, seg.name, 20, 0xff), 0);
	world_open(&f->w);
	check(f, id, 1000);
	world_close(&f->w);
	assert_int_equal(sim_disk_damage(f->sim, seg.name, 2048 + 20, 0xff), 0);
	world_open(&f->w); /* now it is lost, but nothing else is */
	assert_int_equal(f->w.error, ERR_OK);
	assert_true(f->w.report.damaged > 0);
	assert_int_equal(files(f, "bad-").count, 1);
	put(f, 2000);
}

/* The octets of a whole segment with records in it, as the body of a mail, and then damage before it. */
static void test_records_in_a_mail_are_not_records(void **state)
{
	struct fixture *f = *state;
	static char forged[30000];
	const struct disk *d = &f->w.disk;
	uint64_t real = put(f, 1000);
	struct search seg = files(f, "seg-");
	int fd = d->ops->open(d->self, seg.name, O_RDONLY, 0);
	ssize_t n = d->ops->pread(d->self, fd, forged, sizeof(forged), 4096);
	d->ops->close(d->self, fd);
	assert_true(n > 1000);
	uint64_t mail = world_put(&f->w, 1, "forger", slice_of(forged, (size_t)n)), last = put(f, 1002);
	uint64_t at = offset_of(f, seg.name, "forger");
	sim_disk_cut_at(f->sim, sim_disk_ops(f->sim) + 1);
	world_close(&f->w);
	sim_disk_reboot(f->sim, 1);
	assert_int_equal(sim_disk_damage(f->sim, seg.name, at, 1), 0);
	world_open(&f->w);
	assert_int_equal(f->w.report.damaged, 1);
	assert_int_equal(f->w.live_count, 2);
	assert_null(world_find(&f->w, mail));
	check(f, real, 1000);
	check(f, last, 1002);
}

static void test_newer_format_is_refused(void **state)
{
	struct fixture *f = *state;
	world_close(&f->w);
	/* A segment of format 3, made by hand: its checksum is right. */
	static const unsigned char head[72] = {'T', 'I', 'D', 'E', 'S', 'E', 'G', '\n', 3};
	const struct disk *d = &f->w.disk;
	struct buf b;
	buf_init(&b, 4096);
	buf_add_mem(&b, head, 64);
	buf_add_u64(&b, XXH3_64bits(b.data, b.len));
	buf_add_zero(&b, 4096 - b.len);
	int fd = d->ops->open(d->self, "seg-0000000000000900", O_RDWR | O_CREAT, 0600);
	struct iovec iov = {b.data, b.len};
	assert_int_equal(d->ops->pwritev(d->self, fd, &iov, 1, 0), 4096);
	d->ops->close(d->self, fd);
	buf_done(&b);
	world_open(&f->w);
	assert_int_equal(f->w.error, ERR_UNSUPPORTED);
	assert_non_null(strstr(f->w.why.text, "format 3"));
	assert_non_null(strstr(f->w.why.text, "up to 2"));
}

static void test_second_process_is_refused(void **state)
{
	struct fixture *f = *state;
	struct world *other = NEW(struct world);
	other->loop = f->w.loop;
	other->disk = f->w.disk;
	other->options = f->w.options;
	world_open(other);
	assert_int_equal(other->error, ERR_BUSY);
	world_close(other);
	mem_free(other);
	put(f, 1000);
}

/* ---- giving back ---- */

static void finish(struct fixture *f, uint64_t id)
{
	assert_int_equal(world_result(&f->w, id, 0, SPOOL_DELIVERED, "250"), SPOOL_COMMITTED);
}

static void test_finished_segments_go(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 60; i++)
		finish(f, put(f, 8000));
	sim_run_for(f->w.loop, 20000);
	assert_true(files(f, "seg-").count <= 3);
	assert_int_equal(f->w.health, SPOOL_HEALTHY);
	reopen(f);
	assert_int_equal(f->w.live_count, 0);
}

static void test_a_live_message_keeps_its_segment(void **state)
{
	struct fixture *f = *state;
	uint64_t id = put(f, 1234);
	struct search seg = files(f, "seg-");
	for (int i = 0; i < 20; i++)
		finish(f, put(f, 8000));
	sim_run_for(f->w.loop, 5000);
	assert_string_equal(files(f, "seg-").name, seg.name);
	check(f, id, 1234);
	finish(f, id);
	for (int i = 0; i < 20; i++)
		finish(f, put(f, 8000));
	sim_run_for(f->w.loop, 20000);
	assert_string_not_equal(files(f, "seg-").name, seg.name);
}

static uint64_t moved(const struct fixture *f)
{
	struct spool_stats st;
	spool_stats(f->w.spool, &st);
	return st.moved;
}

#define SAID_MAX 8000

/* Verdicts about one message, numbered; one every `gap` ms until it has moved. Returns the last that was acknowledged. */
static unsigned talk_until_moved(struct fixture *f, uint64_t id, uint64_t gap)
{
	static struct world_done done[SAID_MAX];
	uint64_t next = 0;
	unsigned said = 0, acknowledged = 0;
	for (unsigned i = 0; i < 20000 && moved(f) == 0; i++) {
		if (said < SAID_MAX && loop_now(f->w.loop) >= next) {
			char text[32];
			struct spool_batch *b = spool_batch_new(f->w.spool);
			snprintf(text, sizeof(text), "%u", said);
			assert_int_equal(spool_batch_verdict(b, id, slice_str(text)), ERR_OK);
			world_commit(b, &done[said++]);
			next = loop_now(f->w.loop) + gap;
		}
		loop_turn(f->w.loop, 1);
	}
	assert_int_equal(moved(f), 1);
	while (acknowledged + 1 < said && done[acknowledged + 1].done)
		acknowledged++;
	return acknowledged;
}

/* The power goes right after a message was copied about which more and more was said. */
static void test_a_copy_misses_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t recovered;
	for (uint64_t gap = 5; gap <= 16; gap++) {
		f->w.options.keep.archive_ms = 3600000;
		reopen(f);
		uint64_t id = put(f, 500);
		for (int i = 0; i < 40; i++)
			finish(f, put(f, 9000));
		sim_jump_wall(f->w.loop, 2 * 3600000);
		sim_set_worker_delay(f->w.loop, 1 + gap % 2);
		unsigned acknowledged = talk_until_moved(f, id, gap);
		sim_disk_cut_at(f->sim, sim_disk_ops(f->sim) + 1);
		world_close(&f->w);
		sim_disk_reboot(f->sim, gap);
		sim_set_worker_delay(f->w.loop, 0);
		world_open(&f->w);
		assert_int_equal(f->w.live_count, 1);
		assert_int_equal(slice_to_u64(slice_str(f->w.live[0].verdict), SAID_MAX, &recovered), ERR_OK);
		assert_true(recovered >= acknowledged);
		finish(f, id);
	}
}

/* Until no segment lies before the one that is active and its neighbour. */
static bool wait_for_segments(struct fixture *f, size_t n)
{
	for (unsigned i = 0; i < 2000 && files(f, "seg-").count > n; i++)
		loop_turn(f->w.loop, 1000);
	return files(f, "seg-").count <= n;
}

/* One long-lived message with results, a verdict and a hold among many finished ones, and a large one. */
static void test_live_messages_move_out_of_old_segments(void **state)
{
	struct fixture *f = *state;
	struct world_done d;
	CLEANUP(buf_done) struct buf b;
	world_fill(&b, 77, 5000);
	uint64_t old = world_put(&f->w, 4, "old", buf_slice(&b)), big = put(f, 50000);
	world_result(&f->w, old, 1, SPOOL_DEFERRED, "later");
	world_result(&f->w, old, 2, SPOOL_DELIVERED, "done");
	struct spool_batch *sb = spool_batch_new(f->w.spool);
	assert_int_equal(spool_batch_hold(sb, old, true), ERR_OK);
	assert_int_equal(spool_batch_verdict(sb, old, SLICE_LIT("new verdict")), ERR_OK);
	world_commit(sb, &d);
	assert_int_equal(world_wait(&f->w, &d), SPOOL_COMMITTED);
	for (int i = 0; i < 60; i++)
		finish(f, put(f, 9000));
	assert_true(wait_for_segments(f, 5));
	for (int opened = 0; opened < 2; opened++) {
		world_check_content(&f->w, old, buf_slice(&b));
		check(f, big, 50000);
		reopen(f);
		assert_int_equal(f->w.live_count, 2);
		const struct world_live *l = world_find(&f->w, old);
		assert_non_null(l);
		assert_string_equal(l->envelope, "old");
		assert_string_equal(l->verdict, "new verdict");
		assert_true(l->held);
		assert_int_equal(l->states[0], SPOOL_QUEUED);
		assert_int_equal(l->states[1], SPOOL_DEFERRED);
		assert_string_equal(l->results[1], "later");
		assert_int_equal(l->states[2], SPOOL_DELIVERED);
		assert_string_equal(l->results[2], "done");
	}
	for (uint32_t i = 0; i < 4; i++)
		if (i != 2)
			world_result(&f->w, old, i, SPOOL_DELIVERED, "end");
	reopen(f);
	assert_int_equal(f->w.live_count, 1);
}

static void test_archive_stays_for_its_time(void **state)
{
	struct fixture *f = *state;
	f->w.options.keep.archive_ms = 3600000;
	reopen(f);
	for (int i = 0; i < 30; i++)
		finish(f, put(f, 8000));
	sim_run_for(f->w.loop, 60000);
	unsigned kept = files(f, "seg-").count;
	assert_true(kept > 3);
	sim_run_for(f->w.loop, 3600000);
	put(f, 100);
	sim_run_for(f->w.loop, 10000);
	assert_true(files(f, "seg-").count < kept);
}

static void test_archive_goes_before_mail_is_refused(void **state)
{
	struct fixture *f = *state;
	f->w.options.keep.archive_ms = 3600000;
	f->w.options.disk_reserve = 1 << 20;
	reopen(f);
	for (int i = 0; i < 1500; i++) {
		finish(f, put(f, 8000));
		if (i % 20 == 0)
			sim_run_for(f->w.loop, 5000);
		assert_int_equal(f->w.health, SPOOL_HEALTHY);
	}
}

static void test_large_files_go_with_their_message(void **state)
{
	struct fixture *f = *state;
	uint64_t a = put(f, 100000), b = put(f, 100001);
	assert_int_equal(files(f, "msg-").count, 2);
	finish(f, a);
	sim_run_for(f->w.loop, 130000);
	assert_int_equal(files(f, "msg-").count, 1);
	check(f, b, 100001);
	reopen(f);
	check(f, b, 100001);
}

/* Opening reads nothing of what is finished: rot in it goes unnoticed, and the time is not spent. */
static void test_opening_does_not_read_the_archive(void **state)
{
	struct fixture *f = *state;
	f->w.options.keep.archive_ms = 3600000;
	reopen(f);
	struct search seg = files(f, "seg-");
	uint64_t id = world_put(&f->w, 1, "finished long ago", SLICE_LIT("content"));
	finish(f, id);
	for (int i = 0; i < 30; i++)
		finish(f, put(f, 8000));
	sim_run_for(f->w.loop, 10000);
	struct search all = files(f, "seg-");
	assert_true(all.count > 3);
	seg = all;
	snprintf(seg.name, sizeof(seg.name), "seg-%016x", 2);
	uint64_t at = offset_of(f, seg.name, "finished long ago");
	world_close(&f->w);
	assert_int_equal(sim_disk_damage(f->sim, seg.name, at, 1), 0);
	world_open(&f->w);
	assert_int_equal(f->w.report.damaged, 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_failed_sync_is_unknown_and_ends_the_segment),
		CASE(test_failed_write_is_undone),
		CASE(test_broken_disk_refuses_and_comes_back),
		CASE(test_full_disk_refuses_and_comes_back),
		CASE(test_large_message_on_a_full_disk),
		CASE(test_opening_waits_for_a_full_disk),
		CASE(test_slow_disk_stops_nothing_else),
		CASE(test_every_allocation_fails),
		CASE(test_damage_in_the_middle_is_set_aside),
		CASE(test_damaged_record_behind_a_checkpoint),
		CASE(test_either_copy_of_the_header_serves),
		CASE(test_records_in_a_mail_are_not_records),
		CASE(test_newer_format_is_refused),
		CASE(test_second_process_is_refused),
		CASE(test_finished_segments_go),
		CASE(test_a_live_message_keeps_its_segment),
		CASE(test_live_messages_move_out_of_old_segments),
		CASE(test_a_copy_misses_nothing),
		CASE(test_archive_stays_for_its_time),
		CASE(test_archive_goes_before_mail_is_refused),
		CASE(test_large_files_go_with_their_message),
		CASE(test_opening_does_not_read_the_archive),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
