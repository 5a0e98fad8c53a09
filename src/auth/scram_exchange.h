/* The server's side of one SCRAM-SHA-256 exchange (RFC 5802, RFC 7677), with or without channel binding (-PLUS, by
 * tls-exporter of RFC 9266). Pure, but for OpenSSL.
 *
 *     scram_first --name--> (who calls looks up a verifier) --scram_challenge--> scram_final --> proven or not
 *
 * The verifier is the only secret, and it is never told: a name that does not exist goes the same way with a verifier
 * made up for it, and fails at its end as a wrong password does.
 */
#pragma once

#include "auth/scram.h"

struct scram_terms {
	bool plus;            /* the mechanism is the one with -PLUS */
	bool plus_offered;    /* the client could have chosen -PLUS: RFC 5802 section 6, a downgrade shows */
	struct slice binding; /* tls-exporter data; empty: none */
	struct slice nonce;   /* ours: printable, without comma, SCRAM_NONCE_LEN octets */
};

struct scram_exchange {
	struct slice authzid, authcid; /* in `text`, decoded; valid after scram_first */
	struct slice gs2, bare;        /* in `text`: header, and client-first-message-bare */
	struct slice nonce;            /* in `text`: the client's and ours */
	struct slice server_first;     /* in `text` */
	char binding[SCRAM_BINDING_MAX];
	size_t binding_len;
	bool plus;
	struct scram_verifier verifier;
	char text[SCRAM_TEXT_MAX];
	size_t text_len;
};

/* client-first-message. ERR_SYNTAX: not one that may be answered. */
MUST_CHECK enum err scram_first(struct scram_exchange *x, struct slice message,
				const struct scram_terms *terms);
/* server-first-message; the verifier is copied. */
void scram_challenge(struct scram_exchange *x, const struct scram_verifier *v, struct buf *out);
/* client-final-message; appends server-final-message if the proof is right. ERR_SYNTAX; ERR_PERM: wrong proof, or bound
 * to another channel. */
MUST_CHECK enum err scram_final(struct scram_exchange *x, struct slice message, struct buf *out);
void scram_exchange_done(struct scram_exchange *x); /* wipes it */
