#include "evio/disk.h"

#include "core/mem.h"
#include "evio/disk_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

struct real_disk {
	int dirfd; /* owned */
};

bool disk_path_ok(const char *path)
{
	struct slice rest = slice_str(path);

	if (rest.len == 0 || rest.len >= PATH_MAX)
		return false;
	while (rest.ptr) {
		struct slice part = slice_split(&rest, '/');

		/* An empty component is a leading, trailing or doubled slash. */
		if (part.len == 0 || part.len > NAME_MAX || slice_eq_str(part, ".."))
			return false;
	}
	return true;
}

static int neg_errno(void)
{
	return errno ? -errno : -EIO;
}

/* RESOLVE_BENEATH also stops symbolic links that lead out, which the check of the text cannot see. Kernels and
 * container filters without openat2 answer ENOSYS; there the text check alone must do. */
static int open_beneath(int dirfd, const char *path, int flags, unsigned mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int fd;

	if (!disk_path_ok(path))
		return -EINVAL;
	do {
		fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
		if (fd < 0 && errno == ENOSYS)
			fd = openat(dirfd, path, flags | O_CLOEXEC | O_NOFOLLOW, mode);
	} while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? neg_errno() : fd;
}

static int real_open(void *self, const char *path, int flags, unsigned mode)
{
	const struct real_disk *rd = self;

	return open_beneath(rd->dirfd, path, flags, mode);
}

static int real_close(void *self, int fd)
{
	/* Linux has released the descriptor even when it reports EINTR: never again. */
	return close(fd) < 0 && errno != EINTR ? neg_errno() : 0;
}

static ssize_t real_pread(void *self, int fd, void *p, size_t n, uint64_t offset)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = pread(fd, (char *)p + got, n - got, (off_t)(offset + got));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return neg_errno();
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

/* Writes all of p; the slow way behind a short pwritev. */
static int write_all(int fd, const char *p, size_t n, uint64_t offset)
{
	while (n > 0) {
		ssize_t r = pwrite(fd, p, n, (off_t)offset);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? neg_errno() : -EIO;
		p += r;
		n -= (size_t)r;
		offset += (uint64_t)r;
	}
	return 0;
}

/* Writes what lies behind the first `done` octets of the vector. */
static int write_rest(int fd, const struct iovec *iov, int n, size_t done, uint64_t offset)
{
	for (int i = 0; i < n; i++) {
		size_t skip = MIN(done, iov[i].iov_len);
		int r = write_all(fd, (const char *)iov[i].iov_base + skip, iov[i].iov_len - skip,
				  offset + skip);

		if (r < 0)
			return r;
		done -= skip;
		offset += iov[i].iov_len;
	}
	return 0;
}

static ssize_t real_pwritev(void *self, int fd, const struct iovec *iov, int n, uint64_t offset)
{
	size_t total = 0;
	ssize_t r;
	int rest;

	for (int i = 0; i < n; i++)
		total += iov[i].iov_len;
	do
		r = pwritev(fd, iov, n, (off_t)offset);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return neg_errno();
	if ((size_t)r == total)
		return r;
	rest = write_rest(fd, iov, n, (size_t)r, offset);
	return rest < 0 ? rest : (ssize_t)total;
}

static int real_fdatasync(void *self, int fd)
{
	int r;

	do
		r = fdatasync(fd);
	while (r < 0 && errno == EINTR);
	return r < 0 ? neg_errno() : 0;
}

static int real_fsync_dir(void *self, const char *path)
{
	const struct real_disk *rd = self;
	CLEANUP(base_close) int fd = open_beneath(rd->dirfd, path, O_RDONLY | O_DIRECTORY, 0);
	int r;

	if (fd < 0)
		return fd;
	do
		r = fsync(fd);
	while (r < 0 && errno == EINTR);
	return r < 0 ? neg_errno() : 0;
}

static int real_allocate(void *self, int fd, uint64_t offset, uint64_t n)
{
	int r;

	do
		r = fallocate(fd, 0, (off_t)offset, (off_t)n);
	while (r < 0 && errno == EINTR);
	/* A file system without fallocate: the C library writes a zero into every block, slow but true. */
	if (r < 0 && errno == EOPNOTSUPP)
		return -posix_fallocate(fd, (off_t)offset, (off_t)n);
	return r < 0 ? neg_errno() : 0;
}

