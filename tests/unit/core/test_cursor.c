/* What buf writes, cursor reads; one octet too few anywhere and everything behind it is zero. */
#include "core/cursor.h"

#include "../unit.h"

struct values {
	uint8_t a;
	uint16_t b;
	uint32_t c;
	uint64_t d;
	struct slice e, f;
};

static const struct values sample = {0xfe, 0xfedc, 0xfedcba98, 0xfedcba9876543210, {"xyz", 3}, {"12", 2}};

static void write_sample(struct buf *b)
{
	buf_init(b, 100);
	buf_add_u8(b, sample.a);
	buf_add_u16(b, sample.b);
	buf_add_u32(b, sample.c);
	buf_add_u64(b, sample.d);
	buf_add_slice32(b, sample.e);
	buf_add(b, sample.f);
}

static struct values read_sample(struct cursor *c)
{
	struct values v;
	v.a = cursor_u8(c);
	v.b = cursor_u16(c);
	v.c = cursor_u32(c);
	v.d = cursor_u64(c);
	v.e = cursor_slice32(c);
	v.f = cursor_bytes(c, 2);
	return v;
}

static void test_reads_what_was_written(void **state)
{
	CLEANUP(buf_done) struct buf b;
	write_sample(&b);
	struct cursor c = cursor_of(buf_slice(&b));
	struct values v = read_sample(&c);
	assert_int_equal(cursor_finish(&c), ERR_OK);
	assert_int_equal(v.a, sample.a);
	assert_int_equal(v.b, sample.b);
	assert_int_equal(v.c, sample.c);
	assert_true(v.d == sample.d);
	assert_slice(v.e, "xyz");
	assert_slice(v.f, "12");
	assert_ptr_equal(v.f.ptr + 2, b.data + b.len); /* borrowed, not copied */
}

static void test_every_cut_fails_and_sticks(void **state)
{
	CLEANUP(buf_done) struct buf b;
	write_sample(&b);
	for (size_t n = 0; n < b.len; n++) {
		struct cursor c = cursor_of(slice_sub(buf_slice(&b), 0, n));
		struct values v = read_sample(&c);
		assert_true(c.failed);
		assert_int_equal(v.f.len, 0);
		assert_int_equal(cursor_u8(&c), 0);
		assert_int_equal(cursor_bytes(&c, 0).len, 0);
		assert_int_equal(cursor_finish(&c), ERR_CORRUPT);
	}
}

static void test_after_failure_what_is_left_stays_unread(void **state)
{
	struct cursor c = cursor_of(S("abc"));
	assert_int_equal(cursor_u32(&c), 0);
	assert_true(c.failed);
	assert_int_equal(cursor_u8(&c), 0); /* there are three octets, but their meaning is lost */
	assert_int_equal(cursor_left(&c), 3);
}

static void test_lengths_that_lie(void **state)
{
	struct cursor c = cursor_of(S("\xff\xff\xff\xff"
				      "abc"));
	assert_int_equal(cursor_slice32(&c).len, 0);
	assert_true(c.failed);
	c = cursor_of(S("abc"));
	(void)cursor_u8(&c);
	assert_int_equal(cursor_bytes(&c, SIZE_MAX).len, 0);
	assert_true(c.failed);
}

static void test_finish_wants_everything_read(void **state)
{
	struct cursor c = cursor_of(S("ab"));
	assert_int_equal(cursor_u8(&c), 'a');
	assert_int_equal(cursor_finish(&c), ERR_CORRUPT);
	assert_int_equal(cursor_u8(&c), 'b');
	assert_int_equal(cursor_finish(&c), ERR_OK);
	c = cursor_of(SLICE_EMPTY);
	assert_int_equal(cursor_finish(&c), ERR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_what_was_written),
		cmocka_unit_test(test_every_cut_fails_and_sticks),
		cmocka_unit_test(test_after_failure_what_is_left_stays_unread),
		cmocka_unit_test(test_lengths_that_lie),
		cmocka_unit_test(test_finish_wants_everything_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
