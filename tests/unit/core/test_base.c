/* A bug stops the process and says where; closing keeps errno. */
#include "core/base.h"

#include "../unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void child_with_bug(int err)
{
	const struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none);
	signal(SIGABRT, SIG_DFL); /* cmocka and sanitizers catch it */
	dup2(err, STDERR_FILENO);
	ASSERT(1 + 1 == 2);
	ASSERT(1 + 1 == 3);
	_exit(0);
}

static void test_assert_aborts(void **state)
{
	int p[2], status;
	char text[256] = {0};
	assert_int_equal(pipe(p), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child_with_bug(p[1]);
	close(p[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(read(p[0], text, sizeof(text) - 1) > 0);
	close(p[0]);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_non_null(strstr(text, "test_base.c:"));
	assert_non_null(strstr(text, ": bug: 1 + 1 == 3\n"));
}

static void test_close(void **state)
{
	int fd = open("/dev/null", O_RDONLY), was = fd;
	assert_true(fd >= 0);
	errno = ENOSPC;
	base_close(&fd);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(fd, -1);
	assert_int_equal(fcntl(was, F_GETFD), -1);

	fd = was; /* closed already: close() sets errno, the caller does not see it */
	errno = ENOSPC;
	base_close(&fd);
	assert_int_equal(errno, ENOSPC);
	base_close(&fd); /* -1: nothing to do */
	assert_int_equal(fd, -1);
}

struct outer {
	int before;
	struct {
		int x;
	} inner;
};

static void test_macros(void **state)
{
	struct outer o = {0};
	int seven[7];
	assert_ptr_equal(CONTAINER_OF(&o.inner, struct outer, inner), &o);
	assert_int_equal(ARRAY_LEN(seven), 7);
	assert_int_equal(MIN(2, 3), 2);
	assert_int_equal(MAX(2, 3), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_assert_aborts),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_macros),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
