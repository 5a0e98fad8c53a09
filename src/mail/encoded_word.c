#include "mail/encoded_word.h"

#include "core/text.h"
#include "mail/charset.h"

struct word {
	enum charset charset;
	bool base64; /* else Q */
	struct slice text;
};

/* Octets decoded of words that stand together, in one set. */
struct decoder {
	struct buf *out;
	struct buf octets;
	enum charset charset;
};

/* ---- one word ---- */

/* Reads the word at the start of s; returns its octets, 0 if there is none that can be decoded. */
static size_t take_word(struct slice s, struct word *ret)
{
	struct slice rest = slice_from(slice_sub(s, 0, ENCODED_WORD_MAX), 2);
	if (!slice_starts(s, SLICE_LIT("=?")))
		return 0;
	struct slice charset = slice_split(&rest, '?'), encoding = slice_split(&rest, '?');
	size_t end = slice_find_slice(rest, SLICE_LIT("?="));
	if (!rest.ptr || end == SLICE_NPOS || encoding.len != 1)
		return 0;
	charset = slice_split(&charset, '*'); /* a language may follow (RFC 2231 5) */
	ret->charset = charset_by_name(charset);
	ret->base64 = ascii_lower(encoding.ptr[0]) == 'b';
	ret->text = slice_sub(rest, 0, end);
	if (ret->charset == CHARSET_UNKNOWN || (!ret->base64 && ascii_lower(encoding.ptr[0]) != 'q'))
		return 0;
	return (size_t)(ret->text.ptr + end + 2 - s.ptr);
}

static int hex_digit(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void add_q(struct slice text, struct buf *out)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		int hi = c == '=' && i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
		int lo = hi >= 0 ? hex_digit(text.ptr[i + 2]) : -1;
		if (lo >= 0) {
			buf_add_u8(out, (uint8_t)(hi << 4 | lo));
			i += 2;
		} else {
			buf_add_char(out, c == '_' ? ' ' : c);
		}
	}
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (ascii_is_digit(c))
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Up to the padding, or to where it breaks; bits that do not make an octet are dropped. */
static void add_b(struct slice text, struct buf *out)
{
	uint32_t bits = 0;
	unsigned have = 0;
	for (size_t i = 0; i < text.len; i++) {
		int digit = base64_digit(text.ptr[i]);
		if (digit < 0)
			return;
		bits = bits << 6 | (uint32_t)digit;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		buf_add_u8(out, (uint8_t)(bits >> have));
	}
}

/* ---- the whole ---- */

/* C0, DEL and C1 (two octets in UTF-8) become blanks, in place. */
static void blank_controls(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];
		bool c1 = c == 0xc2 && i + 1 < n && (unsigned char)p[i + 1] < 0xa0;
		if (c < 32 || c == 127 || c1)
			p[i] = ' ';
		if (c1)
			p[++i] = ' ';
	}
}

static void flush(struct decoder *d)
{
	if (d->octets.len)
		charset_to_utf8(d->charset, buf_slice(&d->octets), d->out);
	buf_clear(&d->octets);
}

static void add_word(struct decoder *d, const struct word *w)
{
	if (w->charset != d->charset)
		flush(d);
	d->charset = w->charset;
	if (w->base64)
		add_b(w->text, &d->octets);
	else
		add_q(w->text, &d->octets);
}

/* One character outside of words; returns its octets. */
static size_t add_plain(struct decoder *d, struct slice s)
{
	size_t n = utf8_next(s, NULL);
	flush(d);
	if (n)
		buf_add(d->out, slice_sub(s, 0, n));
	else
		charset_to_utf8(CHARSET_WINDOWS_1252, slice_sub(s, 0, 1), d->out);
	return n ? n : 1;
}

static size_t blanks(struct slice s)
{
	size_t n = 0;
	while (n < s.len && (s.ptr[n] == ' ' || s.ptr[n] == '\t'))
		n++;
	return n;
}

void encoded_word_decode(struct slice value, struct buf *out)
{
	struct decoder d = {.out = out};
	size_t start = out->len;
	bool behind_word = false;
	struct word w;
	buf_init(&d.octets, value.len);
	while (value.len) {
		size_t gap = behind_word ? blanks(value) : 0, n = take_word(slice_from(value, gap), &w);
		behind_word = n > 0;
		if (n)
			add_word(&d, &w);
		else
			n = add_plain(&d, value);
		value = slice_from(value, behind_word ? gap + n : n);
	}
	flush(&d);
	out->failed = out->failed ? out->failed : d.octets.failed == ERR_NOMEM ? ERR_NOMEM : ERR_OK;
	buf_done(&d.octets);
	if (out->len > start)
		blank_controls(out->data + start, out->len - start);
}
