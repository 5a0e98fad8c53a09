/* Domain names as text: syntax, canonical form, IDNA. Pure.
 *
 * Canonical: A-labels, lower case, no dot at the end, at most DNS_NAME_MAX octets; labels of 1 to 63 letters, digits,
 * hyphens (not first or last) and underscores (they occur below service names). RFC 1035 2.3.1, RFC 1123 2.1.
 */
#pragma once

#include "core/buf.h"
#include "core/diag.h"
#include "dns/limits.h"

/* Is s canonical? */
bool name_is_canonical(struct slice s);

/* Appends the canonical form of `text`: UTF-8 with U-labels (RFC 5891, non-transitional UTS 46) or A-labels, any case,
 * with or without the last dot. ERR_SYNTAX, ERR_LIMIT (too long), ERR_NOMEM; out is untouched on failure. */
MUST_CHECK enum err name_canonical(struct slice text, struct buf *out, struct diag *d);

/* Reads an uncompressed name from wire octets (a record's data as libunbound gives it) from *pos on; appends it as
 * text, lower case, without the last dot; the root is ".". Octets that are not letters, digits, '-' or '_' become
 * \DDD, so that the result never equals a canonical name. ERR_SYNTAX: it runs past the end or is compressed. */
MUST_CHECK enum err name_from_wire(struct slice wire, size_t *pos, struct buf *out);
