/* DNS master files (RFC 1035 5, RFC 2308 4, RFC 3597; where they are silent, as BIND reads them), without loss. Pure.
 *
 * The text comes back as entries, one after the other: a record, a directive, or a line without either. Entries of one
 * text lie end to end: their spans put together are the text, octet for octet. Each part of an entry (owner, TTL, class,
 * type, data) is a span as well, so that an editor changes what it means to and nothing else. What the text leaves out
 * (owner of the line before, $ORIGIN, $TTL) stands in the entry as a value.
 *
 *   text --zone_text_next--> entry, entry, $INCLUDE, [entries of the included text], entry, ..., ZONE_END
 *
 * Understood: $ORIGIN, $TTL, $INCLUDE; parentheses; comments; quoted strings; \X and \DDD; LF and CRLF; blank owners; `@`;
 * TTLs with units (1h30m); class and TTL in either order. $GENERATE is an entry that is told apart and not expanded.
 * An included text sees origin and owner of the line that includes it; both are as before behind it, $TTL is not (as in
 * BIND). Refused, with file, line and column: a quoted string over the end of a line, a lone CR or another control octet
 * outside strings and comments, parentheses that do not match, a record without an owner, type or origin.
 *
 * Bounded: ZONE_TEXT_MAX, ZONE_TOKENS_MAX, ZONE_INCLUDE_DEPTH, ZONE_INCLUDES_MAX (limits.h).
 */
#pragma once

#include "core/buf.h"
#include "core/diag.h"
#include "dns/limits.h"

struct zone_span {
	size_t at, len; /* octets of the source's text */
};

/* A text: the one that was opened, or one that it includes. Lives as long as the reader. */
struct zone_source {
	struct slice file; /* its name, for words */
	struct slice text;
	const struct zone_source *parent; /* NULL: the one that was opened */
	unsigned depth;                   /* 0: the one that was opened */
};

enum zone_kind {
	ZONE_RECORD,
	ZONE_BLANK, /* nothing but white space, a comment, or empty parentheses */
	ZONE_ORIGIN,
	ZONE_TTL,
	ZONE_INCLUDE,
	ZONE_GENERATE,
	ZONE_END, /* of the text that was opened: no more entries */
};

enum zone_ttl_from {
	ZONE_TTL_WRITTEN,
	ZONE_TTL_DIRECTIVE, /* $TTL */
	ZONE_TTL_BEFORE,    /* the last one written, RFC 1035 5.1 */
	ZONE_TTL_SOA,       /* minimum of the SOA that comes first without one */
	ZONE_TTL_NONE,      /* ZONE_TTL_DEFAULT; BIND refuses such a file */
};

struct zone_token {
	struct zone_span span; /* quotes included */
	bool quoted;
};

/* Spans are of source->text, len 0: not written. Slices and tokens are borrowed until the next zone_text_next. */
struct zone_entry {
	enum zone_kind kind;
	const struct zone_source *source;
	struct zone_span span;                    /* all of it, to the end of its last line */
	size_t line;                              /* of its first octet, from 1 */
	struct zone_span owner, ttl, class, type; /* of a directive: type is the word with the dollar sign */
	size_t token_count;
	const struct zone_token *tokens; /* the record's data; the directive's arguments */
	struct slice origin;             /* in force here, in wire form; empty: none */

	/* of records */
	struct slice name;   /* absolute owner, as name_from_wire writes it (dns/name.h): lower case, \DDD */
	struct slice wire;   /* the same in wire form, as written (case kept) */
	uint16_t type_code;  /* 16: TXT */
	uint16_t class_code; /* 1: IN */
	uint32_t ttl_s;
	enum zone_ttl_from ttl_from;
};

/* Gives the text of a file that `from` includes; it stays valid as long as the reader. path: as written, escapes
 * resolved. A failure ends the reading. */
typedef enum err zone_include_fn(void *ctx, struct slice path, const struct zone_source *from,
				 struct slice *ret_text, struct diag *d);

/* Everything is borrowed as long as the reader lives. */
struct zone_text_options {
	struct slice file; /* its name, for words */
	struct slice text;
	struct slice origin; /* as in a master file, the last dot may be missing; empty: none until $ORIGIN */
	zone_include_fn *include; /* NULL: $INCLUDE is an entry and is not followed */
	void *ctx;
};

struct zone_text;
/* ERR_LIMIT, ERR_SYNTAX (origin), ERR_NOMEM. */
MUST_CHECK enum err zone_text_open(const struct zone_text_options *o, struct zone_text **ret, struct diag *d);
void zone_text_close(struct zone_text *z); /* NULL is fine */

/* The next entry. ERR_SYNTAX, ERR_LIMIT, ERR_NOMEM, or what `include` said: the diag begins "file:line:column: ", and
 * reading cannot go on. */
MUST_CHECK enum err zone_text_next(struct zone_text *z, struct zone_entry *ret, struct diag *d);

/* ---- parts of an entry ---- */

struct slice zone_text_at(const struct zone_entry *e, struct zone_span s); /* as written */

/* Appends the octets that a token stands for: without quotes, escapes resolved. ERR_SYNTAX never comes of a token that
 * zone_text_next gave; ERR_LIMIT, ERR_NOMEM of out. */
MUST_CHECK enum err zone_text_octets(const struct zone_entry *e, const struct zone_token *t, struct buf *out);

/* "file:line:column: " of octet `at` of the source before the text of d. Returns d->code. */
enum err zone_text_blame(const struct zone_source *source, size_t at, struct diag *d);
