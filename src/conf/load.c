/* From text to struct conf: source.c cleans the text, libconfuse finds keys, values and sections in it, the
 * schema says what they mean, check.c looks at them together.
 *
 * All options are declared as strings to libconfuse, so that types, ranges and messages are those of the
 * schema. Values are checked by a callback while libconfuse still knows the line, and stored when all is read.
 */
#include "conf/conf.h"

#include "conf/check.h"
#include "conf/schema.h"
#include "conf/source.h"
#include "conf/spell.h"
#include "conf/value.h"
#include "core/mem.h"

#include <confuse.h>
#include <string.h>
#include <unistd.h>

#define ORIGINS_MAX (4u * 1024 * 1024)

/* libconfuse has no place for a caller's context and forgets where a value stood. Its options carry a default
 * that is not used under CFGF_NODEFAULT; there we keep the reader (number) and the line of the value
 * (fpnumber). */
struct reader {
	struct conf_source source;
	struct buf origins; /* struct conf_origin, file names still borrowed from the source */
	struct conf *conf;
	uint32_t stand_ins; /* bit i: section i of the schema is not from the file; it has no origins */
	bool embedded;      /* storing such a section */
	struct diag *d;
	bool failed; /* *d says why */
};

static struct reader *reader_of(const cfg_opt_t *opt)
{
	return (struct reader *)(uintptr_t)opt->def.number;
}

static unsigned opt_line(const cfg_opt_t *opt)
{
	return (unsigned)opt->def.fpnumber;
}

/* libconfuse calls the top level "root". */
static const struct conf_section *section_of(const cfg_t *cfg)
{
	const struct conf_section *s = conf_schema_section(slice_str(cfg->name));

	return s ? s : &conf_schema[0];
}

/* The first error counts; "file:line: " goes in front. */
static enum err fail_at(struct reader *r, unsigned line, enum err code, const char *text)
{
	const char *file;
	unsigned file_line;

	if (r->failed)
		return code;
	r->failed = true;
	conf_source_where(&r->source, line, &file, &file_line);
	return diag_set(r->d, code, "%s:%u: %s", file, file_line, text);
}

/* "limit.recipients", "listener \"a\": address" */
static void add_label(struct buf *out, const struct conf_section *s, const char *title, const char *key)
{
	if (s->title)
		buf_printf(out, "%s \"%.64s\": %s", s->name, title, key);
	else
		buf_printf(out, "%s%s%s", s->name, *s->name ? "." : "", key);
}

/* --- unknown keys ----------------------------------------------------------------------------------------- */

struct guess {
	const char *name;
	unsigned distance;
};

static void consider(struct guess *g, struct slice word, const char *candidate)
{
	unsigned distance = conf_spell_distance(word, slice_str(candidate), 2);

	if (distance < g->distance)
		*g = (struct guess){candidate, distance};
}

static const struct conf_section *section_with_key(struct slice key)
{
	for (size_t i = 0; i < conf_schema_count; i++)
		if (conf_schema_field(&conf_schema[i], key))
			return &conf_schema[i];
	return NULL;
}

static void add_known_keys(struct buf *out, const struct conf_section *s)
{
	buf_add_str(out, "; known are ");
	for (size_t i = 0; i < s->nfields; i++)
		buf_printf(out, "%s%s", i ? ", " : "", s->fields[i].key);
}

static void explain_unknown(struct buf *out, const struct conf_section *s, const char *title,
			    struct slice key)
{
	struct guess g = {.distance = key.len < 4 ? 2 : 3}; /* what is nearer than this is proposed */
	const struct conf_section *home = section_with_key(key);

	buf_printf(out, "unknown key \"%.*s\"", SLICE_ARG(slice_sub(key, 0, 64)));
	if (*s->name)
		buf_printf(out, " in %s", s->name);
	if (s->title)
		buf_printf(out, " \"%.64s\"", title);
	for (size_t i = 0; i < s->nfields; i++)
		consider(&g, key, s->fields[i].key);
	for (size_t i = 1; !*s->name && i < conf_schema_count; i++)
		consider(&g, key, conf_schema[i].name);
	if (g.name)
		buf_printf(out, "; did you mean \"%s\"?", g.name);
	else if (home && *home->name)
		buf_printf(out, "; it belongs into %s { }", home->name);
	else if (home)
		buf_add_str(out, "; it stands outside of any section");
	else if (conf_schema_section(key))
		buf_add_str(out, "; sections do not stand inside each other");
	else if (*s->name && s->nfields <= 6)
		add_known_keys(out, s);
}

