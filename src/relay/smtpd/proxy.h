/* The PROXY protocol, version 1 (text) and 2 (binary), as a load balancer sends it in front of everything else
 * (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt). Pure.
 *
 * Only connections from listed balancers get here (listener key `proxy`): there the header is obligatory, and one that is
 * not well formed ends the connection. The verdict depends on the octets alone, not on how they were cut.
 */
#pragma once

#include "core/slice.h"
#include "evio/net.h"

enum proxy_result {
	PROXY_MORE, /* so far a beginning of a header */
	PROXY_OK,   /* *ret holds the client */
	PROXY_LOCAL, /* the balancer speaks for itself (LOCAL, UNKNOWN, another family): its own address counts */
	PROXY_BAD,
};

/* Reads the header at the front of `in`. OK, LOCAL: *ret_used octets belong to it. */
enum proxy_result proxy_parse(struct slice in, struct net_addr *ret, size_t *ret_used);
