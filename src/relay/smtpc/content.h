/* What goes out behind DATA: stored octets with their edits applied, dot-stuffed (RFC 5321 4.5.2), lines ending with
 * CRLF and no other CR or LF, whatever is stored. A bare LF or CR becomes CRLF.
 *
 * Use: content_start; then, while content_want gives a range, feed its octets in order to content_feed in pieces of any
 * size; then content_end. Inserted text goes out by itself between the ranges.
 */
#pragma once

#include "core/buf.h"
#include "mail/edits.h"

struct content {
	struct edits_iter edits;
	struct edits_piece piece; /* the range being sent; len: what is left of it */
	bool in_range, line_start, after_cr;
	bool eight_bit; /* some octet that went out had its eighth bit set */
};

/* `encoded` has passed edits_check for `length` octets of content; it is borrowed until the end. */
void content_start(struct content *c, struct slice encoded, uint64_t length);
/* The next stored range: position and what is left. False: everything was fed. Text that stands before it is written to
 * out, so call it before every content_feed. */
MUST_CHECK bool content_want(struct content *c, struct buf *out, uint64_t *ret_offset, uint64_t *ret_len);
void content_feed(struct content *c, struct slice stored, struct buf *out); /* at most ret_len octets */
void content_end(struct content *c, struct buf *out); /* ends the last line; the final dot */
