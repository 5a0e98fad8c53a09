#include "dns/zone_word.h"

#include <string.h>

#define TTL_MAX      0x7fffffffu
#define OCTETS_ESC   3u /* digits of \DDD */
#define NUMBER_TYPE  SLICE_LIT("TYPE")
#define NUMBER_CLASS SLICE_LIT("CLASS")

struct code {
	const char *name;
	uint16_t value;
};

/* The usual ones first: a zone is read in one go. ALIAS and LUA are PowerDNS's own. */
static const struct code types[] = {
	{"A", 1},         {"TXT", 16},        {"CNAME", 5},   {"MX", 15},     {"AAAA", 28},
	{"NS", 2},        {"SOA", 6},         {"SRV", 33},    {"PTR", 12},    {"CAA", 257},
	{"TLSA", 52},     {"DS", 43},         {"DNSKEY", 48}, {"RRSIG", 46},  {"NSEC", 47},
	{"NSEC3", 50},    {"NSEC3PARAM", 51}, {"SPF", 99},    {"DNAME", 39},  {"NAPTR", 35},
	{"SSHFP", 44},    {"HINFO", 13},      {"RP", 17},     {"LOC", 29},    {"CDS", 59},
	{"CDNSKEY", 60},  {"HTTPS", 65},      {"SVCB", 64},   {"SMIMEA", 53}, {"OPENPGPKEY", 61},
	{"URI", 256},     {"CERT", 37},       {"KEY", 25},    {"SIG", 24},    {"NXT", 30},
	{"IPSECKEY", 45}, {"DHCID", 49},      {"HIP", 55},    {"CSYNC", 62},  {"ZONEMD", 63},
	{"AFSDB", 18},    {"X25", 19},        {"ISDN", 20},   {"RT", 21},     {"NSAP", 22},
	{"PX", 26},       {"GPOS", 27},       {"KX", 36},     {"A6", 38},     {"APL", 42},
	{"MB", 7},        {"MG", 8},          {"MR", 9},      {"WKS", 11},    {"MINFO", 14},
	{"TALINK", 58},   {"NINFO", 56},      {"RKEY", 57},   {"NID", 104},   {"L32", 105},
	{"L64", 106},     {"LP", 107},        {"EUI48", 108}, {"EUI64", 109}, {"AVC", 258},
	{"DOA", 259},     {"AMTRELAY", 260},  {"TA", 32768},  {"DLV", 32769}, {"ALIAS", 65401},
	{"LUA", 65402},   {"MD", 3},          {"MF", 4},      {"NULL", 10},
};
static const struct code classes[] = {{"IN", 1}, {"CH", 3}, {"CHAOS", 3}, {"HS", 4}, {"HESIOD", 4}};

static enum err find_code(struct slice text, const struct code *codes, size_t n, struct slice number,
			  uint16_t *ret)
{
	uint64_t v;

	for (size_t i = 0; i < n; i++) {
		if (!slice_ieq_str(text, codes[i].name))
			continue;
		*ret = codes[i].value;
		return ERR_OK;
	}
	if (!slice_istarts(text, number))
		return ERR_SYNTAX;
	if (slice_to_u64(slice_from(text, number.len), UINT16_MAX, &v) != ERR_OK)
		return ERR_SYNTAX;
	*ret = (uint16_t)v;
	return ERR_OK;
}

enum err zone_word_type(struct slice text, uint16_t *ret)
{
	return find_code(text, types, ARRAY_LEN(types), NUMBER_TYPE, ret);
}

enum err zone_word_class(struct slice text, uint16_t *ret)
{
	return find_code(text, classes, ARRAY_LEN(classes), NUMBER_CLASS, ret);
}

static uint64_t seconds_of(char unit)
{
	switch (ascii_lower(unit)) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 86400;
	case 'w':
		return 604800;
	default:
		return 0;
	}
}

/* Digits alone are seconds; else each run of digits has its unit. */
enum err zone_word_ttl(struct slice text, uint32_t *ret_s)
{
	uint64_t sum = 0;
	size_t at = 0;

	while (at < text.len || at == 0) {
		size_t digits = at;
		uint64_t v;
		while (digits < text.len && ascii_is_digit(text.ptr[digits]))
			digits++;
		if (slice_to_u64(slice_sub(text, at, digits - at), UINT32_MAX, &v) != ERR_OK)
			return ERR_SYNTAX;
		uint64_t unit = digits < text.len ? seconds_of(text.ptr[digits]) : at == 0;
		if (unit == 0)
			return ERR_SYNTAX;
		sum += v * unit;
		if (sum > UINT32_MAX)
			return ERR_SYNTAX;
		at = digits + 1;
	}
	*ret_s = sum > TTL_MAX ? 0 : (uint32_t)sum;
	return ERR_OK;
}

