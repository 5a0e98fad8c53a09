/* A cut text says so, wherever the cut falls; a NULL diag still carries the code. */
#include "core/diag.h"

#include "../unit.h"

#include <errno.h>
#include <string.h>

static void fill(char *text, size_t n)
{
	memset(text, 'x', n);
	text[n] = '\0';
}

static void test_set(void **state)
{
	struct diag d = {0};
	assert_int_equal(diag_set(&d, ERR_SYNTAX, "line %d: %s", 3, "bad"), ERR_SYNTAX);
	assert_int_equal(d.code, ERR_SYNTAX);
	assert_string_equal(d.text, "line 3: bad");
	assert_int_equal(diag_set(NULL, ERR_RANGE, "x"), ERR_RANGE);
}

static void test_set_errno(void **state)
{
	struct diag d = {0};
	assert_int_equal(diag_set_errno(&d, ENOENT, "open %s", "/x"), ERR_NOTFOUND);
	assert_int_equal(d.code, ERR_NOTFOUND);
	assert_string_equal(d.text, "open /x: No such file or directory");
	assert_int_equal(diag_set_errno(NULL, ENOSPC, "x"), ERR_NOSPACE);
}

static void test_prefix(void **state)
{
	struct diag d = {0};
	(void)diag_set(&d, ERR_LIMIT, "too long");
	assert_int_equal(diag_prefix(&d, "%s:%d", "file", 7), ERR_LIMIT);
	assert_string_equal(d.text, "file:7: too long");
	assert_true(diag_prefix(NULL, "file") <
		    0); /* "return diag_prefix(...)" must never turn into success */
}

static void test_cut(void **state)
{
	struct diag d;
	char text[400];
	for (size_t n = sizeof(d.text) - 8; n < sizeof(d.text) + 8; n++) {
		fill(text, n);
		(void)diag_set(&d, ERR_IO, "%s", text);
		bool cut = n >= sizeof(d.text);
		assert_int_equal(strlen(d.text), cut ? sizeof(d.text) - 1 : n);
		assert_string_equal(d.text + strlen(d.text) - 3, cut ? "..." : "xxx");
	}
}

static void test_cut_behind_the_first_part(void **state)
{
	struct diag d;
	char text[400];
	for (size_t n = sizeof(d.text) - 30; n < sizeof(d.text) + 8; n++) {
		fill(text, n);
		(void)diag_set_errno(&d, ENOENT, "%s", text);
		bool cut = n + strlen(": No such file or directory") >= sizeof(d.text);
		assert_true(strlen(d.text) < sizeof(d.text));
		assert_int_equal(strcmp(d.text + strlen(d.text) - 3, "...") == 0, cut);

		(void)diag_set(&d, ERR_IO, "0123456789");
		(void)diag_prefix(&d, "%s", text);
		cut = n + strlen(": 0123456789") >= sizeof(d.text);
		assert_true(strlen(d.text) < sizeof(d.text));
		assert_int_equal(strcmp(d.text + strlen(d.text) - 3, "...") == 0, cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_set_errno),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_cut_behind_the_first_part),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
