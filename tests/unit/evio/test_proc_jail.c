/* The jail, each time in a child of its own: what still works and what no longer does. Without root the change of
 * user and of root is skipped by name. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "evio/disk.h"
#include "evio/ipc.h"
#include "evio/log.h"
#include "evio/proc_priv.h"
#include "evio/stream.h"
#include "evio/worker.h"

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
	return !PROC_SANITIZED && access("/etc/passwd", F_OK) == 0 ? 5 : 0;
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
	assert_int_equal(unlinkat(rootfd, "file", 0), 0);
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

/* ---- whole processes, killed by the first call that the lists have forgotten ---- */

struct errand {
	struct job job;
	struct loop *loop;
	struct disk disk;
	int result;
};

static bool count_name(void *ctx, const char *name)
{
	++*(int *)ctx;
	return true;
}

/* What the threads of queue and auth do with files. */
static int use_disk(const struct disk *disk)
{
	struct iovec iov = {(char *)"text", 4};
	struct disk_stat st;
	uint64_t free_octets, total;
	int names = 0, fd = disk->ops->open(disk->self, "new", O_RDWR | O_CREAT, 0600), loan;

	if (fd < 0 || disk->ops->lock(disk->self, fd) || disk->ops->allocate(disk->self, fd, 0, 8192) ||
	    disk->ops->pwritev(disk->self, fd, &iov, 1, 0) != 4 || disk->ops->fdatasync(disk->self, fd) ||
	    disk->ops->truncate(disk->self, fd, 4) || disk->ops->stat(disk->self, fd, &st))
		return 10;
	if (disk->ops->rename(disk->self, "new", "file") || disk->ops->fsync_dir(disk->self, ".") ||
	    disk->ops->list(disk->self, ".", count_name, &names) || names != 1 ||
	    disk->ops->space(disk->self, &free_octets, &total))
		return 11;
	loan = disk->ops->reopen_readonly(disk->self, "file");
	if (loan < 0 || disk->ops->close(disk->self, loan) || disk->ops->close(disk->self, fd))
		return 12;
	if (disk->ops->mkdir(disk->self, "dir", 0700) || unlinkat(AT_FDCWD, "/dir", AT_REMOVEDIR))
		return 13;
	return disk->ops->unlink(disk->self, "file") ? 14 : 0;
}

static void run_errand(struct job *j)
{
	struct errand *e = CONTAINER_OF(j, struct errand, job);

	e->result = use_disk(&e->disk);
}

static void errand_done(struct job *j)
{
	loop_stop(CONTAINER_OF(j, struct errand, job)->loop);
}

static void on_ipc_close(void *ctx, const struct diag *why)
{
}

/* Loop, helper thread, files, log and a channel: what queue and auth are made of. */
static int be_a_file_process(void)
{
	static const struct ipc_events events = {.on_close = on_ipc_close};
	struct errand e = {.job = {.run = run_errand, .done = errand_done}, .result = 1};
	struct worker *w;
	struct log *lg;
	struct ipc *c;
	int fds[2];

	if (loop_epoll_new(&e.loop, NULL) || worker_new(e.loop, "errand", &w, NULL) ||
	    disk_real_new(open("/", O_RDONLY | O_DIRECTORY), &e.disk, NULL) ||
	    log_new(e.loop, STDERR_FILENO, LOG_SINK_STDERR, LOG_ERROR, "test", &lg, NULL) ||
	    ipc_pair(e.loop, fds, NULL) || ipc_new(e.loop, fds[0], &events, NULL, &c, NULL) ||
	    ipc_send(c, 1, SLICE_LIT("x"), NULL, 0))
		return 1;
	worker_submit(w, &e.job);
	if (loop_run(e.loop))
		return 2;
	worker_free(w);
	ipc_free(c);
	close(fds[1]);
	disk_real_free(&e.disk);
	log_free(lg);
	loop_free(e.loop);
	return e.result;
}

static void test_a_process_with_files_and_threads_runs(void **state)
{
	const struct proc_jail j = {
		.user = "nobody", .root = top, .files = true, .threads = true, .seccomp = PROC_SECCOMP_KILL};

	need_root();
	assert_exit_0(in_jail(&j, be_a_file_process));
}

