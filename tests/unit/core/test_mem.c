/* Zeroed memory, copies, and the countdown that tests of others rely on. */
#include "core/mem.h"

#include "../unit.h"

#include <string.h>

struct thing {
	int a, b;
};

static void test_zeroed(void **state)
{
	for (int round = 0; round < 10; round++) { /* also memory that was used before */
		unsigned char *p = mem_alloc(1000);
		assert_non_null(p);
		for (int i = 0; i < 1000; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xaa, 1000);
		mem_free(p);
	}
	struct thing *t = NEW(struct thing);
	assert_int_equal(t->a | t->b, 0);
	mem_free(t);
	mem_free(NULL);
}

static void test_nothing_is_something(void **state)
{
	void *p = mem_alloc(0);
	assert_non_null(p);
	p = mem_resize(p, 0);
	assert_non_null(p);
	mem_free(p);
}

static void test_resize_keeps(void **state)
{
	char *p = mem_resize(NULL, 4);
	assert_non_null(p);
	memcpy(p, "abcd", 4);
	p = mem_resize(p, 100000);
	assert_memory_equal(p, "abcd", 4);
	mem_free(p);
}

static void test_strdup(void **state)
{
	char *p = mem_strdup("text");
	assert_string_equal(p, "text");
	mem_free(p);
	assert_null(mem_strdup(NULL));
}

static void test_countdown(void **state)
{
	void *p[4];
	mem_fail_after(2);
	for (int i = 0; i < 4; i++)
		p[i] = mem_alloc(1);
	assert_non_null(p[0]);
	assert_non_null(p[1]);
	assert_null(p[2]);
	assert_non_null(p[3]); /* once */
	for (int i = 0; i < 4; i++)
		mem_free(p[i]);
}

static void test_every_door_fails(void **state)
{
	char *p = mem_alloc(8);
	memcpy(p, "old", 4);
	mem_fail_after(0);
	assert_null(mem_resize(p, 1000));
	assert_string_equal(p, "old");
	mem_fail_after(0);
	assert_null(mem_strdup("x"));
	mem_fail_after(0);
	assert_null(mem_strdup(NULL)); /* is no allocation */
	assert_null(mem_alloc(1));
	mem_fail_after(0);
	mem_fail_after(SIZE_MAX);
	void *q = mem_alloc(1);
	assert_non_null(q);
	mem_free(q);
	mem_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zeroed),       cmocka_unit_test(test_nothing_is_something),
		cmocka_unit_test(test_resize_keeps), cmocka_unit_test(test_strdup),
		cmocka_unit_test(test_countdown),    cmocka_unit_test(test_every_door_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
