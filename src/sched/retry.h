/* When to try again, and when to give up (RFC 5321 4.5.4.1). Values only: no clock, no state. */
#pragma once

#include "core/base.h"

/* All times in ms. */
struct retry_policy {
	const uint64_t *waits;   /* after the 1st, 2nd, ... failure; the last one repeats; borrowed */
	size_t count;            /* 1 or more */
	uint32_t jitter_percent; /* a wait is stretched or shortened by up to this much; below 100 */
	uint64_t expire;         /* age at which a message is given up */
	uint64_t expire_null;    /* the same for the null sender: nobody waits for a bounce of a bounce */
};

/* 1, 5, 15, 30 min, 1, 2, 4 h, 4 h, ...; 10 %; 5 days; 2 days. */
extern const struct retry_policy retry_default;

/* How a site that cannot be reached is left alone: 30 s, 1, 2, 5, 10 min, 10 min, ...; 10 %. */
extern const struct retry_policy retry_site_default;

/* The wait after failure number `failures` (1, 2, ...). The same seed gives the same jitter, so that the recipients
 * of one job stay together. */
uint64_t retry_wait(const struct retry_policy *p, uint32_t failures, uint64_t seed);

struct retry_try {
	int64_t now, accepted; /* wall clock, or any other common one */
	uint32_t failures;     /* this one included: 1, 2, ... */
	bool null_sender;
	uint64_t seed;
};
/* True: try again in *ret_wait ms; the last try is made when the message expires, not shortly before. False: give
 * up. A clock that was set back only makes the message younger than it is. */
bool retry_again(const struct retry_policy *p, const struct retry_try *t, uint64_t *ret_wait);
