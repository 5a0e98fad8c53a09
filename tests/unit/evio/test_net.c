/* Addresses as text, as prefixes and as property. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "evio/net.h"

#include <string.h>

static struct net_addr parse(const char *text)
{
	struct net_addr a;

	assert_int_equal(net_addr_parse(slice_str(text), 25, &a, NULL), ERR_OK);
	return a;
}

static void check_text(const char *text, const char *full, const char *ip, const char *literal)
{
	struct net_addr a = parse(text);
	CLEANUP(buf_done) struct buf out;

	buf_init(&out, 256);
	net_addr_format(&a, &out);
	assert_string_equal(buf_cstr(&out), full);
	struct net_addr again = parse(full);
	assert_true(net_addr_eq(&a, &again));
	buf_clear(&out);
	net_addr_format_ip(&a, &out);
	assert_string_equal(buf_cstr(&out), ip);
	buf_clear(&out);
	if (*literal)
		net_addr_format_literal(&a, &out);
	assert_string_equal(buf_cstr(&out), literal);
}

static void test_text(void **state)
{
	check_text("192.0.2.1:587", "192.0.2.1:587", "192.0.2.1", "[192.0.2.1]");
	check_text("192.0.2.1", "192.0.2.1:25", "192.0.2.1", "[192.0.2.1]");
	check_text("[2001:DB8::1]:65535", "[2001:db8::1]:65535", "2001:db8::1", "[IPv6:2001:db8::1]");
	check_text("[2001:db8::1]", "[2001:db8::1]:25", "2001:db8::1", "[IPv6:2001:db8::1]");
	check_text("2001:db8::1", "[2001:db8::1]:25", "2001:db8::1", "[IPv6:2001:db8::1]");
	check_text("unix:/run/tidegate/control", "unix:/run/tidegate/control", "", "");
}

static void test_what_is_no_address(void **state)
{
	static const char *const wrong[] = {
		"",
		":25",
		"relay.example.net:25",
		"192.0.2:25",
		"192.0.2.1.1",
		"192.0.2.1:",
		"192.0.2.1:0",
		"192.0.2.1:65536",
		"192.0.2.1:+25",
		"192.0.2.1:25 ",
		"[::1",
		"[::1]25",
		"[::1]:",
		"[]:25",
		"::1:zz",
		"[::g]:25",
		"unix:",
		"192.0.2.256",
		" 192.0.2.1",
		"[fe80::1%lo]:25",
	};
	struct net_addr a = {.len = 77};
	struct diag d;
	char longer[200];

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		d.code = ERR_OK;
		enum err e = net_addr_parse(slice_str(wrong[i]), 25, &a, &d);
		if (e != ERR_SYNTAX && e != ERR_RANGE)
			fail_msg("%s was taken", wrong[i]);
		assert_int_equal(d.code, e);
		assert_int_equal(a.len, 77); /* untouched */
	}
	assert_int_equal(net_addr_parse(SLICE_LIT("192.0.2.1\0:25"), 25, &a, NULL), ERR_SYNTAX);
	assert_int_equal(net_addr_parse(SLICE_LIT("unix:/a\0b"), 25, &a, NULL), ERR_SYNTAX);
	memset(longer, 'x', sizeof(longer));
	memcpy(longer, "unix:", 5);
	assert_int_equal(net_addr_parse(slice_of(longer, 5 + 107), 0, &a, NULL), ERR_OK);
	assert_int_equal(net_addr_parse(slice_of(longer, 5 + 108), 0, &a, NULL), ERR_RANGE);
}

static void test_ports(void **state)
{
	struct net_addr a = parse("192.0.2.1:587"), b = parse("192.0.2.1:25"), u = parse("unix:/x");

	assert_int_equal(net_addr_port(&a), 587);
	assert_int_equal(net_addr_port(&u), 0);
	assert_false(net_addr_eq(&a, &b));
	assert_true(net_addr_eq_ip(&a, &b));
	net_addr_set_port(&b, 587);
	assert_true(net_addr_eq(&a, &b));
	assert_false(net_addr_eq(&a, &u));
	assert_false(net_addr_eq_ip(&u, &u));
	a.len = 0;
	assert_false(net_addr_eq(&a, &a));
}

