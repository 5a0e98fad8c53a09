#include "conf_util.h"

#include "core/buf.h"
#include "core/mem.h"

static const char full[] =
	"hostname = \"relay.example.net\"\n"
	"state_directory = \"/srv/state\"\n"
	"control_socket = /run/x\n"
	"user = mail\n"
	"tls { certificate = \"/c\"  key = \"/k\" }\n"
	"listener submission { address = {\"0.0.0.0:587\", \"[::]:587\"}  tls = \"starttls\" }\n"
	"listener smtps { address = \"0.0.0.0:465\"  tls = implicit  bare_newline = reject }\n"
	"route \"Example.ORG\" { via = \"[2001:db8::1]:26\" tls = verify auth_user = u\n"
	"  auth_password_file = \"/p\" }\n"
	"route \"*\" { via = mx }\n"
	"limit { message_size = 20M  recipients = 200 }\n"
	"retry { schedule = {\"10s\", \"1h\"} }\n"
	"delivery { source = {\"192.0.2.1\"} ipv6 = false }\n";

static void test_full(void **state)
{
	struct conf *c = load_ok(full);

	assert_slice(c->hostname, "relay.example.net");
	assert_slice(c->state_directory, "/srv/state");
	assert_slice(c->control_socket, "/run/x");
	assert_slice(c->tls.key, "/k");
	assert_int_equal(c->nlisteners, 2);
	assert_slice(c->listeners[0].name, "submission");
	assert_int_equal(c->listeners[0].address.count, 2);
	assert_slice(c->listeners[0].address.items[1], "[::]:587");
	assert_int_equal(c->listeners[1].tls, CONF_LISTENER_IMPLICIT);
	assert_int_equal(c->listeners[1].auth, CONF_AUTH_REQUIRED);
	assert_int_equal(c->listeners[1].bare_newline, CONF_BARE_REJECT);
	assert_int_equal(c->nroutes, 2);
	assert_slice(c->routes[0].pattern, "example.org");
	assert_slice(c->routes[0].via, "[2001:db8::1]:26");
	assert_int_equal(c->routes[0].tls, CONF_ROUTE_TLS_VERIFY);
	assert_int_equal(c->limit.message_size, 20 << 20);
	assert_int_equal(c->limit.recipients, 200);
	assert_int_equal(c->retry.schedule.count, 2);
	assert_int_equal(c->retry.schedule.items[1], 3600000);
	assert_false(c->delivery.ipv6);
	conf_unref(c);
}

static void test_defaults(void **state)
{
	struct conf *c = NULL;

	assert_int_equal(conf_load(NULL, &c, NULL), ERR_OK);
	assert_true(c->hostname.len > 0);
	assert_true(slice_starts(c->postmaster, SLICE_LIT("postmaster@")));
	assert_true(slice_eq(c->delivery.helo_name, c->hostname));
	assert_int_equal(c->nlisteners, 1);
	assert_slice(c->listeners[0].name, "submission");
	assert_int_equal(c->nroutes, 1);
	assert_slice(c->routes[0].pattern, "*");
	assert_int_equal(c->limit.message_size, 50 << 20);
	assert_int_equal(c->retry.expire, 5ull * 86400000);
	assert_int_equal(c->retry.schedule.count, 7);
	assert_true(c->delivery.ipv6);
	assert_int_equal(c->norigins, 0);
	conf_unref(c);
}

static void test_derived(void **state)
{
	struct conf *c = load_ok("hostname = a.example\n");

	assert_slice(c->postmaster, "postmaster@a.example");
	assert_slice(c->delivery.helo_name, "a.example");
	conf_unref(c);
	c = load_ok("hostname = a.example postmaster = 'x@y' delivery { helo_name = b.example }");
	assert_slice(c->postmaster, "x@y");
	assert_slice(c->delivery.helo_name, "b.example");
	conf_unref(c);
}

static void test_origin(void **state)
{
	struct conf *c = load_ok("\nuser = mail\n\nlimit {\n recipients = 200\n}\n");
	const struct conf_origin *o = conf_origin(c, &c->limit.recipients);

	assert_non_null(o);
	assert_int_equal(o->line, 5);
	assert_slice(o->file, "t.conf");
	assert_int_equal(conf_origin(c, &c->user)->line, 2);
	assert_null(conf_origin(c, &c->limit.message_size));
	conf_unref(c);
}

