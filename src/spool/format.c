#include "spool/format.h"

#include "core/cursor.h"
#include "spool/spool.h"

#include <string.h>
#include <xxhash.h>

static const char magic[8] = {'T', 'I', 'D', 'E', 'S', 'E', 'G', '\n'};

static void put_le(char *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)(v >> (8 * i));
}

static uint64_t get_le(const char *p, size_t n)
{
	uint64_t v = 0;
	for (size_t i = n; i > 0; i--)
		v = v << 8 | (unsigned char)p[i - 1];
	return v;
}

static bool all_zero(const char *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* ---- segment header ---- */

/* Every version has the first part, so that an older program can tell a newer format from damage. */
enum { HEADER_FIRST = 64, HEADER_SECOND = 88, HEADER_SIZE = 96 };

static void add_sum(struct buf *out, size_t from, size_t n)
{
	if (!out->failed)
		buf_add_u64(out, XXH3_64bits_withSeed(out->data + from, n, 0));
}

static void header_encode(const struct format_segment *s, struct buf *out)
{
	size_t from = out->len;
	buf_add_mem(out, magic, sizeof(magic));
	buf_add_u32(out, FORMAT_VERSION);
	buf_add_u32(out, 0);
	buf_add_u64(out, s->sequence);
	buf_add_u64(out, s->generation);
	buf_add_u64(out, s->node);
	buf_add_u64(out, (uint64_t)s->created_ms);
	buf_add_mem(out, s->secret, sizeof(s->secret));
	add_sum(out, from, HEADER_FIRST);
	buf_add_u64(out, (uint64_t)s->last_ms);
	buf_add_u8(out, (uint8_t)s->kept);
	buf_add_zero(out, 7);
	add_sum(out, from, HEADER_SECOND);
}

void format_segment_encode(const struct format_segment *s, struct buf *out)
{
	header_encode(s, out);
	buf_add_zero(out, FORMAT_HEADER_COPY - HEADER_SIZE);
	header_encode(s, out);
	buf_add_zero(out, FORMAT_SEGMENT_HEADER - FORMAT_HEADER_COPY - HEADER_SIZE);
}

/* What format 1 did not have yet. */
static void header_decode_2(struct cursor *c, struct slice in, struct format_segment *ret)
{
	ret->last_ms = (int64_t)cursor_u64(c);
	uint8_t kept = cursor_u8(c);
	cursor_bytes(c, 7);
	c->failed |= cursor_u64(c) != XXH3_64bits_withSeed(in.ptr, HEADER_SECOND, 0);
	c->failed |= kept > FORMAT_KEPT_RECORDS;
	ret->kept = (enum format_kept)kept;
}

enum err format_segment_decode(struct slice in, struct format_segment *ret, struct diag *d)
{
	struct cursor c = cursor_of(in);
	struct format_segment h = {0};
	struct slice m = cursor_bytes(&c, sizeof(magic));
	uint32_t version = cursor_u32(&c);
	cursor_u32(&c);
	h.sequence = cursor_u64(&c);
	h.generation = cursor_u64(&c);
	h.node = cursor_u64(&c);
	h.created_ms = (int64_t)cursor_u64(&c);
	struct slice secret = cursor_bytes(&c, sizeof(h.secret));
	uint64_t sum = cursor_u64(&c);
	if (in.len < HEADER_SIZE || memcmp(m.ptr, magic, sizeof(magic)) != 0)
		return diag_set(d, ERR_CORRUPT, "not a spool segment");
	if (sum != XXH3_64bits_withSeed(in.ptr, HEADER_FIRST, 0) || version == 0)
		return diag_set(d, ERR_CORRUPT, "damaged segment header");
	if (version > FORMAT_VERSION)
		return diag_set(
			d, ERR_UNSUPPORTED,
			"the spool has format %u, this program knows formats up to %u: start a newer one",
			version, FORMAT_VERSION);
	if (version > 1)
		header_decode_2(&c, in, &h);
	if (c.failed)
		return diag_set(d, ERR_CORRUPT, "damaged segment header");
	memcpy(h.secret, secret.ptr, sizeof(h.secret));
	*ret = h;
	return ERR_OK;
}

uint64_t format_seed(const struct format_segment *s)
{
	return XXH3_64bits_withSeed(s->secret, sizeof(s->secret), s->sequence);
}

/* ---- records ---- */

/* Places in the record header. */
enum { AT_LENGTH = 0, AT_TYPE = 4, AT_ID = 8, AT_OFFSET8 = 16, AT_SUMMED = 20, AT_SUM = 24 };

void format_header_put(const struct format_header *h, char out[FORMAT_RECORD_HEADER])
{
	ASSERT(h->length <= UINT32_MAX && h->summed <= h->length);
	memset(out, 0, FORMAT_RECORD_HEADER);
	put_le(out + AT_LENGTH, h->length, 4);
	out[AT_TYPE] = (char)h->type;
	put_le(out + AT_ID, h->id, 8);
	put_le(out + AT_SUMMED, h->summed, 4);
}

/* Chained: the digest of the header seeds that of the payload; the checksum's own field stands between them. */
static uint64_t sum_of(const char *record, uint64_t summed, uint64_t seed)
{
	uint64_t key = XXH3_64bits_withSeed(record, AT_SUM, seed);
	return XXH3_64bits_withSeed(record + FORMAT_RECORD_HEADER, summed, key);
}

void format_place(char *record, uint64_t offset, uint64_t seed)
{
	ASSERT(offset % 8 == 0 && offset / 8 <= UINT32_MAX);
	put_le(record + AT_OFFSET8, offset / 8, 4);
	put_le(record + AT_SUM, sum_of(record, get_le(record + AT_SUMMED, 4), seed), 8);
}

void format_add(struct buf *out, enum format_type type, uint64_t id, struct slice payload)
{
	char header[FORMAT_RECORD_HEADER];
	format_header_put(
		&(struct format_header){.type = type, .id = id, .length = payload.len, .summed = payload.len},
		header);
	buf_add_mem(out, header, sizeof(header));
	buf_add(out, payload);
	buf_add_zero(out, format_padded(payload.len) - payload.len);
}

void format_place_all(char *records, size_t n, uint64_t offset, uint64_t seed)
{
	for (size_t at = 0; at < n;) {
		size_t len = get_le(records + at + AT_LENGTH, 4);
		format_place(records + at, offset + at, seed);
		at += FORMAT_RECORD_HEADER + format_padded(len);
	}
}

static void header_get(const char *p, uint64_t offset, struct format_record *ret)
{
	*ret = (struct format_record){.type = (enum format_type)(unsigned char)p[AT_TYPE],
				      .id = get_le(p + AT_ID, 8),
				      .offset = offset,
				      .length = get_le(p + AT_LENGTH, 4),
				      .summed = get_le(p + AT_SUMMED, 4),
				      .sum = get_le(p + AT_SUM, 8)};
	ret->size = FORMAT_RECORD_HEADER + format_padded(ret->length);
}

enum err format_header_read(struct slice in, uint64_t offset, struct format_record *ret)
{
	struct format_record r;
	if (in.len < FORMAT_RECORD_HEADER)
		return ERR_CORRUPT;
	if (all_zero(in.ptr, FORMAT_RECORD_HEADER))
		return ERR_NOTFOUND;
	header_get(in.ptr, offset, &r);
	if (r.type < FORMAT_MESSAGE || r.type >= FORMAT_TYPE_END || !all_zero(in.ptr + AT_TYPE + 1, 3) ||
	    get_le(in.ptr + AT_OFFSET8, 4) != offset / 8 || r.summed > r.length)
		return ERR_CORRUPT;
	/* Only a message's content stands outside the record's own checksum; it has one in the payload. */
	if (r.type != FORMAT_MESSAGE && r.summed != r.length)
		return ERR_CORRUPT;
	uint64_t max = r.type == FORMAT_CHECKPOINT ? SPOOL_CHECKPOINT_MAX : SPOOL_RECORD_MAX;
	if (r.size > max)
		return ERR_CORRUPT;
	*ret = r;
	return ERR_OK;
}

bool format_intact(const struct format_record *r, struct slice in, uint64_t seed)
{
	return in.len >= FORMAT_RECORD_HEADER + r->summed && sum_of(in.ptr, r->summed, seed) == r->sum;
}

bool format_next(struct slice *rest, struct format_record *ret, struct slice *ret_payload)
{
	if (rest->len < FORMAT_RECORD_HEADER)
		return false;
	header_get(rest->ptr, 0, ret);
	*ret_payload = slice_sub(*rest, FORMAT_RECORD_HEADER, ret->length);
	*rest = slice_from(*rest, ret->size);
	return true;
}

/* ---- payloads ---- */

enum { FLAG_HELD = 1, FLAG_LARGE = 2, FLAG_CUT = 4 };

void format_message_head(const struct format_message *m, char out[FORMAT_MESSAGE_HEADER])
{
	memset(out, 0, FORMAT_MESSAGE_HEADER);
	out[0] = (char)((m->held ? FLAG_HELD : 0) | (m->large ? FLAG_LARGE : 0) | (m->cut ? FLAG_CUT : 0));
	put_le(out + 4, m->recipients, 4);
	put_le(out + 8, (uint64_t)m->time_ms, 8);
	put_le(out + 16, m->content_length, 8);
	put_le(out + 24, m->content_sum, 8);
	put_le(out + 32, m->envelope.len, 4);
	put_le(out + 36, m->edits.len, 4);
	put_le(out + 40, m->verdict.len, 4);
	put_le(out + 44, m->back, 4);
}

/* Whether what follows the summed octets is the content: nothing, if it is elsewhere or cut. */
static bool content_fits(const struct format_record *r, const struct format_message *m)
{
	uint64_t follows = m->large || m->cut ? 0 : m->content_length;
	return r->length - r->summed == follows && m->head.len <= m->content_length &&
	       (m->cut || m->head.len == 0);
}

enum err format_message_read(const struct format_record *r, struct slice summed, struct format_message *ret)
{
	struct cursor c = cursor_of(summed);
	uint8_t flags = cursor_u8(&c);
	cursor_bytes(&c, 3);
	struct format_message m = {
		.held = flags & FLAG_HELD, .large = flags & FLAG_LARGE, .cut = flags & FLAG_CUT};
	m.recipients = cursor_u32(&c);
	m.time_ms = (int64_t)cursor_u64(&c);
	m.content_length = cursor_u64(&c);
	m.content_sum = cursor_u64(&c);
	uint32_t envelope = cursor_u32(&c), edits = cursor_u32(&c), verdict = cursor_u32(&c);
	m.back = cursor_u32(&c);
	m.envelope = cursor_bytes(&c, envelope);
	m.edits = cursor_bytes(&c, edits);
	m.verdict = cursor_bytes(&c, verdict);
	m.head = cursor_bytes(&c, cursor_left(&c));
	if (cursor_finish(&c) != ERR_OK || flags > (FLAG_HELD | FLAG_LARGE | FLAG_CUT))
		return ERR_CORRUPT;
	if (m.recipients == 0 || m.recipients > SPOOL_RECIPIENTS_MAX ||
	    m.content_length > SPOOL_CONTENT_MAX || !content_fits(r, &m))
		return ERR_CORRUPT;
	*ret = m;
	return ERR_OK;
}

void format_commit_put(char out[FORMAT_COMMIT_SIZE], uint64_t records, int64_t time_ms, uint64_t group)
{
	format_header_put(
		&(struct format_header){.type = FORMAT_COMMIT, .id = records, .length = 16, .summed = 16},
		out);
	put_le(out + FORMAT_RECORD_HEADER, (uint64_t)time_ms, 8);
	put_le(out + FORMAT_RECORD_HEADER + 8, group, 8);
}

enum err format_commit_read(struct slice payload, struct format_commit *ret)
{
	struct cursor c = cursor_of(payload);
	struct format_commit v = {.time_ms = (int64_t)cursor_u64(&c)};
	v.group = cursor_u64(&c);
	enum err e = cursor_finish(&c);
	if (!e)
		*ret = v;
	return e;
}

enum err format_result_add(struct buf *out, uint64_t id, const struct format_result *r)
{
	size_t len = 8 + r->payload.len;
	char header[FORMAT_RECORD_HEADER];
	format_header_put(
		&(struct format_header){.type = FORMAT_RESULT, .id = id, .length = len, .summed = len},
		header);
	enum err e = buf_reserve(out, sizeof(header) + format_padded(len));
	if (e)
		return e;
	buf_add_mem(out, header, sizeof(header));
	buf_add_u32(out, r->ordinal);
	buf_add_u8(out, r->state);
	buf_add_zero(out, 3);
	buf_add(out, r->payload);
	buf_add_zero(out, format_padded(len) - len);
	return ERR_OK;
}

enum err format_result_read(struct slice payload, struct format_result *ret)
{
	struct cursor c = cursor_of(payload);
	struct format_result r = {.ordinal = cursor_u32(&c)};
	r.state = cursor_u8(&c);
	cursor_bytes(&c, 3);
	if (c.failed || r.state > SPOOL_REMOVED || r.ordinal >= SPOOL_RECIPIENTS_MAX)
		return ERR_CORRUPT;
	r.payload = slice_from(payload, c.pos);
	*ret = r;
	return ERR_OK;
}

enum err format_hold_read(struct slice payload, bool *ret_held)
{
	if (payload.len != 1 || (unsigned char)payload.ptr[0] > 1)
		return ERR_CORRUPT;
	*ret_held = payload.ptr[0] == 1;
	return ERR_OK;
}

uint64_t format_content_sum(struct slice content)
{
	return XXH3_64bits(content.ptr, content.len);
}

/* ---- checkpoint ---- */

static void place_add(struct buf *out, struct format_place p)
{
	buf_add_u64(out, p.sequence);
	buf_add_u32(out, p.offset8);
}

static struct format_place place_read(struct cursor *c)
{
	struct format_place p = {.sequence = cursor_u64(c)};
	p.offset8 = cursor_u32(c);
	return p;
}

void format_checkpoint_add(struct buf *out, const struct format_checkpoint *c)
{
	buf_add_u64(out, c->previous);
	buf_add_u64(out, c->entries);
	buf_add_u64(out, c->gone);
}

void format_entry_add(struct buf *out, const struct format_entry *e)
{
	buf_add_u64(out, e->id);
	place_add(out, e->home);
	place_add(out, e->verdict);
	buf_add_u32(out, e->recipients);
	buf_add_u8(out, e->held);
	buf_add_zero(out, 11);
}

void format_rcpt_add(struct buf *out, uint8_t state, struct format_place result)
{
	place_add(out, result);
	buf_add_u8(out, state);
	buf_add_zero(out, 3);
}

void format_checkpoint_read(struct cursor *c, struct format_checkpoint *ret)
{
	ret->previous = cursor_u64(c);
	ret->entries = cursor_u64(c);
	ret->gone = cursor_u64(c);
}

void format_entry_read(struct cursor *c, struct format_entry *ret)
{
	ret->id = cursor_u64(c);
	ret->home = place_read(c);
	ret->verdict = place_read(c);
	ret->recipients = cursor_u32(c);
	uint8_t held = cursor_u8(c);
	ret->held = held;
	cursor_bytes(c, 11);
	c->failed |= held > 1 || ret->recipients == 0 || ret->recipients > SPOOL_RECIPIENTS_MAX;
}

void format_rcpt_read(struct cursor *c, uint8_t *ret_state, struct format_place *ret_result)
{
	*ret_result = place_read(c);
	*ret_state = cursor_u8(c);
	cursor_bytes(c, 3);
	c->failed |= *ret_state > SPOOL_REMOVED;
}
