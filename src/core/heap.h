/* An intrusive binary min-heap of 64-bit keys: timers, retry times. Equal keys leave in order of insertion.
 *
 * A node is in at most one heap; heap_node.index is 0 while it is in none (slot 0 is never used).
 */
#pragma once

#include "core/err.h"

struct heap_node {
	uint64_t key;
	uint64_t seq;   /* set by heap_insert; breaks ties */
	uint32_t index; /* place in the heap, 0: not in one */
};

struct heap {
	struct heap_node **slots; /* owned array; nodes are borrowed */
	uint32_t count, cap;
	uint64_t next_seq;
};

void heap_init(struct heap *h);
void heap_done(struct heap *h);
MUST_CHECK enum err heap_insert(struct heap *h, struct heap_node *n,
				uint64_t key);                       /* n not in a heap; ERR_NOMEM */
void heap_remove(struct heap *h, struct heap_node *n);               /* n in this heap */
void heap_update(struct heap *h, struct heap_node *n, uint64_t key); /* n in this heap */
struct heap_node *heap_min(const struct heap *h);                    /* NULL if empty */
