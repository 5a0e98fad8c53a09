/* libunbound behind struct dns_lookup, against a small name server on 127.0.0.1 that runs on the same loop. */
#include "dns/resolver.h"

#include "core/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS    20000 /* no answer takes longer */
#define HEADER_LEN 12u

enum { RCODE_OK = 0, RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3, SILENT = 100 };

struct record {
	const char *name;
	uint16_t type;
	int rcode;
	uint32_t ttl;
	const char *data; /* as on the wire; names compressed or not */
	size_t len;
};

#define DATA(s) s, sizeof(s) - 1
static const struct record records[] = {
	{"mx.test", DNS_MX, RCODE_OK, 300,
	 DATA("\0\12\1a\xc0\x0c")}, /* a.<the question's name>, compressed */
	{"mx.test", DNS_MX, RCODE_OK, 300, DATA("\0\24\1b\4test\0")},
	{"a.mx.test", DNS_A, RCODE_OK, 2, DATA("\300\0\2\1")},
	{"a.mx.test", DNS_AAAA, RCODE_OK, 200000, DATA("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1")},
	{"empty.test", DNS_A, RCODE_OK, 60, NULL, 0},
	{"gone.test", DNS_A, RCODE_NXDOMAIN, 60, NULL, 0},
	{"broken.test", DNS_A, RCODE_SERVFAIL, 60, NULL, 0},
	{"silent.test", DNS_A, SILENT, 60, NULL, 0},
};

struct server {
	int fd;
	uint16_t port;
	unsigned questions;
};

struct answer {
	bool done;
	enum dns_status status;
	bool secure;
	uint32_t ttl_s, count;
	size_t len[4];
	char data[4][64];
	char text[256];
};

struct bench {
	struct loop *loop;
	struct server srv;
	struct resolver *r;
	struct dns_lookup lookup;
};

/* ---- the name server ---- */

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

static void respond(struct bench *b, const uint8_t *q, size_t len, const struct sockaddr_in *from)
{
	char name[256] = "";
	size_t qlen = question_name(q + HEADER_LEN, len - HEADER_LEN, name, sizeof(name));
	unsigned type = (unsigned)q[HEADER_LEN + qlen - 4] << 8 | q[HEADER_LEN + qlen - 3];
	int rcode = RCODE_NXDOMAIN;
	unsigned count = 0;
	CLEANUP(buf_done) struct buf body, out;
	buf_init(&body, 2000);
	buf_init(&out, 4000);
	for (size_t i = 0; i < ARRAY_LEN(records); i++) {
		if (strcmp(records[i].name, name) != 0)
			continue;
		rcode = records[i].type == type   ? records[i].rcode
			: rcode == RCODE_NXDOMAIN ? RCODE_OK
						  : rcode;
		if (records[i].type != type || !records[i].data)
			continue;
		count++;
		put16(&body, 0xc00c);
		put16(&body, type);
		put16(&body, 1);
		put32(&body, records[i].ttl);
		put16(&body, (unsigned)records[i].len);
		buf_add_mem(&body, records[i].data, records[i].len);
	}
	if (rcode == SILENT)
		return;
	buf_add_mem(&out, q, 2);
	put16(&out, 0x8180u | (unsigned)rcode);
	put16(&out, 1);
	put16(&out, count);
	put16(&out, count == 0 && rcode != RCODE_SERVFAIL);
	put16(&out, 0);
	buf_add_mem(&out, q + HEADER_LEN, qlen);
	buf_add(&out, buf_slice(&body));
	if (count == 0 && rcode != RCODE_SERVFAIL)
		add_soa(&out);
	(void)!sendto(b->srv.fd, out.data, out.len, 0, (const struct sockaddr *)from, sizeof(*from));
}

