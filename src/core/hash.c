#include "core/hash.h"

#include <string.h>

/* Set once at start, before any table exists; read only afterwards. */
static uint64_t key0, key1;

void hash_set_key(const uint8_t key[16])
{
	memcpy(&key0, key, 8);
	memcpy(&key1, key + 8, 8);
}

static inline uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v2 = rotl(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t m)
{
	s->v3 ^= m;
	sip_round(s);
	s->v0 ^= m;
}

/* Up to 8 octets, little endian, optionally ASCII-lowered. */
static uint64_t load(const char *p, size_t n, bool fold)
{
	uint64_t m = 0;
	for (size_t i = 0; i < n; i++)
		m |= (uint64_t)(unsigned char)(fold ? ascii_lower(p[i]) : p[i]) << (8 * i);
	return m;
}

/* SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF"), one compression and three final rounds. */
static uint64_t siphash(struct slice in, bool fold)
{
	struct sip s = {key0 ^ 0x736f6d6570736575u, key1 ^ 0x646f72616e646f6du, key0 ^ 0x6c7967656e657261u,
			key1 ^ 0x7465646279746573u};
	size_t i = 0;
	for (; i + 8 <= in.len; i += 8) {
		uint64_t m;
		if (fold)
			m = load(in.ptr + i, 8, true);
		else
			memcpy(&m, in.ptr + i, 8);
		sip_word(&s, m);
	}
	uint64_t last = in.len > i ? load(in.ptr + i, in.len - i, fold) : 0;
	sip_word(&s, last | (uint64_t)in.len << 56);
	s.v2 ^= 0xff;
	for (int r = 0; r < 3; r++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t hash_slice(struct slice s)
{
	return siphash(s, false);
}

uint64_t hash_islice(struct slice s)
{
	return siphash(s, true);
}

uint64_t hash_u64(uint64_t v)
{
	return siphash(slice_of(&v, sizeof(v)), false);
}

/* ---- CRC-32C, four octets a step over four tables (slicing) ---- */

#define CRC32C_POLY 0x82f63b78u

struct crc_tables {
	uint32_t t[4][256];
};

static const struct crc_tables *crc_tables(void)
{
	static struct crc_tables tables; /* written with the same values by whoever comes first */
	static bool ready;
	if (__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
		return &tables;
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ CRC32C_POLY : c >> 1;
		__atomic_store_n(&tables.t[0][i], c, __ATOMIC_RELAXED);
	}
	for (int k = 1; k < 4; k++)
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = tables.t[k - 1][i];
			__atomic_store_n(&tables.t[k][i], c >> 8 ^ tables.t[0][c & 255], __ATOMIC_RELAXED);
		}
	__atomic_store_n(&ready, true, __ATOMIC_RELEASE);
	return &tables;
}

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
	const struct crc_tables *ct = crc_tables();
	const unsigned char *b = p;
	crc = ~crc;
	for (; n >= 4; n -= 4, b += 4) {
		uint32_t w;
		memcpy(&w, b, 4);
		crc ^= w;
		crc = ct->t[3][crc & 255] ^ ct->t[2][crc >> 8 & 255] ^ ct->t[1][crc >> 16 & 255] ^
		      ct->t[0][crc >> 24];
	}
	for (; n; n--, b++)
		crc = crc >> 8 ^ ct->t[0][(crc ^ *b) & 255];
	return ~crc;
}
