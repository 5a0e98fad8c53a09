#include "sched/retry.h"

#define MINUTES(n) ((n)*60000ull)
#define HOURS(n)   ((n)*3600000ull)
#define DAYS(n)    ((n)*86400000ull)

static const uint64_t message_waits[] = {MINUTES(1), MINUTES(5), MINUTES(15), MINUTES(30),
					 HOURS(1),   HOURS(2),   HOURS(4)};
const struct retry_policy retry_default = {.waits = message_waits,
					   .count = ARRAY_LEN(message_waits),
					   .jitter_percent = 10,
					   .expire = DAYS(5),
					   .expire_null = DAYS(2)};

static const uint64_t site_waits[] = {30000, MINUTES(1), MINUTES(2), MINUTES(5), MINUTES(10)};
const struct retry_policy retry_site_default = {
	.waits = site_waits, .count = ARRAY_LEN(site_waits), .jitter_percent = 10};

/* splitmix64: any two seeds give unrelated values. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

uint64_t retry_wait(const struct retry_policy *p, uint32_t failures, uint64_t seed)
{
	ASSERT(p->count > 0 && p->jitter_percent < 100 && failures > 0);
	uint64_t wait = p->waits[MIN((size_t)failures, p->count) - 1];
	uint64_t spread = wait / 100 * p->jitter_percent;
	return wait - spread + mix(seed ^ mix(failures)) % (2 * spread + 1);
}

bool retry_again(const struct retry_policy *p, const struct retry_try *t, uint64_t *ret_wait)
{
	uint64_t expire = t->null_sender ? p->expire_null : p->expire;
	uint64_t age = t->now > t->accepted ? (uint64_t)(t->now - t->accepted) : 0;
	if (age >= expire)
		return false;
	*ret_wait = MIN(retry_wait(p, t->failures, t->seed), expire - age);
	return true;
}
