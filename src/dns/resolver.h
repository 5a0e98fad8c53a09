/* DNS through one libunbound context: recursion or forwarding, DNSSEC validation, its cache.
 *
 * The context works in one thread of its own and tells its descriptor (ub_fd) when answers are there; they are handed
 * out on the loop. Everything that libunbound would choose small or not at all is set here: cache sizes, ports,
 * questions at a time, time-outs, trust anchor. It reads no file once it was made.
 */
#pragma once

#include "dns/lookup.h"
#include "evio/loop.h"

struct resolver_options {
	const struct slice *forward; /* "192.0.2.53:53", "[2001:db8::53]:53"; port optional */
	size_t forward_count;        /* 0: full recursion */
	uint64_t timeout_ms;         /* per question; 0: 30 s */
	/* Zone text, DS or DNSKEY records, comments behind ';'. Empty: the root's, built in. Text without any record:
	 * nothing is validated, for forwarders with unsigned zones of their own. */
	struct slice trust_anchor;
	bool no_ipv6; /* do not ask over IPv6 */
};

struct resolver;

MUST_CHECK enum err resolver_new(struct loop *l, const struct resolver_options *o, struct resolver **ret,
				 struct diag *d);
void resolver_free(struct resolver *r); /* drops what is under way without an answer; NULL is fine */
struct dns_lookup resolver_lookup(struct resolver *r); /* borrows r */
uint32_t resolver_pending(const struct resolver *r);   /* questions under way */
