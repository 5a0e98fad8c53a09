#include "evio/sim_inode.h"

#include "core/mem.h"
#include "evio/disk_priv.h"

#include <errno.h>
#include <string.h>

#define FILE_MAX (1ULL << 36) /* octets of one simulated file: bounds the slot table, not a disk */

uint64_t sim_rng_next(struct sim_rng *r)
{
	uint64_t z = (r->state += 0x9E3779B97F4A7C15ULL);

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
	return z ^ (z >> 31);
}

/* ---- inodes ---- */

static struct sim_inode *inode_new(struct sim_store *st, bool dir)
{
	struct sim_inode *in = NEW(struct sim_inode);

	if (!in)
		return NULL;
	in->dir = dir;
	in->lock_fd = -1;
	list_init(&in->entries);
	list_push_back(&st->inodes, &in->node);
	return in;
}

static void drop_slots(struct sim_store *st, struct sim_inode *in, size_t from)
{
	for (size_t i = from; i < in->slot_count; i++) {
		if (in->slots[i].page || in->slots[i].reserved)
			st->used -= SIM_PAGE;
		mem_free(in->slots[i].page);
		in->slots[i] = (struct sim_slot){0};
	}
}

static void inode_free(struct sim_store *st, struct sim_inode *in)
{
	struct list_node *n;

	drop_slots(st, in, 0);
	mem_free(in->slots);
	while ((n = list_pop(&in->entries)))
		mem_free(CONTAINER_OF(n, struct sim_entry, node));
	list_remove(&st->inodes, &in->node);
	mem_free(in);
}

