#include "conf/value.h"

#include "conf/conf.h"
#include "conf/spell.h"
#include "core/text.h"

#include <inttypes.h>
#include <string.h>

/* Enum members are read and written through unsigned; gcc and clang give all of ours that size. */
_Static_assert(sizeof(enum conf_seccomp) == sizeof(unsigned), "enums are as large as unsigned");

struct unit {
	uint64_t factor;
	const char *name;
};
static const struct unit size_units[] = {
	{1ull << 40, "T"}, {1 << 30, "G"}, {1 << 20, "M"}, {1 << 10, "K"}, {1, ""}};
static const struct unit duration_units[] = {
	{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}, {1, "ms"}};

/* The largest unit that divides the value, so that nothing is lost. */
static void format_unit(struct buf *out, uint64_t value, const struct unit *units, size_t n)
{
	size_t i = 0;

	while (i + 1 < n && (value == 0 || value % units[i].factor != 0))
		i++;
	buf_printf(out, "%" PRIu64 "%s", value / units[i].factor, units[i].name);
}

void conf_value_number(const struct conf_field *f, uint64_t value, struct buf *out)
{
	if (f->type == CONF_SIZE)
		format_unit(out, value, size_units, ARRAY_LEN(size_units));
	else if ((f->type == CONF_DURATION || f->type == CONF_DURATIONS) && value == 0)
		buf_add_str(out, "0s");
	else if (f->type == CONF_DURATION || f->type == CONF_DURATIONS)
		format_unit(out, value, duration_units, ARRAY_LEN(duration_units));
	else
		buf_printf(out, "%" PRIu64, value);
}

/* --- checks ----------------------------------------------------------------------------------------------- */

static enum err complain(struct diag *d, enum err e, struct slice item, const char *rule)
{
	return diag_set(d, e, "\"%.*s\" is not %s", SLICE_ARG(slice_sub(item, 0, 100)), rule);
}

static enum err out_of_range(const struct conf_field *f, struct slice item, struct diag *d)
{

	struct buf b CLEANUP(buf_done) = {0};

	buf_init(&b, 128);
	conf_value_number(f, f->min, &b);
	buf_add_str(&b, " to ");
	conf_value_number(f, f->max, &b);
	return diag_set(d, ERR_RANGE, "\"%.*s\" is outside of %s", SLICE_ARG(slice_sub(item, 0, 100)),
			buf_cstr(&b));
}

/* Numbers of all kinds. *ret may be NULL. */
static enum err read_number(const struct conf_field *f, struct slice item, uint64_t *ret, struct diag *d)
{
	uint64_t value = 0;
	enum err e = ERR_OK;

	if (f->type == CONF_SIZE)
		e = text_parse_size(item, &value);
	else if (f->type == CONF_INTEGER)
		e = slice_to_u64(item, UINT64_MAX, &value);
	else
		e = text_parse_duration(item, &value);
	if (e == ERR_RANGE || (e == ERR_OK && (value < f->min || value > f->max)))
		return out_of_range(f, item, d);
	if (e < 0 && f->type == CONF_SIZE)
		return complain(d, ERR_SYNTAX, item,
				"a size; write octets, or K, M, G or T behind the number, as in \"50M\"");
	if (e < 0 && f->type == CONF_INTEGER)
		return complain(d, ERR_SYNTAX, item, "a whole number");
	if (e < 0)
		return complain(d, ERR_SYNTAX, item,
				"a duration; write ms, s, min, h or d behind the number, as in \"4h\"");
	*ret = value;
	return ERR_OK;
}

static enum err read_choice(const struct conf_field *f, struct slice item, unsigned *ret, struct diag *d)
{
	struct buf all CLEANUP(buf_done) = {0};

	for (unsigned i = 0; f->choices[i]; i++) {
		if (slice_eq_str(item, f->choices[i])) {
			*ret = i;
			return ERR_OK;
		}
	}
	buf_init(&all, 256);
	for (unsigned i = 0; f->choices[i]; i++)
		buf_printf(&all, "%s%s", i ? ", " : "", f->choices[i]);
	return diag_set(d, ERR_SYNTAX, "\"%.*s\" is none of %s", SLICE_ARG(slice_sub(item, 0, 100)),
			buf_cstr(&all));
}

static enum err read_bool(struct slice item, bool *ret, struct diag *d)
{
	if (!slice_eq_str(item, "true") && !slice_eq_str(item, "false"))
		return complain(d, ERR_SYNTAX, item, "true or false");
	*ret = slice_eq_str(item, "true");
	return ERR_OK;
}

/* Listeners need a port, sources have none, servers may have one. */
static enum err check_address(const struct conf_field *f, struct slice item, struct diag *d)
{
	struct conf_address a;
	bool ok = conf_spell_address(item, &a) == ERR_OK;

