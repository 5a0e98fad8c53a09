#include "rows.h"

#include <jansson.h>

static json_t *parsed(const struct render *r)
{
	json_t *top;
	struct buf b;

	buf_init(&b, RENDER_OUTPUT_MAX);
	assert_int_equal(render_json(r, &b), ERR_OK);
	top = json_loadb(b.data, b.len, 0, NULL);
	assert_non_null(top);
	buf_done(&b);
	return top;
}

static const char *text(json_t *row, const char *key)
{
	return json_string_value(json_object_get(row, key));
}

static void test_rows(void **state)
{
	struct render r = rendering(CTL_QUEUE_LIST);
	json_t *top, *rows, *row;

	add_queue(&r);
	top = parsed(&r);
	rows = json_object_get(top, "messages");
	assert_int_equal(json_array_size(rows), 2);
	row = json_array_get(rows, 0);
	assert_string_equal(text(row, "id"), "A1");
	assert_string_equal(text(row, "account"), "www");
	assert_string_equal(text(row, "arrived"), "2026-11-23T13:23:20.000Z");
	assert_int_equal(json_integer_value(json_object_get(row, "size")), 2048);
	assert_string_equal(text(row, "last_reply"), "451 4.7.1 \x1b[31mtry later\r\n");
	row = json_array_get(rows, 1);
	assert_true(json_is_null(json_object_get(row, "next_try")));
	assert_true(json_is_null(json_object_get(row, "account"))); /* not sent: there all the same */
	json_decref(top);
	render_done(&r);
}

static void test_octets(void **state)
{
	struct render r = rendering(CTL_QUEUE_LIST);
	struct ctl_fields f;
	json_t *top, *value;

	ctl_fields_init(&f);
	ctl_add_text(&f, "sender", slice_of("a\xff\0b", 4));
	ctl_add_u64(&f, "recipients", UINT64_MAX);
	ctl_add_time(&f, "arrived", INT64_MAX);
	assert_int_equal(add_row(&r, CTL_T_MESSAGE, &f), ERR_OK);
	struct buf b;
	buf_init(&b, RENDER_OUTPUT_MAX);
	assert_int_equal(render_json(&r, &b), ERR_OK);
	top = json_loadb(b.data, b.len, JSON_ALLOW_NUL, NULL);
	assert_non_null(top);
	value = json_object_get(json_array_get(json_object_get(top, "messages"), 0), "sender");
	assert_int_equal(json_string_length(value), 6);
	assert_memory_equal(json_string_value(value), "a\xef\xbf\xbd\0b", 6);
	value = json_object_get(json_array_get(json_object_get(top, "messages"), 0), "recipients");
	assert_true(json_integer_value(value) == INT64_MAX);
	value = json_object_get(json_array_get(json_object_get(top, "messages"), 0), "arrived");
	assert_true(json_is_null(value));
	json_decref(top);
	buf_done(&b);
	ctl_fields_done(&f);
	render_done(&r);
}

static void test_single_and_empty(void **state)
{
	struct render r = rendering(CTL_STATUS);
	struct ctl_fields f;
	json_t *top;

	top = parsed(&r);
	assert_true(json_is_null(json_object_get(top, "relay")));
	assert_int_equal(json_array_size(json_object_get(top, "processes")), 0);
	assert_true(json_is_array(json_object_get(top, "processes")));
	json_decref(top);
	ctl_fields_init(&f);
	ctl_add_str(&f, "health", "ok");
	ctl_add_bool(&f, "draining", true);
	assert_int_equal(add_row(&r, CTL_T_RELAY, &f), ERR_OK);
	top = parsed(&r);
	assert_string_equal(text(json_object_get(top, "relay"), "health"), "ok");
	assert_true(json_is_true(json_object_get(json_object_get(top, "relay"), "draining")));
	json_decref(top);
	ctl_fields_done(&f);
	render_done(&r);
	r = rendering(CTL_RELOAD);
	top = parsed(&r);
	assert_int_equal(json_object_size(top), 0);
	json_decref(top);
	render_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_octets),
		cmocka_unit_test(test_single_and_empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
