/* Answers of the resolver: a bounded table by (kind, name), each until its time to live has passed.
 *
 * Values are copied in. The least recently used one goes when the table is full.
 */
#pragma once

#include "core/list.h"
#include "core/map.h"
#include "dns/mx.h"

struct cache_entry {
	struct map_node node;
	struct list_node use; /* in cache.order, least recently used first */
	enum dns_mx_kind kind;
	uint64_t expires;            /* ms, monotonic */
	struct slice key;            /* what was asked; here and below: in `memory` */
	struct dns_mx_result result; /* ttl_s as it was at the start */
	void *memory;                /* owned */
};

struct cache {
	struct map map;
	struct list order;
	uint32_t max;
};

void cache_init(struct cache *c, uint32_t max);
void cache_done(struct cache *c);
/* NULL if there is none that still lives at `now`. Borrowed until the cache changes. */
const struct cache_entry *cache_find(struct cache *c, enum dns_mx_kind kind, struct slice key, uint64_t now);
/* Replaces what is there. Without memory nothing is kept, which is no harm. */
void cache_put(struct cache *c, enum dns_mx_kind kind, struct slice key, const struct dns_mx_result *r,
	       uint64_t now);
