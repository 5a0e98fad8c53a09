#include "ctl/control.h"

#include "core/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_slice(struct slice s, const char *z)
{
	if (!slice_eq_str(s, z))
		fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARG(s), z);
}

static void add_all_kinds(struct ctl_fields *f)
{
	static const struct slice items[] = {SLICE_LIT("one"), SLICE_LIT(""), SLICE_LIT("three")};

	ctl_add_str(f, "text", "hello");
	ctl_add_u64(f, "u64", UINT64_MAX);
	ctl_add_i64(f, "i64", -5);
	ctl_add_time(f, "time", -1);
	ctl_add_duration(f, "duration", 1500);
	ctl_add_size(f, "size", 1024);
	ctl_add_bool(f, "yes", true);
	ctl_add_bool(f, "no", false);
	ctl_add_null(f, "null");
	ctl_add_str(f, "none", NULL);
	ctl_add_list(f, "list", items, ARRAY_LEN(items));
	ctl_add_list(f, "empty", NULL, 0);
}

static struct buf row_frame(void)
{
	struct ctl_fields f;
	struct buf b;

	ctl_fields_init(&f);
	buf_init(&b, CTL_FRAME_MAX);
	add_all_kinds(&f);
	assert_int_equal(ctl_encode_row(&b, CTL_T_MESSAGE, &f), ERR_OK);
	ctl_fields_done(&f);
	return b;
}

static void assert_number(const struct ctl_view *v, const char *key, enum ctl_kind kind, uint64_t value)
{
	struct ctl_field f;

	assert_true(ctl_view_find(v, key, &f));
	assert_int_equal(f.kind, kind);
	assert_true(f.v.u64 == value);
}

static void test_round_trip(void **state)
{
	struct buf b = row_frame();
	struct ctl_frame frame;
	struct ctl_field f;
	struct slice rest, item;
	size_t used = 0;

	assert_int_equal(ctl_decode(buf_slice(&b), CTL_FRAME_MAX, &frame, &used, NULL), ERR_OK);
	assert_int_equal(used, b.len);
	assert_int_equal(frame.type, CTL_ROW);
	assert_int_equal(frame.table, CTL_T_MESSAGE);
	assert_int_equal(frame.fields.count, 12);
	assert_slice(ctl_get_text(&frame.fields, "text", SLICE_EMPTY), "hello");
	assert_number(&frame.fields, "u64", CTL_U64, UINT64_MAX);
	assert_number(&frame.fields, "i64", CTL_I64, (uint64_t)-5);
	assert_number(&frame.fields, "time", CTL_TIME, (uint64_t)-1);
	assert_number(&frame.fields, "duration", CTL_DURATION, 1500);
	assert_number(&frame.fields, "size", CTL_SIZE, 1024);
	assert_true(ctl_get_bool(&frame.fields, "yes", false));
	assert_false(ctl_get_bool(&frame.fields, "no", true));
	assert_true(ctl_view_find(&frame.fields, "none", &f) && f.kind == CTL_NULL);
	assert_true(ctl_view_find(&frame.fields, "list", &f) && f.kind == CTL_LIST && f.v.list.count == 3);
	rest = f.v.list.data;
	assert_true(ctl_list_next(&rest, &item));
	assert_slice(item, "one");
	assert_true(ctl_list_next(&rest, &item));
	assert_slice(item, "");
	assert_true(ctl_list_next(&rest, &item));
	assert_slice(item, "three");
	assert_false(ctl_list_next(&rest, &item));
	assert_true(ctl_view_find(&frame.fields, "empty", &f));
	rest = f.v.list.data;
	assert_false(ctl_list_next(&rest, &item));
	buf_done(&b);
}

