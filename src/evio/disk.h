/* Synchronous file operations behind a table, so that the same spool code runs on the real disk and on a
 * simulated one that can fail, keep, drop or tear what was not synced (evio/sim.h). Every call may block:
 * call them on a worker thread (evio/worker.h), never on the loop.
 *
 * Paths are relative to the directory the disk was opened on, without "..". Functions return 0 or a negative
 * errno
 * (-ENOSPC, -EIO, ...): this is the libc edge, and the spool distinguishes them. A path that is absolute or
 * has ".." gives -EINVAL, one that a symbolic link leads out of the directory -EXDEV.
 *
 * Reads and writes are whole: pread returns less than asked only at the end of the file, pwritev returns the
 * sum of the vector or an error (then any part of it may have been written). EINTR never comes out.
 */
#pragma once

#include "core/diag.h"
#include "core/slice.h"

#include <sys/uio.h>

struct disk_stat {
	uint64_t size;
	uint64_t allocated; /* octets on disk */
	int64_t mtime_ms;
};

struct disk_ops {
	int (*open)(void *self, const char *path, int flags,
		    unsigned mode); /* O_* of open(2); returns a descriptor */
	int (*close)(void *self, int fd);
	ssize_t (*pread)(void *self, int fd, void *p, size_t n, uint64_t offset);
	ssize_t (*pwritev)(void *self, int fd, const struct iovec *iov, int n, uint64_t offset);
	int (*fdatasync)(void *self, int fd);
	int (*fsync_dir)(void *self, const char *path);                   /* "." is the top */
	int (*allocate)(void *self, int fd, uint64_t offset, uint64_t n); /* fallocate, extends the size */
	int (*truncate)(void *self, int fd, uint64_t size);
	int (*rename)(void *self, const char *from, const char *to);
	int (*unlink)(void *self, const char *path);
	int (*mkdir)(void *self, const char *path, unsigned mode);
	int (*stat)(void *self, int fd, struct disk_stat *ret);
	/* Calls fn for each name in path except "." and ".."; stops when fn returns false. */
	int (*list)(void *self, const char *path, bool (*fn)(void *ctx, const char *name), void *ctx);
	/* Free and total octets of the file system. */
	int (*space)(void *self, uint64_t *ret_free, uint64_t *ret_total);
	int (*lock)(void *self, int fd); /* flock LOCK_EX|LOCK_NB: -EWOULDBLOCK if another process holds it */
	/* A kernel descriptor, open for reading only, on the same content (real: reopened through
	 * /proc/self/fd or openat; simulated: a sealed memfd snapshot). What a loan passes on. */
	int (*reopen_readonly)(void *self, const char *path);
};

struct disk {
	const struct disk_ops *ops;
	void *self;
	bool snapshots; /* reopen_readonly shows the content of that moment only (simulated) */
};

/* The real disk below dirfd, which the disk owns from here. */
MUST_CHECK enum err disk_real_new(int dirfd, struct disk *ret, struct diag *d);
void disk_real_free(struct disk *d);
