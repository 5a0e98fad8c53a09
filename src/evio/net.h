/* Addresses, listeners and connections. */
#pragma once

#include "core/buf.h"
#include "evio/loop.h"

#include <netinet/in.h>
#include <sys/un.h>

struct net_addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} u;
	socklen_t len; /* 0: none */
};

/* "192.0.2.1:587", "[2001:db8::1]:587", "unix:/path", or without port (port = default_port). Numeric only:
 * names are the resolver's business. ERR_SYNTAX, ERR_RANGE. */
MUST_CHECK enum err net_addr_parse(struct slice text, uint16_t default_port, struct net_addr *ret,
				   struct diag *d);
void net_addr_format(const struct net_addr *a, struct buf *out);    /* the form that net_addr_parse reads */
void net_addr_format_ip(const struct net_addr *a, struct buf *out); /* without brackets and port */
void net_addr_format_literal(const struct net_addr *a,
			     struct buf *out); /* "[192.0.2.1]", "[IPv6:2001:db8::1]" RFC 5321 4.1.3 */
uint16_t net_addr_port(const struct net_addr *a);
void net_addr_set_port(struct net_addr *a, uint16_t port);
bool net_addr_eq(const struct net_addr *a, const struct net_addr *b); /* address and port */
bool net_addr_eq_ip(const struct net_addr *a, const struct net_addr *b);
bool net_addr_is_private(
	const struct net_addr *a); /* loopback, RFC 1918, ULA, link local, unspecified, multicast, ... */
/* First `bits` bits equal? IPv4-mapped IPv6 counts as IPv4. Different families: false. */
bool net_addr_in_prefix(const struct net_addr *a, const struct net_addr *prefix, unsigned bits);

/* A bound, listening, non-blocking, close-on-exec socket. Removes a stale Unix socket that nobody listens on;
 * a Unix socket gets mode `unix_mode`. ERR_PERM, ERR_BUSY (in use), ERR_IO, each with the address in the
 * diag. */
MUST_CHECK enum err net_listen(struct loop *l, const struct net_addr *a, unsigned unix_mode, int *ret_fd,
			       struct diag *d);

struct stream;
struct listener;

/* Accepts on fd, which may be shared with other processes (EPOLLEXCLUSIVE; one accept a wake). on_accept owns
 * the new stream and must set its events before it returns. At EMFILE or ENFILE: on_exhausted is called (at
 * most once a second), accepting pauses for 100 ms and goes on by itself. The listener owns fd. */
struct listener_events {
	void (*on_accept)(void *ctx, struct stream *s);
	void (*on_exhausted)(void *ctx, enum err e); /* may be NULL */
};
MUST_CHECK enum err listener_new(struct loop *l, int fd, const struct listener_events *ev, void *ctx,
				 struct listener **ret, struct diag *d);
void listener_pause(struct listener *li, bool paused);
void listener_free(struct listener *li); /* closes fd */
