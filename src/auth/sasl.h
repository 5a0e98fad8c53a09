/* The server's side of SASL mechanisms (RFC 4422) on decoded messages: octets in, what to do next out. Pure.
 *
 *     START --sasl_step--> WAIT_PASSWORD (LOGIN) --sasl_step--> DONE
 *       |                                                        ^
 *       +------------------------ PLAIN -------------------------+
 *
 * The exchange never decides whether a password is right: it hands out the credentials, and who holds the
 * verifiers checks them. Mechanisms are one table (sasl.c): one that needs a verifier during the exchange (SCRAM)
 * or the transport's identity (EXTERNAL) adds an outcome and a row.
 *
 * The message of every step is the client's response after base64; "*" (cancel) and line lengths are SMTP's
 * business (RFC 4954).
 */
#pragma once

#include "auth/limits.h"
#include "core/buf.h"

enum sasl_outcome {
	SASL_CHALLENGE,   /* send the challenge, then call sasl_step with the answer */
	SASL_CREDENTIALS, /* check s->authcid and s->password */
	SASL_MALFORMED,   /* not a message of this mechanism; the exchange is over */
};

enum sasl_state { SASL_START, SASL_WAIT_PASSWORD, SASL_DONE };

struct sasl_mechanism; /* opaque, static */

struct sasl {
	const struct sasl_mechanism *mechanism;
	enum sasl_state state;
	/* Valid after SASL_CREDENTIALS, until sasl_done; they lie in `kept`. */
	struct slice authzid; /* whom to act as; empty: authcid */
	struct slice authcid; /* who it is */
	struct slice password;
	char kept[2 * SASL_IDENTITY_MAX + SASL_PASSWORD_MAX]; /* holds a secret: wiped by sasl_done */
	size_t kept_len;
};

/* Names are compared without case (RFC 4422 section 3.1 has them in upper case). NULL: not ours. */
const struct sasl_mechanism *sasl_mechanism_find(struct slice name);
const char *sasl_mechanism_name(const struct sasl_mechanism *m);
/* Iterates: NULL starts, NULL at the end. In order of preference. */
const struct sasl_mechanism *sasl_mechanism_next(const struct sasl_mechanism *m);

void sasl_init(struct sasl *s, const struct sasl_mechanism *m);
void sasl_done(struct sasl *s); /* wipes what was kept; may be called twice */

/* One message of the client; has_message false: the client began without an initial response. An empty message
 * is not the same. Appends to *challenge only with SASL_CHALLENGE. Not after the exchange is over. */
enum sasl_outcome sasl_step(struct sasl *s, bool has_message, struct slice message, struct buf *challenge);