	if (f->type == CONF_LISTENS && !(ok && (a.port != 0 || a.family == CONF_UNIX)))
		return complain(
			d, ERR_SYNTAX, item,
			"an address with port, as in \"0.0.0.0:587\", \"[::]:587\" or \"unix:/path\"");
	if (f->type == CONF_SERVERS && !(ok && a.family != CONF_UNIX))
		return complain(
			d, ERR_SYNTAX, item,
			"an IP address with or without port, as in \"192.0.2.53\" or \"[2001:db8::53]:53\"");
	if (f->type == CONF_SOURCES && !(ok && a.family != CONF_UNIX && a.port == 0))
		return complain(d, ERR_SYNTAX, item,
				"an IP address, as in \"192.0.2.10\" or \"2001:db8::10\"");
	return ERR_OK;
}

static enum err check_network(struct slice item, struct diag *d)
{
	struct conf_address a;
	unsigned bits;

	if (conf_spell_network(item, &a, &bits) == ERR_OK)
		return ERR_OK;
	return complain(d, ERR_SYNTAX, item,
			"a network, as in \"192.0.2.0/24\", \"2001:db8::/32\", \"192.0.2.1\" or \"unix\", "
			"with no bit set "
			"behind its prefix");
}

static enum err check_text(const struct conf_field *f, struct slice item, struct diag *d)
{
	if (item.len == 0 && !f->required)
		return ERR_OK; /* not set */
	if (slice_has_control(item) || !utf8_valid(item))
		return complain(d, ERR_SYNTAX, item, "plain text");
	if (f->type == CONF_HOSTNAME && conf_spell_hostname(item) < 0)
		return complain(d, ERR_SYNTAX, item, "a host name, as in \"relay.example.net\"");
	if (f->type == CONF_MAILBOX && conf_spell_mailbox(item) < 0)
		return complain(d, ERR_SYNTAX, item, "a mailbox, as in \"postmaster@example.net\"");
	if (f->type == CONF_PATH && conf_spell_path(item) < 0)
		return complain(d, ERR_SYNTAX, item, "an absolute path without \"..\"");
	if (f->type == CONF_DESTINATION && conf_spell_destination(item) < 0)
		return complain(d, ERR_SYNTAX, item,
				"\"mx\" or \"host:port\", as in \"smarthost.example.net:587\" or "
				"\"[2001:db8::25]:25\"");
	return ERR_OK;
}

enum err conf_value_check(const struct conf_field *f, struct slice item, struct diag *d)
{
	uint64_t number;
	unsigned choice;
	bool flag;

	if (item.len > CONF_VALUE_MAX)
		return diag_set(d, ERR_LIMIT, "a value is longer than %u octets", CONF_VALUE_MAX);
	switch (f->type) {
	case CONF_STRING:
	case CONF_HOSTNAME:
	case CONF_MAILBOX:
	case CONF_PATH:
	case CONF_DESTINATION:
		return check_text(f, item, d);
	case CONF_BOOL:
		return read_bool(item, &flag, d);
	case CONF_INTEGER:
	case CONF_SIZE:
	case CONF_DURATION:
	case CONF_DURATIONS:
		return read_number(f, item, &number, d);
	case CONF_ENUM:
		return read_choice(f, item, &choice, d);
	case CONF_LISTENS:
	case CONF_SERVERS:
	case CONF_SOURCES:
		return check_address(f, item, d);
	case CONF_NETWORKS:
		return check_network(item, d);
	}
	return ERR_UNSUPPORTED;
}

/* --- filling members -------------------------------------------------------------------------------------- */

static enum err set_texts(const struct slice *items, size_t n, struct arena *a, struct conf_texts *ret)
{
	struct slice *copy = arena_alloc(a, n * sizeof(*copy));
	enum err e = copy ? ERR_OK : ERR_LIMIT;

	for (size_t i = 0; e == ERR_OK && i < n; i++)
		e = arena_dup(a, items[i], &copy[i]);
	if (e == ERR_OK)
		*ret = (struct conf_texts){copy, n};
	return e;
}

static enum err set_numbers(const struct conf_field *f, const struct slice *items, size_t n, struct arena *a,
			    struct conf_numbers *ret, struct diag *d)
{
	uint64_t *copy = arena_alloc(a, n * sizeof(*copy));
	enum err e = copy ? ERR_OK : ERR_LIMIT;

	for (size_t i = 0; e == ERR_OK && i < n; i++)
		e = read_number(f, items[i], &copy[i], d);
	if (e == ERR_OK)
		*ret = (struct conf_numbers){copy, n};
	return e;
}

