/* Life and loading. */
#include "core/hash.h"
#include "core/mem.h"
#include "dns/name.h"
#include "dns/zone_rdata.h"
#include "dns/zone_word.h"
#include "dns/zonedb_priv.h"

#include <string.h>

#define CLASS_IN      1u
#define SOA_TAIL      20u /* serial, refresh, retry, expire, minimum */
#define PENDING_FIRST 64u
#define OWNERS_MAX    ((size_t)4 * ZONE_TEXT_MAX) /* escapes make a name up to four times as long */
#define ROOT          SLICE_LIT(".")

/* A record that was read; it belongs to nobody until the text is read to its end. */
struct zonedb_pending {
	size_t name_at;
	uint16_t name_len;
	struct zonedb_rr *rr;
};

/* ---- names and trees ---- */

bool zonedb_parent(struct slice name, struct slice *ret)
{
	size_t dot = slice_find(name, '.');

	if (slice_eq(name, ROOT))
		return false;
	*ret = dot == SLICE_NPOS ? ROOT : slice_from(name, dot + 1);
	return true;
}

static bool tree_is(const struct map_node *n, const void *key)
{
	const struct zonedb_tree *t = CONTAINER_OF(n, struct zonedb_tree, in_trees);

	return slice_eq(t->info.apex, *(const struct slice *)key);
}

struct zonedb_tree *zonedb_tree_find(const struct zonedb *db, struct slice apex)
{
	struct map_node *n = map_find(&db->trees, hash_slice(apex), &apex);

	return n ? CONTAINER_OF(n, struct zonedb_tree, in_trees) : NULL;
}

struct zonedb_tree *zonedb_tree_over(const struct zonedb *db, struct slice name, unsigned load)
{
	do {
		struct zonedb_tree *t = zonedb_tree_find(db, name);
		if (t && (load == 0 || t->load == load))
			return t;
	} while (zonedb_parent(name, &name));
	return NULL;
}

struct node_key {
	const struct zonedb_tree *tree;
	struct slice name;
};

static bool node_is(const struct map_node *n, const void *key)
{
	const struct zonedb_node *node = CONTAINER_OF(n, struct zonedb_node, in_nodes);
	const struct node_key *k = key;

	return node->tree == k->tree && slice_eq(slice_of(node->name, node->name_len), k->name);
}

static uint64_t node_hash(const struct zonedb_tree *tree, struct slice name)
{
	return hash_slice(name) ^ tree->salt;
}

struct zonedb_node *zonedb_node_find(const struct zonedb *db, const struct zonedb_tree *tree,
				     struct slice name)
{
	struct node_key key = {tree, name};
	struct map_node *n = map_find(&db->nodes, node_hash(tree, name), &key);

	return n ? CONTAINER_OF(n, struct zonedb_node, in_nodes) : NULL;
}

/* ---- making trees ---- */

static enum err no_memory(struct diag *d)
{
	return diag_set(d, ERR_NOMEM, "no memory for more zones");
}

static enum err add_node(struct zonedb *db, struct zonedb_tree *tree, struct slice name,
			 struct zonedb_node **ret, struct diag *d)
{
	struct zonedb_node *node = arena_alloc(&db->arena, sizeof(*node) + name.len);

	if (!node)
		return no_memory(d);
	node->tree = tree;
	node->name_len = (uint16_t)name.len;
	memcpy(node->name, name.ptr, name.len);
	if (map_insert(&db->nodes, &node->in_nodes, node_hash(tree, name)) != ERR_OK)
		return no_memory(d);
	db->names++;
	*ret = node;
	return ERR_OK;
}

/* The node of a name, made with all those above it up to the apex if it is not there. */
static enum err make_node(struct zonedb *db, struct zonedb_tree *tree, struct slice name,
			  struct zonedb_node **ret, struct diag *d)
{
	struct zonedb_node *above;
	enum err e = ERR_OK;

	*ret = zonedb_node_find(db, tree, name);
	if (*ret)
		return ERR_OK;
	e = add_node(db, tree, name, ret, d);
	while (!e && !slice_eq(name, tree->info.apex) && zonedb_parent(name, &name) &&
	       !zonedb_node_find(db, tree, name))
		e = add_node(db, tree, name, &above, d);
	return e;
}

static enum err add_tree(struct zonedb *db, struct slice apex, struct slice file, struct zonedb_tree **ret,
			 struct diag *d)
{
	struct zonedb_tree *t = arena_alloc(&db->arena, sizeof(*t));

	if (!t || arena_dup(&db->arena, apex, &t->info.apex) != ERR_OK ||
	    arena_dup(&db->arena, file, &t->info.file) != ERR_OK)
		return no_memory(d);
	if (db->count == db->room) {
		size_t room = db->room ? 2 * db->room : PENDING_FIRST;
		struct zonedb_tree **list = mem_resize(db->list, room * sizeof(struct zonedb_tree *));
		if (!list)
			return no_memory(d);
		db->list = list;
		db->room = room;
	}
	if (map_insert(&db->trees, &t->in_trees, hash_slice(t->info.apex)) != ERR_OK)
		return no_memory(d);
	t->load = db->loads;
	db->list[db->count++] = t;
	t->salt = hash_u64(db->count);
	*ret = t;
	return ERR_OK;
}

