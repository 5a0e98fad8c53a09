/* Addresses and networks of SPF: four or sixteen octets and a prefix length. Pure.
 *
 * An IPv4-mapped IPv6 address is an IPv4 address everywhere (RFC 7208 5: "MUST still be considered an IPv4 address"),
 * except in the text of an ip6 mechanism, which never matches an IPv4 client.
 */
#pragma once

#include "core/buf.h"

#define SPF_BITS4 32u
#define SPF_BITS6 128u

struct spf_addr {
	uint8_t bits;       /* SPF_BITS4 or SPF_BITS6: the family; 0: none */
	uint8_t octets[16]; /* network order; the first bits / 8 of them count, the others are 0 */
};

struct spf_net {
	struct spf_addr addr; /* as written: host bits may be set */
	uint8_t prefix;       /* bits that count, at most addr.bits */
};

/* Text to address: "192.0.2.1" without leading zeros, "2001:db8::1" (RFC 4291 2.2), no brackets, zones or ports.
 * The first maps ::ffff:a.b.c.d to IPv4, the others read one family as it stands. ERR_SYNTAX. */
MUST_CHECK enum err spf_addr_parse(struct slice text, struct spf_addr *ret);
MUST_CHECK enum err spf_addr_parse4(struct slice text, struct spf_addr *ret);
MUST_CHECK enum err spf_addr_parse6(struct slice text, struct spf_addr *ret);

struct spf_addr spf_addr_unmap(struct spf_addr a); /* IPv4 if it is an IPv4-mapped IPv6 address, else as it is */

/* "192.0.2.0/24", "2001:db8::/32", or an address, which is a network of its own. ERR_SYNTAX, ERR_RANGE. */
MUST_CHECK enum err spf_net_parse(struct slice text, struct spf_net *ret);

void spf_addr_format(const struct spf_addr *a, struct buf *out);
void spf_net_format(const struct spf_net *n,
		    struct buf *out); /* without the prefix when it is the whole address */

bool spf_addr_eq(const struct spf_addr *a, const struct spf_addr *b);
/* Are the first `prefix` bits equal? Of different families: false, also with a prefix of 0. */
bool spf_addr_match(const struct spf_addr *a, const struct spf_addr *b, uint8_t prefix);
bool spf_net_holds(const struct spf_net *n, const struct spf_addr *a);
/* Does `outer` hold all of `inner`? */
bool spf_net_covers(const struct spf_net *outer, const struct spf_net *inner);
