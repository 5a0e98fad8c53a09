#include "conf_util.h"

#include "conf/schema.h"
#include "conf/value.h"

#include <string.h>

/* Every default and every example is a value that its own field accepts. */
static void accept(const struct conf_field *f, const char *text)
{
	struct slice rest = slice_str(text);
	struct diag d = {0};

	while (rest.len > 0) {
		struct slice item = rest;
		if (conf_type_is_list(f->type))
			item = slice_trim(slice_split(&rest, ','));
		else
			rest = SLICE_EMPTY;
		if (conf_value_check(f, item, &d) < 0)
			fail_msg("%s: %s", f->key, d.text);
	}
}

static void test_fields(void **state)
{
	for (size_t i = 0; i < conf_schema_count; i++) {
		const struct conf_section *s = &conf_schema[i];
		for (size_t k = 0; k < s->nfields; k++) {
			const struct conf_field *f = &s->fields[k];
			accept(f, f->standard);
			accept(f, f->example);
			assert_true(strlen(f->help) > 0 && f->help[strlen(f->help) - 1] == '.');
			assert_true(strlen(f->example) > 0);
			assert_true(strlen(f->since) > 0);
			assert_true(f->offset < s->size);
			assert_true((f->type == CONF_ENUM) == (f->choices != NULL));
			assert_false(f->required && *f->standard);
		}
	}
}

/* libconfuse looks keys up by name, and a reader finds a key in one place of the manual. */
static void test_names(void **state)
{
	assert_string_equal(conf_schema[0].name, "");
	assert_true(conf_schema_count <= 32);
	for (size_t i = 0; i < conf_schema_count; i++) {
		const struct conf_section *s = &conf_schema[i];
		assert_ptr_equal(conf_schema_section(slice_str(s->name)), s);
		assert_null(conf_schema_field(&conf_schema[0], slice_str(s->name)));
		assert_true(strlen(s->help) > 0);
		assert_true((s->title != NULL) == (s->standard != NULL));
		for (size_t k = 0; k < s->nfields; k++)
			assert_ptr_equal(conf_schema_field(s, slice_str(s->fields[k].key)), &s->fields[k]);
	}
	assert_null(conf_schema_section(slice_str("nothing")));
	assert_null(conf_schema_field(&conf_schema[0], slice_str("nothing")));
}

/* Two members of one struct that share a place would overwrite each other. */
static void test_offsets(void **state)
{
	for (size_t i = 0; i < conf_schema_count; i++)
		for (size_t k = 0; k < conf_schema[i].nfields; k++)
			for (size_t m = 0; m < k; m++)
				assert_int_not_equal(conf_schema[i].fields[k].offset,
						     conf_schema[i].fields[m].offset);
}

static void test_crc(void **state)
{
	assert_int_not_equal(conf_schema_crc(), 0);
	assert_int_equal(conf_schema_crc(), conf_schema_crc());
}

static void test_types(void **state)
{
	for (int t = CONF_STRING; t <= CONF_NETWORKS; t++)
		assert_true(strlen(conf_type_name((enum conf_type)t)) > 0);
	assert_true(conf_type_is_list(CONF_DURATIONS));
	assert_true(conf_type_is_list(CONF_SOURCES));
	assert_false(conf_type_is_list(CONF_ENUM));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields), cmocka_unit_test(test_names), cmocka_unit_test(test_offsets),
		cmocka_unit_test(test_crc),    cmocka_unit_test(test_types),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
