/* Alignment, zeroed memory, the cap as a normal result, and what a reset keeps. */
#include "core/arena.h"

#include "core/mem.h"

#include "../unit.h"

#include <string.h>

static void assert_zero(const void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(((const char *)p)[i], 0);
}

static void test_aligned_zeroed_disjoint(void **state)
{
	struct arena a;
	char *p[200];
	arena_init(&a, 1 << 20);
	for (size_t i = 0; i < ARRAY_LEN(p); i++) {
		p[i] = arena_alloc(&a, i);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % 16, 0);
		assert_zero(p[i], i);
		memset(p[i], (int)i, i);
	}
	for (size_t i = 0; i < ARRAY_LEN(p); i++)
		for (size_t k = 0; k < i; k++)
			assert_int_equal((unsigned char)p[i][k], i);
	arena_done(&a);
	assert_int_equal(a.used, 0);
}

static void test_nothing_has_an_address(void **state)
{
	struct arena a;
	arena_init(&a, 64);
	void *p = arena_alloc(&a, 0), *q = arena_alloc(&a, 0);
	assert_non_null(p);
	assert_ptr_not_equal(p, q);
	arena_done(&a);
}

static void test_cap(void **state)
{
	struct arena a;
	arena_init(&a, 1024);
	assert_null(arena_alloc(&a, 1025));
	assert_non_null(arena_alloc(&a, 1008));
	assert_null(arena_alloc(&a, 17));
	assert_non_null(arena_alloc(&a, 16)); /* a refusal does not spoil what is left */
	assert_null(arena_alloc(&a, 0));
	assert_int_equal(a.used, 1024);
	arena_done(&a);
}

static void test_absurd_size(void **state)
{
	struct arena a;
	arena_init(&a, SIZE_MAX);
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_alloc(&a, SIZE_MAX - 8));
	arena_done(&a);
}

static void test_reset_keeps_one_chunk(void **state)
{
	struct arena a;
	arena_init(&a, 1 << 20);
	char *first = arena_alloc(&a, 100);
	memset(first, 'x', 100);
	for (int i = 0; i < 100; i++)
		assert_non_null(arena_alloc(&a, 1000));
	arena_reset(&a);
	assert_int_equal(a.used, 0);
	mem_fail_after(0); /* the first chunk is there: no allocation is needed */
	char *again = arena_alloc(&a, 100);
	mem_fail_after(SIZE_MAX);
	assert_ptr_equal(again, first);
	assert_zero(again, 100);
	arena_done(&a);
	arena_reset(&a); /* of an empty one */
	arena_done(&a);
}

static void test_dup(void **state)
{
	struct arena a;
	struct slice s = S("untouched");
	arena_init(&a, 32);
	assert_int_equal(arena_dup(&a, S("a\0b"), &s), ERR_OK);
	assert_int_equal(s.len, 3);
	assert_memory_equal(s.ptr, "a\0b", 4);
	assert_int_equal(arena_dup(&a, slice_of(NULL, 0), &s), ERR_OK);
	assert_string_equal(s.ptr, "");
	assert_int_equal(arena_dup(&a, S("c"), &s), ERR_LIMIT);
	assert_int_equal(s.len, 0);
	arena_done(&a);
}

static void test_no_memory(void **state)
{
	struct arena a;
	arena_init(&a, 1 << 20);
	mem_fail_after(0);
	assert_null(arena_alloc(&a, 10));
	assert_int_equal(a.used, 0);
	assert_non_null(arena_alloc(&a, 10)); /* fails once */
	mem_fail_after(0);
	assert_null(arena_alloc(&a, 100000));
	assert_non_null(arena_alloc(&a, 10));
	arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aligned_zeroed_disjoint),
		cmocka_unit_test(test_nothing_has_an_address),
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_absurd_size),
		cmocka_unit_test(test_reset_keeps_one_chunk),
		cmocka_unit_test(test_dup),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
