/* Cutting, comparing, searching, numbers; empty slices with a NULL pointer everywhere. */
#include "core/slice.h"

#include "../unit.h"

static const struct slice none = {NULL, 0};

static void test_cut(void **state)
{
	struct slice s = S("abcdef");
	assert_slice(slice_sub(s, 1, 3), "bcd");
	assert_slice(slice_sub(s, 4, 99), "ef");
	assert_slice(slice_sub(s, 99, 1), "");
	assert_slice(slice_sub(s, 2, SIZE_MAX), "cdef");
	assert_slice(slice_from(s, 6), "");
	assert_slice(slice_from(s, SIZE_MAX), "");
	assert_ptr_equal(slice_from(s, 2).ptr, s.ptr + 2);
	assert_int_equal(slice_sub(none, 1, 1).len, 0);
	assert_int_equal(slice_str(NULL).len, 0);
}

static void test_equal(void **state)
{
	assert_true(slice_eq(S("a\0b"), S("a\0b")));
	assert_false(slice_eq(S("a\0b"), S("a\0c")));
	assert_false(slice_eq(S("a"), S("ab")));
	assert_true(slice_eq(none, SLICE_EMPTY));
	assert_true(slice_ieq(S("MiXed-9"), S("mIxEd-9")));
	assert_false(slice_ieq(S("@["), S("`{")));     /* one bit apart like letters, but no letters */
	assert_false(slice_ieq(S("\xc4"), S("\xe4"))); /* Latin-1 does not fold */
	assert_true(slice_eq_str(S("abc"), "abc"));
	assert_false(slice_eq_str(S("abc\0"), "abc"));
	assert_true(slice_ieq_str(S("ABC"), "abc"));
	assert_true(slice_ieq(none, none));
}

static void test_order(void **state)
{
	assert_true(slice_cmp(S("a"), S("b")) < 0);
	assert_true(slice_cmp(S("ab"), S("a")) > 0);
	assert_true(slice_cmp(S("\x80"), S("a")) > 0); /* octets are unsigned */
	assert_int_equal(slice_cmp(none, SLICE_EMPTY), 0);
	assert_true(slice_cmp(none, S("a")) < 0);
	assert_int_equal(slice_icmp(S("ABC"), S("abc")), 0);
	assert_true(slice_icmp(S("ABC"), S("abd")) < 0);
	assert_true(slice_icmp(S("\x80"), S("A")) > 0);
	assert_true(slice_icmp(S("AB"), S("a")) > 0);
}

static void test_ends(void **state)
{
	struct slice s = S("Subject: x");
	assert_true(slice_starts(s, S("Subject")));
	assert_false(slice_starts(s, S("subject")));
	assert_true(slice_istarts(s, S("subject:")));
	assert_true(slice_starts(s, none));
	assert_false(slice_starts(S("Sub"), S("Subject")));
	assert_true(slice_ends(s, S(": x")));
	assert_true(slice_iends(s, S(": X")));
	assert_false(slice_ends(S("x"), S(": x")));
	assert_false(slice_istarts(none, S("x")));
	assert_false(slice_iends(none, S("x")));
}

static void test_find(void **state)
{
	struct slice s = S("abcabc");
	assert_int_equal(slice_find(s, 'b'), 1);
	assert_int_equal(slice_rfind(s, 'b'), 4);
	assert_true(slice_find(s, 'x') == SLICE_NPOS);
	assert_true(slice_rfind(none, 'x') == SLICE_NPOS);
	assert_true(slice_find(none, 'x') == SLICE_NPOS);
	assert_int_equal(slice_find_slice(s, S("ca")), 2);
	assert_int_equal(slice_find_slice(s, none), 0);
	assert_true(slice_find_slice(none, S("a")) == SLICE_NPOS);
	assert_true(slice_find_slice(s, S("abcabcd")) == SLICE_NPOS);
	assert_int_equal(slice_ifind_slice(s, S("CA")), 2);
	assert_int_equal(slice_ifind_slice(s, S("BC")), 1);
	assert_int_equal(slice_ifind_slice(none, none), 0);
	assert_true(slice_ifind_slice(S("ab"), S("abc")) == SLICE_NPOS);
}

