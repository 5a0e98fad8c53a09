/* Envelopes and edits of recently committed messages, so that accept-then-deliver reads nothing from the disk. */
#include "core/mem.h"
#include "spool/spool_priv.h"

#include <string.h>

static size_t octets_of(const struct payload *p)
{
	return sizeof(*p) + p->envelope_len + p->edits_len;
}

struct payload *payload_new(struct slice envelope, struct slice edits)
{
	ASSERT(envelope.len <= SPOOL_PAYLOAD_MAX && edits.len <= SPOOL_PAYLOAD_MAX);
	struct payload *p = mem_resize(NULL, sizeof(*p) + envelope.len + edits.len);
	if (!p)
		return NULL;
	*p = (struct payload){.envelope_len = (uint32_t)envelope.len, .edits_len = (uint32_t)edits.len};
	if (envelope.len)
		memcpy(p->octets, envelope.ptr, envelope.len);
	if (edits.len)
		memcpy(p->octets + envelope.len, edits.ptr, edits.len);
	return p;
}

struct slice payload_envelope(const struct payload *p)
{
	return slice_of(p->octets, p->envelope_len);
}

struct slice payload_edits(const struct payload *p)
{
	return slice_of(p->octets + p->envelope_len, p->edits_len);
}

static void forget(struct payload_cache *c, struct payload *p)
{
	list_remove(&c->recent, &p->node);
	c->octets -= octets_of(p);
	p->entry->cached = NULL;
	mem_free(p);
}

void payload_cache_put(struct payload_cache *c, struct spool_entry *e, struct payload *p)
{
	ASSERT(!e->cached);
	p->entry = e;
	e->cached = p;
	list_push_back(&c->recent, &p->node);
	c->octets += octets_of(p);
	while (c->octets > c->max)
		forget(c, CONTAINER_OF(list_first(&c->recent), struct payload, node));
}

void payload_cache_use(struct payload_cache *c, struct payload *p)
{
	list_remove(&c->recent, &p->node);
	list_push_back(&c->recent, &p->node);
}

void payload_cache_drop(struct payload_cache *c, struct spool_entry *e)
{
	if (e->cached)
		forget(c, e->cached);
}

void payload_cache_done(struct payload_cache *c)
{
	for (struct list_node *n; (n = list_first(&c->recent));)
		forget(c, CONTAINER_OF(n, struct payload, node));
}
