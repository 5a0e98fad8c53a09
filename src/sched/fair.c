#include "sched/fair.h"

void fair_init(struct fair *f)
{
	list_init(&f->ring);
}

void fair_member_init(struct fair_member *m, uint32_t weight)
{
	ASSERT(weight > 0 && weight <= INT32_MAX);
	*m = (struct fair_member){.balance = (int32_t)weight, .weight = weight};
}

void fair_join(struct fair *f, struct fair_member *m)
{
	list_push_back(&f->ring, &m->node);
}

void fair_leave(struct fair *f, struct fair_member *m)
{
	list_remove(&f->ring, &m->node);
}

static void next_round(struct fair *f, struct fair_member *m)
{
	int64_t balance = (int64_t)m->balance + m->weight;
	m->balance = (int32_t)MIN(balance, (int64_t)m->weight);
	list_remove(&f->ring, &m->node);
	list_push_back(&f->ring, &m->node);
}

struct fair_member *fair_pick(struct fair *f)
{
	struct list_node *n;
	while ((n = list_first(&f->ring))) {
		struct fair_member *m = CONTAINER_OF(n, struct fair_member, node);
		if (m->balance > 0)
			return m;
		next_round(f, m);
	}
	return NULL;
}

void fair_charge(struct fair_member *m, uint32_t cost)
{
	int64_t balance = (int64_t)m->balance - cost;
	m->balance = (int32_t)MAX(balance, (int64_t)INT32_MIN / 2);
}
