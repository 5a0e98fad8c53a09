#include "evio/proc_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum missing { MISSING_CHROOT = 1, MISSING_LANDLOCK = 2, MISSING_SECCOMP = 4 };

/* Indexed by a set of enum missing. */
static const char *const missing_text[] = {
	"",        "chroot",         "landlock",         "chroot landlock",
	"seccomp", "chroot seccomp", "landlock seccomp", "chroot landlock seccomp",
};

static enum err find_user(const char *name, uid_t *ret_uid, gid_t *ret_gid, struct diag *d)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(name);
	if (!pw && errno)
		return diag_set_errno(d, errno, "user \"%s\"", name);
	if (!pw)
		return diag_set(d, ERR_NOTFOUND, "no user \"%s\"", name);
	if (pw->pw_uid == 0)
		return diag_set(d, ERR_PERM, "user \"%s\" is root: choose an unprivileged one", name);
	*ret_uid = pw->pw_uid;
	*ret_gid = pw->pw_gid;
	return ERR_OK;
}

static enum err change_root(const char *root, struct diag *d)
{
	if (chroot(root) < 0)
		return diag_set_errno(d, errno, "chroot to %s", root);
	if (chdir("/") < 0)
		return diag_set_errno(d, errno, "new root %s", root);
	return ERR_OK;
}

/* Groups first: they need the privilege that the user then gives up. */
static enum err become(const char *name, uid_t uid, gid_t gid, struct diag *d)
{
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return diag_set_errno(d, errno, "change to user \"%s\"", name);
	/* The way back must be shut; a kernel or container that leaves it open is not safe to run on. */
	if (setresuid((uid_t)-1, 0, (uid_t)-1) == 0 || geteuid() != uid || getegid() != gid)
		return diag_set(d, ERR_PERM, "user \"%s\" could become root again", name);
	return ERR_OK;
}

/* A change of user clears the death signal, so it is set again; if the parent died in between, nobody sends it. */
static enum err bind_to_parent(pid_t parent, struct diag *d)
{
	if (parent <= 1)
		return ERR_OK; /* started by init or alone in a pid name space: nobody to die with */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return diag_set_errno(d, errno, "death signal");
	if (getppid() != parent)
		return diag_set(d, ERR_CLOSED, "the parent process is gone");
	return ERR_OK;
}

static enum err forbid_privileges(struct diag *d)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return diag_set_errno(d, errno, "no_new_privs");
	/* No core file with mail in it, no ptrace by a sibling of the same user. A leak checker traces itself, for
	 * which the change of user has to be made up for. */
	if (prctl(PR_SET_DUMPABLE, PROC_SANITIZED, 0, 0, 0) < 0)
		return diag_set_errno(d, errno, "not dumpable");
	return ERR_OK;
}

/* The directory that bounds Landlock, -1 for none. Opened after the change of root. */
static enum err open_bound(const struct proc_jail *j, bool rooted, int *ret_fd, struct diag *d)
{
	*ret_fd = -1;
	if (!j->root)
		return ERR_OK;
	*ret_fd = open(rooted ? "/" : j->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? diag_set_errno(d, errno, "directory %s", j->root) : ERR_OK;
}

static enum err apply_filters(const struct proc_jail *j, int rootfd, unsigned *missing, struct diag *d)
{
	bool present = true;
	enum err e;

	if (PROC_SANITIZED) {
		*missing |= MISSING_LANDLOCK | MISSING_SECCOMP;
		return ERR_OK;
	}
	e = proc_landlock(j, rootfd, &present, d);
	if (e)
		return e;
	*missing |= present ? 0 : MISSING_LANDLOCK;
	if (j->seccomp == PROC_SECCOMP_OFF)
		return ERR_OK;
	e = proc_seccomp(j, &present, d);
	*missing |= present ? 0 : MISSING_SECCOMP;
	return e;
}

enum err proc_jail(const struct proc_jail *j, const char **ret_missing, struct diag *d)
{
	CLEANUP(base_close) int rootfd = -1;
	bool rooted = j->root && geteuid() == 0 && !PROC_SANITIZED;
	unsigned missing = j->root && !rooted ? MISSING_CHROOT : 0;
	pid_t parent = getppid();
	uid_t uid = 0;
	gid_t gid = 0;
	enum err e = ERR_OK;

	tzset(); /* reads the zone while its file can still be seen */
	if (j->user)
		e = find_user(j->user, &uid, &gid, d);
	if (!e && rooted)
		e = change_root(j->root, d);
	if (!e)
		e = open_bound(j, rooted, &rootfd, d);
	if (!e && j->user)
		e = become(j->user, uid, gid, d);
	if (!e)
		e = forbid_privileges(d);
	if (!e)
		e = bind_to_parent(parent, d);
	if (!e)
		e = apply_filters(j, rootfd, &missing, d);
	if (e)
		return e;
	*ret_missing = missing_text[missing];
	return ERR_OK;
}
