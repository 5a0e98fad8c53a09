/* Domain names as text and from the wire. */
#include "dns/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define L63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_canonical(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: not a name */
	} rows[] = {
		{"example.org", "example.org"},
		{"Example.ORG.", "example.org"},
		{"a", "a"},
		{"_dmarc.example.org", "_dmarc.example.org"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"b\xc3\xbc"
		 "cher.example",
		 "xn--bcher-kva.example"},
		{"B\xc3\x9c"
		 "CHER.example.",
		 "xn--bcher-kva.example"},
		{"fa\xc3\x9f.de", "xn--fa-hia.de"}, /* non-transitional: the letter is kept */
		{"\xe4\xbe\x8b\xe3\x81\x88.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88", "xn--r8jz45g.xn--zckzah"},
		{L63 ".org", L63 ".org"},
		{L63 "a.org", NULL},
		{L63 "." L63 "." L63 "." L63, NULL}, /* 255 octets */
		{"", NULL},
		{".", NULL},
		{"a..b", NULL},
		{".a", NULL},
		{"a.b..", NULL},
		{"-a.org", NULL},
		{"a-.org", NULL},
		{"a b.org", NULL},
		{"a/b.org", NULL},
		{"a\x01.org", NULL},
		{"\xff\xfe.org", NULL},
		{"a@b", NULL},
		{"\xe2\x80\xae.org", NULL}, /* bidirectional override */
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct diag d = {0};
		CLEANUP(buf_done) struct buf out;
		buf_init(&out, 1000);
		buf_add_str(&out, "x");
		enum err e = name_canonical(slice_str(rows[i].in), &out, &d);
		if ((e == ERR_OK) != (rows[i].out != NULL))
			fail_msg("\"%s\": %s %s", rows[i].in, err_name(e), d.text);
		if (!rows[i].out) {
			assert_int_equal(out.len, 1);
			assert_true(d.text[0] != '\0');
			continue;
		}
		assert_string_equal(buf_cstr(&out) + 1, rows[i].out);
		assert_true(name_is_canonical(slice_str(rows[i].out)));
	}
}

static void test_limits(void **state)
{
	struct diag d;
	CLEANUP(buf_done) struct buf out, in;
	buf_init(&out, 1000);
	buf_init(&in, 10000);
	for (int i = 0; i < 126; i++)
		buf_add_str(&in, "a.");
	buf_add_str(&in, "b"); /* 253 octets */
	assert_int_equal(name_canonical(buf_slice(&in), &out, &d), ERR_OK);
	buf_add_str(&in, "b");
	assert_int_equal(name_canonical(buf_slice(&in), &out, &d), ERR_LIMIT);
	while (in.len <= DNS_INPUT_MAX)
		buf_add_str(&in, "\xc3\xbc");
	assert_int_equal(name_canonical(buf_slice(&in), &out, &d), ERR_LIMIT);
	assert_int_equal(name_canonical(slice_of("a\0b", 3), &out, &d), ERR_SYNTAX);
	struct buf full;
	buf_init(&full, 3);
	assert_int_equal(name_canonical(SLICE_LIT("example"), &full, &d), ERR_LIMIT);
	assert_int_equal(full.len, 0);
	buf_done(&full);
}

static void test_from_wire(void **state)
{
	static const struct {
		const char *wire;
		size_t len;
		const char *text; /* NULL: malformed */
		size_t pos;
	} rows[] = {
		{"\3foo\3ORG\0", 9, "foo.org", 9},
		{"\3foo\3org\0rest", 13, "foo.org", 9},
		{"\0", 1, ".", 1},
		{"\3a.b\0", 5, "a\\046b", 5}, /* a dot inside a label is no separator */
		{"\2\0\xff\0", 4, "\\000\\255", 4},
		{"\3fo", 3, NULL, 0},
		{"\3foo", 4, NULL, 0},
		{"\xc0\x0c", 2, NULL, 0},
		{"", 0, NULL, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(buf_done) struct buf out;
		size_t pos = 0;
		buf_init(&out, 2000);
		enum err e = name_from_wire(slice_of(rows[i].wire, rows[i].len), &pos, &out);
		assert_int_equal(e, rows[i].text ? ERR_OK : ERR_SYNTAX);
		if (e)
			continue;
		assert_string_equal(buf_cstr(&out), rows[i].text);
		assert_int_equal(pos, rows[i].pos);
	}
	/* longer than any name may be */
	char wire[400];
	size_t pos = 0;
	CLEANUP(buf_done) struct buf out;
	buf_init(&out, 5000);
	for (size_t i = 0; i + 2 < sizeof(wire); i += 2)
		memcpy(wire + i, "\1x", 2);
	memset(wire + 398, 0, 2);
	assert_int_equal(name_from_wire(slice_of(wire, sizeof(wire)), &pos, &out), ERR_SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_from_wire),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
