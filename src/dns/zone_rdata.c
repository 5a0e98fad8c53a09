#include "dns/zone_rdata.h"

#include "core/text.h"
#include "dns/spf_addr.h"
#include "dns/zone_word.h"

#define STRING_MAX 255u

/* Where the encoding of a record stands. */
struct encoder {
	const struct zone_entry *e;
	size_t next; /* word */
	struct buf *out;
	struct diag *d;
};

static enum err bad(const struct encoder *c, size_t word, enum err code, const char *what)
{
	const struct zone_entry *e = c->e;
	size_t at = word < e->token_count ? e->tokens[word].span.at : e->type.at;

	diag_set(c->d, code, "%s", what);
	zone_text_blame(e->source, at, c->d);
	return code;
}

static enum err take(struct encoder *c, const struct zone_token **ret)
{
	if (c->next >= c->e->token_count)
		return bad(c, c->next, ERR_SYNTAX, "the record's data ends too early");
	*ret = &c->e->tokens[c->next++];
	return ERR_OK;
}

/* The word without quotes, escapes as written. */
static enum err take_word(struct encoder *c, struct slice *ret)
{
	const struct zone_token *t;
	enum err e = take(c, &t);

	if (e)
		return e;
	*ret = zone_text_at(c->e, t->span);
	if (t->quoted)
		*ret = slice_sub(*ret, 1, ret->len - 2);
	return ERR_OK;
}

static void add_be(struct buf *out, uint64_t v, size_t octets)
{
	while (octets-- > 0)
		buf_add_u8(out, (uint8_t)(v >> (8 * octets)));
}

static enum err put_number(struct encoder *c, size_t octets)
{
	struct slice s;
	uint64_t v = 0, max = octets == 4 ? UINT32_MAX : octets == 2 ? UINT16_MAX : UINT8_MAX;
	enum err e = take_word(c, &s);

	if (e)
		return e;
	if (slice_to_u64(s, max, &v) != ERR_OK)
		return bad(c, c->next - 1, ERR_SYNTAX, "not a number that fits");
	add_be(c->out, v, octets);
	return ERR_OK;
}

static enum err put_time(struct encoder *c)
{
	struct slice s;
	uint32_t v;
	enum err e = take_word(c, &s);

	if (e)
		return e;
	if (zone_word_ttl(s, &v) != ERR_OK)
		return bad(c, c->next - 1, ERR_SYNTAX, "not a time");
	add_be(c->out, v, 4);
	return ERR_OK;
}

static enum err put_name(struct encoder *c)
{
	struct slice s;
	size_t at = c->out->len;
	enum err e = take_word(c, &s);

	if (e)
		return e;
	e = zone_word_name(s, c->e->origin, c->out, c->d);
	if (e) {
		zone_text_blame(c->e->source, c->e->tokens[c->next - 1].span.at, c->d);
		return e;
	}
	/* lengths of labels are below 'A' */
	for (size_t i = at; i < c->out->len; i++)
		c->out->data[i] = ascii_lower(c->out->data[i]);
	return ERR_OK;
}

static enum err put_addr(struct encoder *c, uint8_t bits)
{
	struct slice s;
	struct spf_addr a;
	enum err e = take_word(c, &s);

	if (e)
		return e;
	e = bits == SPF_BITS4 ? spf_addr_parse4(s, &a) : spf_addr_parse6(s, &a);
	if (e)
		return bad(c, c->next - 1, ERR_SYNTAX,
			   bits == SPF_BITS4 ? "not an IPv4 address" : "not an IPv6 address");
	buf_add_mem(c->out, a.octets, bits / 8u);
	return ERR_OK;
}

static enum err put_string(struct encoder *c)
{
	const struct zone_token *t;
	size_t at = c->out->len;
	enum err e = take(c, &t);

	if (e)
		return e;
	buf_add_u8(c->out, 0);
	e = zone_text_octets(c->e, t, c->out);
	size_t n = c->out->len - at - 1;
	if (!e && n > STRING_MAX)
		return bad(c, c->next - 1, ERR_LIMIT, "a string over 255 octets");
	if (!e)
		c->out->data[at] = (char)n;
	return e;
}

static enum err put_strings(struct encoder *c)
{
	enum err e = put_string(c);

	while (!e && c->next < c->e->token_count)
		e = put_string(c);
	return e;
}

