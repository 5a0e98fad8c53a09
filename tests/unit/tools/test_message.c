/* What smtpload sends: patterns, exact sizes, and lines that need no dot-stuffing wherever the body is cut. */
#include "smtpload/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void expands(const char *pattern, uint64_t seq, uint32_t rcpt, const char *to)
{
	CLEANUP(buf_done) struct buf out = {.max = 256};
	pattern_expand(&out, pattern, seq, rcpt);
	assert_string_equal(buf_cstr(&out), to);
}

static void test_patterns(void **state)
{
	expands("plain@x", 1, 2, "plain@x");
	expands("u%d@x", 0, 9, "u0@x");
	expands("%d.%r.%d", 100000000, 4294967295u, "100000000.4294967295.100000000");
	expands("100%%@x%%", 1, 2, "100%@x%");
	expands("", 1, 2, "");
	expands("%d", UINT64_MAX, 0, "18446744073709551615");
}

static struct load_options options(uint64_t size)
{
	return (struct load_options){.sizes = {size}, .size_count = 1, .from = "s%d@x", .to = "r%d@y"};
}

/* Header and body of message `seq` in one piece. */
static void make(const struct load_options *o, uint64_t seq, struct buf *out)
{
	struct content c = {.run = 0};
	assert_int_equal(content_init(&c, o, 77, 0), ERR_OK);
	struct slice body = content_of(&c, o, seq, out);
	buf_add(out, body);
	content_done(&c);
	assert_int_equal(out->failed, ERR_OK);
}

static void assert_lines(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '\n')
			assert_true(i > 0 && s.ptr[i - 1] == '\r');
		if (s.ptr[i] == '\r')
			assert_true(i + 1 < s.len && s.ptr[i + 1] == '\n');
		if (s.ptr[i] == '.')
			assert_true(i > 0 && s.ptr[i - 1] != '\n');
	}
	assert_true(slice_ends(s, SLICE_LIT("\r\n")));
}

/* Two lines' worth of sizes: every place where the body can be cut. */
static void test_sizes_are_exact(void **state)
{
	for (uint64_t size = 400; size < 400 + 160; size++) {
		CLEANUP(buf_done) struct buf out = {.max = 4096};
		struct load_options o = options(size);
		make(&o, 5, &out);
		assert_int_equal(out.len, size);
		assert_lines(buf_slice(&out));
	}
}

static void test_header(void **state)
{
	CLEANUP(buf_done) struct buf out = {.max = 4096};
	struct load_options o = options(1);
	make(&o, 123, &out);
	struct slice s = buf_slice(&out);
	assert_true(slice_starts(s, SLICE_LIT("X-Smtpload: 77 123\r\nFrom: <s123@x>\r\nTo: <r123@y>\r\n"
					      "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n")));
	assert_true(slice_ends(s, SLICE_LIT("\r\n\r\n")));
	assert_lines(s);
}

/* A body of one octet cannot be a line: such a message ends with its header. */
static void test_smaller_than_the_header(void **state)
{
	CLEANUP(buf_done) struct buf bare = {.max = 4096};
	struct load_options o = options(0);
	make(&o, 5, &bare);
	for (uint64_t more = 0; more < 4; more++) {
		CLEANUP(buf_done) struct buf out = {.max = 4096};
		o = options(bare.len + more);
		make(&o, 5, &out);
		assert_int_equal(out.len, bare.len + (more < 2 ? 0 : more));
		assert_lines(buf_slice(&out));
	}
}

static void test_sizes_in_turn(void **state)
{
	struct load_options o = options(500);
	o.sizes[1] = 9000;
	o.size_count = 2;
	for (uint64_t seq = 0; seq < 4; seq++) {
		CLEANUP(buf_done) struct buf out = {.max = 16384};
		make(&o, seq, &out);
		assert_int_equal(out.len, seq % 2 ? 9000 : 500);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),      cmocka_unit_test(test_sizes_are_exact),
		cmocka_unit_test(test_header),        cmocka_unit_test(test_smaller_than_the_header),
		cmocka_unit_test(test_sizes_in_turn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
