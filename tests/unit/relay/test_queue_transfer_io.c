#include "relay/queue/transfer_io.h"

#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define TURNS 400                                       /* of at most 50 ms: a bound, not a wait */
#define LARGE (TRANSFER_STEP_MAX + TRANSFER_PIECE + 17) /* more than a step, and no whole number of pieces */

static struct loop *loop;
static struct transfer_io io;
static unsigned steps;
static int file;

static void on_step(void *ctx)
{
	assert_ptr_equal(ctx, &io);
	steps++;
}

static void finish(void)
{
	for (int i = 0; i < TURNS && !steps; i++)
		loop_turn(loop, 50);
	assert_int_equal(steps, 1);
	steps = 0;
}

static int set_up(void **state)
{
	steps = 0;
	file = memfd_create("export", MFD_CLOEXEC);
	if (file < 0 || loop_epoll_new(&loop, NULL) < 0)
		return -1;
	return transfer_io_init(&io, loop, dup(file)) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	transfer_io_done(&io);
	transfer_io_done(&io); /* again is fine */
	loop_free(loop);
	close(file);
	return 0;
}

static void again(void)
{
	transfer_io_done(&io);
	assert_int_equal(transfer_io_init(&io, loop, dup(file)), ERR_OK);
}

static int content(size_t n)
{
	int fd = memfd_create("content", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)n + 5), 0);
	char *p = mmap(NULL, n + 5, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (size_t i = 0; i < n + 5; i++)
		p[i] = (char)(i * 7 % 251);
	munmap(p, n + 5);
	return fd;
}

static unsigned write_frame(enum transfer_type type, const char *meta, int from, uint64_t offset,
			    uint64_t length)
{
	unsigned count = 0;
	buf_clear(&io.meta);
	buf_add_str(&io.meta, meta);
	transfer_io_frame(&io, type, from, offset, length);
	do {
		transfer_io_write(&io, on_step, &io);
		finish();
		count++;
	} while (!io.status && io.left);
	return count;
}

static void read_frame(enum transfer_type type, const char *meta, uint64_t length)
{
	transfer_io_read(&io, on_step, &io);
	finish();
	assert_int_equal(io.status, ERR_OK);
	assert_int_equal(io.head.type, type);
	assert_true(slice_eq_str(buf_slice(&io.meta), meta));
	assert_int_equal(io.left, length);
}

/* Every octet of the content, piece by piece; how the last one went. */
static enum err read_content(uint64_t from)
{
	uint64_t at = from;
	while (io.left) {
		transfer_io_piece(&io, on_step, &io);
		finish();
		if (io.status)
			return io.status;
		for (size_t i = 0; i < io.piece.len; i++, at++)
			assert_int_equal((unsigned char)io.piece.ptr[i], at * 7 % 251);
	}
	return ERR_OK;
}

static void write_all(void)
{
	int fd = content(LARGE);
	write_frame(TRANSFER_BEGIN, "begin", -1, 0, 0);
	assert_int_equal(write_frame(TRANSFER_MESSAGE, "large", fd, 5, LARGE), 2);
	assert_int_equal(write_frame(TRANSFER_MESSAGE, "empty", fd, 0, 0), 1);
	write_frame(TRANSFER_END, "end", -1, 0, 0);
	assert_int_equal(io.status, ERR_OK);
	transfer_io_sync(&io, on_step, &io);
	finish();
	assert_int_equal(io.status, ERR_OK);
	close(fd);
}

static void test_there_and_back(void **state)
{
	write_all();
	again();
	read_frame(TRANSFER_BEGIN, "begin", 0);
	read_frame(TRANSFER_MESSAGE, "large", LARGE);
	assert_int_equal(read_content(5), ERR_OK);
	read_frame(TRANSFER_MESSAGE, "empty", 0);
	read_frame(TRANSFER_END, "end", 0);
	transfer_io_read(&io, on_step, &io);
	finish();
	assert_int_equal(io.status, ERR_CLOSED);
}

/* A content that is not read to its end is skipped. */
static void test_skip(void **state)
{
	write_all();
	again();
	read_frame(TRANSFER_BEGIN, "begin", 0);
	read_frame(TRANSFER_MESSAGE, "large", LARGE);
	read_frame(TRANSFER_MESSAGE, "empty", 0);
}

static void damage(off_t at)
{
	char c;
	assert_int_equal(pread(file, &c, 1, at), 1);
	c ^= 1;
	assert_int_equal(pwrite(file, &c, 1, at), 1);
}

static enum err read_first(void)
{
	again();
	transfer_io_read(&io, on_step, &io);
	finish();
	return io.status;
}

static void test_damage(void **state)
{
	write_all();
	damage(3);
	assert_int_equal(read_first(), ERR_CORRUPT);
	damage(3);
	damage(TRANSFER_HEAD + 2);
	assert_int_equal(read_first(), ERR_CORRUPT);
	damage(TRANSFER_HEAD + 2);
	damage(TRANSFER_HEAD + 5 + TRANSFER_HEAD + 5 + LARGE - 1);
	assert_int_equal(read_first(), ERR_OK);
	read_frame(TRANSFER_MESSAGE, "large", LARGE);
	uint64_t last = io.left % TRANSFER_PIECE;
	while (io.left > last) {
		transfer_io_piece(&io, on_step, &io);
		finish();
		assert_int_equal(io.status, ERR_OK);
	}
	transfer_io_piece(&io, on_step, &io);
	finish();
	assert_int_equal(io.status, ERR_CORRUPT);
}

static void test_too_short(void **state)
{
	write_all();
	assert_int_equal(ftruncate(file, TRANSFER_HEAD + 3), 0);
	assert_int_equal(read_first(), ERR_CLOSED);
	assert_int_equal(ftruncate(file, 10), 0);
	assert_int_equal(read_first(), ERR_CLOSED);
	assert_int_equal(ftruncate(file, 0), 0);
	assert_int_equal(read_first(), ERR_CLOSED);
}

static void test_source_too_short(void **state)
{
	int fd = content(100);
	write_frame(TRANSFER_MESSAGE, "m", fd, 0, 1000);
	assert_int_equal(io.status, ERR_IO);
	assert_true(io.source);
	close(fd);
}

static void test_no_room(void **state)
{
	int full = open("/dev/full", O_RDWR | O_CLOEXEC);
	transfer_io_done(&io);
	assert_int_equal(transfer_io_init(&io, loop, full), ERR_OK);
	write_frame(TRANSFER_BEGIN, "begin", -1, 0, 0);
	assert_int_equal(io.status, ERR_IO);
	assert_int_equal(io.errnum, ENOSPC);
	assert_false(io.source);
}

/* Ends while a step is under way: its callback comes inside. */
static void test_done_waits(void **state)
{
	buf_add_str(&io.meta, "x");
	transfer_io_frame(&io, TRANSFER_BEGIN, -1, 0, 0);
	transfer_io_write(&io, on_step, &io);
	transfer_io_done(&io);
	assert_int_equal(steps, 1);
}

static void test_no_memory(void **state)
{
	transfer_io_done(&io);
	for (size_t n = 0; n < 3; n++) {
		int fd = dup(file);
		mem_fail_after(n);
		assert_int_equal(transfer_io_init(&io, loop, fd), ERR_NOMEM);
		mem_fail_after(SIZE_MAX);
		assert_int_equal(fcntl(fd, F_GETFD), -1); /* closed */
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_there_and_back),   TEST(test_skip),    TEST(test_damage),     TEST(test_too_short),
		TEST(test_source_too_short), TEST(test_no_room), TEST(test_done_waits), TEST(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