/* The rest as hexadecimal digits, over any number of words. */
static enum err put_hex(struct encoder *c)
{
	CLEANUP(buf_done) struct buf digits;
	struct slice s;

	buf_init(&digits, 2 * ZONE_DATA_MAX);
	while (c->next < c->e->token_count) {
		enum err e = take_word(c, &s);
		if (e)
			return e;
		buf_add(&digits, s);
	}
	if (digits.failed)
		return bad(c, c->next - 1, digits.failed, "too much data");
	if (hex_decode(c->out, buf_slice(&digits)) != ERR_OK)
		return bad(c, c->next - 1, ERR_SYNTAX, "not hexadecimal digits");
	return ERR_OK;
}

/* CAA's value: octets without a length (RFC 8659 4.1). */
static enum err put_octets(struct encoder *c)
{
	const struct zone_token *t;
	enum err e = take(c, &t);

	return e ? e : zone_text_octets(c->e, t, c->out);
}

/* What the data of a type is made of: n name, 4 6 addresses, 1 2 and L numbers of one, two and four octets, t time,
 * s string, S strings, x hexadecimal digits, o octets. */
static const struct {
	uint16_t type;
	const char *parts;
} layouts[] = {
	{1, "4"},  {2, "n"},     {5, "n"},  {6, "nnLtttt"}, {12, "n"}, {15, "2n"},   {16, "S"},
	{28, "6"}, {33, "222n"}, {39, "n"}, {52, "111x"},   {99, "S"}, {257, "1so"},
};

static enum err put_part(struct encoder *c, char part)
{
	switch (part) {
	case 'n':
		return put_name(c);
	case '4':
		return put_addr(c, SPF_BITS4);
	case '6':
		return put_addr(c, SPF_BITS6);
	case '1':
		return put_number(c, 1);
	case '2':
		return put_number(c, 2);
	case 'L':
		return put_number(c, 4);
	case 't':
		return put_time(c);
	case 's':
		return put_string(c);
	case 'S':
		return put_strings(c);
	case 'x':
		return put_hex(c);
	default:
		return put_octets(c);
	}
}

static enum err put_layout(struct encoder *c, const char *parts)
{
	enum err e = ERR_OK;

	for (; *parts && !e; parts++)
		e = put_part(c, *parts);
	if (!e && c->next < c->e->token_count)
		e = bad(c, c->next, ERR_SYNTAX, "one word too many");
	return e;
}

/* RFC 3597 5: \# length digits. */
static enum err put_general(struct encoder *c)
{
	struct slice s;
	uint64_t n;
	size_t at = c->out->len;
	enum err e = take_word(c, &s);

	if (!e)
		e = take_word(c, &s);
	if (e)
		return e;
	if (slice_to_u64(s, ZONE_DATA_MAX, &n) != ERR_OK)
		return bad(c, 1, ERR_SYNTAX, "not a length");
	e = put_hex(c);
	if (!e && c->out->len - at != n)
		e = bad(c, 1, ERR_SYNTAX, "the length is not that of the digits");
	return e;
}

static bool is_general(const struct zone_entry *e)
{
	return e->token_count >= 2 && !e->tokens[0].quoted &&
	       slice_eq_str(zone_text_at(e, e->tokens[0].span), "\\#");
}

static enum err put_data(struct encoder *c)
{
	if (is_general(c->e))
		return put_general(c);
	for (size_t i = 0; i < ARRAY_LEN(layouts); i++)
		if (layouts[i].type == c->e->type_code)
			return put_layout(c, layouts[i].parts);
	return bad(c, SIZE_MAX, ERR_UNSUPPORTED, "data of this type is not understood");
}

enum err zone_rdata(const struct zone_entry *e, struct buf *out, struct diag *d)
{
	struct diag own = {0};
	struct encoder c = {.e = e, .out = out, .d = d ? d : &own};
	size_t before = out->len;

	ASSERT(e->kind == ZONE_RECORD);
	enum err err = put_data(&c);
	if (!err && out->failed)
		err = bad(&c, SIZE_MAX, out->failed, "too much data");
	if (!err && out->len - before > ZONE_DATA_MAX)
		err = bad(&c, SIZE_MAX, ERR_LIMIT, "too much data");
	if (err)
		out->len = before;
	return err;
}
