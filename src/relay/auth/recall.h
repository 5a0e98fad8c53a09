/* Passwords that were right a while ago: Exim opens a connection for every message, and a verifier costs
 * milliseconds. What is kept is an HMAC under a random key of this process, never the password. Pure, but for
 * OpenSSL.
 *
 * The HMAC covers the verifier's StoredKey: a rotated or replaced credential is forgotten by itself. A hit costs
 * one HMAC; a miss and an unknown name cost the same.
 */
#pragma once

#include "auth/scram.h"
#include "relay/auth/limits.h"

#define RECALL_KEY_LEN 32

struct recall_slot {
	uint8_t tag[SCRAM_KEY_LEN];
	uint64_t until; /* ms, loop time; 0: empty */
};

struct recall {
	uint8_t key[RECALL_KEY_LEN];
	struct recall_slot slots[RECALL_SLOTS]; /* by hash of the name; a collision forgets the older one */
};

bool recall_knows(const struct recall *r, const struct scram_verifier *v, struct slice name,
		  struct slice password, uint64_t now_ms);
void recall_keep(struct recall *r, const struct scram_verifier *v, struct slice name, struct slice password,
		 uint64_t now_ms);
