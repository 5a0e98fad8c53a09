#include "relay/wire/resolve.h"

#include "relay/wire/codec.h"

void wire_resolve_encode(const struct wire_resolve *m, struct buf *out)
{
	buf_add_u64(out, m->ref);
	buf_add_u8(out, (uint8_t)m->kind);
	buf_add_slice32(out, m->name);
	buf_add_u16(out, m->port);
}

enum err wire_resolve_decode(struct slice in, struct wire_resolve *ret)
{
	struct cursor c = cursor_of(in);
	ret->ref = cursor_u64(&c);
	ret->kind = (enum wire_resolve_kind)codec_u8(&c, WIRE_RESOLVE_HOST);
	ret->name = codec_slice(&c, WIRE_TEXT_MAX);
	ret->port = cursor_u16(&c);
	return cursor_finish(&c);
}

void wire_hops_encode(const struct wire_hop *hops, uint32_t count, struct buf *out)
{
	ASSERT(count <= WIRE_HOPS_MAX);
	buf_add_u32(out, count);
	for (uint32_t i = 0; i < count; i++) {
		buf_add_slice32(out, hops[i].host);
		codec_add_addr(out, &hops[i].addr);
		buf_add_u16(out, hops[i].preference);
	}
}

enum err wire_hops_decode(struct cursor *c, struct arena *a, uint32_t *ret_count, const struct wire_hop **ret)
{
	uint32_t count = cursor_u32(c);
	if (c->failed || count > WIRE_HOPS_MAX)
		return ERR_CORRUPT;
	struct wire_hop *hops = arena_alloc(a, count * sizeof(*hops));
	if (!hops)
		return ERR_LIMIT;
	for (uint32_t i = 0; i < count; i++) {
		hops[i].host = codec_slice(c, WIRE_NAME_MAX);
		codec_addr(c, &hops[i].addr);
		hops[i].preference = cursor_u16(c);
	}
	*ret_count = count;
	*ret = hops;
	return c->failed ? ERR_CORRUPT : ERR_OK;
}

void wire_resolved_encode(const struct wire_resolved *m, struct buf *out)
{
	buf_add_u64(out, m->ref);
	buf_add_u8(out, (uint8_t)m->outcome);
	buf_add_u32(out, m->ttl_s);
	buf_add_u8(out, m->secure);
	buf_add_slice32(out, m->text);
	wire_hops_encode(m->hops, m->count, out);
}

enum err wire_resolved_decode(struct slice in, struct arena *a, struct wire_resolved *ret)
{
	struct cursor c = cursor_of(in);
	ret->ref = cursor_u64(&c);
	ret->outcome = (enum wire_resolve_outcome)codec_u8(&c, WIRE_RESOLVE_TEMPORARY);
	ret->ttl_s = cursor_u32(&c);
	ret->secure = codec_u8(&c, 1);
	ret->text = codec_slice(&c, WIRE_TEXT_MAX);
	enum err e = wire_hops_decode(&c, a, &ret->count, &ret->hops);
	return e ? e : cursor_finish(&c);
}
