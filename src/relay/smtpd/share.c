#include "relay/smtpd/smtpd_priv.h"

#include "core/hash.h"
#include "core/mem.h"

#include <string.h>

bool smtpd_share_eq(const struct map_node *n, const void *key)
{
	const struct smtpd_share *sh = CONTAINER_OF(n, const struct smtpd_share, node);
	return slice_eq(slice_of(sh->key, sh->len), *(const struct slice *)key);
}

static struct smtpd_share *share_new(struct map *shares, struct slice key, uint64_t hash)
{
	struct smtpd_share *sh = NEW(struct smtpd_share);
	if (!sh)
		return NULL;
	sh->len = (uint16_t)key.len;
	memcpy(sh->key, key.ptr, key.len);
	if (map_insert(shares, &sh->node, hash) != ERR_OK) {
		mem_free(sh);
		return NULL;
	}
	return sh;
}

struct smtpd_share *smtpd_share_take(struct map *shares, struct slice key, uint64_t max)
{
	ASSERT(key.len > 0 && key.len <= sizeof(((struct smtpd_share *)0)->key));
	uint64_t hash = hash_slice(key);
	struct map_node *n = map_find(shares, hash, &key);
	struct smtpd_share *sh = n ? CONTAINER_OF(n, struct smtpd_share, node) : share_new(shares, key, hash);
	if (!sh || sh->count >= max) {
		if (sh && sh->count == 0) { /* max is 0 */
			map_remove(shares, &sh->node);
			mem_free(sh);
		}
		return NULL;
	}
	sh->count++;
	return sh;
}

void smtpd_share_give(struct map *shares, struct smtpd_share *sh)
{
	if (!sh)
		return;
	ASSERT(sh->count > 0);
	if (--sh->count > 0)
		return;
	map_remove(shares, &sh->node);
	mem_free(sh);
}

static void keep_bits(char *octets, size_t len, uint64_t bits)
{
	for (size_t i = 0; i < len; i++, bits -= MIN(bits, 8))
		if (bits < 8)
			octets[i] = (char)((unsigned char)octets[i] & (unsigned char)(0xff00u >> bits));
}

static bool mapped(const struct in6_addr *a)
{
	static const unsigned char prefix[12] = {[10] = 0xff, [11] = 0xff};
	return memcmp(a, prefix, sizeof(prefix)) == 0;
}

struct slice smtpd_network_key(const struct net_addr *a, const struct conf_limit *l, char *out)
{
	const char *p = (const char *)&a->u.in6.sin6_addr;
	if (a->u.sa.sa_family == AF_INET || (a->u.sa.sa_family == AF_INET6 && mapped(&a->u.in6.sin6_addr))) {
		out[0] = 4;
		memcpy(out + 1, a->u.sa.sa_family == AF_INET ? (const char *)&a->u.in4.sin_addr : p + 12, 4);
		keep_bits(out + 1, 4, l->network_bits_ipv4);
		return slice_of(out, 5);
	}
	if (a->u.sa.sa_family == AF_INET6) {
		out[0] = 6;
		memcpy(out + 1, p, 16);
		keep_bits(out + 1, 16, l->network_bits_ipv6);
		return slice_of(out, 17);
	}
	out[0] = 0; /* Unix sockets: all one network */
	return slice_of(out, 1);
}
