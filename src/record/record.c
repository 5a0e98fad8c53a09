#include "record/record.h"

#include "record/limits.h"

#include <stdio.h>
#include <string.h>

/* ---- writing ---- */

static void begin(struct buf *out, enum record_kind kind)
{
	buf_add_u8(out, RECORD_VERSION);
	buf_add_u8(out, (uint8_t)kind);
}

static void add_recipient(struct buf *out, const struct record_recipient *r)
{
	buf_add_slice32(out, r->address);
	buf_add_slice32(out, r->orcpt);
	buf_add_u8(out, r->notify);
}

/* The fields of a message that are text, in their order on disk: one list for both directions. */
#define MESSAGE_TEXTS(m)                                                                                     \
	{                                                                                                    \
		&(m)->server, &(m)->account, &(m)->auth_param, &(m)->listener, &(m)->client, &(m)->helo,     \
			&(m)->protocol, &(m)->tls, &(m)->sender, &(m)->envid                                 \
	}
#define RESULT_TEXTS(r)                                                                                      \
	{                                                                                                    \
		&(r)->text, &(r)->host, &(r)->address, &(r)->tls                                             \
	}

void record_message_encode(const struct record_message *m, struct buf *out)
{
	const struct slice *texts[] = MESSAGE_TEXTS(m);
	begin(out, RECORD_ACCEPTED);
	buf_add_u64(out, m->id);
	buf_add_u64(out, (uint64_t)m->time_ms);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		buf_add_slice32(out, *texts[i]);
	buf_add_u8(out, m->ret);
	buf_add_u8(out, m->body);
	buf_add_u8(out, m->smtputf8);
	buf_add_u64(out, m->size);
	buf_add_u32(out, m->recipient_count);
	for (uint32_t i = 0; i < m->recipient_count; i++)
		add_recipient(out, &m->recipients[i]);
}

void record_verdict_encode(const struct record_verdict *v, struct buf *out)
{
	begin(out, RECORD_VERDICT);
	buf_add_u64(out, v->id);
	buf_add_u64(out, (uint64_t)v->time_ms);
	buf_add_u8(out, v->kind);
	buf_add_slice32(out, v->reason);
}

void record_result_encode(const struct record_result *r, struct buf *out)
{
	const struct slice *texts[] = RESULT_TEXTS(r);
	begin(out, RECORD_RESULT);
	buf_add_u64(out, r->id);
	buf_add_u32(out, r->ordinal);
	buf_add_u32(out, r->attempt);
	buf_add_u64(out, (uint64_t)r->time_ms);
	buf_add_u32(out, r->duration_ms);
	buf_add_u8(out, r->state);
	buf_add_u8(out, r->unknown);
	buf_add_u16(out, r->code);
	buf_add_mem(out, r->enhanced, sizeof(r->enhanced));
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		buf_add_slice32(out, *texts[i]);
	buf_add_u64(out, (uint64_t)r->next_try_ms);
}

/* ---- reading ---- */

static enum err check_begin(struct cursor *c, enum record_kind kind)
{
	uint8_t version = cursor_u8(c), found = cursor_u8(c);
	if (c->failed)
		return ERR_CORRUPT;
	if (version != RECORD_VERSION)
		return ERR_UNSUPPORTED;
	return found == kind ? ERR_OK : ERR_CORRUPT;
}

static struct slice text(struct cursor *c, size_t max)
{
	struct slice s = cursor_slice32(c);
	c->failed |= s.len > max;
	return s;
}

static uint8_t choice(struct cursor *c, uint8_t max)
{
	uint8_t v = cursor_u8(c);
	c->failed |= v > max;
	return v;
}

static enum err read_recipients(struct cursor *c, struct arena *a, struct record_message *m)
{
	m->recipient_count = cursor_u32(c);
	/* Each one takes at least nine octets: a count that cannot be true allocates nothing. */
	if (c->failed || m->recipient_count > RECORD_RECIPIENTS_MAX ||
	    m->recipient_count > cursor_left(c) / 9)
		return ERR_CORRUPT;
	struct record_recipient *r = arena_alloc(a, m->recipient_count * sizeof(*r));
	if (!r)
		return ERR_LIMIT;
	for (uint32_t i = 0; i < m->recipient_count; i++) {
		r[i].address = text(c, RECORD_ADDRESS_MAX);
		r[i].orcpt = text(c, RECORD_ADDRESS_MAX);
		r[i].notify = choice(c, 15);
	}
	m->recipients = r;
	return ERR_OK;
}

