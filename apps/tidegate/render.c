#include "tidegate/render.h"

#include "core/cursor.h"
#include "core/text.h"
#include "tidegate/cell.h"

#define COLUMNS_MAX CTL_FIELDS_MAX
#define CELL_MAX    CTL_FRAME_MAX * 8 /* escaping makes up to eight octets of one */
#define CUT_MIN     16u               /* a last column is not cut below this width */

static const char bold[] = "\033[1m", plain[] = "\033[0m", red[] = "\033[31m", green[] = "\033[32m",
		  yellow[] = "\033[33m";

void render_init(struct render *r, const struct ctl_verb_info *verb, const struct render_options *o)
{
	*r = (struct render){.verb = verb, .o = *o};
	for (unsigned i = 0; i < RENDER_TABLES; i++) {
		buf_init(&r->tables[i].rows, RENDER_ROWS_MAX);
		if (verb->tables[i])
			r->tables[i].info = ctl_table_info(verb->tables[i]);
	}
}

void render_done(struct render *r)
{
	for (unsigned i = 0; i < RENDER_TABLES; i++)
		buf_done(&r->tables[i].rows);
}

/* --- rows ------------------------------------------------------------------------------------------------- */

static unsigned table_index(const struct render *r, enum ctl_table table)
{
	unsigned i = 0;

	while (i < RENDER_TABLES && !(r->tables[i].info && r->tables[i].info->table == table))
		i++;
	return i;
}

enum err render_add(struct render *r, const struct ctl_frame *row)
{
	unsigned i = table_index(r, row->table);
	struct buf *rows;

	if (i == RENDER_TABLES || (r->tables[i].info->single && r->tables[i].count > 0))
		return ERR_CORRUPT;
	rows = &r->tables[i].rows;
	buf_add_u16(rows, (uint16_t)row->fields.count);
	buf_add_slice32(rows, row->fields.data);
	r->tables[i].count++;
	return rows->failed;
}

/* Iterates over the rows of a table; *pos starts at 0. */
static bool next_row(const struct render *r, unsigned table, size_t *pos, struct ctl_view *ret)
{
	struct cursor c = cursor_of(buf_slice(&r->tables[table].rows));

	c.pos = *pos;
	if (cursor_left(&c) == 0)
		return false;
	ret->count = cursor_u16(&c);
	ret->data = cursor_slice32(&c);
	*pos = c.pos;
	return !c.failed;
}

bool render_first(const struct render *r, enum ctl_table table, const char *key, struct ctl_field *ret)
{
	unsigned i = table_index(r, table);
	struct ctl_view row;
	size_t pos = 0;

	return i < RENDER_TABLES && next_row(r, i, &pos, &row) && ctl_view_find(&row, key, ret);
}

/* --- records ---------------------------------------------------------------------------------------------- */

static const char *color_of(struct slice value)
{
	if (slice_eq_str(value, "ok") || slice_eq_str(value, "running") || slice_eq_str(value, "delivered"))
		return green;
	if (slice_eq_str(value, "down") || slice_eq_str(value, "bounced") || slice_eq_str(value, "expired"))
		return red;
	if (slice_eq_str(value, "degraded") || slice_eq_str(value, "deferred") ||
	    slice_eq_str(value, "waiting"))
		return yellow;
	return NULL;
}

static void add_colored(const struct render *r, struct buf *out, struct slice text, const char *color)
{
	if (r->o.color && color)
		buf_add_str(out, color);
	buf_add(out, text);
	if (r->o.color && color)
		buf_add_str(out, plain);
}

static void add_spaces(struct buf *out, size_t n)
{
	while (n-- > 0)
		buf_add_char(out, ' ');
}

/* "last_reply" as "last reply". */
static void add_label(struct buf *out, const char *key)
{
	for (; *key; key++)
		buf_add_char(out, *key == '_' ? ' ' : *key);
}

static void add_record(const struct render *r, unsigned table, struct buf *out)
{
	const struct ctl_table_info *info = r->tables[table].info;
	struct cell_style style = {.now_ms = r->o.now_ms, .full = true};
	struct buf value CLEANUP(buf_done) = {0};
	struct ctl_view row;
	struct ctl_field f;
	size_t pos = 0, width = 0;

	if (!next_row(r, table, &pos, &row))
		return;
	buf_init(&value, CELL_MAX);
	for (size_t i = 0; i < info->ncolumns; i++)
		width = MAX(width, slice_str(info->columns[i].key).len);
	for (size_t i = 0; i < info->ncolumns; i++) {
		const char *key = info->columns[i].key;
		if (!ctl_view_find(&row, key, &f) || f.kind == CTL_NULL)
			continue;
		buf_clear(&value);
		cell_format(&f, &style, &value);
		add_label(out, key);
		add_spaces(out, width - slice_str(key).len + 2);
		add_colored(r, out, buf_slice(&value), f.kind == CTL_TEXT ? color_of(f.v.text) : NULL);
		buf_add_char(out, '\n');
	}
}

