/* A process's view of a simulated disk. All calls pass through until the process ends; from then on they fail, and what
 * it had open is closed, so that nothing a dead process still had queued can reach the disk. */
#include "relay_world.h"

#include "core/mem.h"

#include <errno.h>

#define OPEN_MAX_SHIELD 512

struct shield {
	struct disk disk;
	bool ended;
	int open[OPEN_MAX_SHIELD]; /* 0: free */
};

#define DISK(self)                                                                                           \
	struct shield *s = (self);                                                                           \
	if (s->ended)                                                                                        \
	return -EIO

static int sh_open(void *self, const char *path, int flags, unsigned mode)
{
	DISK(self);
	int fd = s->disk.ops->open(s->disk.self, path, flags, mode);
	for (size_t i = 0; fd > 0 && i < OPEN_MAX_SHIELD; i++) {
		if (s->open[i])
			continue;
		s->open[i] = fd;
		return fd;
	}
	need(fd < 0);
	return fd;
}

static void forget(struct shield *s, int fd)
{
	for (size_t i = 0; i < OPEN_MAX_SHIELD; i++)
		if (s->open[i] == fd)
			s->open[i] = 0;
}

static int sh_close(void *self, int fd)
{
	struct shield *s = self;
	if (s->ended)
		return 0;
	forget(s, fd);
	return s->disk.ops->close(s->disk.self, fd);
}

static ssize_t sh_pread(void *self, int fd, void *p, size_t n, uint64_t offset)
{
	DISK(self);
	return s->disk.ops->pread(s->disk.self, fd, p, n, offset);
}

static ssize_t sh_pwritev(void *self, int fd, const struct iovec *iov, int n, uint64_t offset)
{
	DISK(self);
	return s->disk.ops->pwritev(s->disk.self, fd, iov, n, offset);
}

static int sh_fdatasync(void *self, int fd)
{
	DISK(self);
	return s->disk.ops->fdatasync(s->disk.self, fd);
}

static int sh_fsync_dir(void *self, const char *path)
{
	DISK(self);
	return s->disk.ops->fsync_dir(s->disk.self, path);
}

static int sh_allocate(void *self, int fd, uint64_t offset, uint64_t n)
{
	DISK(self);
	return s->disk.ops->allocate(s->disk.self, fd, offset, n);
}

static int sh_truncate(void *self, int fd, uint64_t size)
{
	DISK(self);
	return s->disk.ops->truncate(s->disk.self, fd, size);
}

static int sh_rename(void *self, const char *from, const char *to)
{
	DISK(self);
	return s->disk.ops->rename(s->disk.self, from, to);
}

static int sh_unlink(void *self, const char *path)
{
	DISK(self);
	return s->disk.ops->unlink(s->disk.self, path);
}

static int sh_mkdir(void *self, const char *path, unsigned mode)
{
	DISK(self);
	return s->disk.ops->mkdir(s->disk.self, path, mode);
}

static int sh_stat(void *self, int fd, struct disk_stat *ret)
{
	DISK(self);
	return s->disk.ops->stat(s->disk.self, fd, ret);
}

static int sh_list(void *self, const char *path, bool (*fn)(void *ctx, const char *name), void *ctx)
{
	DISK(self);
	return s->disk.ops->list(s->disk.self, path, fn, ctx);
}

static int sh_space(void *self, uint64_t *ret_free, uint64_t *ret_total)
{
	DISK(self);
	return s->disk.ops->space(s->disk.self, ret_free, ret_total);
}

static int sh_lock(void *self, int fd)
{
	DISK(self);
	return s->disk.ops->lock(s->disk.self, fd);
}

static int sh_reopen_readonly(void *self, const char *path)
{
	DISK(self);
	return s->disk.ops->reopen_readonly(s->disk.self, path);
}

static const struct disk_ops shield_ops = {
	.open = sh_open,
	.close = sh_close,
	.pread = sh_pread,
	.pwritev = sh_pwritev,
	.fdatasync = sh_fdatasync,
	.fsync_dir = sh_fsync_dir,
	.allocate = sh_allocate,
	.truncate = sh_truncate,
	.rename = sh_rename,
	.unlink = sh_unlink,
	.mkdir = sh_mkdir,
	.stat = sh_stat,
	.list = sh_list,
	.space = sh_space,
	.lock = sh_lock,
	.reopen_readonly = sh_reopen_readonly,
};

struct shield *shield_new(struct sim_disk *sd)
{
	struct shield *s = NEW(struct shield);
	need(s);
	s->disk = sim_disk_disk(sd);
	return s;
}

struct disk shield_disk(struct shield *s)
{
	return (struct disk){.ops = &shield_ops, .self = s, .snapshots = s->disk.snapshots};
}

void shield_end(struct shield *s)
{
	for (size_t i = 0; i < OPEN_MAX_SHIELD; i++)
		if (s->open[i] && !s->ended)
			s->disk.ops->close(s->disk.self, s->open[i]);
	s->ended = true;
}

void shield_free(struct shield *s)
{
	if (!s)
		return;
	shield_end(s);
	mem_free(s);
}
