#include "auth/scram.h"

#include "core/text.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>

#define SCHEME SLICE_LIT("{SCRAM-SHA-256}")

static bool hmac(const uint8_t key[SCRAM_KEY_LEN], struct slice text, uint8_t ret[SCRAM_KEY_LEN])
{
	unsigned len = SCRAM_KEY_LEN;

	return HMAC(EVP_sha256(), key, SCRAM_KEY_LEN, (const uint8_t *)text.ptr, text.len, ret, &len) != NULL;
}

/* SaltedPassword := Hi(password, salt, i); Hi is PBKDF2 with HMAC (RFC 5802 section 2.2). */
static bool salted_password(const struct scram_verifier *v, struct slice password, uint8_t ret[SCRAM_KEY_LEN])
{
	return password.len <= SASL_PASSWORD_MAX &&
	       PKCS5_PBKDF2_HMAC(password.len ? password.ptr : "", (int)password.len, v->salt, v->salt_len,
				 (int)v->iterations, EVP_sha256(), SCRAM_KEY_LEN, ret) == 1;
}

/* Both keys from the password (RFC 5802 section 3); salt and iterations are set. */
static bool derive(struct scram_verifier *v, struct slice password)
{
	uint8_t salted[SCRAM_KEY_LEN], client_key[SCRAM_KEY_LEN];
	bool ok = salted_password(v, password, salted) && hmac(salted, SLICE_LIT("Client Key"), client_key) &&
		  SHA256(client_key, sizeof(client_key), v->stored_key) &&
		  hmac(salted, SLICE_LIT("Server Key"), v->server_key);

	OPENSSL_cleanse(salted, sizeof(salted));
	OPENSSL_cleanse(client_key, sizeof(client_key));
	return ok;
}

static enum err set_parameters(struct scram_verifier *v, struct slice salt, uint64_t iterations,
			       struct diag *d)
{
	if (salt.len < SCRAM_SALT_MIN || salt.len > SCRAM_SALT_MAX)
		return diag_set(d, ERR_RANGE, "salt of %zu octets, allowed are %d to %d", salt.len,
				SCRAM_SALT_MIN, SCRAM_SALT_MAX);
	if (iterations < SCRAM_ITERATIONS_MIN || iterations > SCRAM_ITERATIONS_MAX)
		return diag_set(d, ERR_RANGE, "%llu iterations, allowed are %d to %d",
				(unsigned long long)iterations, SCRAM_ITERATIONS_MIN, SCRAM_ITERATIONS_MAX);
	memcpy(v->salt, salt.ptr, salt.len);
	v->salt_len = (uint8_t)salt.len;
	v->iterations = (uint32_t)iterations;
	return ERR_OK;
}

enum err scram_make(struct slice password, struct slice salt, uint32_t iterations, struct scram_verifier *ret,
		    struct diag *d)
{
	struct scram_verifier v = {0};
	enum err e = set_parameters(&v, salt, iterations, d);

	if (e)
		return e;
	if (password.len > SASL_PASSWORD_MAX)
		return diag_set(d, ERR_RANGE, "password of %zu octets, at most %d", password.len,
				SASL_PASSWORD_MAX);
	if (!derive(&v, password))
		return diag_set(d, ERR_NOMEM, "the verifier could not be computed");
	*ret = v;
	return ERR_OK;
}

static enum err parse_key(struct slice text, uint8_t ret[SCRAM_KEY_LEN], struct diag *d)
{
	CLEANUP(buf_done) struct buf key = {0};

	buf_init(&key, SCRAM_KEY_LEN + 2);
	if (base64_decode(&key, text) || key.failed || key.len != SCRAM_KEY_LEN)
		return diag_set(d, ERR_SYNTAX, "a key is not %d octets in base64", SCRAM_KEY_LEN);
	memcpy(ret, key.data, SCRAM_KEY_LEN);
	return ERR_OK;
}

static enum err parse_parameters(struct slice iterations, struct slice salt_text, struct scram_verifier *v,
				 struct diag *d)
{
	CLEANUP(buf_done) struct buf salt = {0};
	uint64_t count;

	/* One form for one verifier: no leading zeros. */
	if (slice_to_u64(iterations, SCRAM_ITERATIONS_MAX, &count) || iterations.ptr[0] == '0')
		return diag_set(d, ERR_SYNTAX, "the iterations are not a number up to %d",
				SCRAM_ITERATIONS_MAX);
	buf_init(&salt, AUTH_VERIFIER_MAX);
	if (base64_decode(&salt, salt_text) || salt.failed)
		return diag_set(d, ERR_SYNTAX, "the salt is not base64");
	return set_parameters(v, buf_slice(&salt), count, d);
}

enum err scram_parse(struct slice text, struct scram_verifier *ret, struct diag *d)
{
	struct scram_verifier v = {0};
	struct slice rest = slice_from(text, SCHEME.len), head, iterations, stored;
	enum err e;

	if (text.len > AUTH_VERIFIER_MAX)
		return diag_set(d, ERR_RANGE, "verifier of %zu octets, at most %d", text.len,
				AUTH_VERIFIER_MAX);
	if (!slice_starts(text, SCHEME))
		return diag_set(d, slice_starts(text, SLICE_LIT("{")) ? ERR_UNSUPPORTED : ERR_SYNTAX,
				"verifier does not begin with %.*s", SLICE_ARG(SCHEME));
	head = slice_split(&rest, '$');
	iterations = slice_split(&head, ',');
	stored = slice_split(&rest, ',');
	if (!head.ptr || !rest.ptr)
		return diag_set(d, ERR_SYNTAX, "verifier is not iterations,salt$StoredKey,ServerKey");
	e = parse_parameters(iterations, head, &v, d);
	if (!e)
		e = parse_key(stored, v.stored_key, d);
	if (!e)
		e = parse_key(rest, v.server_key, d);
	if (!e)
		*ret = v;
	return e;
}

void scram_format(const struct scram_verifier *v, struct buf *out)
{
	buf_add(out, SCHEME);
	buf_printf(out, "%u,", v->iterations);
	base64_encode(out, slice_of(v->salt, v->salt_len));
	buf_add_char(out, '$');
	base64_encode(out, slice_of(v->stored_key, SCRAM_KEY_LEN));
	buf_add_char(out, ',');
	base64_encode(out, slice_of(v->server_key, SCRAM_KEY_LEN));
}

bool scram_prove(const struct scram_verifier *v, struct slice auth_message,
		 const uint8_t proof[SCRAM_KEY_LEN], uint8_t ret[SCRAM_KEY_LEN])
{
	uint8_t signature[SCRAM_KEY_LEN], client_key[SCRAM_KEY_LEN], stored[SCRAM_KEY_LEN];
	bool ok = hmac(v->stored_key, auth_message, signature);

	for (size_t i = 0; i < SCRAM_KEY_LEN; i++)
		client_key[i] = signature[i] ^ proof[i];
	ok = ok && SHA256(client_key, sizeof(client_key), stored) &&
	     CRYPTO_memcmp(stored, v->stored_key, SCRAM_KEY_LEN) == 0 &&
	     hmac(v->server_key, auth_message, ret);
	OPENSSL_cleanse(client_key, sizeof(client_key));
	return ok;
}

bool scram_check(const struct scram_verifier *v, struct slice password)
{
	struct scram_verifier given = *v;
	bool ok = derive(&given, password) &&
		  CRYPTO_memcmp(given.stored_key, v->stored_key, SCRAM_KEY_LEN) == 0;

	OPENSSL_cleanse(&given, sizeof(given));
	return ok;
}
