/* The Received field: its form, and that no value breaks out of it. */
#include "mail/received.h"

#include "mail/header.h"

#include "../unit.h"

#include <string.h>

static const struct received full = {
	.helo = {"web1.example.net", 16},
	.client = {"192.0.2.7", 9},
	.hostname = {"relay.example.net", 17},
	.protocol = {"ESMTPSA", 7},
	.id = {"2-1f3a", 6},
	.tls = {"TLSv1.3 TLS_AES_256_GCM_SHA384", 30},
	.server = {"houston", 7},
	.recipient = {"bob@dest.example", 16},
	.time_ms = 1795450801000,
};

static void test_full(void **state)
{
	CLEANUP(buf_done) struct buf out;
	buf_init(&out, RECEIVED_MAX);
	received_format(&full, &out);
	assert_buf(&out, "Received: from web1.example.net ([192.0.2.7]) by relay.example.net\r\n"
			 "\twith ESMTPSA id 2-1f3a\r\n"
			 "\t(using TLSv1.3 TLS_AES_256_GCM_SHA384, authenticated as houston)\r\n"
			 "\tfor <bob@dest.example>; Mon, 23 Nov 2026 16:20:01 +0000\r\n");
}

static void test_least(void **state)
{
	CLEANUP(buf_done) struct buf out;
	struct received r = {.helo = SLICE_LIT("x"),
			     .client = SLICE_EMPTY,
			     .hostname = SLICE_LIT("r"),
			     .protocol = SLICE_LIT("SMTP")};
	buf_init(&out, RECEIVED_MAX);
	received_format(&r, &out);
	assert_buf(&out, "Received: from x ([local]) by r with SMTP; Thu, 01 Jan 1970 00:00:00 +0000\r\n");
	r.client = SLICE_LIT("2001:db8::7");
	buf_clear(&out);
	received_format(&r, &out);
	assert_true(slice_find_slice(buf_slice(&out), SLICE_LIT("([IPv6:2001:db8::7])")) != SLICE_NPOS);
}

/* Whatever a client said: one field, ASCII without controls, comments that close, lines within RFC 5322 2.1.1. */
static void test_hostile_values(void **state)
{
	uint64_t seed = 3;
	for (int i = 0; i < 2000; i++) {
		CLEANUP(buf_done) struct buf out;
		char junk[300];
		struct header_field f;
		struct received r = full;
		struct slice *values[] = {&r.helo, &r.client, &r.tls, &r.server, &r.recipient};
		for (size_t k = 0; k < sizeof(junk); k++)
			junk[k] = (char)(unit_below(&seed, 4) ? "\r\n ()\\\"<>;,"[unit_below(&seed, 11)]
							      : (int)unit_random(&seed));
		*values[i % 5] = slice_of(junk, unit_below(&seed, sizeof(junk)));
		buf_init(&out, RECEIVED_MAX);
		received_format(&r, &out);
		buf_add_str(&out, "\r\n");
		struct header_iter it = header_iter_of(buf_slice(&out));
		assert_true(header_next(&it, &f) && !f.malformed);
		assert_int_equal(f.raw.len, out.len - 2);
		assert_false(header_next(&it, &f));
		int depth = 0;
		size_t line = 0;
		for (size_t k = 0; k < out.len; k++) {
			unsigned char c = (unsigned char)out.data[k];
			depth += (c == '(') - (c == ')');
			assert_true(depth == 0 || depth == 1);
			assert_true((c >= ' ' && c <= '~') || c == '\r' || c == '\n' || c == '\t');
			line = c == '\n' ? 0 : line + 1;
			assert_true(line <= 1000);
		}
		assert_int_equal(depth, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_least),
		cmocka_unit_test(test_hostile_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
