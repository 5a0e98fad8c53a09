/* Asking DNS one question, as a table of functions: libunbound behind dns/resolver.h, scripted answers in tests and
 * in the simulator.
 */
#pragma once

#include "core/diag.h"
#include "core/slice.h"
#include "dns/limits.h"

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_PTR = 12,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_TLSA = 52
};

enum dns_status {
	DNS_OK,        /* one record or more */
	DNS_NODATA,    /* the name exists, nothing of this type does */
	DNS_NXDOMAIN,  /* no such name */
	DNS_TEMPORARY, /* time-out, SERVFAIL, REFUSED, or our own want of memory */
	DNS_BOGUS,     /* fails DNSSEC validation */
};
const char *dns_status_name(enum dns_status s);

/* Everything is borrowed for the call. */
struct dns_answer {
	enum dns_status status;
	bool secure;                 /* validated */
	uint32_t ttl_s;              /* DNS_TTL_MIN .. DNS_TTL_MAX */
	struct slice text;           /* why, when not OK; may be empty */
	uint32_t count;              /* at most DNS_RECORDS_MAX */
	const struct slice *records; /* data as on the wire, names in them uncompressed */
};
typedef void dns_answer_fn(void *ctx, const struct dns_answer *a);

struct dns_lookup {
	void *self;
	/* name is canonical, or as name_from_wire writes it (dns/name.h), at most DNS_NAME_MAX octets. CNAMEs are
	 * followed. `done` comes once, later, never inside the call. ERR_LIMIT (DNS_QUERIES_MAX), ERR_NOMEM, ERR_IO:
	 * it will not come. *ret_query is not 0. */
	enum err (*ask)(void *self, struct slice name, enum dns_type type, dns_answer_fn *done, void *ctx,
			uint64_t *ret_query, struct diag *d);
	void (*cancel)(void *self, uint64_t query); /* done will not come */
};
