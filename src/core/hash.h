/* Hashes: SipHash-1-3 keyed per process for tables of attacker-chosen keys, CRC-32C for framing checks. */
#pragma once

#include "core/slice.h"

/* Sets the process key (16 octets of randomness). Before it is called the key is zero: fine for tests and for
 * deterministic simulation. */
void hash_set_key(const uint8_t key[16]);

uint64_t hash_slice(struct slice s);
uint64_t hash_islice(struct slice s); /* ASCII case folded */
uint64_t hash_u64(uint64_t v);

/* CRC-32C (Castagnoli), start with 0, chain by passing the previous result. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
