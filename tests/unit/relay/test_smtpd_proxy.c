/* PROXY headers of both versions: what is believed, what is refused, and that no split changes it. */
#include "relay/smtpd/proxy.h"

#include "relay/smtpd/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define V2 "\r\n\r\n\0\r\nQUIT\n"

struct row {
	struct slice in;
	enum proxy_result result;
	const char *client; /* OK */
	size_t used;        /* OK, LOCAL */
};
#define ROW(text, ...)                                                                                       \
	{                                                                                                    \
		SLICE_LIT(text), __VA_ARGS__                                                                 \
	}

static const struct row rows[] = {
	ROW("PROXY TCP4 192.0.2.7 192.0.2.1 56324 587\r\nEHLO a\r\n", PROXY_OK, "192.0.2.7:56324", 42),
	ROW("PROXY TCP6 2001:db8::7 2001:db8::1 1 587\r\n", PROXY_OK, "[2001:db8::7]:1", 42),
	ROW("PROXY UNKNOWN\r\n", PROXY_LOCAL, NULL, 15),
	ROW("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\nx", PROXY_LOCAL, NULL, 59),
	ROW("PROXY TCP4 192.0.2.7 192.0.2.1 56324\r\n", PROXY_BAD, NULL, 0),
	ROW("PROXY TCP4 192.0.2.7 192.0.2.1 56324 587 \r\n", PROXY_BAD, NULL, 0),
	ROW("PROXY TCP4  192.0.2.7 192.0.2.1 56324 587\r\n", PROXY_BAD, NULL, 0),
	ROW("PROXY TCP4 2001:db8::7 2001:db8::1 1 587\r\n", PROXY_BAD, NULL, 0),
	ROW("PROXY TCP4 192.0.2.7:25 192.0.2.1 1 587\r\n", PROXY_BAD, NULL, 0),
	ROW("PROXY TCP6 [2001:db8::7] 2001:db8::1 1 587\r\n", PROXY_BAD, NULL, 0),
	ROW("PROXY TCP6 unix:/tmp/x 2001:db8::1 1 587\r\n", PROXY_BAD, NULL, 0),
	ROW("PROXY TCP4 192.0.2.7 192.0.2.1 65536 587\r\n", PROXY_BAD, NULL, 0),
	ROW("PROXY TCP4 192.0.2.7 192.0.2.1 01 587\r\n", PROXY_BAD, NULL, 0),
	ROW("PROXY\r\n", PROXY_BAD, NULL, 0),
	ROW("PROXY TCP5 a b c d\r\n", PROXY_BAD, NULL, 0),
	ROW("EHLO client\r\n", PROXY_BAD, NULL, 0),
	ROW("\x16\x03\x01", PROXY_BAD, NULL, 0),
	ROW(V2 "\x21\x11\0\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\xdc\x04\x02\x4b", PROXY_OK, "192.0.2.7:56324",
	    28),
	ROW(V2 "\x21\x11\0\x0e\xc0\x00\x02\x07\xc0\x00\x02\x01\xdc\x04\x02\x4b\x04\0rest", PROXY_OK,
	    "192.0.2.7:56324", 30),
	ROW(V2 "\x21\x21\0\x24 \1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\7 \1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\x19\2\x4b",
	    PROXY_OK, "[2001:db8::7]:25", 52),
	ROW(V2 "\x20\x00\0\0", PROXY_LOCAL, NULL, 16),
	ROW(V2 "\x21\x31\0\2xx", PROXY_LOCAL, NULL, 18),         /* Unix sockets behind the balancer */
	ROW(V2 "\x21\x11\0\x0bxxxxxxxxxxx", PROXY_BAD, NULL, 0), /* shorter than its addresses */
	ROW(V2 "\x22\x11\0\x0c", PROXY_BAD, NULL, 0),
	ROW(V2 "\x11\x11\0\x0c", PROXY_BAD, NULL, 0),
	ROW(V2 "\x21\x11\xff\xff", PROXY_BAD, NULL, 0),
};

static void check_client(const struct net_addr *client, const char *wanted)
{
	struct buf b;
	buf_init(&b, 100);
	net_addr_format(client, &b);
	assert_string_equal(buf_cstr(&b), wanted);
	buf_done(&b);
}

/* Every beginning of a header asks for more, or is refused already; never is it believed too early. */
static void check_beginnings(const struct row *r)
{
	for (size_t n = 0; n < (r->used ? r->used : r->in.len); n++) {
		struct net_addr client = {.len = 0};
		size_t used = 0;
		enum proxy_result got = proxy_parse(slice_sub(r->in, 0, n), &client, &used);
		assert_true(got == PROXY_MORE || (got == PROXY_BAD && r->result == PROXY_BAD));
	}
}

static void test_rows(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		struct net_addr client = {.len = 0};
		size_t used = 0;
		enum proxy_result got = proxy_parse(r->in, &client, &used);
		if (got != r->result || (r->used && used != r->used))
			fail_msg("row %zu: result %d, %zu octets", i, (int)got, used);
		if (r->client)
			check_client(&client, r->client);
		check_beginnings(r);
	}
}

static void test_endless_line(void **state)
{
	char text[PROXY_LINE_MAX + 1];
	struct net_addr client;
	size_t used;
	memset(text, ' ', sizeof(text));
	memcpy(text, "PROXY TCP4", 10);
	assert_int_equal(proxy_parse(slice_of(text, PROXY_LINE_MAX - 1), &client, &used), PROXY_MORE);
	assert_int_equal(proxy_parse(slice_of(text, PROXY_LINE_MAX), &client, &used), PROXY_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_endless_line)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
