/* The table of hosting servers, and the passwords made for them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "auth/credential.h"
#include "core/mem.h"

#include <stdio.h>
#include <string.h>

static const struct verifier verifier = {.scram = {.iterations = 4096, .salt_len = 8}};

static enum err add(struct credential_table *t, const char *name)
{
	return credential_add(t, slice_str(name), &verifier, 1000, NULL, NULL);
}

static void test_names(void **state)
{
	char longest[AUTH_NAME_MAX + 2];

	memset(longest, 'a', sizeof(longest));
	longest[AUTH_NAME_MAX + 1] = '\0';
	assert_false(credential_name_ok(slice_str(longest)));
	longest[AUTH_NAME_MAX] = '\0';
	assert_true(credential_name_ok(slice_str(longest)));
	assert_true(credential_name_ok(SLICE_LIT("web-01.example_2")));
	assert_false(credential_name_ok(SLICE_EMPTY));
	assert_false(credential_name_ok(SLICE_LIT("Web")));
	assert_false(credential_name_ok(SLICE_LIT("a b")));
	assert_false(credential_name_ok(SLICE_LIT("a\n")));
	assert_false(credential_name_ok(SLICE_LIT("a\0b")));
	assert_false(credential_name_ok(SLICE_LIT("\xc3\xa4")));
}

static void test_add_find_remove(void **state)
{
	struct credential_table t;
	struct credential *c;
	struct diag d;

	credential_table_init(&t);
	assert_int_equal(credential_add(&t, SLICE_LIT("houston"), &verifier, 1000, &c, &d), ERR_OK);
	assert_string_equal(c->name, "houston");
	assert_int_equal(c->created_ms, 1000);
	assert_int_equal(c->rotated_ms, 1000);
	assert_false(c->disabled);
	assert_int_equal(credential_add(&t, SLICE_LIT("houston"), &verifier, 1, NULL, &d), ERR_EXISTS);
	assert_int_equal(credential_add(&t, SLICE_LIT("Houston"), &verifier, 1, NULL, &d), ERR_RANGE);
	assert_ptr_equal(credential_find(&t, SLICE_LIT("houston")), c);
	assert_null(credential_find(&t, SLICE_LIT("housto")));
	credential_remove(&t, c);
	assert_null(credential_find(&t, SLICE_LIT("houston")));
	assert_int_equal(credential_count(&t), 0);
	credential_table_done(&t);
}

static void test_the_table_is_bounded(void **state)
{
	struct credential_table t;
	char name[16];

	credential_table_init(&t);
	for (unsigned i = 0; i < AUTH_CREDENTIALS_MAX; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		assert_int_equal(add(&t, name), ERR_OK);
	}
	assert_int_equal(add(&t, "more"), ERR_LIMIT);
	credential_table_done(&t);
}

static void test_sorted(void **state)
{
	struct credential_table t;
	struct credential **all;
	size_t n = 7;

	credential_table_init(&t);
	assert_int_equal(add(&t, "b"), ERR_OK);
	assert_int_equal(add(&t, "a-"), ERR_OK);
	assert_int_equal(add(&t, "a"), ERR_OK);
	all = credential_sorted(&t, &n);
	assert_int_equal(n, 3);
	assert_string_equal(all[0]->name, "a");
	assert_string_equal(all[1]->name, "a-");
	assert_string_equal(all[2]->name, "b");
	mem_free(all);
	credential_table_done(&t);
}

static void test_without_memory_nothing_is_added(void **state)
{
	struct credential_table t;

	credential_table_init(&t);
	mem_fail_after(0);
	assert_int_equal(add(&t, "a"), ERR_NOMEM);
	mem_fail_after(1);
	assert_int_equal(add(&t, "a"), ERR_NOMEM);
	mem_fail_after(SIZE_MAX);
	assert_int_equal(credential_count(&t), 0);
	assert_int_equal(add(&t, "a"), ERR_OK);
	credential_table_done(&t);
}

static void test_password_form(void **state)
{
	uint8_t random[CREDENTIAL_PASSWORD_RANDOM];
	struct buf out;

	for (size_t i = 0; i < sizeof(random); i++)
		random[i] = (uint8_t)(i + 224); /* the upper bits do not count */
	buf_init(&out, 64);
	credential_password(random, &out);
	assert_string_equal(buf_cstr(&out), "abcdefg-hijkmnp-qrstuvw-xyz2345");
	/* Every one of the 32 characters can come. */
	for (size_t i = 0; i < sizeof(random); i++)
		random[i] = (uint8_t)(31 - i);
	buf_clear(&out);
	credential_password(random, &out);
	assert_string_equal(buf_cstr(&out), "9876543-2zyxwvu-tsrqpnm-kjihgfe");
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_add_find_remove),
		cmocka_unit_test(test_the_table_is_bounded),
		cmocka_unit_test(test_sorted),
		cmocka_unit_test(test_without_memory_nothing_is_added),
		cmocka_unit_test(test_password_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
