#include "core/slice.h"

#include <string.h>

struct slice slice_str(const char *z)
{
	return z ? slice_of(z, strlen(z)) : SLICE_EMPTY;
}

struct slice slice_sub(struct slice s, size_t from, size_t len)
{
	from = MIN(from, s.len);
	return slice_of(s.len ? s.ptr + from : s.ptr, MIN(len, s.len - from));
}

struct slice slice_from(struct slice s, size_t from)
{
	return slice_sub(s, from, SIZE_MAX);
}

static int icmp(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int d = (unsigned char)ascii_lower(a[i]) - (unsigned char)ascii_lower(b[i]);
		if (d)
			return d;
	}
	return 0;
}

bool slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool slice_ieq(struct slice a, struct slice b)
{
	return a.len == b.len && icmp(a.ptr, b.ptr, a.len) == 0;
}

bool slice_eq_str(struct slice a, const char *z)
{
	return slice_eq(a, slice_str(z));
}

bool slice_ieq_str(struct slice a, const char *z)
{
	return slice_ieq(a, slice_str(z));
}

static int by_length(struct slice a, struct slice b)
{
	return (a.len > b.len) - (a.len < b.len);
}

int slice_cmp(struct slice a, struct slice b)
{
	size_t n = MIN(a.len, b.len);
	int d = n ? memcmp(a.ptr, b.ptr, n) : 0;
	return d ? d : by_length(a, b);
}

int slice_icmp(struct slice a, struct slice b)
{
	int d = icmp(a.ptr, b.ptr, MIN(a.len, b.len));
	return d ? d : by_length(a, b);
}

bool slice_starts(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && slice_eq(slice_sub(s, 0, prefix.len), prefix);
}

bool slice_istarts(struct slice s, struct slice prefix)
{
	return s.len >= prefix.len && slice_ieq(slice_sub(s, 0, prefix.len), prefix);
}

bool slice_ends(struct slice s, struct slice suffix)
{
	return s.len >= suffix.len && slice_eq(slice_from(s, s.len - suffix.len), suffix);
}

bool slice_iends(struct slice s, struct slice suffix)
{
	return s.len >= suffix.len && slice_ieq(slice_from(s, s.len - suffix.len), suffix);
}

size_t slice_find(struct slice s, char c)
{
	const char *p = s.len ? memchr(s.ptr, c, s.len) : NULL;
	return p ? (size_t)(p - s.ptr) : SLICE_NPOS;
}

size_t slice_rfind(struct slice s, char c)
{
	const char *p = s.len ? memrchr(s.ptr, c, s.len) : NULL;
	return p ? (size_t)(p - s.ptr) : SLICE_NPOS;
}

size_t slice_find_slice(struct slice s, struct slice needle)
{
	if (needle.len == 0)
		return 0;
	const char *p = s.len ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
	return p ? (size_t)(p - s.ptr) : SLICE_NPOS;
}

size_t slice_ifind_slice(struct slice s, struct slice needle)
{
	if (needle.len == 0)
		return 0;
	for (size_t i = 0; i + needle.len <= s.len; i++)
		if (icmp(s.ptr + i, needle.ptr, needle.len) == 0)
			return i;
	return SLICE_NPOS;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_space(char c)
{
	return is_blank(c) || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice s)
{
	while (s.len && is_space(s.ptr[0]))
		s = slice_from(s, 1);
	while (s.len && is_space(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

struct slice slice_split(struct slice *rest, char sep)
{
	size_t at = slice_find(*rest, sep);
	struct slice first = slice_sub(*rest, 0, at);
	*rest = at == SLICE_NPOS ? slice_of(NULL, 0) : slice_from(*rest, at + 1);
	return first;
}

struct slice slice_word(struct slice *rest)
{
	size_t from = 0, to;
	while (from < rest->len && is_blank(rest->ptr[from]))
		from++;
	for (to = from; to < rest->len && !is_blank(rest->ptr[to]); to++)
		;
	struct slice word = slice_sub(*rest, from, to - from);
	*rest = slice_from(*rest, to);
	return word;
}

enum err slice_to_u64(struct slice s, uint64_t max, uint64_t *ret_value)
{
	uint64_t v = 0;
	if (s.len == 0)
		return ERR_SYNTAX;
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_digit(s.ptr[i]))
			return ERR_SYNTAX;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned)(s.ptr[i] - '0');
		if (v > (UINT64_MAX - digit) / 10)
			return ERR_RANGE;
		v = v * 10 + digit;
	}
	if (v > max)
		return ERR_RANGE;
	*ret_value = v;
	return ERR_OK;
}

bool slice_is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] > 127)
			return false;
	return true;
}

bool slice_has_control(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 32 || s.ptr[i] == 127)
			return true;
	return false;
}
