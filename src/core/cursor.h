/* A bounds-checked reader of binary data with a sticky error: read everything, check once at the end.
 *
 * After the first read past the end every read gives 0 or an empty slice and `failed` stays true.
 */
#pragma once

#include "core/slice.h"

struct cursor {
	struct slice in; /* borrowed */
	size_t pos;
	bool failed;
};

static inline struct cursor cursor_of(struct slice in)
{
	return (struct cursor){.in = in};
}
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c); /* little endian */
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
struct slice cursor_bytes(struct cursor *c, size_t n); /* borrowed from in */
struct slice cursor_slice32(struct cursor *c);         /* u32 length, then the octets */
size_t cursor_left(const struct cursor *c);

/* ERR_OK if nothing failed and everything was read; else ERR_CORRUPT. */
MUST_CHECK enum err cursor_finish(const struct cursor *c);