static void test_trim(void **state)
{
	assert_slice(slice_trim(S(" \t\r\na b\r\n ")), "a b");
	assert_slice(slice_trim(S(" \r\n\t")), "");
	assert_slice(slice_trim(none), "");
	assert_int_equal(slice_trim(S(" \0 ")).len, 1);
}

static void test_split(void **state)
{
	struct slice rest = S("a,,b,");
	assert_slice(slice_split(&rest, ','), "a");
	assert_slice(slice_split(&rest, ','), "");
	assert_slice(slice_split(&rest, ','), "b");
	assert_non_null(rest.ptr); /* an empty last part is still to come */
	assert_slice(slice_split(&rest, ','), "");
	assert_null(rest.ptr);

	int parts = 0;
	for (rest = S("one"); rest.ptr; parts++)
		assert_slice(slice_split(&rest, ','), "one");
	assert_int_equal(parts, 1);
}

static void test_word(void **state)
{
	struct slice rest = S("  MAIL \tFROM:<a b>  ");
	assert_slice(slice_word(&rest), "MAIL");
	assert_slice(slice_word(&rest), "FROM:<a");
	assert_slice(slice_word(&rest), "b>");
	assert_int_equal(slice_word(&rest).len, 0);
	assert_int_equal(rest.len, 0);
	assert_int_equal(slice_word(&rest).len, 0);
}

static void test_number(void **state)
{
	uint64_t v = 77;
	assert_int_equal(slice_to_u64(none, 10, &v), ERR_SYNTAX);
	assert_int_equal(slice_to_u64(S("+1"), 10, &v), ERR_SYNTAX);
	assert_int_equal(slice_to_u64(S(" 1"), 10, &v), ERR_SYNTAX);
	assert_int_equal(slice_to_u64(S("1x"), 10, &v), ERR_SYNTAX);
	assert_int_equal(slice_to_u64(S("11"), 10, &v), ERR_RANGE);
	assert_int_equal(slice_to_u64(S("18446744073709551616"), UINT64_MAX, &v), ERR_RANGE);
	assert_int_equal(slice_to_u64(S("99999999999999999999999999"), UINT64_MAX, &v), ERR_RANGE);
	assert_int_equal(slice_to_u64(S("99999999999999999999999999x"), UINT64_MAX, &v), ERR_SYNTAX);
	assert_int_equal(v, 77);
	assert_int_equal(slice_to_u64(S("18446744073709551615"), UINT64_MAX, &v), ERR_OK);
	assert_true(v == UINT64_MAX);
	assert_int_equal(slice_to_u64(S("0010"), 10, &v), ERR_OK);
	assert_int_equal(v, 10);
}

static void test_classes(void **state)
{
	assert_true(slice_is_ascii(S("a\0\x7f")));
	assert_false(slice_is_ascii(S("a\x80")));
	assert_true(slice_is_ascii(none));
	assert_false(slice_has_control(S("a ~\x80\xff")));
	assert_true(slice_has_control(S("a\0")));
	assert_true(slice_has_control(S("\t")));
	assert_true(slice_has_control(S("\x7f")));
	for (int c = 0; c < 256; c++) {
		bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z', digit = c >= '0' && c <= '9';
		assert_int_equal((unsigned char)ascii_lower((char)c), upper ? c + 32 : c);
		assert_int_equal((unsigned char)ascii_upper((char)c), lower ? c - 32 : c);
		assert_int_equal(ascii_is_alpha((char)c), upper || lower);
		assert_int_equal(ascii_is_digit((char)c), digit);
		assert_int_equal(ascii_is_alnum((char)c), upper || lower || digit);
	}
}

static void test_for_printf(void **state)
{
	CLEANUP(buf_done) struct buf b;
	buf_init(&b, 100);
	buf_printf(&b, "<%.*s><%.*s>", SLICE_ARG(S("x\"")), SLICE_ARG(none));
	assert_buf(&b, "<x\"><>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),        cmocka_unit_test(test_equal),
		cmocka_unit_test(test_order),      cmocka_unit_test(test_ends),
		cmocka_unit_test(test_find),       cmocka_unit_test(test_trim),
		cmocka_unit_test(test_split),      cmocka_unit_test(test_word),
		cmocka_unit_test(test_number),     cmocka_unit_test(test_classes),
		cmocka_unit_test(test_for_printf),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
