/* The client's last message of a SCRAM-SHA-256 exchange, for tests: from what both sides said, and a password. */
#pragma once

#include "auth/scram.h"
#include "core/text.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>

static inline void scram_client_hmac(const uint8_t *key, struct slice text, uint8_t *ret)
{
	unsigned len = SCRAM_KEY_LEN;
	HMAC(EVP_sha256(), key, SCRAM_KEY_LEN, (const uint8_t *)text.ptr, text.len, ret, &len);
}

/* `bare`: client-first-message-bare; `server_first`: "r=...,s=...,i=4096"; `binding`: what "c=" encodes. */
static inline void scram_client_final(struct slice bare, struct slice server_first, const char *password,
				      struct slice binding, struct buf *out)
{
	uint8_t salted[SCRAM_KEY_LEN], key[SCRAM_KEY_LEN], stored[SCRAM_KEY_LEN], signature[SCRAM_KEY_LEN];
	struct slice rest = server_first, nonce = slice_split(&rest, ','), salt = slice_split(&rest, ',');
	struct buf auth, raw;
	buf_init(&auth, 8192);
	buf_init(&raw, 256);
	ASSERT(base64_decode(&raw, slice_from(salt, 2)) == ERR_OK);
	PKCS5_PBKDF2_HMAC(password, (int)strlen(password), (const uint8_t *)raw.data, (int)raw.len, 4096,
			  EVP_sha256(), SCRAM_KEY_LEN, salted);
	scram_client_hmac(salted, SLICE_LIT("Client Key"), key);
	SHA256(key, SCRAM_KEY_LEN, stored);
	buf_clear(out);
	buf_add_str(out, "c=");
	base64_encode(out, binding);
	buf_printf(out, ",%.*s", SLICE_ARG(nonce));
	buf_printf(&auth, "%.*s,%.*s,%.*s", SLICE_ARG(bare), SLICE_ARG(server_first),
		   SLICE_ARG(buf_slice(out)));
	scram_client_hmac(stored, buf_slice(&auth), signature);
	for (size_t i = 0; i < SCRAM_KEY_LEN; i++)
		key[i] ^= signature[i];
	buf_add_str(out, ",p=");
	base64_encode(out, slice_of(key, SCRAM_KEY_LEN));
	buf_done(&auth);
	buf_done(&raw);
}
