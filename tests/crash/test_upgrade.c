/* A spool that an earlier version wrote is opened by this one: tests/data/spool/format-N is what `test_upgrade make DIR`
 * left with format N. Everything live is there, finished messages stay finished, and the spool goes on from there. What
 * a newer version wrote is refused (test_disk_faults.c).
 */
#include "world.h"

#include "core/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LARGE (24u << 10)

struct place {
	struct world w;
	char path[256];
	int fd;
};

static struct place *place_open(const char *path)
{
	struct diag d = {0};
	struct place *p = NEW(struct place); /* too large for a stack */
	snprintf(p->path, sizeof(p->path), "%s", path);
	p->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(p->fd >= 0);
	assert_int_equal(loop_epoll_new(&p->w.loop, &d), ERR_OK);
	assert_int_equal(disk_real_new(dup(p->fd), &p->w.disk, &d), ERR_OK);
	p->w.options = (struct spool_options){.segment_size = 64 << 10,
					      .large_threshold = LARGE - 1,
					      .disk_reserve = 4096,
					      .keep.archive_ms = 3650ull * 24 * 3600 * 1000};
	world_open(&p->w);
	return p;
}

static void place_close(struct place *p)
{
	if (p->w.spool)
		world_close(&p->w);
	disk_real_free(&p->w.disk);
	loop_free(p->w.loop);
	close(p->fd);
	mem_free(p);
}

/* ---- what is written ---- */

static uint64_t put(struct world *w, uint32_t recipients, const char *envelope, size_t n)
{
	CLEANUP(buf_done) struct buf b;
	world_fill(&b, n, n);
	return world_put(w, recipients, envelope, buf_slice(&b));
}

static void hold(struct world *w, uint64_t id)
{
	struct world_done d;
	struct spool_batch *b = spool_batch_new(w->spool);
	assert_int_equal(spool_batch_hold(b, id, true), ERR_OK);
	assert_int_equal(spool_batch_verdict(b, id, SLICE_LIT("second verdict")), ERR_OK);
	world_commit(b, &d);
	assert_int_equal(world_wait(w, &d), SPOOL_COMMITTED);
}

/* Several segments, the first sealed; results in other segments than their messages; one content in its own file. */
static int make(const char *path)
{
	struct place *p = place_open(path);
	struct world *w = &p->w;
	uint64_t partly = put(w, 3, "partly", 3000);
	uint64_t gone = put(w, 1, "gone", 500);
	uint64_t held = put(w, 1, "held", 700);
	put(w, 2, "large", LARGE);
	world_result(w, partly, 1, SPOOL_DELIVERED, "delivered");
	for (int i = 0; i < 3; i++) {
		uint64_t filler = put(w, 1, "filler", 22000 + (size_t)i);
		world_result(w, filler, 0, SPOOL_DELIVERED, "done");
		world_turns(w, 20);
	}
	hold(w, held);
	world_result(w, gone, 0, SPOOL_FAILED_FOR_GOOD, "bounced");
	world_result(w, partly, 2, SPOOL_DEFERRED, "later");
	world_close(w);
	world_open(w);
	put(w, 1, "last", 1000);
	place_close(p);
	return 0;
}

/* ---- what must be found ---- */

static const struct world_live *find(const struct world *w, const char *envelope)
{
	for (size_t i = 0; i < w->live_count; i++)
		if (strcmp(w->live[i].envelope, envelope) == 0)
			return &w->live[i];
	fail_msg("%s is not there", envelope);
	return NULL;
}

static void check_content(struct world *w, const char *envelope, size_t n)
{
	CLEANUP(buf_done) struct buf b;
	world_fill(&b, n, n);
	world_check_content(w, find(w, envelope)->id, buf_slice(&b));
}

static void check(struct world *w)
{
	assert_int_equal(w->error, ERR_OK);
	assert_int_equal(w->report.damaged, 0);
	assert_int_equal(w->live_count, 4);
	const struct world_live *partly = find(w, "partly");
	assert_int_equal(partly->states[0], SPOOL_QUEUED);
	assert_int_equal(partly->states[1], SPOOL_DELIVERED);
	assert_int_equal(partly->states[2], SPOOL_DEFERRED);
	assert_string_equal(partly->results[2], "later");
	assert_string_equal(partly->verdict, "verdict");
	assert_true(find(w, "held")->held);
	assert_string_equal(find(w, "held")->verdict, "second verdict");
	check_content(w, "partly", 3000);
	check_content(w, "held", 700);
	check_content(w, "large", LARGE);
	check_content(w, "last", 1000);
}

static void copy_file(int from_dir, int to_dir, const char *name)
{
	char piece[65536];
	int in = openat(from_dir, name, O_RDONLY), out = openat(to_dir, name, O_WRONLY | O_CREAT, 0600);
	assert_true(in >= 0 && out >= 0);
	for (ssize_t n; (n = read(in, piece, sizeof(piece))) > 0;)
		assert_int_equal(write(out, piece, (size_t)n), n);
	close(in);
	close(out);
}

static void copy_all(const char *from, const char *to)
{
	int from_fd = open(from, O_RDONLY | O_DIRECTORY), to_fd = open(to, O_RDONLY | O_DIRECTORY);
	DIR *d = opendir(from);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.')
			copy_file(from_fd, to_fd, e->d_name);
	closedir(d);
	close(from_fd);
	close(to_fd);
}

static void remove_all(const char *path)
{
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));)
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(path);
}

/* Opened, used, and opened once more. */
static void upgrade(const char *fixture)
{
	char path[] = "/tmp/tidegate-upgrade-XXXXXX";
	assert_non_null(mkdtemp(path));
	copy_all(fixture, path);
	struct place *p = place_open(path);
	check(&p->w);
	uint64_t id = put(&p->w, 1, "new", 2000);
	world_result(&p->w, find(&p->w, "partly")->id, 0, SPOOL_DEFERRED, "later still");
	world_close(&p->w);
	world_open(&p->w);
	assert_int_equal(p->w.live_count, 5);
	assert_non_null(world_find(&p->w, id));
	assert_string_equal(find(&p->w, "partly")->results[0], "later still");
	place_close(p);
	remove_all(path);
}

static void test_format_1(void **state)
{
	upgrade(SPOOL_FIXTURES "/format-1");
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "make") == 0)
		return make(argv[2]);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format_1),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
