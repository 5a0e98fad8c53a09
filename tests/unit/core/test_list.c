/* Order at both ends, removal in the middle and under iteration. */
#include "core/list.h"

#include "../unit.h"

struct item {
	int value;
	struct list_node link;
};

static int value_of(struct list_node *n)
{
	return CONTAINER_OF(n, struct item, link)->value;
}

static void assert_items(struct list *l, const int *want, size_t n)
{
	size_t i = 0;
	assert_int_equal(l->count, n);
	LIST_EACH_SAFE (l, it, tmp) {
		assert_true(i < n);
		assert_int_equal(value_of(it), want[i++]);
		assert_ptr_equal(it->next->prev, it);
	}
	assert_int_equal(i, n);
}

static void test_order(void **state)
{
	struct list l;
	struct item a = {.value = 1}, b = {.value = 2}, c = {.value = 3};
	list_init(&l);
	assert_null(list_first(&l));
	assert_null(list_pop(&l));
	list_push_back(&l, &b.link);
	list_push_back(&l, &c.link);
	list_push_front(&l, &a.link);
	assert_items(&l, (const int[]){1, 2, 3}, 3);
	assert_ptr_equal(list_first(&l), &a.link);
	assert_ptr_equal(list_pop(&l), &a.link);
	assert_false(list_linked(&a.link));
	list_push_back(&l, &a.link);
	assert_items(&l, (const int[]){2, 3, 1}, 3);
}

static void test_remove(void **state)
{
	struct list l;
	struct item a = {.value = 1}, b = {.value = 2}, c = {.value = 3};
	list_init(&l);
	list_push_back(&l, &a.link);
	list_push_back(&l, &b.link);
	list_push_back(&l, &c.link);
	list_remove(&l, &b.link);
	assert_false(list_linked(&b.link));
	assert_null(b.link.prev);
	assert_items(&l, (const int[]){1, 3}, 2);
	list_remove(&l, &c.link);
	list_remove(&l, &a.link);
	assert_items(&l, NULL, 0);
	assert_ptr_equal(l.head.next, &l.head);
	assert_ptr_equal(l.head.prev, &l.head);
}

static void test_remove_while_iterating(void **state)
{
	struct list l;
	struct item items[10] = {0};
	int seen = 0;
	list_init(&l);
	for (int i = 0; i < 10; i++) {
		items[i].value = i;
		list_push_back(&l, &items[i].link);
	}
	LIST_EACH_SAFE (&l, it, tmp) {
		assert_int_equal(value_of(it), seen++);
		if (value_of(it) % 3 != 0)
			list_remove(&l, it);
	}
	assert_int_equal(seen, 10);
	assert_items(&l, (const int[]){0, 3, 6, 9}, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_remove_while_iterating),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
