/* A borrowed run of bytes: pointer and length, never owned, not NUL-terminated, may hold NUL.
 *
 * All comparisons and classes are ASCII and locale-free. An empty slice may have any pointer, also NULL.
 */
#pragma once

#include "core/err.h"

struct slice {
	const char *ptr; /* borrowed */
	size_t len;      /* octets */
};

/* For printf: "%.*s", SLICE_ARG(s). */
#define SLICE_ARG(s)   (int)MIN((s).len, (size_t)INT32_MAX), (s).len ? (s).ptr : ""
#define SLICE_LIT(lit) ((struct slice){"" lit, sizeof(lit) - 1})
#define SLICE_EMPTY    ((struct slice){"", 0})

static inline struct slice slice_of(const void *ptr, size_t len)
{
	return (struct slice){ptr, len};
}

struct slice slice_str(const char *z);                           /* NUL string; NULL gives empty */
struct slice slice_sub(struct slice s, size_t from, size_t len); /* clamped to s */
struct slice slice_from(struct slice s, size_t from);            /* s[from..], clamped */

bool slice_eq(struct slice a, struct slice b);
bool slice_ieq(struct slice a, struct slice b); /* ASCII case folded */
bool slice_eq_str(struct slice a, const char *z);
bool slice_ieq_str(struct slice a, const char *z);
int slice_cmp(struct slice a, struct slice b); /* memcmp order, shorter first */
int slice_icmp(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_istarts(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);
bool slice_iends(struct slice s, struct slice suffix);

#define SLICE_NPOS ((size_t)-1)
size_t slice_find(struct slice s, char c);  /* first index of c or SLICE_NPOS */
size_t slice_rfind(struct slice s, char c); /* last index of c or SLICE_NPOS */
size_t slice_find_slice(struct slice s, struct slice needle);
size_t slice_ifind_slice(struct slice s, struct slice needle);

struct slice slice_trim(struct slice s); /* without SP, HT, CR, LF at both ends */

/* Cuts *rest at the first `sep`: returns what stands before it and leaves what stands after it. Without a
 * separator returns all and leaves *rest empty with ptr NULL; call while rest->ptr != NULL. */
struct slice slice_split(struct slice *rest, char sep);

/* The next run of non-blank characters (SP, HT); empty at the end. *rest moves behind it. */
struct slice slice_word(struct slice *rest);

/* Whole slice as decimal digits only. ERR_SYNTAX if empty or not digits, ERR_RANGE above max. *ret_ untouched
 * on failure. */
MUST_CHECK enum err slice_to_u64(struct slice s, uint64_t max, uint64_t *ret_value);

bool slice_is_ascii(struct slice s);    /* no octet above 127 */
bool slice_has_control(struct slice s); /* any octet below 32 or 127 */

static inline char ascii_lower(char c)
{
	return (c >= 'A' && c <= 'Z') ? (char)(c + 32) : c;
}
static inline char ascii_upper(char c)
{
	return (c >= 'a' && c <= 'z') ? (char)(c - 32) : c;
}
static inline bool ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}
static inline bool ascii_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static inline bool ascii_is_alnum(char c)
{
	return ascii_is_digit(c) || ascii_is_alpha(c);
}
