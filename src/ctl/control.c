#include "ctl/control.h"

#include <string.h>

#define HEAD_LENGTH   4u /* the length itself */
#define HEAD_AND_TYPE 6u /* length, version, type */

/* --- building --------------------------------------------------------------------------------------------- */

void ctl_fields_init(struct ctl_fields *f)
{
	buf_init(&f->data, CTL_FRAME_MAX);
	f->count = 0;
}

void ctl_fields_done(struct ctl_fields *f)
{
	buf_done(&f->data);
}

void ctl_fields_clear(struct ctl_fields *f)
{
	buf_clear(&f->data);
	f->count = 0;
}

static void add_head(struct ctl_fields *f, const char *key, enum ctl_kind kind)
{
	size_t len = strlen(key);

	ASSERT(len > 0 && len <= CTL_KEY_MAX);
	ASSERT(f->count < CTL_FIELDS_MAX);
	buf_add_u8(&f->data, (uint8_t)len);
	buf_add_mem(&f->data, key, len);
	buf_add_u8(&f->data, (uint8_t)kind);
	f->count++;
}

void ctl_add_text(struct ctl_fields *f, const char *key, struct slice value)
{
	add_head(f, key, CTL_TEXT);
	buf_add_slice32(&f->data, value);
}

void ctl_add_str(struct ctl_fields *f, const char *key, const char *value)
{
	if (value)
		ctl_add_text(f, key, slice_str(value));
	else
		ctl_add_null(f, key);
}

static void add_number(struct ctl_fields *f, const char *key, enum ctl_kind kind, uint64_t value)
{
	add_head(f, key, kind);
	buf_add_u64(&f->data, value);
}

void ctl_add_u64(struct ctl_fields *f, const char *key, uint64_t value)
{
	add_number(f, key, CTL_U64, value);
}

void ctl_add_i64(struct ctl_fields *f, const char *key, int64_t value)
{
	add_number(f, key, CTL_I64, (uint64_t)value);
}

void ctl_add_time(struct ctl_fields *f, const char *key, int64_t wall_ms)
{
	add_number(f, key, CTL_TIME, (uint64_t)wall_ms);
}

void ctl_add_duration(struct ctl_fields *f, const char *key, uint64_t ms)
{
	add_number(f, key, CTL_DURATION, ms);
}

void ctl_add_size(struct ctl_fields *f, const char *key, uint64_t octets)
{
	add_number(f, key, CTL_SIZE, octets);
}

void ctl_add_bool(struct ctl_fields *f, const char *key, bool value)
{
	add_head(f, key, CTL_BOOL);
	buf_add_u8(&f->data, value);
}

void ctl_add_null(struct ctl_fields *f, const char *key)
{
	add_head(f, key, CTL_NULL);
}

void ctl_add_list(struct ctl_fields *f, const char *key, const struct slice *items, size_t n)
{
	ASSERT(n <= CTL_LIST_MAX);
	add_head(f, key, CTL_LIST);
	buf_add_u16(&f->data, (uint16_t)n);
	for (size_t i = 0; i < n; i++)
		buf_add_slice32(&f->data, items[i]);
}

/* --- encoding --------------------------------------------------------------------------------------------- */

/* Frames are put together in `out` itself; if that fails, it is cut back to what it was. */
static size_t begin_frame(struct buf *out, enum ctl_type type)
{
	size_t start = out->len;

	buf_add_u32(out, 0);
	buf_add_u8(out, CTL_VERSION);
	buf_add_u8(out, (uint8_t)type);
	return start;
}

static void add_fields(struct buf *out, const struct ctl_fields *f)
{
	buf_add_u16(out, f ? (uint16_t)f->count : 0);
	if (f)
		buf_add(out, buf_slice(&f->data));
}

static enum err end_frame(struct buf *out, size_t start, size_t max, const struct ctl_fields *f)
{
	size_t length = out->len - start;
	enum err e = out->failed;

	if (e == ERR_OK && f && f->data.failed)
		e = f->data.failed;
	if (e == ERR_OK && length > max)
		e = ERR_LIMIT;
	if (e < 0) {
		out->len = start;
		return e;
	}
	for (unsigned i = 0; i < HEAD_LENGTH; i++)
		out->data[start + i] = (char)((length - HEAD_LENGTH) >> (8 * i) & 0xff);
	return ERR_OK;
}

enum err ctl_encode_request(struct buf *out, enum ctl_verb verb, const struct ctl_fields *f)
{
	size_t start = begin_frame(out, CTL_REQUEST);