/* The table covers `size` octets afterwards. */
static int grow_slots(struct sim_inode *in, uint64_t size)
{
	size_t want = (size_t)((size + SIM_PAGE - 1) / SIM_PAGE), cap = MAX(want, in->slot_count * 2);
	struct sim_slot *slots;

	if (size > FILE_MAX)
		return -EFBIG;
	if (want <= in->slot_count)
		return 0;
	slots = mem_resize(in->slots, cap * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	memset(slots + in->slot_count, 0, (cap - in->slot_count) * sizeof(*slots));
	in->slots = slots;
	in->slot_count = cap;
	return 0;
}

/* All pages from first to last, or none. */
static int claim_slots(struct sim_store *st, struct sim_inode *in, uint64_t first, uint64_t last)
{
	uint64_t need = 0;

	for (uint64_t i = first; i <= last; i++)
		need += !in->slots[i].page && !in->slots[i].reserved ? SIM_PAGE : 0;
	if (st->used + need > st->capacity)
		return -ENOSPC;
	for (uint64_t i = first; i <= last; i++)
		in->slots[i].reserved = true;
	st->used += need;
	return 0;
}

int sim_inode_reserve(struct sim_store *st, struct sim_inode *in, uint64_t offset, uint64_t n)
{
	uint64_t end = offset + n;
	int r;

	if (n == 0 || end < offset)
		return -EINVAL;
	r = grow_slots(in, end);
	if (r == 0)
		r = claim_slots(st, in, offset / SIM_PAGE, (end - 1) / SIM_PAGE);
	if (r == 0 && end > in->size_now) {
		in->size_now = end;
		in->size_lost = false;
	}
	return r;
}

/* Marks the sectors that [from, from + n) of page `index` touches. */
static void mark_dirty(struct sim_inode *in, size_t index, size_t from, size_t n)
{
	struct sim_page *pg = in->slots[index].page;
	bool none = in->dirty_from == in->dirty_end;

	in->dirty_from = none ? index : MIN(in->dirty_from, index);
	in->dirty_end = none ? index + 1 : MAX(in->dirty_end, index + 1);
	for (size_t s = from / SIM_SECTOR; s * SIM_SECTOR < from + n; s++) {
		pg->dirty |= (uint8_t)(1U << s);
		pg->lost &= (uint8_t) ~(1U << s);
	}
}

static int write_page(struct sim_inode *in, size_t index, const void *p, size_t from, size_t n)
{
	struct sim_slot *s = &in->slots[index];

	if (!s->page) {
		s->page = NEW(struct sim_page);
		if (!s->page)
			return -ENOMEM;
	}
	memcpy(s->page->now + from, p, n);
	mark_dirty(in, index, from, n);
	return 0;
}

int sim_inode_write(struct sim_store *st, struct sim_inode *in, const void *p, size_t n, uint64_t offset)
{
	const uint8_t *from = p;
	int r;

	if (n == 0)
		return 0;
	/* Space for all of it first: a write that does not fit changes nothing. */
	r = sim_inode_reserve(st, in, offset, n);
	while (r == 0 && n > 0) {
		size_t in_page = (size_t)(offset % SIM_PAGE), part = MIN(n, SIM_PAGE - in_page);

		r = write_page(in, (size_t)(offset / SIM_PAGE), from, in_page, part);
		from += part;
		n -= part;
		offset += part;
	}
	return r;
}

size_t sim_inode_read(const struct sim_inode *in, void *p, size_t n, uint64_t offset)
{
	uint8_t *to = p;
	size_t left;

	if (offset >= in->size_now)
		return 0;
	n = (size_t)MIN((uint64_t)n, in->size_now - offset);
	for (left = n; left > 0;) {
		size_t in_page = (size_t)(offset % SIM_PAGE), part = MIN(left, SIM_PAGE - in_page);
		uint64_t i = offset / SIM_PAGE;
		const struct sim_page *pg = i < in->slot_count ? in->slots[i].page : NULL;

		if (pg)
			memcpy(to, pg->now + in_page, part);
		else
			memset(to, 0, part);
		to += part;
		left -= part;
		offset += part;
	}
	return n;
}

/* Zeros what lies behind the size in the page that the size cuts. */
static void zero_tail(struct sim_inode *in, uint64_t size)
{
	size_t in_page = (size_t)(size % SIM_PAGE);
	struct sim_page *pg = size / SIM_PAGE < in->slot_count ? in->slots[size / SIM_PAGE].page : NULL;

	if (in_page == 0 || !pg)
		return;
	memset(pg->now + in_page, 0, SIM_PAGE - in_page);
	mark_dirty(in, (size_t)(size / SIM_PAGE), in_page, SIM_PAGE - in_page);
}

int sim_inode_truncate(struct sim_store *st, struct sim_inode *in, uint64_t size)
{
	int r = grow_slots(in, size);

	if (r < 0)
		return r;
	if (size < in->size_now) {
		zero_tail(in, size);
		/* Whole pages behind it stay until the new size is durable: power loss may bring them back. */
		for (size_t i = (size_t)((size + SIM_PAGE - 1) / SIM_PAGE); i < in->slot_count; i++) {
			struct sim_page *pg = in->slots[i].page;

			if (!pg)
				continue;
			memset(pg->now, 0, SIM_PAGE);
			mark_dirty(in, i, 0, SIM_PAGE);
		}
	}
	in->size_now = size;
	in->size_lost = false;
	return 0;
}

static void sync_page(struct sim_page *pg)
{
	for (size_t s = 0; s < SIM_PAGE_SECTORS; s++)
		if ((pg->dirty & ~pg->lost) & (1U << s))
			memcpy(pg->disk + s * SIM_SECTOR, pg->now + s * SIM_SECTOR, SIM_SECTOR);
	pg->dirty = pg->lost;
}

void sim_inode_sync(struct sim_store *st, struct sim_inode *in)
{
	bool lost = false;

	for (size_t i = in->dirty_from; i < in->dirty_end; i++) {
		if (!in->slots[i].page)
			continue;
		sync_page(in->slots[i].page);
		lost |= in->slots[i].page->lost != 0;
	}
	if (!lost)
		in->dirty_from = in->dirty_end = 0;
	if (in->size_lost)
		return;
	in->size_disk = in->size_now;
	drop_slots(st, in, (size_t)((in->size_now + SIM_PAGE - 1) / SIM_PAGE));
}

void sim_inode_lose(struct sim_inode *in)
{
	for (size_t i = in->dirty_from; i < in->dirty_end; i++)
		if (in->slots[i].page)
			in->slots[i].page->lost = in->slots[i].page->dirty;
	in->size_lost = in->size_now != in->size_disk;
}

uint64_t sim_inode_allocated(const struct sim_inode *in)
{
	uint64_t n = 0;

	for (size_t i = 0; i < in->slot_count; i++)
		if (in->slots[i].page || in->slots[i].reserved)
			n += SIM_PAGE;
	return n;
}

int sim_inode_damage(struct sim_inode *in, uint64_t offset, uint8_t xor_with)
{
	size_t in_page = (size_t)(offset % SIM_PAGE);
	struct sim_slot *s;

	if (in->dir || offset >= in->size_disk || offset / SIM_PAGE >= in->slot_count)
		return -EINVAL;
	s = &in->slots[offset / SIM_PAGE];
	if (!s->page)
		s->page = s->reserved ? NEW(struct sim_page) : NULL;
	if (!s->page)
		return s->reserved ? -ENOMEM : -EINVAL; /* a hole has no sectors to rot */
	s->page->disk[in_page] ^= xor_with;
	if (!(s->page->dirty & (1U << (in_page / SIM_SECTOR))))
		s->page->now[in_page] ^= xor_with;
	return 0;
}

/* ---- names ---- */

int sim_store_init(struct sim_store *st, uint64_t capacity)
{
	*st = (struct sim_store){.capacity = capacity};
	list_init(&st->inodes);
	list_init(&st->pending);
	st->root = inode_new(st, true);
	return st->root ? 0 : -ENOMEM;
}

static void drop_pending(struct sim_store *st)
{
	struct list_node *n;

	while ((n = list_pop(&st->pending)))
		mem_free(CONTAINER_OF(n, struct sim_pending, node));
}

void sim_store_done(struct sim_store *st)
{
	struct list_node *n;

	drop_pending(st);
	while ((n = list_first(&st->inodes)))
		inode_free(st, CONTAINER_OF(n, struct sim_inode, node));
}

static struct sim_entry *find_entry(struct sim_inode *dir, struct slice name)
{
	LIST_EACH_SAFE (&dir->entries, it, tmp) {
		struct sim_entry *e = CONTAINER_OF(it, struct sim_entry, node);

		if (slice_eq_str(name, e->name))
			return e;
	}
	return NULL;
}

int sim_store_find(const struct sim_store *st, const char *path, struct sim_where *ret)
{
	struct sim_where w = {.inode = st->root};
	struct slice rest = slice_str(path);

	if (!disk_path_ok(path))
		return -EINVAL;
	while (rest.ptr) {
		struct slice part = slice_split(&rest, '/');

		if (!w.inode)
			return -ENOENT;
		if (!w.inode->dir)
			return -ENOTDIR;
		if (slice_eq_str(part, "."))
			continue;
		w.parent = w.inode;
		w.name = part;
		w.entry = find_entry(w.parent, part);
		w.inode = w.entry ? w.entry->now : NULL;
	}
	*ret = w;
	return 0;
}

static int ensure_entry(const struct sim_where *w, struct sim_entry **ret)
{
	struct sim_entry *e = w->entry;

	if (!e) {
		e = NEW(struct sim_entry);
		if (!e)
			return -ENOMEM;
		memcpy(e->name, w->name.ptr, w->name.len);
		list_push_back(&w->parent->entries, &e->node);
	}
	*ret = e;
	return 0;
}

/* Makes the changes in the volatile name space and remembers them. */
static int apply(struct sim_store *st, struct sim_change first, struct sim_change second)
{
	struct sim_pending *p = NEW(struct sim_pending);

	if (!p)
		return -ENOMEM;
	p->changes[0] = first;
	p->changes[1] = second;
	first.entry->now = first.target;
	if (second.dir)
		second.entry->now = second.target;
	list_push_back(&st->pending, &p->node);
	return 0;
}

int sim_store_create(struct sim_store *st, const struct sim_where *w, bool dir, struct sim_inode **ret)
{
	struct sim_change c = {.dir = w->parent};
	int r;

	if (!w->parent || w->inode)
		return -EEXIST;
	r = ensure_entry(w, &c.entry);
	if (r < 0)
		return r;
	c.target = inode_new(st, dir);
	if (!c.target)
		return -ENOMEM;
	*ret = c.target;
	return apply(st, c, (struct sim_change){0});
}

int sim_store_unlink(struct sim_store *st, const struct sim_where *w)
{
	if (!w->inode)
		return -ENOENT;
	if (w->inode->dir)
		return -EISDIR;
	return apply(st, (struct sim_change){.dir = w->parent, .entry = w->entry}, (struct sim_change){0});
}

int sim_store_rename(struct sim_store *st, const struct sim_where *from, const struct sim_where *to)
{
	struct sim_change gone = {.dir = from->parent, .entry = from->entry};
	struct sim_change here = {.dir = to->parent, .target = from->inode};
	int r;

	if (!from->inode)
		return -ENOENT;
	if (!to->parent || !from->parent)
		return -EBUSY; /* the top itself */
	if (from->inode == to->inode)
		return 0;
	if (from->inode->dir || (to->inode && to->inode->dir))
		return -EISDIR; /* nobody renames directories: not simulated */
	r = ensure_entry(to, &here.entry);
	return r < 0 ? r : apply(st, gone, here);
}

static void commit_change(struct sim_change *c)
{
	if (c->dir)
		c->entry->disk = c->target;
	c->dir = NULL;
}

/* Forgets names that exist on neither side; nothing pending may speak of them. */
static void drop_dead_entries(struct sim_inode *dir)
{
	LIST_EACH_SAFE (&dir->entries, it, tmp) {
		struct sim_entry *e = CONTAINER_OF(it, struct sim_entry, node);

		if (e->now || e->disk)
			continue;
		list_remove(&dir->entries, it);
		mem_free(e);
	}
}

void sim_store_sync_dir(struct sim_store *st, struct sim_inode *dir)
{
	LIST_EACH_SAFE (&st->pending, it, tmp) {
		struct sim_pending *p = CONTAINER_OF(it, struct sim_pending, node);

		for (size_t i = 0; i < ARRAY_LEN(p->changes); i++)
			if (p->changes[i].dir == dir)
				commit_change(&p->changes[i]);
		if (p->changes[0].dir || p->changes[1].dir)
			continue;
		list_remove(&st->pending, it);
		mem_free(p);
	}
	drop_dead_entries(dir);
}

/* ---- collection ---- */

/* Directories nest only as deep as a path is long (disk_path_ok), which bounds this recursion. */
static void mark(struct sim_inode *in)
{
	if (!in || in->marked)
		return;
	in->marked = true;
	LIST_EACH_SAFE (&in->entries, it, tmp) {
		struct sim_entry *e = CONTAINER_OF(it, struct sim_entry, node);

		mark(e->now);
		mark(e->disk);
	}
}

static void mark_pending(struct sim_store *st)
{
	LIST_EACH_SAFE (&st->pending, it, tmp) {
		struct sim_pending *p = CONTAINER_OF(it, struct sim_pending, node);

		for (size_t i = 0; i < ARRAY_LEN(p->changes); i++)
			if (p->changes[i].dir) {
				mark(p->changes[i].dir);
				mark(p->changes[i].target);
			}
	}
}

void sim_store_collect(struct sim_store *st)
{
	mark(st->root);
	mark_pending(st);
	LIST_EACH_SAFE (&st->inodes, it, tmp) {
		struct sim_inode *in = CONTAINER_OF(it, struct sim_inode, node);

		if (in->marked || in->opens > 0)
			in->marked = false;
		else
			inode_free(st, in);
	}
}

/* ---- power loss ---- */

/* How much survives differs from loss to loss, so that "everything" and "nothing" happen often too. */
struct odds {
	unsigned keep, tear; /* of 256; the rest is dropped */
};

static struct odds odds_of(struct sim_rng *rng)
{
	static const struct odds table[] = {{256, 0}, {0, 0}, {128, 0}, {85, 86}, {216, 20}, {20, 20}};

	return table[sim_rng_next(rng) % ARRAY_LEN(table)];
}

enum fate { FATE_KEEP, FATE_TEAR, FATE_DROP };

static enum fate fate_of(struct sim_rng *rng, const struct odds *o)
{
	unsigned draw = (unsigned)(sim_rng_next(rng) & 255);

	if (draw < o->keep)
		return FATE_KEEP;
	return draw < o->keep + o->tear ? FATE_TEAR : FATE_DROP;
}

static void settle_sector(uint8_t *now, uint8_t *disk, enum fate f, bool second_half)
{
	size_t half = SIM_SECTOR / 2, from = second_half ? half : 0;

	if (f == FATE_KEEP)
		memcpy(disk, now, SIM_SECTOR);
	else if (f == FATE_TEAR)
		memcpy(disk + from, now + from, half);
}

static void settle_page(struct sim_page *pg, struct sim_rng *rng, const struct odds *o)
{
	for (size_t s = 0; s < SIM_PAGE_SECTORS; s++) {
		if (pg->dirty & (1U << s))
			settle_sector(pg->now + s * SIM_SECTOR, pg->disk + s * SIM_SECTOR, fate_of(rng, o),
				      sim_rng_next(rng) & 1);
	}
	memcpy(pg->now, pg->disk, SIM_PAGE);
	pg->dirty = pg->lost = 0;
}

static void settle_file(struct sim_store *st, struct sim_inode *in, struct sim_rng *rng, const struct odds *o)
{
	in->opens = 0;
	in->lock_fd = -1;
	if (in->size_now != in->size_disk && fate_of(rng, o) != FATE_KEEP)
		in->size_now = in->size_disk;
	in->size_disk = in->size_now;
	in->size_lost = false;
	for (size_t i = 0; i < in->slot_count; i++)
		if (in->slots[i].page)
			settle_page(in->slots[i].page, rng, o);
	/* Behind the size there is nothing, also when the file grows again. */
	zero_tail(in, in->size_now);
	sim_inode_sync(st, in);
}

static void settle_names(struct sim_store *st, struct sim_rng *rng, const struct odds *o)
{
	LIST_EACH_SAFE (&st->pending, it, tmp) {
		struct sim_pending *p = CONTAINER_OF(it, struct sim_pending, node);

		if (fate_of(rng, o) != FATE_KEEP)
			continue;
		commit_change(&p->changes[0]);
		commit_change(&p->changes[1]);
	}
	drop_pending(st);
}

static void settle_entries(struct sim_inode *dir)
{
	LIST_EACH_SAFE (&dir->entries, it, tmp) {
		struct sim_entry *e = CONTAINER_OF(it, struct sim_entry, node);

		e->now = e->disk;
	}
	drop_dead_entries(dir);
}

void sim_store_power_loss(struct sim_store *st, uint64_t seed)
{
	struct sim_rng rng = {seed};
	struct odds names = odds_of(&rng), content = odds_of(&rng);

	settle_names(st, &rng, &names);
	LIST_EACH_SAFE (&st->inodes, it, tmp) {
		struct sim_inode *in = CONTAINER_OF(it, struct sim_inode, node);

		settle_entries(in);
		settle_file(st, in, &rng, &content);
	}
	sim_store_collect(st);
}
