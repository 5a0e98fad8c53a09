/* Single words of DNS master files: names, types, classes, TTLs, escapes (RFC 1035 5.1, RFC 3597 5). Pure. */
#pragma once

#include "core/buf.h"
#include "core/diag.h"
#include "dns/limits.h"

/* The next octet that `text` stands for, \X and \DDD resolved, from *pos on; call while *pos < text.len. ERR_SYNTAX: a
 * backslash at the end, or \DDD above 255. */
MUST_CHECK enum err zone_word_octet(struct slice text, size_t *pos, bool *ret_escaped, unsigned char *ret);

/* A name made absolute with `origin` (wire form; empty: there is none), in wire form, case kept. "@" is the origin, "."
 * the root. ERR_SYNTAX, ERR_LIMIT (a label over 63 octets, a name over 255). out is untouched on failure. */
MUST_CHECK enum err zone_word_name(struct slice text, struct slice origin, struct buf *out, struct diag *d);

/* "TXT", "TYPE16": any case. ERR_SYNTAX: unknown. */
MUST_CHECK enum err zone_word_type(struct slice text, uint16_t *ret);
MUST_CHECK enum err zone_word_class(struct slice text, uint16_t *ret); /* "IN", "CLASS1" */

/* "3600", "1h30m", "2W": any case. Above 2^31-1: 0 (RFC 2181 8). ERR_SYNTAX. */
MUST_CHECK enum err zone_word_ttl(struct slice text, uint32_t *ret_s);