/* ---- reading ---- */

static struct slice owner_of(const struct zonedb *db, const struct zonedb_pending *p)
{
	return slice_sub(buf_slice(&db->owners), p->name_at, p->name_len);
}

static enum err add_pending(struct zonedb *db, struct slice name, struct zonedb_rr *rr, struct diag *d)
{
	const struct zonedb_pending *last = db->pending_count ? &db->pending[db->pending_count - 1] : NULL;

	if (db->pending_count == db->pending_room) {
		size_t room = db->pending_room ? 2 * db->pending_room : PENDING_FIRST;
		struct zonedb_pending *pending = mem_resize(db->pending, room * sizeof(*pending));
		if (!pending)
			return no_memory(d);
		db->pending = pending;
		db->pending_room = room;
		last = db->pending_count ? &pending[db->pending_count - 1] : NULL;
	}
	struct zonedb_pending p = {db->owners.len, (uint16_t)name.len, rr};
	if (last && slice_eq(owner_of(db, last), name))
		p.name_at = last->name_at;
	else
		buf_add(&db->owners, name);
	if (db->owners.failed)
		return no_memory(d);
	db->pending[db->pending_count++] = p;
	return ERR_OK;
}

static enum err read_record(struct zonedb *db, const struct zone_entry *e, struct diag *d)
{
	buf_clear(&db->data);
	enum err err = zone_rdata(e, &db->data, d);

	if (err && err != ERR_UNSUPPORTED)
		return err;
	struct zonedb_rr *rr = arena_alloc(&db->arena, sizeof(*rr) + db->data.len);
	if (!rr)
		return no_memory(d);
	rr->type = e->type_code;
	rr->ttl_s = e->ttl_s & 0x7fffffffu;
	rr->opaque = err == ERR_UNSUPPORTED;
	rr->len = (uint16_t)db->data.len;
	if (db->data.len)
		memcpy(rr->data, db->data.data, db->data.len);
	return add_pending(db, e->name, rr, d);
}

static enum err refuse(const struct zone_entry *e, const char *what, struct diag *d)
{
	diag_set(d, ERR_UNSUPPORTED, "%s", what);
	zone_text_blame(e->source, e->span.at, d);
	return ERR_UNSUPPORTED;
}

static enum err read_text(struct zonedb *db, struct zone_text *z, struct diag *d)
{
	struct zone_entry e;

	for (;;) {
		enum err err = zone_text_next(z, &e, d);
		if (!err && e.kind == ZONE_RECORD && e.class_code == CLASS_IN)
			err = read_record(db, &e, d);
		if (!err && e.kind == ZONE_GENERATE)
			err = refuse(&e, "$GENERATE is not understood", d);
		if (err || e.kind == ZONE_END)
			return err;
	}
}

/* ---- linking ---- */

static bool is_same(const struct zonedb_rr *a, const struct zonedb_rr *b)
{
	return a->type == b->type && !a->opaque &&
	       slice_eq(slice_of(a->data, a->len), slice_of(b->data, b->len));
}

/* The same record twice is one; looked for among the first ones only, which are more than any answer has. */
static void link_record(struct zonedb *db, struct zonedb_node *node, struct zonedb_rr *rr)
{
	size_t n = 0;

	for (const struct zonedb_rr *r = node->first; r && n < ZONEDB_COMPARED_MAX; r = r->next, n++)
		if (is_same(r, rr))
			return;
	if (node->last)
		node->last->next = rr;
	else
		node->first = rr;
	node->last = rr;
	db->records++;
}

static uint32_t be32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static void note_soa(struct zonedb_tree *t, const struct zonedb_rr *rr)
{
	if (t->info.has_soa || rr->len < SOA_TAIL)
		return;
	const char *tail = rr->data + rr->len - SOA_TAIL;
	t->info.has_soa = true;
	t->info.serial = be32(tail);
	t->negative_ttl_s = MIN(be32(tail + SOA_TAIL - 4), (uint32_t)rr->ttl_s);
}

static bool is_soa(const struct zonedb_pending *p)
{
	return p->rr->type == DNS_SOA && !p->rr->opaque;
}

/* Before anything is changed: the text's zones must be new. */
static enum err check_zones(const struct zonedb *db, struct slice file, struct diag *d)
{
	for (size_t i = 0; i < db->pending_count; i++) {
		if (!is_soa(&db->pending[i]))
			continue;
		struct slice apex = owner_of(db, &db->pending[i]);
		const struct zonedb_tree *t = zonedb_tree_find(db, apex);
		if (t && t->info.has_soa)
			return diag_set(d, ERR_EXISTS, "%.*s: the zone %.*s is also in %.*s", SLICE_ARG(file),
					SLICE_ARG(apex), SLICE_ARG(t->info.file));
	}
	return ERR_OK;
}

