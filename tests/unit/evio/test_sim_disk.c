/* The simulated disk: what a power cut may do to unsynced data and names, and must never do to synced ones. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "evio/sim.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512

struct fixture {
	struct sim_disk *sd;
	struct disk disk;
};

static int setup(void **state)
{
	static struct fixture f;

	f.sd = sim_disk_new(1, 1 << 20);
	assert_non_null(f.sd);
	f.disk = sim_disk_disk(f.sd);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	sim_disk_free(((struct fixture *)*state)->sd);
	return 0;
}

static int must_open(struct fixture *f, const char *path, int flags)
{
	int fd = f->disk.ops->open(f->disk.self, path, flags, 0600);

	assert_true(fd >= 0);
	return fd;
}

static ssize_t put(struct fixture *f, int fd, const void *p, size_t n, uint64_t at)
{
	struct iovec iov = {(void *)p, n};

	return f->disk.ops->pwritev(f->disk.self, fd, &iov, 1, at);
}

static void must_put(struct fixture *f, int fd, char c, size_t n, uint64_t at)
{
	char block[4 * SECTOR];

	assert_true(n <= sizeof(block));
	memset(block, c, n);
	assert_int_equal(put(f, fd, block, n, at), n);
}

static void must_sync(struct fixture *f, int fd)
{
	assert_int_equal(f->disk.ops->fdatasync(f->disk.self, fd), 0);
}

static void must_sync_dir(struct fixture *f, const char *path)
{
	assert_int_equal(f->disk.ops->fsync_dir(f->disk.self, path), 0);
}

/* Creates a file of one synced sector of 'a' whose name is durable. */
static int durable_file(struct fixture *f, const char *path)
{
	int fd = must_open(f, path, O_RDWR | O_CREAT);

	must_put(f, fd, 'a', SECTOR, 0);
	must_sync(f, fd);
	must_sync_dir(f, ".");
	return fd;
}

static bool exists(struct fixture *f, const char *path)
{
	int fd = f->disk.ops->open(f->disk.self, path, O_RDONLY, 0);

	if (fd < 0)
		return false;
	assert_int_equal(f->disk.ops->close(f->disk.self, fd), 0);
	return true;
}

/* The first sector as 'o' (all old), 'n' (all new), 't' (exactly one half new), '?' (anything else). */
static char sector_after(struct fixture *f, const char *path, char old, char new)
{
	char s[SECTOR];
	int fd = must_open(f, path, O_RDONLY), news[2] = {0, 0};

	assert_int_equal(f->disk.ops->pread(f->disk.self, fd, s, SECTOR, 0), SECTOR);
	f->disk.ops->close(f->disk.self, fd);
	for (size_t i = 0; i < SECTOR; i++) {
		if (s[i] != old && s[i] != new)
			return '?';
		news[i / (SECTOR / 2)] += s[i] == new;
	}
	if (news[0] + news[1] == 0)
		return 'o';
	if (news[0] == SECTOR / 2 && news[1] == SECTOR / 2)
		return 'n';
	return (news[0] == SECTOR / 2) ^ (news[1] == SECTOR / 2) ? 't' : '?';
}

static void test_reads_see_writes_before_any_sync(void **state)
{
	struct fixture *f = *state;
	int fd = must_open(f, "a", O_RDWR | O_CREAT);
	char s[8] = "", hole[4];

	assert_int_equal(put(f, fd, "hello", 5, 5000), 5);
	assert_int_equal(f->disk.ops->pread(f->disk.self, fd, s, sizeof(s), 5000), 5);
	assert_string_equal(s, "hello");
	assert_int_equal(f->disk.ops->pread(f->disk.self, fd, hole, 4, 100), 4);
	assert_memory_equal(hole, "\0\0\0\0", 4);
	assert_int_equal(f->disk.ops->pread(f->disk.self, fd, s, 1, 5005), 0);
}

static void test_unsynced_write_vanishes_tears_or_stays(void **state)
{
	struct fixture *f = *state;
	unsigned seen[128] = {0};

	for (uint64_t seed = 0; seed < 200; seed++) {
		int fd = durable_file(f, "a");

		must_put(f, fd, 'b', SECTOR, 0);
		sim_disk_reboot(f->sd, seed);
		seen[(unsigned)sector_after(f, "a", 'a', 'b')]++;
	}
	assert_int_equal(seen['?'], 0);
	assert_true(seen['o'] > 20);
	assert_true(seen['n'] > 20);
	assert_true(seen['t'] > 5);
}

