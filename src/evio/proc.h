/* Processes: starting a copy of ourselves for one role, losing privileges for good, and talking to systemd.
 */
#pragma once

#include "core/diag.h"
#include "evio/loop.h"

#include <sys/types.h>

#define PROC_FD_BASE 3  /* passed descriptors are 3, 4, ... in the child */
#define PROC_FDS_MAX 64 /* passed to one child, or taken from systemd */

struct proc_start {
	const char *exe;         /* "/proc/self/exe" or a path */
	const char *const *argv; /* NULL-terminated */
	const int *fds;          /* become PROC_FD_BASE, PROC_FD_BASE+1, ... in any order; 0-2 are kept */
	unsigned nfds;
};
/* fork + exec. The child gets default signal handling, dies with the thread that started it (PR_SET_PDEATHSIG,
 * SIGKILL), and nothing else open. Waits for the exec: one that fails is an error here. ERR_LIMIT above
 * PROC_FDS_MAX. */
MUST_CHECK enum err proc_start(const struct proc_start *p, pid_t *ret_pid, struct diag *d);

enum proc_seccomp { PROC_SECCOMP_OFF, PROC_SECCOMP_LOG, PROC_SECCOMP_KILL };
struct proc_jail {
	const char *user; /* NULL: stay who we are (not started as root) */
	const char *root; /* chroot here first; NULL: none */
	bool files;       /* may open, read and write below root (queue, auth) */
	bool threads;     /* may start threads */
	bool network;     /* may make and connect sockets (smtpc, resolver) */
	bool accept;      /* may accept connections (smtpd) */
	enum proc_seccomp seccomp;
};
/* Drops to user, changes root, sets no_new_privs, Landlock and seccomp. What the kernel lacks is named in
 * *ret_missing (static text such as "landlock", empty if nothing) and left out; what fails although it should
 * work is an error. Descriptors that are open stay usable.
 *
 * Call it on the first thread, before any other starts: Landlock and seccomp bind the calling thread and those
 * that it makes. Without root rights there is no chroot ("chroot" is then named missing), but `root` still
 * bounds Landlock. Sanitizers read /proc and trace themselves at the end: builds with them change the user only,
 * and name the rest missing. */
MUST_CHECK enum err proc_jail(const struct proc_jail *j, const char **ret_missing, struct diag *d);

void proc_notify(
	const char *state); /* sd_notify("READY=1", ...): own few lines; silent without NOTIFY_SOCKET */
unsigned
proc_listen_fds(void); /* socket activation: how many, from descriptor 3 on (LISTEN_FDS, LISTEN_PID) */
