#include "relay/smtpc/smtpc_priv.h"

#include "core/hash.h"
#include "core/mem.h"

static bool loan_eq(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct smtpc_loan, node)->segment == *(const uint64_t *)key;
}

void smtpc_loans_init(struct smtpc *p)
{
	map_init(&p->loans, loan_eq);
}

static struct smtpc_loan *find(const struct smtpc *p, uint64_t segment)
{
	struct map_node *n = map_find(&p->loans, hash_u64(segment), &segment);
	return n ? CONTAINER_OF(n, struct smtpc_loan, node) : NULL;
}

void smtpc_loan_unref(struct smtpc_loan *l)
{
	if (--l->refs > 0)
		return;
	base_close(&l->fd);
	mem_free(l);
}

void smtpc_loan_drop(struct smtpc *p, uint64_t segment)
{
	struct smtpc_loan *l = find(p, segment);
	if (!l)
		return;
	map_remove(&p->loans, &l->node);
	smtpc_loan_unref(l);
}

void smtpc_loan_add(struct smtpc *p, uint64_t segment, int fd)
{
	smtpc_loan_drop(p, segment); /* lent again: the newer descriptor counts for newer jobs */
	struct smtpc_loan *l = p->loans.count < SMTPC_LOANS_MAX ? NEW(struct smtpc_loan) : NULL;
	if (!l) {
		base_close(&fd);
		return;
	}
	*l = (struct smtpc_loan){.segment = segment, .fd = fd, .refs = 1};
	/* Without it jobs for this segment are deferred. */
	if (map_insert(&p->loans, &l->node, hash_u64(segment)) != ERR_OK)
		smtpc_loan_unref(l);
}

struct smtpc_loan *smtpc_loan_ref(struct smtpc *p, uint64_t segment)
{
	struct smtpc_loan *l = find(p, segment);
	if (l)
		l->refs++;
	return l;
}

void smtpc_loans_forget(struct smtpc *p)
{
	MAP_EACH_SAFE (&p->loans, n, next) {
		map_remove(&p->loans, n);
		smtpc_loan_unref(CONTAINER_OF(n, struct smtpc_loan, node));
	}
}
