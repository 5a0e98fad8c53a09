/* DNS from lines of text, for tests of SPF: an answer for every question, at once.
 *
 * Names are as name_from_wire writes them. A name that has a record or a status exists. CNAMEs are followed; a chain
 * that does not end is a temporary failure, as it is with a real resolver.
 */
#pragma once

#include "dns/spf_eval.h"

#define ZONE_NAME_MAX 1020u

struct zone_row {
	char name[ZONE_NAME_MAX + 1];
	enum dns_type type;     /* 0: of all types that have no record */
	enum dns_status status; /* DNS_OK: data */
	struct buf data;        /* as on the wire; of a CNAME the name as text */
};

struct zone {
	struct zone_row *rows; /* owned */
	size_t count, room;
	struct slice records[DNS_RECORDS_MAX]; /* of the last answer */
	uint32_t asked;
};

void zone_done(struct zone *z);
void zone_clear(struct zone *z);
MUST_CHECK enum err zone_add(struct zone *z, struct slice name, enum dns_type type, enum dns_status status,
			     struct slice data);
/* "rr NAME TYPE HEX" or "status NAME TYPE nodata|temporary"; TYPE may be "*" for a status. ERR_SYNTAX. */
MUST_CHECK enum err zone_line(struct zone *z, struct slice line);
/* The same from words: "192.0.2.1", "2001:db8::1", "10 mx.example" (MX; "10 ." is null), a name (PTR, CNAME), any text (TXT);
 * "!temporary" and "!nodata" are statuses. Bugs in it stop the test. */
void zone_put(struct zone *z, const char *name, enum dns_type type, const char *value);
struct spf_dns zone_dns(struct zone *z);