/* The tree of an apex, for this load: a new one, or one that has no SOA yet. Other zones stay as they are. */
static enum err open_tree(struct zonedb *db, struct slice apex, struct slice file, struct zonedb_tree **ret,
			  struct diag *d)
{
	*ret = zonedb_tree_find(db, apex);
	if (!*ret)
		return add_tree(db, apex, file, ret, d);
	if (!(*ret)->info.has_soa)
		(*ret)->load = db->loads;
	return ERR_OK;
}

static bool is_within(struct slice name, struct slice apex)
{
	do {
		if (slice_eq(name, apex))
			return true;
	} while (zonedb_parent(name, &name));
	return false;
}

/* A tree for each SOA, or for the origin where there is none and a record lies there. */
static enum err make_trees(struct zonedb *db, struct slice file, struct slice origin, struct diag *d)
{
	struct zonedb_tree *t;
	size_t soas = 0;
	enum err e = ERR_OK;

	for (size_t i = 0; i < db->pending_count && !e; i++) {
		struct slice apex = owner_of(db, &db->pending[i]);
		if (!is_soa(&db->pending[i]))
			continue;
		soas++;
		e = open_tree(db, apex, file, &t, d);
		if (!e)
			note_soa(t, db->pending[i].rr);
	}
	if (e || soas || origin.len == 0)
		return e;
	for (size_t i = 0; i < db->pending_count; i++)
		if (is_within(owner_of(db, &db->pending[i]), origin))
			return open_tree(db, origin, file, &t, d);
	return ERR_OK;
}

static enum err link_all(struct zonedb *db, struct diag *d)
{
	struct zonedb_node *node = NULL;
	enum err e = ERR_OK;

	for (size_t i = 0; i < db->pending_count && !e; i++) {
		const struct zonedb_pending *p = &db->pending[i];
		struct slice name = owner_of(db, p);
		if (i == 0 || p->name_at != p[-1].name_at) {
			struct zonedb_tree *t = zonedb_tree_over(db, name, db->loads);
			e = make_node(db, t ? t : &db->stray, name, &node, d);
		}
		if (!e)
			link_record(db, node, p->rr);
	}
	return e;
}

/* The origin as name_from_wire writes it, into db->target; empty: none. */
static enum err read_origin(struct zonedb *db, struct slice origin, struct diag *d)
{
	size_t pos = 0;

	buf_clear(&db->target);
	buf_clear(&db->data);
	if (origin.len == 0)
		return ERR_OK;
	enum err e = zone_word_name(origin, slice_of("\0", 1), &db->data, d);
	if (e)
		return e;
	return name_from_wire(buf_slice(&db->data), &pos, &db->target) == ERR_OK ? ERR_OK : no_memory(d);
}

enum err zonedb_load(struct zonedb *db, const struct zone_text_options *o, struct diag *d)
{
	struct zone_text *z = NULL;
	struct diag own = {0};
	enum err e;

	if (!d)
		d = &own;
	db->loads++;
	db->pending_count = 0;
	buf_clear(&db->owners);
	e = read_origin(db, o->origin, d);
	if (!e)
		e = zone_text_open(o, &z, d);
	if (!e)
		e = read_text(db, z, d);
	zone_text_close(z);
	if (!e)
		e = check_zones(db, o->file, d);
	if (!e)
		e = make_trees(db, o->file, buf_slice(&db->target), d);
	return e ? e : link_all(db, d);
}

/* ---- life ---- */

enum err zonedb_new(struct zonedb **ret)
{
	struct zonedb *db = NEW(struct zonedb);

	if (!db)
		return ERR_NOMEM;
	arena_init(&db->arena, ZONEDB_MEMORY_MAX);
	map_init(&db->trees, tree_is);
	map_init(&db->nodes, node_is);
	db->stray.info.apex = ROOT;
	buf_init(&db->owners, OWNERS_MAX);
	buf_init(&db->data, ZONE_DATA_MAX);
	buf_init(&db->target, ZONE_NAME_TEXT_MAX);
	buf_init(&db->previous, ZONE_NAME_TEXT_MAX);
	*ret = db;
	return ERR_OK;
}

void zonedb_free(struct zonedb *db)
{
	if (!db)
		return;
	map_done(&db->trees);
	map_done(&db->nodes);
	arena_done(&db->arena);
	mem_free(db->list);
	mem_free(db->pending);
	buf_done(&db->owners);
	buf_done(&db->data);
	buf_done(&db->target);
	buf_done(&db->previous);
	mem_free(db);
}

size_t zonedb_count(const struct zonedb *db)
{
	return db->count;
}

const struct zonedb_zone *zonedb_zone_at(const struct zonedb *db, size_t i)
{
	ASSERT(i < db->count);
	return &db->list[i]->info;
}

struct zonedb_stat zonedb_stat(const struct zonedb *db)
{
	return (struct zonedb_stat){
		.zones = db->count, .names = db->names, .records = db->records, .octets = db->arena.used};
}
