#include "evio/sim.h"

#include "core/mem.h"
#include "evio/sim_inode.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FD_BASE   (1 << 28) /* far from what the kernel gives out: a mix-up fails at once */
#define FD_COUNT  1024      /* open files of one simulated disk */
#define FD_EPOCHS 1024      /* numbers repeat only after so many reboots */
#define RULES_MAX 8

struct fail_rule {
	unsigned kinds; /* 0: free */
	uint64_t after; /* matching operations left before it strikes */
	int errnum;
	bool forever;
};

struct open_file {
	struct sim_inode *inode; /* NULL: free */
	int flags;
};

struct sim_disk {
	pthread_mutex_t lock; /* commit and bulk threads may share a disk */
	struct sim_store store;
	struct sim_rng rng; /* the disk's own part of every power loss */
	struct open_file files[FD_COUNT];
	int epoch; /* reboots so far */
	uint64_t ops, cut_at;
	bool dead;
	struct fail_rule rules[RULES_MAX];
};

struct sim_disk *sim_disk_new(uint64_t seed, uint64_t capacity_octets)
{
	struct sim_disk *sd = NEW(struct sim_disk);

	if (!sd)
		return NULL;
	sd->rng.state = seed;
	pthread_mutex_init(&sd->lock, NULL);
	if (sim_store_init(&sd->store, capacity_octets) == 0)
		return sd;
	sim_disk_free(sd);
	return NULL;
}

void sim_disk_free(struct sim_disk *sd)
{
	if (!sd)
		return;
	sim_store_done(&sd->store);
	pthread_mutex_destroy(&sd->lock);
	mem_free(sd);
}

/* ---- what may go wrong with an operation ---- */

static int injected_failure(struct sim_disk *sd, unsigned kind)
{
	int failed = 0;

	for (size_t i = 0; i < RULES_MAX; i++) {
		struct fail_rule *r = &sd->rules[i];

		if (!(r->kinds & kind))
			continue;
		if (r->after > 0) {
			r->after--;
			continue;
		}
		failed = failed ? failed : -r->errnum;
		if (!r->forever)
			r->kinds = 0;
	}
	return failed;
}

/* Every call begins here and ends in leave(). Returns 0 or the errno of an injected failure or of a dead disk.
 * `changes`: counts as an operation; sets *ret_cut when the power fails at this one. */
static int enter(struct sim_disk *sd, unsigned kind, bool changes, bool *ret_cut)
{
	pthread_mutex_lock(&sd->lock);
	*ret_cut = false;
	if (sd->dead)
		return -EIO;
	if (changes) {
		sd->ops++;
		sd->dead = *ret_cut = sd->cut_at != 0 && sd->ops >= sd->cut_at;
	}
	return *ret_cut ? 0 : injected_failure(sd, kind);
}

static int leave(struct sim_disk *sd, int r, bool cut)
{
	pthread_mutex_unlock(&sd->lock);
	return cut ? -EIO : r;
}

/* ---- descriptors ---- */

static int fd_number(const struct sim_disk *sd, int index)
{
	return FD_BASE + (sd->epoch % FD_EPOCHS) * FD_COUNT + index;
}

static struct open_file *file_of(struct sim_disk *sd, int fd)
{
	int index = fd - fd_number(sd, 0);

	return index >= 0 && index < FD_COUNT && sd->files[index].inode ? &sd->files[index] : NULL;
}

static bool writable(const struct open_file *f)
{
	return (f->flags & O_ACCMODE) != O_RDONLY;
}

/* The file behind fd if it may be written, else a negative errno. */
static int file_to_write(struct sim_disk *sd, int fd, struct sim_inode **ret)
{
	const struct open_file *f = file_of(sd, fd);

	if (!f || !writable(f) || f->inode->dir)
		return -EBADF;
	f->inode->mtime = sd->ops;
	*ret = f->inode;
	return 0;
}

static int new_fd(struct sim_disk *sd, struct sim_inode *in, int flags)
{
	for (int i = 0; i < FD_COUNT; i++) {
		if (sd->files[i].inode)
			continue;
		sd->files[i] = (struct open_file){in, flags};
		in->opens++;
		return fd_number(sd, i);
	}
	return -EMFILE;
}