static void test_pieces(void **state)
{
	struct conf *c = load_ok("limit { recipients = 200 }\nlimit { connections = 7 }\n");

	assert_int_equal(c->limit.recipients, 200);
	assert_int_equal(c->limit.connections, 7);
	conf_unref(c);
}

static void test_unknown(void **state)
{
	refuse("recipients = 5", ERR_SYNTAX,
	       "t.conf:1: unknown key \"recipients\"; it belongs into limit { }");
	refuse("hostnam = x", ERR_SYNTAX, "t.conf:1: unknown key \"hostnam\"; did you mean \"hostname\"?");
	refuse("\nlistner a { }", ERR_SYNTAX,
	       "t.conf:2: unknown key \"listner\"; did you mean \"listener\"?");
	refuse("zzz = 1", ERR_SYNTAX, "t.conf:1: unknown key \"zzz\"");
	refuse("tls { foo = 1 }", ERR_SYNTAX,
	       "t.conf:1: unknown key \"foo\" in tls; known are certificate, key");
	refuse("limit {\n mesage_size = 5M\n}", ERR_SYNTAX,
	       "t.conf:2: unknown key \"mesage_size\" in limit; did you mean \"message_size\"?");
	refuse("listener a {\n\n tsl = none }", ERR_SYNTAX,
	       "t.conf:3: unknown key \"tsl\" in listener \"a\"; did you mean \"tls\"?");
	refuse("limit { hostname = x }", ERR_SYNTAX,
	       "t.conf:1: unknown key \"hostname\" in limit; it stands outside of any section");
	refuse("limit { retry { } }", ERR_SYNTAX,
	       "t.conf:1: unknown key \"retry\" in limit; sections do not stand inside each other");
}

static void test_values(void **state)
{
	refuse("hostname = \"a_b\"", ERR_SYNTAX,
	       "t.conf:1: hostname: \"a_b\" is not a host name, as in \"relay.example.net\"");
	refuse("\n\nlimit { message_size = \"50 apples\" }", ERR_SYNTAX,
	       "t.conf:3: limit.message_size: \"50 apples\" is not a size; write octets, or K, M, G or T "
	       "behind the "
	       "number, as in \"50M\"");
	refuse("limit { recipients = 5 }", ERR_RANGE,
	       "t.conf:1: limit.recipients: \"5\" is outside of 100 to 50000");
	refuse("listener a {\n tls = ssl\n }", ERR_SYNTAX,
	       "t.conf:2: listener \"a\": tls: \"ssl\" is none of starttls, implicit, none");
	refuse("listener a { address = 587 }", ERR_SYNTAX,
	       "t.conf:1: listener \"a\": address: \"587\" is not an address with port, as in "
	       "\"0.0.0.0:587\", "
	       "\"[::]:587\" or \"unix:/path\"");
	refuse("state_directory = var", ERR_SYNTAX,
	       "t.conf:1: state_directory: \"var\" is not an absolute path without \"..\"");
	refuse("postmaster = me", ERR_SYNTAX,
	       "t.conf:1: postmaster: \"me\" is not a mailbox, as in \"postmaster@example.net\"");
	refuse("delivery { source = {\"192.0.2.1\",\n \"x\"} }", ERR_SYNTAX,
	       "t.conf:2: delivery.source: \"x\" is not an IP address, as in \"192.0.2.10\" or "
	       "\"2001:db8::10\"");
	refuse("resolver { forward = \"unix:/x\" }", ERR_SYNTAX,
	       "t.conf:1: resolver.forward: \"unix:/x\" is not an IP address with or without port, as in "
	       "\"192.0.2.53\" or \"[2001:db8::53]:53\"");
	refuse("route \"*\" { via = smarthost }", ERR_SYNTAX,
	       "t.conf:1: route \"*\": via: \"smarthost\" is not \"mx\" or \"host:port\", as in "
	       "\"smarthost.example.net:587\" or \"[2001:db8::25]:25\"");
}

