#include "dns/spf_addr.h"

#include <arpa/inet.h>
#include <string.h>

#define OCTETS4 4u
#define MAPPED_ZERO                                                                                          \
	10u /* octets of 0 at the front of an IPv4-mapped address, two of 255 follow (RFC 4291 2.5.5.2) */
#define MAPPED (MAPPED_ZERO + 2u)

/* One octet as text at *at: no leading zero, at most 255. */
static bool read_octet(struct slice text, size_t *at, uint8_t *ret)
{
	size_t from = *at, i = from;
	unsigned v = 0;

	for (; i < text.len && ascii_is_digit(text.ptr[i]) && v <= UINT8_MAX; i++)
		v = v * 10 + (unsigned)(text.ptr[i] - '0');
	if (i == from || v > UINT8_MAX || (text.ptr[from] == '0' && i > from + 1))
		return false;
	*at = i;
	*ret = (uint8_t)v;
	return true;
}

enum err spf_addr_parse4(struct slice text, struct spf_addr *ret)
{
	struct spf_addr a = {.bits = SPF_BITS4};
	size_t at = 0;

	for (size_t n = 0; n < OCTETS4; n++) {
		if (n > 0 && (at >= text.len || text.ptr[at++] != '.'))
			return ERR_SYNTAX;
		if (!read_octet(text, &at, &a.octets[n]))
			return ERR_SYNTAX;
	}
	if (at != text.len)
		return ERR_SYNTAX;
	*ret = a;
	return ERR_OK;
}

enum err spf_addr_parse6(struct slice text, struct spf_addr *ret)
{
	struct spf_addr a = {.bits = SPF_BITS6};
	char z[INET6_ADDRSTRLEN];

	if (text.len >= sizeof(z) || slice_find(text, '\0') != SLICE_NPOS ||
	    slice_find(text, ':') == SLICE_NPOS)
		return ERR_SYNTAX;
	memcpy(z, text.ptr, text.len);
	z[text.len] = '\0';
	if (inet_pton(AF_INET6, z, a.octets) != 1)
		return ERR_SYNTAX;
	*ret = a;
	return ERR_OK;
}

struct spf_addr spf_addr_unmap(struct spf_addr a)
{
	static const uint8_t front[MAPPED] = {[MAPPED_ZERO] = 0xff, [MAPPED_ZERO + 1] = 0xff};
	struct spf_addr v4 = {.bits = SPF_BITS4};

	if (a.bits != SPF_BITS6 || memcmp(a.octets, front, MAPPED) != 0)
		return a;
	memcpy(v4.octets, a.octets + MAPPED, OCTETS4);
	return v4;
}

enum err spf_addr_parse(struct slice text, struct spf_addr *ret)
{
	struct spf_addr a;

	if (spf_addr_parse4(text, ret) == ERR_OK)
		return ERR_OK;
	enum err e = spf_addr_parse6(text, &a);
	if (!e)
		*ret = spf_addr_unmap(a);
	return e;
}

enum err spf_net_parse(struct slice text, struct spf_net *ret)
{
	struct slice rest = text, addr = slice_split(&rest, '/');
	struct spf_net n;
	uint64_t prefix;
	enum err e = spf_addr_parse4(addr, &n.addr);

	if (e)
		e = spf_addr_parse6(addr, &n.addr);
	if (e)
		return e;
	n.prefix = n.addr.bits;
	if (rest.ptr) {
		e = slice_to_u64(rest, n.addr.bits, &prefix);
		if (e)
			return e;
		n.prefix = (uint8_t)prefix;
	}
	*ret = n;
	return ERR_OK;
}

void spf_addr_format(const struct spf_addr *a, struct buf *out)
{
	char z[INET6_ADDRSTRLEN] = "";

	if (a->bits && inet_ntop(a->bits == SPF_BITS4 ? AF_INET : AF_INET6, a->octets, z, sizeof(z)))
		buf_add_str(out, z);
}

void spf_net_format(const struct spf_net *n, struct buf *out)
{
	spf_addr_format(&n->addr, out);
	if (n->prefix != n->addr.bits)
		buf_printf(out, "/%u", n->prefix);
}

bool spf_addr_eq(const struct spf_addr *a, const struct spf_addr *b)
{
	return a->bits == b->bits && memcmp(a->octets, b->octets, sizeof(a->octets)) == 0;
}

bool spf_addr_match(const struct spf_addr *a, const struct spf_addr *b, uint8_t prefix)
{
	size_t whole = prefix / 8u;
	unsigned rest = prefix % 8u;

	if (a->bits != b->bits || a->bits == 0)
		return false;
	ASSERT(prefix <= a->bits);
	if (memcmp(a->octets, b->octets, whole) != 0)
		return false;
	return rest == 0 || ((a->octets[whole] ^ b->octets[whole]) >> (8u - rest)) == 0;
}

bool spf_net_holds(const struct spf_net *n, const struct spf_addr *a)
{
	return spf_addr_match(&n->addr, a, MIN(n->prefix, n->addr.bits));
}

bool spf_net_covers(const struct spf_net *outer, const struct spf_net *inner)
{
	return outer->prefix <= inner->prefix && spf_net_holds(outer, &inner->addr);
}
