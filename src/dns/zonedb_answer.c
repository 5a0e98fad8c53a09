/* Answers (RFC 1034 4.3.2, RFC 4592, RFC 6672). */
#include "dns/name.h"
#include "dns/zonedb_priv.h"

#define TYPE_DNAME 39u
#define WILDCARD   SLICE_LIT("\\042") /* the label "*", as name_from_wire writes it */

/* What one link of a chain comes to. */
struct look {
	struct zonedb_tree *tree;
	struct zonedb_node *node;      /* NULL: no such name */
	const struct zonedb_rr *alias; /* followed: CNAME of the node, or DNAME above it */
	struct slice prefix;           /* the labels that a DNAME leaves as they are */
};

static const struct zonedb_rr *find_type(const struct zonedb_node *node, uint16_t type)
{
	for (const struct zonedb_rr *r = node->first; r; r = r->next)
		if (r->type == type)
			return r;
	return NULL;
}

static struct zonedb_node *find_wildcard(struct zonedb *db, const struct zonedb_tree *tree,
					 struct slice encloser)
{
	buf_clear(&db->previous);
	buf_add(&db->previous, WILDCARD);
	if (!slice_eq_str(encloser, ".")) {
		buf_add_char(&db->previous, '.');
		buf_add(&db->previous, encloser);
	}
	return db->previous.failed ? NULL : zonedb_node_find(db, tree, buf_slice(&db->previous));
}

/* The name is not there: what its closest encloser has to say. */
static void look_above(struct zonedb *db, struct slice name, struct look *l)
{
	struct slice above = name;
	const struct zonedb_node *encloser = NULL;

	while (!encloser && !slice_eq(above, l->tree->info.apex) && zonedb_parent(above, &above))
		encloser = zonedb_node_find(db, l->tree, above);
	if (!encloser)
		return;
	l->alias = find_type(encloser, TYPE_DNAME);
	if (l->alias)
		l->prefix = slice_sub(name, 0, name.len - above.len);
	else
		l->node = find_wildcard(db, l->tree, above);
}

static void look_up(struct zonedb *db, struct slice name, enum dns_type type, struct look *l)
{
	struct zonedb_tree *tree = zonedb_tree_over(db, name, 0);

	*l = (struct look){.tree = tree ? tree : &db->stray};
	l->node = zonedb_node_find(db, l->tree, name);
	if (!l->node)
		look_above(db, name, l);
	if (l->node && type != DNS_CNAME)
		l->alias = find_type(l->node, DNS_CNAME);
}

static void collect(struct zonedb *db, const struct look *l, enum dns_type type, struct dns_answer *ret)
{
	ret->status = l->node ? DNS_NODATA : DNS_NXDOMAIN;
	for (const struct zonedb_rr *r = l->node ? l->node->first : NULL; r; r = r->next) {
		if (r->type != type)
			continue;
		if (r->opaque) {
			*ret = (struct dns_answer){.status = DNS_TEMPORARY,
						   .text = SLICE_LIT("records of this type are not read")};
			return;
		}
		ret->status = DNS_OK;
		ret->ttl_s = MIN(ret->ttl_s, (uint32_t)r->ttl_s);
		if (ret->count < DNS_RECORDS_MAX)
			db->answer[ret->count++] = slice_of(r->data, r->len);
	}
	if (ret->status != DNS_OK)
		ret->ttl_s = MIN(ret->ttl_s, l->tree->negative_ttl_s);
	ret->ttl_s = MAX(ret->ttl_s, DNS_TTL_MIN);
}

/* The next name of a chain into db->target. False: it would be too long, or there is no memory. */
static bool follow(struct zonedb *db, const struct look *l)
{
	size_t pos = 0;
	struct slice data = slice_of(l->alias->data, l->alias->len);

	buf_clear(&db->previous); /* the prefix lies in the target that is about to go */
	buf_add(&db->previous, l->prefix);
	buf_clear(&db->target);
	buf_add(&db->target, buf_slice(&db->previous));
	if (l->prefix.len && data.len == 1) { /* a DNAME to the root: the last dot goes */
		db->target.len--;
		return !db->target.failed;
	}
	return !l->alias->opaque && name_from_wire(data, &pos, &db->target) == ERR_OK;
}

void zonedb_answer(struct zonedb *db, struct slice name, enum dns_type type, struct dns_answer *ret)
{
	struct look l;
	uint32_t ttl_s = DNS_TTL_MAX;

	for (unsigned i = 0; i < ZONE_CHAIN_MAX; i++) {
		look_up(db, name, type, &l);
		*ret = (struct dns_answer){.ttl_s = ttl_s, .records = db->answer};
		if (!l.alias) {
			collect(db, &l, type, ret);
			return;
		}
		ttl_s = MIN(ttl_s, (uint32_t)l.alias->ttl_s);
		if (!follow(db, &l))
			break;
		name = buf_slice(&db->target);
	}
	*ret = (struct dns_answer){.status = DNS_TEMPORARY,
				   .ttl_s = DNS_TTL_FAILURE,
				   .text = SLICE_LIT("a chain of CNAMEs without an end")};
}

static void answer(void *self, struct slice name, enum dns_type type, struct dns_answer *ret)
{
	zonedb_answer(self, name, type, ret);
}

struct spf_dns zonedb_dns(struct zonedb *db)
{
	return (struct spf_dns){.self = db, .answer = answer};
}

const struct zonedb_zone *zonedb_zone_of(const struct zonedb *db, struct slice name)
{
	const struct zonedb_tree *t = zonedb_tree_over(db, name, 0);

	return t ? &t->info : NULL;
}

bool zonedb_is_delegated(const struct zonedb *db, struct slice name)
{
	const struct zonedb_tree *t = zonedb_tree_over(db, name, 0);

	while (t && !slice_eq(name, t->info.apex)) {
		const struct zonedb_node *node = zonedb_node_find(db, t, name);
		if (node && find_type(node, DNS_NS))
			return true;
		if (!zonedb_parent(name, &name))
			break;
	}
	return false;
}
