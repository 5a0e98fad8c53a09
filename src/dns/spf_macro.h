/* Macros of SPF: their syntax, their expansion, and the name that comes of it (RFC 7208 7, RFC 8616 4). Pure. */
#pragma once

#include "core/buf.h"
#include "dns/spf_addr.h"

/* Where a macro-string stands decides what may be in it. */
enum spf_macro_place {
	SPF_IN_DOMAIN,      /* domain-spec: ends in a macro or in a top label (7.1) */
	SPF_IN_MODIFIER,    /* an unknown modifier: any visible ASCII */
	SPF_IN_EXPLANATION, /* the text behind exp=: spaces too, and %{c}, %{r}, %{t} */
};

/* NULL if the text is well formed, else the reason in words (static). An empty one is: whether something has to be
 * there is the caller's business. */
const char *spf_macro_problem(struct slice text, enum spf_macro_place place);

/* Does it have this macro letter (lower case given, either case found), or any with '\0'? %% %_ %- are none. */
bool spf_macro_uses(struct slice text, char letter);

struct spf_macros {
	struct spf_addr ip;
	struct slice local;         /* %{l}, and before the '@' of %{s} */
	struct slice sender_domain; /* %{o} */
	struct slice domain;        /* %{d} */
	struct slice helo;          /* %{h} */
	struct slice receiver;      /* %{r} */
	struct slice validated;     /* %{p}; empty: "unknown" */
	int64_t now_s;              /* %{t} */
};

/* Appends the expansion of a well-formed text; check out->failed. */
void spf_macro_expand(struct slice text, const struct spf_macros *m, struct buf *out);

/* The part of an expanded domain-spec that is a name: without one dot at the end, without labels on the left while it
 * is longer than DNS_NAME_MAX (7.3). Borrowed from s; may still be no name. */
struct slice spf_target_cut(struct slice s);

/* Appends a name as name_from_wire writes it. False, nothing appended: an empty label, one longer than DNS_LABEL_MAX, a
 * name longer than DNS_NAME_MAX, or out->failed: it has no room for the name with every octet escaped, or no memory. */
MUST_CHECK bool spf_target_name(struct slice name, struct buf *out);
