#include "dns/spf_record.h"

#include "dns/spf_macro.h"

#include <string.h>

#define VERSION SLICE_LIT("v=spf1")

const char *spf_result_name(enum spf_result r)
{
	static const char *const names[] = {"none",     "neutral",   "pass",     "fail",
					    "softfail", "temperror", "permerror"};
	ASSERT((size_t)r < ARRAY_LEN(names));
	return names[r];
}

static const char *const kind_names[] = {"all", "include", "a",        "mx",  "ptr",     "ip4",
					 "ip6", "exists",  "redirect", "exp", "unknown", "broken"};

const char *spf_kind_name(enum spf_kind k)
{
	ASSERT((size_t)k < ARRAY_LEN(kind_names));
	return kind_names[k];
}

bool spf_term_is_modifier(const struct spf_term *t)
{
	return t->kind == SPF_REDIRECT || t->kind == SPF_EXP || t->kind == SPF_UNKNOWN;
}

bool spf_term_asks(const struct spf_term *t)
{
	static const unsigned asking = 1u << SPF_INCLUDE | 1u << SPF_A | 1u << SPF_MX | 1u << SPF_PTR |
				       1u << SPF_EXISTS | 1u << SPF_REDIRECT;
	return asking & 1u << t->kind;
}

struct slice spf_term_text(struct slice record, const struct spf_term *t)
{
	return slice_sub(record, t->span.at, t->span.len);
}

bool spf_record_is(struct slice text)
{
	return slice_istarts(text, VERSION) && (text.len == VERSION.len || text.ptr[VERSION.len] == ' ');
}

/* ---- one term ---- */

static void broken(struct spf_term *t, const char *why)
{
	t->kind = SPF_BROKEN;
	t->problem = why;
}

/* Takes "/" 1*DIGIT off the end of *s, without leading zeros (5.6). Returns whether it was there. */
static bool take_bits(struct slice *s, struct slice slash, uint64_t *ret)
{
	size_t at = s->len;

	while (at > 0 && ascii_is_digit(s->ptr[at - 1]))
		at--;
	struct slice digits = slice_from(*s, at), front = slice_sub(*s, 0, at);
	if (digits.len == 0 || (digits.len > 1 && digits.ptr[0] == '0') || !slice_ends(front, slash))
		return false;
	if (slice_to_u64(digits, UINT16_MAX, ret) != ERR_OK)
		*ret = UINT16_MAX; /* too many anyway */
	s->len = at - slash.len;
	return true;
}

static const char *read_domain(struct spf_term *t, struct slice domain)
{
	if (domain.len == 0)
		return "a name is missing";
	t->domain = domain;
	t->macros = spf_macro_uses(domain, '\0');
	return spf_macro_problem(domain, SPF_IN_DOMAIN);
}

/* a and mx: [ ":" domain-spec ] [ dual-cidr-length ] */
static const char *read_hosts(struct spf_term *t, struct slice rest)
{
	uint64_t bits4 = SPF_BITS4, bits6 = SPF_BITS6;

	t->bits6_written = take_bits(&rest, SLICE_LIT("//"), &bits6);
	t->bits4_written = take_bits(&rest, SLICE_LIT("/"), &bits4);
	if (bits4 > SPF_BITS4)
		return "a prefix longer than 32 bits";
	if (bits6 > SPF_BITS6)
		return "a prefix longer than 128 bits";
	t->bits4 = (uint8_t)bits4;
	t->bits6 = (uint8_t)bits6;
	if (rest.len == 0)
		return NULL;
	return rest.ptr[0] == ':' ? read_domain(t, slice_from(rest, 1)) : "a prefix that is no number";
}

static const char *read_ip4(struct spf_term *t, struct slice rest)
{
	uint64_t bits = SPF_BITS4;

	t->bits4_written = take_bits(&rest, SLICE_LIT("/"), &bits);
	if (bits > SPF_BITS4)
		return "a prefix longer than 32 bits";
	t->bits4 = (uint8_t)bits;
	if (rest.len == 0 || spf_addr_parse4(slice_from(rest, 1), &t->addr) != ERR_OK)
		return "not an IPv4 address";
	return NULL;
}

static const char *read_ip6(struct spf_term *t, struct slice rest)
{
	uint64_t bits = SPF_BITS6;

	t->bits6_written = take_bits(&rest, SLICE_LIT("/"), &bits);
	if (bits > SPF_BITS6)
		return "a prefix longer than 128 bits";
	t->bits6 = (uint8_t)bits;
	if (rest.len == 0 || spf_addr_parse6(slice_from(rest, 1), &t->addr) != ERR_OK)
		return "not an IPv6 address";
	return NULL;
}

/* rest: what stands behind the name, from its ':' or '/' on. */
static const char *read_arguments(struct spf_term *t, struct slice rest)
{
	bool colon = rest.len > 0 && rest.ptr[0] == ':';

	switch (t->kind) {
	case SPF_ALL:
		return rest.len ? "all takes nothing behind it" : NULL;
	case SPF_A:
	case SPF_MX:
		return read_hosts(t, rest);
	case SPF_IP4:
		return colon ? read_ip4(t, rest) : "an address is missing";
	case SPF_IP6:
		return colon ? read_ip6(t, rest) : "an address is missing";
	case SPF_PTR:
		if (rest.len == 0)
			return NULL;
		break;
	default:
		break;
	}
	return colon ? read_domain(t, slice_from(rest, 1)) : "a name is missing";
}

static enum spf_kind kind_of(struct slice name, enum spf_kind from, enum spf_kind to)
{
	for (unsigned k = from; k <= (unsigned)to; k++)
		if (name.len && ascii_lower(name.ptr[0]) == kind_names[k][0] &&
		    slice_ieq_str(name, kind_names[k]))
			return (enum spf_kind)k;
	return SPF_UNKNOWN;
}