/* --- aligned tables --------------------------------------------------------------------------------------- */

struct layout {
	const struct ctl_column *columns[COLUMNS_MAX]; /* those that are shown */
	size_t widths[COLUMNS_MAX];
	size_t n;
};

static bool is_right(enum ctl_kind k)
{
	return k == CTL_U64 || k == CTL_I64 || k == CTL_SIZE || k == CTL_DURATION;
}

/* The text of a cell in value; "-" where the row has no such field. */
static void format_cell(const struct render *r, const struct ctl_view *row, const struct ctl_column *column,
			struct buf *value)
{
	struct cell_style style = {.now_ms = r->o.now_ms};
	struct ctl_field f;

	buf_clear(value);
	if (ctl_view_find(row, column->key, &f))
		cell_format(&f, &style, value);
	else
		buf_add_char(value, '-');
}

/* Widest cell of a column, 0 if all are null or missing. */
static size_t measure(const struct render *r, unsigned table, const struct ctl_column *column)
{
	struct buf value CLEANUP(buf_done) = {0};
	struct ctl_view row;
	struct ctl_field f;
	size_t width = 0;

	buf_init(&value, CELL_MAX);
	for (size_t pos = 0; next_row(r, table, &pos, &row);) {
		if (!ctl_view_find(&row, column->key, &f) || f.kind == CTL_NULL)
			continue;
		format_cell(r, &row, column, &value);
		width = MAX(width, utf8_width(buf_slice(&value)));
	}
	return width;
}

static void lay_out(const struct render *r, unsigned table, struct layout *l)
{
	const struct ctl_table_info *info = r->tables[table].info;

	l->n = 0;
	for (size_t i = 0; i < info->ncolumns && l->n < COLUMNS_MAX; i++) {
		const struct ctl_column *column = &info->columns[i];
		size_t width = column->heading ? measure(r, table, column) : 0;
		if (width == 0)
			continue;
		l->columns[l->n] = column;
		l->widths[l->n++] = MAX(width, slice_str(column->heading).len);
	}
}

/* What remains of the terminal for the last column. */
static size_t last_width(const struct render *r, const struct layout *l)
{
	size_t used = 0;

	if (r->o.columns == 0)
		return SIZE_MAX;
	for (size_t i = 0; i + 1 < l->n; i++)
		used += l->widths[i] + 2;
	return r->o.columns > used + CUT_MIN ? r->o.columns - used : CUT_MIN;
}

/* The longest start of text that is at most `columns` wide. */
static struct slice cut(struct slice text, size_t columns)
{
	size_t len = 0, width = 0;

	if (utf8_width(text) <= columns)
		return text;
	while (len < text.len) {
		size_t n = MAX(utf8_next(slice_from(text, len), NULL), (size_t)1);
		width += utf8_width(slice_sub(text, len, n));
		if (width > columns)
			break;
		len += n;
	}
	return slice_sub(text, 0, len);
}

static void add_cell(const struct render *r, const struct layout *l, size_t i, struct slice text,
		     const char *color, struct buf *out)
{
	bool last = i + 1 == l->n;
	size_t width;

	if (last)
		text = cut(text, last_width(r, l));
	width = utf8_width(text);
	if (is_right(l->columns[i]->kind) && width < l->widths[i])
		add_spaces(out, l->widths[i] - width);
	add_colored(r, out, text, color);
	if (!last && !is_right(l->columns[i]->kind) && width < l->widths[i])
		add_spaces(out, l->widths[i] - width);
	buf_add_str(out, last ? "\n" : "  ");
}

static void add_table(const struct render *r, unsigned table, struct buf *out)
{
	struct buf value CLEANUP(buf_done) = {0};
	struct layout l;
	struct ctl_view row;

	buf_init(&value, CELL_MAX);
	lay_out(r, table, &l);
	for (size_t i = 0; i < l.n; i++)
		add_cell(r, &l, i, slice_str(l.columns[i]->heading), bold, out);
	for (size_t pos = 0; next_row(r, table, &pos, &row);) {
		for (size_t i = 0; i < l.n; i++) {
			format_cell(r, &row, l.columns[i], &value);
			add_cell(r, &l, i, buf_slice(&value), color_of(buf_slice(&value)), out);
		}
	}
}

void render_tables(const struct render *r, struct buf *out)
{
	bool any = false;

	for (unsigned i = 0; i < RENDER_TABLES && r->tables[i].info; i++) {
		size_t n = r->tables[i].count;
		if (n == 0)
			continue;
		if (any)
			buf_add_char(out, '\n');
		any = true;
		if (r->tables[i].info->single || (r->o.records && i == 0 && n == 1))
			add_record(r, i, out);
		else
			add_table(r, i, out);
	}
	if (!any && r->tables[0].info)
		buf_printf(out, "no %s\n", r->tables[0].info->name);
}
