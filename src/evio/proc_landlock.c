#include "evio/proc_priv.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Own declarations of the kernel's interface (Documentation/userspace-api/landlock.rst): the headers we build
 * with may be older than the kernel we run on, and glibc has no wrappers. */

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444 /* the same on every architecture */
#define SYS_landlock_add_rule       445
#define SYS_landlock_restrict_self  446
#endif

#define CREATE_RULESET_VERSION (1U << 0)
#define RULE_PATH_BENEATH      1

/* File rights by ABI: 13 bits from the first, then REFER, TRUNCATE, IOCTL_DEV. */
#define FS_WRITE_FILE  (1ULL << 1)
#define FS_READ_FILE   (1ULL << 2)
#define FS_READ_DIR    (1ULL << 3)
#define FS_REMOVE_DIR  (1ULL << 4)
#define FS_REMOVE_FILE (1ULL << 5)
#define FS_MAKE_DIR    (1ULL << 7)
#define FS_MAKE_REG    (1ULL << 8)
#define FS_ABI1        ((1ULL << 13) - 1)
#define FS_REFER       (1ULL << 13)
#define FS_TRUNCATE    (1ULL << 14)
#define FS_IOCTL_DEV   (1ULL << 15)

#define FS_FOR_FILES                                                                                         \
	(FS_WRITE_FILE | FS_READ_FILE | FS_READ_DIR | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR |         \
	 FS_MAKE_REG | FS_REFER | FS_TRUNCATE)

#define NET_BIND_TCP               (1ULL << 0)
#define NET_CONNECT_TCP            (1ULL << 1)
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#define SCOPE_SIGNAL               (1ULL << 1)

struct ruleset_attr {
	uint64_t fs;
	uint64_t net;    /* ABI 4 */
	uint64_t scoped; /* ABI 6 */
};

struct path_beneath_attr {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

/* What this kernel can deny; its size grows with the ABI, and an older one refuses what it does not know. */
static size_t ruleset_for(int abi, const struct proc_jail *j, bool bound_files, struct ruleset_attr *ret)
{
	*ret = (struct ruleset_attr){0};
	if (bound_files) {
		ret->fs = FS_ABI1;
		ret->fs |= abi >= 2 ? FS_REFER : 0;
		ret->fs |= abi >= 3 ? FS_TRUNCATE : 0;
		ret->fs |= abi >= 5 ? FS_IOCTL_DEV : 0;
	}
	if (abi >= 4 && !j->network)
		ret->net = NET_BIND_TCP | NET_CONNECT_TCP;
	if (abi >= 6)
		ret->scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
	if (abi >= 6)
		return sizeof(*ret);
	return abi >= 4 ? offsetof(struct ruleset_attr, scoped) : offsetof(struct ruleset_attr, net);
}

static bool absent(int errnum)
{
	/* ENOSYS: not built in; EOPNOTSUPP: switched off at boot; EPERM: a container's own filter denies it. */
	return errnum == ENOSYS || errnum == EOPNOTSUPP || errnum == EPERM;
}

enum err proc_landlock(const struct proc_jail *j, int rootfd, bool *ret_present, struct diag *d)
{
	CLEANUP(base_close) int ruleset = -1;
	struct ruleset_attr attr;
	struct path_beneath_attr beneath = {.parent_fd = rootfd};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
	size_t size;

	*ret_present = abi > 0;
	if (abi < 1)
		return absent(errno) ? ERR_OK : diag_set_errno(d, errno, "Landlock version");
	size = ruleset_for((int)MIN(abi, 6), j, !j->files || rootfd >= 0, &attr);
	if (!attr.fs && !attr.net && !attr.scoped)
		return ERR_OK; /* an old kernel and nothing to bound: an empty ruleset would be refused */
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0)
		return diag_set_errno(d, errno, "Landlock ruleset");
	beneath.allowed = attr.fs & FS_FOR_FILES;
	if (j->files && rootfd >= 0 &&
	    syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &beneath, 0) < 0)
		return diag_set_errno(d, errno, "Landlock rule");
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return diag_set_errno(d, errno, "Landlock");
	return ERR_OK;
}
