#include "conf_util.h"

#include "conf/spell.h"

static void test_hostname(void **state)
{
	static const char *const good[] = {"a", "relay.example.net", "xn--bcher-kva.example", "1.2", "A-b.C"};
	static const char *const bad[] = {"",   ".",  "a.",  ".a",  "a..b",
					  "-a", "a-", "a_b", "a b", "b\xc3\xbc.de"};
	char label[70] = {0};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(conf_spell_hostname(slice_str(good[i])), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(conf_spell_hostname(slice_str(bad[i])), ERR_SYNTAX);
	for (int i = 0; i < 63; i++)
		label[i] = 'a';
	assert_int_equal(conf_spell_hostname(slice_str(label)), ERR_OK);
	label[63] = 'a';
	assert_int_equal(conf_spell_hostname(slice_str(label)), ERR_SYNTAX);
}

static void test_hostname_length(void **state)
{
	char name[256];

	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = i % 2 ? '.' : 'a';
	assert_int_equal(conf_spell_hostname(slice_of(name, 253)), ERR_OK);
	assert_int_equal(conf_spell_hostname(slice_of(name, 255)), ERR_SYNTAX);
}

static void test_mailbox(void **state)
{
	static const char *const good[] = {"postmaster@example.net", "a.b+c@x", "o'x@x.y"};
	static const char *const bad[] = {"",     "a",    "@x",     "a@",    "a@b@c",
					  ".a@x", "a.@x", "a..b@x", "a b@x", "\"a\"@x"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(conf_spell_mailbox(slice_str(good[i])), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(conf_spell_mailbox(slice_str(bad[i])), ERR_SYNTAX);
}

static void test_path(void **state)
{
	assert_int_equal(conf_spell_path(slice_str("/")), ERR_OK);
	assert_int_equal(conf_spell_path(slice_str("/var/lib/a..b")), ERR_OK);
	assert_int_equal(conf_spell_path(slice_str("")), ERR_SYNTAX);
	assert_int_equal(conf_spell_path(slice_str("etc/x")), ERR_SYNTAX);
	assert_int_equal(conf_spell_path(slice_str("/etc/../x")), ERR_SYNTAX);
	assert_int_equal(conf_spell_path(slice_str("/etc/..")), ERR_SYNTAX);
	assert_int_equal(conf_spell_path(slice_str("/a\nb")), ERR_SYNTAX);
}

static void test_titles(void **state)
{
	assert_int_equal(conf_spell_name(slice_str("smtps_2-b")), ERR_OK);
	assert_int_equal(conf_spell_name(slice_str("")), ERR_SYNTAX);
	assert_int_equal(conf_spell_name(slice_str("A")), ERR_SYNTAX);
	assert_int_equal(conf_spell_name(slice_str("a123456789b123456789c123456789xy")), ERR_OK);
	assert_int_equal(conf_spell_name(slice_str("a123456789b123456789c123456789xyz")), ERR_SYNTAX);
	assert_int_equal(conf_spell_pattern(slice_str("*")), ERR_OK);
	assert_int_equal(conf_spell_pattern(slice_str(".example.net")), ERR_OK);
	assert_int_equal(conf_spell_pattern(slice_str("Example.net")), ERR_OK);
	assert_int_equal(conf_spell_pattern(slice_str("*.example.net")), ERR_SYNTAX);
	assert_int_equal(conf_spell_pattern(slice_str(".")), ERR_SYNTAX);
	assert_int_equal(conf_spell_pattern(slice_str("")), ERR_SYNTAX);
}

static void test_address(void **state)
{
	struct conf_address a = {0};

	assert_int_equal(conf_spell_address(slice_str("192.0.2.1:587"), &a), ERR_OK);
	assert_int_equal(a.family, CONF_IPV4);
	assert_int_equal(a.port, 587);
	assert_int_equal(a.ip[0], 192);
	assert_int_equal(conf_spell_address(slice_str("[2001:db8::1]:25"), &a), ERR_OK);
	assert_int_equal(a.family, CONF_IPV6);
	assert_int_equal(a.port, 25);
	assert_int_equal(a.ip[15], 1);
	assert_int_equal(conf_spell_address(slice_str("2001:db8::1"), &a), ERR_OK);
	assert_int_equal(a.port, 0);
	assert_int_equal(conf_spell_address(slice_str("unix:/run/x"), &a), ERR_OK);
	assert_int_equal(a.family, CONF_UNIX);
	assert_slice(a.path, "/run/x");
}

static void test_bad_address(void **state)
{
	static const char *const bad[] = {
		"",           "x",          "192.0.2.1:",  "192.0.2.1:0", "192.0.2.1:65536",
		"192.0.2:25", "[::1",       "[::1]25",     "[::1]:",      "[192.0.2.1]:25",
		"unix:",      "unix:run/x", "192.0.2.1:x", "::1:",        "host:25"};
	struct conf_address a = {.port = 7};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(conf_spell_address(slice_str(bad[i]), &a) < 0);
	assert_int_equal(a.port, 7); /* untouched */
	assert_true(conf_spell_address(slice_of("192.0.2.1\0:25", 13), &a) < 0);
}

static void test_private(void **state)
{
	static const struct {
		const char *text;
		bool is_private;
	} cases[] = {{"127.9.9.9", true},
		     {"10.0.0.1", true},
		     {"172.16.0.1", true},
		     {"172.31.255.255", true},
		     {"172.32.0.1", false},
		     {"192.168.1.1", true},
		     {"169.254.1.1", true},
		     {"192.0.2.1", false},
		     {"0.0.0.0", false},
		     {"::1", true},
		     {"::", false},
		     {"fd00::1", true},
		     {"fe80::1", true},
		     {"fec0::1", false},
		     {"2001:db8::1", false},
		     {"::ffff:10.1.1.1", true},
		     {"::ffff:8.8.8.8", false},
		     {"unix:/x", true}};
	struct conf_address a;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(conf_spell_address(slice_str(cases[i].text), &a), ERR_OK);
		if (conf_address_is_private(&a) != cases[i].is_private)
			fail_msg("%s", cases[i].text);
	}
}

static void test_destination(void **state)
{
	static const char *const good[] = {"mx", "smarthost:25", "192.0.2.1:25", "[2001:db8::1]:587"};
	static const char *const bad[] = {"",       "MX",  "smarthost", "192.0.2.1", "2001:db8::1", "[::1]",
					  "a:b:25", "x:0", "x:65536",   ":25",       "unix:/x",     "x:"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(conf_spell_destination(slice_str(good[i])), ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(conf_spell_destination(slice_str(bad[i])) < 0);
}

static void test_network(void **state)
{
	static const char *const bad[] = {
		"",  "192.0.2.1/24", "192.0.2.0/33", "2001:db8::1/64", "192.0.2.0:25", "10.0.0.0/",
		"x", "unix:/x",      "::/129",       "10.0.0.128/24",  "/8",           "10.0.0.0/8x"};
	struct conf_address a;
	unsigned bits = 0;

	assert_int_equal(conf_spell_network(slice_str("192.0.2.128/25"), &a, &bits), ERR_OK);
	assert_int_equal(a.family, CONF_IPV4);
	assert_int_equal(bits, 25);
	assert_int_equal(conf_spell_network(slice_str("2001:db8::/29"), &a, &bits), ERR_OK);
	assert_int_equal(bits, 29);
	assert_int_equal(conf_spell_network(slice_str("::1"), &a, &bits), ERR_OK);
	assert_int_equal(bits, 128);
	assert_int_equal(conf_spell_network(slice_str("0.0.0.0/0"), &a, &bits), ERR_OK);
	assert_int_equal(conf_spell_network(slice_str("unix"), &a, &bits), ERR_OK);
	assert_int_equal(a.family, CONF_UNIX);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(conf_spell_network(slice_str(bad[i]), &a, &bits) < 0);
}

static void test_distance(void **state)
{
	assert_int_equal(conf_spell_distance(slice_str("route"), slice_str("route"), 2), 0);
	assert_int_equal(conf_spell_distance(slice_str("ruote"), slice_str("route"), 2), 1);
	assert_int_equal(conf_spell_distance(slice_str("rote"), slice_str("route"), 2), 1);
	assert_int_equal(conf_spell_distance(slice_str("rooute"), slice_str("route"), 2), 1);
	assert_int_equal(conf_spell_distance(slice_str("raute"), slice_str("route"), 2), 1);
	assert_int_equal(conf_spell_distance(slice_str("ab"), slice_str(""), 2), 2);
	assert_int_equal(conf_spell_distance(slice_str("limit"), slice_str("delivery"), 2), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hostname),    cmocka_unit_test(test_hostname_length),
		cmocka_unit_test(test_mailbox),     cmocka_unit_test(test_path),
		cmocka_unit_test(test_titles),      cmocka_unit_test(test_address),
		cmocka_unit_test(test_bad_address), cmocka_unit_test(test_private),
		cmocka_unit_test(test_destination), cmocka_unit_test(test_distance),
		cmocka_unit_test(test_network),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
