/* Where mail for a domain goes (RFC 5321 5.1, RFC 7505): a resolution over struct dns_lookup.
 *
 *   START --literal or address--> DONE
 *   START --MX asked--> MX --records--> HOSTS --the last address answer--> DONE
 *                       MX --none--> HOSTS with the domain itself (implicit MX)
 *                       MX --null MX, no such domain, failure--> DONE
 *
 * Names that cannot be resolved are left out as long as another exchange has an address; when none has, a temporary
 * failure of any of them makes the whole temporary, since mail must not bounce for a name server's bad day.
 */
#pragma once

#include "core/arena.h"
#include "dns/lookup.h"
#include "evio/net.h"

enum dns_mx_kind {
	DNS_MX_DOMAIN, /* the domain of a recipient: "example.org", "[192.0.2.1]", "[IPv6:2001:db8::1]" */
	DNS_MX_HOST, /* a host of a fixed route: its addresses only; "mx.example", "192.0.2.1", "[2001:db8::1]" */
};

enum dns_mx_outcome {
	DNS_MX_OK,
	DNS_MX_NO_DOMAIN,  /* no such name, or not a name at all */
	DNS_MX_NO_ADDRESS, /* it exists, but nothing there takes mail */
	DNS_MX_NULL,       /* RFC 7505: it says that it takes none */
	DNS_MX_TEMPORARY,
	DNS_MX_BOGUS, /* temporary too: DNSSEC validation fails */
};
const char *dns_mx_outcome_name(enum dns_mx_outcome o);

/* One address. Ordered by preference; within a host IPv6 and IPv4 alternate. */
struct dns_mx_hop {
	struct slice host;    /* canonical; empty for a literal */
	struct net_addr addr; /* port 0 */
	uint16_t preference;
};

struct dns_mx_result {
	enum dns_mx_outcome outcome;
	uint32_t ttl_s; /* the smallest of all answers used */
	bool secure;    /* all of them were validated */
	struct slice text;
	uint32_t count;
	const struct dns_mx_hop *hops;
};
typedef void dns_mx_fn(void *ctx, const struct dns_mx_result *r); /* borrowed for the call */

struct dns_mx_options {
	struct loop *loop;
	const struct dns_lookup *lookup;
	bool no_ipv6;
};

struct dns_mx;
/* `done` comes once, never inside this call; the resolution is freed after it. ERR_NOMEM only. */
MUST_CHECK enum err dns_mx_start(const struct dns_mx_options *o, enum dns_mx_kind kind, struct slice name,
				 dns_mx_fn *done, void *ctx, struct dns_mx **ret);
void dns_mx_cancel(struct dns_mx *m); /* before done; frees; NULL is fine */

/* Shuffles hosts of equal preference (RFC 5321 5.1: to spread load); a host's addresses stay together. */
void dns_mx_shuffle(struct dns_mx_hop *hops, uint32_t count, uint64_t seed);