static void on_question(void *ctx)
{
	struct bench *b = ctx;
	uint8_t q[1500];
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(b->srv.fd, q, sizeof(q), MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
	if (n <= (ssize_t)HEADER_LEN + 5)
		return;
	b->srv.questions++;
	respond(b, q, (size_t)n, &from);
}

static void server_start(struct bench *b)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	b->srv.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(b->srv.fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(b->srv.fd, (struct sockaddr *)&a, &len), 0);
	b->srv.port = ntohs(a.sin_port);
	assert_int_equal(loop_watch_readable(b->loop, b->srv.fd, on_question, b), ERR_OK);
}

/* ---- the bench ---- */

static void open_resolver(struct bench *b, uint64_t timeout_ms)
{
	char forward[32];
	struct diag d = {0};
	snprintf(forward, sizeof(forward), "127.0.0.1:%u", b->srv.port);
	const struct slice list = slice_str(forward);
	const struct resolver_options o = {
		.forward = &list, .forward_count = 1, .timeout_ms = timeout_ms, .no_validation = true};
	if (resolver_new(b->loop, &o, &b->r, &d) != ERR_OK)
		fail_msg("%s", d.text);
	b->lookup = resolver_lookup(b->r);
}

static int setup(void **state)
{
	static struct bench b;
	b = (struct bench){0};
	assert_int_equal(loop_epoll_new(&b.loop, NULL), ERR_OK);
	server_start(&b);
	*state = &b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;
	resolver_free(b->r);
	assert_int_equal(loop_watch_readable(b->loop, b->srv.fd, NULL, NULL), ERR_OK);
	close(b->srv.fd);
	loop_free(b->loop);
	return 0;
}

static void on_answer(void *ctx, const struct dns_answer *a)
{
	struct answer *got = ctx;
	assert_false(got->done);
	*got = (struct answer){
		.done = true, .status = a->status, .secure = a->secure, .ttl_s = a->ttl_s, .count = a->count};
	for (uint32_t i = 0; i < a->count && i < 4; i++) {
		got->len[i] = a->records[i].len;
		memcpy(got->data[i], a->records[i].ptr, MIN(a->records[i].len, sizeof(got->data[i])));
	}
	snprintf(got->text, sizeof(got->text), "%.*s", SLICE_ARG(a->text));
}

static void ask(struct bench *b, const char *name, enum dns_type type, struct answer *got,
		uint64_t *ret_query)
{
	struct diag d = {0};
	*got = (struct answer){0};
	enum err e = b->lookup.ask(b->lookup.self, slice_str(name), type, on_answer, got, ret_query, &d);
	if (e)
		fail_msg("%s", d.text);
	assert_false(got->done);
}

static void wait_for(struct bench *b, const struct answer *got)
{
	uint64_t end = loop_now(b->loop) + WAIT_MS;
	while (!got->done) {
		loop_turn(b->loop, 100);
		assert_true(loop_now(b->loop) < end);
	}
}

static void ask_and_wait(struct bench *b, const char *name, enum dns_type type, struct answer *got)
{
	uint64_t query;
	ask(b, name, type, got, &query);
	wait_for(b, got);
}

/* ---- tests ---- */

static void test_records(void **state)
{
	struct bench *b = *state;
	struct answer got;
	open_resolver(b, 5000);
	ask_and_wait(b, "mx.test", DNS_MX, &got);
	assert_int_equal(got.status, DNS_OK);
	assert_int_equal(got.count, 2);
	assert_int_equal(got.ttl_s, 300);
	assert_false(got.secure);
	/* names come uncompressed, in whatever order */
	unsigned compressed = got.len[0] == 13 ? 0 : 1;
	assert_int_equal(got.len[compressed], 13);
	assert_memory_equal(got.data[compressed], "\0\12\1a\2mx\4test\0", 13);
	ask_and_wait(b, "a.mx.test", DNS_A, &got);
	assert_int_equal(got.count, 1);
	assert_memory_equal(got.data[0], "\300\0\2\1", 4);
	assert_int_equal(got.ttl_s, DNS_TTL_MIN);
	ask_and_wait(b, "a.mx.test", DNS_AAAA, &got);
	assert_int_equal(got.len[0], 16);
	assert_int_equal(got.ttl_s, DNS_TTL_MAX);
	assert_int_equal(resolver_pending(b->r), 0);
}

