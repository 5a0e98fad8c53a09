/* A growing byte buffer with a named maximum. Appending past `max`, or failing to allocate, sets a sticky
 * `failed` code, leaves the content as it was, and every later append does nothing: build first, check once.
 */
#pragma once

#include "core/slice.h"

#include <stdarg.h>

struct buf {
	char *data;      /* owned; NULL while empty and never grown */
	size_t len;      /* octets in use */
	size_t cap;      /* octets allocated */
	size_t max;      /* never grows past this */
	enum err failed; /* ERR_OK, ERR_LIMIT or ERR_NOMEM; sticky until buf_clear */
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);  /* frees; b may be used again after buf_init. Fit for CLEANUP(buf_done). */
void buf_clear(struct buf *b); /* len = 0, failed = OK, keeps the allocation */

MUST_CHECK enum err buf_reserve(struct buf *b, size_t more); /* room for `more` octets behind len */

void buf_add(struct buf *b, struct slice s);
void buf_add_mem(struct buf *b, const void *p, size_t n);
void buf_add_str(struct buf *b, const char *z);
void buf_add_char(struct buf *b, char c);
void buf_add_zero(struct buf *b, size_t n); /* n NUL octets */
void buf_printf(struct buf *b, const char *fmt, ...) ATTR_PRINTF(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) ATTR_PRINTF(2, 0);

/* Integers, little endian: the house's only binary byte order. */
void buf_add_u8(struct buf *b, uint8_t v);
void buf_add_u16(struct buf *b, uint16_t v);
void buf_add_u32(struct buf *b, uint32_t v);
void buf_add_u64(struct buf *b, uint64_t v);
void buf_add_slice32(struct buf *b, struct slice s); /* u32 length, then the octets */

void buf_consume(struct buf *b, size_t n);   /* drops n octets at the front, n <= len */
struct slice buf_slice(const struct buf *b); /* borrowed until the next change */
const char *buf_cstr(struct buf *b);         /* NUL-terminates behind len; "" if that failed */