/* libconfuse's own errors, all of the grammar. */
static void ATTR_PRINTF(2, 0) on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	static const struct slice unknown = SLICE_LIT("no such option '");
	struct reader *r = reader_of(&cfg->opts[0]);
	struct buf raw CLEANUP(buf_done) = {0}, text CLEANUP(buf_done) = {0};
	struct slice said;

	buf_init(&raw, 2 * CONF_VALUE_MAX);
	buf_init(&text, 2 * CONF_VALUE_MAX);
	buf_vprintf(&raw, fmt, ap);
	said = buf_slice(&raw);
	if (slice_starts(said, unknown) && said.len > unknown.len)
		explain_unknown(&text, section_of(cfg), cfg->title ? cfg->title : "",
				slice_sub(said, unknown.len, said.len - unknown.len - 1));
	else
		buf_add(&text, said);
	fail_at(r, cfg->line, ERR_SYNTAX, buf_cstr(&text));
}

/* --- values, while they are read -------------------------------------------------------------------------- */

static int complain(cfg_t *cfg, const cfg_opt_t *opt, enum err code, const char *what)
{
	struct buf text CLEANUP(buf_done) = {0};

	buf_init(&text, 2 * CONF_VALUE_MAX);
	add_label(&text, section_of(cfg), cfg->title ? cfg->title : "", opt->name);
	buf_printf(&text, ": %s", what);
	fail_at(reader_of(opt), cfg->line, code, buf_cstr(&text));
	return -1;
}

/* For every single value; nvalues counts it already, 1 begins an assignment. */
static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	const struct conf_field *f = conf_schema_field(section_of(cfg), slice_str(opt->name));
	struct diag d = {0};
	const char *file;
	unsigned line;
	enum err e;

	if (opt->nvalues == 1 && opt_line(opt) != 0) {
		conf_source_where(&reader_of(opt)->source, opt_line(opt), &file, &line);
		diag_set(&d, ERR_EXISTS, "is given twice, first in %s:%u", file, line);
		return complain(cfg, opt, ERR_EXISTS, d.text);
	}
	if (opt->nvalues == 1)
		opt->def.fpnumber = cfg->line;
	e = conf_value_check(f, slice_str(value), &d);
	if (e < 0)
		return complain(cfg, opt, e, d.text);
	*(const char **)result = value;
	return 0;
}

/* --- libconfuse's tables ---------------------------------------------------------------------------------- */

static void declare_fields(const struct conf_section *s, struct reader *r, cfg_opt_t *opts)
{
	for (size_t i = 0; i < s->nfields; i++) {
		opts[i].name = s->fields[i].key;
		opts[i].type = CFGT_STR;
		opts[i].flags =
			CFGF_NODEFAULT | (conf_type_is_list(s->fields[i].type) ? CFGF_LIST : CFGF_NONE);
		opts[i].parsecb = on_value;
		opts[i].def.number = (long)(uintptr_t)r;
	}
}

/* One array: the top level, then each section's own options, every part with its end mark. */
static cfg_opt_t *declare_all(struct reader *r)
{
	size_t total = conf_schema[0].nfields + conf_schema_count;
	cfg_opt_t *all, *opt, *next;

	for (size_t i = 1; i < conf_schema_count; i++)
		total += conf_schema[i].nfields + 1;
	all = mem_alloc(total * sizeof(*all));
	if (!all)
		return NULL;
	declare_fields(&conf_schema[0], r, all);
	opt = all + conf_schema[0].nfields;
	next = opt + conf_schema_count;
	for (size_t i = 1; i < conf_schema_count; i++, opt++) {
		const struct conf_section *s = &conf_schema[i];
		opt->name = s->name;
		opt->type = CFGT_SEC;
		opt->flags = s->title ? CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES : CFGF_NONE;
		opt->subopts = next;
		declare_fields(s, r, next);
		next += s->nfields + 1;
	}
	return all;
}