static void test_fallbacks(void **state)
{
	struct buf b = row_frame();
	struct ctl_frame frame;
	size_t used;

	assert_int_equal(ctl_decode(buf_slice(&b), CTL_FRAME_MAX, &frame, &used, NULL), ERR_OK);
	assert_slice(ctl_get_text(&frame.fields, "u64", SLICE_LIT("x")), "x");
	assert_slice(ctl_get_text(&frame.fields, "null", SLICE_LIT("x")), "x");
	assert_int_equal(ctl_get_u64(&frame.fields, "text", 9), 9);
	assert_int_equal(ctl_get_u64(&frame.fields, "missing", 9), 9);
	assert_true(ctl_get_bool(&frame.fields, "text", true));
	buf_done(&b);
}

static void test_request_and_end(void **state)
{
	struct ctl_fields f;
	struct ctl_frame frame;
	struct buf b;
	size_t used;

	ctl_fields_init(&f);
	buf_init(&b, CTL_FRAME_MAX);
	ctl_add_str(&f, "name", "houston");
	assert_int_equal(ctl_encode_request(&b, CTL_SERVER_ADD, &f), ERR_OK);
	assert_int_equal(ctl_decode(buf_slice(&b), CTL_REQUEST_MAX, &frame, &used, NULL), ERR_OK);
	assert_int_equal(frame.type, CTL_REQUEST);
	assert_int_equal(frame.verb, CTL_SERVER_ADD);
	assert_slice(ctl_get_text(&frame.fields, "name", SLICE_EMPTY), "houston");
	buf_clear(&b);
	assert_int_equal(ctl_encode_end(&b, ERR_EXISTS, SLICE_LIT("there is one"), NULL), ERR_OK);
	assert_int_equal(ctl_decode(buf_slice(&b), CTL_FRAME_MAX, &frame, &used, NULL), ERR_OK);
	assert_int_equal(frame.type, CTL_END);
	assert_int_equal(frame.status, ERR_EXISTS);
	assert_slice(frame.message, "there is one");
	assert_int_equal(frame.fields.count, 0);
	ctl_fields_done(&f);
	buf_done(&b);
}

/* The octets of a frame are an interface between releases. */
static void test_octets(void **state)
{
	static const char wanted[] = "\x0f\0\0\0\x01\x01\x02\0\x01\0\x01n\x01\x02\0\0\0hi";
	struct ctl_fields f;
	struct buf b;

	ctl_fields_init(&f);
	buf_init(&b, CTL_FRAME_MAX);
	ctl_add_str(&f, "n", "hi");
	assert_int_equal(ctl_encode_request(&b, CTL_SERVER_ADD, &f), ERR_OK);
	assert_int_equal(b.len, sizeof(wanted) - 1);
	assert_memory_equal(b.data, wanted, b.len);
	ctl_fields_done(&f);
	buf_done(&b);
}

static void test_two_frames(void **state)
{
	struct ctl_frame frame;
	struct buf b;
	size_t used;

	buf_init(&b, CTL_FRAME_MAX);
	assert_int_equal(ctl_encode_end(&b, ERR_OK, SLICE_LIT("a"), NULL), ERR_OK);
	size_t first = b.len;
	assert_int_equal(ctl_encode_end(&b, ERR_OK, SLICE_LIT("b"), NULL), ERR_OK);
	assert_int_equal(ctl_decode(buf_slice(&b), CTL_FRAME_MAX, &frame, &used, NULL), ERR_OK);
	assert_int_equal(used, first);
	assert_int_equal(ctl_decode(slice_from(buf_slice(&b), used), CTL_FRAME_MAX, &frame, &used, NULL),
			 ERR_OK);
	assert_slice(frame.message, "b");
	buf_done(&b);
}

static void test_cut(void **state)
{
	struct buf b = row_frame();
	struct ctl_frame frame;
	size_t used = 99;

	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(ctl_decode(slice_of(b.data, n), CTL_FRAME_MAX, &frame, &used, NULL),
				 ERR_AGAIN);
	assert_int_equal(used, 99);
	buf_done(&b);
}

static enum err decode_raw(const char *data, size_t n, size_t max, struct diag *d)
{
	struct ctl_frame frame;
	size_t used;

	return ctl_decode(slice_of(data, n), max, &frame, &used, d);
}

