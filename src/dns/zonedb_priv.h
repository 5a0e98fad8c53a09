/* Zones in memory: what loading (zonedb.c) and answering (zonedb_answer.c) share. Private to src/dns.
 *
 * Every zone is a tree of names, kept as one hash map for all of them: the key is zone and name. All names between a
 * record and the apex of its zone have a node, so that a name exists exactly when it has one. Records outside of the zones
 * of their text are in a zone of their own, `stray`, which is asked where no zone covers a name.
 */
#pragma once

#include "core/arena.h"
#include "core/map.h"
#include "dns/zonedb.h"

/* A record. Lives in the arena. */
struct zonedb_rr {
	struct zonedb_rr *next; /* of the same name, in the order of loading */
	uint32_t ttl_s : 31;
	uint32_t opaque : 1; /* of a type that is not understood: no data */
	uint16_t type, len;
	char data[];
};

struct zonedb_tree {
	struct map_node in_trees; /* by apex */
	struct zonedb_zone info;
	unsigned load; /* the load that it came with */
	uint64_t salt; /* keeps equal names of different zones apart */
	uint32_t negative_ttl_s;
};

struct zonedb_node {
	struct map_node in_nodes;
	struct zonedb_tree *tree;
	struct zonedb_rr *first, *last;
	uint16_t name_len;
	char name[];
};

struct zonedb {
	struct arena arena;
	struct map trees, nodes;
	struct zonedb_tree stray;
	struct zonedb_tree **list; /* owned: all trees but stray, in the order of loading */
	size_t count, room;
	size_t names, records;
	unsigned loads;

	/* the load under way */
	struct buf owners; /* names of records, end to end */
	struct buf data;
	struct zonedb_pending *pending; /* owned */
	size_t pending_count, pending_room;

	/* the last answer */
	struct slice answer[DNS_RECORDS_MAX];
	struct buf target, previous;
};

/* The name above, false at the root. In names as name_from_wire writes them every '.' parts two labels. */
bool zonedb_parent(struct slice name, struct slice *ret);
struct zonedb_tree *zonedb_tree_find(const struct zonedb *db, struct slice apex);
/* The closest tree at or above name, of one load only unless `load` is 0; NULL: none. */
struct zonedb_tree *zonedb_tree_over(const struct zonedb *db, struct slice name, unsigned load);
struct zonedb_node *zonedb_node_find(const struct zonedb *db, const struct zonedb_tree *tree,
				     struct slice name);
