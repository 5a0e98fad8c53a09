#include "auth/verifier.h"

#include "core/mem.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

#define SCHEME SLICE_LIT("{CRYPT}")

/* ---- which hashes, and how expensive they may be ---- */

/* "$2b$12$": the base-2 logarithm of the rounds; 14 takes about a second. */
static bool bcrypt_ok(struct slice h)
{
	uint64_t cost;
	return h.len == 60 && (h.ptr[2] == 'a' || h.ptr[2] == 'b' || h.ptr[2] == 'y') && h.ptr[3] == '$' &&
	       h.ptr[6] == '$' && slice_to_u64(slice_sub(h, 4, 2), 14, &cost) == ERR_OK && cost >= 4;
}

/* "$6$rounds=656000$salt$...", "$6$salt$..." with 5000 rounds. */
static bool sha512_ok(struct slice h)
{
	struct slice rest = slice_from(h, 3), first = slice_split(&rest, '$'), key = SLICE_LIT("rounds=");
	uint64_t rounds;
	if (!slice_starts(first, key))
		return rest.len == 86;
	slice_split(&rest, '$');
	return rest.len == 86 && slice_to_u64(slice_from(first, key.len), 1000000, &rounds) == ERR_OK;
}

/* "$y$j9T$salt$hash": flags, logarithm of the memory, block size (two are in use). Above j9T (16 MiB) only up to jBT (64 MiB). */
static bool yescrypt_ok(struct slice h)
{
	struct slice rest = slice_from(h, 3), parameters = slice_split(&rest, '$');
	slice_split(&rest, '$');
	return parameters.len == 3 && parameters.ptr[0] == 'j' && strchr("789AB", parameters.ptr[1]) &&
	       strchr("5T", parameters.ptr[2]) && rest.len == 43;
}

static enum err check_hash(struct slice h, struct diag *d)
{
	static const struct {
		struct slice prefix;
		bool (*ok)(struct slice h);
	} schemes[] = {
		{SLICE_LIT("$2"), bcrypt_ok}, {SLICE_LIT("$6$"), sha512_ok}, {SLICE_LIT("$y$"), yescrypt_ok}};
	for (size_t i = 0; i < h.len; i++)
		if (h.ptr[i] <= ' ' || h.ptr[i] > '~' || strchr(":;*!\\", h.ptr[i]))
			return diag_set(d, ERR_SYNTAX, "a hash holds no such character as the one at %zu",
					i + 1);
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		if (!slice_starts(h, schemes[i].prefix))
			continue;
		if (h.len > AUTH_CRYPT_MAX || !schemes[i].ok(h))
			return diag_set(d, ERR_RANGE,
					"the hash is malformed, or more expensive than is allowed");
		return ERR_OK;
	}
	return diag_set(d, ERR_UNSUPPORTED, "not a yescrypt ($y$), bcrypt ($2b$) or sha512-crypt ($6$) hash");
}

static enum err set_imported(struct slice hash, struct verifier *ret, struct diag *d)
{
	struct verifier v = {.imported = ""};
	enum err e = check_hash(hash, d);
	if (e)
		return e;
	memcpy(v.imported, hash.ptr, hash.len);
	SHA256((const uint8_t *)hash.ptr, hash.len, v.scram.stored_key);
	*ret = v;
	return ERR_OK;
}

/* ---- text ---- */

enum err verifier_parse(struct slice text, struct verifier *ret, struct diag *d)
{
	struct verifier v = {.imported = ""};
	if (slice_starts(text, SCHEME))
		return set_imported(slice_from(text, SCHEME.len), ret, d);
	enum err e = scram_parse(text, &v.scram, d);
	if (!e)
		*ret = v;
	return e;
}

enum err verifier_import(struct slice hash, struct verifier *ret, struct diag *d)
{
	hash = slice_trim(hash);
	size_t brace = slice_find(hash, '{'), colon = slice_find(hash, ':');
	if (slice_starts(hash, SLICE_LIT("{SCRAM-SHA-256}")))
		return verifier_parse(hash, ret, d);
	if (colon != SLICE_NPOS) { /* a line of a password file: the second field */
		slice_split(&hash, ':');
		hash = slice_split(&hash, ':');
		brace = slice_find(hash, '{');
	}
	if (brace == 0) {
		size_t close = slice_find(hash, '}');
		hash = slice_from(hash, close == SLICE_NPOS ? 0 : close + 1);
	}
	return set_imported(hash, ret, d);
}

void verifier_format(const struct verifier *v, struct buf *out)
{
	if (!verifier_is_imported(v)) {
		scram_format(&v->scram, out);
		return;
	}
	buf_add(out, SCHEME);
	buf_add_str(out, v->imported);
}

/* ---- checking ---- */

static bool crypt_check(const char *hash, struct slice password)
{
	struct crypt_data *data = NEW(struct crypt_data); /* 32 KiB: too much for a thread's stack */
	char phrase[SASL_PASSWORD_MAX + 1];
	bool ok = false;
	if (data && password.len > 0 && password.len <= SASL_PASSWORD_MAX &&
	    !memchr(password.ptr, 0, password.len)) {
		memcpy(phrase, password.ptr, password.len);
		phrase[password.len] = '\0';
		const char *got = crypt_rn(phrase, hash, data, sizeof(*data));
		size_t len = strlen(hash);
		ok = got && strlen(got) == len && CRYPTO_memcmp(got, hash, len) == 0;
		OPENSSL_cleanse(phrase, sizeof(phrase));
	}
	if (data)
		OPENSSL_cleanse(data, sizeof(*data));
	mem_free(data);
	return ok;
}

bool verifier_check(const struct verifier *v, struct slice password)
{
	return verifier_is_imported(v) ? crypt_check(v->imported, password)
				       : scram_check(&v->scram, password);
}
