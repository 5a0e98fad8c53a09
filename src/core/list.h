/* An intrusive doubly linked list: struct list is the head, struct list_node lies in the element.
 *
 * A node is in at most one list. A zeroed node is unlinked; list_remove leaves it zeroed. A node may be
 * removed while LIST_EACH_SAFE stands on it.
 */
#pragma once

#include "core/base.h"

struct list_node {
	struct list_node *prev, *next;
};

struct list {
	struct list_node head; /* head.next is the first; list_init makes it point to itself */
	size_t count;
};

void list_init(struct list *l);
void list_push_back(struct list *l, struct list_node *n);
void list_push_front(struct list *l, struct list_node *n);
void list_remove(struct list *l, struct list_node *n);
struct list_node *list_first(struct list *l); /* NULL if empty */
struct list_node *list_pop(struct list *l);   /* removes and returns the first, NULL if empty */
static inline bool list_linked(const struct list_node *n)
{
	return n->next != NULL;
}

#define LIST_EACH_SAFE(l, it, tmp)                                                                           \
	for (struct list_node *it = (l)->head.next, *tmp = it->next; it != &(l)->head;                       \
	     it = tmp, tmp = it->next)
