/* The inside of a tree, shared by spf_tree.c (what is asked) and spf_judge.c (costs and problems). */
#pragma once

#include "core/arena.h"
#include "dns/spf_tree.h"

/* A question that waits for its turn. */
struct spf_job {
	struct spf_job *next;
	struct spf_node *node;
	struct spf_branch *branch; /* NULL: the node's own record */
	struct slice name;         /* as name_from_wire writes it */
	enum dns_type type;
};

struct spf_tree {
	struct arena arena;
	struct spf_node *root;
	struct spf_job *first, *last; /* the first one is under way */
	uint32_t records, questions;
	bool cut, no_memory, started;
	struct buf name, text;
	struct spf_problem *fatal, **fatal_end, *others, **others_end;
};

/* Fills in the costs of all nodes and the list of problems. */
void spf_judge(struct spf_tree *t);
