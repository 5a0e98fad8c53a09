#include "conf_util.h"

static void test_listeners(void **state)
{
	refuse("listener a {\n address = {\"127.0.0.1:25\", \"0.0.0.0:25\"}\n auth = none }", ERR_RANGE,
	       "t.conf:3: listener \"a\": auth = \"none\" on an address that others can reach makes an open "
	       "relay; it is "
	       "possible on loopback, private and Unix addresses, or with clients");
	refuse("listener a {\n address = \"0.0.0.0:25\"\n auth = none\n clients = {\"10.0.0.0/8\", \"::/0\"} "
	       "}",
	       ERR_RANGE,
	       "t.conf:3: listener \"a\": auth = \"none\" on an address that others can reach makes an open "
	       "relay; it is "
	       "possible on loopback, private and Unix addresses, or with clients");
	conf_unref(load_ok(
		"listener a { address = \"0.0.0.0:25\" auth = none clients = {\"10.0.0.0/8\", unix} }"));
	refuse("listener a { address = \"[::]:25\" tls = none }", ERR_RANGE,
	       "t.conf:1: listener \"a\": tls = \"none\" would show passwords to the network; it is possible "
	       "on "
	       "loopback, private and Unix addresses");
	refuse("listener a { address = {\"0.0.0.0:25\", \"0.0.0.0:25\"} }", ERR_RANGE,
	       "t.conf:1: listener \"a\": address: \"0.0.0.0:25\" is given twice");
	refuse("listener a { address = \"0.0.0.0:25\" }\nlistener b { address = \"0.0.0.0:25\" }", ERR_RANGE,
	       "t.conf:2: listener \"b\": address: \"0.0.0.0:25\" is given twice");
	conf_unref(load_ok(
		"listener a { address = {\"127.0.0.1:25\", \"unix:/x\", \"10.1.1.1:25\"} auth = none }"));
	conf_unref(load_ok("listener a { address = \"[::1]:25\" tls = none }"));
	conf_unref(load_ok("listener a { address = \"[::1]:25\" tls = none mechanisms = \"PLAIN LOGIN\" }"));
	refuse("listener a { address = \"0.0.0.0:25\" mechanisms = \"PLAIN CRAM-MD5\" }", ERR_RANGE,
	       "t.conf:1: listener \"a\": mechanisms: \"CRAM-MD5\" is none of EXTERNAL, SCRAM-SHA-256-PLUS, "
	       "SCRAM-SHA-256, "
	       "PLAIN, LOGIN");
	refuse("listener a { address = \"0.0.0.0:25\" mechanisms = \"\" }", ERR_RANGE,
	       "t.conf:1: listener \"a\": mechanisms: none, and auth is required");
}

static void test_certificate(void **state)
{
	refuse("tls { certificate = \"\" }", ERR_RANGE,
	       "t.conf:1: tls.certificate: listener \"submission\" needs one");
	refuse("tls {\nkey = \"\" }", ERR_RANGE, "t.conf:2: tls.key: listener \"submission\" needs one");
	conf_unref(load_ok("tls { key = \"\" } listener a { address = \"[::1]:25\" tls = none }"));
}

static void test_routes(void **state)
{
	refuse("route \"*\" { via = \"h:25\" auth_user = u }", ERR_RANGE,
	       "t.conf:1: route \"*\": auth_user and auth_password_file go together");
	refuse("route \"*\" { via = \"h:25\"\n auth_password_file = \"/p\" }", ERR_RANGE,
	       "t.conf:2: route \"*\": auth_user and auth_password_file go together");
	refuse("route \"*\" { via = mx auth_user = u auth_password_file = \"/p\" }", ERR_RANGE,
	       "t.conf:1: route \"*\": auth_user needs via = \"host:port\"");
	refuse("route \"*\" { via = \"h:25\" tls = may auth_user = u auth_password_file = \"/p\" }",
	       ERR_RANGE,
	       "t.conf:1: route \"*\": auth_user needs tls = \"encrypt\" or \"verify\", so that the password "
	       "is not shown "
	       "to the network");
	refuse("route \"a.com\" { via = mx }\nroute \"A.Com\" { via = mx }", ERR_RANGE,
	       "t.conf:2: route \"a.com\" is given twice");
	conf_unref(load_ok(
		"route \"*\" { via = \"h:25\" tls = encrypt auth_user = u auth_password_file = \"/p\" }"));
}

static void test_values(void **state)
{
	refuse("retention { body = 15d }", ERR_RANGE,
	       "t.conf:1: retention.body: must not be longer than retention.headers");
	refuse("retention { headers = 91d }", ERR_RANGE,
	       "t.conf:1: retention.headers: must not be longer than retention.index");
	refuse("retry { expire_null = 6d }", ERR_RANGE,
	       "t.conf:1: retry.expire_null: must not be longer than retry.expire");
	refuse("limit { message_size = 16K }", ERR_RANGE,
	       "limit.header_size: must not be larger than limit.message_size");
	refuse("log { sink = file }", ERR_RANGE, "t.conf:1: log.sink: \"file\" needs log.file");
	conf_unref(load_ok("retention { body = 0s headers = 0s index = 0s } retry { expire = 2d }"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_certificate),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
