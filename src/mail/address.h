/* Mailboxes of the envelope (RFC 5321 4.1.2, RFC 6531 3.3) and the text forms around them. Pure; slices borrow.
 *
 * The grammar is strict: what is accepted here can be sent to any other server. Domains are compared without case, local parts
 * with it.
 */
#pragma once

#include "core/buf.h"
#include "core/diag.h"
#include "mail/limits.h"

struct mail_address {
	struct slice local; /* as written: Dot-string or Quoted-string with its quotes */
	struct slice
		domain; /* without the at sign; a literal with its brackets; empty: none ("postmaster" alone) */
	bool literal;
	bool utf8; /* holds non-ASCII: needs SMTPUTF8 */
};

/* A mailbox without angle brackets. ERR_SYNTAX, ERR_LIMIT (which part, which limit). */
MUST_CHECK enum err mail_address_parse(struct slice text, struct mail_address *ret, struct diag *d);

/* "example.org", "xn--...", U-labels with utf8; letters, digits and inner hyphens; labels and the whole within limits. */
bool mail_domain_valid(struct slice domain, bool utf8);
/* "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 4.1.3). */
bool mail_literal_valid(struct slice literal);

/* The domain of an address that was accepted before; empty if it has none. */
struct slice mail_domain_of(struct slice address);

/* xtext (RFC 3461 4). */
void xtext_encode(struct buf *out, struct slice in);
MUST_CHECK enum err xtext_decode(struct buf *out, struct slice in); /* ERR_SYNTAX */