static int find_or_create(struct sim_disk *sd, const char *path, int flags, struct sim_inode **ret)
{
	struct sim_where w;
	int r = sim_store_find(&sd->store, path, &w);

	if (r < 0)
		return r;
	if (!w.inode)
		return flags & O_CREAT ? sim_store_create(&sd->store, &w, false, ret) : -ENOENT;
	if ((flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	if (w.inode->dir && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT)))
		return -EISDIR;
	if (!w.inode->dir && (flags & O_DIRECTORY))
		return -ENOTDIR;
	*ret = w.inode;
	return flags & O_TRUNC ? sim_inode_truncate(&sd->store, w.inode, 0) : 0;
}

static int op_open(void *self, const char *path, int flags, unsigned mode)
{
	struct sim_disk *sd = self;
	struct sim_inode *in = NULL;
	bool cut;
	int r = enter(sd, SIM_OPEN, flags & (O_CREAT | O_TRUNC), &cut);

	if (r == 0)
		r = find_or_create(sd, path, flags, &in);
	if (r == 0 && !cut)
		r = new_fd(sd, in, flags);
	return leave(sd, r, cut);
}

/* Works on a dead disk too: the kernel's tables outlive the power of a disk. */
static int op_close(void *self, int fd)
{
	struct sim_disk *sd = self;
	struct open_file *f;
	int r = -EBADF;

	pthread_mutex_lock(&sd->lock);
	f = file_of(sd, fd);
	if (f) {
		if (f->inode->lock_fd == fd)
			f->inode->lock_fd = -1;
		f->inode->opens--;
		f->inode = NULL;
		sim_store_collect(&sd->store); /* the last descriptor of an unlinked file frees it */
		r = 0;
	}
	return leave(sd, r, false);
}

static ssize_t op_pread(void *self, int fd, void *p, size_t n, uint64_t offset)
{
	struct sim_disk *sd = self;
	const struct open_file *f;
	bool cut;
	ssize_t got = 0;
	int r = enter(sd, SIM_READ, false, &cut);

	f = file_of(sd, fd);
	if (r == 0 && !f)
		r = -EBADF;
	if (r == 0 && f->inode->dir)
		r = -EISDIR;
	if (r == 0)
		got = (ssize_t)sim_inode_read(f->inode, p, n, offset);
	r = leave(sd, r, cut);
	return r < 0 ? r : got;
}

static int write_vector(struct sim_disk *sd, struct sim_inode *in, const struct iovec *iov, int n,
			uint64_t offset)
{
	int r = 0;

	for (int i = 0; i < n && r == 0; i++) {
		r = sim_inode_write(&sd->store, in, iov[i].iov_base, iov[i].iov_len, offset);
		offset += iov[i].iov_len;
	}
	return r;
}

static ssize_t op_pwritev(void *self, int fd, const struct iovec *iov, int n, uint64_t offset)
{
	struct sim_disk *sd = self;
	struct sim_inode *in = NULL;
	bool cut;
	int r = enter(sd, SIM_WRITE, true, &cut);
	ssize_t total = 0;

	for (int i = 0; i < n; i++)
		total += (ssize_t)iov[i].iov_len;
	if (r == 0)
		r = file_to_write(sd, fd, &in);
	if (r == 0)
		r = write_vector(sd, in, iov, n, offset);
	r = leave(sd, r, cut);
	return r < 0 ? r : total;
}

static int op_fdatasync(void *self, int fd)
{
	struct sim_disk *sd = self;
	bool cut;
	int r = enter(sd, SIM_SYNC, true, &cut);
	const struct open_file *f = file_of(sd, fd);

	if (!f)
		return leave(sd, r < 0 ? r : -EBADF, cut);
	if (r < 0 && !sd->dead)
		sim_inode_lose(f->inode);
	if (r == 0 && !cut)
		sim_inode_sync(&sd->store, f->inode);
	return leave(sd, r, cut);
}

static int op_fsync_dir(void *self, const char *path)
{
	struct sim_disk *sd = self;
	struct sim_where w;
	bool cut;
	int r = enter(sd, SIM_SYNC, true, &cut);

	if (r == 0)
		r = sim_store_find(&sd->store, path, &w);
	if (r == 0 && !w.inode)
		r = -ENOENT;
	if (r == 0 && !w.inode->dir)
		r = -ENOTDIR;
	if (r == 0 && !cut) {
		sim_store_sync_dir(&sd->store, w.inode);
		sim_store_collect(&sd->store);
	}
	return leave(sd, r, cut);
}

