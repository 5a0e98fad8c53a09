#include "relay/wire/submit.h"

#include "relay/wire/codec.h"

#include <string.h>

void wire_submit_part_encode(const struct wire_submit_part *m, struct buf *out)
{
	ASSERT(m->data.len <= WIRE_PART_MAX);
	buf_add_u64(out, m->id);
	buf_add_u8(out, (uint8_t)m->part);
	buf_add_slice32(out, m->data);
}

enum err wire_submit_part_decode(struct slice in, struct wire_submit_part *ret)
{
	struct cursor c = cursor_of(in);
	ret->id = cursor_u64(&c);
	ret->part = (enum wire_part)codec_u8(&c, WIRE_PART_EDITS);
	ret->data = codec_slice(&c, WIRE_PART_MAX);
	return cursor_finish(&c);
}

void wire_submit_ref_encode(const struct wire_submit_ref *m, struct buf *out)
{
	buf_add_u64(out, m->id);
}

enum err wire_submit_ref_decode(struct slice in, struct wire_submit_ref *ret)
{
	struct cursor c = cursor_of(in);
	ret->id = cursor_u64(&c);
	return cursor_finish(&c);
}

void wire_submit_grant_encode(const struct wire_submit_grant *m, struct buf *out)
{
	buf_add_u64(out, m->first);
	buf_add_u32(out, m->count);
}

enum err wire_submit_grant_decode(struct slice in, struct wire_submit_grant *ret)
{
	struct cursor c = cursor_of(in);
	ret->first = cursor_u64(&c);
	ret->count = cursor_u32(&c);
	return cursor_finish(&c);
}

static void reply_add(struct buf *out, const struct wire_reply *r)
{
	buf_add_u16(out, r->code);
	buf_add_mem(out, r->enhanced, sizeof(r->enhanced));
	buf_add_slice32(out, r->text);
}

static void reply_read(struct cursor *c, struct wire_reply *ret)
{
	ret->code = cursor_u16(c);
	struct slice e = cursor_bytes(c, sizeof(ret->enhanced));
	memset(ret->enhanced, 0, sizeof(ret->enhanced));
	if (e.len == sizeof(ret->enhanced))
		memcpy(ret->enhanced, e.ptr, e.len);
	ret->text = codec_slice(c, WIRE_TEXT_MAX);
}

void wire_submit_state_encode(const struct wire_reply *m, struct buf *out)
{
	reply_add(out, m);
}

enum err wire_submit_state_decode(struct slice in, struct wire_reply *ret)
{
	struct cursor c = cursor_of(in);
	reply_read(&c, ret);
	return cursor_finish(&c);
}

void wire_submit_credit_encode(const struct wire_submit_credit *m, struct buf *out)
{
	buf_add_u64(out, m->id);
	buf_add_u32(out, m->octets);
}

enum err wire_submit_credit_decode(struct slice in, struct wire_submit_credit *ret)
{
	struct cursor c = cursor_of(in);
	ret->id = cursor_u64(&c);
	ret->octets = cursor_u32(&c);
	return cursor_finish(&c);
}

void wire_submit_result_encode(const struct wire_submit_result *m, struct buf *out)
{
	buf_add_u64(out, m->id);
	reply_add(out, &m->reply);
}

enum err wire_submit_result_decode(struct slice in, struct wire_submit_result *ret)
{
	struct cursor c = cursor_of(in);
	ret->id = cursor_u64(&c);
	reply_read(&c, &ret->reply);
	return cursor_finish(&c);
}
