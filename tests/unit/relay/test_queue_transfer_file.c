#include "relay/queue/transfer_file.h"

#include "record/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct buf out;
static struct arena arena;

static int set_up(void **state)
{
	buf_init(&out, TRANSFER_META_MAX);
	arena_init(&arena, 1 << 20);
	return 0;
}

static int tear_down(void **state)
{
	buf_done(&out);
	arena_done(&arena);
	return 0;
}

static void test_head(void **state)
{
	struct transfer_head h = {TRANSFER_MESSAGE, 100, 4ull << 30, 1, 2}, back;
	char octets[TRANSFER_HEAD];

	transfer_head_encode(&h, octets);
	assert_int_equal(transfer_head_decode(octets, &back), ERR_OK);
	assert_memory_equal(&h, &back, sizeof(h));
	for (unsigned i = 0; i < TRANSFER_HEAD * 8; i++) { /* any one bit that flipped */
		octets[i / 8] = (char)(octets[i / 8] ^ 1 << i % 8);
		assert_int_equal(transfer_head_decode(octets, &back), ERR_CORRUPT);
		octets[i / 8] = (char)(octets[i / 8] ^ 1 << i % 8);
	}
}

/* With right checksums, and still not to be believed. */
static void test_head_limits(void **state)
{
	static const struct transfer_head bad[] = {
		{0, 10, 0, 0, 0},
		{TRANSFER_END + 1, 10, 0, 0, 0},
		{TRANSFER_MESSAGE, TRANSFER_META_MAX + 1, 0, 0, 0},
		{TRANSFER_MESSAGE, 10, (4ull << 30) + 1, 0, 0},
		{TRANSFER_BEGIN, 10, 1, 0, 0},
		{TRANSFER_END, 10, 1, 0, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char octets[TRANSFER_HEAD];
		struct transfer_head back;
		transfer_head_encode(&bad[i], octets);
		assert_int_equal(transfer_head_decode(octets, &back), ERR_CORRUPT);
	}
}

static void test_begin(void **state)
{
	struct transfer_begin b = {0x1234, 1795431600000, SLICE_LIT("a.example")}, back;
	struct diag d = {0};

	transfer_begin_encode(&b, &out);
	assert_int_equal(transfer_begin_decode(buf_slice(&out), &back, &d), ERR_OK);
	assert_int_equal(back.export, b.export);
	assert_int_equal(back.time_ms, b.time_ms);
	assert_true(slice_eq(back.host, b.host));
	for (size_t n = 0; n < out.len; n++)
		assert_int_equal(transfer_begin_decode(slice_sub(buf_slice(&out), 0, n), &back, &d),
				 ERR_CORRUPT);
	out.data[16] = 2;
	assert_int_equal(transfer_begin_decode(buf_slice(&out), &back, &d), ERR_UNSUPPORTED);
	assert_string_equal(d.text, "an export of version 2; this relay knows version 1");
	assert_int_equal(transfer_begin_decode(SLICE_LIT("From houston Mon Nov 23 10:00:00 2026"), &back, &d),
			 ERR_CORRUPT);
	assert_string_equal(d.text, "not a file of `tidegate queue export`");
}

static void test_message(void **state)
{
	static const struct transfer_recipient r[] = {
		{RECORD_QUEUED, 0}, {RECORD_DEFERRED, 7}, {RECORD_DELIVERED, 1}};
	struct transfer_message m = {3, SLICE_LIT("envelope"), SLICE_LIT("edits"), 3, r}, back;

	transfer_message_encode(&m, &out);
	assert_int_equal(transfer_message_decode(buf_slice(&out), &arena, &back), ERR_OK);
	assert_int_equal(back.number, 3);
	assert_true(slice_eq(back.envelope, m.envelope));
	assert_true(slice_eq(back.edits, m.edits));
	assert_int_equal(back.count, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(back.recipients[i].state, r[i].state);
		assert_int_equal(back.recipients[i].attempts, r[i].attempts);
	}
	for (size_t n = 0; n < out.len; n++)
		assert_int_equal(transfer_message_decode(slice_sub(buf_slice(&out), 0, n), &arena, &back),
				 ERR_CORRUPT);
	buf_add_char(&out, 0);
	assert_int_equal(transfer_message_decode(buf_slice(&out), &arena, &back), ERR_CORRUPT);
}

static void test_message_that_cannot_be(void **state)
{
	static const struct transfer_recipient done[] = {{RECORD_FAILED, 1}, {RECORD_DELIVERED, 1}};
	static const struct transfer_recipient strange[] = {{RECORD_QUEUED, 0}, {RECORD_REMOVED + 1, 1}};
	static const struct {
		uint32_t count;
		const struct transfer_recipient *r;
	} bad[] = {{2, done}, {2, strange}, {0, done}};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct transfer_message m = {.count = bad[i].count, .recipients = bad[i].r}, back;
		m.envelope = m.edits = SLICE_EMPTY;
		buf_clear(&out);
		transfer_message_encode(&m, &out);
		assert_int_equal(transfer_message_decode(buf_slice(&out), &arena, &back), ERR_CORRUPT);
	}
}

static void test_end(void **state)
{
	struct transfer_end e = {0x1234, 5}, back = {0};

	transfer_end_encode(&e, &out);
	assert_int_equal(transfer_end_decode(buf_slice(&out), &back), ERR_OK);
	assert_int_equal(back.export, 0x1234);
	assert_int_equal(back.messages, 5);
	assert_int_equal(transfer_end_decode(slice_sub(buf_slice(&out), 0, 15), &back), ERR_CORRUPT);
}

static void test_text(void **state)
{
	static const char *const bad[] = {
		"", "1234", "00000000000000000", "0000000000000000", "0123456789abcdeg", "0123456789abcde "};
	char text[TRANSFER_TEXT_MAX];
	uint64_t back;

	transfer_format(0xfeedbeef, text);
	assert_string_equal(text, "00000000feedbeef");
	assert_int_equal(transfer_parse(SLICE_LIT("00000000FEEDbeef"), &back), ERR_OK);
	assert_int_equal(back, 0xfeedbeef);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(transfer_parse(slice_str(bad[i]), &back), ERR_SYNTAX);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_head),
		TEST(test_head_limits),
		TEST(test_begin),
		TEST(test_message),
		TEST(test_message_that_cannot_be),
		TEST(test_end),
		TEST(test_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
