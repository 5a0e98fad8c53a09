#include "core/cursor.h"

struct slice cursor_bytes(struct cursor *c, size_t n)
{
	if (c->failed || n > c->in.len - c->pos) {
		c->failed = true;
		return SLICE_EMPTY;
	}
	struct slice s = slice_sub(c->in, c->pos, n);
	c->pos += n;
	return s;
}

static uint64_t read_le(struct cursor *c, size_t n)
{
	struct slice s = cursor_bytes(c, n);
	uint64_t v = 0;
	for (size_t i = s.len; i-- > 0;)
		v = v << 8 | (unsigned char)s.ptr[i];
	return v;
}

uint8_t cursor_u8(struct cursor *c)
{
	return (uint8_t)read_le(c, 1);
}

uint16_t cursor_u16(struct cursor *c)
{
	return (uint16_t)read_le(c, 2);
}

uint32_t cursor_u32(struct cursor *c)
{
	return (uint32_t)read_le(c, 4);
}

uint64_t cursor_u64(struct cursor *c)
{
	return read_le(c, 8);
}

struct slice cursor_slice32(struct cursor *c)
{
	return cursor_bytes(c, cursor_u32(c));
}

size_t cursor_left(const struct cursor *c)
{
	return c->in.len - c->pos;
}

enum err cursor_finish(const struct cursor *c)
{
	return c->failed || c->pos != c->in.len ? ERR_CORRUPT : ERR_OK;
}
