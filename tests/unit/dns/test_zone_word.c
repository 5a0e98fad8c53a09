#include "dns/zone_word.h"

#include "../unit.h"

#define ROOT    S("\0")
#define EXAMPLE S("\7example\3com\0")

static void name_is(const char *text, struct slice origin, struct slice want)
{
	CLEANUP(buf_done) struct buf out;
	struct diag d = {0};

	buf_init(&out, 512);
	assert_int_equal(zone_word_name(slice_str(text), origin, &out, &d), ERR_OK);
	assert_true(slice_eq(buf_slice(&out), want));
}

static void name_fails(const char *text, struct slice origin, enum err want)
{
	CLEANUP(buf_done) struct buf out;
	struct diag d = {0};

	buf_init(&out, 512);
	buf_add_str(&out, "x");
	assert_int_equal(zone_word_name(slice_str(text), origin, &out, &d), want);
	assert_true(d.text[0] != '\0');
	assert_buf(&out, "x");
}

static void test_names(void **state)
{
	name_is("www", EXAMPLE, S("\3www\7example\3com\0"));
	name_is("www.", EXAMPLE, S("\3www\0"));
	name_is("@", EXAMPLE, EXAMPLE);
	name_is(".", EXAMPLE, ROOT);
	name_is(".", SLICE_EMPTY, ROOT);
	name_is("WwW.b", ROOT, S("\3WwW\1b\0"));
	name_is("\\@", ROOT, S("\1@\0"));
	name_is("a\\.b", ROOT, S("\3a.b\0"));
	name_is("a\\046b\\000", ROOT, S("\4a.b\0\0"));
	name_is("*._x", EXAMPLE, S("\1*\2_x\7example\3com\0"));
	name_fails("", EXAMPLE, ERR_SYNTAX);
	name_fails("a..b", EXAMPLE, ERR_SYNTAX);
	name_fails(".a", EXAMPLE, ERR_SYNTAX);
	name_fails("..", EXAMPLE, ERR_SYNTAX);
	name_fails("a\\256", EXAMPLE, ERR_SYNTAX);
	name_fails("a\\25", EXAMPLE, ERR_SYNTAX);
	name_fails("a\\2x5", EXAMPLE, ERR_SYNTAX);
	name_fails("a\\", EXAMPLE, ERR_SYNTAX);
	name_fails("www", SLICE_EMPTY, ERR_SYNTAX);
	name_fails("@", SLICE_EMPTY, ERR_SYNTAX);
}

/* n labels of 63 octets, then one of `last`. */
static void make_long(struct buf *b, unsigned n, unsigned last, const char *end)
{
	buf_clear(b);
	for (unsigned i = 0; i < n * 64 + last; i++)
		buf_add_char(b, i % 64 == 63 ? '.' : 'a');
	buf_add_str(b, end);
}

static void test_long_names(void **state)
{
	CLEANUP(buf_done) struct buf text, out;

	buf_init(&text, 1024);
	buf_init(&out, 1024);
	make_long(&text, 0, 63, "");
	assert_int_equal(zone_word_name(buf_slice(&text), EXAMPLE, &out, NULL), ERR_OK);
	assert_int_equal(out.len, 64 + 13);
	make_long(&text, 0, 64, "");
	text.data[63] = 'a';
	name_fails(buf_cstr(&text), EXAMPLE, ERR_LIMIT);
	buf_clear(&out);
	make_long(&text, 3, 61, "."); /* 3 * 64 + 62 + 1 = 255 */
	assert_int_equal(zone_word_name(buf_slice(&text), EXAMPLE, &out, NULL), ERR_OK);
	assert_int_equal(out.len, 255);
	make_long(&text, 3, 62, ".");
	name_fails(buf_cstr(&text), EXAMPLE, ERR_LIMIT);
	make_long(&text, 3, 61, "");
	name_is(buf_cstr(&text), ROOT, buf_slice(&out));
	name_fails(buf_cstr(&text), EXAMPLE, ERR_LIMIT);
}

static void test_no_room(void **state)
{
	CLEANUP(buf_done) struct buf out;

	buf_init(&out, 5);
	assert_int_equal(zone_word_name(S("www"), EXAMPLE, &out, NULL), ERR_LIMIT);
	assert_int_equal(zone_word_name(S("www"), ROOT, &out, NULL), ERR_OK);
	assert_int_equal(out.len, 5);
}

static void test_types(void **state)
{
	static const struct {
		const char *text;
		enum err e;
		uint16_t code;
	} rows[] = {
		{"A", ERR_OK, 1},
		{"txt", ERR_OK, 16},
		{"Type16", ERR_OK, 16},
		{"TYPE65535", ERR_OK, 65535},
		{"TYPE65536", ERR_SYNTAX, 0},
		{"TYPE", ERR_SYNTAX, 0},
		{"AA", ERR_SYNTAX, 0},
		{"", ERR_SYNTAX, 0},
		{"NSEC3PARAM", ERR_OK, 51},
		{"TYPE1x", ERR_SYNTAX, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint16_t code = 0;
		assert_int_equal(zone_word_type(slice_str(rows[i].text), &code), rows[i].e);
		assert_int_equal(code, rows[i].code);
	}
	uint16_t class = 0;
	assert_int_equal(zone_word_class(S("in"), &class), ERR_OK);
	assert_int_equal(class, 1);
	assert_int_equal(zone_word_class(S("CLASS255"), &class), ERR_OK);
	assert_int_equal(class, 255);
	assert_int_equal(zone_word_class(S("TXT"), &class), ERR_SYNTAX);
}

static void test_ttls(void **state)
{
	static const struct {
		const char *text;
		enum err e;
		uint32_t s;
	} rows[] = {
		{"0", ERR_OK, 0},          {"3600", ERR_OK, 3600},
		{"1h30m", ERR_OK, 5400},   {"1W2D3H4M5S", ERR_OK, 788645},
		{"1h30", ERR_SYNTAX, 1},   {"h", ERR_SYNTAX, 1},
		{"", ERR_SYNTAX, 1},       {"1x", ERR_SYNTAX, 1},
		{"-1", ERR_SYNTAX, 1},     {"2147483647", ERR_OK, 2147483647},
		{"2147483648", ERR_OK, 0}, /* RFC 2181 8 */
		{"4294967295", ERR_OK, 0}, {"4294967296", ERR_SYNTAX, 1},
		{"8000w", ERR_SYNTAX, 1},  {"99999999999999999999", ERR_SYNTAX, 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint32_t s = 1;
		assert_int_equal(zone_word_ttl(slice_str(rows[i].text), &s), rows[i].e);
		assert_int_equal(s, rows[i].s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),   cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_no_room), cmocka_unit_test(test_types),
		cmocka_unit_test(test_ttls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
