#include "sched/site.h"

const char *site_state_name(enum site_state s)
{
	static const char *const names[] = {"up", "down", "probing"};
	ASSERT((size_t)s < ARRAY_LEN(names));
	return names[s];
}

static void set_state(struct sched_site *t, enum site_state to)
{
	static const uint8_t allowed[] = {
		[SITE_UP] = 1u << SITE_UP | 1u << SITE_DOWN,
		[SITE_DOWN] = 1u << SITE_UP | 1u << SITE_DOWN | 1u << SITE_PROBING,
		[SITE_PROBING] = 1u << SITE_UP | 1u << SITE_DOWN,
	};
	ASSERT(allowed[t->state] & (1u << to));
	t->state = (uint8_t)to;
}

uint32_t site_slots(const struct sched_site *t)
{
	if (t->paused || t->state == SITE_DOWN)
		return 0;
	/* A probe is alone: it waits for what was under way when the site failed. */
	uint32_t room = t->state == SITE_PROBING ? 1 : MIN(t->window, t->limit);
	uint32_t busy = t->active + t->granted;
	return room > busy ? room - busy : 0;
}

void site_done(struct sched_site *t)
{
	t->failures = 0;
	if (t->state != SITE_UP)
		set_state(t, SITE_UP);
	if (t->window < t->limit)
		t->window++;
}

uint64_t site_failed(struct sched_site *t, const struct retry_policy *p, uint64_t seed)
{
	/* Jobs that began together fail together: that is one failure of the site, not many. */
	if (t->state != SITE_DOWN)
		t->failures++;
	t->window = 1;
	set_state(t, SITE_DOWN);
	return retry_wait(p, t->failures, seed);
}

void site_wake(struct sched_site *t)
{
	set_state(t, SITE_PROBING);
}