static void test_synced_write_always_stays(void **state)
{
	struct fixture *f = *state;

	for (uint64_t seed = 0; seed < 200; seed++) {
		int fd = durable_file(f, "a");

		must_put(f, fd, 'b', SECTOR, 0);
		must_put(f, fd, 'b', SECTOR, 80 * SECTOR); /* far behind it, in the same sync */
		must_sync(f, fd);
		/* Neighbours that are not synced must not harm it. */
		must_put(f, fd, 'c', SECTOR, SECTOR);
		sim_disk_reboot(f->sd, seed);
		assert_int_equal(sector_after(f, "a", 'a', 'b'), 'n');
	}
}

static void test_unsynced_size_may_go_back(void **state)
{
	struct fixture *f = *state;
	unsigned short_count = 0, long_count = 0;

	for (uint64_t seed = 0; seed < 100; seed++) {
		int fd = durable_file(f, "a");
		struct disk_stat st;

		assert_int_equal(f->disk.ops->truncate(f->disk.self, fd, SECTOR), 0);
		must_sync(f, fd);
		must_put(f, fd, 'b', 4 * SECTOR, SECTOR);
		sim_disk_reboot(f->sd, seed);
		fd = must_open(f, "a", O_RDONLY);
		assert_int_equal(f->disk.ops->stat(f->disk.self, fd, &st), 0);
		assert_true(st.size == SECTOR || st.size == 5 * SECTOR);
		short_count += st.size == SECTOR;
		long_count += st.size == 5 * SECTOR;
	}
	assert_true(short_count > 10 && long_count > 10);
}

static void test_name_needs_fsync_dir(void **state)
{
	struct fixture *f = *state;
	unsigned gone = 0;

	for (uint64_t seed = 0; seed < 100; seed++) {
		int fd = must_open(f, "new", O_RDWR | O_CREAT);

		must_put(f, fd, 'a', SECTOR, 0);
		must_sync(f, fd);
		sim_disk_reboot(f->sd, seed);
		gone += !exists(f, "new");
		if (exists(f, "new"))
			assert_int_equal(f->disk.ops->unlink(f->disk.self, "new"), 0);
		must_sync_dir(f, ".");
	}
	assert_in_range(gone, 10, 90);
	durable_file(f, "new");
	for (uint64_t seed = 0; seed < 100; seed++) {
		sim_disk_reboot(f->sd, seed);
		assert_true(exists(f, "new"));
	}
}

static void test_rename_is_atomic(void **state)
{
	struct fixture *f = *state;
	unsigned after = 0, before = 0;

	for (uint64_t seed = 0; seed < 100; seed++) {
		int fd = must_open(f, "old", O_RDWR | O_CREAT);

		must_put(f, fd, 'a', SECTOR, 0);
		must_sync(f, fd);
		fd = must_open(f, "tmp", O_RDWR | O_CREAT);
		must_put(f, fd, 'b', SECTOR, 0);
		must_sync(f, fd);
		must_sync_dir(f, ".");
		assert_int_equal(f->disk.ops->rename(f->disk.self, "tmp", "old"), 0);
		sim_disk_reboot(f->sd, seed);
		/* Either both names as before, or one with the new content: never none, never a mixture. */
		if (exists(f, "tmp")) {
			assert_int_equal(sector_after(f, "old", 'a', 'b'), 'o');
			before++;
			assert_int_equal(f->disk.ops->unlink(f->disk.self, "tmp"), 0);
		} else {
			assert_int_equal(sector_after(f, "old", 'a', 'b'), 'n');
			after++;
		}
		assert_int_equal(f->disk.ops->unlink(f->disk.self, "old"), 0);
		must_sync_dir(f, ".");
	}
	assert_true(before > 10 && after > 10);
}

