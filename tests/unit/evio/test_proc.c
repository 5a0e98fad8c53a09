/* Starting processes: which descriptors arrive where, and what a child inherits. The test starts itself: with
 * arguments it is the child and looks at its own descriptors. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/slice.h"
#include "evio/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Child: descriptor 3 + i must hold the digit i at its start, for each of `count`; nothing else may be open. */
static int check_descriptors(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char c = 0;

		if (pread(PROC_FD_BASE + (int)i, &c, 1, 0) != 1 || c != (char)('0' + i))
			return 10 + (int)i;
	}
	for (int fd = PROC_FD_BASE + (int)count; fd < 200; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return 30;
	return 0;
}

static int check_signals(void)
{
	struct sigaction sa;
	sigset_t mask;
	int death = 0;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	if (sigismember(&mask, SIGUSR1))
		return 40;
	sigaction(SIGPIPE, NULL, &sa);
	if (sa.sa_handler != SIG_DFL)
		return 41;
	prctl(PR_GET_PDEATHSIG, &death);
	return death == SIGKILL ? 0 : 42;
}

static int child(const char *what, const char *count)
{
	uint64_t n = 0;

	if (slice_to_u64(slice_str(count), 9, &n))
		return 50;
	return strcmp(what, "signals") == 0 ? check_signals() : check_descriptors((unsigned)n);
}

static int run(const char *what, const char *count, const int *fds, unsigned nfds)
{
	const char *const argv[] = {"test_proc", "child", what, count, NULL};
	const struct proc_start p = {"/proc/self/exe", argv, fds, nfds};
	struct diag d;
	int status;
	pid_t pid;

	assert_int_equal(proc_start(&p, &pid, &d), ERR_OK);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int digit_file(char c)
{
	int fd = memfd_create("digit", MFD_CLOEXEC);

	assert_int_equal(pwrite(fd, &c, 1, 0), 1);
	return fd;
}

/* Sources and targets overlap in every order: 3,4,5 for targets 5,3,4 and so on. */
static void test_descriptors_arrive_in_any_order(void **state)
{
	static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	int saved[3];

	for (int i = 0; i < 3; i++)
		saved[i] = fcntl(PROC_FD_BASE + i, F_DUPFD_CLOEXEC, 50);
	for (size_t o = 0; o < ARRAY_LEN(orders); o++) {
		int fds[3];

		for (int i = 0; i < 3; i++) {
			int fd = digit_file((char)('0' + i));

			fds[i] = PROC_FD_BASE + orders[o][i];
			if (fd != fds[i]) {
				int high = fcntl(fd, F_DUPFD, 100);

				close(fd);
				fd = high;
			}
			/* Placed one by one: a later one may not disturb an earlier one. */
			assert_int_equal(fd == fds[i] ? fd : dup2(fd, fds[i]), fds[i]);
			if (fd != fds[i])
				close(fd);
		}
		assert_int_equal(run("fds", "3", fds, 3), 0);
	}
	for (int i = 0; i < 3; i++) {
		if (saved[i] >= 0)
			dup2(saved[i], PROC_FD_BASE + i);
		else
			close(PROC_FD_BASE + i);
		close(saved[i]);
	}
}

static void test_nothing_else_is_inherited(void **state)
{
	int leak = fcntl(STDIN_FILENO, F_DUPFD, 60); /* without close-on-exec */

	assert_int_equal(run("fds", "0", NULL, 0), 0);
	close(leak);
}

static void test_one_source_may_be_passed_twice(void **state)
{
	int fds[2] = {digit_file('0'), -1};
	char one = '1';

	fds[1] = fds[0];
	/* The second sees the same content, so the child reports number 1 as wrong: both were mapped. */
	assert_int_equal(run("fds", "2", fds, 2), 11);
	assert_int_equal(pwrite(fds[0], &one, 1, 0), 1);
	assert_int_equal(run("fds", "2", fds, 2), 10);
	close(fds[0]);
}

static void test_signals_are_back_to_default(void **state)
{
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &old);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(run("signals", "0", NULL, 0), 0);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

static void test_failed_exec_is_an_error_here(void **state)
{
	const char *const argv[] = {"none", NULL};
	struct proc_start p = {"/nonexistent/program", argv, NULL, 0};
	struct diag d;
	pid_t pid = 77;

	assert_int_equal(proc_start(&p, &pid, &d), ERR_NOTFOUND);
	assert_non_null(strstr(d.text, "/nonexistent/program"));
	assert_int_equal(pid, 77);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left behind */
	p.nfds = PROC_FDS_MAX + 1;
	assert_int_equal(proc_start(&p, &pid, &d), ERR_LIMIT);
}

static void test_notify_reaches_the_manager(void **state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	socklen_t len;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char name[64], got[32] = "";

	unsetenv("NOTIFY_SOCKET");
	proc_notify("READY=1"); /* silent */
	snprintf(name, sizeof(name), "@tidegate-test-%d", (int)getpid());
	memcpy(un.sun_path, name, strlen(name));
	un.sun_path[0] = '\0';
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	assert_int_equal(bind(fd, (struct sockaddr *)&un, len), 0);
	setenv("NOTIFY_SOCKET", name, 1);
	proc_notify("READY=1");
	assert_int_equal(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT), 7);
	assert_string_equal(got, "READY=1");
	unsetenv("NOTIFY_SOCKET");
	close(fd);
}

static void set_listen(const char *pid, const char *fds)
{
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", fds, 1);
}

static void test_listen_fds_are_only_ours(void **state)
{
	char pid[16];

	unsetenv("LISTEN_PID");
	assert_int_equal(proc_listen_fds(), 0);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	set_listen(pid, "2");
	assert_int_equal(proc_listen_fds(), 2);
	set_listen("1", "2");
	assert_int_equal(proc_listen_fds(), 0);
	set_listen(pid, "-1");
	assert_int_equal(proc_listen_fds(), 0);
	set_listen(pid, "65");
	assert_int_equal(proc_listen_fds(), 0);
	set_listen(pid, "2x");
	assert_int_equal(proc_listen_fds(), 0);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptors_arrive_in_any_order),
		cmocka_unit_test(test_nothing_else_is_inherited),
		cmocka_unit_test(test_one_source_may_be_passed_twice),
		cmocka_unit_test(test_signals_are_back_to_default),
		cmocka_unit_test(test_failed_exec_is_an_error_here),
		cmocka_unit_test(test_notify_reaches_the_manager),
		cmocka_unit_test(test_listen_fds_are_only_ours),
	};

	if (argc == 4 && strcmp(argv[1], "child") == 0)
		return child(argv[2], argv[3]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