	buf_add_u16(out, (uint16_t)verb);
	add_fields(out, f);
	return end_frame(out, start, CTL_REQUEST_MAX, f);
}

enum err ctl_encode_row(struct buf *out, enum ctl_table table, const struct ctl_fields *f)
{
	size_t start = begin_frame(out, CTL_ROW);

	buf_add_u16(out, (uint16_t)table);
	add_fields(out, f);
	return end_frame(out, start, CTL_FRAME_MAX, f);
}

enum err ctl_encode_end(struct buf *out, enum err status, struct slice message, const struct ctl_fields *f)
{
	size_t start = begin_frame(out, CTL_END);

	buf_add_u32(out, (uint32_t)(int32_t)status);
	buf_add_slice32(out, slice_sub(message, 0, CTL_MESSAGE_MAX));
	add_fields(out, f);
	return end_frame(out, start, CTL_FRAME_MAX, f);
}

enum err ctl_encode_file(struct buf *out)
{
	return end_frame(out, begin_frame(out, CTL_FILE), CTL_FRAME_MAX, NULL);
}

/* --- decoding --------------------------------------------------------------------------------------------- */

/* A list's data, bounds-checked on the way. */
static bool read_list(struct cursor *c, struct ctl_field *ret)
{
	size_t start;

	ret->v.list.count = cursor_u16(c);
	if (ret->v.list.count > CTL_LIST_MAX)
		return false;
	start = c->pos;
	for (unsigned i = 0; i < ret->v.list.count; i++)
		cursor_slice32(c);
	ret->v.list.data = c->failed ? SLICE_EMPTY : slice_sub(c->in, start, c->pos - start);
	return !c->failed;
}

static bool read_value(struct cursor *c, struct ctl_field *ret)
{
	uint8_t flag;

	switch (ret->kind) {
	case CTL_NULL:
		return true;
	case CTL_TEXT:
		ret->v.text = cursor_slice32(c);
		return !c->failed;
	case CTL_U64:
	case CTL_DURATION:
	case CTL_SIZE:
		ret->v.u64 = cursor_u64(c);
		return !c->failed;
	case CTL_I64:
	case CTL_TIME:
		ret->v.i64 = (int64_t)cursor_u64(c);
		return !c->failed;
	case CTL_BOOL:
		flag = cursor_u8(c);
		ret->v.flag = flag == 1;
		return !c->failed && flag <= 1;
	case CTL_LIST:
		return read_list(c, ret);
	}
	return false;
}

static bool is_key(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_digit(s.ptr[i]) && !(s.ptr[i] >= 'a' && s.ptr[i] <= 'z') && s.ptr[i] != '_')
			return false;
	return s.len > 0 && s.len <= CTL_KEY_MAX;
}

static bool read_field(struct cursor *c, struct ctl_field *ret)
{
	uint8_t len = cursor_u8(c);

	ret->key = cursor_bytes(c, len);
	if (!is_key(ret->key))
		return false;
	ret->kind = (enum ctl_kind)cursor_u8(c);
	return !c->failed && read_value(c, ret);
}

static enum err corrupt(struct diag *d, const char *what)
{
	return diag_set(d, ERR_CORRUPT, "control protocol: %s", what);
}

/* The rest of the frame must be fields, all of them well formed. */
static enum err decode_fields(struct cursor *c, struct ctl_view *ret, struct diag *d)
{
	struct ctl_field field;
	size_t start;

	ret->count = cursor_u16(c);
	if (ret->count > CTL_FIELDS_MAX)
		return corrupt(d, "too many fields");
	start = c->pos;
	for (unsigned i = 0; i < ret->count; i++)
		if (!read_field(c, &field))
			return corrupt(d, "a malformed field");
	if (cursor_finish(c) < 0)
		return corrupt(d, "a frame of the wrong length");
	ret->data = slice_from(c->in, start);
	return ERR_OK;
}

static enum err decode_request(struct cursor *c, struct ctl_frame *ret, struct diag *d)
{
	unsigned verb = cursor_u16(c);

	if (!ctl_verb_info(verb))
		return diag_set(d, ERR_UNSUPPORTED, "this tidegated does not know the request %u", verb);
	ret->verb = (enum ctl_verb)verb;
	return decode_fields(c, &ret->fields, d);
}

static enum err decode_row(struct cursor *c, struct ctl_frame *ret, struct diag *d)
{
	unsigned table = cursor_u16(c);

