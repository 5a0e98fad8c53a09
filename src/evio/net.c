#include "evio/net.h"

#include "evio/loop_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- text ---- */

static enum err parse_port(struct slice s, uint16_t *ret, struct diag *d)
{
	uint64_t v;
	if (slice_to_u64(s, 65535, &v) != ERR_OK || v == 0)
		return diag_set(d, ERR_RANGE, "\"%.*s\": not a port (1-65535)", SLICE_ARG(s));
	*ret = (uint16_t)v;
	return ERR_OK;
}

static enum err parse_unix(struct slice path, struct net_addr *ret, struct diag *d)
{
	if (path.len == 0 || path.len >= sizeof(ret->u.un.sun_path))
		return diag_set(d, ERR_RANGE, "unix:%.*s: path of 1 to %zu octets wanted", SLICE_ARG(path),
				sizeof(ret->u.un.sun_path) - 1);
	if (memchr(path.ptr, 0, path.len))
		return diag_set(d, ERR_SYNTAX, "unix:%.*s: a path has no NUL", SLICE_ARG(path));
	ret->u.un.sun_family = AF_UNIX;
	memcpy(ret->u.un.sun_path, path.ptr, path.len);
	ret->len = sizeof(ret->u.un);
	return ERR_OK;
}

static enum err parse_ip(struct slice host, int family, struct net_addr *ret, struct diag *d)
{
	char z[INET6_ADDRSTRLEN];
	if (host.len > 0 && host.len < sizeof(z)) {
		memcpy(z, host.ptr, host.len);
		z[host.len] = '\0';
		ret->u.sa.sa_family = (sa_family_t)family;
		ret->len = family == AF_INET ? sizeof(ret->u.in4) : sizeof(ret->u.in6);
		void *to = family == AF_INET ? (void *)&ret->u.in4.sin_addr : (void *)&ret->u.in6.sin6_addr;
		if (!memchr(host.ptr, 0, host.len) && inet_pton(family, z, to) == 1)
			return ERR_OK;
	}
	return diag_set(d, ERR_SYNTAX, "\"%.*s\": not an IP address", SLICE_ARG(host));
}

/* "[v6]:port", "[v6]", "v4:port", "v4", "v6" without brackets and port. */
static void split_host_port(struct slice text, struct slice *host, struct slice *port)
{
	size_t close = slice_rfind(text, ']');
	*port = slice_of(NULL, 0);
	if (text.len && text.ptr[0] == '[' && close != SLICE_NPOS) {
		struct slice rest = slice_from(text, close + 1);
		bool right = rest.len == 0 || rest.ptr[0] == ':';
		*host = right ? slice_sub(text, 1, close - 1) : text; /* which is no address then */
		if (right && rest.len)
			*port = slice_from(rest, 1);
		return;
	}
	size_t first = slice_find(text, ':'), last = slice_rfind(text, ':');
	*host = text;
	if (first != SLICE_NPOS && first == last) {
		*host = slice_sub(text, 0, first);
		*port = slice_from(text, first + 1);
	}
}

enum err net_addr_parse(struct slice text, uint16_t default_port, struct net_addr *ret, struct diag *d)
{
	struct net_addr a;
	struct slice host, port;
	uint16_t number = default_port;
	memset(&a, 0, sizeof(a));
	if (slice_starts(text, SLICE_LIT("unix:"))) {
		enum err e = parse_unix(slice_from(text, 5), &a, d);
		if (!e)
			*ret = a;
		return e;
	}
	split_host_port(text, &host, &port);
	enum err e = parse_ip(host, slice_find(host, ':') == SLICE_NPOS ? AF_INET : AF_INET6, &a, d);
	if (!e && port.ptr)
		e = parse_port(port, &number, d);
	if (e)
		return e;
	net_addr_set_port(&a, number);
	*ret = a;
	return ERR_OK;
}

void net_addr_format_ip(const struct net_addr *a, struct buf *out)
{
	char z[INET6_ADDRSTRLEN] = "";
	if (a->len && a->u.sa.sa_family == AF_INET)
		inet_ntop(AF_INET, &a->u.in4.sin_addr, z, sizeof(z));
	else if (a->len && a->u.sa.sa_family == AF_INET6)
		inet_ntop(AF_INET6, &a->u.in6.sin6_addr, z, sizeof(z));
	buf_add_str(out, z);
}

void net_addr_format(const struct net_addr *a, struct buf *out)
{
	if (a->len == 0)
		return;
	if (a->u.sa.sa_family == AF_UNIX) {
		/* One that a peer bound need not end in NUL. */
		size_t room = a->len > sizeof(sa_family_t) ? sizeof(a->u.un.sun_path) : 0;
		buf_add_str(out, "unix:");
		buf_add_mem(out, a->u.un.sun_path, strnlen(a->u.un.sun_path, room));
		return;
	}
	bool v6 = a->u.sa.sa_family == AF_INET6;
	buf_add_str(out, v6 ? "[" : "");
	net_addr_format_ip(a, out);
	buf_printf(out, "%s:%u", v6 ? "]" : "", net_addr_port(a));
}

