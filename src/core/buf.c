#include "core/buf.h"

#include "core/mem.h"

#include <stdio.h>
#include <string.h>

#define FIRST_CAP 64

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_done(struct buf *b)
{
	mem_free(b->data);
	*b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = ERR_OK;
}

static size_t next_cap(const struct buf *b, size_t need)
{
	size_t cap = b->cap ? b->cap : FIRST_CAP;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	return MIN(cap, b->max);
}

enum err buf_reserve(struct buf *b, size_t more)
{
	if (more > b->max || b->len > b->max - more)
		return ERR_LIMIT;
	size_t need = b->len + more;
	if (need <= b->cap)
		return ERR_OK;
	size_t cap = next_cap(b, need);
	char *data = mem_resize(b->data, cap);
	if (!data)
		return ERR_NOMEM;
	b->data = data;
	b->cap = cap;
	return ERR_OK;
}

/* Room for n octets, or the sticky failure. */
static bool room(struct buf *b, size_t n)
{
	if (!b->failed)
		b->failed = buf_reserve(b, n);
	return !b->failed;
}

void buf_add_mem(struct buf *b, const void *p, size_t n)
{
	if (n == 0 || !room(b, n))
		return;
	memcpy(b->data + b->len, p, n);
	b->len += n;
}

void buf_add(struct buf *b, struct slice s)
{
	buf_add_mem(b, s.ptr, s.len);
}

void buf_add_str(struct buf *b, const char *z)
{
	buf_add(b, slice_str(z));
}

void buf_add_char(struct buf *b, char c)
{
	buf_add_mem(b, &c, 1);
}

void buf_add_zero(struct buf *b, size_t n)
{
	if (n == 0 || !room(b, n))
		return;
	memset(b->data + b->len, 0, n);
	b->len += n;
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	if (n < 0 && !b->failed)
		b->failed = ERR_LIMIT; /* more than INT_MAX octets */
	/* vsnprintf wants room for its NUL; it is not counted into len, but it has to fit under max. */
	if (n >= 0 && room(b, (size_t)n + 1)) {
		vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

static void add_le(struct buf *b, uint64_t v, size_t n)
{
	unsigned char o[8];
	for (size_t i = 0; i < n; i++)
		o[i] = (unsigned char)(v >> (8 * i));
	buf_add_mem(b, o, n);
}

void buf_add_u8(struct buf *b, uint8_t v)
{
	add_le(b, v, 1);
}

void buf_add_u16(struct buf *b, uint16_t v)
{
	add_le(b, v, 2);
}

void buf_add_u32(struct buf *b, uint32_t v)
{
	add_le(b, v, 4);
}

void buf_add_u64(struct buf *b, uint64_t v)
{
	add_le(b, v, 8);
}

void buf_add_slice32(struct buf *b, struct slice s)
{
	if (s.len > UINT32_MAX && !b->failed)
		b->failed = ERR_LIMIT;
	if (!room(b, sizeof(uint32_t) + s.len)) /* both or neither */
		return;
	buf_add_u32(b, (uint32_t)s.len);
	buf_add(b, s);
}

void buf_consume(struct buf *b, size_t n)
{
	ASSERT(n <= b->len);
	b->len -= n;
	if (n && b->len)
		memmove(b->data, b->data + n, b->len);
}

struct slice buf_slice(const struct buf *b)
{
	return slice_of(b->data, b->len);
}

const char *buf_cstr(struct buf *b)
{
	if (!room(b, 1))
		return "";
	b->data[b->len] = '\0';
	return b->data;
}
