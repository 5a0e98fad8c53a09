/* Round robin with debts: who has been served much waits until the others have had as much.
 *
 * A variant of deficit round robin (Shreedhar, Varghese 1995) for work whose cost is known only once it has been
 * taken. Each member has a balance. Whoever stands first and has a positive balance is served and charged; one
 * without gets its weight and goes to the end.
 *
 * Invariants:
 *  1. Work-conserving: fair_pick gives a member whenever there is one.
 *  2. Between two services of a member that stays, every other one gets at most its weight plus one job.
 *  3. Amortised O(1): every step that fair_pick makes repays debt that a charge made.
 *  4. Leaving keeps the balance: nobody escapes a debt by running empty.
 */
#pragma once

#include "core/list.h"

struct fair_member {
	struct list_node node;
	int32_t balance; /* units of cost; at most weight */
	uint32_t weight; /* 1 or more: the share */
};

struct fair {
	struct list ring; /* members are borrowed */
};

void fair_init(struct fair *f);
void fair_member_init(struct fair_member *m, uint32_t weight);
void fair_join(struct fair *f, struct fair_member *m);  /* at the end; m is in no ring */
void fair_leave(struct fair *f, struct fair_member *m); /* m is in f */
struct fair_member *fair_pick(struct fair *f);          /* stays in the ring; NULL if that is empty */
void fair_charge(struct fair_member *m, uint32_t cost); /* in the ring or not */