/* --- storing ---------------------------------------------------------------------------------------------- */

static enum err note_origin(struct reader *r, const void *member, unsigned line)
{
	struct conf_origin o = {.value = member};
	const char *file;

	if (r->embedded || line == 0)
		return ERR_OK;
	conf_source_where(&r->source, line, &file, &o.line);
	o.file = slice_str(file);
	buf_add_mem(&r->origins, &o, sizeof(o));
	return r->origins.failed;
}

static enum err store_given(struct reader *r, const struct conf_field *f, cfg_t *cfg, cfg_opt_t *opt,
			    void *member)
{
	struct slice items[CONF_LIST_MAX];
	unsigned n = cfg_opt_size(opt);
	struct diag d = {0};
	enum err e;

	if (n > CONF_LIST_MAX) {
		complain(cfg, opt, ERR_LIMIT, "has too many values");
		return ERR_LIMIT;
	}
	for (unsigned i = 0; i < n; i++)
		items[i] = slice_str(cfg_opt_getnstr(opt, i));
	e = conf_value_set(f, items, n, &r->conf->arena, member, &d);
	if (e < 0)
		complain(cfg, opt, e, d.text);
	return e;
}

static enum err store_field(struct reader *r, const struct conf_field *f, cfg_t *cfg, void *member)
{
	cfg_opt_t *opt = cfg_getopt(cfg, f->key);
	bool given = opt_line(opt) != 0 || (opt->flags & CFGF_MODIFIED);
	enum err e;

	if (!given && f->required) {
		complain(cfg, opt, ERR_NOTFOUND, "is required");
		return ERR_NOTFOUND;
	}
	e = given ? store_given(r, f, cfg, opt, member)
		  : conf_value_set_standard(f, &r->conf->arena, member, r->d);
	return e < 0 ? e : note_origin(r, member, opt_line(opt));
}

static enum err store_fields(struct reader *r, const struct conf_section *s, cfg_t *cfg, char *base)
{
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < s->nfields; i++)
		e = store_field(r, &s->fields[i], cfg, base + s->fields[i].offset);
	return e;
}

static enum err store_title(struct reader *r, const struct conf_section *s, cfg_t *cfg, struct slice *ret)
{
	struct slice title = slice_str(cfg->title);
	struct buf text CLEANUP(buf_done) = {0};
	enum err e = s->check_title(title);

	buf_init(&text, 2 * CONF_VALUE_MAX);
	if (e < 0) {
		buf_printf(&text, "%s: \"%.64s\" is not %s", s->name, cfg->title, s->title_rule);
		return fail_at(r, cfg->line, e, buf_cstr(&text));
	}
	for (size_t i = 0; i < title.len; i++)
		buf_add_char(&text, ascii_lower(title.ptr[i]));
	e = arena_dup(&r->conf->arena, buf_slice(&text), ret);
	return e < 0 ? e : note_origin(r, ret, cfg->line);
}

static enum err store_repeated(struct reader *r, const struct conf_section *s, cfg_t *cfg)
{
	size_t n = cfg_size(cfg, s->name);
	char *array = arena_alloc(&r->conf->arena, n * s->size);
	enum err e = array ? ERR_OK : ERR_LIMIT;

	if (n > s->max_count)
		return diag_set(r->d, ERR_LIMIT, "more than %zu sections \"%s\"", s->max_count, s->name);
	for (size_t i = 0; e == ERR_OK && i < n; i++) {
		cfg_t *sec = cfg_getnsec(cfg, s->name, (unsigned)i);
		char *base = array + i * s->size;
		e = store_title(r, s, sec, (struct slice *)(base + s->title_offset));
		if (e == ERR_OK)
			e = store_fields(r, s, sec, base);
	}
	memcpy((char *)r->conf + s->offset, &array, sizeof(array));
	memcpy((char *)r->conf + s->count_offset, &n, sizeof(n));
	return e;
}

static enum err store_all(struct reader *r, cfg_t *cfg)
{
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < conf_schema_count; i++) {
		const struct conf_section *s = &conf_schema[i];
		r->embedded = r->stand_ins & 1u << i;
		if (s->title)
			e = store_repeated(r, s, cfg);
		else
			e = store_fields(r, s, *s->name ? cfg_getsec(cfg, s->name) : cfg,
					 (char *)r->conf + s->offset);
	}
	return e;
}

