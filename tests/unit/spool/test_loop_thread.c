/* The loop's thread never calls the disk: a real disk behind a table that looks who calls. Only descriptors are closed
 * there; the files behind them have names then, so that closing gives nothing back.
 */
#include "world.h"

#include "core/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct guard {
	struct disk disk;
	pthread_t loop;
	atomic_uint on_loop, elsewhere;
};

static const struct disk *through(void *self)
{
	struct guard *g = self;
	if (pthread_equal(pthread_self(), g->loop))
		g->on_loop++;
	else
		g->elsewhere++;
	return &g->disk;
}

#define THROUGH(op, ...)                                                                                     \
	const struct disk *d = through(self);                                                                \
	return d->ops->op(d->self, __VA_ARGS__)

static int guard_open(void *self, const char *path, int flags, unsigned mode)
{
	THROUGH(open, path, flags, mode);
}
static int guard_close(void *self, int fd)
{
	struct guard *g = self;
	return g->disk.ops->close(g->disk.self, fd);
}
static ssize_t guard_pread(void *self, int fd, void *p, size_t n, uint64_t offset)
{
	THROUGH(pread, fd, p, n, offset);
}
static ssize_t guard_pwritev(void *self, int fd, const struct iovec *iov, int n, uint64_t offset)
{
	THROUGH(pwritev, fd, iov, n, offset);
}
static int guard_fdatasync(void *self, int fd)
{
	THROUGH(fdatasync, fd);
}
static int guard_fsync_dir(void *self, const char *path)
{
	THROUGH(fsync_dir, path);
}
static int guard_allocate(void *self, int fd, uint64_t offset, uint64_t n)
{
	THROUGH(allocate, fd, offset, n);
}
static int guard_truncate(void *self, int fd, uint64_t size)
{
	THROUGH(truncate, fd, size);
}
static int guard_rename(void *self, const char *from, const char *to)
{
	THROUGH(rename, from, to);
}
static int guard_unlink(void *self, const char *path)
{
	THROUGH(unlink, path);
}
static int guard_mkdir(void *self, const char *path, unsigned mode)
{
	THROUGH(mkdir, path, mode);
}
static int guard_stat(void *self, int fd, struct disk_stat *ret)
{
	THROUGH(stat, fd, ret);
}
static int guard_list(void *self, const char *path, bool (*fn)(void *ctx, const char *name), void *ctx)
{
	THROUGH(list, path, fn, ctx);
}
static int guard_space(void *self, uint64_t *ret_free, uint64_t *ret_total)
{
	THROUGH(space, ret_free, ret_total);
}
static int guard_lock(void *self, int fd)
{
	THROUGH(lock, fd);
}
static int guard_reopen_readonly(void *self, const char *path)
{
	THROUGH(reopen_readonly, path);
}

static const struct disk_ops guard_ops = {
	.open = guard_open,
	.close = guard_close,
	.pread = guard_pread,
	.pwritev = guard_pwritev,
	.fdatasync = guard_fdatasync,
	.fsync_dir = guard_fsync_dir,
	.allocate = guard_allocate,
	.truncate = guard_truncate,
	.rename = guard_rename,
	.unlink = guard_unlink,
	.mkdir = guard_mkdir,
	.stat = guard_stat,
	.list = guard_list,
	.space = guard_space,
	.lock = guard_lock,
	.reopen_readonly = guard_reopen_readonly,
};

static void remove_all(const char *path)
{
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));)
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(path);
}

static uint64_t put(struct world *w, size_t n)
{
	CLEANUP(buf_done) struct buf b;
	world_fill(&b, n, n);
	return world_put(w, 2, "e", buf_slice(&b));
}

static void check(struct world *w, uint64_t id, size_t n)
{
	CLEANUP(buf_done) struct buf b;
	world_fill(&b, n, n);
	world_check_content(w, id, buf_slice(&b));
}

/* Enough to fill segments, to move what lives long, to remove and to lend. */
static void use(struct world *w)
{
	uint64_t old = put(w, 3000), large = put(w, 50000);
	for (unsigned i = 0; i < 60; i++) {
		uint64_t id = put(w, 9000 + i);
		check(w, id, 9000 + i);
		assert_int_equal(world_result(w, id, 0, SPOOL_DELIVERED, "d"), SPOOL_COMMITTED);
		assert_int_equal(world_result(w, id, 1, SPOOL_DELIVERED, "d"), SPOOL_COMMITTED);
	}
	world_result(w, old, 0, SPOOL_DEFERRED, "later");
	check(w, old, 3000);
	check(w, large, 50000);
	world_close(w);
	world_open(w);
	assert_int_equal(w->live_count, 2);
	check(w, old, 3000);
	check(w, large, 50000);
	world_close(w);
}

static void test_the_loop_never_waits_for_the_disk(void **state)
{
	char dir[] = "/tmp/spool-test-XXXXXX";
	struct world *w = NEW(struct world);
	struct guard g = {.loop = pthread_self()};
	struct diag d;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(loop_epoll_new(&w->loop, &d), ERR_OK);
	assert_int_equal(disk_real_new(open(dir, O_RDONLY | O_DIRECTORY), &g.disk, &d), ERR_OK);
	w->disk = (struct disk){.ops = &guard_ops, .self = &g};
	w->options = (struct spool_options){.segment_size = 64 << 10, .large_threshold = 40 << 10};
	world_open(w);
	assert_int_equal(w->error, ERR_OK);
	use(w);
	assert_int_equal(g.on_loop, 0);
	assert_true(g.elsewhere > 100);
	disk_real_free(&g.disk);
	loop_free(w->loop);
	mem_free(w);
	remove_all(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_loop_never_waits_for_the_disk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
