/* The server's side of SASL mechanisms (RFC 4422) on decoded messages: octets in, what to do next out. Pure.
 *
 *     START --sasl_step--> WAIT_PASSWORD --sasl_step--> DONE                            LOGIN
 *     START --sasl_step--> DONE                                                         PLAIN, EXTERNAL
 *     START --sasl_step--> WAIT_VERIFIER --sasl_verifier--> WAIT_PROOF --sasl_step--> WAIT_EMPTY --sasl_step--> DONE
 *                                                                                       SCRAM-SHA-256, -PLUS
 *
 * The exchange never decides whether a password is right: it hands out the credentials, and who holds the
 * verifiers checks them. SCRAM asks for a verifier on the way and says whether its password was proven; EXTERNAL takes
 * who the transport proved it is. Whether that name may do anything is not decided here. Mechanisms are one table.
 *
 * The message of every step is the client's response after base64; "*" (cancel) and line lengths are SMTP's
 * business (RFC 4954).
 */
#pragma once

#include "auth/limits.h"
#include "auth/scram_exchange.h"
#include "core/buf.h"

enum sasl_outcome {
	SASL_CHALLENGE,   /* send the challenge, then call sasl_step with the answer */
	SASL_CREDENTIALS, /* check s->authcid and s->password */
	SASL_LOOKUP,      /* give the verifier of s->authcid to sasl_verifier */
	SASL_PROVEN,      /* it is s->authcid: by the verifier given, or by the transport */
	SASL_DISPROVEN,   /* it is not */
	SASL_MALFORMED,   /* not a message of this mechanism; the exchange is over */
};

enum sasl_state {
	SASL_START,
	SASL_WAIT_PASSWORD,
	SASL_WAIT_VERIFIER,
	SASL_WAIT_PROOF,
	SASL_WAIT_EMPTY, /* SMTP has no place for data beside 235 (RFC 4954 section 4): they go before, and are answered */
	SASL_DONE
};

/* What the transport adds. */
struct sasl_terms {
	struct slice binding;  /* tls-exporter data (RFC 9266), empty: none; SCRAM_BINDING_MAX */
	struct slice external; /* a name that a client's certificate proves, empty: none */
	struct slice nonce;    /* SCRAM_NONCE_LEN octets, fresh */
};

struct sasl_mechanism; /* opaque, static */

struct sasl {
	const struct sasl_mechanism *mechanism;
	struct sasl_terms terms;
	enum sasl_state state;
	struct scram_exchange scram;
	/* Valid after SASL_CREDENTIALS, LOOKUP, PROVEN, DISPROVEN, until sasl_done; they lie in `kept` or `scram`. */
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

/* Those that the terms allow: -PLUS needs a binding, EXTERNAL a name. */
bool sasl_mechanism_fits(const struct sasl_mechanism *m, bool binding, bool external);

/* The terms are borrowed until sasl_done. */
void sasl_init(struct sasl *s, const struct sasl_mechanism *m, const struct sasl_terms *terms);
void sasl_done(struct sasl *s); /* wipes what was kept; may be called twice */

/* One message of the client; has_message false: the client began without an initial response. An empty message
 * is not the same. Appends to *challenge only with SASL_CHALLENGE. Not after the exchange is over. */
enum sasl_outcome sasl_step(struct sasl *s, bool has_message, struct slice message, struct buf *challenge);

/* After SASL_LOOKUP: appends the challenge, to be sent as after SASL_CHALLENGE. The verifier is copied. */
void sasl_verifier(struct sasl *s, const struct scram_verifier *v, struct buf *challenge);
