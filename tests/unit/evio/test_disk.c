/* The real disk on a temporary directory: whole reads and writes, and no way out of the directory. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "evio/disk.h"
#include "evio/disk_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
	char top[64];
	struct disk disk;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->top, sizeof(f->top), "/tmp/tidegate-test-XXXXXX");
	assert_non_null(mkdtemp(f->top));
	assert_int_equal(disk_real_new(open(f->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC), &f->disk, NULL),
			 ERR_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = {"a", "b", "d/x", "out", "inside", "fifo"};
	struct fixture *f = *state;
	int dirfd = open(f->top, O_RDONLY | O_DIRECTORY);

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unlinkat(dirfd, names[i], 0);
	unlinkat(dirfd, "d", AT_REMOVEDIR);
	close(dirfd);
	disk_real_free(&f->disk);
	assert_int_equal(rmdir(f->top), 0);
	free(f);
	return 0;
}

static int open_file(struct fixture *f, const char *path, int flags)
{
	return f->disk.ops->open(f->disk.self, path, flags, 0600);
}

static void test_paths(void **state)
{
	char longest[300];

	memset(longest, 'x', 256);
	longest[255] = '\0';
	assert_true(disk_path_ok(longest));
	memset(longest, 'x', 256);
	longest[256] = '\0';
	assert_false(disk_path_ok(longest));
	assert_true(disk_path_ok("."));
	assert_true(disk_path_ok("a/b"));
	assert_true(disk_path_ok("..a/b.."));
	assert_false(disk_path_ok(""));
	assert_false(disk_path_ok("/a"));
	assert_false(disk_path_ok("a/"));
	assert_false(disk_path_ok("a//b"));
	assert_false(disk_path_ok(".."));
	assert_false(disk_path_ok("a/../b"));
}

static void test_vector_is_written_whole_and_read_back(void **state)
{
	struct fixture *f = *state;
	struct iovec iov[3] = {{(char *)"one", 3}, {NULL, 0}, {(char *)"two", 3}};
	int fd = open_file(f, "a", O_RDWR | O_CREAT);
	struct disk_stat st;
	char s[16] = "";

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(f->disk.ops->pwritev(f->disk.self, fd, iov, 3, 2), 6);
	assert_int_equal(f->disk.ops->pread(f->disk.self, fd, s, sizeof(s), 2), 6);
	assert_string_equal(s, "onetwo");
	assert_int_equal(f->disk.ops->fdatasync(f->disk.self, fd), 0);
	assert_int_equal(f->disk.ops->fsync_dir(f->disk.self, "."), 0);
	assert_int_equal(f->disk.ops->stat(f->disk.self, fd, &st), 0);
	assert_int_equal(st.size, 8);
	assert_true(st.mtime_ms > 0);
	assert_int_equal(f->disk.ops->close(f->disk.self, fd), 0);
}

static void test_allocate_extends_and_truncate_cuts(void **state)
{
	struct fixture *f = *state;
	int fd = open_file(f, "a", O_RDWR | O_CREAT);
	struct disk_stat st;

	assert_int_equal(f->disk.ops->allocate(f->disk.self, fd, 0, 100000), 0);
	assert_int_equal(f->disk.ops->stat(f->disk.self, fd, &st), 0);
	assert_int_equal(st.size, 100000);
	assert_true(st.allocated >= 100000);
	assert_int_equal(f->disk.ops->truncate(f->disk.self, fd, 10), 0);
	assert_int_equal(f->disk.ops->stat(f->disk.self, fd, &st), 0);
	assert_int_equal(st.size, 10);
	assert_int_equal(f->disk.ops->close(f->disk.self, fd), 0);
}

static void test_nothing_leads_out(void **state)
{
	struct fixture *f = *state;
	char link[96];

	snprintf(link, sizeof(link), "%s/out", f->top);
	assert_int_equal(symlink("/etc/passwd", link), 0);
	assert_true(open_file(f, "out", O_RDONLY) < 0);
	assert_true(f->disk.ops->reopen_readonly(f->disk.self, "out") < 0);
	assert_int_equal(open_file(f, "/etc/passwd", O_RDONLY), -EINVAL);
	assert_int_equal(open_file(f, "../etc", O_RDONLY), -EINVAL);
	assert_int_equal(f->disk.ops->unlink(f->disk.self, "../x"), -EINVAL);
	assert_int_equal(f->disk.ops->mkdir(f->disk.self, "/x", 0700), -EINVAL);
	assert_int_equal(f->disk.ops->rename(f->disk.self, "out", "../out"), -EINVAL);
	assert_int_equal(f->disk.ops->rename(f->disk.self, "../out", "out"), -EINVAL);
	assert_int_equal(f->disk.ops->fsync_dir(f->disk.self, ".."), -EINVAL);
}

static void test_lock_excludes_another_opener(void **state)
{
	struct fixture *f = *state;
	int a = open_file(f, "a", O_RDWR | O_CREAT), b = open_file(f, "a", O_RDWR);

	assert_int_equal(f->disk.ops->lock(f->disk.self, a), 0);
	assert_int_equal(f->disk.ops->lock(f->disk.self, b), -EWOULDBLOCK);
	f->disk.ops->close(f->disk.self, a);
	assert_int_equal(f->disk.ops->lock(f->disk.self, b), 0);
	f->disk.ops->close(f->disk.self, b);
}

static void test_loan_cannot_write(void **state)
{
	struct fixture *f = *state;
	int fd = open_file(f, "a", O_RDWR | O_CREAT), loan;
	struct iovec iov = {(char *)"x", 1};

	assert_int_equal(f->disk.ops->pwritev(f->disk.self, fd, &iov, 1, 0), 1);
	loan = f->disk.ops->reopen_readonly(f->disk.self, "a");
	assert_true(loan >= 0);
	assert_int_equal(pwrite(loan, "y", 1, 0), -1);
	close(loan);
	f->disk.ops->close(f->disk.self, fd);
}

static bool count(void *ctx, const char *name)
{
	assert_string_not_equal(name, ".");
	assert_string_not_equal(name, "..");
	++*(unsigned *)ctx;
	return true;
}

static void test_names(void **state)
{
	struct fixture *f = *state;
	uint64_t free_octets = 0, total = 0;
	unsigned n = 0;

	assert_int_equal(f->disk.ops->mkdir(f->disk.self, "d", 0700), 0);
	f->disk.ops->close(f->disk.self, open_file(f, "d/x", O_RDWR | O_CREAT));
	f->disk.ops->close(f->disk.self, open_file(f, "a", O_RDWR | O_CREAT));
	assert_int_equal(f->disk.ops->rename(f->disk.self, "a", "b"), 0);
	assert_int_equal(f->disk.ops->unlink(f->disk.self, "a"), -ENOENT);
	assert_int_equal(f->disk.ops->list(f->disk.self, ".", count, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(f->disk.ops->list(f->disk.self, "d", count, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(f->disk.ops->list(f->disk.self, "none", count, &n), -ENOENT);
	assert_int_equal(f->disk.ops->space(f->disk.self, &free_octets, &total), 0);
	assert_true(total > 0 && free_octets <= total);
}

static void test_only_directories_become_disks(void **state)
{
	struct disk disk;
	struct diag d;
	int fd = open("/dev/null", O_RDONLY);

	assert_int_equal(disk_real_new(fd, &disk, &d), ERR_RANGE);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* owned also on failure */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		TEST(test_vector_is_written_whole_and_read_back),
		TEST(test_allocate_extends_and_truncate_cuts),
		TEST(test_nothing_leads_out),
		TEST(test_lock_excludes_another_opener),
		TEST(test_loan_cannot_write),
		TEST(test_names),
		cmocka_unit_test(test_only_directories_become_disks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