static void test_unlink_may_come_back_until_synced(void **state)
{
	struct fixture *f = *state;
	unsigned back = 0;

	for (uint64_t seed = 0; seed < 100; seed++) {
		durable_file(f, "a");
		assert_int_equal(f->disk.ops->unlink(f->disk.self, "a"), 0);
		assert_false(exists(f, "a"));
		sim_disk_reboot(f->sd, seed);
		if (exists(f, "a")) {
			assert_int_equal(sector_after(f, "a", 'a', 'b'), 'o');
			back++;
		}
	}
	assert_in_range(back, 10, 90);
}

static void test_directories(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->disk.ops->mkdir(f->disk.self, "d", 0700), 0);
	assert_int_equal(f->disk.ops->mkdir(f->disk.self, "d", 0700), -EEXIST);
	must_open(f, "d/x", O_RDWR | O_CREAT);
	must_sync_dir(f, "d"); /* the name in d is durable, but not d's own */
	must_sync_dir(f, ".");
	for (uint64_t seed = 0; seed < 20; seed++) {
		sim_disk_reboot(f->sd, seed);
		assert_true(exists(f, "d/x"));
	}
	assert_int_equal(f->disk.ops->open(f->disk.self, "d/../d/x", O_RDONLY, 0), -EINVAL);
	assert_int_equal(f->disk.ops->open(f->disk.self, "/d", O_RDONLY, 0), -EINVAL);
	assert_int_equal(f->disk.ops->open(f->disk.self, "d/y", O_RDONLY, 0), -ENOENT);
	assert_int_equal(f->disk.ops->open(f->disk.self, "d/x/y", O_RDONLY, 0), -ENOTDIR);
	assert_int_equal(f->disk.ops->open(f->disk.self, "d/x", O_RDWR | O_CREAT | O_EXCL, 0), -EEXIST);
}

static void test_cut_stops_everything_at_its_operation(void **state)
{
	struct fixture *f = *state;
	int fd = durable_file(f, "a");
	char c;

	sim_disk_cut_at(f->sd, sim_disk_ops(f->sd) + 2);
	must_put(f, fd, 'b', SECTOR, 0);
	assert_int_equal(put(f, fd, "x", 1, 0), -EIO);
	assert_int_equal(f->disk.ops->fdatasync(f->disk.self, fd), -EIO);
	assert_int_equal(f->disk.ops->pread(f->disk.self, fd, &c, 1, 0), -EIO);
	assert_int_equal(f->disk.ops->open(f->disk.self, "a", O_RDONLY, 0), -EIO);
	sim_disk_reboot(f->sd, 3);
	assert_int_equal(f->disk.ops->pread(f->disk.self, fd, &c, 1, 0), -EBADF);
	/* Nor does the old number come to mean another file. */
	assert_int_not_equal(must_open(f, "a", O_RDONLY), fd);
	assert_int_equal(f->disk.ops->pread(f->disk.self, fd, &c, 1, 0), -EBADF);
}

static void test_cut_sync_made_nothing_durable(void **state)
{
	struct fixture *f = *state;
	unsigned old = 0;

	for (uint64_t seed = 0; seed < 50; seed++) {
		int fd = durable_file(f, "a");

		must_put(f, fd, 'b', SECTOR, 0);
		sim_disk_cut_at(f->sd, sim_disk_ops(f->sd) + 1);
		assert_int_equal(f->disk.ops->fdatasync(f->disk.self, fd), -EIO);
		sim_disk_reboot(f->sd, seed);
		old += sector_after(f, "a", 'a', 'b') == 'o';
	}
	assert_true(old > 5);
}

static void test_same_seed_same_loss(void **state)
{
	char first[8 * SECTOR], second[8 * SECTOR];

	for (int run = 0; run < 2; run++) {
		struct fixture f = {.sd = sim_disk_new(7, 1 << 20)};
		int fd;

		f.disk = sim_disk_disk(f.sd);
		fd = must_open(&f, "a", O_RDWR | O_CREAT);
		assert_int_equal(f.disk.ops->allocate(f.disk.self, fd, 0, sizeof(first)), 0);
		must_sync(&f, fd);
		must_sync_dir(&f, ".");
		for (int i = 0; i < 8; i++)
			must_put(&f, fd, (char)('a' + i), SECTOR, (uint64_t)i * SECTOR);
		sim_disk_reboot(f.sd, 12345);
		fd = must_open(&f, "a", O_RDONLY);
		assert_int_equal(f.disk.ops->pread(f.disk.self, fd, run ? second : first, sizeof(first), 0),
				 sizeof(first));
		sim_disk_free(f.sd);
	}
	assert_memory_equal(first, second, sizeof(first));
}

