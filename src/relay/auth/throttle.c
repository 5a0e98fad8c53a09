#include "relay/auth/throttle.h"

#include "core/hash.h"

#include <string.h>

/* What tells the two kinds of keys apart stands in front of what is hashed. */
#define KIND_NAME    'n'
#define KIND_NETWORK 'a'

static uint64_t key_of(char kind, const void *p, size_t n)
{
	char text[1 + 255];
	uint64_t key;

	n = MIN(n, sizeof(text) - 1);
	text[0] = kind;
	if (n > 0)
		memcpy(text + 1, p, n);
	key = hash_slice(slice_of(text, n + 1));
	return key ? key : 1; /* 0 marks a free place */
}

uint64_t throttle_name_key(struct slice name)
{
	return key_of(KIND_NAME, name.ptr, name.len);
}

/* Clears what lies behind the first `bits` of n octets. */
static void mask(uint8_t *p, size_t n, unsigned bits)
{
	for (size_t i = 0; i < n; i++) {
		unsigned kept = bits > 8 * i ? MIN(bits - 8 * (unsigned)i, 8U) : 0;

		p[i] &= (uint8_t)(0xFF00U >> kept);
	}
}

uint64_t throttle_network_key(const struct net_addr *a, unsigned bits_ipv4, unsigned bits_ipv6)
{
	uint8_t ip[16] = {0};
	size_t n = 0;

	if (a->len > 0 && a->u.sa.sa_family == AF_INET) {
		n = 4;
		memcpy(ip, &a->u.in4.sin_addr, n);
	} else if (a->len > 0 && a->u.sa.sa_family == AF_INET6) {
		bool mapped = IN6_IS_ADDR_V4MAPPED(&a->u.in6.sin6_addr);

		n = mapped ? 4 : 16;
		memcpy(ip, a->u.in6.sin6_addr.s6_addr + (mapped ? 12 : 0), n);
	}
	mask(ip, n, n == 4 ? bits_ipv4 : bits_ipv6);
	return key_of(KIND_NETWORK, ip, n);
}

static unsigned level_now(const struct throttle_place *p, uint64_t now_ms)
{
	uint64_t forgotten = now_ms > p->at ? (now_ms - p->at) / THROTTLE_FORGET_MS : 0;

	return forgotten >= p->level ? 0 : p->level - (unsigned)forgotten;
}

unsigned throttle_level(const struct throttle *t, uint64_t key, uint64_t now_ms)
{
	const struct throttle_place *set = t->places[key % THROTTLE_SETS];

	for (size_t i = 0; i < THROTTLE_WAYS; i++)
		if (set[i].key == key)
			return level_now(&set[i], now_ms);
	return 0;
}

/* The key's own place, else the one that is missed least. */
static struct throttle_place *place_for(struct throttle *t, uint64_t key, uint64_t now_ms)
{
	struct throttle_place *set = t->places[key % THROTTLE_SETS], *lowest = set;

	for (size_t i = 0; i < THROTTLE_WAYS; i++) {
		if (set[i].key == key)
			return &set[i];
		if (level_now(&set[i], now_ms) < level_now(lowest, now_ms))
			lowest = &set[i];
	}
	return lowest;
}

void throttle_count(struct throttle *t, uint64_t key, uint64_t now_ms)
{
	struct throttle_place *p = place_for(t, key, now_ms);
	unsigned level = p->key == key ? level_now(p, now_ms) : 0;

	/* Whole periods are forgotten; the rest of the current one goes on running. */
	if (level == 0)
		p->at = now_ms;
	else
		p->at += (now_ms - p->at) / THROTTLE_FORGET_MS * THROTTLE_FORGET_MS;
	p->key = key;
	p->level = MIN(level + 1, THROTTLE_LEVEL_MAX);
}

uint64_t throttle_delay(unsigned level)
{
	uint64_t ms = THROTTLE_DELAY_MS;

	if (level <= THROTTLE_FREE)
		return 0;
	for (unsigned i = THROTTLE_FREE + 1; i < level && ms < THROTTLE_DELAY_MAX; i++)
		ms *= 2;
	return MIN(ms, THROTTLE_DELAY_MAX);
}
