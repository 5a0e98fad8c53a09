/* Small text codecs without state: base64 (RFC 4648), hex, UTF-8, quoting for logs. */
#pragma once

#include "core/buf.h"

void base64_encode(struct buf *out, struct slice in); /* no line breaks, padded */
/* Strict: whole groups, canonical padding, no white space. ERR_SYNTAX; out untouched on failure. */
MUST_CHECK enum err base64_decode(struct buf *out, struct slice in);

void hex_encode(struct buf *out, struct slice in);                /* lower case */
MUST_CHECK enum err hex_decode(struct buf *out, struct slice in); /* either case; out untouched on failure */

/* Length of the well-formed UTF-8 sequence at the start of s (1-4), 0 if it is malformed or s is empty.
 * Surrogates, overlong forms and values above U+10FFFF are malformed (RFC 3629). *ret_cp may be NULL. */
size_t utf8_next(struct slice s, uint32_t *ret_cp);
bool utf8_valid(struct slice s);
void utf8_put(struct buf *out, uint32_t cp); /* U+FFFD for what is not a scalar value */

/* Display columns of s (wide East Asian characters 2, combining marks 0, malformed octets 1). */
size_t utf8_width(struct slice s);

/* Value of a key=value log line: plain if it holds only printable ASCII without space, quote, '=' or
 * backslash; else quoted, with \" \\ \n \r \t and \xHH for other controls, malformed UTF-8, line separators and
 * characters that turn the direction of text. No octet can forge a line. */
void text_quote(struct buf *out, struct slice value);

/* Sizes "50M" (K, M, G, T: powers of 1024; no suffix: octets) and durations "90s" "15min" "4h" "5d" "250ms"
 * (in ms). */
MUST_CHECK enum err text_parse_size(struct slice s, uint64_t *ret_octets);
MUST_CHECK enum err text_parse_duration(struct slice s, uint64_t *ret_ms);
void text_format_size(struct buf *out, uint64_t octets); /* "50M" if exact, else one decimal */
void text_format_duration(struct buf *out, uint64_t ms); /* "2h 5min", two units at most */
