#include "core/heap.h"

#include "core/mem.h"

void heap_init(struct heap *h)
{
	*h = (struct heap){0};
}

void heap_done(struct heap *h)
{
	mem_free(h->slots);
	heap_init(h);
}

static bool before(const struct heap_node *a, const struct heap_node *b)
{
	return a->key != b->key ? a->key < b->key : a->seq < b->seq;
}

static void place(struct heap *h, struct heap_node *n, uint32_t i)
{
	h->slots[i] = n;
	n->index = i;
}

static void up(struct heap *h, struct heap_node *n)
{
	uint32_t i = n->index;
	for (; i > 1 && before(n, h->slots[i / 2]); i /= 2)
		place(h, h->slots[i / 2], i);
	place(h, n, i);
}

static void down(struct heap *h, struct heap_node *n)
{
	uint32_t i = n->index;
	for (uint32_t child; (child = 2 * i) <= h->count; i = child) {
		if (child < h->count && before(h->slots[child + 1], h->slots[child]))
			child++;
		if (!before(h->slots[child], n))
			break;
		place(h, h->slots[child], i);
	}
	place(h, n, i);
}

enum err heap_insert(struct heap *h, struct heap_node *n, uint64_t key)
{
	ASSERT(n->index == 0);
	if (h->count + 2 > h->cap) {
		if (h->cap > UINT32_MAX / 2)
			return ERR_NOMEM;
		uint32_t cap = h->cap ? h->cap * 2 : 64;
		struct heap_node **slots = mem_resize(h->slots, cap * sizeof(*slots));
		if (!slots)
			return ERR_NOMEM;
		h->slots = slots;
		h->cap = cap;
	}
	n->key = key;
	n->seq = h->next_seq++;
	place(h, n, ++h->count);
	up(h, n);
	return ERR_OK;
}

void heap_remove(struct heap *h, struct heap_node *n)
{
	ASSERT(n->index > 0 && n->index <= h->count && h->slots[n->index] == n);
	struct heap_node *last = h->slots[h->count--];
	if (last != n) {
		place(h, last, n->index);
		up(h, last);
		down(h, last);
	}
	n->index = 0;
}

void heap_update(struct heap *h, struct heap_node *n, uint64_t key)
{
	ASSERT(n->index > 0 && h->slots[n->index] == n);
	n->key = key;
	n->seq = h->next_seq++;
	up(h, n);
	down(h, n);
}

struct heap_node *heap_min(const struct heap *h)
{
	return h->count ? h->slots[1] : NULL;
}
