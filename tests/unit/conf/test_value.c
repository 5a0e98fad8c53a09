#include "conf_util.h"

#include "conf/schema.h"
#include "conf/value.h"

#include <string.h>

static const char *const colors[] = {"red", "green", NULL};
static const struct conf_field size_field = {
	.key = "s", .type = CONF_SIZE, .standard = "1K", .min = 16, .max = 1 << 20};
static const struct conf_field number_field = {
	.key = "n", .type = CONF_INTEGER, .standard = "5", .min = 1, .max = 9};
static const struct conf_field time_field = {
	.key = "t", .type = CONF_DURATION, .standard = "", .min = 1000, .max = 86400000};
static const struct conf_field enum_field = {
	.key = "e", .type = CONF_ENUM, .choices = colors, .standard = "red"};
static const struct conf_field bool_field = {.key = "b", .type = CONF_BOOL, .standard = "true"};
static const struct conf_field text_field = {.key = "x", .type = CONF_STRING, .standard = ""};
static const struct conf_field path_field = {.key = "p", .type = CONF_PATH, .standard = ""};
static const struct conf_field list_field = {
	.key = "l", .type = CONF_DURATIONS, .standard = "1min, 4h", .min = 1000, .max = 86400000};
static const struct conf_field networks_field = {.key = "w", .type = CONF_NETWORKS, .standard = ""};
static const struct conf_field sources_field = {.key = "o", .type = CONF_SOURCES, .standard = ""};

static void refuse_item(const struct conf_field *f, const char *item, enum err code, const char *words)
{
	struct diag d = {0};

	assert_int_equal(conf_value_check(f, slice_str(item), &d), code);
	assert_string_equal(d.text, words);
}

static void test_messages(void **state)
{
	refuse_item(&size_field, "50 apples", ERR_SYNTAX,
		    "\"50 apples\" is not a size; write octets, or K, M, G or T behind the number, as in "
		    "\"50M\"");
	refuse_item(&size_field, "2M", ERR_RANGE, "\"2M\" is outside of 16 to 1M");
	refuse_item(&size_field, "15", ERR_RANGE, "\"15\" is outside of 16 to 1M");
	refuse_item(&size_field, "99999999999999999999T", ERR_RANGE,
		    "\"99999999999999999999T\" is outside of 16 to 1M");
	refuse_item(&number_field, "x", ERR_SYNTAX, "\"x\" is not a whole number");
	refuse_item(&number_field, "-1", ERR_SYNTAX, "\"-1\" is not a whole number");
	refuse_item(&number_field, "10", ERR_RANGE, "\"10\" is outside of 1 to 9");
	refuse_item(&time_field, "5", ERR_SYNTAX,
		    "\"5\" is not a duration; write ms, s, min, h or d behind the number, as in \"4h\"");
	refuse_item(&time_field, "2d", ERR_RANGE, "\"2d\" is outside of 1s to 1d");
	refuse_item(&enum_field, "blue", ERR_SYNTAX, "\"blue\" is none of red, green");
	refuse_item(&bool_field, "yes", ERR_SYNTAX, "\"yes\" is not true or false");
	refuse_item(&path_field, "x", ERR_SYNTAX, "\"x\" is not an absolute path without \"..\"");
	refuse_item(&text_field, "a\x01", ERR_SYNTAX, "\"a\x01\" is not plain text");
	refuse_item(&text_field, "\xff", ERR_SYNTAX, "\"\xff\" is not plain text");
	refuse_item(&sources_field, "192.0.2.1:25", ERR_SYNTAX,
		    "\"192.0.2.1:25\" is not an IP address, as in \"192.0.2.10\" or \"2001:db8::10\"");
	refuse_item(&networks_field, "192.0.2.1/24", ERR_SYNTAX,
		    "\"192.0.2.1/24\" is not a network, as in \"192.0.2.0/24\", \"2001:db8::/32\", "
		    "\"192.0.2.1\" or \"unix\", "
		    "with no bit set behind its prefix");
}

static void test_long(void **state)
{
	char text[CONF_VALUE_MAX + 1];
	struct diag d = {0};

	memset(text, 'a', sizeof(text));
	assert_int_equal(conf_value_check(&text_field, slice_of(text, CONF_VALUE_MAX), &d), ERR_OK);
	assert_int_equal(conf_value_check(&text_field, slice_of(text, sizeof(text)), &d), ERR_LIMIT);
}

