/* An SPF record as text and as terms, each with its place in the text (RFC 7208 4.5, 4.6.1, 5, 6, 12). Pure.
 *
 * Reading never fails: a term that breaks the grammar is a term of kind SPF_BROKEN with its reason in words, so that
 * a record can be shown and judged as a whole. Evaluation refuses a record with any problem (RFC 7208 4.6: "syntax
 * errors anywhere in the record MUST be detected").
 *
 * The text is that of all strings of the TXT record joined. Spans are octets of it, "v=spf1" included; slices are
 * borrowed from it. Octets above 126 and controls (NUL too) break the term that holds them; only SP parts terms.
 */
#pragma once

#include "core/arena.h"
#include "core/buf.h"
#include "dns/limits.h"
#include "dns/spf_addr.h"

enum spf_result {
	SPF_NONE,
	SPF_NEUTRAL,
	SPF_PASS,
	SPF_FAIL,
	SPF_SOFTFAIL,
	SPF_TEMPERROR,
	SPF_PERMERROR,
};
const char *spf_result_name(enum spf_result r); /* "none", "neutral", "pass", ... */

enum spf_kind {
	SPF_ALL, /* mechanisms */
	SPF_INCLUDE,
	SPF_A,
	SPF_MX,
	SPF_PTR,
	SPF_IP4,
	SPF_IP6,
	SPF_EXISTS,
	SPF_REDIRECT, /* modifiers */
	SPF_EXP,
	SPF_UNKNOWN, /* a modifier without meaning to us */
	SPF_BROKEN,  /* `problem` says why */
};
const char *spf_kind_name(enum spf_kind k); /* "all", "include", ... as in a record */

struct spf_span {
	size_t at, len; /* octets of the record's text */
};

struct spf_term {
	enum spf_kind kind;
	enum spf_result qualifier; /* of a mechanism: SPF_PASS ("+" or nothing), FAIL, SOFTFAIL or NEUTRAL */
	bool qualifier_written;
	struct spf_span span; /* the whole term */
	struct slice name;    /* "a", "IP4", "redirect", as written */
	struct slice
		domain; /* domain-spec (or the text of an unknown modifier) as written; empty: none, the domain
				   of the record itself is meant */
	bool macros;    /* domain has a macro, so that it differs from check to check; %% %_ %- are none */
	bool bits4_written, bits6_written;
	uint8_t bits4, bits6; /* a, mx, ip4, ip6: prefix lengths; SPF_BITS4 and SPF_BITS6 unless written */
	struct spf_addr addr; /* ip4, ip6 */
	const char *problem;  /* static; NULL: none */
};

/* Is it a record at all: "v=spf1" in any case, then SP or the end (RFC 7208 4.5)? */
bool spf_record_is(struct slice text);

/* The next term from *pos on (0 begins behind the version); false at the end. */
bool spf_term_next(struct slice text, size_t *pos, struct spf_term *ret);

bool spf_term_is_modifier(const struct spf_term *t);
/* Does its evaluation count against the ten of RFC 7208 4.6.4? */
bool spf_term_asks(const struct spf_term *t);
struct slice spf_term_text(struct slice record, const struct spf_term *t);

struct spf_record {
	struct slice text; /* borrowed */
	size_t count;
	const struct spf_term *terms;          /* in the arena */
	const struct spf_term *redirect, *exp; /* NULL: none */
	const struct spf_term *all;            /* the first `all`: what comes behind it is never reached */
	size_t lookups; /* terms that ask, if all of them are evaluated: includes not followed; no redirect
				beside `all` */
	const char *problem; /* the first one; NULL: the record is valid */
	struct spf_span problem_at;
};

/* All terms. ERR_LIMIT: longer than SPF_RECORD_MAX or the arena's cap; ERR_SYNTAX: not spf_record_is. */
MUST_CHECK enum err spf_record_read(struct arena *a, struct slice text, struct spf_record *ret);

/* The strings of a TXT record's data (length octet, octets, ...) joined (RFC 7208 3.3). ERR_CORRUPT: a length runs
 * past the end; ERR_LIMIT of out. */
MUST_CHECK enum err spf_txt_join(struct slice data, struct buf *out);
