#include "core/map.h"

#include "core/mem.h"

#define FIRST_BUCKETS 16

void map_init(struct map *m, bool (*eq)(const struct map_node *n, const void *key))
{
	*m = (struct map){.eq = eq};
}

void map_done(struct map *m)
{
	mem_free(m->buckets);
	*m = (struct map){.eq = m->eq};
}

static struct map_node **bucket(const struct map *m, uint64_t hash)
{
	return &m->buckets[hash & (m->bucket_count - 1)];
}

struct map_node *map_find(const struct map *m, uint64_t hash, const void *key)
{
	if (!m->bucket_count)
		return NULL;
	for (struct map_node *n = *bucket(m, hash); n; n = n->next)
		if (n->hash == hash && m->eq(n, key))
			return n;
	return NULL;
}

static enum err grow(struct map *m)
{
	size_t count = m->bucket_count ? m->bucket_count * 2 : FIRST_BUCKETS;
	struct map bigger = {.bucket_count = count, .buckets = mem_alloc(count * sizeof(*bigger.buckets))};
	if (!bigger.buckets)
		return ERR_NOMEM;
	for (size_t i = 0; i < m->bucket_count; i++) {
		for (struct map_node *n = m->buckets[i], *next; n; n = next) {
			next = n->next;
			struct map_node **b = bucket(&bigger, n->hash);
			n->next = *b;
			*b = n;
		}
	}
	mem_free(m->buckets);
	m->buckets = bigger.buckets;
	m->bucket_count = count;
	return ERR_OK;
}

enum err map_insert(struct map *m, struct map_node *n, uint64_t hash)
{
	/* A table that is full still works, only slower: growing may fail once there is one. */
	if (m->count >= m->bucket_count && grow(m) != ERR_OK && m->bucket_count == 0)
		return ERR_NOMEM;
	struct map_node **b = bucket(m, hash);
	n->hash = hash;
	n->next = *b;
	*b = n;
	m->count++;
	return ERR_OK;
}

void map_remove(struct map *m, struct map_node *n)
{
	struct map_node **at = bucket(m, n->hash);
	while (*at && *at != n)
		at = &(*at)->next;
	ASSERT(*at == n);
	*at = n->next;
	n->next = NULL;
	m->count--;
}

struct map_node *map_next(const struct map *m, const struct map_node *n)
{
	if (n && n->next)
		return n->next;
	size_t i = n ? (n->hash & (m->bucket_count - 1)) + 1 : 0;
	for (; i < m->bucket_count; i++)
		if (m->buckets[i])
			return m->buckets[i];
	return NULL;
}
