#include "spool/seg_format.h"

#include "core/cursor.h"
#include "spool/spool.h"

#include <string.h>
#include <xxhash.h>

static const char magic[8] = {'T', 'I', 'D', 'E', 'S', 'E', 'G', '\n'};

/* ---- segment header ---- */

void segf_segment_encode(const struct segf_segment *s, struct buf *out)
{
	size_t from = out->len;
	buf_add_mem(out, magic, sizeof(magic));
	buf_add_u32(out, SEGF_VERSION);
	buf_add_u32(out, 0);
	buf_add_u64(out, s->sequence);
	buf_add_u64(out, s->generation);
	buf_add_u64(out, s->node);
	buf_add_u64(out, (uint64_t)s->created_ms);
	buf_add_mem(out, s->secret, sizeof(s->secret));
	if (!out->failed)
		buf_add_u64(out, XXH3_64bits_withSeed(out->data + from, out->len - from, 0));
	buf_add_zero(out, SEGF_SEGMENT_HEADER - 72);
}

enum err segf_segment_decode(struct slice in, struct segf_segment *ret, struct diag *d)
{
	struct cursor c = cursor_of(in);
	struct slice m = cursor_bytes(&c, sizeof(magic));
	uint32_t version = cursor_u32(&c);
	cursor_u32(&c);
	ret->sequence = cursor_u64(&c);
	ret->generation = cursor_u64(&c);
	ret->node = cursor_u64(&c);
	ret->created_ms = (int64_t)cursor_u64(&c);
	struct slice secret = cursor_bytes(&c, sizeof(ret->secret));
	uint64_t sum = cursor_u64(&c);
	if (c.failed || memcmp(m.ptr, magic, sizeof(magic)) != 0)
		return diag_set(d, ERR_CORRUPT, "not a spool segment");
	if (version > SEGF_VERSION)
		return diag_set(d, ERR_UNSUPPORTED,
				"the spool has format %u; this program knows formats up to %u: start the "
				"newer one again",
				version, SEGF_VERSION);
	if (version == 0 || sum != XXH3_64bits_withSeed(in.ptr, 64, 0))
		return diag_set(d, ERR_CORRUPT, "damaged segment header");
	memcpy(ret->secret, secret.ptr, sizeof(ret->secret));
	return ERR_OK;
}

uint64_t segf_seed(const struct segf_segment *s)
{
	return XXH3_64bits_withSeed(s->secret, sizeof(s->secret), s->sequence);
}

/* ---- records ---- */

static uint64_t padded(uint64_t n)
{
	return (n + 7) & ~7ull;
}

/* Over header octets 0-23 and the payload, which are not contiguous: the checksum field stands between them. */
static uint64_t record_sum(const char *p, size_t payload, uint64_t seed)
{
	uint64_t head = XXH3_64bits_withSeed(p, 24, seed);
	return XXH3_64bits_withSeed(p + SEGF_RECORD_HEADER, payload, head);
}

size_t segf_begin(struct buf *out, enum segf_type type, uint64_t id)
{
	size_t begun = out->len;
	buf_add_u32(out, 0); /* length: segf_end */
	buf_add_u8(out, (uint8_t)type);
	buf_add_zero(out, 3);
	buf_add_u64(out, id);
	buf_add_zero(out, 16); /* offset and checksum: segf_end */
	return begun;
}

static void put_le(char *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)(v >> (8 * i));
}

void segf_end(struct buf *out, size_t begun, uint64_t base, uint64_t seed)
{
	if (out->failed)
		return;
	char *p = out->data + begun;
	size_t payload = out->len - begun - SEGF_RECORD_HEADER;
	put_le(p, payload, 4);
	put_le(p + 16, base + begun, 8);
	put_le(p + 24, record_sum(p, payload, seed), 8);
	buf_add_zero(out, padded(payload) - payload);
}

static bool all_zero(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i])
			return false;
	return true;
}