static void test_set(void **state)
{
	struct slice green = SLICE_LIT("green"), flag = SLICE_LIT("false"), size = SLICE_LIT("3K");
	struct slice times[] = {SLICE_LIT("90s"), SLICE_LIT("1d")};
	struct conf_numbers numbers = {0};
	struct arena a;
	uint64_t octets = 0;
	unsigned choice = 7;
	bool on = true;

	arena_init(&a, 4096);
	assert_int_equal(conf_value_set(&enum_field, &green, 1, &a, &choice, NULL), ERR_OK);
	assert_int_equal(choice, 1);
	assert_int_equal(conf_value_set(&bool_field, &flag, 1, &a, &on, NULL), ERR_OK);
	assert_false(on);
	assert_int_equal(conf_value_set(&size_field, &size, 1, &a, &octets, NULL), ERR_OK);
	assert_int_equal(octets, 3072);
	assert_int_equal(conf_value_set(&list_field, times, 2, &a, &numbers, NULL), ERR_OK);
	assert_int_equal(numbers.count, 2);
	assert_int_equal(numbers.items[0], 90000);
	assert_int_equal(numbers.items[1], 86400000);
	arena_done(&a);
}

static void test_counts(void **state)
{
	struct slice two[] = {SLICE_LIT("5"), SLICE_LIT("6")};
	struct conf_numbers numbers = {0};
	struct conf_texts texts = {0};
	uint64_t number = 0;
	struct diag d = {0};
	struct arena a;

	arena_init(&a, 4096);
	assert_int_equal(conf_value_set(&number_field, two, 2, &a, &number, &d), ERR_RANGE);
	assert_string_equal(d.text, "needs one value");
	assert_int_equal(conf_value_set(&list_field, NULL, 0, &a, &numbers, &d), ERR_RANGE);
	assert_string_equal(d.text, "needs at least one value");
	assert_int_equal(conf_value_set(&sources_field, NULL, 0, &a, &texts, &d), ERR_OK);
	assert_int_equal(texts.count, 0);
	arena_done(&a);
}

static void test_arena_full(void **state)
{
	struct slice text = SLICE_LIT("a text that does not fit into the arena at all, however it is put");
	struct slice value = SLICE_EMPTY;
	struct diag d = {0};
	struct arena a;

	arena_init(&a, 16);
	assert_int_equal(conf_value_set(&text_field, &text, 1, &a, &value, &d), ERR_LIMIT);
	assert_string_equal(d.text, "the configuration is too large");
	arena_done(&a);
}

static void test_standard(void **state)
{
	struct conf_numbers numbers = {0};
	struct slice text = {0};
	struct arena a;

	arena_init(&a, 4096);
	assert_int_equal(conf_value_set_standard(&list_field, &a, &numbers, NULL), ERR_OK);
	assert_int_equal(numbers.count, 2);
	assert_int_equal(numbers.items[1], 4 * 3600000);
	assert_int_equal(conf_value_set_standard(&text_field, &a, &text, NULL), ERR_OK);
	assert_int_equal(text.len, 0);
	assert_string_equal(text.ptr, ""); /* NUL-terminated also when it is not set */
	arena_done(&a);
}

static void assert_format(const struct conf_field *f, const void *member, const char *words)
{
	struct buf b;

	buf_init(&b, 256);
	conf_value_format(f, member, &b);
	assert_string_equal(buf_cstr(&b), words);
	buf_done(&b);
}

static void test_format(void **state)
{
	uint64_t times[] = {60000, 0};
	struct conf_numbers numbers = {times, 2};
	struct slice text = SLICE_LIT("say \"a\\b\"");
	uint64_t size = 1536, hours = 7200000, odd = 61001, number = 7;
	unsigned choice = 1;
	bool on = true;

	assert_format(&size_field, &size, "\"1536\"");
	size = 5 << 20;
	assert_format(&size_field, &size, "\"5M\"");
	assert_format(&time_field, &hours, "\"2h\"");
	assert_format(&time_field, &odd, "\"61001ms\"");
	assert_format(&number_field, &number, "7");
	assert_format(&enum_field, &choice, "\"green\"");
	assert_format(&bool_field, &on, "true");
	assert_format(&text_field, &text, "\"say \\\"a\\\\b\\\"\"");
	assert_format(&list_field, &numbers, "{\"1min\", \"0s\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),   cmocka_unit_test(test_long),
		cmocka_unit_test(test_set),        cmocka_unit_test(test_counts),
		cmocka_unit_test(test_arena_full), cmocka_unit_test(test_standard),
		cmocka_unit_test(test_format),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
