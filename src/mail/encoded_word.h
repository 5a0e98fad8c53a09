/* Encoded words (RFC 2047): "=?charset?Q?text?=" in the fields of a header. Pure.
 *
 * Read as leniently as mail clients read them: anywhere in the text, with blanks inside Q, broken base64 up to where it
 * breaks. White space between two encoded words is dropped (RFC 2047 6.2), and a character that was split over two words of
 * one set is put together. A word of an unknown set, or longer than ENCODED_WORD_MAX, stays as it is.
 */
#pragma once

#include "core/buf.h"
#include "mail/limits.h"

/* Appends the text of an unfolded value (header_unfold). The result is well-formed UTF-8 without control characters: those
 * become blanks, so that no subject can forge a line; octets outside of words that are not UTF-8 are read as Windows-1252.
 * At most three octets come out for one that goes in. */
void encoded_word_decode(struct slice value, struct buf *out);
