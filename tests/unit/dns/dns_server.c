#include "dns_server.h"

#include "core/buf.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define HEADER_LEN 12u

static void put16(struct buf *out, unsigned v)
{
	buf_add_u8(out, (uint8_t)(v >> 8));
	buf_add_u8(out, (uint8_t)v);
}

static void put32(struct buf *out, uint32_t v)
{
	put16(out, v >> 16);
	put16(out, v & 0xffff);
}

/* The question's name as text; returns the length of the question section. */
static size_t question_name(const uint8_t *q, size_t len, char *text, size_t size)
{
	size_t at = 0, used = 0;
	while (at < len && q[at]) {
		used += (size_t)snprintf(text + used, size - used, "%s%.*s", used ? "." : "", q[at],
					 (const char *)q + at + 1);
		at += q[at] + 1u;
	}
	for (char *c = text; *c; c++)
		*c |= 0x20; /* upper case comes from nowhere, but costs nothing */
	return at + 5;
}

static void add_soa(struct buf *out)
{
	buf_add_mem(out, "\4test\0\0\6\0\1\0\0\0\74\0\32\1n\0\1h\0", 22);
	for (int i = 0; i < 5; i++)
		put32(out, 60);
}

static void respond(struct dns_server *s, const uint8_t *q, size_t len, const struct sockaddr_in *from)
{
	char name[256] = "";
	size_t qlen = question_name(q + HEADER_LEN, len - HEADER_LEN, name, sizeof(name));
	unsigned type = (unsigned)q[HEADER_LEN + qlen - 4] << 8 | q[HEADER_LEN + qlen - 3];
	int rcode = DNS_SERVER_NXDOMAIN;
	unsigned count = 0;
	CLEANUP(buf_done) struct buf body, out;
	buf_init(&body, 2000);
	buf_init(&out, 4000);
	for (size_t i = 0; i < s->count; i++) {
		if (strcmp(s->records[i].name, name) != 0)
			continue;
		rcode = s->records[i].type == type     ? s->records[i].rcode
			: rcode == DNS_SERVER_NXDOMAIN ? DNS_SERVER_OK
						       : rcode;
		if (s->records[i].type != type || !s->records[i].data)
			continue;
		count++;
		put16(&body, 0xc00c);
		put16(&body, type);
		put16(&body, 1);
		put32(&body, s->records[i].ttl);
		put16(&body, (unsigned)s->records[i].len);
		buf_add_mem(&body, s->records[i].data, s->records[i].len);
	}
	if (rcode == DNS_SERVER_SILENT)
		return;
	buf_add_mem(&out, q, 2);
	put16(&out, 0x8180u | (unsigned)rcode);
	put16(&out, 1);
	put16(&out, count);
	put16(&out, count == 0 && rcode != DNS_SERVER_SERVFAIL);
	put16(&out, 0);
	buf_add_mem(&out, q + HEADER_LEN, qlen);
	buf_add(&out, buf_slice(&body));
	if (count == 0 && rcode != DNS_SERVER_SERVFAIL)
		add_soa(&out);
	(void)!sendto(s->fd, out.data, out.len, 0, (const struct sockaddr *)from, sizeof(*from));
}

static void on_question(void *ctx)
{
	struct dns_server *s = ctx;
	uint8_t q[1500];
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(s->fd, q, sizeof(q), MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
	if (n <= (ssize_t)HEADER_LEN + 5)
		return;
	s->questions++;
	respond(s, q, (size_t)n, &from);
}

void dns_server_start(struct dns_server *s, struct loop *l, const struct dns_server_record *records,
		      size_t count)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	*s = (struct dns_server){.loop = l, .records = records, .count = count};
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ASSERT(bind(s->fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	ASSERT(getsockname(s->fd, (struct sockaddr *)&a, &len) == 0);
	s->port = ntohs(a.sin_port);
	ASSERT(loop_watch_readable(l, s->fd, on_question, s) == ERR_OK);
}

void dns_server_stop(struct dns_server *s)
{
	ASSERT(loop_watch_readable(s->loop, s->fd, NULL, NULL) == ERR_OK);
	base_close(&s->fd);
}
