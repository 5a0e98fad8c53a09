/* Addresses and networks of SPF. */
#include "../unit.h"

#include "dns/spf_addr.h"

static struct spf_addr addr(const char *text)
{
	struct spf_addr a;
	assert_int_equal(spf_addr_parse(slice_str(text), &a), ERR_OK);
	return a;
}

static struct spf_net net(const char *text)
{
	struct spf_net n;
	assert_int_equal(spf_net_parse(slice_str(text), &n), ERR_OK);
	return n;
}

static void test_parse(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: no address */
	} rows[] = {
		{"192.0.2.1", "192.0.2.1"},
		{"0.0.0.0", "0.0.0.0"},
		{"255.255.255.255", "255.255.255.255"},
		{"2001:DB8::1", "2001:db8::1"},
		{"::", "::"},
		{"::ffff:192.0.2.1", "192.0.2.1"}, /* mapped */
		{"::FFFF:c000:201", "192.0.2.1"},
		{"::1.2.3.4", "::1.2.3.4"}, /* compatible is not mapped */
		{"192.0.2.01", NULL},
		{"192.0.2.256", NULL},
		{"192.0.2", NULL},
		{"192.0.2.1.5", NULL},
		{"192.0.2.", NULL},
		{"192.0.2.1 ", NULL},
		{"+1.2.3.4", NULL},
		{"1:2:3:4:5:6:7:8:9", NULL},
		{"12345::", NULL},
		{"::ffff:1.2.3.04", NULL},
		{"fe80::1%eth0", NULL},
		{"[::1]", NULL},
		{"abcd", NULL},
		{"", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(buf_done) struct buf out;
		struct spf_addr a;
		buf_init(&out, 64);
		bool ok = spf_addr_parse(slice_str(rows[i].in), &a) == ERR_OK;
		if (ok != (rows[i].out != NULL))
			fail_msg("%s", rows[i].in);
		if (!ok)
			continue;
		spf_addr_format(&a, &out);
		assert_buf(&out, rows[i].out);
	}
	struct spf_addr a;
	assert_int_equal(spf_addr_parse(S("::1\0"), &a), ERR_SYNTAX);
	assert_int_equal(spf_addr_parse6(S("192.0.2.1"), &a), ERR_SYNTAX);
	assert_int_equal(spf_addr_parse6(S("::ffff:192.0.2.1"), &a), ERR_OK);
	assert_int_equal(a.bits, SPF_BITS6); /* one family as it stands */
	assert_int_equal(spf_addr_unmap(a).bits, SPF_BITS4);
}

static void test_match(void **state)
{
	struct spf_addr a = addr("192.0.2.129"), b = addr("192.0.2.128"), c = addr("192.0.3.0"),
			six = addr("2001:db8::1");

	assert_true(spf_addr_match(&a, &b, 31));
	assert_false(spf_addr_match(&a, &b, 32));
	assert_true(spf_addr_match(&a, &c, 23));
	assert_false(spf_addr_match(&a, &c, 24));
	assert_true(spf_addr_match(&a, &c, 0));
	assert_false(spf_addr_match(&a, &six, 0));
	struct spf_addr none = {0};
	assert_false(spf_addr_match(&none, &none, 0));
	struct spf_addr last = addr("2001:db8::2");
	assert_true(spf_addr_match(&six, &last, 126));
	assert_false(spf_addr_match(&six, &last, 127));
	assert_true(spf_addr_eq(&six, &six));
	assert_false(spf_addr_eq(&a, &b));
}

static void test_nets(void **state)
{
	struct spf_net wide = net("192.0.2.0/24"), narrow = net("192.0.2.128/25"), one = net("192.0.2.1"),
		       all6 = net("::/0");
	struct spf_addr a = addr("192.0.2.200");
	CLEANUP(buf_done) struct buf out;
	struct spf_net n;

	assert_true(spf_net_holds(&wide, &a) && spf_net_holds(&narrow, &a));
	assert_false(spf_net_holds(&one, &a) || spf_net_holds(&all6, &a));
	assert_true(spf_net_covers(&wide, &narrow) && spf_net_covers(&wide, &wide));
	assert_false(spf_net_covers(&narrow, &wide) || spf_net_covers(&all6, &one));
	assert_int_equal(spf_net_parse(S("192.0.2.0/33"), &n), ERR_RANGE);
	assert_int_equal(spf_net_parse(S("::/129"), &n), ERR_RANGE);
	assert_int_equal(spf_net_parse(S("192.0.2.0/"), &n), ERR_SYNTAX);
	assert_int_equal(spf_net_parse(S("x/8"), &n), ERR_SYNTAX);
	buf_init(&out, 64);
	spf_net_format(&wide, &out);
	buf_add_char(&out, ' ');
	spf_net_format(&one, &out);
	assert_buf(&out, "192.0.2.0/24 192.0.2.1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_match),
					   cmocka_unit_test(test_nets)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
