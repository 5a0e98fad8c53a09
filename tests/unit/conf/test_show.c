#include "conf_util.h"

#include "conf/epoch.h"
#include "conf/show.h"

#include <string.h>

/* What is shown can be loaded again and means the same. */
static void test_round_trip(void **state)
{
	struct conf *c = load_ok(
		"postmaster = \"o'x@y\"\n"
		"listener x { address = {\"0.0.0.0:25\", \"[::]:25\"} }\n"
		"route \".b.example\" { via = \"[2001:db8::1]:25\" tls = encrypt auth_user = 'a\"b\\c${d}'\n"
		"auth_password_file = \"/p q\" }\n"
		"limit { message_size = 1000001 }\n"
		"timeout { command = 1001ms }\n");
	struct buf first, second;
	struct conf *again;

	buf_init(&first, 1 << 20);
	buf_init(&second, 1 << 20);
	conf_show(c, &first);
	assert_int_equal(first.failed, ERR_OK);
	again = load_ok(buf_cstr(&first));
	conf_show(again, &second);
	assert_string_equal(buf_cstr(&first), buf_cstr(&second));
	assert_slice(again->routes[0].auth_user, "a\"b\\c${d}");
	assert_int_equal(again->limit.message_size, 1000001);
	assert_int_equal(again->timeout.command, 1001);
	conf_unref(c);
	conf_unref(again);
	buf_done(&first);
	buf_done(&second);
}

static void test_text(void **state)
{
	struct conf *c = load_ok("hostname = a.example");
	struct buf b;

	buf_init(&b, 1 << 20);
	conf_show(c, &b);
	assert_non_null(strstr(buf_cstr(&b), "hostname = \"a.example\"\n"));
	assert_non_null(strstr(buf_cstr(&b), "\nlimit {\n\tmessage_size = \"50M\"\n\trecipients = 500\n"));
	assert_non_null(strstr(buf_cstr(&b), "\n\taddress = {\"0.0.0.0:587\", \"[::]:587\"}\n"));
	assert_non_null(strstr(buf_cstr(&b),
			       "\n\tschedule = {\"1min\", \"5min\", \"15min\", \"30min\", \"1h\", \"2h\", "
			       "\"4h\"}\n"));
	conf_unref(c);
	buf_done(&b);
}

/* The commented defaults are the defaults. */
static void test_defaults(void **state)
{
	struct conf *defaults = NULL, *shown;
	struct buf text, a, b;

	buf_init(&text, 1 << 20);
	buf_init(&a, 1 << 20);
	buf_init(&b, 1 << 20);
	conf_show_defaults(&text);
	assert_int_equal(text.failed, ERR_OK);
	assert_int_equal(conf_load(NULL, &defaults, NULL), ERR_OK);
	shown = load_ok(buf_cstr(&text));
	assert_int_equal(conf_epoch_encode(defaults, 1, &a), ERR_OK);
	assert_int_equal(conf_epoch_encode(shown, 1, &b), ERR_OK);
	assert_true(slice_eq(buf_slice(&a), buf_slice(&b)));
	assert_non_null(strstr(buf_cstr(&text), "# hostname = \"relay.example.net\"\n"));
	conf_unref(defaults);
	conf_unref(shown);
	buf_done(&text);
	buf_done(&a);
	buf_done(&b);
}

static void test_width(void **state)
{
	struct slice rest, line;
	struct buf text;

	buf_init(&text, 1 << 20);
	conf_show_defaults(&text);
	for (rest = buf_slice(&text); rest.ptr;) {
		line = slice_split(&rest, '\n');
		if (line.len > 110)
			fail_msg("%.*s", SLICE_ARG(line));
	}
	buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_width),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