static const char *unknown_mechanism(struct slice name)
{
	static const struct {
		const char *name, *why;
	} usual[] = {
		{"ip", "there is no mechanism \"ip\"; ip4 or ip6 is meant"},
		{"ipv4", "there is no mechanism \"ipv4\"; it is called ip4"},
		{"ipv6", "there is no mechanism \"ipv6\"; it is called ip6"},
		{"redirect", "redirect is a modifier: redirect= and not redirect:"},
		{"exp", "exp is a modifier: exp= and not exp:"},
	};
	for (size_t i = 0; i < ARRAY_LEN(usual); i++)
		if (slice_ieq_str(name, usual[i].name))
			return usual[i].why;
	return "an unknown mechanism";
}

static bool qualifier_of(char c, enum spf_result *ret)
{
	static const struct {
		char c;
		enum spf_result r;
	} rows[] = {{'+', SPF_PASS}, {'-', SPF_FAIL}, {'~', SPF_SOFTFAIL}, {'?', SPF_NEUTRAL}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].c != c)
			continue;
		*ret = rows[i].r;
		return true;
	}
	return false;
}

static void read_mechanism(struct spf_term *t, struct slice s)
{
	size_t n = 0;

	t->qualifier = SPF_PASS;
	t->qualifier_written = s.len > 0 && qualifier_of(s.ptr[0], &t->qualifier);
	if (t->qualifier_written)
		s = slice_from(s, 1);
	while (n < s.len && s.ptr[n] != ':' && s.ptr[n] != '/')
		n++;
	t->name = slice_sub(s, 0, n);
	t->kind = kind_of(t->name, SPF_ALL, SPF_EXISTS);
	const char *why =
		t->kind == SPF_UNKNOWN ? unknown_mechanism(t->name) : read_arguments(t, slice_from(s, n));
	if (why)
		broken(t, why);
}

/* name = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." ), then "=" */
static size_t modifier_name_len(struct slice s)
{
	size_t n = 0;

	if (s.len == 0 || !ascii_is_alpha(s.ptr[0]))
		return 0;
	while (n < s.len && (ascii_is_alnum(s.ptr[n]) || memchr("-_.", s.ptr[n], 3)))
		n++;
	return n < s.len && s.ptr[n] == '=' ? n : 0;
}

static void read_modifier(struct spf_term *t, struct slice s, size_t name_len)
{
	struct slice value = slice_from(s, name_len + 1);
	const char *why;

	t->name = slice_sub(s, 0, name_len);
	t->kind = kind_of(t->name, SPF_REDIRECT, SPF_EXP);
	if (t->kind == SPF_UNKNOWN) {
		t->domain = value;
		t->macros = spf_macro_uses(value, '\0');
		why = spf_macro_problem(value, SPF_IN_MODIFIER);
	} else {
		why = read_domain(t, value);
	}
	if (why)
		broken(t, why);
}

bool spf_term_next(struct slice text, size_t *pos, struct spf_term *ret)
{
	size_t at = MAX(*pos, VERSION.len);

	while (at < text.len && text.ptr[at] == ' ')
		at++;
	struct slice s = slice_from(text, at);
	s = slice_sub(s, 0, slice_find(s, ' '));
	*pos = at + s.len;
	if (s.len == 0)
		return false;
	*ret = (struct spf_term){.span = {at, s.len}, .bits4 = SPF_BITS4, .bits6 = SPF_BITS6};
	size_t name_len = modifier_name_len(s);
	if (name_len)
		read_modifier(ret, s, name_len);
	else
		read_mechanism(ret, s);
	return true;
}

/* ---- a record ---- */

static void note_problem(struct spf_record *r, const struct spf_term *t, const char *why)
{
	if (r->problem)
		return;
	r->problem = why;
	r->problem_at = t->span;
}

static void note_term(struct spf_record *r, const struct spf_term *t)
{
	if (t->problem)
		note_problem(r, t, t->problem);
	if (t->kind == SPF_ALL && !r->all)
		r->all = t;
	if (t->kind == SPF_REDIRECT) {
		if (r->redirect)
			note_problem(r, t, "a second redirect=");
		r->redirect = t;
	} else if (t->kind == SPF_EXP) {
		if (r->exp)
			note_problem(r, t, "a second exp=");
		r->exp = t;
	} else if (spf_term_asks(t) && !r->all) {
		r->lookups++;
	}
}

enum err spf_record_read(struct arena *a, struct slice text, struct spf_record *ret)
{
	struct spf_record r = {.text = text};
	struct spf_term t;
	size_t pos = 0;

	if (!spf_record_is(text))
		return ERR_SYNTAX;
	if (text.len > SPF_RECORD_MAX)
		return ERR_LIMIT;
	while (spf_term_next(text, &pos, &t))
		r.count++;
	struct spf_term *terms = arena_alloc(a, r.count * sizeof(t));
	if (!terms)
		return ERR_LIMIT;
	pos = 0;
	for (size_t i = 0; i < r.count; i++) {
		bool more = spf_term_next(text, &pos, &terms[i]);
		ASSERT(more);
		note_term(&r, &terms[i]);
	}
	if (r.redirect && !r.all)
		r.lookups++;
	r.terms = terms;
	*ret = r;
	return ERR_OK;
}

enum err spf_txt_join(struct slice data, struct buf *out)
{
	while (data.len > 0) {
		size_t n = (unsigned char)data.ptr[0];
		if (n + 1 > data.len)
			return ERR_CORRUPT;
		buf_add(out, slice_sub(data, 1, n));
		data = slice_from(data, n + 1);
	}
	return out->failed;
}
