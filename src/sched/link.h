/* An intrusive ring whose elements can leave it without knowing which ring they are in: 16 octets an element.
 *
 * core/list.h counts its elements and so needs the list to remove one; an entry of the scheduler moves between
 * many rings and must not spend memory on remembering which. A zeroed link is in no ring.
 */
#pragma once

#include "core/base.h"

struct link {
	struct link *prev, *next;
};

static inline void link_init(struct link *head)
{
	head->prev = head->next = head;
}

static inline bool link_linked(const struct link *n)
{
	return n->next != NULL;
}

static inline bool link_empty(const struct link *head)
{
	return head->next == head;
}

static inline void link_push_back(struct link *head, struct link *n)
{
	ASSERT(!link_linked(n));
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}

static inline void link_push_front(struct link *head, struct link *n)
{
	link_push_back(head->next, n);
}

static inline void link_remove(struct link *n)
{
	ASSERT(link_linked(n));
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->prev = n->next = NULL;
}

/* The first element, removed; NULL if there is none. */
static inline struct link *link_pop(struct link *head)
{
	struct link *n = head->next;
	if (n == head)
		return NULL;
	link_remove(n);
	return n;
}

/* Appends all of `from`, which is empty afterwards. */
static inline void link_splice(struct link *head, struct link *from)
{
	if (link_empty(from))
		return;
	from->next->prev = head->prev;
	head->prev->next = from->next;
	from->prev->next = head;
	head->prev = from->prev;
	link_init(from);
}
