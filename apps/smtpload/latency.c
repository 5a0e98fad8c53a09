#include "load.h"

/* Below 256 us each value has a bucket of its own; above it each power of two has 128 of equal width. */
#define EXACT    256u
#define PER_STEP 128u

static size_t bucket_of(uint64_t us)
{
	if (us < EXACT)
		return (size_t)us;
	unsigned shift = 56 - (unsigned)__builtin_clzll(us); /* us >> shift is in 128..255 */
	size_t b = EXACT + (shift - 1) * (size_t)PER_STEP + ((us >> shift) - PER_STEP);
	return MIN(b, (size_t)LATENCY_BUCKETS - 1);
}

/* The highest value of a bucket. */
static uint64_t bucket_top(size_t b)
{
	if (b < EXACT)
		return b;
	uint64_t shift = (b - EXACT) / PER_STEP + 1, at = (b - EXACT) % PER_STEP;
	return ((PER_STEP + at + 1) << shift) - 1;
}

void latency_add(struct latency *l, uint64_t us)
{
	l->min = l->count == 0 ? us : MIN(l->min, us);
	l->max = MAX(l->max, us);
	l->count++;
	l->buckets[bucket_of(us)]++;
}

uint64_t latency_percentile(const struct latency *l, double percent)
{
	ASSERT(percent >= 0 && percent <= 100);
	double exact = (double)l->count * percent / 100;
	uint64_t rank = (uint64_t)exact, below = 0;
	rank += (double)rank < exact; /* nearest rank: rounded up */
	if (l->count == 0)
		return 0;
	if (rank <= 1)
		return l->min;
	for (size_t b = 0; b < LATENCY_BUCKETS; b++) {
		below += l->buckets[b];
		if (below >= rank)
			return MIN(bucket_top(b), l->max);
	}
	return l->max;
}