#define RAW(lit) (lit), sizeof(lit) - 1

static void test_malformed(void **state)
{
	struct diag d = {0};

	assert_int_equal(decode_raw(RAW("\1\0\0\0\1"), CTL_FRAME_MAX, &d), ERR_CORRUPT);
	assert_int_equal(decode_raw(RAW("\xff\xff\xff\xff"), CTL_FRAME_MAX, &d), ERR_LIMIT);
	assert_int_equal(decode_raw(RAW("\x10\0\0\0"), 16, &d), ERR_LIMIT);
	assert_int_equal(decode_raw(RAW("\6\0\0\0\2\1\1\0\0\0"), CTL_FRAME_MAX, &d), ERR_UNSUPPORTED);
	assert_string_equal(
		d.text, "the other side speaks version 2 of the control protocol, this one 1; tidegate and "
			"tidegated must be of the same release");
	assert_int_equal(decode_raw(RAW("\6\0\0\0\1\7\1\0\0\0"), CTL_FRAME_MAX, &d), ERR_CORRUPT);
	assert_int_equal(decode_raw(RAW("\6\0\0\0\1\1\xff\0\0\0"), CTL_FRAME_MAX, &d), ERR_UNSUPPORTED);
	assert_string_equal(d.text, "this tidegated does not know the request 255");
	assert_int_equal(decode_raw(RAW("\6\0\0\0\1\2\xff\0\0\0"), CTL_FRAME_MAX, &d), ERR_UNSUPPORTED);
	assert_int_equal(decode_raw(RAW("\6\0\0\0\1\1\1\0\0\0"), CTL_FRAME_MAX, &d), ERR_OK);
	assert_int_equal(decode_raw(RAW("\7\0\0\0\1\1\1\0\0\0x"), CTL_FRAME_MAX, &d), ERR_CORRUPT);
	assert_int_equal(decode_raw(RAW("\5\0\0\0\1\1\1\0\0"), CTL_FRAME_MAX, &d), ERR_CORRUPT);
}

/* All of them well formed. */
static void too_many_fields(void)
{
	struct diag d = {0};
	struct buf b;

	buf_init(&b, CTL_FRAME_MAX);
	buf_add_u32(&b, 6 + 3 * (CTL_FIELDS_MAX + 1));
	buf_add_mem(&b, "\1\1\1\0", 4);
	buf_add_u16(&b, CTL_FIELDS_MAX + 1);
	for (unsigned i = 0; i <= CTL_FIELDS_MAX; i++)
		buf_add_mem(&b, "\1n\0", 3);
	assert_int_equal(decode_raw(b.data, b.len, CTL_FRAME_MAX, &d), ERR_CORRUPT);
	assert_string_equal(d.text, "control protocol: too many fields");
	buf_done(&b);
}