	if (!ctl_table_info(table))
		return diag_set(d, ERR_UNSUPPORTED, "this tidegate does not know the table %u of the answer",
				table);
	ret->table = (enum ctl_table)table;
	return decode_fields(c, &ret->fields, d);
}

static enum err decode_end(struct cursor *c, struct ctl_frame *ret, struct diag *d)
{
	int32_t status = (int32_t)cursor_u32(c);

	if (status > 0)
		return corrupt(d, "a status that is none");
	ret->status = (enum err)status;
	ret->message = cursor_slice32(c);
	if (ret->message.len > CTL_MESSAGE_MAX)
		return corrupt(d, "a message that is too long");
	return decode_fields(c, &ret->fields, d);
}

/* Behind the length: version, type, the rest. */
static enum err decode_body(struct slice body, struct ctl_frame *ret, struct diag *d)
{
	struct cursor c = cursor_of(body);
	uint8_t version = cursor_u8(&c), type = cursor_u8(&c);

	if (version != CTL_VERSION)
		return diag_set(
			d, ERR_UNSUPPORTED,
			"the other side speaks version %u of the control protocol, this one %u; tidegate and "
			"tidegated must be of the same release",
			version, CTL_VERSION);
	*ret = (struct ctl_frame){.type = (enum ctl_type)type};
	switch (type) {
	case CTL_REQUEST:
		return decode_request(&c, ret, d);
	case CTL_ROW:
		return decode_row(&c, ret, d);
	case CTL_END:
		return decode_end(&c, ret, d);
	case CTL_FILE:
		return cursor_finish(&c) < 0 ? corrupt(d, "a frame of the wrong length") : ERR_OK;
	default:
		return corrupt(d, "a frame of an unknown type");
	}
}

enum err ctl_decode(struct slice in, size_t max, struct ctl_frame *ret, size_t *ret_used, struct diag *d)
{
	struct cursor c = cursor_of(in);
	struct ctl_frame frame = {0};
	uint32_t length;
	enum err e;

	if (in.len < HEAD_LENGTH)
		return ERR_AGAIN;
	length = cursor_u32(&c);
	if (length < HEAD_AND_TYPE - HEAD_LENGTH)
		return corrupt(d, "a frame that is too short");
	if (length > max - HEAD_LENGTH)
		return diag_set(d, ERR_LIMIT, "control protocol: a frame of %u octets is too long", length);
	if (in.len - HEAD_LENGTH < length)
		return ERR_AGAIN;
	e = decode_body(slice_sub(in, HEAD_LENGTH, length), &frame, d);
	if (e < 0)
		return e;
	*ret = frame;
	*ret_used = HEAD_LENGTH + length;
	return ERR_OK;
}

/* --- reading fields --------------------------------------------------------------------------------------- */

bool ctl_view_next(const struct ctl_view *v, size_t *pos, struct ctl_field *ret)
{
	struct cursor c = cursor_of(v->data);

	if (*pos >= v->data.len)
		return false;
	c.pos = *pos;
	ASSERT(read_field(&c, ret)); /* ctl_decode has seen it */
	*pos = c.pos;
	return true;
}

bool ctl_list_next(struct slice *rest, struct slice *ret)
{
	struct cursor c = cursor_of(*rest);

	if (rest->len == 0)
		return false;
	*ret = cursor_slice32(&c);
	ASSERT(!c.failed);
	*rest = slice_from(*rest, c.pos);
	return true;
}

bool ctl_view_find(const struct ctl_view *v, const char *key, struct ctl_field *ret)
{
	struct ctl_field field;

	for (size_t pos = 0; ctl_view_next(v, &pos, &field);) {
		if (slice_eq_str(field.key, key)) {
			*ret = field;
			return true;
		}
	}
	return false;
}

struct slice ctl_get_text(const struct ctl_view *v, const char *key, struct slice fallback)
{
	struct ctl_field field;

	return ctl_view_find(v, key, &field) && field.kind == CTL_TEXT ? field.v.text : fallback;
}

uint64_t ctl_get_u64(const struct ctl_view *v, const char *key, uint64_t fallback)
{
	struct ctl_field field;

	return ctl_view_find(v, key, &field) && field.kind == CTL_U64 ? field.v.u64 : fallback;
}

bool ctl_get_bool(const struct ctl_view *v, const char *key, bool fallback)
{
	struct ctl_field field;

	return ctl_view_find(v, key, &field) && field.kind == CTL_BOOL ? field.v.flag : fallback;
}
