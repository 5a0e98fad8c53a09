/* The header section of a message (RFC 5322 2.2), read as leniently as mail clients read it. Pure; slices borrow from
 * the input.
 *
 * A line ends with LF, with or without CR before it. A field is a line with a colon behind a name of printable ASCII
 * (blanks before the colon are tolerated, as obs-optional allows), and the lines behind it that begin with a blank. The
 * section ends with an empty line, or where the input ends. A line that is neither is `malformed`: shown as a field
 * without a name, so that it is not lost.
 */
#pragma once

#include "core/buf.h"
#include "mail/limits.h"

struct header_iter {
	struct slice in;
	size_t pos;
	uint32_t count;
};

struct header_field {
	struct slice name;  /* without the colon; empty: malformed */
	struct slice value; /* behind the colon, folding included, without the final line end */
	struct slice raw;   /* the whole field with its line end */
	size_t offset;      /* of raw in the input */
	bool malformed;
};

static inline struct header_iter header_iter_of(struct slice message)
{
	return (struct header_iter){.in = message};
}
/* The next field; false at the end of the section, or after HEADER_FIELDS_MAX fields. */
bool header_next(struct header_iter *it, struct header_field *ret);

/* Octets of the header section with its empty line; the length of the input if there is no empty line. */
size_t header_section_length(struct slice message);

/* The first field of that name (case does not matter). */
bool header_find(struct slice message, const char *name, struct header_field *ret);

/* Value on one line: line ends removed, each run of folding white space one space, trimmed (RFC 5322 2.2.3). */
void header_unfold(struct slice value, struct buf *out);

/* Addresses of From, To, Cc, Reply-To, Sender (RFC 5322 3.4): mailboxes, groups (their members come out), comments and
 * quoted strings understood, anything else skipped up to the next comma. */
struct header_address {
	struct slice display; /* raw: may hold quotes and encoded words; empty: none */
	struct slice address; /* addr-spec without brackets */
};
struct header_address_iter {
	struct slice rest;
	uint32_t count;
};
static inline struct header_address_iter header_addresses_of(struct slice value)
{
	return (struct header_address_iter){.rest = value};
}
bool header_next_address(struct header_address_iter *it, struct header_address *ret);