static void test_nothing(void **state)
{
	static const struct {
		const char *name;
		enum dns_status status;
	} rows[] = {
		{"empty.test", DNS_NODATA},
		{"gone.test", DNS_NXDOMAIN},
		{"broken.test", DNS_TEMPORARY},
	};
	struct bench *b = *state;
	open_resolver(b, 10000);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct answer got;
		ask_and_wait(b, rows[i].name, DNS_A, &got);
		if (got.status != rows[i].status)
			fail_msg("%s: %s (%s)", rows[i].name, dns_status_name(got.status), got.text);
		assert_int_equal(got.count, 0);
		assert_true(got.text[0] && got.ttl_s >= DNS_TTL_MIN);
	}
}

static void test_cached(void **state)
{
	struct bench *b = *state;
	struct answer got;
	open_resolver(b, 5000);
	ask_and_wait(b, "mx.test", DNS_MX, &got);
	unsigned questions = b->srv.questions;
	ask_and_wait(b, "MX.test", DNS_MX, &got);
	assert_int_equal(got.count, 2);
	assert_int_equal(b->srv.questions, questions);
}

static void test_time_out(void **state)
{
	struct bench *b = *state;
	struct answer got;
	open_resolver(b, 300);
	ask_and_wait(b, "silent.test", DNS_A, &got);
	assert_int_equal(got.status, DNS_TEMPORARY);
	assert_string_equal(got.text, "no answer in time");
	assert_int_equal(resolver_pending(b->r), 0);
}

static void test_many_at_once(void **state)
{
	struct bench *b = *state;
	static struct answer got[200];
	uint64_t query;
	open_resolver(b, 10000);
	for (size_t i = 0; i < ARRAY_LEN(got); i++) {
		static const char *const names[] = {"mx.test", "gone.test", "a.mx.test", "empty.test"};
		ask(b, names[i % 4], i % 4 ? DNS_A : DNS_MX, &got[i], &query);
	}
	for (size_t i = 0; i < ARRAY_LEN(got); i++)
		wait_for(b, &got[i]);
	for (size_t i = 0; i < ARRAY_LEN(got); i++)
		assert_int_equal(got[i].status,
				 ((enum dns_status[]){DNS_OK, DNS_NXDOMAIN, DNS_OK, DNS_NODATA})[i % 4]);
}

static void test_cancel_and_free(void **state)
{
	struct bench *b = *state;
	struct answer cancelled, kept, dropped;
	uint64_t query;
	open_resolver(b, 10000);
	ask(b, "silent.test", DNS_A, &dropped, &query);
	ask(b, "mx.test", DNS_MX, &cancelled, &query);
	b->lookup.cancel(b->lookup.self, query);
	b->lookup.cancel(b->lookup.self, query); /* it is gone: nothing happens */
	ask(b, "mx.test", DNS_MX, &kept, &query);
	wait_for(b, &kept);
	assert_false(cancelled.done);
	assert_int_equal(resolver_pending(b->r), 1);
	/* teardown frees it with one question under way */
}

static void test_bad_options(void **state)
{
	struct bench *b = *state;
	struct diag d = {0};
	struct slice forward = SLICE_LIT("not an address");
	struct resolver_options o = {.forward = &forward, .forward_count = 1};
	struct resolver *r = NULL;
	assert_int_not_equal(resolver_new(b->loop, &o, &r, &d), ERR_OK);
	assert_non_null(strstr(d.text, "not an address"));
	o = (struct resolver_options){.trust_anchor = SLICE_LIT("; comment\n. IN DS what\n")};
	assert_int_not_equal(resolver_new(b->loop, &o, &r, &d), ERR_OK);
	assert_null(r);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_records),     TEST(test_nothing),      TEST(test_cached),
		TEST(test_time_out),    TEST(test_many_at_once), TEST(test_cancel_and_free),
		TEST(test_bad_options),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
