/* libunbound behind struct dns_lookup, against a small name server on 127.0.0.1 that runs on the same loop. */
#include "dns/resolver.h"

#include "dns_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define WAIT_MS 20000 /* no answer takes longer */

static const struct dns_server_record records[] = {
	{"mx.test", DNS_MX, DNS_SERVER_OK, 300,
	 DNS_SERVER_DATA("\0\12\1a\xc0\x0c")}, /* a.<the question's name>, compressed */
	{"mx.test", DNS_MX, DNS_SERVER_OK, 300, DNS_SERVER_DATA("\0\24\1b\4test\0")},
	{"a.mx.test", DNS_A, DNS_SERVER_OK, 2, DNS_SERVER_DATA("\300\0\2\1")},
	{"a.mx.test", DNS_AAAA, DNS_SERVER_OK, 200000,
	 DNS_SERVER_DATA("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1")},
	{"empty.test", DNS_A, DNS_SERVER_OK, 60, NULL, 0},
	{"gone.test", DNS_A, DNS_SERVER_NXDOMAIN, 60, NULL, 0},
	{"broken.test", DNS_A, DNS_SERVER_SERVFAIL, 60, NULL, 0},
	{"silent.test", DNS_A, DNS_SERVER_SILENT, 60, NULL, 0},
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
	struct dns_server srv;
	struct resolver *r;
	struct dns_lookup lookup;
};

/* ---- the bench ---- */

static void open_resolver(struct bench *b, uint64_t timeout_ms)
{
	char forward[32];
	struct diag d = {0};
	snprintf(forward, sizeof(forward), "127.0.0.1:%u", b->srv.port);
	const struct slice list = slice_str(forward);
	const struct resolver_options o = {.forward = &list,
					   .forward_count = 1,
					   .timeout_ms = timeout_ms,
					   .trust_anchor = SLICE_LIT("; nothing is signed here\n")};
	if (resolver_new(b->loop, &o, &b->r, &d) != ERR_OK)
		fail_msg("%s", d.text);
	b->lookup = resolver_lookup(b->r);
}

static int setup(void **state)
{
	static struct bench b;
	b = (struct bench){0};
	assert_int_equal(loop_epoll_new(&b.loop, NULL), ERR_OK);
	dns_server_start(&b.srv, b.loop, records, ARRAY_LEN(records));
	*state = &b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;
	resolver_free(b->r);
	dns_server_stop(&b->srv);
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
