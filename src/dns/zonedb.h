/* Answers of DNS from zones in memory: what an authoritative server with all of these zones would say, with CNAMEs and
 * DNAMEs followed as a resolver does. For tests, for what-if questions, and for planning on a provider's own zones.
 *
 *   - The zone that answers is the closest enclosing one (RFC 1034 4.3.2): a record that a parent zone still has below
 *     the apex of another loaded zone is not seen.
 *   - A name that no zone covers does not exist, nor does one that its zone lacks: DNS_NXDOMAIN. A name that has only
 *     names below it exists: DNS_NODATA (RFC 8020). Wildcards: RFC 4592.
 *   - Records of a delegated name (NS that are not the zone's own) are answered as if they were not delegated, since
 *     nobody else can be asked.
 *   - A chain of more than ZONE_CHAIN_MAX CNAMEs, or one that turns in a circle, is DNS_TEMPORARY.
 *   - Equal records of a name are one. Only class IN counts. The TTL of a set is its smallest.
 *   - A record of a type that zone_rdata.h does not know makes its name exist; asking for it is DNS_TEMPORARY.
 *
 * A text's zones begin at its SOA records; without any, at the origin it was loaded with. Records outside of its zones
 * count too, unless another loaded zone covers them.
 *
 * Loads are whole or not at all. Pure; memory is bounded by ZONEDB_MEMORY_MAX.
 */
#pragma once

#include "dns/spf_eval.h"
#include "dns/zone_text.h"

struct zonedb;
MUST_CHECK enum err zonedb_new(struct zonedb **ret); /* ERR_NOMEM */
void zonedb_free(struct zonedb *db);                 /* NULL is fine */

/* Reads a text; nothing of it is kept but its records. ERR_EXISTS: a zone of it is loaded already; ERR_UNSUPPORTED:
 * $GENERATE; those of zone_text_next and zone_rdata. After a failure the
 * database answers as before, except after ERR_NOMEM: then it can only be freed. */
MUST_CHECK enum err zonedb_load(struct zonedb *db, const struct zone_text_options *o, struct diag *d);

/* The answer to a question, names as struct spf_question has them. Valid until the next call of any of these. */
void zonedb_answer(struct zonedb *db, struct slice name, enum dns_type type, struct dns_answer *ret);
struct spf_dns zonedb_dns(struct zonedb *db);

struct zonedb_zone {
	struct slice apex; /* as name_from_wire writes it */
	struct slice file; /* as options.file */
	uint32_t serial;   /* of its SOA; 0: it has none */
	bool has_soa;
};
size_t zonedb_count(const struct zonedb *db);
/* In the order of loading; valid until the next load. */
const struct zonedb_zone *zonedb_zone_at(const struct zonedb *db, size_t i);
/* The closest enclosing zone of a name; NULL: none. */
const struct zonedb_zone *zonedb_zone_of(const struct zonedb *db, struct slice name);
/* Is the name at or below a delegation of its zone: does the world ask somebody else about it? */
bool zonedb_is_delegated(const struct zonedb *db, struct slice name);

struct zonedb_stat {
	size_t zones, names, records, octets;
};
struct zonedb_stat zonedb_stat(const struct zonedb *db);
