#include "relay/queue/transfer_file.h"

#include "core/cursor.h"
#include "core/hash.h"
#include "record/record.h"
#include "relay/queue/limits.h"
#include "spool/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAGIC     "TIDEGATE EXPORT\n"
#define HEAD_CRC  (TRANSFER_HEAD - 4) /* octets that it covers */
#define RECIPIENT 3                   /* octets of one in a meta */

/* ---- head ---- */

void transfer_head_encode(const struct transfer_head *h, char out[TRANSFER_HEAD])
{
	struct buf b = {.data = out, .cap = TRANSFER_HEAD, .max = TRANSFER_HEAD};
	buf_add_u32(&b, h->type);
	buf_add_u32(&b, h->meta_len);
	buf_add_u64(&b, h->content_len);
	buf_add_u32(&b, h->meta_crc);
	buf_add_u32(&b, h->content_crc);
	buf_add_u32(&b, 0);
	buf_add_u32(&b, crc32c(0, out, HEAD_CRC));
	ASSERT(!b.failed && b.len == TRANSFER_HEAD);
}

enum err transfer_head_decode(const char in[TRANSFER_HEAD], struct transfer_head *ret)
{
	struct cursor c = cursor_of(slice_of(in, TRANSFER_HEAD));
	struct transfer_head h;
	h.type = cursor_u32(&c);
	h.meta_len = cursor_u32(&c);
	h.content_len = cursor_u64(&c);
	h.meta_crc = cursor_u32(&c);
	h.content_crc = cursor_u32(&c);
	uint32_t zero = cursor_u32(&c), crc = cursor_u32(&c);
	bool known = h.type >= TRANSFER_BEGIN && h.type <= TRANSFER_END;
	bool sized = h.meta_len <= TRANSFER_META_MAX && h.content_len <= SPOOL_CONTENT_MAX &&
		     (h.type == TRANSFER_MESSAGE || h.content_len == 0);
	if (!known || !sized || zero || crc != crc32c(0, in, HEAD_CRC))
		return ERR_CORRUPT;
	*ret = h;
	return ERR_OK;
}

/* ---- begin and end ---- */

void transfer_begin_encode(const struct transfer_begin *b, struct buf *out)
{
	buf_add(out, SLICE_LIT(MAGIC));
	buf_add_u32(out, TRANSFER_VERSION);
	buf_add_u64(out, b->export);
	buf_add_u64(out, (uint64_t)b->time_ms);
	buf_add_slice32(out, slice_sub(b->host, 0, TRANSFER_NAME_MAX));
}

enum err transfer_begin_decode(struct slice in, struct transfer_begin *ret, struct diag *d)
{
	struct cursor c = cursor_of(in);
	struct slice magic = cursor_bytes(&c, sizeof(MAGIC) - 1);
	uint32_t version = cursor_u32(&c);
	if (c.failed || !slice_eq_str(magic, MAGIC))
		return diag_set(d, ERR_CORRUPT, "not a file of `tidegate queue export`");
	if (version != TRANSFER_VERSION)
		return diag_set(d, ERR_UNSUPPORTED, "an export of version %u; this relay knows version %u",
				version, TRANSFER_VERSION);
	struct transfer_begin b = {.export = cursor_u64(&c), .time_ms = (int64_t)cursor_u64(&c)};
	b.host = cursor_slice32(&c);
	if (cursor_finish(&c) < 0 || b.host.len > TRANSFER_NAME_MAX || b.export == 0)
		return diag_set(d, ERR_CORRUPT, "the beginning of the export is damaged");
	*ret = b;
	return ERR_OK;
}

void transfer_end_encode(const struct transfer_end *e, struct buf *out)
{
	buf_add_u64(out, e->export);
	buf_add_u64(out, e->messages);
}

enum err transfer_end_decode(struct slice in, struct transfer_end *ret)
{
	struct cursor c = cursor_of(in);
	struct transfer_end e = {.export = cursor_u64(&c), .messages = cursor_u64(&c)};
	if (cursor_finish(&c) < 0)
		return ERR_CORRUPT;
	*ret = e;
	return ERR_OK;
}

/* ---- messages ---- */

void transfer_message_encode(const struct transfer_message *m, struct buf *out)
{
	buf_add_u64(out, m->number);
	buf_add_slice32(out, m->envelope);
	buf_add_slice32(out, m->edits);
	buf_add_u32(out, m->count);
	for (uint32_t i = 0; i < m->count; i++) {
		buf_add_u8(out, m->recipients[i].state);
		buf_add_u16(out, m->recipients[i].attempts);
	}
}

enum err transfer_message_decode(struct slice in, struct arena *a, struct transfer_message *ret)
{
	struct cursor c = cursor_of(in);
	struct transfer_message m = {.number = cursor_u64(&c)};
	uint32_t open = 0;
	m.envelope = cursor_slice32(&c);
	m.edits = cursor_slice32(&c);
	m.count = cursor_u32(&c);
	if (c.failed || m.count == 0 || m.count > QUEUE_RECIPIENTS_MAX ||
	    cursor_left(&c) != (size_t)m.count * RECIPIENT)
		return ERR_CORRUPT;
	struct transfer_recipient *r = arena_alloc(a, m.count * sizeof(*r));
	if (!r)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < m.count; i++) {
		r[i].state = cursor_u8(&c);
		r[i].attempts = cursor_u16(&c);
		if (r[i].state > RECORD_REMOVED)
			return ERR_CORRUPT;
		open += !record_state_final((enum record_state)r[i].state);
	}
	if (open == 0) /* such a message is not queued anywhere */
		return ERR_CORRUPT;
	m.recipients = r;
	*ret = m;
	return ERR_OK;
}

/* ---- as text ---- */

void transfer_format(uint64_t export, char out[TRANSFER_TEXT_MAX])
{
	snprintf(out, TRANSFER_TEXT_MAX, "%016" PRIx64, export);
}

enum err transfer_parse(struct slice text, uint64_t *ret_export)
{
	uint64_t value = 0;
	if (text.len != TRANSFER_TEXT_MAX - 1)
		return ERR_SYNTAX;
	for (size_t i = 0; i < text.len; i++) {
		char c = ascii_lower(text.ptr[i]);
		if (!ascii_is_digit(c) && (c < 'a' || c > 'f'))
			return ERR_SYNTAX;
		value = value << 4 | (uint64_t)(ascii_is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	if (value == 0)
		return ERR_SYNTAX;
	*ret_export = value;
	return ERR_OK;
}
