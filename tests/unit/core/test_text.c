/* Codecs both ways, what strict decoding refuses, UTF-8 at its borders, log values that cannot forge a line. */
#include "core/text.h"

#include "core/mem.h"

#include "../unit.h"

#include <string.h>

static void test_base64_vectors(void **state)
{
	static const char *const vectors[][2] = {{"", ""},
						 {"f", "Zg=="},
						 {"fo", "Zm8="},
						 {"foo", "Zm9v"},
						 {"foob", "Zm9vYg=="},
						 {"fooba", "Zm9vYmE="},
						 {"foobar", "Zm9vYmFy"}}; /* RFC 4648 10 */
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		CLEANUP(buf_done) struct buf b, back;
		buf_init(&b, 100);
		buf_init(&back, 100);
		base64_encode(&b, slice_str(vectors[i][0]));
		assert_buf(&b, vectors[i][1]);
		assert_int_equal(base64_decode(&back, buf_slice(&b)), ERR_OK);
		assert_buf(&back, vectors[i][0]);
	}
}

static void test_base64_strict(void **state)
{
	static const char *const bad[] = {"Zg",    "Zg=",      "Zg===",  "Z===", "====",
					  "=Zg=",  "Zm9v=",    "Zh==",   "Zm9=", "Zm9v ",
					  "Zm 9v", "Zg==Zg==", "Zm9v\n", "Zm-_", "Zm9vZ"};
	CLEANUP(buf_done) struct buf b;
	buf_init(&b, 100);
	buf_add_str(&b, "kept");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(base64_decode(&b, slice_str(bad[i])), ERR_SYNTAX);
		assert_buf(&b, "kept");
	}
}

static void test_decoders_keep_to_the_limit(void **state)
{
	CLEANUP(buf_done) struct buf b;
	buf_init(&b, 5);
	assert_int_equal(base64_decode(&b, S("Zm9vYmFy")), ERR_LIMIT);
	assert_int_equal(b.len, 0);
	buf_clear(&b);
	assert_int_equal(hex_decode(&b, S("010203040506")), ERR_LIMIT);
	assert_int_equal(b.len, 0);
}

static void test_random_round_trips(void **state)
{
	uint64_t rng = 3;
	for (int round = 0; round < 300; round++) {
		CLEANUP(buf_done) struct buf in, text, out;
		buf_init(&in, 100);
		buf_init(&text, 300);
		buf_init(&out, 200);
		for (uint32_t n = unit_below(&rng, 60); n > 0; n--)
			buf_add_u8(&in, (uint8_t)unit_random(&rng));
		base64_encode(&text, buf_slice(&in));
		assert_int_equal(base64_decode(&out, buf_slice(&text)), ERR_OK);
		buf_clear(&text);
		hex_encode(&text, buf_slice(&in));
		assert_int_equal(hex_decode(&out, buf_slice(&text)), ERR_OK);
		assert_int_equal(out.len, 2 * in.len);
		assert_true(slice_eq(slice_sub(buf_slice(&out), 0, in.len), buf_slice(&in)));
		assert_true(slice_eq(slice_from(buf_slice(&out), in.len), buf_slice(&in)));
	}
}

static void test_hex(void **state)
{
	CLEANUP(buf_done) struct buf b;
	buf_init(&b, 100);
	hex_encode(&b, S("\x00\xff\x1a"));
	assert_buf(&b, "00ff1a");
	buf_clear(&b);
	assert_int_equal(hex_decode(&b, S("4aBC")), ERR_OK);
	assert_buf(&b, "J\xbc");
	assert_int_equal(hex_decode(&b, S("4")), ERR_SYNTAX);
	assert_int_equal(hex_decode(&b, S("4142g0")), ERR_SYNTAX);
	assert_buf(&b, "J\xbc");
}

/* Every scalar value encodes, decodes to itself, and one octet less is malformed. */
static void test_utf8_all_scalars(void **state)
{
	CLEANUP(buf_done) struct buf b;
	buf_init(&b, 8);
	for (uint32_t cp = 0; cp <= 0x10ffff; cp += cp < 0x3000 ? 1 : 97) {
		uint32_t got = 0;
		bool surrogate = cp >= 0xd800 && cp <= 0xdfff;
		buf_clear(&b);
		utf8_put(&b, cp);
		if (utf8_next(buf_slice(&b), &got) != b.len || got != (surrogate ? 0xfffd : cp))
			fail_msg("U+%04X", cp);
		if (b.len > 1 && utf8_next(slice_sub(buf_slice(&b), 0, b.len - 1), NULL) != 0)
			fail_msg("U+%04X cut", cp);
	}
}