static int op_allocate(void *self, int fd, uint64_t offset, uint64_t n)
{
	struct sim_disk *sd = self;
	struct sim_inode *in = NULL;
	bool cut;
	int r = enter(sd, SIM_ALLOC, true, &cut);

	if (r == 0)
		r = file_to_write(sd, fd, &in);
	if (r == 0)
		r = sim_inode_reserve(&sd->store, in, offset, n);
	return leave(sd, r, cut);
}

static int op_truncate(void *self, int fd, uint64_t size)
{
	struct sim_disk *sd = self;
	struct sim_inode *in = NULL;
	bool cut;
	int r = enter(sd, SIM_WRITE, true, &cut);

	if (r == 0)
		r = file_to_write(sd, fd, &in);
	if (r == 0)
		r = sim_inode_truncate(&sd->store, in, size);
	return leave(sd, r, cut);
}

static int op_rename(void *self, const char *from, const char *to)
{
	struct sim_disk *sd = self;
	struct sim_where f, t;
	bool cut;
	int r = enter(sd, SIM_DIR, true, &cut);

	if (r == 0)
		r = sim_store_find(&sd->store, from, &f);
	if (r == 0)
		r = sim_store_find(&sd->store, to, &t);
	if (r == 0)
		r = sim_store_rename(&sd->store, &f, &t);
	return leave(sd, r, cut);
}

static int op_unlink(void *self, const char *path)
{
	struct sim_disk *sd = self;
	struct sim_where w;
	bool cut;
	int r = enter(sd, SIM_DIR, true, &cut);

	if (r == 0)
		r = sim_store_find(&sd->store, path, &w);
	if (r == 0)
		r = sim_store_unlink(&sd->store, &w);
	return leave(sd, r, cut);
}

static int op_mkdir(void *self, const char *path, unsigned mode)
{
	struct sim_disk *sd = self;
	struct sim_inode *made;
	struct sim_where w;
	bool cut;
	int r = enter(sd, SIM_DIR, true, &cut);

	if (r == 0)
		r = sim_store_find(&sd->store, path, &w);
	if (r == 0)
		r = sim_store_create(&sd->store, &w, true, &made);
	return leave(sd, r, cut);
}

static int op_stat(void *self, int fd, struct disk_stat *ret)
{
	struct sim_disk *sd = self;
	const struct open_file *f;
	bool cut;
	int r = enter(sd, SIM_READ, false, &cut);

	f = file_of(sd, fd);
	if (r == 0 && !f)
		r = -EBADF;
	if (r == 0)
		*ret = (struct disk_stat){.size = f->inode->size_now,
					  .allocated = sim_inode_allocated(f->inode),
					  .mtime_ms = (int64_t)f->inode->mtime};
	return leave(sd, r, cut);
}

/* The names, NUL-terminated one behind the other. */
static int collect_names(struct sim_disk *sd, const char *path, struct buf *out)
{
	struct sim_where w;
	int r = sim_store_find(&sd->store, path, &w);

	if (r < 0)
		return r;
	if (!w.inode)
		return -ENOENT;
	if (!w.inode->dir)
		return -ENOTDIR;
	LIST_EACH_SAFE (&w.inode->entries, it, tmp) {
		const struct sim_entry *e = CONTAINER_OF(it, struct sim_entry, node);

		if (e->now)
			buf_add_mem(out, e->name, strlen(e->name) + 1);
	}
	return out->failed ? -ENOMEM : 0;
}

static int op_list(void *self, const char *path, bool (*fn)(void *ctx, const char *name), void *ctx)
{
	struct sim_disk *sd = self;
	CLEANUP(buf_done) struct buf names = {0};
	bool cut;
	int r = enter(sd, SIM_DIR, false, &cut);

	buf_init(&names, (size_t)64 << 20);
	if (r == 0)
		r = collect_names(sd, path, &names);
	r = leave(sd, r, cut);
	/* Outside the lock: fn may use the disk. */
	for (size_t at = 0; r == 0 && at < names.len; at += strlen(names.data + at) + 1)
		if (!fn(ctx, names.data + at))
			break;
	return r;
}

static int op_space(void *self, uint64_t *ret_free, uint64_t *ret_total)
{
	struct sim_disk *sd = self;
	bool cut;
	int r = enter(sd, SIM_READ, false, &cut);

	*ret_free = sd->store.capacity - sd->store.used;
	*ret_total = sd->store.capacity;
	return leave(sd, r, cut);
}

