/* Verdicts and trees of SPF on their way to the screen: text for people, or JSON with stable names. Text from DNS is
 * escaped as in cell.h; octets that are not UTF-8 become U+FFFD in JSON.
 */
#pragma once

#include "core/buf.h"
#include "dns/spf_tree.h"

/* What was asked, for the words around the result. */
struct spf_subject {
	struct spf_addr ip;
	struct slice sender, helo;
	bool trace; /* show each term that was evaluated */
};

/* Check out->failed. */
void spf_show_verdict(const struct spf_subject *s, const struct spf_verdict *v, struct buf *out);
void spf_show_tree(const struct spf_tree *t, struct slice domain, struct buf *out);

MUST_CHECK enum err spf_json_verdict(const struct spf_subject *s, const struct spf_verdict *v,
				     struct buf *out);
MUST_CHECK enum err spf_json_tree(const struct spf_tree *t, struct slice domain, struct buf *out);
