/* The JSON side of render.h, and what else is JSON. */
#include "tidegate/render.h"

#include "core/cursor.h"
#include "core/text.h"
#include "tidegate/cell.h"
#include "tidegate/json.h"

/* jansson refuses what is not UTF-8. */
json_t *json_text(struct slice text)
{
	struct buf clean CLEANUP(buf_done) = {0};

	buf_init(&clean, 3 * CTL_FRAME_MAX);
	while (text.len > 0) {
		size_t n = utf8_next(text, NULL);
		if (n > 0)
			buf_add(&clean, slice_sub(text, 0, n));
		else
			utf8_put(&clean, 0xfffd);
		text = slice_from(text, MAX(n, (size_t)1));
	}
	return clean.failed ? NULL : json_stringn(clean.len ? clean.data : "", clean.len);
}

static json_t *list_value(const struct ctl_field *f)
{
	struct slice rest = f->v.list.data, item;
	json_t *array = json_array();

	while (array && ctl_list_next(&rest, &item)) {
		if (json_array_append_new(array, json_text(item)) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *time_value(int64_t wall_ms)
{
	struct buf text CLEANUP(buf_done) = {0};

	buf_init(&text, 64);
	if (!cell_timestamp(&text, wall_ms))
		return json_null();
	return json_string(buf_cstr(&text));
}

static json_t *value_of(const struct ctl_field *f)
{
	switch (f->kind) {
	case CTL_NULL:
		break;
	case CTL_TEXT:
		return json_text(f->v.text);
	case CTL_U64:
	case CTL_DURATION:
	case CTL_SIZE:
		return json_integer((json_int_t)MIN(f->v.u64, (uint64_t)INT64_MAX));
	case CTL_I64:
		return json_integer(f->v.i64);
	case CTL_TIME:
		return time_value(f->v.i64);
	case CTL_BOOL:
		return json_boolean(f->v.flag);
	case CTL_LIST:
		return list_value(f);
	}
	return json_null();
}

/* All columns in the order of the schema, those that are missing as null. */
static json_t *row_value(const struct ctl_table_info *info, const struct ctl_view *row)
{
	static const struct ctl_field null_field = {.kind = CTL_NULL};
	json_t *object = json_object();
	struct ctl_field f;

	for (size_t i = 0; object && i < info->ncolumns; i++) {
		const char *key = info->columns[i].key;
		json_t *value = value_of(ctl_view_find(row, key, &f) ? &f : &null_field);
		if (json_object_set_new(object, key, value) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static json_t *table_value(const struct ctl_table_info *info, const struct buf *rows)
{
	struct cursor c = cursor_of(buf_slice(rows));
	json_t *array = json_array();
	json_t *first;

	while (array && cursor_left(&c) > 0) {
		struct ctl_view row = {.count = cursor_u16(&c)};
		row.data = cursor_slice32(&c);
		if (json_array_append_new(array, row_value(info, &row)) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	if (!info->single || !array)
		return array;
	first = json_array_size(array) > 0 ? json_incref(json_array_get(array, 0)) : json_null();
	json_decref(array);
	return first;
}

static int append(const char *data, size_t n, void *ctx)
{
	buf_add_mem(ctx, data, n);
	return 0;
}

enum err json_write(json_t *top, struct buf *out)
{
	int rc = top ? json_dump_callback(top, append, out, JSON_INDENT(2)) : -1;

	json_decref(top);
	buf_add_char(out, '\n');
	return rc < 0 ? ERR_NOMEM : out->failed;
}

enum err render_json(const struct render *r, struct buf *out)
{
	json_t *top = json_object();
	int rc = top ? 0 : -1;

	for (unsigned i = 0; rc == 0 && i < RENDER_TABLES && r->tables[i].info; i++)
		rc = json_object_set_new(top, r->tables[i].info->name,
					 table_value(r->tables[i].info, &r->tables[i].rows));
	if (rc == 0)
		return json_write(top, out);
	json_decref(top);
	return ERR_NOMEM;
}