static enum err set_one(const struct conf_field *f, struct slice item, struct arena *a, void *member,
			struct diag *d)
{
	switch (f->type) {
	case CONF_BOOL:
		return read_bool(item, member, d);
	case CONF_ENUM:
		return read_choice(f, item, member, d);
	case CONF_INTEGER:
	case CONF_SIZE:
	case CONF_DURATION:
		return read_number(f, item, member, d);
	default:
		return arena_dup(a, item, member);
	}
}

static enum err set_list(const struct conf_field *f, const struct slice *items, size_t n, struct arena *a,
			 void *member, struct diag *d)
{
	if (n == 0 && (f->required || f->type == CONF_DURATIONS))
		return diag_set(d, ERR_RANGE, "needs at least one value");
	if (n > CONF_LIST_MAX)
		return diag_set(d, ERR_LIMIT, "has more than %u values", CONF_LIST_MAX);
	for (size_t i = 0; i < n; i++) {
		enum err e = conf_value_check(f, items[i], d);
		if (e < 0)
			return e;
	}
	return f->type == CONF_DURATIONS ? set_numbers(f, items, n, a, member, d)
					 : set_texts(items, n, a, member);
}

enum err conf_value_set(const struct conf_field *f, const struct slice *items, size_t n, struct arena *a,
			void *member, struct diag *d)
{
	enum err e;

	if (conf_type_is_list(f->type)) {
		e = set_list(f, items, n, a, member, d);
	} else if (n != 1) {
		return diag_set(d, ERR_RANGE, "needs one value");
	} else {
		e = conf_value_check(f, items[0], d);
		if (e == ERR_OK)
			e = set_one(f, items[0], a, member, d);
	}
	return e == ERR_LIMIT ? diag_set(d, e, "the configuration is too large") : e;
}

enum err conf_value_set_standard(const struct conf_field *f, struct arena *a, void *member, struct diag *d)
{
	struct slice items[CONF_LIST_MAX], rest = slice_str(f->standard);
	size_t n = 0;

	if (rest.len == 0) /* only texts and lists have no default; zeroed memory is the empty list */
		return conf_type_is_list(f->type) ? ERR_OK : arena_dup(a, rest, member);
	if (!conf_type_is_list(f->type))
		return conf_value_set(f, &rest, 1, a, member, d);
	while (rest.ptr && n < CONF_LIST_MAX)
		items[n++] = slice_trim(slice_split(&rest, ','));
	return conf_value_set(f, items, n, a, member, d);
}

/* --- and back --------------------------------------------------------------------------------------------- */

static bool is_texts(enum conf_type t)
{
	return t == CONF_LISTENS || t == CONF_SERVERS || t == CONF_SOURCES || t == CONF_NETWORKS;
}

size_t conf_value_count(const struct conf_field *f, const void *member)
{
	if (f->type == CONF_DURATIONS)
		return ((const struct conf_numbers *)member)->count;
	if (is_texts(f->type))
		return ((const struct conf_texts *)member)->count;
	return 1;
}

void conf_value_item(const struct conf_field *f, const void *member, size_t i, struct buf *out)
{
	if (f->type == CONF_DURATIONS)
		conf_value_number(f, ((const struct conf_numbers *)member)->items[i], out);
	else if (is_texts(f->type))
		buf_add(out, ((const struct conf_texts *)member)->items[i]);
	else if (f->type == CONF_BOOL)
		buf_add_str(out, *(const bool *)member ? "true" : "false");
	else if (f->type == CONF_ENUM)
		buf_add_str(out, f->choices[*(const unsigned *)member]);
	else if (f->type == CONF_INTEGER || f->type == CONF_SIZE || f->type == CONF_DURATION)
		conf_value_number(f, *(const uint64_t *)member, out);
	else
		buf_add(out, *(const struct slice *)member);
}

void conf_value_quote(struct buf *out, struct slice text)
{
	buf_add_char(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"' || text.ptr[i] == '\\' || text.ptr[i] == '$')
			buf_add_char(out, '\\');
		buf_add_char(out, text.ptr[i]);
	}
	buf_add_char(out, '"');
}

static void format_item(const struct conf_field *f, const void *member, size_t i, struct buf *out)
{
	struct buf item CLEANUP(buf_done) = {0};

	if (f->type == CONF_BOOL || f->type == CONF_INTEGER) {
		conf_value_item(f, member, i, out);
		return;
	}
	buf_init(&item, CONF_VALUE_MAX);
	conf_value_item(f, member, i, &item);
	conf_value_quote(out, buf_slice(&item));
}

void conf_value_format(const struct conf_field *f, const void *member, struct buf *out)
{
	size_t n = conf_value_count(f, member);

	if (!conf_type_is_list(f->type)) {
		format_item(f, member, 0, out);
		return;
	}
	buf_add_char(out, '{');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_add_str(out, ", ");
		format_item(f, member, i, out);
	}
	buf_add_char(out, '}');
}
