#include "conf_util.h"

static void route(const struct conf *c, const char *domain, const char *pattern)
{
	const struct conf_route *r = conf_route_for(c, slice_str(domain));

	if (!pattern) {
		assert_null(r);
		return;
	}
	assert_non_null(r);
	assert_slice(r->pattern, pattern);
}

static void test_route_for(void **state)
{
	struct conf *c = load_ok("route \"*\" { via = mx }\n"
				 "route \".example.net\" { via = mx }\n"
				 "route \".a.example.net\" { via = mx }\n"
				 "route \"example.net\" { via = mx }\n");

	route(c, "example.net", "example.net");
	route(c, "EXAMPLE.net", "example.net");
	route(c, "x.example.net", ".example.net");
	route(c, "X.Y.A.Example.Net", ".a.example.net");
	route(c, "a.example.net", ".example.net");
	route(c, "badexample.net", "*");
	route(c, ".example.net", "*"); /* not a domain; must not match by its length alone */
	route(c, "", "*");
	conf_unref(c);
}

static void test_no_route(void **state)
{
	struct conf *c = load_ok("route \"example.net\" { via = mx }\n");

	route(c, "example.org", NULL);
	conf_unref(c);
}

static void test_submission(void **state)
{
	struct conf *c = load_ok("listener a { address = \"127.0.0.1:25\" auth = none }\n"
				 "listener b { address = \"0.0.0.0:465\" tls = implicit }\n"
				 "listener c { address = {\"unix:/x\", \"0.0.0.0:2587\"} }\n");
	uint16_t port = 0;

	assert_slice(conf_submission(c, &port)->name, "c");
	assert_int_equal(port, 2587);
	conf_unref(c);
	c = load_ok("listener a { address = \"unix:/x\" }\nlistener b { address = \"0.0.0.0:465\" tls = "
		    "implicit }\n");
	assert_slice(conf_submission(c, &port)->name, "b");
	assert_int_equal(port, 465);
	conf_unref(c);
	c = load_ok("listener a { address = \"127.0.0.1:25\" tls = none }\n");
	assert_null(conf_submission(c, &port));
	conf_unref(c);
}

static void test_references(void **state)
{
	struct conf *c = load_ok("");

	conf_ref(c);
	conf_unref(c);
	assert_true(c->hostname.len > 0); /* still there; a sanitizer would tell */
	conf_unref(c);
	conf_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_route_for),
		cmocka_unit_test(test_no_route),
		cmocka_unit_test(test_submission),
		cmocka_unit_test(test_references),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
