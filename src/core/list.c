#include "core/list.h"

void list_init(struct list *l)
{
	l->head.next = l->head.prev = &l->head;
	l->count = 0;
}

static void insert_between(struct list *l, struct list_node *prev, struct list_node *n,
			   struct list_node *next)
{
	ASSERT(!list_linked(n));
	n->prev = prev;
	n->next = next;
	prev->next = next->prev = n;
	l->count++;
}

void list_push_back(struct list *l, struct list_node *n)
{
	insert_between(l, l->head.prev, n, &l->head);
}

void list_push_front(struct list *l, struct list_node *n)
{
	insert_between(l, &l->head, n, l->head.next);
}

void list_remove(struct list *l, struct list_node *n)
{
	ASSERT(list_linked(n) && l->count > 0);
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->prev = n->next = NULL;
	l->count--;
}

struct list_node *list_first(struct list *l)
{
	return l->count ? l->head.next : NULL;
}

struct list_node *list_pop(struct list *l)
{
	struct list_node *n = list_first(l);
	if (n)
		list_remove(l, n);
	return n;
}
