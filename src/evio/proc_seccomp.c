#include "evio/proc_priv.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* Allow lists by name, so that a call which this architecture or these headers lack is simply skipped. What is
 * absent is on purpose: execve, ptrace, mount, kill of others, keyctl, bpf, io_uring, socket outside `network`. */

static const char *const calls_base[] = {
	/* descriptors */
	"read",
	"write",
	"readv",
	"writev",
	"pread64",
	"pwritev2",
	"close",
	"close_range",
	"fstat",
	"newfstatat",
	"fstat64",
	"lseek",
	"_llseek",
	"fcntl",
	"fcntl64",
	"dup",
	"dup2",
	"dup3",
	"pipe",
	"pipe2",
	"eventfd2",
	"memfd_create",
	"ftruncate",
	"ftruncate64",
	/* connected sockets */
	"sendmsg",
	"recvmsg",
	"sendto",
	"recvfrom",
	"send",
	"recv",
	"sendmmsg",
	"recvmmsg",
	"shutdown",
	"getsockopt",
	"setsockopt",
	"getsockname",
	"getpeername",
	/* waiting */
	"epoll_create1",
	"epoll_ctl",
	"epoll_wait",
	"epoll_pwait",
	"epoll_pwait2",
	"poll",
	"ppoll",
	"ppoll_time64",
	"select",
	"_newselect",
	"pselect6",
	"signalfd4",
	"timerfd_create",
	"timerfd_settime",
	"timerfd_gettime",
	"futex",
	"futex_time64",
	"futex_waitv",
	"restart_syscall",
	"sched_yield",
	/* memory, without execution (see add_memory_rules) */
	"munmap",
	"mremap",
	"madvise",
	"brk",
	"membarrier",
	/* time and chance */
	"clock_gettime",
	"clock_gettime64",
	"clock_getres",
	"clock_nanosleep",
	"clock_nanosleep_time64",
	"nanosleep",
	"gettimeofday",
	"time",
	"getrandom",
	/* ourselves */
	"getpid",
	"gettid",
	"getppid",
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"getuid32",
	"geteuid32",
	"getgid32",
	"getegid32",
	"uname",
	"sysinfo",
	"getrusage",
	"getcpu",
	"sched_getaffinity",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"rt_sigpending",
	"rt_sigtimedwait",
	"sigaltstack",
	"tgkill",
	"exit",
	"exit_group",
	"set_robust_list",
	"rseq",
};

static const char *const calls_files[] = {
	"open",      "openat",       "openat2",   "stat",       "lstat",           "stat64",
	"lstat64",   "statx",        "fstatat64", "access",     "faccessat",       "faccessat2",
	"readlink",  "readlinkat",   "getdents",  "getdents64", "statfs",          "fstatfs",
	"statfs64",  "fstatfs64",    "fsync",     "fdatasync",  "sync_file_range", "fallocate",
	"fadvise64", "fadvise64_64", "truncate",  "pwrite64",   "pwritev",         "preadv",
	"preadv2",   "rename",       "renameat",  "renameat2",  "unlink",          "unlinkat",
	"rmdir",     "mkdir",        "mkdirat",   "flock",      "fchmod",          "copy_file_range",
	"sendfile",  "getcwd",       "umask",
};

static const char *const calls_threads[] = {"set_tid_address", "sched_getparam", "sched_getscheduler"};

static const char *const calls_accept[] = {"accept", "accept4"};

static const char *const calls_network[] = {"connect", "bind"};

static struct scmp_arg_cmp equals(unsigned argument, uint64_t value)
{
	return (struct scmp_arg_cmp){.arg = argument, .op = SCMP_CMP_EQ, .datum_a = value};
}

/* The bits of `mask` have the values that `value` has. */
static struct scmp_arg_cmp masked(unsigned argument, uint64_t mask, uint64_t value)
{
	return (struct scmp_arg_cmp){
		.arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
}

static int add_names(scmp_filter_ctx ctx, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int nr = seccomp_syscall_resolve_name(names[i]);
		int r = nr < 0 ? 0 : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Memory is never both mapped for execution and ours to fill: nothing loads or generates code after the jail. */
static int add_memory_rules(scmp_filter_ctx ctx)
{
	static const char *const calls[] = {"mmap", "mmap2", "mprotect"};

	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		int nr = seccomp_syscall_resolve_name(calls[i]);
		int r = nr < 0 ? 0 : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 1, masked(2, PROT_EXEC, 0));

		if (r < 0)
			return r;
	}
	return 0;
}

/* Calls that are harmless with one argument and not with another. */
static int add_argument_rules(scmp_filter_ctx ctx)
{
	static const unsigned long ioctls[] = {FIONREAD, FIONBIO, TCGETS, TIOCGWINSZ};
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(ioctls) && r == 0; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, equals(1, ioctls[i]));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, equals(0, PR_SET_NAME));
	if (r == 0) /* reading limits, never raising them */
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, equals(2, 0));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1, equals(0, AF_UNIX));
	/* Its flags lie in memory where no filter sees them: ENOSYS makes the C library fall back to clone. */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return r;
}

static int add_threads(scmp_filter_ctx ctx)
{
	int r = add_names(ctx, calls_threads, ARRAY_LEN(calls_threads));

	/* A thread, never a process. */
	return r < 0 ? r
		     : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
					masked(0, CLONE_THREAD, CLONE_THREAD));
}

static int add_network(scmp_filter_ctx ctx)
{
	static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
	int r = add_names(ctx, calls_network, ARRAY_LEN(calls_network));

	for (size_t i = 0; i < ARRAY_LEN(families) && r == 0; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     equals(0, (uint64_t)families[i]));
	return r;
}

static int add_rules(scmp_filter_ctx ctx, const struct proc_jail *j)
{
	int r = add_names(ctx, calls_base, ARRAY_LEN(calls_base));

	if (r == 0)
		r = add_memory_rules(ctx);
	if (r == 0)
		r = add_argument_rules(ctx);
	if (r == 0 && j->files)
		r = add_names(ctx, calls_files, ARRAY_LEN(calls_files));
	if (r == 0 && j->threads)
		r = add_threads(ctx);
	if (r == 0 && j->accept)
		r = add_names(ctx, calls_accept, ARRAY_LEN(calls_accept));
	if (r == 0 && j->network)
		r = add_network(ctx);
	return r;
}

/* EPERM by default and a line in the kernel's log: an update of the C library that needs one more call degrades
 * one function instead of ending the relay. Tests run with KILL, so that the lists stay complete. */
static int fill_filter(scmp_filter_ctx ctx, const struct proc_jail *j)
{
	int r = add_rules(ctx, j);

	if (r == 0 && j->seccomp == PROC_SECCOMP_LOG)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_LOG, 1);
	if (r == 0) /* a balanced tree of comparisons: some ten steps instead of a hundred a call */
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return r == 0 ? seccomp_load(ctx) : r;
}

enum err proc_seccomp(const struct proc_jail *j, bool *ret_present, struct diag *d)
{
	scmp_filter_ctx ctx;
	int r;

	*ret_present = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
	if (!*ret_present)
		return ERR_OK;
	ctx = seccomp_init(j->seccomp == PROC_SECCOMP_KILL ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ERRNO(EPERM));
	if (!ctx)
		return diag_set(d, ERR_NOMEM, "no memory for the seccomp filter");
	r = fill_filter(ctx, j);
	seccomp_release(ctx);
	return r < 0 ? diag_set_errno(d, -r, "seccomp filter") : ERR_OK;
}
