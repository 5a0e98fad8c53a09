/* A domain's SPF as a whole: its record and all that it includes or redirects to, what each part costs, whom it
 * authorises, and what is wrong with it, in words. For people and for planning: no sender is checked here.
 *
 * A machine without I/O like spf_eval.h:
 *
 *	spf_tree_start(t, domain);
 *	for (s = spf_tree_step(t, NULL, &q); s == SPF_ASK; s = spf_tree_step(t, answer, &q))
 *		answer = what DNS says about q;
 *	root = spf_tree_root(t);
 *
 * Terms with macros differ from sender to sender: they cost a lookup, and who is behind them is not known. Costs are
 * those of a sender that no term matches, so that everything is evaluated: the worst case.
 */
#pragma once

#include "dns/spf_eval.h"

struct spf_node;

/* What a term of a record stands for. */
struct spf_branch {
	const struct spf_term *term; /* of the node's record */
	struct spf_node *node;       /* include, redirect: what it leads to; NULL: not followed */
	uint32_t hosts;              /* mx: names of exchanges */
	size_t net_count;            /* a, mx, ip4, ip6: addresses, with the prefix of the term */
	struct spf_net *nets;
	uint32_t voids4, voids6; /* of the term itself, for clients of each family */
	bool trouble;            /* DNS failed */
};

struct spf_node {
	struct slice domain;
	struct spf_node *parent;     /* NULL: the root */
	struct spf_record record;    /* text is empty: there is none */
	struct spf_branch *branches; /* record.count of them */
	enum dns_status status;      /* of the TXT question */
	bool several;                /* more than one record; the first is shown */
	bool loop;                   /* stands above already: not followed */
	uint32_t lookups;            /* of its terms and all below, when all are evaluated */
	uint32_t voids4, voids6;
};

struct spf_problem {
	bool fatal;          /* receivers answer permerror */
	struct slice domain; /* whose record */
	struct slice term;   /* empty: the record as a whole */
	struct slice text;   /* in words */
	struct spf_problem *next;
};

struct spf_tree;
MUST_CHECK enum err spf_tree_new(struct spf_tree **ret); /* ERR_NOMEM */
void spf_tree_free(struct spf_tree *t);                  /* NULL is fine */

void spf_tree_start(struct spf_tree *t, struct slice domain); /* copies */
enum spf_step spf_tree_step(struct spf_tree *t, const struct dns_answer *answer, struct spf_question *ret);

/* After SPF_DONE; borrowed until the next start. NULL: the domain is none, or memory ran out (see problems). */
const struct spf_node *spf_tree_root(const struct spf_tree *t);
const struct spf_problem *spf_tree_problems(const struct spf_tree *t); /* the fatal ones first; NULL: none */
bool spf_tree_cut(
	const struct spf_tree *t); /* SPF_TREE_RECORDS_MAX or SPF_TREE_QUESTIONS_MAX: there is more */
