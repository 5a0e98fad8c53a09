#include "conf/epoch.h"

#include "conf/check.h"
#include "conf/schema.h"
#include "conf/value.h"
#include "core/cursor.h"
#include "core/hash.h"

#include <string.h>

#define EPOCH_MAGIC   0x46434754u /* "TGCF" */
#define EPOCH_HEAD    20u         /* octets before the values */
#define EPOCH_TRAILER 4u

/* --- encoding --------------------------------------------------------------------------------------------- */

static void encode_fields(const struct conf_section *s, const char *base, struct buf *out)
{
	struct buf item CLEANUP(buf_done) = {0};

	buf_init(&item, CONF_VALUE_MAX);
	for (size_t i = 0; i < s->nfields; i++) {
		const struct conf_field *f = &s->fields[i];
		size_t n = conf_value_count(f, base + f->offset);
		buf_add_u16(out, (uint16_t)n);
		for (size_t k = 0; k < n; k++) {
			buf_clear(&item);
			conf_value_item(f, base + f->offset, k, &item);
			buf_add_slice32(out, buf_slice(&item));
		}
	}
}

static void encode_section(const struct conf *c, const struct conf_section *s, struct buf *out)
{
	const char *base = (const char *)c + s->offset;
	size_t n;

	if (!s->title) {
		encode_fields(s, base, out);
		return;
	}
	memcpy(&n, (const char *)c + s->count_offset, sizeof(n));
	memcpy(&base, (const char *)c + s->offset, sizeof(base));
	buf_add_u32(out, (uint32_t)n);
	for (size_t i = 0; i < n; i++, base += s->size) {
		buf_add_slice32(out, *(const struct slice *)(base + s->title_offset));
		encode_fields(s, base, out);
	}
}

enum err conf_epoch_encode(const struct conf *c, uint64_t epoch, struct buf *out)
{
	size_t start = out->len;

	buf_add_u32(out, EPOCH_MAGIC);
	buf_add_u16(out, CONF_EPOCH_VERSION);
	buf_add_u16(out, 0);
	buf_add_u32(out, conf_schema_crc());
	buf_add_u64(out, epoch);
	for (size_t i = 0; i < conf_schema_count; i++)
		encode_section(c, &conf_schema[i], out);
	if (out->failed)
		return out->failed;
	buf_add_u32(out, crc32c(0, out->data + start, out->len - start));
	return out->failed;
}

/* --- decoding --------------------------------------------------------------------------------------------- */

static enum err corrupt(struct diag *d, const char *what)
{
	return diag_set(d, ERR_CORRUPT, "configuration epoch: %s", what);
}

static enum err decode_field(const struct conf_field *f, struct cursor *in, struct conf *c, char *member,
			     struct diag *d)
{
	struct slice items[CONF_LIST_MAX];
	size_t n = cursor_u16(in);
	enum err e;

	if (n > CONF_LIST_MAX)
		return corrupt(d, "a list is too long");
	for (size_t i = 0; i < n; i++)
		items[i] = cursor_slice32(in);
	if (in->failed)
		return corrupt(d, "cut short");
	e = conf_value_set(f, items, n, &c->arena, member, d);
	return e < 0 ? diag_prefix(d, "configuration epoch: %s", f->key) : ERR_OK;
}

static enum err decode_fields(const struct conf_section *s, struct cursor *in, struct conf *c, char *base,
			      struct diag *d)
{
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < s->nfields; i++)
		e = decode_field(&s->fields[i], in, c, base + s->fields[i].offset, d);
	return e;
}

static enum err decode_repeated(const struct conf_section *s, struct cursor *in, struct conf *c,
				struct diag *d)
{
	size_t n = cursor_u32(in);
	enum err e = ERR_OK;
	char *array;

	if (in->failed || n == 0 || n > s->max_count)
		return corrupt(d, "a number of sections is out of range");
	array = arena_alloc(&c->arena, n * s->size);
	if (!array)
		return diag_set(d, ERR_LIMIT, "configuration epoch: too large");
	for (size_t i = 0; e == ERR_OK && i < n; i++) {
		struct slice title = cursor_slice32(in);
		if (in->failed || s->check_title(title) < 0)
			return corrupt(d, "a title is malformed");
		e = arena_dup(&c->arena, title, (struct slice *)(array + i * s->size + s->title_offset));
		if (e == ERR_OK)
			e = decode_fields(s, in, c, array + i * s->size, d);
	}
	memcpy((char *)c + s->offset, &array, sizeof(array));
	memcpy((char *)c + s->count_offset, &n, sizeof(n));
	return e;
}

static enum err decode_head(struct cursor *in, uint64_t *ret_epoch, struct diag *d)
{
	if (cursor_u32(in) != EPOCH_MAGIC)
		return corrupt(d, "not one");
	if (cursor_u16(in) != CONF_EPOCH_VERSION)
		return diag_set(d, ERR_UNSUPPORTED, "configuration epoch: of another version of tidegated");
	if (cursor_u16(in) != 0)
		return corrupt(d, "reserved octets are set");
	if (cursor_u32(in) != conf_schema_crc())
		return diag_set(d, ERR_UNSUPPORTED, "configuration epoch: of another version of tidegated");
	*ret_epoch = cursor_u64(in);
	return in->failed ? corrupt(d, "cut short") : ERR_OK;
}

static enum err decode_all(struct cursor *in, struct conf *c, struct diag *d)
{
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < conf_schema_count; i++) {
		const struct conf_section *s = &conf_schema[i];
		e = s->title ? decode_repeated(s, in, c, d)
			     : decode_fields(s, in, c, (char *)c + s->offset, d);
	}
	if (e == ERR_OK && cursor_finish(in) < 0)
		e = corrupt(d, "octets behind the end");
	if (e == ERR_OK && (c->hostname.len == 0 || c->postmaster.len == 0 || c->delivery.helo_name.len == 0))
		e = corrupt(d, "a name that must be set is not");
	return e == ERR_OK ? conf_check(c, d) : e;
}

enum err conf_epoch_decode(struct slice in, struct conf **ret, uint64_t *ret_epoch, struct diag *d)
{
	struct cursor c, trailer;
	struct conf *conf;
	uint64_t epoch = 0;
	enum err e;

	if (in.len > CONF_EPOCH_MAX)
		return diag_set(d, ERR_LIMIT, "configuration epoch: too large");
	if (in.len < EPOCH_HEAD + EPOCH_TRAILER)
		return corrupt(d, "cut short");
	c = cursor_of(slice_sub(in, 0, in.len - EPOCH_TRAILER));
	trailer = cursor_of(slice_from(in, in.len - EPOCH_TRAILER));
	e = decode_head(&c, &epoch, d);
	if (e < 0)
		return e;
	if (cursor_u32(&trailer) != crc32c(0, in.ptr, in.len - EPOCH_TRAILER))
		return corrupt(d, "checksum does not fit");
	conf = conf_new();
	if (!conf)
		return diag_set(d, ERR_NOMEM, "no memory for the configuration");
	e = decode_all(&c, conf, d);
	if (e < 0) {
		conf_unref(conf);
		return e;
	}
	*ret = conf;
	*ret_epoch = epoch;
	return ERR_OK;
}