static void test_malformed_fields(void **state)
{
	struct diag d = {0};

	/* count 1, then: no key, an upper-case key, kind 9, a flag of 2, a text that is too long, a list too */
	assert_int_equal(decode_raw(RAW("\x08\0\0\0\1\1\1\0\1\0\0\0"), CTL_FRAME_MAX, &d), ERR_CORRUPT);
	assert_int_equal(decode_raw(RAW("\x09\0\0\0\1\1\1\0\1\0\1N\0"), CTL_FRAME_MAX, &d), ERR_CORRUPT);
	assert_int_equal(decode_raw(RAW("\x09\0\0\0\1\1\1\0\1\0\1n\0"), CTL_FRAME_MAX, &d), ERR_OK);
	assert_int_equal(decode_raw(RAW("\x09\0\0\0\1\1\1\0\1\0\1n\x09"), CTL_FRAME_MAX, &d), ERR_CORRUPT);
	assert_int_equal(decode_raw(RAW("\x0a\0\0\0\1\1\1\0\1\0\1n\7\2"), CTL_FRAME_MAX, &d), ERR_CORRUPT);
	assert_int_equal(decode_raw(RAW("\x0e\0\0\0\1\1\1\0\1\0\1n\1\2\0\0\0x"), CTL_FRAME_MAX, &d),
			 ERR_CORRUPT);
	assert_int_equal(decode_raw(RAW("\x0b\0\0\0\1\1\1\0\1\0\1n\x08\1\0"), CTL_FRAME_MAX, &d),
			 ERR_CORRUPT);
	assert_int_equal(decode_raw(RAW("\x0b\0\0\0\1\1\1\0\1\0\1n\x08\xff\xff"), CTL_FRAME_MAX, &d),
			 ERR_CORRUPT);
	/* more fields than there are, and than there may be */
	assert_int_equal(decode_raw(RAW("\6\0\0\0\1\1\1\0\1\0"), CTL_FRAME_MAX, &d), ERR_CORRUPT);
	assert_int_equal(decode_raw(RAW("\6\0\0\0\1\1\1\0\xff\0"), CTL_FRAME_MAX, &d), ERR_CORRUPT);
	too_many_fields();
	/* an END with a positive status */
	assert_int_equal(decode_raw(RAW("\x0c\0\0\0\1\3\1\0\0\0\0\0\0\0\0\0"), CTL_FRAME_MAX, &d),
			 ERR_CORRUPT);
}

static void test_too_large(void **state)
{
	static char text[CTL_FRAME_MAX];
	struct ctl_fields f;
	struct buf b;

	memset(text, 'a', sizeof(text));
	ctl_fields_init(&f);
	buf_init(&b, 2 * CTL_FRAME_MAX);
	buf_add_str(&b, "before");
	ctl_add_text(&f, "x", slice_of(text, CTL_REQUEST_MAX));
	assert_int_equal(ctl_encode_request(&b, CTL_SERVER_ADD, &f), ERR_LIMIT);
	assert_int_equal(b.len, 6);
	assert_int_equal(ctl_encode_row(&b, CTL_T_MESSAGE, &f), ERR_OK);
	b.len = 6;
	ctl_add_text(&f, "y", slice_of(text, sizeof(text)));
	assert_int_equal(ctl_encode_row(&b, CTL_T_MESSAGE, &f), ERR_LIMIT);
	assert_int_equal(b.len, 6);
	ctl_fields_clear(&f);
	assert_int_equal(ctl_encode_row(&b, CTL_T_MESSAGE, &f), ERR_OK);
	ctl_fields_done(&f);
	buf_done(&b);
}

static void test_long_message(void **state)
{
	static char text[CTL_MESSAGE_MAX + 1];
	struct ctl_frame frame;
	struct buf b;
	size_t used;

	memset(text, 'a', sizeof(text));
	buf_init(&b, CTL_FRAME_MAX);
	assert_int_equal(ctl_encode_end(&b, ERR_IO, slice_of(text, sizeof(text)), NULL), ERR_OK);
	assert_int_equal(ctl_decode(buf_slice(&b), CTL_FRAME_MAX, &frame, &used, NULL), ERR_OK);
	assert_int_equal(frame.message.len, CTL_MESSAGE_MAX);
	buf_done(&b);
}

static void test_no_memory(void **state)
{
	struct ctl_fields f;
	struct buf b;

	buf_init(&b, CTL_FRAME_MAX);
	ctl_fields_init(&f);
	mem_fail_after(0);
	ctl_add_str(&f, "name", "x");
	mem_fail_after(SIZE_MAX);
	assert_int_equal(ctl_encode_row(&b, CTL_T_MESSAGE, &f), ERR_NOMEM);
	assert_int_equal(b.len, 0);
	ctl_fields_done(&f);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),      cmocka_unit_test(test_fallbacks),
		cmocka_unit_test(test_request_and_end), cmocka_unit_test(test_octets),
		cmocka_unit_test(test_two_frames),      cmocka_unit_test(test_cut),
		cmocka_unit_test(test_malformed),       cmocka_unit_test(test_malformed_fields),
		cmocka_unit_test(test_too_large),       cmocka_unit_test(test_long_message),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