static int op_lock(void *self, int fd)
{
	struct sim_disk *sd = self;
	const struct open_file *f;
	bool cut;
	int r = enter(sd, SIM_READ, false, &cut);

	f = file_of(sd, fd);
	if (r == 0 && !f)
		r = -EBADF;
	if (r == 0 && f->inode->lock_fd >= 0 && f->inode->lock_fd != fd)
		r = -EWOULDBLOCK;
	if (r == 0)
		f->inode->lock_fd = fd;
	return leave(sd, r, cut);
}

static int copy_to_memfd(const struct sim_inode *in, int fd)
{
	uint8_t page[SIM_PAGE];

	for (uint64_t at = 0; at < in->size_now; at += SIM_PAGE) {
		size_t n = sim_inode_read(in, page, sizeof(page), at);

		if (pwrite(fd, page, n, (off_t)at) != (ssize_t)n)
			return -ENOSPC;
	}
	return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0 ? -errno
												    : 0;
}

static int snapshot(const struct sim_inode *in)
{
	int fd = memfd_create("sim-disk", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r = fd < 0 ? -errno : copy_to_memfd(in, fd);

	if (r == 0)
		return fd;
	base_close(&fd);
	return r;
}

static int op_reopen_readonly(void *self, const char *path)
{
	struct sim_disk *sd = self;
	struct sim_where w;
	bool cut;
	int r = enter(sd, SIM_OPEN, false, &cut);

	if (r == 0)
		r = sim_store_find(&sd->store, path, &w);
	if (r == 0 && !w.inode)
		r = -ENOENT;
	if (r == 0)
		r = w.inode->dir ? -EISDIR : snapshot(w.inode);
	return leave(sd, r, cut);
}

static const struct disk_ops sim_ops = {
	.open = op_open,
	.close = op_close,
	.pread = op_pread,
	.pwritev = op_pwritev,
	.fdatasync = op_fdatasync,
	.fsync_dir = op_fsync_dir,
	.allocate = op_allocate,
	.truncate = op_truncate,
	.rename = op_rename,
	.unlink = op_unlink,
	.mkdir = op_mkdir,
	.stat = op_stat,
	.list = op_list,
	.space = op_space,
	.lock = op_lock,
	.reopen_readonly = op_reopen_readonly,
};

struct disk sim_disk_disk(struct sim_disk *sd)
{
	return (struct disk){.ops = &sim_ops, .self = sd, .snapshots = true};
}

/* ---- the tester's side ---- */

uint64_t sim_disk_ops(const struct sim_disk *sd)
{
	return sd->ops;
}

void sim_disk_cut_at(struct sim_disk *sd, uint64_t op)
{
	sd->cut_at = op;
}

void sim_disk_reboot(struct sim_disk *sd, uint64_t seed)
{
	struct sim_rng mixed =
		sd->rng; /* tests give a disk and its reboot the same seed: they must not cancel out */

	pthread_mutex_lock(&sd->lock);
	memset(sd->files, 0, sizeof(sd->files));
	memset(sd->rules, 0, sizeof(sd->rules));
	sd->epoch++;
	sd->cut_at = 0;
	sd->dead = false;
	sim_store_power_loss(&sd->store, seed ^ sim_rng_next(&mixed));
	pthread_mutex_unlock(&sd->lock);
}

void sim_disk_fail(struct sim_disk *sd, unsigned kind_mask, uint64_t nth, int errnum, bool forever)
{
	struct fail_rule *free_rule = NULL;

	if (errnum == 0) {
		memset(sd->rules, 0, sizeof(sd->rules));
		return;
	}
	for (size_t i = 0; i < RULES_MAX && !free_rule; i++)
		free_rule = sd->rules[i].kinds ? NULL : &sd->rules[i];
	ASSERT(free_rule && nth > 0);
	*free_rule = (struct fail_rule){kind_mask, nth - 1, errnum, forever};
}

int sim_disk_damage(struct sim_disk *sd, const char *path, uint64_t offset, uint8_t xor_with)
{
	struct sim_where w;
	int r;

	pthread_mutex_lock(&sd->lock);
	r = sim_store_find(&sd->store, path, &w);
	if (r == 0)
		r = w.inode ? sim_inode_damage(w.inode, offset, xor_with) : -ENOENT;
	return leave(sd, r, false);
}
