/* queue <-> resolver: where mail for a domain goes. */
#pragma once

#include "core/arena.h"
#include "core/buf.h"
#include "evio/net.h"
#include "relay/wire/limits.h"
#include "relay/wire/wire.h"

enum wire_resolve_kind {
	WIRE_RESOLVE_MX,   /* RFC 5321 5.1: MX, implicit MX, address literals */
	WIRE_RESOLVE_HOST, /* addresses of a host only (fixed routes) */
};
struct wire_resolve {
	uint64_t ref;
	enum wire_resolve_kind kind;
	struct slice name; /* domain or host, as in the address (U-labels possible) */
	uint16_t port;     /* put into the addresses of the answer */
};
void wire_resolve_encode(const struct wire_resolve *m, struct buf *out);
MUST_CHECK enum err wire_resolve_decode(struct slice in, struct wire_resolve *ret);

enum wire_resolve_outcome {
	WIRE_RESOLVE_OK,
	WIRE_RESOLVE_NO_DOMAIN,  /* NXDOMAIN: 5.1.2 */
	WIRE_RESOLVE_NO_ADDRESS, /* exists, but nothing takes mail there: 5.4.4 */
	WIRE_RESOLVE_NULL_MX,    /* RFC 7505: 5.1.10 */
	WIRE_RESOLVE_TEMPORARY,  /* time-out, SERVFAIL, bogus: 4.4.3 */
};
/* One address to try, in the order to try them (preference, shuffled within it). */
struct wire_hop {
	struct slice host;    /* A-labels, lower case, no trailing dot; empty for a literal */
	struct net_addr addr; /* with port */
	uint16_t preference;
};
struct wire_resolved {
	uint64_t ref;
	enum wire_resolve_outcome outcome;
	uint32_t ttl_s;
	bool secure;       /* DNSSEC-validated all the way */
	struct slice text; /* explanation when not OK */
	uint32_t count;
	const struct wire_hop *hops; /* decoded: in the arena */
};
void wire_resolved_encode(const struct wire_resolved *m, struct buf *out);
MUST_CHECK enum err wire_resolved_decode(struct slice in, struct arena *a, struct wire_resolved *ret);

/* Shared with the jobs. */
void wire_hops_encode(const struct wire_hop *hops, uint32_t count, struct buf *out);
struct cursor;
MUST_CHECK enum err wire_hops_decode(struct cursor *c, struct arena *a, uint32_t *ret_count,
				     const struct wire_hop **ret);
