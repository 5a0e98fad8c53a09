/* How the small words of a configuration are spelled: names, hosts, addresses. Pure text, no look-up.
 *
 * The functions return ERR_OK or ERR_SYNTAX (ERR_RANGE for a port); who calls them knows the words to say.
 */
#pragma once

#include "core/slice.h"

MUST_CHECK enum err
conf_spell_hostname(struct slice s); /* RFC 1123 labels, at most 253 octets, no final dot */
MUST_CHECK enum err
conf_spell_mailbox(struct slice s);                  /* dot-string "@" hostname: RFC 5321 without quoting */
MUST_CHECK enum err conf_spell_path(struct slice s); /* absolute, no "..", no control characters */
MUST_CHECK enum err conf_spell_name(struct slice s); /* title of a listener */
MUST_CHECK enum err conf_spell_pattern(struct slice s);     /* title of a route */
MUST_CHECK enum err conf_spell_destination(struct slice s); /* "mx", "host:port", "[IPv6]:port" */

/* A numeric address taken apart. */
enum conf_family { CONF_IPV4, CONF_IPV6, CONF_UNIX };
struct conf_address {
	enum conf_family family;
	uint8_t ip[16];    /* 4 octets in use for IPv4 */
	uint16_t port;     /* 0: none was written */
	struct slice path; /* CONF_UNIX; borrowed */
};
/* "192.0.2.1", "192.0.2.1:25", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:25", "unix:/path". */
MUST_CHECK enum err conf_spell_address(struct slice s, struct conf_address *ret);

/* "192.0.2.0/24", "2001:db8::/32", an address alone (all of its bits), "unix" (family CONF_UNIX). Bits behind the
 * prefix must be 0. */
MUST_CHECK enum err conf_spell_network(struct slice s, struct conf_address *ret, unsigned *ret_bits);

/* Nobody outside this machine or its private network reaches it: loopback, RFC 1918, RFC 4193, link-local, Unix. */
bool conf_address_is_private(const struct conf_address *a);

/* How many single-character edits (insert, remove, replace, swap of neighbours) make b from a; anything above
 * max counts as max + 1. For "did you mean". */
unsigned conf_spell_distance(struct slice a, struct slice b, unsigned max);
