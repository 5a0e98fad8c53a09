#include "rows.h"

#include "tidegate/cell.h"

static void text(const char *in, const char *out)
{
	struct buf b;

	buf_init(&b, 1024);
	cell_text(&b, slice_str(in));
	assert_string_equal(buf_cstr(&b), out);
	buf_done(&b);
}

static void test_text(void **state)
{
	text("plain \xc3\xbc \xe6\x97\xa5", "plain \xc3\xbc \xe6\x97\xa5");
	text("a\r\nb\tc", "a\\r\\nb\\tc");
	text("\x1b[2J\x07\x7f", "\\x1b[2J\\x07\\x7f");
	text("\xff\xc3", "\\xff\\xc3");
	text("\xc2\x9b"
	     "31m",
	     "\\u{009b}31m"); /* CSI as one C1 character */
	text("\xe2\x80\xae"
	     "abc",
	     "\\u{202e}abc"); /* right-to-left override */
	text("\xe2\x81\xa6", "\\u{2066}");
	text("\xe2\x80\xa8", "\\u{2028}");
}

static void relative(int64_t delta_ms, const char *words)
{
	struct buf b;

	buf_init(&b, 64);
	cell_relative(&b, NOW + delta_ms, NOW);
	assert_string_equal(buf_cstr(&b), words);
	buf_done(&b);
}

static void test_relative(void **state)
{
	relative(0, "now");
	relative(-999, "now");
	relative(-1000, "1s ago");
	relative(-119000, "119s ago");
	relative(-120000, "2min ago");
	relative(300000, "in 5min");
	relative(-2 * 3600000, "2h ago");
	relative(-47 * 3600000, "47h ago");
	relative(-48 * 3600000, "2d ago");
}

static void test_timestamp(void **state)
{
	struct buf b;

	buf_init(&b, 64);
	assert_true(cell_timestamp(&b, NOW + 7));
	assert_string_equal(buf_cstr(&b), "2026-11-23T16:23:20.007Z");
	buf_clear(&b);
	assert_true(cell_timestamp(&b, -1));
	assert_string_equal(buf_cstr(&b), "1969-12-31T23:59:59.999Z");
	buf_clear(&b);
	assert_false(cell_timestamp(&b, INT64_MAX));
	assert_false(cell_timestamp(&b, INT64_MIN));
	assert_int_equal(b.len, 0);
	buf_done(&b);
}

static void value(struct ctl_field f, bool full, const char *words)
{
	struct cell_style style = {.now_ms = NOW, .full = full};
	struct buf b;

	buf_init(&b, 128);
	cell_format(&f, &style, &b);
	assert_string_equal(buf_cstr(&b), words);
	buf_done(&b);
}

static void test_kinds(void **state)
{
	value((struct ctl_field){.kind = CTL_NULL}, false, "-");
	value((struct ctl_field){.kind = CTL_U64, .v.u64 = UINT64_MAX}, false, "18446744073709551615");
	value((struct ctl_field){.kind = CTL_I64, .v.i64 = -3}, false, "-3");
	value((struct ctl_field){.kind = CTL_BOOL, .v.flag = true}, false, "yes");
	value((struct ctl_field){.kind = CTL_BOOL}, false, "no");
	value((struct ctl_field){.kind = CTL_SIZE, .v.u64 = 50 << 20}, false, "50M");
	value((struct ctl_field){.kind = CTL_DURATION, .v.u64 = 7500000}, false, "2h 5min");
	value((struct ctl_field){.kind = CTL_TIME, .v.i64 = NOW - 60000}, false, "60s ago");
	value((struct ctl_field){.kind = CTL_TIME, .v.i64 = NOW - 60000}, true,
	      "2026-11-23 16:22:20Z (60s ago)");
}

static void test_extremes(void **state)
{
	struct cell_style style = {.now_ms = INT64_MIN, .full = true};
	struct ctl_field f = {.kind = CTL_TIME, .v.i64 = INT64_MAX};
	struct buf b;

	buf_init(&b, 128);
	cell_format(&f, &style, &b);
	assert_string_equal(buf_cstr(&b), "9223372036854775807 ms");
	style.full = false;
	buf_clear(&b);
	cell_format(&f, &style, &b);
	assert_string_equal(buf_cstr(&b), "in 213503982334d");
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),      cmocka_unit_test(test_relative),
		cmocka_unit_test(test_timestamp), cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_extremes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