enum err zone_word_octet(struct slice text, size_t *pos, bool *ret_escaped, unsigned char *ret)
{
	unsigned v = 0;
	struct slice rest = slice_from(text, *pos);

	*ret_escaped = rest.ptr[0] == '\\';
	if (!*ret_escaped) {
		*ret = (unsigned char)rest.ptr[0];
		*pos += 1;
		return ERR_OK;
	}
	if (rest.len < 2)
		return ERR_SYNTAX;
	if (!ascii_is_digit(rest.ptr[1])) {
		*ret = (unsigned char)rest.ptr[1];
		*pos += 2;
		return ERR_OK;
	}
	if (rest.len < 1 + OCTETS_ESC)
		return ERR_SYNTAX;
	for (size_t i = 1; i <= OCTETS_ESC; i++) {
		if (!ascii_is_digit(rest.ptr[i]))
			return ERR_SYNTAX;
		v = 10 * v + (unsigned)(rest.ptr[i] - '0');
	}
	if (v > UINT8_MAX)
		return ERR_SYNTAX;
	*ret = (unsigned char)v;
	*pos += 1 + OCTETS_ESC;
	return ERR_OK;
}

/* A name that grows in wire form: octets[at] is the length of the label that is being written. */
struct growing {
	char octets[ZONE_NAME_WIRE_MAX + 1];
	size_t at, len; /* len: with the label's octets so far */
};

static enum err end_label(struct growing *g)
{
	size_t n = g->len - g->at - 1;

	if (n == 0)
		return ERR_SYNTAX;
	if (n > DNS_LABEL_MAX || g->len >= ZONE_NAME_WIRE_MAX)
		return ERR_LIMIT;
	g->octets[g->at] = (char)n;
	g->at = g->len++;
	return ERR_OK;
}

/* Labels up to the end; *ret_absolute: the last octet was a dot. */
static enum err read_labels(struct slice text, struct growing *g, bool *ret_absolute)
{
	enum err e = ERR_OK;
	size_t pos = 0;

	*ret_absolute = false;
	g->at = 0;
	g->len = 1;
	while (pos < text.len && !e) {
		unsigned char c;
		bool escaped;
		e = zone_word_octet(text, &pos, &escaped, &c);
		*ret_absolute = !escaped && c == '.';
		if (!e && *ret_absolute)
			e = end_label(g);
		else if (!e && g->len >= sizeof(g->octets))
			e = ERR_LIMIT;
		else if (!e)
			g->octets[g->len++] = (char)c;
	}
	return e || *ret_absolute ? e : end_label(g);
}

static enum err append(struct buf *out, struct slice head, struct slice tail)
{
	enum err e = buf_reserve(out, head.len + tail.len);

	if (e)
		return e;
	buf_add(out, head);
	buf_add(out, tail);
	return out->failed;
}

enum err zone_word_name(struct slice text, struct slice origin, struct buf *out, struct diag *d)
{
	struct growing g;
	bool absolute, itself = slice_eq_str(text, "@");

	if (slice_eq_str(text, "."))
		return append(out, slice_of("\0", 1), SLICE_EMPTY);
	if (itself && origin.len > 0)
		return append(out, origin, SLICE_EMPTY);
	enum err e = itself ? ERR_OK : read_labels(text, &g, &absolute);
	if (e == ERR_LIMIT)
		return diag_set(d, e, "\"%.*s\": a label over %u octets or a name over %u", SLICE_ARG(text),
				DNS_LABEL_MAX, ZONE_NAME_WIRE_MAX);
	if (e)
		return diag_set(d, e, "\"%.*s\" is not a name", SLICE_ARG(text));
	if (!itself && absolute)
		return append(out, slice_of(g.octets, g.at), slice_of("\0", 1));
	if (origin.len == 0)
		return diag_set(d, ERR_SYNTAX, "\"%.*s\" is relative, and there is no $ORIGIN",
				SLICE_ARG(text));
	if (g.at + origin.len > ZONE_NAME_WIRE_MAX)
		return diag_set(d, ERR_LIMIT, "\"%.*s\" with its origin is over %u octets", SLICE_ARG(text),
				ZONE_NAME_WIRE_MAX);
	return append(out, slice_of(g.octets, g.at), origin);
}
