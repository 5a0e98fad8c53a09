/* Remembered passwords: recognised for a while, for that server and that verifier only. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/mem.h"
#include "relay/auth/recall.h"

#include <string.h>

static void test_only_the_same_again(void **state)
{
	struct recall *r = NEW(struct recall);
	struct scram_verifier v = {.stored_key = "one"}, other = {.stored_key = "two"};
	struct slice name = SLICE_LIT("houston"), password = SLICE_LIT("secret");

	assert_false(recall_knows(r, &v, name, password, 0));
	recall_keep(r, &v, name, password, 1000);
	assert_true(recall_knows(r, &v, name, password, 1000));
	assert_true(recall_knows(r, &v, name, password, 1000 + RECALL_MS - 1));
	assert_false(recall_knows(r, &v, name, password, 1000 + RECALL_MS));
	assert_false(recall_knows(r, &v, name, SLICE_LIT("secres"), 1000));
	assert_false(recall_knows(r, &v, name, SLICE_EMPTY, 1000));
	assert_false(recall_knows(r, &other, name, password, 1000));
	/* The border between name and password counts. */
	assert_false(recall_knows(r, &v, SLICE_LIT("houstons"), SLICE_LIT("ecret"), 1000));
	mem_free(r);
}

static void test_the_key_matters(void **state)
{
	struct recall *a = NEW(struct recall), *b = NEW(struct recall);
	struct scram_verifier v = {.iterations = 4096};
	struct slice name = SLICE_LIT("houston"), password = SLICE_LIT("secret");

	b->key[0] = 1;
	recall_keep(a, &v, name, password, 0);
	recall_keep(b, &v, name, password, 0);
	assert_memory_not_equal(a->slots, b->slots, sizeof(a->slots));
	mem_free(a);
	mem_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_the_same_again),
		cmocka_unit_test(test_the_key_matters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
