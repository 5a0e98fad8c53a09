/* An intrusive hash map, chained, growing by powers of two. Keys live in the elements; hashing is keyed
 * (core/hash.h), so that a remote party cannot choose collisions.
 *
 * The map compares hashes first and asks `eq` only where they agree. Iteration order is unspecified; the
 * element under MAP_EACH_SAFE may be removed, others may not.
 */
#pragma once

#include "core/slice.h"

struct map_node {
	struct map_node *next;
	uint64_t hash;
};

struct map {
	struct map_node **buckets; /* owned */
	size_t count, bucket_count;
	bool (*eq)(const struct map_node *n, const void *key);
};

void map_init(struct map *m, bool (*eq)(const struct map_node *n, const void *key));
void map_done(struct map *m); /* the elements stay with their owner */
struct map_node *map_find(const struct map *m, uint64_t hash, const void *key);
/* The caller has checked that the key is absent. ERR_NOMEM leaves the map as it was. */
MUST_CHECK enum err map_insert(struct map *m, struct map_node *n, uint64_t hash);
void map_remove(struct map *m, struct map_node *n);                       /* n is in m */
struct map_node *map_next(const struct map *m, const struct map_node *n); /* NULL starts; NULL at the end */

#define MAP_EACH_SAFE(m, it, tmp)                                                                            \
	for (struct map_node *it = map_next((m), NULL), *tmp = it ? map_next((m), it) : NULL; it;            \
	     it = tmp, tmp = it ? map_next((m), it) : NULL)
