#include "conf/show.h"

#include "conf/schema.h"
#include "conf/value.h"

#include <string.h>

#define WRAP_COLUMNS 96u

/* --- a loaded configuration ------------------------------------------------------------------------------- */

static void show_fields(const struct conf_section *s, const char *base, const char *indent, struct buf *out)
{
	for (size_t i = 0; i < s->nfields; i++) {
		const struct conf_field *f = &s->fields[i];
		buf_printf(out, "%s%s = ", indent, f->key);
		conf_value_format(f, base + f->offset, out);
		buf_add_char(out, '\n');
	}
}

static void show_repeated(const struct conf *c, const struct conf_section *s, struct buf *out)
{
	const char *base;
	size_t n;

	memcpy(&n, (const char *)c + s->count_offset, sizeof(n));
	memcpy(&base, (const char *)c + s->offset, sizeof(base));
	for (size_t i = 0; i < n; i++, base += s->size) {
		buf_printf(out, "\n%s ", s->name);
		conf_value_quote(out, *(const struct slice *)(base + s->title_offset));
		buf_add_str(out, " {\n");
		show_fields(s, base, "\t", out);
		buf_add_str(out, "}\n");
	}
}

void conf_show(const struct conf *c, struct buf *out)
{
	for (size_t i = 0; i < conf_schema_count; i++) {
		const struct conf_section *s = &conf_schema[i];
		if (s->title) {
			show_repeated(c, s, out);
		} else if (!*s->name) {
			show_fields(s, (const char *)c, "", out);
		} else {
			buf_printf(out, "\n%s {\n", s->name);
			show_fields(s, (const char *)c + s->offset, "\t", out);
			buf_add_str(out, "}\n");
		}
	}
}

/* --- the defaults, commented ------------------------------------------------------------------------------ */

static void add_comment(struct buf *out, const char *indent, const char *text)
{
	struct slice rest = slice_str(text), word;
	size_t column = WRAP_COLUMNS;

	while ((word = slice_word(&rest)).len > 0) {
		if (column + 1 + word.len > WRAP_COLUMNS) {
			buf_printf(out, "%s%s#", column == WRAP_COLUMNS && text == word.ptr ? "" : "\n",
				   indent);
			column = 1;
		}
		buf_add_char(out, ' ');
		buf_add(out, word);
		column += 1 + word.len;
	}
	buf_add_char(out, '\n');
}

static bool is_bare(enum conf_type t)
{
	return t == CONF_BOOL || t == CONF_INTEGER;
}

/* A default or example of the schema in the syntax of a file. */
static void add_value(struct buf *out, const struct conf_field *f, const char *text)
{
	struct slice rest = slice_str(text);

	if (is_bare(f->type)) {
		buf_add_str(out, text);
	} else if (!conf_type_is_list(f->type)) {
		conf_value_quote(out, rest);
	} else {
		buf_add_char(out, '{');
		for (bool first = true; rest.len > 0; first = false) {
			if (!first)
				buf_add_str(out, ", ");
			conf_value_quote(out, slice_trim(slice_split(&rest, ',')));
		}
		buf_add_char(out, '}');
	}
}

static void default_fields(const struct conf_section *s, const char *indent, struct buf *out)
{
	for (size_t i = 0; i < s->nfields; i++) {
		const struct conf_field *f = &s->fields[i];
		bool set = *f->standard != '\0';
		if (i > 0 || *s->name == '\0')
			buf_add_char(out, '\n');
		add_comment(out, indent, f->help);
		buf_printf(out, "%s%s%s = ", indent, set ? "" : "# ", f->key);
		add_value(out, f, set ? f->standard : f->example);
		buf_add_char(out, '\n');
	}
}

/* A repeated section: its keys are explained in comments, the stand-in for "none given" is the text itself. */
static void default_repeated(const struct conf_section *s, struct buf *out)
{
	for (size_t i = 0; i < s->nfields; i++) {
		const struct conf_field *f = &s->fields[i];
		buf_printf(out, "#\n#     %s = ", f->key);
		add_value(out, f, *f->standard ? f->standard : f->example);
		buf_add_char(out, '\n');
		add_comment(out, "", f->help);
	}
	buf_add_str(out, s->standard);
}

void conf_show_defaults(struct buf *out)
{
	buf_add_str(out,
		    "# Configuration of tidegated: all keys and their defaults. See tidegated.conf(5).\n");
	for (size_t i = 0; i < conf_schema_count; i++) {
		const struct conf_section *s = &conf_schema[i];
		if (!*s->name) {
			default_fields(s, "", out);
			continue;
		}
		buf_add_char(out, '\n');
		add_comment(out, "", s->help);
		if (s->title) {
			default_repeated(s, out);
			continue;
		}
		buf_printf(out, "%s {\n", s->name);
		default_fields(s, "\t", out);
		buf_add_str(out, "}\n");
	}
}