static void test_utf8_lengths(void **state)
{
	assert_int_equal(utf8_next(S("\x7f"), NULL), 1);
	assert_int_equal(utf8_next(S("\xc2\x80"), NULL), 2);
	assert_int_equal(utf8_next(S("\xdf\xbf"), NULL), 2);
	assert_int_equal(utf8_next(S("\xe0\xa0\x80"), NULL), 3);
	assert_int_equal(utf8_next(S("\xef\xbf\xbf"), NULL), 3);
	assert_int_equal(utf8_next(S("\xf0\x90\x80\x80"), NULL), 4);
	assert_int_equal(utf8_next(S("\xf4\x8f\xbf\xbf"), NULL), 4);
	CLEANUP(buf_done) struct buf b;
	buf_init(&b, 8);
	utf8_put(&b, 0x110000);
	assert_buf(&b, "\xef\xbf\xbd");
}

static void test_utf8_malformed(void **state)
{
	static const char *const bad[] = {
		"\x80",     /* alone */
		"\xc0\x80", /* overlong forms */
		"\xc1\xbf",
		"\xe0\x9f\xbf",
		"\xf0\x8f\xbf\xbf",
		"\xed\xa0\x80",
		"\xed\xbf\xbf", /* surrogates */
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xff", /* past U+10FFFF */
		"\xc3",
		"\xe2\x82",
		"\xf0\x9f\x98", /* cut */
		"\xc3(",
		"\xe2(\x82",
		"\xe2\x82(",
		"\xf0\x9f\x98(",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(utf8_next(slice_str(bad[i]), NULL), 0);
		assert_false(utf8_valid(slice_str(bad[i])));
	}
	assert_int_equal(utf8_next(SLICE_EMPTY, NULL), 0);
	assert_true(utf8_valid(S("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\0")));
	assert_true(utf8_valid(SLICE_EMPTY));
}

static void test_width(void **state)
{
	assert_int_equal(utf8_width(S("abc")), 3);
	assert_int_equal(utf8_width(S("gr\xc3\xbc\xc3\x9f")), 4);
	assert_int_equal(utf8_width(S("\xe6\x97\xa5\xe6\x9c\xac")), 4);
	assert_int_equal(utf8_width(S("e\xcc\x81")), 1);
	assert_int_equal(utf8_width(S("\xff\xfe")), 2);
	assert_int_equal(utf8_width(SLICE_EMPTY), 0);
}

static void quoted(const char *want, struct slice in)
{
	CLEANUP(buf_done) struct buf b;
	buf_init(&b, 200);
	text_quote(&b, in);
	assert_buf(&b, want);
}

static void test_quote(void **state)
{
	quoted("plain-value_1.2:3/<x>", S("plain-value_1.2:3/<x>"));
	quoted("\"\"", SLICE_EMPTY);
	quoted("\"a b\"", S("a b"));
	quoted("\"a=b\"", S("a=b"));
	quoted("\"a\\\"b\\\\c\"", S("a\"b\\c"));
	quoted("\"x\\r\\n\\ty\"", S("x\r\n\ty"));
	quoted("\"\\x00\\x1B\\x7F\"", S("\0\x1b\x7f"));
	quoted("\"gr\xc3\xbc\xc3\x9f\"", S("gr\xc3\xbc\xc3\x9f"));
	quoted("\"\\xFF\\xC3(\"", S("\xff\xc3("));
	quoted("\"\\xC2\\x85\"", S("\xc2\x85"));                /* NEL, a C1 control */
	quoted("\"\\xE2\\x80\\xA8\"", S("\xe2\x80\xa8"));       /* line separator */
	quoted("\"\\xE2\\x80\\xAEtxt\"", S("\xe2\x80\xaetxt")); /* right-to-left override */
	quoted("\"\\xE2\\x81\\xA6\"", S("\xe2\x81\xa6"));       /* isolate */
}

