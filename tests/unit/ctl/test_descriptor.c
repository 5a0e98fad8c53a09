#include "ctl/descriptor.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int fds[2];

static int set_up(void **state)
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds);
}

static int tear_down(void **state)
{
	base_close(&fds[0]);
	base_close(&fds[1]);
	return 0;
}

static void test_passes(void **state)
{
	int file = -1, p[2];
	char c = 'x';

	assert_int_equal(ctl_descriptor_receive(fds[1], &file, NULL), ERR_AGAIN);
	assert_int_equal(pipe2(p, O_NONBLOCK), 0);
	assert_int_equal(ctl_descriptor_send(fds[0], p[1], NULL), ERR_OK);
	close(p[1]);
	assert_int_equal(ctl_descriptor_receive(fds[1], &file, NULL), ERR_OK);
	assert_int_equal(write(file, &c, 1), 1);
	assert_int_equal(read(p[0], &c, 1), 1);
	assert_int_equal(ctl_descriptor_receive(fds[1], &file, NULL), ERR_AGAIN);
	base_close(&file);
	assert_int_equal(read(p[0], &c, 1), 0); /* no copy of it is left */
	close(p[0]);
}

static void test_nothing_else(void **state)
{
	int file = -1;
	struct diag d = {0};

	assert_int_equal(write(fds[0], "x", 1), 1);
	assert_int_equal(ctl_descriptor_receive(fds[1], &file, &d), ERR_CORRUPT);
	base_close(&fds[0]);
	assert_int_equal(ctl_descriptor_receive(fds[1], &file, &d), ERR_CLOSED);
	assert_int_equal(file, -1);
	assert_true(ctl_descriptor_send(fds[1], 0, &d) < 0);
}

/* What is too much is closed, not leaked. */
static void test_several(void **state)
{
	_Alignas(struct cmsghdr) char space[CMSG_SPACE(8 * sizeof(int))] = {0};
	int p[2], many[8], file = -1;
	char c = 0;
	struct iovec iov = {&c, 1};

	assert_int_equal(pipe2(p, O_NONBLOCK), 0);
	for (unsigned count = 2; count <= 8; count += 6) { /* within the room for them, and beyond */
		struct msghdr m = {.msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = space,
				   .msg_controllen = CMSG_SPACE(count * sizeof(int))};
		struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(count * sizeof(int));
		for (unsigned i = 0; i < count; i++)
			many[i] = p[1];
		memcpy(CMSG_DATA(h), many, count * sizeof(int));
		assert_int_equal(sendmsg(fds[0], &m, 0), 1);
		assert_int_equal(ctl_descriptor_receive(fds[1], &file, NULL), ERR_CORRUPT);
		assert_int_equal(file, -1);
	}
	close(p[1]);
	assert_int_equal(read(p[0], &c, 1), 0);
	close(p[0]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {TEST(test_passes), TEST(test_nothing_else), TEST(test_several)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
