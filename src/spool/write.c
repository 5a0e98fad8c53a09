/* One message on its way in: content in chunks, which are what is later written. */
#include "core/hash.h"
#include "core/mem.h"
#include "spool/spool_priv.h"

#include <string.h>
#include <xxhash.h>

/* ---- chunks ---- */

static struct chunk *chunk_new(struct spool *sp)
{
	struct chunk *c = sp->stock;
	if (c) {
		sp->stock = c->next;
		sp->stocked--;
	} else {
		c = mem_resize(NULL, SPOOL_CHUNK);
	}
	if (c) {
		c->next = NULL;
		c->used = 0;
	}
	return c;
}

static void chunk_free(struct spool *sp, struct chunk *c)
{
	if (sp->stocked >= SPOOL_CHUNKS_KEPT) {
		mem_free(c);
		return;
	}
	c->next = sp->stock;
	sp->stock = c;
	sp->stocked++;
}

void chunks_free(struct spool *sp, struct chunk_list *l)
{
	for (struct chunk *c = l->first, *next; c; c = next) {
		next = c->next;
		chunk_free(sp, c);
	}
	sp->pending -= l->octets;
	*l = (struct chunk_list){0};
}

enum err chunks_add(struct spool *sp, struct chunk_list *l, struct slice s)
{
	while (s.len > 0) {
		if (!l->last || l->last->used == CHUNK_ROOM) {
			struct chunk *c = chunk_new(sp);
			if (!c)
				return ERR_NOMEM;
			*(l->last ? &l->last->next : &l->first) = c;
			l->last = c;
		}
		size_t n = MIN(s.len, CHUNK_ROOM - l->last->used);
		memcpy(l->last->octets + l->last->used, s.ptr, n);
		l->last->used += (uint32_t)n;
		l->octets += n;
		sp->pending += n;
		s = slice_from(s, n);
	}
	return ERR_OK;
}

/* ---- the life of a write ---- */

struct spool_write *spool_find_write(const struct spool *sp, uint64_t id)
{
	struct map_node *n = map_find(&sp->writes, hash_u64(id), &id);
	return n ? CONTAINER_OF(n, struct spool_write, node) : NULL;
}

struct spool_write *write_new(struct spool *sp, uint64_t id)
{
	struct spool_write *w = NEW(struct spool_write);
	if (!w || map_insert(&sp->writes, &w->node, hash_u64(id)) != ERR_OK) {
		mem_free(w);
		return NULL;
	}
	w->id = id;
	w->spool = sp;
	buf_init(&w->verdict, SPOOL_PAYLOAD_MAX);
	return w;
}

enum err spool_write_begin(struct spool *sp, uint64_t id, struct spool_write **ret, struct diag *d)
{
	ASSERT(sp->ready && !sp->closing);
	if (sp->health == SPOOL_RESERVE)
		return diag_set(d, ERR_NOSPACE, "the spool's disk is full up to its reserve");
	if (sp->health == SPOOL_BROKEN)
		return diag_set(d, ERR_IO, "the spool's disk fails");
	if (sp->pending > SPOOL_PENDING_MAX)
		return diag_set(d, ERR_LIMIT, "%u octets wait for the disk", SPOOL_PENDING_MAX);
	if (spool_find_write(sp, id) || spool_index_find(&sp->index, id))
		return diag_set(d, ERR_EXISTS, "message id is in use");
	*ret = write_new(sp, id);
	return *ret ? ERR_OK : diag_set(d, ERR_NOMEM, "no memory for a message");
}

enum err spool_write_append(struct spool_write *w, struct slice content)
{
	ASSERT(w->state == WRITE_OPEN);
	if (w->failed)
		return w->failed;
	if (content.len > SPOOL_CONTENT_MAX - w->content_length)
		w->failed = ERR_LIMIT;
	else
		w->failed = chunks_add(w->spool, &w->content, content);
	if (w->failed)
		return w->failed;
	w->content_length += content.len;
	return w->spool->backend->written(w);
}

void spool_write_on_drain(struct spool_write *w, void (*on_drain)(void *ctx), void *ctx)
{
	w->on_drain = on_drain;
	w->drain_ctx = ctx;
}

enum err spool_write_finish(struct spool_write *w, uint32_t recipients, struct slice envelope,
			    struct slice edits)
{
	ASSERT(w->state == WRITE_OPEN);
	if (w->failed)
		return w->failed;
	if (recipients == 0 || recipients > SPOOL_RECIPIENTS_MAX || envelope.len > SPOOL_PAYLOAD_MAX ||
	    edits.len > SPOOL_PAYLOAD_MAX)
		return ERR_LIMIT;
	w->entry = spool_index_entry_new(w->id, recipients);
	w->payload = payload_new(envelope, edits);
	if (!w->entry || !w->payload) {
		w->failed = ERR_NOMEM;
		return w->failed;
	}
	w->entry->content_length = w->content_length;
	w->recipients = recipients;
	w->state = WRITE_FINISHED;
	enum err e = w->spool->backend->written(w);
	return e == ERR_AGAIN ? ERR_OK : e;
}

void write_free(struct spool_write *w)
{
	struct spool *sp = w->spool;
	sp->backend->discard(w);
	chunks_free(sp, &w->content);
	map_remove(&sp->writes, &w->node);
	spool_index_entry_free(w->entry);
	mem_free(w->payload);
	buf_done(&w->verdict);
	mem_free(w);
}

void spool_write_abort(struct spool_write *w)
{
	ASSERT(w->state != WRITE_BATCHED);
	write_free(w);
}
