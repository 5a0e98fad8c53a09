#include "spool/index.h"

#include "core/hash.h"
#include "core/mem.h"
#include "spool/limits.h"

_Static_assert(sizeof(struct spool_entry) <= 104 && sizeof(struct spool_entry_rcpt) == 8,
	       "index.h, invariant 3");

static struct spool_entry *entry_of(struct map_node *n)
{
	return n ? CONTAINER_OF(n, struct spool_entry, node) : NULL;
}

static bool same_id(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct spool_entry, node)->id == *(const uint64_t *)key;
}

enum err spool_index_init(struct spool_index *ix)
{
	struct map_node first;
	list_init(&ix->changed);
	map_init(&ix->entries, same_id);
	/* The first insertion makes the table; later ones cannot fail, they only share buckets (core/map.h). */
	enum err e = map_insert(&ix->entries, &first, 0);
	if (!e)
		map_remove(&ix->entries, &first);
	return e;
}

void spool_index_done(struct spool_index *ix)
{
	MAP_EACH_SAFE (&ix->entries, n, tmp) {
		map_remove(&ix->entries, n);
		spool_index_entry_free(entry_of(n));
	}
	map_done(&ix->entries);
	list_init(&ix->changed);
}

struct spool_entry *spool_index_entry_new(uint64_t id, uint32_t recipients)
{
	ASSERT(recipients > 0 && recipients <= SPOOL_RECIPIENTS_MAX);
	struct spool_entry *e = mem_alloc(sizeof(*e) + recipients * sizeof(e->rcpt[0]));
	if (!e)
		return NULL;
	e->id = id;
	e->recipients = e->open = (uint16_t)recipients;
	return e;
}

void spool_index_entry_free(struct spool_entry *e)
{
	mem_free(e);
}

void spool_index_add(struct spool_index *ix, struct spool_entry *e)
{
	enum err err = map_insert(&ix->entries, &e->node, hash_serial(e->id));
	ASSERT(err == ERR_OK);
}

struct spool_entry *spool_index_find(const struct spool_index *ix, uint64_t id)
{
	return entry_of(map_find(&ix->entries, hash_serial(id), &id));
}

void spool_index_remove(struct spool_index *ix, struct spool_entry *e)
{
	if (list_linked(&e->changed))
		list_remove(&ix->changed, &e->changed);
	map_remove(&ix->entries, &e->node);
}

void spool_index_mark_changed(struct spool_index *ix, struct spool_entry *e)
{
	if (!list_linked(&e->changed))
		list_push_back(&ix->changed, &e->changed);
}

bool spool_index_set_state(struct spool_entry *e, uint32_t ordinal, enum spool_state s)
{
	ASSERT(ordinal < e->recipients);
	struct spool_entry_rcpt *r = &e->rcpt[ordinal];
	if (spool_state_final((enum spool_state)r->state))
		return false;
	r->state = (uint32_t)s & 7;
	if (spool_state_final(s))
		e->open--;
	return true;
}
