/* A record's data from the words of a master file to wire form (RFC 1035 3.3, 3.4; RFC 3597 5). Pure.
 *
 * Names come out uncompressed and in lower case, so that equal records are equal octets.
 */
#pragma once

#include "dns/zone_text.h"

/* Appends the data of e, a ZONE_RECORD. Known: A, AAAA, NS, CNAME, DNAME, PTR, MX, TXT, SPF, SOA, SRV, TLSA, CAA, and any
 * type in the general form (\# length hex). ERR_UNSUPPORTED: another type; ERR_SYNTAX, ERR_LIMIT (65535 octets): the diag
 * begins "file:line:column: ". out is untouched on failure. */
MUST_CHECK enum err zone_rdata(const struct zone_entry *e, struct buf *out, struct diag *d);