static void test_missing_and_twice(void **state)
{
	refuse("\nlistener a {\n}\n", ERR_NOTFOUND, "t.conf:3: listener \"a\": address: is required");
	refuse("listener a { address = {} }", ERR_RANGE,
	       "t.conf:1: listener \"a\": address: needs at least one value");
	refuse("retry { schedule = {} }", ERR_RANGE, "t.conf:1: retry.schedule: needs at least one value");
	refuse("user = a\nuser = b", ERR_EXISTS, "t.conf:2: user: is given twice, first in t.conf:1");
	refuse("limit { recipients = 100 }\n\nlimit { recipients = 101 }", ERR_EXISTS,
	       "t.conf:3: limit.recipients: is given twice, first in t.conf:1");
	refuse("delivery { source = {\"192.0.2.1\"}\n source = \"192.0.2.2\" }", ERR_EXISTS,
	       "t.conf:2: delivery.source: is given twice, first in t.conf:1");
	refuse("route \"*\" { via = mx }\nroute \"*\" { via = mx }", ERR_SYNTAX,
	       "t.conf:2: found duplicate title '*'");
}

static void test_grammar(void **state)
{
	refuse("user", ERR_SYNTAX, "t.conf:1: premature end of file");
	refuse("user = = b", ERR_SYNTAX, "t.conf:1: unexpected token '='");
	refuse("limit = 3", ERR_SYNTAX, "t.conf:1: missing opening brace for section 'limit'");
	refuse("listener { }", ERR_SYNTAX, "t.conf:1: missing title for section 'listener'");
	refuse("listener A { address = \"0.0.0.0:25\" }", ERR_SYNTAX,
	       "t.conf:1: listener: \"A\" is not a name of at most 32 lower-case letters, digits, hyphens "
	       "and "
	       "underscores");
	refuse("route \"*.a\" { via = mx }", ERR_SYNTAX,
	       "t.conf:1: route: \"*.a\" is not \"*\", a domain, or \".domain\" for what is below it");
}

/* libconfuse's lexer has state of its own: an error must not spoil the next reload. */
static void test_reload_after_error(void **state)
{
	struct conf *c = NULL;

	for (int i = 0; i < 20; i++) {
		assert_true(conf_load_text(slice_str("limit { recipients = 1 } user = 'x"), "t", &c, NULL) <
			    0);
		assert_true(conf_load_text(slice_str("limit { recipients = \"9"), "t", &c, NULL) < 0);
		assert_true(conf_load_text(slice_str("limit { recipients = 1 }"), "t", &c, NULL) < 0);
		conf_unref(load_ok(full));
	}
}

static void test_no_file(void **state)
{
	struct conf *c = NULL;
	struct diag d = {0};

	assert_int_equal(conf_load("/nonexistent/tidegated.conf", &c, &d), ERR_NOTFOUND);
	assert_string_equal(d.text, "/nonexistent/tidegated.conf: No such file or directory");
	assert_int_equal(conf_load("/", &c, &d), ERR_IO);
}

static void test_too_many_listeners(void **state)
{
	struct buf b;
	struct conf *c = NULL;
	struct diag d = {0};

	buf_init(&b, 1 << 20);
	for (unsigned i = 0; i <= CONF_LISTENERS_MAX; i++)
		buf_printf(&b, "listener l%u { address = \"127.0.0.1:%u\" }\n", i, 1000 + i);
	assert_int_equal(conf_load_text(buf_slice(&b), "t", &c, &d), ERR_LIMIT);
	assert_string_equal(d.text, "more than 64 sections \"listener\"");
	buf_done(&b);
}

/* Whichever of our allocations fails: an error, no crash, no leak. */
static void test_no_memory(void **state)
{
	enum err e = ERR_NOMEM;

	for (size_t n = 0; n < 2000 && e != ERR_OK; n++) {
		struct conf *c = NULL;
		mem_fail_after(n);
		e = conf_load_text(slice_str(full), "t", &c, NULL);
		mem_fail_after(SIZE_MAX);
		conf_unref(c);
	}
	assert_int_equal(e, ERR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),      cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_derived),   cmocka_unit_test(test_origin),
		cmocka_unit_test(test_pieces),    cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_values),    cmocka_unit_test(test_missing_and_twice),
		cmocka_unit_test(test_grammar),   cmocka_unit_test(test_reload_after_error),
		cmocka_unit_test(test_no_file),   cmocka_unit_test(test_too_many_listeners),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
