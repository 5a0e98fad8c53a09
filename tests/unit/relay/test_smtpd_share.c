/* Counting connections by network and by server. */
#include "relay/smtpd/smtpd_priv.h"

#include "core/mem.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

static void test_limit(void **state)
{
	struct map shares;
	struct slice key = SLICE_LIT("houston");
	map_init(&shares, smtpd_share_eq);
	struct smtpd_share *a = smtpd_share_take(&shares, key, 2);
	assert_non_null(a);
	assert_ptr_equal(smtpd_share_take(&shares, key, 2), a);
	assert_null(smtpd_share_take(&shares, key, 2));
	assert_non_null(smtpd_share_take(&shares, SLICE_LIT("dallas"), 2));
	smtpd_share_give(&shares, a);
	assert_ptr_equal(smtpd_share_take(&shares, key, 2), a);
	assert_int_equal(shares.count, 2);
	smtpd_share_give(&shares, a);
	smtpd_share_give(&shares, a);
	assert_int_equal(shares.count, 1); /* nothing is kept for who has none */
	smtpd_share_give(&shares, NULL);
	smtpd_share_give(&shares, smtpd_share_take(&shares, SLICE_LIT("x"), 1));
	assert_null(smtpd_share_take(&shares, SLICE_LIT("x"), 0));
	assert_int_equal(shares.count, 1);
	MAP_EACH_SAFE (&shares, n, tmp)
		smtpd_share_give(&shares, CONTAINER_OF(n, struct smtpd_share, node));
	map_done(&shares);
}

static void test_no_memory(void **state)
{
	struct map shares;
	map_init(&shares, smtpd_share_eq);
	for (size_t n = 0; n < 2; n++) {
		mem_fail_after(n);
		assert_null(smtpd_share_take(&shares, SLICE_LIT("houston"), 2));
		mem_fail_after(SIZE_MAX);
		assert_int_equal(shares.count, 0);
	}
	map_done(&shares);
}

static bool same_network(const char *a, const char *b, unsigned bits4, unsigned bits6)
{
	struct conf_limit l = {.network_bits_ipv4 = bits4, .network_bits_ipv6 = bits6};
	char key_a[SMTPD_NETWORK_KEY], key_b[SMTPD_NETWORK_KEY];
	struct net_addr x, y;
	assert_int_equal(net_addr_parse(slice_str(a), 25, &x, NULL), ERR_OK);
	assert_int_equal(net_addr_parse(slice_str(b), 25, &y, NULL), ERR_OK);
	return slice_eq(smtpd_network_key(&x, &l, key_a), smtpd_network_key(&y, &l, key_b));
}

static void test_networks(void **state)
{
	assert_true(same_network("192.0.2.1", "192.0.2.1", 32, 64));
	assert_false(same_network("192.0.2.1", "192.0.2.2", 32, 64));
	assert_true(same_network("192.0.2.1", "192.0.2.254", 24, 64));
	assert_false(same_network("192.0.2.1", "192.0.3.1", 24, 64));
	assert_true(same_network("192.0.2.1", "192.0.3.1", 23, 64));
	assert_true(same_network("192.0.2.1", "10.0.0.1", 0, 64));
	assert_true(same_network("[2001:db8::1]", "[2001:db8::ffff:1]", 32, 64));
	assert_false(same_network("[2001:db8:0:1::1]", "[2001:db8:0:2::1]", 32, 64));
	assert_true(same_network("[2001:db8:0:1::1]", "[2001:db8:0:2::1]", 32, 48));
	assert_true(same_network("[::ffff:192.0.2.1]", "192.0.2.9", 24, 64));
	assert_false(same_network("[::1]", "127.0.0.1", 8, 64));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_networks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