/* Whatever goes in: no control, no quote but escaped ones, valid UTF-8. */
static void test_quote_cannot_be_forged(void **state)
{
	uint64_t rng = 5;
	for (int round = 0; round < 2000; round++) {
		char raw[12];
		CLEANUP(buf_done) struct buf b;
		buf_init(&b, 200);
		uint32_t n = unit_below(&rng, sizeof(raw)) + 1;
		for (uint32_t i = 0; i < n; i++)
			raw[i] = (char)unit_random(&rng);
		text_quote(&b, slice_of(raw, n));
		struct slice s = buf_slice(&b);
		assert_true(utf8_valid(s));
		assert_false(slice_has_control(s));
		bool in_quotes = s.ptr[0] == '"';
		for (size_t i = 1; in_quotes && i + 1 < s.len; i++) {
			assert_int_not_equal(s.ptr[i], '"');
			if (s.ptr[i] == '\\')
				i++;
		}
		if (!in_quotes)
			assert_true(slice_find(s, ' ') == SLICE_NPOS && slice_find(s, '=') == SLICE_NPOS);
	}
}

static void test_sizes(void **state)
{
	uint64_t v = 1;
	assert_int_equal(text_parse_size(S("50M"), &v), ERR_OK);
	assert_int_equal(v, 50 << 20);
	assert_int_equal(text_parse_size(S("17"), &v), ERR_OK);
	assert_int_equal(v, 17);
	assert_int_equal(text_parse_size(S("16777215T"), &v), ERR_OK);
	assert_true(v == 16777215ull << 40);
	assert_int_equal(text_parse_size(S("16777216T"), &v), ERR_RANGE);
	assert_int_equal(text_parse_size(S("5m"), &v), ERR_SYNTAX);
	assert_int_equal(text_parse_size(S("M"), &v), ERR_SYNTAX);
	assert_int_equal(text_parse_size(S("-5"), &v), ERR_SYNTAX);
	assert_int_equal(text_parse_size(S("5MB"), &v), ERR_SYNTAX);
	assert_true(v == 16777215ull << 40);
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {{"250ms", 250},   {"90s", 90000},    {"15min", 900000},
		    {"4h", 14400000}, {"5d", 432000000}, {"0s", 0}};
	uint64_t v = 1;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(text_parse_duration(slice_str(good[i].text), &v), ERR_OK);
		assert_true(v == good[i].ms);
	}
	assert_int_equal(text_parse_duration(S("90"), &v), ERR_SYNTAX);
	assert_int_equal(text_parse_duration(S("1m"), &v), ERR_SYNTAX);
	assert_int_equal(text_parse_duration(S("99999999999999d"), &v), ERR_RANGE);
	assert_int_equal(v, 0);
}

static void formatted(void (*format)(struct buf *, uint64_t), uint64_t v, const char *want)
{
	CLEANUP(buf_done) struct buf b;
	buf_init(&b, 100);
	format(&b, v);
	assert_buf(&b, want);
}

static void test_formats(void **state)
{
	formatted(text_format_size, 0, "0");
	formatted(text_format_size, 1023, "1023");
	formatted(text_format_size, 1024, "1K");
	formatted(text_format_size, 1536, "1.5K");
	formatted(text_format_size, 50ull << 20, "50M");
	formatted(text_format_size, 3ull << 50, "3072T");
	formatted(text_format_duration, 0, "0ms");
	formatted(text_format_duration, 999, "999ms");
	formatted(text_format_duration, 7500000, "2h 5min");
	formatted(text_format_duration, 86400000, "1d");
	formatted(text_format_duration, 86400000 + 60000,
		  "1d"); /* hours are the second unit; there are none */
	formatted(text_format_duration, 1250, "1s 250ms");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64_vectors),
		cmocka_unit_test(test_base64_strict),
		cmocka_unit_test(test_decoders_keep_to_the_limit),
		cmocka_unit_test(test_random_round_trips),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_utf8_all_scalars),
		cmocka_unit_test(test_utf8_lengths),
		cmocka_unit_test(test_utf8_malformed),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_quote),
		cmocka_unit_test(test_quote_cannot_be_forged),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_formats),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
