/* Every value has a name of its own; errno never maps to success. */
#include "core/err.h"

#include "../unit.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static void test_names(void **state)
{
	for (int i = ERR_CANCELLED; i <= ERR_OK; i++) {
		assert_non_null(err_name((enum err)i));
		assert_string_not_equal(err_name((enum err)i), "unknown error");
		for (int k = ERR_CANCELLED; k < i; k++)
			assert_string_not_equal(err_name((enum err)i), err_name((enum err)k));
	}
	assert_string_equal(err_name(ERR_NOMEM), "no memory");
	assert_string_equal(err_name(ERR_CORRUPT), "corrupt");
}

static void test_unknown_values(void **state)
{
	static const int odd[] = {1, ERR_CANCELLED - 1, INT_MIN, INT_MAX};
	for (size_t i = 0; i < ARRAY_LEN(odd); i++)
		assert_string_equal(err_name((enum err)odd[i]), "unknown error");
}

static void test_errno(void **state)
{
	static const struct {
		int errnum;
		enum err want;
	} cases[] = {{ENOMEM, ERR_NOMEM},
		     {EMFILE, ERR_LIMIT},
		     {ENOSPC, ERR_NOSPACE},
		     {EDQUOT, ERR_NOSPACE},
		     {EAGAIN, ERR_AGAIN},
		     {ECONNRESET, ERR_CLOSED},
		     {EEXIST, ERR_EXISTS},
		     {ENOENT, ERR_NOTFOUND},
		     {EACCES, ERR_PERM},
		     {ETIMEDOUT, ERR_TIMEOUT},
		     {EIO, ERR_IO},
		     {EBUSY, ERR_BUSY},
		     {ENOSYS, ERR_UNSUPPORTED},
		     {ECANCELED, ERR_CANCELLED},
		     {EINVAL, ERR_RANGE}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(err_from_errno(cases[i].errnum), cases[i].want);
	for (int e = -5; e < 300; e++)
		assert_true(err_from_errno(e) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_unknown_values),
		cmocka_unit_test(test_errno),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
