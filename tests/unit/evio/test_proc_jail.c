/* The jail, each time in a child of its own: what still works and what no longer does. Without root the change of
 * user and of root is skipped by name. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "evio/proc_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char top[64]; /* a directory that `nobody` may write to */

static int make_top(void **state)
{
	snprintf(top, sizeof(top), "/tmp/tidegate-jail-XXXXXX");
	return mkdtemp(top) && chmod(top, 01777) == 0 ? 0 : -1;
}

static int remove_top(void **state)
{
	char path[80];

	snprintf(path, sizeof(path), "%s/file", top);
	unlink(path);
	return rmdir(top);
}

/* Runs fn in a forked child after the jail; returns the wait status. fn returns the exit status, 0: as expected.
 * Exit status 99: the jail itself failed. */
static int in_jail(const struct proc_jail *j, int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		const char *missing;
		struct diag d;

		if (proc_jail(j, &missing, &d)) {
			fprintf(stderr, "jail: %s\n", d.text);
			_exit(99);
		}
		_exit(fn());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void assert_exit_0(int status)
{
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void need_root(void)
{
	if (geteuid() != 0) {
		print_message("needs root: chroot and change of user\n");
		skip();
	}
}

static bool have_landlock(void)
{
	struct proc_jail none = {0};
	bool present = false;
	pid_t pid = fork();
	int status;

	/* The probe restricts itself, so it is a child too. */
	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		_exit(proc_landlock(&none, -1, &present, NULL) == ERR_OK && present ? 0 : 1);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int check_identity(void)
{
	if (geteuid() == 0 || getegid() == 0 || getgroups(0, NULL) != 0)
		return 1;
	if (setuid(0) == 0 || setgid(0) == 0)
		return 2;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 3;
	if (!PROC_SANITIZED && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 4;
	return access("/etc/passwd", F_OK) == 0 ? 5 : 0;
}

static void test_user_and_root_are_gone(void **state)
{
	const struct proc_jail j = {.user = "nobody", .root = top, .files = true};

	need_root();
	assert_exit_0(in_jail(&j, check_identity));
}

static int check_files_inside(void)
{
	char c;
	int fd = open("/file", O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, "x", 1) != 1 || fdatasync(fd) != 0 || ftruncate(fd, 1) != 0)
		return 1;
	if (rename("/file", "/other") != 0 || rename("/other", "/file") != 0)
		return 2;
	fd = open("/file", O_RDONLY);
	return read(fd, &c, 1) == 1 && c == 'x' && unlink("/file") == 0 ? 0 : 3;
}

static void test_files_work_below_the_new_root(void **state)
{
	const struct proc_jail j = {
		.user = "nobody", .root = top, .files = true, .seccomp = PROC_SECCOMP_KILL};

	need_root();
	assert_exit_0(in_jail(&j, check_files_inside));
}

static int check_no_files(void)
{
	return open("/etc/passwd", O_RDONLY) < 0 && (errno == EACCES || errno == EPERM) ? 0 : 1;
}

static void test_landlock_alone_denies_files(void **state)
{
	const struct proc_jail j = {.seccomp = PROC_SECCOMP_OFF};

	if (!have_landlock()) {
		print_message("needs Landlock in the kernel\n");
		skip();
	}
	assert_exit_0(in_jail(&j, check_no_files));
}

static int check_only_inside(void)
{
	char path[80];
	int fd;

	snprintf(path, sizeof(path), "%s/file", top);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		return 1;
	return open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES ? 0 : 2;
}

static void test_landlock_bounds_files_without_chroot(void **state)
{
	const struct proc_jail j = {.root = top, .files = true};
	int rootfd = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC), status;
	pid_t pid;

	if (!have_landlock()) {
		print_message("needs Landlock in the kernel\n");
		skip();
	}
	pid = fork();
	if (pid == 0) {
		bool present;

		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		_exit(proc_landlock(&j, rootfd, &present, NULL) ? 99 : check_only_inside());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_exit_0(status);
	close(rootfd);
}

static int try_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EPERM ? 0 : 1;
}

static void test_socket_gives_eperm(void **state)
{
	const struct proc_jail j = {.seccomp = PROC_SECCOMP_LOG};

	assert_exit_0(in_jail(&j, try_socket));
}

static void test_socket_kills_where_asked(void **state)
{
	const struct proc_jail j = {.seccomp = PROC_SECCOMP_KILL};
	int status;

	status = in_jail(&j, try_socket);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static int try_network(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
	char c;

	if (bind(a, (struct sockaddr *)&in, sizeof(in)) || getsockname(a, (struct sockaddr *)&in, &len))
		return 1;
	if (connect(b, (struct sockaddr *)&in, len) || send(b, "x", 1, 0) != 1 || recv(a, &c, 1, 0) != 1)
		return 2;
	/* Families that nobody needs stay shut. */
	return socket(AF_NETLINK, SOCK_RAW, 0) < 0 && socket(AF_PACKET, SOCK_RAW, 0) < 0 ? 0 : 3;
}

static void test_network_role_has_internet_only(void **state)
{
	const struct proc_jail j = {.network = true, .seccomp = PROC_SECCOMP_LOG};

	assert_exit_0(in_jail(&j, try_network));
}

static void *thread_main(void *arg)
{
	*(int *)arg = 1;
	return NULL;
}

static int try_thread(void)
{
	pthread_t t;
	int ran = 0;

	if (pthread_create(&t, NULL, thread_main, &ran) != 0)
		return 1;
	pthread_join(t, NULL);
	return ran ? 0 : 2;
}

static int try_no_thread(void)
{
	pthread_t t;
	int ran;

	return pthread_create(&t, NULL, thread_main, &ran) == EPERM ? 0 : 1;
}

static void test_threads_only_where_allowed(void **state)
{
	struct proc_jail j = {.threads = true, .seccomp = PROC_SECCOMP_LOG};

	assert_exit_0(in_jail(&j, try_thread));
	j.threads = false;
	assert_exit_0(in_jail(&j, try_no_thread));
}

static int try_processes_and_code(void)
{
	if (fork() >= 0 || errno != EPERM)
		return 1;
	if (execl("/bin/true", "true", (char *)NULL) >= 0 || errno != EPERM)
		return 2;
	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	    MAP_FAILED)
		return 3;
	return kill(getppid(), 0) < 0 && errno == EPERM ? 0 : 4;
}

static void test_no_process_no_code_no_signal(void **state)
{
	const struct proc_jail j = {
		.threads = true, .files = true, .network = true, .accept = true, .seccomp = PROC_SECCOMP_LOG};

	assert_exit_0(in_jail(&j, try_processes_and_code));
}

static int do_nothing(void)
{
	return 0;
}

static void test_unknown_user_and_root_are_refused(void **state)
{
	struct proc_jail j = {.user = "no-such-user-here"};

	assert_int_equal(WEXITSTATUS(in_jail(&j, do_nothing)), 99);
	j.user = "root";
	assert_int_equal(WEXITSTATUS(in_jail(&j, do_nothing)), 99);
	j = (struct proc_jail){.root = "/nonexistent"};
	assert_int_equal(WEXITSTATUS(in_jail(&j, do_nothing)), 99);
}

/* Sanitizers make system calls of their own: with them the filter is left out, and that is said. */
static void test_sanitizers_go_without_seccomp(void **state)
{
	const struct proc_jail j = {.seccomp = PROC_SECCOMP_KILL};
	bool present = true;

	assert_int_equal(proc_seccomp(&j, &present, NULL), ERR_OK);
	assert_false(present);
}

int main(void)
{
	const struct CMUnitTest common[] = {
		cmocka_unit_test(test_user_and_root_are_gone),
		cmocka_unit_test(test_files_work_below_the_new_root),
		cmocka_unit_test(test_landlock_alone_denies_files),
		cmocka_unit_test(test_landlock_bounds_files_without_chroot),
		cmocka_unit_test(test_unknown_user_and_root_are_refused),
	};
	const struct CMUnitTest filtered[] = {
		cmocka_unit_test(test_socket_gives_eperm),
		cmocka_unit_test(test_socket_kills_where_asked),
		cmocka_unit_test(test_network_role_has_internet_only),
		cmocka_unit_test(test_threads_only_where_allowed),
		cmocka_unit_test(test_no_process_no_code_no_signal),
	};
	const struct CMUnitTest unfiltered[] = {
		cmocka_unit_test(test_sanitizers_go_without_seccomp),
	};
	int failed = cmocka_run_group_tests(common, make_top, remove_top);

	/* Chosen by the build, so that no test is there only to be skipped. */
	failed += PROC_SANITIZED ? cmocka_run_group_tests(unfiltered, NULL, NULL)
				 : cmocka_run_group_tests(filtered, NULL, NULL);
	return failed;
}
