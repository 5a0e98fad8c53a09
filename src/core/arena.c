#include "core/arena.h"

#include "core/mem.h"

#include <string.h>

#define ALIGN     16
#define CHUNK_MIN 4096

struct arena_chunk {
	struct arena_chunk *next; /* older */
	size_t cap, used;
	_Alignas(ALIGN) char data[];
};

void arena_init(struct arena *a, size_t max)
{
	*a = (struct arena){.max = max};
}

static void free_until(struct arena *a, struct arena_chunk *keep)
{
	while (a->chunks && a->chunks != keep) {
		struct arena_chunk *next = a->chunks->next;
		mem_free(a->chunks);
		a->chunks = next;
	}
}

void arena_done(struct arena *a)
{
	free_until(a, NULL);
	a->used = 0;
}

void arena_reset(struct arena *a)
{
	struct arena_chunk *first = a->chunks;
	while (first && first->next)
		first = first->next;
	free_until(a, first);
	if (first) {
		memset(first->data, 0, first->used);
		first->used = 0;
	}
	a->used = 0;
}

static bool grow(struct arena *a, size_t need)
{
	size_t cap = MAX(need, a->chunks ? MIN(a->chunks->cap * 2, (size_t)1 << 20) : (size_t)CHUNK_MIN);
	struct arena_chunk *c = mem_alloc(sizeof(*c) + cap);
	if (!c)
		return false;
	c->cap = cap;
	c->next = a->chunks;
	a->chunks = c;
	return true;
}

void *arena_alloc(struct arena *a, size_t n)
{
	if (n > a->max || n > SIZE_MAX / 2) /* the latter: rounding up may not wrap */
		return NULL;
	size_t need = MAX((n + ALIGN - 1) / ALIGN * ALIGN, (size_t)ALIGN);
	if (need > a->max - a->used)
		return NULL;
	if ((!a->chunks || need > a->chunks->cap - a->chunks->used) && !grow(a, need))
		return NULL;
	void *p = a->chunks->data + a->chunks->used;
	a->chunks->used += need;
	a->used += need;
	return p;
}

enum err arena_dup(struct arena *a, struct slice s, struct slice *ret)
{
	char *p = s.len < SIZE_MAX ? arena_alloc(a, s.len + 1) : NULL;
	if (!p)
		return ERR_LIMIT;
	if (s.len)
		memcpy(p, s.ptr, s.len);
	*ret = slice_of(p, s.len);
	return ERR_OK;
}
