/* A bump allocator with a byte cap: everything dies at once. Lifetimes: connection, transaction, loop turn.
 *
 * Reaching the cap is a normal result (NULL), not a crash. Memory is zeroed and aligned to 16.
 */
#pragma once

#include "core/slice.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* owned */
	size_t used;                /* octets handed out, padding included */
	size_t max;                 /* cap in octets */
};

void arena_init(struct arena *a, size_t max);
void arena_done(struct arena *a);  /* frees all */
void arena_reset(struct arena *a); /* forgets all, keeps the first chunk */

void *arena_alloc(struct arena *a, size_t n); /* NULL at the cap or without memory; n may be 0 */

/* Copies; *ret is NUL-terminated behind its length. ERR_LIMIT at the cap. */
MUST_CHECK enum err arena_dup(struct arena *a, struct slice s, struct slice *ret);
