#include "relay/smtpd/proxy.h"

#include "relay/smtpd/limits.h"

#include <string.h>

/* ---- version 1: "PROXY TCP4 192.0.2.1 192.0.2.2 56324 587\r\n" ---- */

static bool address(struct slice text, int family, struct net_addr *ret)
{
	struct diag why = {0};
	/* the parser of addresses would take a port and brackets, too */
	if (text.len == 0 || text.ptr[0] == '[' || (family == AF_INET && slice_find(text, ':') != SLICE_NPOS))
		return false;
	return net_addr_parse(text, 0, ret, &why) == ERR_OK && ret->u.sa.sa_family == family;
}

static bool port(struct slice text, uint16_t *ret)
{
	uint64_t n = 0;
	if (slice_to_u64(text, UINT16_MAX, &n) != ERR_OK || (text.len > 1 && text.ptr[0] == '0'))
		return false;
	*ret = (uint16_t)n;
	return true;
}

/* Exactly one blank between the words, none behind the last. */
static enum proxy_result line(struct slice rest, struct net_addr *ret)
{
	struct net_addr client = {.len = 0}, here;
	uint16_t client_port, here_port;
	struct slice family;
	slice_split(&rest, ' '); /* PROXY */
	family = slice_split(&rest, ' ');
	if (slice_eq_str(family, "UNKNOWN"))
		return PROXY_LOCAL;
	int af = slice_eq_str(family, "TCP4") ? AF_INET : slice_eq_str(family, "TCP6") ? AF_INET6 : AF_UNSPEC;
	if (af == AF_UNSPEC || !address(slice_split(&rest, ' '), af, &client) ||
	    !address(slice_split(&rest, ' '), af, &here) || !port(slice_split(&rest, ' '), &client_port) ||
	    !rest.ptr || !port(rest, &here_port))
		return PROXY_BAD;
	net_addr_set_port(&client, client_port);
	*ret = client;
	return PROXY_OK;
}

static enum proxy_result version_1(struct slice in, struct net_addr *ret, size_t *ret_used)
{
	struct slice window = slice_sub(in, 0, PROXY_LINE_MAX);
	size_t end = slice_find_slice(window, SLICE_LIT("\r\n"));
	if (end == SLICE_NPOS)
		return in.len < PROXY_LINE_MAX ? PROXY_MORE : PROXY_BAD;
	*ret_used = end + 2;
	return line(slice_sub(in, 0, end), ret);
}

/* ---- version 2 ---- */

#define HEAD 16u /* octets: signature, version and command, family, length */

static const unsigned char signature[12] = {13, 10, 13, 10, 0, 13, 10, 'Q', 'U', 'I', 'T', 10};

enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21, FAMILY_TCP4 = 0x11, FAMILY_TCP6 = 0x21 };

static enum proxy_result addresses(unsigned family, const unsigned char *p, size_t len, struct net_addr *ret)
{
	struct net_addr a = {.len = 0};
	if (family == FAMILY_TCP4 && len >= 12) {
		a.u.in4.sin_family = AF_INET;
		memcpy(&a.u.in4.sin_addr, p, 4);
		memcpy(&a.u.in4.sin_port, p + 8, 2); /* both in network order */
		a.len = sizeof(a.u.in4);
	} else if (family == FAMILY_TCP6 && len >= 36) {
		a.u.in6.sin6_family = AF_INET6;
		memcpy(&a.u.in6.sin6_addr, p, 16);
		memcpy(&a.u.in6.sin6_port, p + 32, 2);
		a.len = sizeof(a.u.in6);
	} else {
		return family == FAMILY_TCP4 || family == FAMILY_TCP6 ? PROXY_BAD : PROXY_LOCAL;
	}
	*ret = a;
	return PROXY_OK;
}

static enum proxy_result version_2(struct slice in, struct net_addr *ret, size_t *ret_used)
{
	const unsigned char *p = (const unsigned char *)in.ptr;
	if (in.len < HEAD)
		return PROXY_MORE;
	size_t len = (size_t)p[14] << 8 | p[15];
	if ((p[12] != COMMAND_LOCAL && p[12] != COMMAND_PROXY) || len > PROXY_BODY_MAX)
		return PROXY_BAD;
	if (in.len < HEAD + len)
		return PROXY_MORE;
	*ret_used = HEAD + len; /* with the TLVs, which are not used */
	return p[12] == COMMAND_LOCAL ? PROXY_LOCAL : addresses(p[13], p + HEAD, len, ret);
}

/* Does `in` agree with the beginning of `word`, as far as both go? */
static bool agrees(struct slice in, struct slice word)
{
	size_t n = MIN(in.len, word.len);
	return slice_eq(slice_sub(in, 0, n), slice_sub(word, 0, n));
}

enum proxy_result proxy_parse(struct slice in, struct net_addr *ret, size_t *ret_used)
{
	struct slice one = SLICE_LIT("PROXY "), two = slice_of(signature, sizeof(signature));
	if (in.len == 0)
		return PROXY_MORE;
	if (agrees(in, one))
		return in.len < one.len ? PROXY_MORE : version_1(in, ret, ret_used);
	if (agrees(in, two))
		return version_2(in, ret, ret_used);
	return PROXY_BAD;
}
