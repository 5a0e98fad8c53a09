#include "ctl/limits.h"
#include "ctl/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_verbs(void **state)
{
	for (unsigned v = CTL_STATUS; v <= CTL_QUEUE_MOVES; v++) {
		const struct ctl_verb_info *info = ctl_verb_info(v);
		assert_non_null(info);
		assert_int_equal(info->verb, v);
		assert_ptr_equal(ctl_verb_by_name(slice_str(info->name)), info);
		for (unsigned i = 0; i < ARRAY_LEN(info->tables) && info->tables[i]; i++)
			assert_non_null(ctl_table_info(info->tables[i]));
		assert_true(info->narguments == 0 || info->arguments != NULL);
	}
	assert_null(ctl_verb_info(0));
	assert_null(ctl_verb_info(CTL_QUEUE_MOVES + 1));
	assert_null(ctl_verb_by_name(slice_str("queue")));
}

static void test_tables(void **state)
{
	for (unsigned t = CTL_T_RELAY; t <= CTL_T_MOVE; t++) {
		const struct ctl_table_info *info = ctl_table_info(t);
		assert_non_null(info);
		assert_int_equal(info->table, t);
		assert_true(info->ncolumns > 0 && info->ncolumns <= CTL_FIELDS_MAX);
		for (size_t i = 0; i < info->ncolumns; i++) {
			assert_true(strlen(info->columns[i].key) <= CTL_KEY_MAX);
			assert_ptr_equal(ctl_table_column(info, slice_str(info->columns[i].key)),
					 &info->columns[i]);
		}
		assert_null(ctl_table_column(info, slice_str("nothing")));
	}
	assert_null(ctl_table_info(0));
	assert_null(ctl_table_info(CTL_T_MOVE + 1));
}

/* What a release shipped stays: numbers are on the wire, names are in scripts. */
static void test_stable(void **state)
{
	assert_int_equal(ctl_verb_by_name(slice_str("status"))->verb, 1);
	assert_int_equal(ctl_verb_by_name(slice_str("queue.list"))->verb, 8);
	assert_int_equal(ctl_verb_by_name(slice_str("stop"))->verb, 15);
	assert_int_equal(ctl_verb_info(CTL_SERVER_ADD)->owner, CTL_OWNER_AUTH);
	assert_true(ctl_verb_info(CTL_SERVER_ADD)->changes);
	assert_false(ctl_verb_info(CTL_QUEUE_LIST)->changes);
	assert_string_equal(ctl_table_info(CTL_T_MESSAGE)->name, "messages");
	assert_non_null(ctl_table_column(ctl_table_info(CTL_T_RELAY), slice_str("health")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verbs),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_stable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
