/* The maximum, the sticky failure that leaves content alone, and every way to append. */
#include "core/buf.h"

#include "core/mem.h"

#include "../unit.h"

#include <string.h>

static void test_empty(void **state)
{
	struct buf b;
	buf_init(&b, 10);
	assert_int_equal(buf_slice(&b).len, 0);
	buf_add(&b, SLICE_EMPTY);
	buf_add_mem(&b, NULL, 0);
	buf_add_zero(&b, 0);
	buf_consume(&b, 0);
	assert_null(b.data);
	assert_string_equal(buf_cstr(&b), "");
	buf_done(&b);
	buf_done(&b);
}

static void test_every_append(void **state)
{
	struct buf b;
	buf_init(&b, 1000);
	buf_add(&b, S("a\0b"));
	buf_add_mem(&b, "cd", 2);
	buf_add_str(&b, "ef");
	buf_add_str(&b, NULL);
	buf_add_char(&b, 'g');
	buf_add_zero(&b, 2);
	buf_printf(&b, "%d-%s", 42, "x");
	assert_int_equal(b.failed, ERR_OK);
	assert_int_equal(b.len, 14);
	assert_memory_equal(b.data,
			    "a\0bcdefg\0\0"
			    "42-x",
			    14);
	buf_done(&b);
}

static void test_little_endian(void **state)
{
	struct buf b;
	buf_init(&b, 1000);
	buf_add_u8(&b, 0x01);
	buf_add_u16(&b, 0x0302);
	buf_add_u32(&b, 0x07060504);
	buf_add_u64(&b, 0x0f0e0d0c0b0a0908);
	buf_add_slice32(&b, S("xy"));
	assert_int_equal(b.len, 21);
	assert_memory_equal(b.data,
			    "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
			    "\x02\0\0\0xy",
			    21);
	buf_done(&b);
}

static void test_grows_to_max_and_no_further(void **state)
{
	struct buf b;
	buf_init(&b, 1000);
	for (int i = 0; i < 1000; i++)
		buf_add_char(&b, (char)('a' + i % 26));
	assert_int_equal(b.failed, ERR_OK);
	assert_true(b.cap <= 1000);
	buf_add_char(&b, '!');
	assert_int_equal(b.failed, ERR_LIMIT);
	assert_int_equal(b.len, 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(b.data[i], 'a' + i % 26);
	buf_done(&b);
}

static void test_failure_sticks(void **state)
{
	struct buf b;
	buf_init(&b, 4);
	buf_add_str(&b, "abc");
	buf_add_str(&b, "de");
	assert_int_equal(b.failed, ERR_LIMIT);
	buf_add_char(&b, 'd'); /* would fit, but order would be wrong */
	buf_add_zero(&b, 1);
	buf_printf(&b, "%s", "");
	assert_memory_equal(b.data, "abc", 3);
	assert_int_equal(b.len, 3);
	assert_string_equal(buf_cstr(&b), "");
	buf_clear(&b);
	assert_int_equal(b.failed, ERR_OK);
	buf_add_str(&b, "abcd");
	assert_buf(&b, "abcd");
	buf_done(&b);
}

static void test_slice32_both_or_neither(void **state)
{
	struct buf b;
	buf_init(&b, 8);
	buf_add_slice32(&b, S("12345"));
	assert_int_equal(b.failed, ERR_LIMIT);
	assert_int_equal(b.len, 0);
	buf_clear(&b);
	buf_add_slice32(&b, slice_of("", (size_t)UINT32_MAX + 1));
	assert_int_equal(b.failed, ERR_LIMIT);
	assert_int_equal(b.len, 0);
	buf_clear(&b);
	buf_add_slice32(&b, S("1234"));
	assert_int_equal(b.failed, ERR_OK);
	assert_int_equal(b.len, 8);
	buf_done(&b);
}

static void test_reserve(void **state)
{
	struct buf b;
	buf_init(&b, 100);
	assert_int_equal(buf_reserve(&b, 101), ERR_LIMIT);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), ERR_LIMIT);
	assert_int_equal(b.failed, ERR_OK); /* asking is not appending */
	assert_int_equal(buf_reserve(&b, 100), ERR_OK);
	assert_int_equal(b.cap, 100);
	mem_fail_after(0);
	buf_add_zero(&b, 100);
	mem_fail_after(SIZE_MAX);
	assert_int_equal(b.failed, ERR_OK);
	assert_int_equal(buf_reserve(&b, SIZE_MAX - 50), ERR_LIMIT);
	buf_done(&b);
}

static void test_no_memory(void **state)
{
	struct buf b;
	buf_init(&b, 1000);
	buf_add_str(&b, "kept");
	mem_fail_after(0);
	buf_add_zero(&b, 500);
	assert_int_equal(b.failed, ERR_NOMEM);
	assert_buf(&b, "kept");
	buf_add_char(&b, 'x');
	assert_buf(&b, "kept");
	buf_done(&b);
}

static void test_consume(void **state)
{
	struct buf b;
	buf_init(&b, 100);
	buf_add_str(&b, "hello world");
	buf_consume(&b, 6);
	assert_buf(&b, "world");
	assert_string_equal(buf_cstr(&b), "world");
	buf_consume(&b, 5);
	assert_int_equal(b.len, 0);
	buf_done(&b);
}

static void test_printf_at_the_edge(void **state)
{
	struct buf b;
	buf_init(&b, 5);
	buf_printf(&b, "%s", "1234"); /* four and the NUL of vsnprintf */
	assert_buf(&b, "1234");
	buf_printf(&b, "%s", "56");
	assert_int_equal(b.failed, ERR_LIMIT);
	assert_buf(&b, "1234");
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),          cmocka_unit_test(test_every_append),
		cmocka_unit_test(test_little_endian),  cmocka_unit_test(test_grows_to_max_and_no_further),
		cmocka_unit_test(test_failure_sticks), cmocka_unit_test(test_slice32_both_or_neither),
		cmocka_unit_test(test_reserve),        cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_consume),        cmocka_unit_test(test_printf_at_the_edge),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
