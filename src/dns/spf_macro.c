#include "dns/spf_macro.h"

#include "dns/limits.h"

#include <inttypes.h>
#include <string.h>

#define LETTERS     "slodipvh"
#define LETTERS_EXP "crt"
#define DELIMITERS  ".-+,/_="
#define KEEP_MAX    1000000u /* any larger number of parts means the same: all of them */
#define ESCAPED_LEN 4u       /* of an octet as \DDD */
#define NIBBLES     32u
#define VALUE_MAX   (2u * NIBBLES) /* of the values that are made here: addresses, times */

/* A run of literals, or one macro-expand. */
struct piece {
	struct slice text; /* a literal; what %% %_ %- stand for */
	char letter;       /* lower case; 0: no macro */
	bool escape;       /* the letter was upper case: URL escaping */
	bool percent;      /* %% %_ %-: a macro-expand, though no macro */
	bool transform;    /* digits, r or delimiters are there */
	bool reverse;
	uint32_t keep; /* right-hand parts; 0: all */
	struct slice delimiters;
	const char *problem;
};

/* ---- reading ---- */

static struct piece bad(const char *why)
{
	return (struct piece){.problem = why};
}

/* Between the braces: macro-letter transformers *delimiter (7.1). */
static struct piece read_macro(struct slice s)
{
	struct piece p = {0};
	size_t i = 1;

	if (s.len == 0)
		return bad("an empty macro");
	p.letter = ascii_lower(s.ptr[0]);
	p.escape = p.letter != s.ptr[0];
	if (!p.letter || !strchr(LETTERS LETTERS_EXP, p.letter))
		return bad("an unknown macro letter");
	size_t digits = i;
	for (; i < s.len && ascii_is_digit(s.ptr[i]); i++)
		p.keep = MIN(p.keep * 10 + (uint32_t)(s.ptr[i] - '0'), KEEP_MAX);
	if (i > digits && p.keep == 0)
		return bad("a macro that keeps 0 parts");
	if (i < s.len && ascii_lower(s.ptr[i]) == 'r') {
		p.reverse = true;
		i++;
	}
	p.delimiters = slice_from(s, i);
	for (; i < s.len; i++)
		if (!s.ptr[i] || !strchr(DELIMITERS, s.ptr[i]))
			return bad("a macro with something behind its letter that is no transformer or "
				   "delimiter");
	p.transform = s.len > 1;
	return p;
}

static struct piece read_percent(struct slice *rest)
{
	struct slice s = *rest;
	struct piece p = {.percent = true};

	*rest = slice_from(s, 2);
	switch (s.len > 1 ? s.ptr[1] : '\0') {
	case '%':
		p.text = SLICE_LIT("%");
		return p;
	case '_':
		p.text = SLICE_LIT(" ");
		return p;
	case '-':
		p.text = SLICE_LIT("%20");
		return p;
	case '{':
		break;
	default:
		return bad("'%' must be followed by '{', '%', '_' or '-'");
	}
	size_t end = slice_find(s, '}');
	if (end == SLICE_NPOS)
		return bad("a macro without '}'");
	*rest = slice_from(s, end + 1);
	return read_macro(slice_sub(s, 2, end - 2));
}

/* The next piece; false at the end. */
static bool next_piece(struct slice *rest, struct piece *ret)
{
	if (rest->len == 0)
		return false;
	if (rest->ptr[0] == '%') {
		*ret = read_percent(rest);
		return true;
	}
	size_t n = slice_find(*rest, '%');
	*ret = (struct piece){.text = slice_sub(*rest, 0, n)};
	*rest = slice_from(*rest, ret->text.len);
	return true;
}

/* ---- syntax ---- */

static const char *literal_problem(struct slice s, enum spf_macro_place place)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		if (c > 0x7e)
			return "an octet that is not ASCII";
		if (c < 0x20 || (c == ' ' && place != SPF_IN_EXPLANATION))
			return "a control character or space";
	}
	return NULL;
}

/* toplabel = ( *alphanum ALPHA *alphanum ) / ( 1*alphanum "-" *( alphanum / "-" ) alphanum ) */
static bool is_top_label(struct slice s)
{
	bool other = false;

	if (s.len == 0 || !ascii_is_alnum(s.ptr[0]) || !ascii_is_alnum(s.ptr[s.len - 1]))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!ascii_is_alnum(s.ptr[i]) && s.ptr[i] != '-')
			return false;
		other |= !ascii_is_digit(s.ptr[i]);
	}
	return other;
}

