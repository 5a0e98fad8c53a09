/* What the simulated disk stores: inodes with a volatile and a durable side, and the name space above them.
 * Private to evio/sim_disk.c, which adds descriptors, power cuts and failures.
 *
 * Model (more hostile than any real file system, so that what survives here survives there):
 *  1. A file's content lives in sectors of SIM_SECTOR octets. `now` is what reads see, `disk` what power loss
 *     cannot take. A written sector is dirty until a sync copies it; the size is a dirty value of its own.
 *  2. After a failed sync the dirty sectors are `lost`: reads still see them, a later sync does not write them
 *     (what Linux does after EIO). Only writing them again helps.
 *  3. A directory entry has a volatile and a durable target. Each change of an entry is pending until its
 *     directory is synced; the two changes of a rename are one pending operation, unless one of their
 *     directories is synced alone. Syncing a file does not make its name durable.
 *  4. At a reboot each dirty sector is kept, dropped or torn (half old, half new), each dirty size and each
 *     pending operation kept or dropped. Keeping any subset in order reaches every state of an entry that
 *     keeping them in another order would.
 *
 * Functions return 0 or a negative errno. Memory: pages of 4 KiB appear when something is written to them.
 */
#pragma once

#include "core/list.h"
#include "core/slice.h"
#include "evio/disk.h"

#define SIM_SECTOR       512u
#define SIM_PAGE         4096u
#define SIM_PAGE_SECTORS (SIM_PAGE / SIM_SECTOR)
#define SIM_NAME_MAX     255u

struct sim_page {
	uint8_t now[SIM_PAGE], disk[SIM_PAGE];
	uint8_t dirty, lost; /* bits of sectors; lost is a subset of dirty */
};

struct sim_slot {
	struct sim_page *page; /* owned; NULL: zeros */
	bool reserved;         /* counts as allocated though nothing was written */
};

struct sim_inode {
	struct list_node node; /* in sim_store.inodes */
	bool dir;
	bool marked;            /* reached by the running collection */
	unsigned opens;         /* descriptors */
	int lock_fd;            /* descriptor that holds the lock; -1 */
	uint64_t mtime;         /* operation number of the last write */
	struct sim_slot *slots; /* owned; file */
	size_t slot_count;
	size_t dirty_from, dirty_end; /* only slots in [from, end) have dirty sectors */
	uint64_t size_now, size_disk;
	bool size_lost;
	struct list entries; /* struct sim_entry; directory */
};

struct sim_entry {
	struct list_node node;
	struct sim_inode *now, *disk; /* borrowed from the store; NULL: no such name */
	char name[SIM_NAME_MAX + 1];
};

/* One entry's change within a pending operation. */
struct sim_change {
	struct sim_inode *dir; /* NULL once it is durable */
	struct sim_entry *entry;
	struct sim_inode *target;
};

struct sim_pending {
	struct list_node node;
	struct sim_change changes[2];
};

struct sim_store {
	struct list inodes;  /* owned */
	struct list pending; /* owned, oldest first */
	struct sim_inode *root;
	uint64_t used, capacity; /* octets, whole pages */
};

/* Seeded choice (splitmix64): the same seed gives the same power loss on every machine. */
struct sim_rng {
	uint64_t state;
};
uint64_t sim_rng_next(struct sim_rng *r);

MUST_CHECK int sim_store_init(struct sim_store *st, uint64_t capacity);
void sim_store_done(struct sim_store *st);

/* Where a path leads. parent and name are set whenever the parent exists; entry and inode may be NULL. */
struct sim_where {
	struct sim_inode *parent;
	struct slice name; /* borrowed from the path; empty for the top */
	struct sim_entry *entry;
	struct sim_inode *inode;
};
MUST_CHECK int sim_store_find(const struct sim_store *st, const char *path, struct sim_where *ret);

/* Name space. Each is one pending operation. `w` comes from sim_store_find and is stale afterwards. */
MUST_CHECK int sim_store_create(struct sim_store *st, const struct sim_where *w, bool dir,
				struct sim_inode **ret);
MUST_CHECK int sim_store_unlink(struct sim_store *st, const struct sim_where *w);
MUST_CHECK int sim_store_rename(struct sim_store *st, const struct sim_where *from,
				const struct sim_where *to);
void sim_store_sync_dir(struct sim_store *st, struct sim_inode *dir);
/* Frees inodes that no name (volatile, durable or pending) and no descriptor reaches. */
void sim_store_collect(struct sim_store *st);
/* Power loss and restart. Descriptors must be forgotten before. */
void sim_store_power_loss(struct sim_store *st, uint64_t seed);

/* Files. */
MUST_CHECK int sim_inode_write(struct sim_store *st, struct sim_inode *in, const void *p, size_t n,
			       uint64_t offset);
size_t sim_inode_read(const struct sim_inode *in, void *p, size_t n, uint64_t offset);
MUST_CHECK int sim_inode_reserve(struct sim_store *st, struct sim_inode *in, uint64_t offset, uint64_t n);
MUST_CHECK int sim_inode_truncate(struct sim_store *st, struct sim_inode *in, uint64_t size);
void sim_inode_sync(struct sim_store *st, struct sim_inode *in); /* fdatasync: content and size */
void sim_inode_lose(struct sim_inode *in);                       /* a sync failed */
uint64_t sim_inode_allocated(const struct sim_inode *in);
/* Flips bits of one octet in the durable content, and in the volatile one where the sector is clean. */
MUST_CHECK int sim_inode_damage(struct sim_inode *in, uint64_t offset, uint8_t xor_with);