static int real_truncate(void *self, int fd, uint64_t size)
{
	int r;

	do
		r = ftruncate(fd, (off_t)size);
	while (r < 0 && errno == EINTR);
	return r < 0 ? neg_errno() : 0;
}

static int real_rename(void *self, const char *from, const char *to)
{
	const struct real_disk *rd = self;

	if (!disk_path_ok(from) || !disk_path_ok(to))
		return -EINVAL;
	return renameat(rd->dirfd, from, rd->dirfd, to) < 0 ? neg_errno() : 0;
}

static int real_unlink(void *self, const char *path)
{
	const struct real_disk *rd = self;

	if (!disk_path_ok(path))
		return -EINVAL;
	return unlinkat(rd->dirfd, path, 0) < 0 ? neg_errno() : 0;
}

static int real_mkdir(void *self, const char *path, unsigned mode)
{
	const struct real_disk *rd = self;

	if (!disk_path_ok(path))
		return -EINVAL;
	return mkdirat(rd->dirfd, path, mode) < 0 ? neg_errno() : 0;
}

static int real_stat(void *self, int fd, struct disk_stat *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return neg_errno();
	ret->size = (uint64_t)st.st_size;
	ret->allocated =
		(uint64_t)st.st_blocks * 512; /* st_blocks counts 512 octets whatever the block size */
	ret->mtime_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
	return 0;
}

static int list_dir(DIR *dir, bool (*fn)(void *ctx, const char *name), void *ctx)
{
	for (;;) {
		const struct dirent *e;

		errno = 0;
		e = readdir(dir);
		if (!e)
			return errno ? neg_errno() : 0;
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (!fn(ctx, e->d_name))
			return 0;
	}
}

static int real_list(void *self, const char *path, bool (*fn)(void *ctx, const char *name), void *ctx)
{
	const struct real_disk *rd = self;
	int fd = open_beneath(rd->dirfd, path, O_RDONLY | O_DIRECTORY, 0);
	DIR *dir;
	int r;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		r = neg_errno();
		close(fd);
		return r;
	}
	r = list_dir(dir, fn, ctx);
	closedir(dir);
	return r;
}

static int real_space(void *self, uint64_t *ret_free, uint64_t *ret_total)
{
	const struct real_disk *rd = self;
	struct statvfs v;

	if (fstatvfs(rd->dirfd, &v) < 0)
		return neg_errno();
	*ret_free = (uint64_t)v.f_bavail * v.f_frsize; /* without root's reserve: we are not root */
	*ret_total = (uint64_t)v.f_blocks * v.f_frsize;
	return 0;
}

static int real_lock(void *self, int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) < 0 ? neg_errno() : 0;
}

static int real_reopen_readonly(void *self, const char *path)
{
	const struct real_disk *rd = self;

	return open_beneath(rd->dirfd, path, O_RDONLY, 0);
}

static const struct disk_ops real_ops = {
	.open = real_open,
	.close = real_close,
	.pread = real_pread,
	.pwritev = real_pwritev,
	.fdatasync = real_fdatasync,
	.fsync_dir = real_fsync_dir,
	.allocate = real_allocate,
	.truncate = real_truncate,
	.rename = real_rename,
	.unlink = real_unlink,
	.mkdir = real_mkdir,
	.stat = real_stat,
	.list = real_list,
	.space = real_space,
	.lock = real_lock,
	.reopen_readonly = real_reopen_readonly,
};

enum err disk_real_new(int dirfd, struct disk *ret, struct diag *d)
{
	CLEANUP(base_close) int owned = dirfd;
	struct real_disk *rd;
	struct stat st;

	if (fstat(dirfd, &st) < 0)
		return diag_set_errno(d, errno, "descriptor %d of a disk", dirfd);
	if (!S_ISDIR(st.st_mode))
		return diag_set(d, ERR_RANGE, "descriptor %d of a disk is not a directory", dirfd);
	rd = NEW(struct real_disk);
	if (!rd)
		return diag_set(d, ERR_NOMEM, "no memory for a disk");
	rd->dirfd = owned;
	owned = -1;
	*ret = (struct disk){.ops = &real_ops, .self = rd};
	return ERR_OK;
}

void disk_real_free(struct disk *d)
{
	struct real_disk *rd = d->self;

	if (!rd)
		return;
	ASSERT(d->ops == &real_ops);
	base_close(&rd->dirfd);
	mem_free(rd);
	*d = (struct disk){0};
}