struct dialogue {
	struct loop *loop;
	struct stream *server, *client;
	bool heard;
};

static size_t on_server_read(void *ctx, struct slice in)
{
	struct dialogue *g = ctx;

	g->heard = true;
	loop_stop(g->loop);
	return in.len;
}

static void on_stream_close(void *ctx, const struct diag *why)
{
	loop_stop(((struct dialogue *)ctx)->loop);
}

static void on_accept(void *ctx, struct stream *s)
{
	static const struct stream_events events = {.on_read = on_server_read, .on_close = on_stream_close};
	struct dialogue *g = ctx;

	g->server = s;
	stream_set_events(s, &events, g);
}

static void on_connected(void *ctx)
{
	(void)stream_write(((struct dialogue *)ctx)->client, SLICE_LIT("hello"));
}

static int listening; /* made before the jail, as the parent does */

static void listen_somewhere(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listening, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(listening, 1), 0);
}

/* Accepting and connecting: what smtpd and smtpc are made of. */
static int be_a_network_process(void)
{
	static const struct listener_events accepting = {.on_accept = on_accept};
	static const struct stream_events talking = {.on_open = on_connected, .on_close = on_stream_close};
	struct connect_options o = {.remote.len = sizeof(struct sockaddr_in)};
	struct dialogue g = {0};
	struct listener *li;

	if (getsockname(listening, &o.remote.u.sa, &o.remote.len) || loop_epoll_new(&g.loop, NULL) ||
	    listener_new(g.loop, listening, &accepting, &g, &li, NULL) ||
	    stream_connect(g.loop, &o, &talking, &g, &g.client, NULL) || loop_run(g.loop))
		return 1;
	stream_free(g.client);
	stream_free(g.server);
	listener_free(li);
	loop_free(g.loop);
	return g.heard ? 0 : 2;
}

static void test_a_process_with_network_runs(void **state)
{
	const struct proc_jail j = {.network = true, .accept = true, .seccomp = PROC_SECCOMP_KILL};

	listen_somewhere();
	assert_exit_0(in_jail(&j, be_a_network_process));
	close(listening);
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

/* Sanitizers read /proc and trace themselves: with them only the user changes, and the rest is named. */
static void test_sanitizers_are_told_what_is_missing(void **state)
{
	const struct proc_jail j = {.root = top, .seccomp = PROC_SECCOMP_KILL};
	const char *missing = "";

	assert_int_equal(proc_jail(&j, &missing, NULL), ERR_OK);
	assert_string_equal(missing, "chroot landlock seccomp");
}

int main(void)
{
	const struct CMUnitTest common[] = {
		cmocka_unit_test(test_user_and_root_are_gone),
		cmocka_unit_test(test_landlock_bounds_files_without_chroot),
		cmocka_unit_test(test_unknown_user_and_root_are_refused),
	};
	const struct CMUnitTest walls[] = {
		cmocka_unit_test(test_files_work_below_the_new_root),
		cmocka_unit_test(test_landlock_alone_denies_files),
		cmocka_unit_test(test_a_process_with_files_and_threads_runs),
		cmocka_unit_test(test_a_process_with_network_runs),
		cmocka_unit_test(test_socket_gives_eperm),
		cmocka_unit_test(test_socket_kills_where_asked),
		cmocka_unit_test(test_network_role_has_internet_only),
		cmocka_unit_test(test_threads_only_where_allowed),
		cmocka_unit_test(test_no_process_no_code_no_signal),
	};
	const struct CMUnitTest sanitized[] = {
		cmocka_unit_test(test_sanitizers_are_told_what_is_missing),
	};
	int failed = cmocka_run_group_tests(common, make_top, remove_top);

	/* Chosen by the build, so that no test is there only to be skipped. */
	failed += PROC_SANITIZED ? cmocka_run_group_tests(sanitized, make_top, remove_top)
				 : cmocka_run_group_tests(walls, make_top, remove_top);
	return failed;
}