/* Into the arena, with their file names. */
static enum err store_origins(struct reader *r)
{
	size_t n = r->origins.len / sizeof(struct conf_origin);
	struct conf_origin *copy = arena_alloc(&r->conf->arena, r->origins.len);
	const char *last = NULL;
	struct slice file = SLICE_EMPTY;

	if (!copy)
		return ERR_LIMIT;
	if (n > 0)
		memcpy(copy, r->origins.data, r->origins.len);
	for (size_t i = 0; i < n; i++) {
		if (copy[i].file.ptr != last) {
			last = copy[i].file.ptr;
			enum err e = arena_dup(&r->conf->arena, copy[i].file, &file);
			if (e < 0)
				return e;
		}
		copy[i].file = file;
	}
	r->conf->origins = copy;
	r->conf->norigins = n;
	return ERR_OK;
}

/* --- the whole way ---------------------------------------------------------------------------------------- */

static enum err parse_text(struct reader *r, cfg_t *cfg, const char *text)
{
	int rc = cfg_parse_buf(cfg, text);

	if (rc == CFG_SUCCESS && !r->failed)
		return ERR_OK;
	if (!r->failed)
		fail_at(r, cfg->line, ERR_SYNTAX, "cannot be read");
	return r->d->code;
}

/* The sections that stand in for those of which there is none. */
static enum err parse_standard(struct reader *r, cfg_t *cfg)
{
	enum err e = ERR_OK;

	for (size_t i = 0; e == ERR_OK && i < conf_schema_count; i++) {
		if (!conf_schema[i].standard || cfg_size(cfg, conf_schema[i].name) > 0)
			continue;
		r->stand_ins |= 1u << i;
		e = parse_text(r, cfg, conf_schema[i].standard);
	}
	return e;
}

static enum err read_all(struct reader *r, cfg_t *cfg)
{
	enum err e;

	cfg_set_error_function(cfg, on_error);
	e = parse_text(r, cfg, buf_cstr(&r->source.text));
	if (e == ERR_OK)
		e = parse_standard(r, cfg);
	if (e == ERR_OK)
		e = store_all(r, cfg);
	if (e == ERR_OK)
		e = store_origins(r);
	if (e == ERR_OK)
		e = conf_derive(r->conf, r->d);
	if (e == ERR_OK)
		e = conf_check(r->conf, r->d);
	return e;
}

static enum err read_source(struct reader *r)
{
	cfg_opt_t *opts = declare_all(r);
	cfg_t *cfg = opts ? cfg_init(opts, CFGF_NONE) : NULL;
	enum err e = cfg ? ERR_OK : ERR_NOMEM;

	r->conf = conf_new();
	if (!r->conf)
		e = ERR_NOMEM;
	if (e == ERR_OK)
		e = read_all(r, cfg);
	if (e == ERR_LIMIT && r->d->code == ERR_OK)
		diag_set(r->d, e, "the configuration is too large");
	if (e == ERR_NOMEM)
		diag_set(r->d, e, "no memory for the configuration");
	if (cfg)
		cfg_free(cfg);
	mem_free(opts);
	return e;
}

static enum err load(const char *path, struct slice text, const char *name, struct conf **ret, struct diag *d)
{
	struct diag local = {0};
	struct reader r = {.d = d ? d : &local};
	enum err e;

	*r.d = (struct diag){0};
	conf_source_init(&r.source);
	buf_init(&r.origins, ORIGINS_MAX);
	e = path ? conf_source_file(&r.source, path, r.d) : conf_source_text(&r.source, text, name, r.d);
	if (e == ERR_OK)
		e = read_source(&r);
	buf_done(&r.origins);
	conf_source_done(&r.source);
	if (e < 0) {
		conf_unref(r.conf);
		return e;
	}
	*ret = r.conf;
	return ERR_OK;
}

enum err conf_load(const char *path, struct conf **ret, struct diag *d)
{
	return load(path, SLICE_EMPTY, "defaults", ret, d);
}

enum err conf_load_text(struct slice text, const char *name, struct conf **ret, struct diag *d)
{
	return load(NULL, text, name, ret, d);
}
