/* Master files of a directory, or one of them, into zones in memory: what --dns and --zones name. Reading files is here;
 * what stands in them is dns/zonedb.h.
 *
 * A directory: its files named *.db and *.zone, or all of them where there are none such; not those that begin with a dot,
 * end with "~" (copies of editors), .jnl or .jbk (journals of BIND). What lies in directories below is not read.
 *
 * The origin of a file is its name without .db or .zone, until it says $ORIGIN. $INCLUDE with a relative path means the
 * directory of the file that includes, or else that of the first one.
 */
#pragma once

#include "dns/zonedb.h"

/* ERR_IO and others of open(2); ERR_NOTFOUND: a directory without any; those of zonedb_load. d names the file. */
MUST_CHECK enum err cli_zones_load(struct zonedb *db, const char *path, struct diag *d);