enum err record_message_decode(struct slice in, struct arena *a, struct record_message *ret)
{
	struct cursor c = cursor_of(in);
	struct record_message m;
	struct slice *texts[] = MESSAGE_TEXTS(&m);
	enum err e = check_begin(&c, RECORD_ACCEPTED);
	if (e)
		return e;
	m.id = cursor_u64(&c);
	m.time_ms = (int64_t)cursor_u64(&c);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*texts[i] = text(&c, RECORD_ADDRESS_MAX);
	m.ret = choice(&c, 2);
	m.body = choice(&c, RECORD_BODY_BINARYMIME);
	m.smtputf8 = choice(&c, 1);
	m.size = cursor_u64(&c);
	e = read_recipients(&c, a, &m);
	if (!e)
		e = cursor_finish(&c);
	if (!e)
		*ret = m;
	return e;
}

enum err record_verdict_decode(struct slice in, struct record_verdict *ret)
{
	struct cursor c = cursor_of(in);
	struct record_verdict v;
	enum err e = check_begin(&c, RECORD_VERDICT);
	if (e)
		return e;
	v.id = cursor_u64(&c);
	v.time_ms = (int64_t)cursor_u64(&c);
	v.kind = choice(&c, RECORD_VERDICT_REFUSED);
	v.reason = text(&c, RECORD_TEXT_MAX);
	e = cursor_finish(&c);
	if (!e)
		*ret = v;
	return e;
}

enum err record_result_decode(struct slice in, struct record_result *ret)
{
	struct cursor c = cursor_of(in);
	struct record_result r;
	struct slice *texts[] = RESULT_TEXTS(&r);
	enum err e = check_begin(&c, RECORD_RESULT);
	if (e)
		return e;
	r.id = cursor_u64(&c);
	r.ordinal = cursor_u32(&c);
	r.attempt = cursor_u32(&c);
	r.time_ms = (int64_t)cursor_u64(&c);
	r.duration_ms = cursor_u32(&c);
	r.state = choice(&c, RECORD_REMOVED);
	r.unknown = choice(&c, 1);
	r.code = cursor_u16(&c);
	struct slice enhanced = cursor_bytes(&c, sizeof(r.enhanced));
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*texts[i] = text(&c, RECORD_TEXT_MAX);
	r.next_try_ms = (int64_t)cursor_u64(&c);
	e = cursor_finish(&c);
	if (e)
		return e;
	memcpy(r.enhanced, enhanced.ptr, sizeof(r.enhanced));
	*ret = r;
	return ERR_OK;
}

/* ---- names ---- */

const char *record_state_name(enum record_state s)
{
	static const char *const names[] = {"queued", "deferred", "delivered", "failed", "removed"};
	return s < ARRAY_LEN(names) ? names[s] : "unknown";
}

void record_id_format(uint64_t id, char out[RECORD_ID_TEXT_MAX])
{
	snprintf(out, RECORD_ID_TEXT_MAX, "%x-%x", (unsigned)(id >> 32), (unsigned)id);
}

static bool parse_hex32(struct slice s, uint32_t *ret)
{
	uint32_t v = 0;
	if (s.len == 0 || s.len > 8)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = ascii_lower(s.ptr[i]);
		if (!ascii_is_digit(c) && (c < 'a' || c > 'f'))
			return false;
		v = v << 4 | (uint32_t)(ascii_is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	*ret = v;
	return true;
}

enum err record_id_parse(struct slice s, uint64_t *ret_id)
{
	uint32_t high, low;
	struct slice rest = s, first = slice_split(&rest, '-');
	if (!rest.ptr || !parse_hex32(first, &high) || !parse_hex32(rest, &low))
		return ERR_SYNTAX;
	*ret_id = (uint64_t)high << 32 | low;
	return ERR_OK;
}