enum err segf_read(struct slice in, uint64_t offset, uint64_t seed, struct segf_record *ret)
{
	struct cursor c = cursor_of(in);
	uint32_t len = cursor_u32(&c);
	uint8_t type = cursor_u8(&c);
	struct slice zero = cursor_bytes(&c, 3);
	uint64_t id = cursor_u64(&c), at = cursor_u64(&c), sum = cursor_u64(&c);
	if (c.failed)
		return all_zero(in) ? ERR_NOTFOUND : ERR_AGAIN;
	if (all_zero(slice_sub(in, 0, SEGF_RECORD_HEADER)))
		return ERR_NOTFOUND;
	if (type < SEGF_MESSAGE || type > SEGF_HOLD || !all_zero(zero) || at != offset)
		return ERR_CORRUPT;
	struct slice payload = cursor_bytes(&c, len);
	if (c.failed)
		return ERR_AGAIN;
	if (sum != record_sum(in.ptr, len, seed))
		return ERR_CORRUPT;
	*ret = (struct segf_record){.type = (enum segf_type)type,
				    .id = id,
				    .payload = payload,
				    .size = SEGF_RECORD_HEADER + padded(len)};
	return ERR_OK;
}

/* ---- payloads ---- */

enum { FLAG_HELD = 1, FLAG_LARGE = 2 };

void segf_message_head(const struct segf_message *m, struct buf *out)
{
	buf_add_u8(out, (uint8_t)((m->held ? FLAG_HELD : 0) | (m->large ? FLAG_LARGE : 0)));
	buf_add_zero(out, 3);
	buf_add_u32(out, m->recipients);
	buf_add_u64(out, (uint64_t)m->time_ms);
	buf_add_u64(out, m->content_length);
	buf_add_u64(out, m->content_sum);
	buf_add_u32(out, (uint32_t)m->envelope.len);
	buf_add_u32(out, (uint32_t)m->edits.len);
	buf_add_u32(out, (uint32_t)m->verdict.len);
	buf_add_u32(out, 0);
	buf_add(out, m->envelope);
	buf_add(out, m->edits);
	buf_add(out, m->verdict);
}

enum err segf_message_read(struct slice payload, struct segf_message *ret)
{
	struct cursor c = cursor_of(payload);
	uint8_t flags = cursor_u8(&c);
	cursor_bytes(&c, 3);
	struct segf_message m = {.held = flags & FLAG_HELD, .large = flags & FLAG_LARGE};
	m.recipients = cursor_u32(&c);
	m.time_ms = (int64_t)cursor_u64(&c);
	m.content_length = cursor_u64(&c);
	m.content_sum = cursor_u64(&c);
	uint32_t envelope = cursor_u32(&c), edits = cursor_u32(&c), verdict = cursor_u32(&c);
	cursor_u32(&c);
	m.envelope = cursor_bytes(&c, envelope);
	m.edits = cursor_bytes(&c, edits);
	m.verdict = cursor_bytes(&c, verdict);
	m.content_at = c.pos;
	if (c.failed || flags > (FLAG_HELD | FLAG_LARGE) || m.recipients == 0 ||
	    m.recipients > SPOOL_RECIPIENTS_MAX)
		return ERR_CORRUPT;
	if (cursor_left(&c) != (m.large ? 0 : m.content_length) || m.content_length > SPOOL_CONTENT_MAX)
		return ERR_CORRUPT;
	*ret = m;
	return ERR_OK;
}

void segf_result_add(const struct segf_result *r, struct buf *out)
{
	buf_add_u32(out, r->ordinal);
	buf_add_u8(out, r->state);
	buf_add_zero(out, 3);
	buf_add(out, r->payload);
}

enum err segf_result_read(struct slice payload, struct segf_result *ret)
{
	struct cursor c = cursor_of(payload);
	ret->ordinal = cursor_u32(&c);
	ret->state = cursor_u8(&c);
	cursor_bytes(&c, 3);
	ret->payload = slice_from(payload, c.pos);
	return c.failed || ret->state > SPOOL_REMOVED ? ERR_CORRUPT : ERR_OK;
}
