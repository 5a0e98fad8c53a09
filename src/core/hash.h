/* Hashes: SipHash-1-3 keyed per process for tables of attacker-chosen keys, CRC-32C for framing checks. */
#pragma once

#include "core/slice.h"

/* Sets the process key (16 octets of randomness). Before it is called the key is zero: fine for tests and for
 * deterministic simulation. */
void hash_set_key(const uint8_t key[16]);

uint64_t hash_slice(struct slice s);
uint64_t hash_islice(struct slice s); /* ASCII case folded */
uint64_t hash_u64(uint64_t v);

/* For numbers that this process gives out one after the other, u64 generation << 32 | counter: neighbours stay neighbours,
 * so that a walk over millions in order stays within the processor's caches. Not keyed: never for what a remote party can
 * choose. */
static inline uint64_t hash_serial(uint64_t v)
{
	return v + (v >> 32) * 0x9e3779b97f4a7c15ull;
}

/* CRC-32C (Castagnoli), start with 0, chain by passing the previous result. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
