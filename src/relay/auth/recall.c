#include "relay/auth/recall.h"

#include "core/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

/* StoredKey, length of the name, name, password: unambiguous without further framing. */
#define INPUT_MAX (SCRAM_KEY_LEN + 1 + SASL_IDENTITY_MAX + SASL_PASSWORD_MAX)

static bool tag_of(const struct recall *r, const struct scram_verifier *v, struct slice name,
		   struct slice password, uint8_t ret[SCRAM_KEY_LEN])
{
	uint8_t in[INPUT_MAX];
	unsigned len = SCRAM_KEY_LEN;
	size_t at = SCRAM_KEY_LEN + 1 + name.len;
	bool ok;

	if (name.len == 0 || name.len > SASL_IDENTITY_MAX || password.len == 0 ||
	    password.len > SASL_PASSWORD_MAX)
		return false;
	memcpy(in, v->stored_key, SCRAM_KEY_LEN);
	in[SCRAM_KEY_LEN] = (uint8_t)name.len;
	memcpy(in + SCRAM_KEY_LEN + 1, name.ptr, name.len);
	memcpy(in + at, password.ptr, password.len);
	ok = HMAC(EVP_sha256(), r->key, RECALL_KEY_LEN, in, at + password.len, ret, &len) != NULL;
	OPENSSL_cleanse(in, at + password.len);
	return ok;
}

static size_t slot_of(struct slice name)
{
	return hash_slice(name) % RECALL_SLOTS;
}

bool recall_knows(const struct recall *r, const struct scram_verifier *v, struct slice name,
		  struct slice password, uint64_t now_ms)
{
	const struct recall_slot *s = &r->slots[slot_of(name)];
	uint8_t tag[SCRAM_KEY_LEN];

	return tag_of(r, v, name, password, tag) && s->until > now_ms &&
	       CRYPTO_memcmp(tag, s->tag, SCRAM_KEY_LEN) == 0;
}

void recall_keep(struct recall *r, const struct scram_verifier *v, struct slice name, struct slice password,
		 uint64_t now_ms)
{
	struct recall_slot *s = &r->slots[slot_of(name)];

	s->until = tag_of(r, v, name, password, s->tag) ? now_ms + RECALL_MS : 0;
}