static void test_capacity(void **state)
{
	struct sim_disk *sd = sim_disk_new(1, 4 * 4096);
	struct fixture f = {sd, sim_disk_disk(sd)};
	int fd = must_open(&f, "a", O_RDWR | O_CREAT);
	uint64_t free_octets, total;
	struct disk_stat st;

	assert_int_equal(f.disk.ops->allocate(f.disk.self, fd, 0, 3 * 4096), 0);
	assert_int_equal(f.disk.ops->allocate(f.disk.self, fd, 0, 5 * 4096), -ENOSPC);
	assert_int_equal(f.disk.ops->space(f.disk.self, &free_octets, &total), 0);
	assert_int_equal(free_octets, 4096);
	assert_int_equal(total, 4 * 4096);
	assert_int_equal(f.disk.ops->stat(f.disk.self, fd, &st), 0);
	assert_int_equal(st.size, 3 * 4096); /* the failed call changed nothing */
	assert_int_equal(st.allocated, 3 * 4096);
	assert_int_equal(put(&f, fd, "x", 1, 4 * 4096), 1);
	assert_int_equal(put(&f, fd, "x", 1, 5 * 4096), -ENOSPC);
	/* Its space comes back once its name is durably gone and the last descriptor closed. */
	assert_int_equal(f.disk.ops->unlink(f.disk.self, "a"), 0);
	must_sync_dir(&f, ".");
	assert_int_equal(f.disk.ops->space(f.disk.self, &free_octets, &total), 0);
	assert_int_equal(free_octets, 0);
	assert_int_equal(f.disk.ops->close(f.disk.self, fd), 0);
	assert_int_equal(f.disk.ops->space(f.disk.self, &free_octets, &total), 0);
	assert_int_equal(free_octets, 4 * 4096);
	sim_disk_free(sd);
}

static void test_injected_failures(void **state)
{
	struct fixture *f = *state;
	int fd = durable_file(f, "a");

	sim_disk_fail(f->sd, SIM_WRITE, 2, ENOSPC, false);
	must_put(f, fd, 'b', SECTOR, 0);
	assert_int_equal(put(f, fd, "x", 1, 0), -ENOSPC);
	must_put(f, fd, 'b', SECTOR, 0);
	sim_disk_fail(f->sd, SIM_OPEN | SIM_DIR, 1, EMFILE, true);
	assert_int_equal(f->disk.ops->open(f->disk.self, "a", O_RDONLY, 0), -EMFILE);
	assert_int_equal(f->disk.ops->unlink(f->disk.self, "a"), -EMFILE);
	sim_disk_fail(f->sd, 0, 0, 0, false);
	assert_true(exists(f, "a"));
}

static void test_after_a_failed_sync_the_next_one_lies(void **state)
{
	struct fixture *f = *state;
	unsigned lost = 0;

	for (uint64_t seed = 0; seed < 50; seed++) {
		int fd = durable_file(f, "a");

		must_put(f, fd, 'b', SECTOR, 0);
		sim_disk_fail(f->sd, SIM_SYNC, 1, EIO, false);
		assert_int_equal(f->disk.ops->fdatasync(f->disk.self, fd), -EIO);
		must_sync(f, fd); /* reports success, as Linux does, and has written nothing */
		sim_disk_reboot(f->sd, seed);
		lost += sector_after(f, "a", 'a', 'b') == 'o';
	}
	assert_true(lost > 5);
	/* Writing again is what helps. */
	for (uint64_t seed = 0; seed < 50; seed++) {
		int fd = durable_file(f, "a");

		must_put(f, fd, 'b', SECTOR, 0);
		sim_disk_fail(f->sd, SIM_SYNC, 1, EIO, false);
		assert_int_equal(f->disk.ops->fdatasync(f->disk.self, fd), -EIO);
		must_put(f, fd, 'b', SECTOR, 0);
		must_sync(f, fd);
		sim_disk_reboot(f->sd, seed);
		assert_int_equal(sector_after(f, "a", 'a', 'b'), 'n');
	}
}

