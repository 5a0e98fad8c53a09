#include "evio/proc.h"

#include "core/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Between fork and exec only async-signal-safe calls: the parent may have threads that hold locks. */

static void reset_signals(void)
{
	struct sigaction sa = {.sa_handler = SIG_DFL};
	sigset_t none;

	/* exec resets handlers but keeps what is ignored or blocked. SIGKILL and SIGSTOP refuse: fine. */
	for (int signo = 1; signo < NSIG; signo++)
		sigaction(signo, &sa, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Puts fds[] at PROC_FD_BASE... and `report` (close-on-exec) right behind them; closes all others. A source may
 * lie where another's target is, so all are first lifted above the whole range. */
static int map_descriptors(const struct proc_start *p, int report)
{
	int lifted[PROC_FDS_MAX + 1];
	int count = (int)p->nfds, end = PROC_FD_BASE + count;

	for (int i = 0; i <= count; i++) {
		lifted[i] = fcntl(i < count ? p->fds[i] : report, F_DUPFD_CLOEXEC, end + 1);
		if (lifted[i] < 0)
			return -1;
	}
	for (int i = 0; i < count; i++)
		if (dup2(lifted[i], PROC_FD_BASE + i) < 0)
			return -1;
	if (dup3(lifted[count], end, O_CLOEXEC) < 0)
		return -1;
	return close_range((unsigned)end + 1, UINT_MAX, 0);
}

__attribute__((noreturn)) static void child_main(const struct proc_start *p, pid_t parent, int report)
{
	int failed;

	/* The parent may have died before prctl took hold; then nobody will ever signal us. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(127);
	reset_signals();
	if (map_descriptors(p, report) == 0) {
		report = PROC_FD_BASE + (int)p->nfds;
		execv(p->exe, (char *const *)p->argv);
	}
	failed = errno;
	if (write(report, &failed, sizeof(failed)) < 0)
		_exit(126);
	_exit(127);
}

/* The report pipe closes at a successful exec; else it carries the child's errno. */
static int read_report(int fd)
{
	int failed = 0;
	ssize_t r;

	do
		r = read(fd, &failed, sizeof(failed));
	while (r < 0 && errno == EINTR);
	return r == (ssize_t)sizeof(failed) ? failed : 0;
}

enum err proc_start(const struct proc_start *p, pid_t *ret_pid, struct diag *d)
{
	CLEANUP(base_close) int in = -1;
	pid_t parent = getpid(), pid;
	int report[2], failed;

	if (p->nfds > PROC_FDS_MAX)
		return diag_set(d, ERR_LIMIT, "%u descriptors for one process, at most %d", p->nfds,
				PROC_FDS_MAX);
	if (pipe2(report, O_CLOEXEC) < 0)
		return diag_set_errno(d, errno, "pipe for the start of %s", p->exe);
	in = report[0];
	pid = fork();
	if (pid == 0)
		child_main(p, parent, report[1]);
	failed = errno;
	close(report[1]);
	if (pid < 0)
		return diag_set_errno(d, failed, "fork for %s", p->exe);
	failed = read_report(in);
	if (failed) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return diag_set_errno(d, failed, "start of %s", p->exe);
	}
	*ret_pid = pid;
	return ERR_OK;
}

/* sd_notify(3): one datagram to the socket that NOTIFY_SOCKET names; "@" stands for the abstract name space. */
void proc_notify(const char *state)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	CLEANUP(base_close) int fd = -1;
	struct slice path = slice_str(getenv("NOTIFY_SOCKET"));

	if (path.len < 2 || path.len >= sizeof(un.sun_path) || (path.ptr[0] != '/' && path.ptr[0] != '@'))
		return;
	memcpy(un.sun_path, path.ptr, path.len);
	if (un.sun_path[0] == '@')
		un.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	/* Best effort by its nature: a service manager that does not listen must not stop the relay. */
	(void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&un,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len));
}

/* sd_listen_fds(3). The variables stay set: LISTEN_PID keeps children from taking them for their own. */
unsigned proc_listen_fds(void)
{
	uint64_t pid, count;

	if (slice_to_u64(slice_str(getenv("LISTEN_PID")), INT_MAX, &pid) || pid != (uint64_t)getpid())
		return 0;
	if (slice_to_u64(slice_str(getenv("LISTEN_FDS")), PROC_FDS_MAX, &count))
		return 0;
	for (unsigned i = 0; i < count; i++)
		(void)fcntl(PROC_FD_BASE + (int)i, F_SETFD, FD_CLOEXEC);
	return (unsigned)count;
}