static bool looks_like_ip4(struct slice s)
{
	struct spf_addr a;
	return spf_addr_parse4(s, &a) == ERR_OK;
}

/* domain-end = ( "." toplabel [ "." ] ) / macro-expand; last: the last piece of the domain-spec. */
static const char *end_problem(const struct piece *last, struct slice whole)
{
	if (last->letter || last->percent)
		return NULL;
	if (looks_like_ip4(whole))
		return "an address where a name belongs; use ip4:";
	struct slice s = last->text;
	if (slice_ends(s, SLICE_LIT(".")))
		s.len--;
	size_t dot = slice_rfind(s, '.');
	if (dot == SLICE_NPOS)
		return "not a name with a dot, nor ends it in a macro";
	return is_top_label(slice_from(s, dot + 1)) ? NULL : "a name whose last label is none";
}

const char *spf_macro_problem(struct slice text, enum spf_macro_place place)
{
	struct slice rest = text;
	struct piece p = {.percent = true};

	while (next_piece(&rest, &p)) {
		if (p.problem)
			return p.problem;
		if (p.letter && strchr(LETTERS_EXP, p.letter) && place != SPF_IN_EXPLANATION)
			return "a macro that is allowed in explanations only";
		const char *why = p.letter || p.percent ? NULL : literal_problem(p.text, place);
		if (why)
			return why;
	}
	return place == SPF_IN_DOMAIN ? end_problem(&p, text) : NULL;
}

bool spf_macro_uses(struct slice text, char letter)
{
	struct piece p;

	while (next_piece(&text, &p))
		if (p.letter && (!letter || p.letter == letter))
			return true;
	return false;
}

/* ---- expansion ---- */

static void add_escaped(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		if (ascii_is_alnum(c) || (c && strchr("-._~", c))) /* unreserved, RFC 3986 2.3 */
			buf_add_char(out, c);
		else
			buf_printf(out, "%%%02X", (unsigned char)c);
	}
}

static void add_text(struct buf *out, struct slice s, bool escape)
{
	if (escape)
		add_escaped(out, s);
	else
		buf_add(out, s);
}

static bool is_delimiter(const struct piece *p, char c)
{
	return p->delimiters.len ? slice_find(p->delimiters, c) != SLICE_NPOS : c == '.';
}

/* Length of the part at the start (or, backwards, at the end) of s. */
static size_t part_len(const struct piece *p, struct slice s, bool backwards)
{
	size_t n = 0;
	while (n < s.len && !is_delimiter(p, s.ptr[backwards ? s.len - 1 - n : n]))
		n++;
	return n;
}

static size_t count_parts(const struct piece *p, struct slice s)
{
	size_t n = 1;
	for (size_t i = 0; i < s.len; i++)
		n += is_delimiter(p, s.ptr[i]);
	return n;
}

/* Parts are joined with '.' whatever parted them (7.3). Reversed, the right-hand parts that are kept are those that
 * stood on the left. */
static void add_parts(struct buf *out, const struct piece *p, struct slice s)
{
	size_t parts = count_parts(p, s), drop = p->keep && p->keep < parts ? parts - p->keep : 0;

	for (size_t i = 0; i < parts && !out->failed; i++) {
		size_t n = part_len(p, s, p->reverse);
		struct slice part = p->reverse ? slice_from(s, s.len - n) : slice_sub(s, 0, n);
		if (i > drop)
			buf_add_char(out, '.');
		if (i >= drop)
			add_text(out, part, p->escape);
		n = MIN(n + 1, s.len); /* its delimiter too */
		s = p->reverse ? slice_sub(s, 0, s.len - n) : slice_from(s, n);
	}
}

static void add_value(struct buf *out, const struct piece *p, struct slice value)
{
	if (p->transform)
		add_parts(out, p, value);
	else
		add_text(out, value, p->escape);
}

/* %{i}: an IPv6 address nibble by nibble. */
static void add_nibbles(const struct spf_addr *a, struct buf *out)
{
	static const char hex[] = "0123456789ABCDEF";
	for (unsigned i = 0; i < NIBBLES; i++) {
		if (i > 0)
			buf_add_char(out, '.');
		buf_add_char(out, hex[a->octets[i / 2] >> (i % 2 ? 0 : 4) & 0xf]);
	}
}

