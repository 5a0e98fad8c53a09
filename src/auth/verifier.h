/* What is stored in place of a password: a SCRAM verifier of ours, or a hash that was imported from elsewhere
 * (yescrypt, bcrypt, sha512-crypt, by libcrypt). Text form of an imported one: "{CRYPT}$y$j9T$...".
 *
 * An imported hash serves PLAIN and LOGIN alone: SCRAM needs keys that only the password gives. It may cost a hundred
 * milliseconds; its parameters are bounded, so that a file cannot stop the process or take its memory.
 */
#pragma once

#include "auth/scram.h"

struct verifier {
	struct scram_verifier
		scram; /* imported: only stored_key, the SHA-256 of the text, by which two are told apart */
	char imported[AUTH_CRYPT_MAX + 1]; /* crypt(5) text; "": a SCRAM verifier */
};

static inline bool verifier_is_imported(const struct verifier *v)
{
	return v->imported[0] != '\0';
}

/* ERR_SYNTAX, ERR_RANGE, ERR_UNSUPPORTED (another scheme). */
MUST_CHECK enum err verifier_parse(struct slice text, struct verifier *ret, struct diag *d);
/* A hash as /etc/shadow, Dovecot ("{BLF-CRYPT}$2y$...", also "name:{...}hash") or a panel has it. */
MUST_CHECK enum err verifier_import(struct slice hash, struct verifier *ret, struct diag *d);
void verifier_format(const struct verifier *v, struct buf *out);

/* Is this its password? A worker's business; false also without memory. */
bool verifier_check(const struct verifier *v, struct slice password);
