/* Zones in memory as struct dns_lookup: each answer comes from a task of the loop, never inside the question. */
#pragma once

#include "dns/zonedb.h"
#include "evio/loop.h"

struct zonedb_lookup;
MUST_CHECK enum err zonedb_lookup_new(struct loop *loop, struct zonedb *db,
				      struct zonedb_lookup **ret); /* both borrowed */
void zonedb_lookup_free(struct zonedb_lookup *l); /* questions under way are never answered; NULL is fine */
struct dns_lookup zonedb_lookup_table(struct zonedb_lookup *l);
