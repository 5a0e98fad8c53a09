/* A small name server on 127.0.0.1 that runs on the caller's loop: answers from a table, over UDP, signs nothing. */
#pragma once

#include "dns/lookup.h"
#include "evio/loop.h"

enum { DNS_SERVER_OK = 0, DNS_SERVER_SERVFAIL = 2, DNS_SERVER_NXDOMAIN = 3, DNS_SERVER_SILENT = 100 };

struct dns_server_record {
	const char *name;
	uint16_t type;
	int rcode;
	uint32_t ttl;
	const char *data; /* as on the wire; names compressed or not; NULL: there is none */
	size_t len;
};
#define DNS_SERVER_DATA(s) s, sizeof(s) - 1

struct dns_server {
	struct loop *loop;
	const struct dns_server_record *records;
	size_t count;
	int fd;
	uint16_t port;
	unsigned questions;
};

void dns_server_start(struct dns_server *s, struct loop *l, const struct dns_server_record *records,
		      size_t count);
void dns_server_stop(struct dns_server *s);
