/* SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677): what is stored in place of a password. Pure, but for OpenSSL.
 *
 * Text form (base64 of RFC 4648, padded), at most AUTH_VERIFIER_MAX octets:
 *
 *     {SCRAM-SHA-256}iterations,salt$StoredKey,ServerKey
 *
 * A verifier serves the SCRAM exchange and, by computing StoredKey from a password that came in the clear
 * (PLAIN, LOGIN), those too. It does not reveal the password; generated passwords have at least 128 random
 * bits, so that 4096 iterations are enough.
 *
 * Passwords are octets. SASLprep (RFC 4013) is not applied: on what we generate it changes nothing.
 * Everything here that takes a password takes its time from the iterations alone, not from the secret.
 */
#pragma once

#include "auth/limits.h"
#include "core/buf.h"
#include "core/diag.h"

#define SCRAM_KEY_LEN            32
#define SCRAM_ITERATIONS_DEFAULT 4096
#define SCRAM_SALT_DEFAULT       16 /* octets */

struct scram_verifier {
	uint32_t iterations;
	uint8_t salt_len;
	uint8_t salt[SCRAM_SALT_MAX];
	uint8_t stored_key[SCRAM_KEY_LEN]; /* H(ClientKey) */
	uint8_t server_key[SCRAM_KEY_LEN];
};

/* Salt of SCRAM_SALT_MIN..MAX octets and iterations in range, or ERR_RANGE. Takes about 2 ms at 4096: a
 * worker's business, not the loop's. ERR_NOMEM if OpenSSL refuses. */
MUST_CHECK enum err scram_make(struct slice password, struct slice salt, uint32_t iterations,
			       struct scram_verifier *ret, struct diag *d);

/* ERR_SYNTAX, ERR_RANGE, ERR_UNSUPPORTED (another scheme in the braces). */
MUST_CHECK enum err scram_parse(struct slice text, struct scram_verifier *ret, struct diag *d);
void scram_format(const struct scram_verifier *v, struct buf *out);

/* RFC 5802 section 3: is ClientProof that of somebody who knows the password? Then *ret is ServerSignature. Compares in
 * constant time; takes microseconds. */
MUST_CHECK bool scram_prove(const struct scram_verifier *v, struct slice auth_message,
			    const uint8_t proof[SCRAM_KEY_LEN], uint8_t ret[SCRAM_KEY_LEN]);

/* Is this its password? Compares in constant time; false also if OpenSSL fails. About 2 ms at 4096. */
bool scram_check(const struct scram_verifier *v, struct slice password);
