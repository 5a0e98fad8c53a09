#include "dns/zone_rdata.h"

#include "core/text.h"
#include "../unit.h"

/* The data of "x.example.com. TYPE DATA". */
static enum err encode(const char *line, struct buf *out, struct diag *d)
{
	CLEANUP(buf_done) struct buf text;
	struct zone_text *z;
	struct zone_entry e;

	buf_init(&text, 65536 * 4);
	buf_printf(&text, "x %s", line);
	const struct zone_text_options o = {
		.file = S("z"), .text = buf_slice(&text), .origin = S("Example.com")};
	assert_int_equal(zone_text_open(&o, &z, NULL), ERR_OK);
	assert_int_equal(zone_text_next(z, &e, d), ERR_OK);
	enum err err = zone_rdata(&e, out, d);
	zone_text_close(z);
	return err;
}

static void test_data(void **state)
{
	static const struct {
		const char *line, *hex;
	} rows[] = {
		{"A 192.0.2.1", "c0000201"},
		{"AAAA 2001:db8::1", "20010db8000000000000000000000001"},
		{"NS Ns", "026e73076578616d706c6503636f6d00"},
		{"CNAME b.", "016200"},
		{"PTR @", "076578616d706c6503636f6d00"},
		{"DNAME .", "00"},
		{"MX 10 .", "000a00"},
		{"MX 65535 A\\.B.", "ffff03612e6200"},
		{"SRV 1 2 3 t.", "000100020003017400"},
		{"TXT a \"\" \"b c\"", "01610003622063"},
		{"SPF \"\\000\\\"\"", "020022"},
		{"SOA a. b. 4294967295 1h 2 3 1w", "0161000162 00ffffffff00000e10000000020000000300093a80"},
		{"TLSA 3 1 1 AB cd", "030101abcd"},
		{"CAA 0 issue \"ca.net\"", "00056973737565"
					   "63612e6e6574"},
		{"A \\# 4 C0000201", "c0000201"},
		{"TYPE9999 \\# 3 01 02 03", "010203"},
		{"TYPE9999 \\# 0", ""},
		{"TXT ( \\# 2\n 01\n 61 )", "0161"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(buf_done) struct buf out, hex, want;
		struct diag d = {0};
		buf_init(&out, ZONE_DATA_MAX);
		buf_init(&hex, 1024);
		buf_init(&want, 1024);
		if (encode(rows[i].line, &out, &d) != ERR_OK)
			fail_msg("%s: %s", rows[i].line, d.text);
		hex_encode(&hex, buf_slice(&out));
		for (const char *p = rows[i].hex; *p; p++)
			if (*p != ' ')
				buf_add_char(&want, *p);
		assert_buf(&hex, buf_cstr(&want));
	}
}

static void test_errors(void **state)
{
	static const struct {
		const char *line;
		enum err e;
		const char *words;
	} rows[] = {
		{"A", ERR_SYNTAX, "z:1:3: the record's data ends too early"},
		{"A 192.0.2", ERR_SYNTAX, "z:1:5: not an IPv4 address"},
		{"A 192.0.2.1 x", ERR_SYNTAX, "z:1:15: one word too many"},
		{"AAAA 192.0.2.1", ERR_SYNTAX, "z:1:8: not an IPv6 address"},
		{"MX 65536 a", ERR_SYNTAX, "z:1:6: not a number that fits"},
		{"MX 1 a..b", ERR_SYNTAX, "z:1:8: \"a..b\" is not a name"},
		{"TXT", ERR_SYNTAX, "z:1:3: the record's data ends too early"},
		{"SOA a. b. 1 x 2 3 4", ERR_SYNTAX, "z:1:15: not a time"},
		{"TLSA 3 1 1 xx", ERR_SYNTAX, "z:1:14: not hexadecimal digits"},
		{"A \\# 4 C00002", ERR_SYNTAX, "z:1:8: the length is not that of the digits"},
		{"A \\# x", ERR_SYNTAX, "z:1:8: not a length"},
		{"HINFO a b", ERR_UNSUPPORTED, "z:1:3: data of this type is not understood"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(buf_done) struct buf out;
		struct diag d = {0};
		buf_init(&out, ZONE_DATA_MAX);
		buf_add_str(&out, "x");
		assert_int_equal(encode(rows[i].line, &out, &d), rows[i].e);
		assert_string_equal(d.text, rows[i].words);
		assert_buf(&out, "x");
		assert_int_equal(encode(rows[i].line, &out, NULL), rows[i].e);
	}
}

static void test_long_strings(void **state)
{
	CLEANUP(buf_done) struct buf line, out;
	struct diag d = {0};

	buf_init(&line, 400000);
	buf_init(&out, 3 * ZONE_DATA_MAX);
	buf_add_str(&line, "TXT ");
	for (unsigned i = 0; i < 255; i++)
		buf_add_str(&line, "\\120");
	assert_int_equal(encode(buf_cstr(&line), &out, &d), ERR_OK);
	assert_int_equal(out.len, 256);
	assert_int_equal(out.data[0], (char)255);
	assert_int_equal(out.data[255], 'x');
	buf_add_str(&line, "x");
	assert_int_equal(encode(buf_cstr(&line), &out, &d), ERR_LIMIT);
	assert_string_equal(d.text, "z:1:7: a string over 255 octets");
	buf_clear(&line);
	buf_add_str(&line, "TXT");
	for (unsigned i = 0; i < 257; i++)
		buf_printf(&line, " %0255u", i);
	buf_clear(&out);
	assert_int_equal(encode(buf_cstr(&line), &out, &d), ERR_LIMIT);
	assert_string_equal(d.text, "z:1:3: too much data");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_long_strings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
