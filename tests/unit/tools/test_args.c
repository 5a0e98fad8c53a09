/* Options of smtpload: defaults, each kind of value, what is refused and that the words name the option. */
#include "smtpload/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ARGS_MAX 24

/* words: arguments separated by one space. */
static enum err parse(const char *words, struct load_options *o, struct diag *d)
{
	static char text[2048];
	char *argv[ARGS_MAX + 2] = {(char *)"smtpload"};
	int argc = 1;
	assert_true(strlen(words) < sizeof(text));
	memcpy(text, words, strlen(words) + 1);
	for (char *p = text; p && *p;) {
		assert_true(argc <= ARGS_MAX);
		argv[argc++] = p;
		p = strchr(p, ' ');
		if (p)
			*p++ = '\0';
	}
	*d = (struct diag){0};
	return load_options_parse(argc, argv, o, d);
}

static struct load_options good(const char *words)
{
	struct load_options o;
	struct diag d;
	enum err e = parse(words, &o, &d);
	if (e)
		fail_msg("\"%s\": %s", words, d.text);
	return o;
}

static void bad(const char *words, const char *says)
{
	struct load_options o;
	struct diag d;
	assert_int_not_equal(parse(words, &o, &d), ERR_OK);
	if (!strstr(d.text, says))
		fail_msg("\"%s\" gave \"%s\" without \"%s\"", words, d.text, says);
}

static void test_defaults(void **state)
{
	struct load_options o = good("");
	assert_int_equal(o.count, 1000);
	assert_int_equal(o.connections, 10);
	assert_int_equal(o.per_connection, 0);
	assert_int_equal(o.recipients, 1);
	assert_int_equal(o.size_count, 1);
	assert_int_equal(o.sizes[0], 4096);
	assert_int_equal(o.tls, LOAD_TLS_NONE);
	assert_int_equal(o.timeout_ms, 60000);
	assert_int_equal(net_addr_port(&o.target), 2525);
}

static void test_numbers(void **state)
{
	struct load_options o =
		good("-n 7 -c 20000 -m 3 -r 10000 --rate 1000000 --sources 5 --run 99 --timeout 2 "
		     "127.0.0.2:26");
	assert_int_equal(o.count, 7);
	assert_int_equal(o.connections, 20000);
	assert_int_equal(o.per_connection, 3);
	assert_int_equal(o.recipients, 10000);
	assert_int_equal(o.rate, 1000000);
	assert_int_equal(o.sources, 5);
	assert_int_equal(o.run, 99);
	assert_int_equal(o.timeout_ms, 2000);
	assert_int_equal(net_addr_port(&o.target), 26);
}

static void test_numbers_out_of_range(void **state)
{
	bad("-n 0", "--count");
	bad("-n 100000001", "--count");
	bad("-n -1", "--count");
	bad("-n 1x", "--count");
	bad("-c 20001", "--connections");
	bad("-r 10001", "--recipients");
	bad("--rate 1000001", "--rate");
	bad("--run 0", "--run");
	bad("--timeout 0", "--timeout");
	bad("--seconds 99999999999999999999999", "--seconds");
}

static void test_every_run_is_bounded(void **state)
{
	assert_int_equal(good("--seconds 5").count, LOAD_SEQ_MAX);
	assert_int_equal(good("--seconds 5").seconds, 5);
	assert_int_equal(good("--seconds 5 -n 3").count, 3);
}

static void test_sizes(void **state)
{
	struct load_options o = good("-s 100,4K,1M");
	assert_int_equal(o.size_count, 3);
	assert_int_equal(o.sizes[0], 100);
	assert_int_equal(o.sizes[1], 4096);
	assert_int_equal(o.sizes[2], 1 << 20);
	assert_int_equal(good("-s 256M").sizes[0], 256u << 20);
	bad("-s 257M", "--size");
	bad("-s 1,,2", "--size");
	bad("-s x", "--size");
	bad("-s 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "--size");
	assert_int_equal(good("-s 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1").size_count, 16);
}

static void test_patterns(void **state)
{
	assert_string_equal(good("--from u%d@x --to a%d.%r%%@y").from, "u%d@x");
	assert_string_equal(good("--from u%d@x --to a%d.%r%%@y").to, "a%d.%r%%@y");
	bad("--from u%s@x", "--from");
	bad("--to u%", "--to");
	bad("--to a>b", "--to");
	bad("--from a\r\nb", "--from");
	char longest[LOAD_PATTERN_MAX + 16];
	memcpy(longest, "--from ", 7);
	memset(longest + 7, 'a', LOAD_PATTERN_MAX + 1);
	longest[7 + LOAD_PATTERN_MAX] = '\0';
	assert_int_equal(strlen(good(longest).from), LOAD_PATTERN_MAX);
	longest[7 + LOAD_PATTERN_MAX] = 'a';
	longest[8 + LOAD_PATTERN_MAX] = '\0';
	bad(longest, "--from");
}

static void test_tls(void **state)
{
	assert_int_equal(good("--tls none").tls, LOAD_TLS_NONE);
	assert_int_equal(good("--tls starttls --insecure").tls, LOAD_TLS_STARTTLS);
	assert_int_equal(good("--tls implicit --ca f --tls-name n").tls, LOAD_TLS_IMPLICIT);
	bad("--tls yes", "--tls");
	bad("--insecure", "--tls");
	bad("--ca f", "--tls");
	bad("--tls starttls --insecure --ca f", "--insecure");
	bad("--tls starttls --tls-name=", "--tls-name");
	bad("--tls starttls unix:/tmp/x", "--tls-name");
	assert_string_equal(good("--tls starttls --tls-name n unix:/tmp/x").tls_name, "n");
}

static void test_auth(void **state)
{
	assert_string_equal(good("--auth a:b:c").auth, "a:b:c");
	bad("--auth ab", "--auth");
}

static void test_helo(void **state)
{
	assert_string_equal(good("--helo me.example").helo, "me.example");
	bad("--helo a\tb", "--helo");
	bad("--helo=", "--helo");
}

static void test_target(void **state)
{
	assert_int_equal(good("[::1]:25").target.u.sa.sa_family, AF_INET6);
	assert_int_equal(good("unix:/tmp/x").target.u.sa.sa_family, AF_UNIX);
	bad("relay.example:25", "relay.example");
	bad("127.0.0.1:25 127.0.0.2:25", "more than one");
	bad("--sources 2 192.0.2.1:25", "--sources");
	bad("--sources 2 [::1]:25", "--sources");
	bad("--sources 2 unix:/tmp/x", "--sources");
}

static void test_unknown(void **state)
{
	bad("--bogus", "option");
	bad("-n", "option");
	assert_true(good("--help").help);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_numbers_out_of_range),
		cmocka_unit_test(test_every_run_is_bounded),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_helo),
		cmocka_unit_test(test_target),
		cmocka_unit_test(test_unknown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
