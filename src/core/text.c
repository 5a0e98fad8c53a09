#include "core/text.h"

/* ---- base64, hex ---- */

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *out, struct slice in)
{
	for (size_t i = 0; i < in.len; i += 3) {
		size_t n = MIN(in.len - i, (size_t)3);
		uint32_t v = 0;
		for (size_t k = 0; k < 3; k++)
			v = v << 8 | (k < n ? (unsigned char)in.ptr[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			buf_add_char(out, k <= n ? base64_digits[v >> (18 - 6 * k) & 63] : '=');
	}
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (ascii_is_digit(c))
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four digits, the last `pad` of them '=', into o. The bits that padding leaves over must be zero. */
static bool base64_group(const char *p, size_t pad, unsigned char o[3])
{
	uint32_t v = 0;
	for (size_t k = 0; k < 4; k++) {
		int d = k < 4 - pad ? base64_value(p[k]) : 0;
		if (d < 0)
			return false;
		v = v << 6 | (uint32_t)d;
	}
	for (size_t k = 0; k < 3; k++)
		o[k] = (unsigned char)(v >> (16 - 8 * k));
	return (pad < 1 || o[2] == 0) && (pad < 2 || o[1] == 0);
}

enum err base64_decode(struct buf *out, struct slice in)
{
	size_t before = out->len, pad = 0;
	if (in.len % 4)
		return ERR_SYNTAX;
	while (pad < 2 && pad < in.len && in.ptr[in.len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < in.len; i += 4) {
		unsigned char o[3];
		size_t p = i + 4 == in.len ? pad : 0;
		if (!base64_group(in.ptr + i, p, o)) {
			out->len = before;
			return ERR_SYNTAX;
		}
		buf_add_mem(out, o, 3 - p);
	}
	if (out->failed)
		out->len = before;
	return out->failed;
}

void hex_encode(struct buf *out, struct slice in)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];
		buf_add_char(out, digits[c >> 4]);
		buf_add_char(out, digits[c & 15]);
	}
}

static int hex_value(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum err hex_decode(struct buf *out, struct slice in)
{
	size_t before = out->len;
	if (in.len % 2)
		return ERR_SYNTAX;
	for (size_t i = 0; i < in.len; i++)
		if (hex_value(in.ptr[i]) < 0)
			return ERR_SYNTAX;
	for (size_t i = 0; i < in.len; i += 2)
		buf_add_u8(out, (uint8_t)(hex_value(in.ptr[i]) << 4 | hex_value(in.ptr[i + 1])));
	if (out->failed)
		out->len = before;
	return out->failed;
}

/* ---- UTF-8 ---- */

static size_t utf8_length(unsigned char lead)
{
	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead <= 0xdf)
		return 2;
	if ((lead & 0xf0) == 0xe0)
		return 3;
	return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

size_t utf8_next(struct slice s, uint32_t *ret_cp)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s.len ? utf8_length((unsigned char)s.ptr[0]) : 0;
	if (n == 0 || n > s.len)
		return 0;
	uint32_t cp = (unsigned char)s.ptr[0] & (n == 1 ? 0x7f : 0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		if ((c & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (c & 0x3f);
	}
	if (cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	if (ret_cp)
		*ret_cp = cp;
	return n;
}

bool utf8_valid(struct slice s)
{
	while (s.len) {
		size_t n = utf8_next(s, NULL);
		if (n == 0)
			return false;
		s = slice_from(s, n);
	}
	return true;
}

void utf8_put(struct buf *out, uint32_t cp)
{
	if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		cp = 0xfffd;
	if (cp < 0x80) {
		buf_add_u8(out, (uint8_t)cp);
		return;
	}
	size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
	buf_add_u8(out, (uint8_t)((0xf00 >> n & 0xff) | cp >> (6 * (n - 1))));
	while (n-- > 1)
		buf_add_u8(out, (uint8_t)(0x80 | (cp >> (6 * (n - 1)) & 0x3f)));
}

/* Sorted ranges; enough for names and subjects in a table, not a typesetter. */
static bool in_ranges(uint32_t cp, const uint32_t (*r)[2], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cp >= r[i][0] && cp <= r[i][1])
			return true;
	return false;
}

static size_t columns_of(uint32_t cp)
{
	static const uint32_t wide[][2] = {{0x1100, 0x115f},   {0x2e80, 0x303e},  {0x3041, 0xa4cf},
					   {0xa960, 0xa97c},   {0xac00, 0xd7a3},  {0xf900, 0xfaff},
					   {0xfe30, 0xfe6f},   {0xff00, 0xff60},  {0xffe0, 0xffe6},
					   {0x1f300, 0x1faff}, {0x20000, 0x3fffd}};
	static const uint32_t zero[][2] = {
		{0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x610, 0x61a},   {0x64b, 0x65f},
		{0xe31, 0xe31},   {0xe34, 0xe3a},   {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200f},
		{0x202a, 0x202e}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}};
	if (in_ranges(cp, zero, ARRAY_LEN(zero)))
		return 0;
	return in_ranges(cp, wide, ARRAY_LEN(wide)) ? 2 : 1;
}

size_t utf8_width(struct slice s)
{
	size_t width = 0;
	while (s.len) {
		uint32_t cp = '?';
		size_t n = utf8_next(s, &cp);
		width += columns_of(cp);
		s = slice_from(s, MAX(n, (size_t)1));
	}
	return width;
}

/* ---- log quoting ---- */

/* Characters that move the cursor, end a line or turn the direction of what follows: C1 controls, line and paragraph
 * separator, marks, embeddings and isolates of direction. A reader would see another line than was written. */
static bool is_deceptive(uint32_t cp)
{
	return cp < 0xa0 || (cp >= 0x200e && cp <= 0x200f) || (cp >= 0x2028 && cp <= 0x202e) ||
	       (cp >= 0x2066 && cp <= 0x2069);
}

static bool is_plain(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		if (c <= ' ' || c > '~' || c == '"' || c == '=' || c == '\\')
			return false;
	}
	return s.len > 0;
}

static void quote_ascii(struct buf *out, char c)
{
	switch (c) {
	case '"':
	case '\\':
		buf_add_char(out, '\\');
		buf_add_char(out, c);
		break;
	case '\n':
		buf_add_str(out, "\\n");
		break;
	case '\r':
		buf_add_str(out, "\\r");
		break;
	case '\t':
		buf_add_str(out, "\\t");
		break;
	default:
		if ((unsigned char)c >= ' ' && (unsigned char)c < 127)
			buf_add_char(out, c);
		else
			buf_printf(out, "\\x%02X", (unsigned char)c);
	}
}

void text_quote(struct buf *out, struct slice value)
{
	if (is_plain(value)) {
		buf_add(out, value);
		return;
	}
	buf_add_char(out, '"');
	while (value.len) {
		uint32_t cp;
		size_t n = utf8_next(value, &cp);
		if (n > 1 && !is_deceptive(cp)) {
			buf_add(out, slice_sub(value, 0, n));
		} else {
			for (size_t i = 0; i < MAX(n, (size_t)1); i++)
				quote_ascii(out, value.ptr[i]);
		}
		value = slice_from(value, MAX(n, (size_t)1));
	}
	buf_add_char(out, '"');
}

/* ---- sizes and durations ---- */

struct unit {
	const char *name;
	uint64_t factor;
};

static enum err parse_with_units(struct slice s, const struct unit *units, size_t n, uint64_t *ret)
{
	size_t digits = 0;
	uint64_t v;
	while (digits < s.len && ascii_is_digit(s.ptr[digits]))
		digits++;
	enum err e = slice_to_u64(slice_sub(s, 0, digits), UINT64_MAX, &v);
	if (e)
		return e;
	struct slice unit = slice_trim(slice_from(s, digits));
	for (size_t i = 0; i < n; i++) {
		if (!slice_eq_str(unit, units[i].name))
			continue;
		if (v > UINT64_MAX / units[i].factor)
			return ERR_RANGE;
		*ret = v * units[i].factor;
		return ERR_OK;
	}
	return ERR_SYNTAX;
}

enum err text_parse_size(struct slice s, uint64_t *ret_octets)
{
	static const struct unit units[] = {
		{"", 1}, {"K", 1ull << 10}, {"M", 1ull << 20}, {"G", 1ull << 30}, {"T", 1ull << 40}};
	return parse_with_units(s, units, ARRAY_LEN(units), ret_octets);
}

enum err text_parse_duration(struct slice s, uint64_t *ret_ms)
{
	static const struct unit units[] = {{"ms", 1},      {"s", 1000},     {"min", 60000},
					    {"h", 3600000}, {"d", 86400000}, {"w", 604800000}};
	return parse_with_units(s, units, ARRAY_LEN(units), ret_ms);
}

void text_format_size(struct buf *out, uint64_t octets)
{
	static const char names[] = "KMGT";
	uint64_t unit = 1;
	size_t i = 0;
	while (i < 4 && octets / unit >= 1024) {
		unit <<= 10;
		i++;
	}
	if (i == 0)
		buf_printf(out, "%llu", (unsigned long long)octets);
	else if (octets % unit == 0)
		buf_printf(out, "%llu%c", (unsigned long long)(octets / unit), names[i - 1]);
	else
		buf_printf(out, "%.1f%c", (double)octets / (double)unit, names[i - 1]);
}

void text_format_duration(struct buf *out, uint64_t ms)
{
	static const struct unit units[] = {
		{"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1}};
	size_t i = 0;
	while (i < ARRAY_LEN(units) - 1 && ms < units[i].factor)
		i++;
	buf_printf(out, "%llu%s", (unsigned long long)(ms / units[i].factor), units[i].name);
	uint64_t rest = ms % units[i].factor;
	if (i + 1 < ARRAY_LEN(units) && rest / units[i + 1].factor)
		buf_printf(out, " %llu%s", (unsigned long long)(rest / units[i + 1].factor),
			   units[i + 1].name);
}