static void test_mapped_addresses_are_ipv4(void **state)
{
	struct net_addr v4 = parse("192.0.2.1:25"), v6 = parse("[::ffff:192.0.2.1]:25");

	assert_true(net_addr_eq(&v4, &v6));
	struct net_addr net = parse("192.0.2.0");
	assert_true(net_addr_in_prefix(&v6, &net, 24));
	struct net_addr ten = parse("::ffff:10.0.0.1");
	assert_true(net_addr_is_private(&ten));
}

static void test_prefixes(void **state)
{
	static const struct {
		const char *addr, *prefix;
		unsigned bits;
		bool in;
	} cases[] = {
		{"192.0.2.129", "192.0.2.128", 25, true},   {"192.0.2.127", "192.0.2.128", 25, false},
		{"192.0.2.1", "192.0.2.1", 32, true},       {"192.0.2.2", "192.0.2.1", 32, false},
		{"1.2.3.4", "255.255.255.255", 0, true},    {"192.0.2.1", "192.0.2.1", 33, false},
		{"2001:db8::1", "2001:db8::", 32, true},    {"2001:db9::1", "2001:db8::", 32, false},
		{"2001:db9::1", "2001:db8::", 31, true},    {"2001:db8::1", "2001:db8::1", 128, true},
		{"2001:db8::1", "2001:db8::1", 129, false}, {"::", "0.0.0.0", 0, false}, /* families differ */
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net_addr a = parse(cases[i].addr), p = parse(cases[i].prefix);
		if (net_addr_in_prefix(&a, &p, cases[i].bits) != cases[i].in)
			fail_msg("%s in %s/%u", cases[i].addr, cases[i].prefix, cases[i].bits);
	}
}

static void test_private_addresses(void **state)
{
	static const char *const yes[] = {
		"127.0.0.1",   "10.1.2.3", "172.16.0.1",   "172.31.255.255",   "192.168.1.1", "169.254.1.1",
		"100.64.0.1",  "0.0.0.0",  "224.0.0.1",    "255.255.255.255",  "192.0.2.1",   "198.18.0.1",
		"203.0.113.9", "::1",      "::",           "fe80::1",          "fd00::1",     "ff02::1",
		"2001:db8::1", "100::1",   "64:ff9b:1::1", "::ffff:127.0.0.1", "unix:/x"};
	static const char *const no[] = {"8.8.8.8",          "172.15.255.255",  "172.32.0.1", "100.128.0.1",
					 "193.0.2.1",        "223.255.255.255", "2a00::1",    "2001:db7::1",
					 "64:ff9b::808:808", "::ffff:8.8.8.8"};

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		struct net_addr a = parse(yes[i]);
		if (!net_addr_is_private(&a))
			fail_msg("%s is not public", yes[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		struct net_addr a = parse(no[i]);
		if (net_addr_is_private(&a))
			fail_msg("%s is public", no[i]);
	}
}

static void test_unix_addresses(void **state)
{
	struct net_addr a = parse("unix:/a"), b = parse("unix:/a"), c = parse("unix:/b"), nameless = {0};
	CLEANUP(buf_done) struct buf out;

	assert_true(net_addr_eq(&a, &b));
	assert_false(net_addr_eq(&a, &c));
	buf_init(&out, 256);
	net_addr_format(&nameless, &out);
	assert_string_equal(buf_cstr(&out), "");
	nameless.u.sa.sa_family = AF_UNIX;
	nameless.len = sizeof(sa_family_t);
	net_addr_format(&nameless, &out);
	assert_string_equal(buf_cstr(&out), "unix:");
	/* The kernel gives a path of 108 octets without NUL. */
	memset(a.u.un.sun_path, 'p', sizeof(a.u.un.sun_path));
	buf_clear(&out);
	net_addr_format(&a, &out);
	assert_int_equal(out.len, 5 + sizeof(a.u.un.sun_path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),           cmocka_unit_test(test_what_is_no_address),
		cmocka_unit_test(test_ports),          cmocka_unit_test(test_mapped_addresses_are_ipv4),
		cmocka_unit_test(test_prefixes),       cmocka_unit_test(test_private_addresses),
		cmocka_unit_test(test_unix_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