void net_addr_format_literal(const struct net_addr *a, struct buf *out)
{
	buf_add_str(out, a->u.sa.sa_family == AF_INET6 ? "[IPv6:" : "[");
	net_addr_format_ip(a, out);
	buf_add_char(out, ']');
}

uint16_t net_addr_port(const struct net_addr *a)
{
	if (a->u.sa.sa_family == AF_INET)
		return ntohs(a->u.in4.sin_port);
	return a->u.sa.sa_family == AF_INET6 ? ntohs(a->u.in6.sin6_port) : 0;
}

void net_addr_set_port(struct net_addr *a, uint16_t port)
{
	if (a->u.sa.sa_family == AF_INET)
		a->u.in4.sin_port = htons(port);
	else if (a->u.sa.sa_family == AF_INET6)
		a->u.in6.sin6_port = htons(port);
}

/* ---- comparing ---- */

/* The address as 16 octets, IPv4 as IPv4-mapped; false for what is neither. */
static bool octets(const struct net_addr *a, uint8_t out[16])
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	if (a->len && a->u.sa.sa_family == AF_INET6) {
		memcpy(out, &a->u.in6.sin6_addr, 16);
		return true;
	}
	if (!a->len || a->u.sa.sa_family != AF_INET)
		return false;
	memcpy(out, mapped, 12);
	memcpy(out + 12, &a->u.in4.sin_addr, 4);
	return true;
}

static bool is_v4(const uint8_t o[16])
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	return memcmp(o, mapped, 12) == 0;
}

bool net_addr_eq_ip(const struct net_addr *a, const struct net_addr *b)
{
	uint8_t x[16], y[16];
	return octets(a, x) && octets(b, y) && memcmp(x, y, 16) == 0;
}

bool net_addr_eq(const struct net_addr *a, const struct net_addr *b)
{
	if (a->len && b->len && a->u.sa.sa_family == AF_UNIX && b->u.sa.sa_family == AF_UNIX)
		return strncmp(a->u.un.sun_path, b->u.un.sun_path, sizeof(a->u.un.sun_path)) == 0;
	return net_addr_eq_ip(a, b) && net_addr_port(a) == net_addr_port(b);
}

static bool same_bits(const uint8_t *x, const uint8_t *y, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	if (memcmp(x, y, whole) != 0)
		return false;
	return rest == 0 || (x[whole] ^ y[whole]) >> (8 - rest) == 0;
}

bool net_addr_in_prefix(const struct net_addr *a, const struct net_addr *prefix, unsigned bits)
{
	uint8_t x[16], y[16];
	if (!octets(a, x) || !octets(prefix, y) || is_v4(x) != is_v4(y))
		return false;
	unsigned offset = is_v4(x) ? 12 : 0;
	return bits <= (16 - offset) * 8 && same_bits(x + offset, y + offset, bits);
}

bool net_addr_is_private(const struct net_addr *a)
{
	/* IANA special-purpose address registries (RFC 6890 and updates): what is not a public destination. */
	static const struct {
		uint8_t net[16];
		unsigned bits;
	} v6[] = {
		{{0}, 96}, /* ::, ::1, IPv4-compatible */
		{{0x00, 0x64, 0xff, 0x9b, 0, 1}, 48},
		{{0x01}, 64}, /* discard */
		{{0xfc}, 7},  /* unique local */
		{{0xfe, 0x80}, 10},
		{{0xfe, 0xc0}, 10},
		{{0xff}, 8}, /* multicast */
		{{0x20, 0x01, 0x0d, 0xb8}, 32},
		{{0x3f, 0xff}, 20},
		{{0x5f, 0x00}, 16},
	};
	static const struct {
		uint8_t net[4];
		unsigned bits;
	} v4[] = {
		{{0}, 8},         {{10}, 8},       {{100, 64}, 10},      {{127}, 8},
		{{169, 254}, 16}, {{172, 16}, 12}, {{192, 0, 0}, 24},    {{192, 0, 2}, 24},
		{{192, 168}, 16}, {{198, 18}, 15}, {{198, 51, 100}, 24}, {{203, 0, 113}, 24},
		{{224}, 4},       {{240}, 4},
	};
	uint8_t o[16];
	if (!octets(a, o))
		return true;
	if (is_v4(o)) {
		for (size_t i = 0; i < ARRAY_LEN(v4); i++)
			if (same_bits(o + 12, v4[i].net, v4[i].bits))
				return true;
		return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(v6); i++)
		if (same_bits(o, v6[i].net, v6[i].bits))
			return true;
	return false;
}

/* ---- listening ---- */

enum err net_listen(struct loop *l, const struct net_addr *a, unsigned unix_mode, int *ret_fd, struct diag *d)
{
	int fd = l->ops->listen(l, a, unix_mode);
	if (fd >= 0) {
		*ret_fd = fd;
		return ERR_OK;
	}
	CLEANUP(buf_done) struct buf text;
	buf_init(&text, 256);
	net_addr_format(a, &text);
	return diag_set_errno(d, -fd, "%s cannot be listened on", buf_cstr(&text));
}