static void add_sender(struct buf *out, const struct piece *p, const struct spf_macros *m)
{
	char room[2 * SPF_INPUT_MAX];
	struct slice at = SLICE_LIT("@");
	struct slice local = slice_sub(m->local, 0, SPF_INPUT_MAX - 1);
	struct slice domain = slice_sub(m->sender_domain, 0, SPF_INPUT_MAX);

	memcpy(room, local.ptr, local.len);
	memcpy(room + local.len, at.ptr, at.len);
	memcpy(room + local.len + at.len, domain.ptr, domain.len);
	add_value(out, p, slice_of(room, local.len + at.len + domain.len));
}

/* i, c and t: values that have to be made. */
static void add_made(struct buf *out, const struct piece *p, const struct spf_macros *m)
{
	CLEANUP(buf_done) struct buf value;

	buf_init(&value, VALUE_MAX);
	if (p->letter == 't')
		buf_printf(&value, "%" PRId64, m->now_s);
	else if (p->letter == 'i' && m->ip.bits == SPF_BITS6)
		add_nibbles(&m->ip, &value);
	else
		spf_addr_format(&m->ip, &value);
	if (value.failed == ERR_NOMEM)
		out->failed = ERR_NOMEM;
	add_value(out, p, buf_slice(&value));
}

static void add_macro(struct buf *out, const struct piece *p, const struct spf_macros *m)
{
	switch (p->letter) {
	case 's':
		add_sender(out, p, m);
		return;
	case 'l':
		add_value(out, p, m->local);
		return;
	case 'o':
		add_value(out, p, m->sender_domain);
		return;
	case 'd':
		add_value(out, p, m->domain);
		return;
	case 'p':
		add_value(out, p, m->validated.len ? m->validated : SLICE_LIT("unknown"));
		return;
	case 'v':
		add_value(out, p, m->ip.bits == SPF_BITS4 ? SLICE_LIT("in-addr") : SLICE_LIT("ip6"));
		return;
	case 'h':
		add_value(out, p, m->helo);
		return;
	case 'r':
		add_value(out, p, m->receiver.len ? m->receiver : SLICE_LIT("unknown"));
		return;
	default:
		add_made(out, p, m);
		return;
	}
}

void spf_macro_expand(struct slice text, const struct spf_macros *m, struct buf *out)
{
	struct piece p;

	while (!out->failed && next_piece(&text, &p)) {
		ASSERT(!p.problem);
		if (p.letter)
			add_macro(out, &p, m);
		else
			buf_add(out, p.text);
	}
}

/* ---- names ---- */

struct slice spf_target_cut(struct slice s)
{
	if (slice_ends(s, SLICE_LIT(".")))
		s.len--;
	while (s.len > DNS_NAME_MAX) {
		size_t dot = slice_find(s, '.');
		if (dot == SLICE_NPOS)
			break;
		s = slice_from(s, dot + 1);
	}
	return s;
}

static bool labels_fit(struct slice name)
{
	if (name.len == 0 || name.len > DNS_NAME_MAX)
		return false;
	while (name.ptr) {
		struct slice label = slice_split(&name, '.');
		if (label.len == 0 || label.len > DNS_LABEL_MAX)
			return false;
	}
	return true;
}

/* Plain names, which is nearly all of them, take one reservation and no formatting. */
bool spf_target_name(struct slice name, struct buf *out)
{
	static const char digits[] = "0123456789";

	if (!labels_fit(name))
		return false;
	enum err e = buf_reserve(out, ESCAPED_LEN * name.len);
	if (e) {
		out->failed = e;
		return false;
	}
	char *at = out->data + out->len;
	for (size_t i = 0; i < name.len; i++) {
		char c = ascii_lower(name.ptr[i]);
		unsigned char u = (unsigned char)c;
		if (ascii_is_alnum(c) || c == '-' || c == '_' || c == '.') {
			*at++ = c;
			continue;
		}
		*at++ = '\\';
		*at++ = digits[u / 100];
		*at++ = digits[u / 10 % 10];
		*at++ = digits[u % 10];
	}
	out->len = (size_t)(at - out->data);
	return true;
}
