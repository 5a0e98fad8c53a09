#include "relay/resolver/cache.h"

#include "core/hash.h"
#include "core/mem.h"

#include <string.h>

struct key {
	enum dns_mx_kind kind;
	struct slice name;
};

static bool entry_eq(const struct map_node *n, const void *key)
{
	const struct cache_entry *e = CONTAINER_OF(n, struct cache_entry, node);
	const struct key *k = key;
	return e->kind == k->kind && slice_ieq(e->key, k->name);
}

static uint64_t key_hash(const struct key *k)
{
	return hash_islice(k->name) ^ (uint64_t)k->kind;
}

static struct cache_entry *lookup(const struct cache *c, const struct key *k)
{
	struct map_node *n = map_find(&c->map, key_hash(k), k);
	return n ? CONTAINER_OF(n, struct cache_entry, node) : NULL;
}

static void drop(struct cache *c, struct cache_entry *e)
{
	map_remove(&c->map, &e->node);
	list_remove(&c->order, &e->use);
	mem_free(e->memory);
	mem_free(e);
}

void cache_init(struct cache *c, uint32_t max)
{
	map_init(&c->map, entry_eq);
	list_init(&c->order);
	c->max = max;
}

void cache_done(struct cache *c)
{
	struct list_node *n;
	while ((n = list_first(&c->order)))
		drop(c, CONTAINER_OF(n, struct cache_entry, use));
	map_done(&c->map);
}

const struct cache_entry *cache_find(struct cache *c, enum dns_mx_kind kind, struct slice name, uint64_t now)
{
	struct key k = {kind, name};
	struct cache_entry *e = lookup(c, &k);
	if (!e)
		return NULL;
	if (e->expires <= now) {
		drop(c, e);
		return NULL;
	}
	list_remove(&c->order, &e->use);
	list_push_back(&c->order, &e->use);
	return e;
}

static struct slice place(char **at, struct slice s)
{
	struct slice r = slice_of(*at, s.len);
	if (s.len)
		memcpy(*at, s.ptr, s.len);
	*at += s.len;
	return r;
}

/* One block holds hops, then texts. */
static bool copy_result(struct cache_entry *e, struct slice name, const struct dns_mx_result *r)
{
	size_t size = name.len + r->text.len + r->count * sizeof(struct dns_mx_hop);
	for (uint32_t i = 0; i < r->count; i++)
		size += r->hops[i].host.len;
	struct dns_mx_hop *hops = e->memory = mem_alloc(size);
	if (!hops)
		return false;
	char *at = (char *)(hops + r->count);
	e->key = place(&at, name);
	e->result = *r;
	e->result.text = place(&at, r->text);
	e->result.hops = hops;
	for (uint32_t i = 0; i < r->count; i++) {
		hops[i] = r->hops[i];
		hops[i].host = place(&at, r->hops[i].host);
	}
	return true;
}

void cache_put(struct cache *c, enum dns_mx_kind kind, struct slice name, const struct dns_mx_result *r,
	       uint64_t now)
{
	struct key k = {kind, name};
	struct cache_entry *old = lookup(c, &k);
	if (old)
		drop(c, old);
	while (c->order.count >= c->max)
		drop(c, CONTAINER_OF(list_first(&c->order), struct cache_entry, use));
	struct cache_entry *e = NEW(struct cache_entry);
	if (!e)
		return;
	e->kind = kind;
	e->expires = now + r->ttl_s * 1000ull;
	if (!copy_result(e, name, r) || map_insert(&c->map, &e->node, key_hash(&k)) != ERR_OK) {
		mem_free(e->memory);
		mem_free(e);
		return;
	}
	list_push_back(&c->order, &e->use);
}