static void test_damage_hits_the_durable_octet(void **state)
{
	struct fixture *f = *state;
	char c[2];
	int fd = durable_file(f, "a");

	assert_int_equal(sim_disk_damage(f->sd, "a", 1, 0x20), 0);
	assert_int_equal(f->disk.ops->pread(f->disk.self, fd, c, 2, 0), 2);
	assert_memory_equal(c, "aA", 2);
	assert_int_equal(sim_disk_damage(f->sd, "a", SECTOR, 1), -EINVAL);
	assert_int_equal(sim_disk_damage(f->sd, "b", 0, 1), -ENOENT);
}

static void test_lock_is_exclusive_until_closed(void **state)
{
	struct fixture *f = *state;
	int a = must_open(f, "l", O_RDWR | O_CREAT), b = must_open(f, "l", O_RDWR);

	assert_int_equal(f->disk.ops->lock(f->disk.self, a), 0);
	assert_int_equal(f->disk.ops->lock(f->disk.self, a), 0);
	assert_int_equal(f->disk.ops->lock(f->disk.self, b), -EWOULDBLOCK);
	assert_int_equal(f->disk.ops->close(f->disk.self, a), 0);
	assert_int_equal(f->disk.ops->lock(f->disk.self, b), 0);
}

static void test_reopen_readonly_is_a_sealed_snapshot(void **state)
{
	struct fixture *f = *state;
	int fd = durable_file(f, "a"), loan = f->disk.ops->reopen_readonly(f->disk.self, "a");
	char s[SECTOR];

	assert_true(loan >= 0);
	must_put(f, fd, 'b', SECTOR, 0);
	assert_int_equal(pread(loan, s, sizeof(s), 0), SECTOR);
	assert_int_equal(s[0], 'a');
	assert_int_equal(pwrite(loan, "x", 1, 0), -1);
	assert_int_equal(ftruncate(loan, 0), -1);
	close(loan);
	assert_int_equal(f->disk.ops->reopen_readonly(f->disk.self, "none"), -ENOENT);
}

static bool count_two(void *ctx, const char *name)
{
	return ++*(unsigned *)ctx < 2;
}

static void test_list_names_what_is_there(void **state)
{
	struct fixture *f = *state;
	unsigned count = 0;

	must_open(f, "a", O_RDWR | O_CREAT);
	must_open(f, "b", O_RDWR | O_CREAT);
	must_open(f, "c", O_RDWR | O_CREAT);
	assert_int_equal(f->disk.ops->unlink(f->disk.self, "b"), 0);
	assert_int_equal(f->disk.ops->list(f->disk.self, ".", count_two, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(f->disk.ops->unlink(f->disk.self, "c"), 0);
	count = 0;
	assert_int_equal(f->disk.ops->list(f->disk.self, ".", count_two, &count), 0);
	assert_int_equal(count, 1);
}

static void test_read_only_descriptors_do_not_write(void **state)
{
	struct fixture *f = *state;
	int fd;

	durable_file(f, "a");
	fd = must_open(f, "a", O_RDONLY);
	assert_int_equal(put(f, fd, "x", 1, 0), -EBADF);
	assert_int_equal(f->disk.ops->truncate(f->disk.self, fd, 0), -EBADF);
	assert_int_equal(f->disk.ops->close(f->disk.self, fd), 0);
	assert_int_equal(f->disk.ops->close(f->disk.self, fd), -EBADF);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reads_see_writes_before_any_sync),
		TEST(test_unsynced_write_vanishes_tears_or_stays),
		TEST(test_synced_write_always_stays),
		TEST(test_unsynced_size_may_go_back),
		TEST(test_name_needs_fsync_dir),
		TEST(test_rename_is_atomic),
		TEST(test_unlink_may_come_back_until_synced),
		TEST(test_directories),
		TEST(test_cut_stops_everything_at_its_operation),
		TEST(test_cut_sync_made_nothing_durable),
		TEST(test_same_seed_same_loss),
		TEST(test_capacity),
		TEST(test_injected_failures),
		TEST(test_after_a_failed_sync_the_next_one_lies),
		TEST(test_damage_hits_the_durable_octet),
		TEST(test_lock_is_exclusive_until_closed),
		TEST(test_reopen_readonly_is_a_sealed_snapshot),
		TEST(test_list_names_what_is_there),
		TEST(test_read_only_descriptors_do_not_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
