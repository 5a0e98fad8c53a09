/* Counting failures by keys that attackers choose. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/mem.h"
#include "relay/auth/throttle.h"

static struct net_addr addr(const char *text)
{
	struct net_addr a;

	assert_int_equal(net_addr_parse(slice_str(text), 0, &a, NULL), ERR_OK);
	return a;
}

static uint64_t network(const char *text)
{
	struct net_addr a = addr(text);

	return throttle_network_key(&a, 24, 64);
}

static void test_networks(void **state)
{
	assert_true(network("192.0.2.1") == network("192.0.2.255"));
	assert_true(network("192.0.2.1") != network("192.0.3.1"));
	assert_true(network("::ffff:192.0.2.9") == network("192.0.2.1"));
	assert_true(network("2001:db8::1") == network("2001:db8::ffff:1"));
	assert_true(network("2001:db8::1") != network("2001:db8:0:1::1"));
	assert_true(network("unix:/a") == network("unix:/b"));
	/* A name that looks like an address is not that network. */
	assert_true(throttle_name_key(slice_of("\xc0\x00\x02\x00", 4)) != network("192.0.2.1"));
}

static void test_masks_that_split_an_octet(void **state)
{
	struct net_addr a = addr("192.0.2.1"), b = addr("192.0.2.127"), c = addr("192.0.2.128");

	assert_true(throttle_network_key(&a, 25, 64) == throttle_network_key(&b, 25, 64));
	assert_true(throttle_network_key(&a, 25, 64) != throttle_network_key(&c, 25, 64));
	assert_true(throttle_network_key(&a, 0, 64) == throttle_network_key(&c, 0, 64));
	assert_true(throttle_network_key(&a, 32, 64) != throttle_network_key(&b, 32, 64));
}

static void test_levels_rise_and_are_forgotten(void **state)
{
	struct throttle *t = NEW(struct throttle);
	uint64_t key = throttle_name_key(SLICE_LIT("houston"));

	assert_int_equal(throttle_level(t, key, 0), 0);
	for (int i = 0; i < 5; i++)
		throttle_count(t, key, 1000);
	assert_int_equal(throttle_level(t, key, 1000), 5);
	assert_int_equal(throttle_level(t, key, 1000 + THROTTLE_FORGET_MS - 1), 5);
	assert_int_equal(throttle_level(t, key, 1000 + THROTTLE_FORGET_MS), 4);
	/* One more in the middle of a period does not start the period again. */
	throttle_count(t, key, 1000 + 3 * THROTTLE_FORGET_MS / 2);
	assert_int_equal(throttle_level(t, key, 1000 + 3 * THROTTLE_FORGET_MS / 2), 5);
	assert_int_equal(throttle_level(t, key, 1000 + 2 * THROTTLE_FORGET_MS), 4);
	assert_int_equal(throttle_level(t, key, 1000 + 100 * THROTTLE_FORGET_MS), 0);
	for (unsigned i = 0; i < THROTTLE_LEVEL_MAX + 10; i++)
		throttle_count(t, key, 5000000);
	assert_int_equal(throttle_level(t, key, 5000000), THROTTLE_LEVEL_MAX);
	mem_free(t);
}

/* A flood of new keys takes the places of other new keys, not of the one that failed often. */
static void test_eviction_spares_the_worst(void **state)
{
	struct throttle *t = NEW(struct throttle);
	uint64_t worst = 7;

	for (int i = 0; i < 20; i++)
		throttle_count(t, worst, 0);
	for (uint64_t i = 1; i < 1000; i++)
		throttle_count(t, worst + i * THROTTLE_SETS, 0); /* all in one set */
	assert_int_equal(throttle_level(t, worst, 0), 20);
	assert_int_equal(throttle_level(t, worst + 999 * THROTTLE_SETS, 0), 1);
	mem_free(t);
}

static void test_delays_double_up_to_their_maximum(void **state)
{
	assert_int_equal(throttle_delay(0), 0);
	assert_int_equal(throttle_delay(THROTTLE_FREE), 0);
	assert_int_equal(throttle_delay(THROTTLE_FREE + 1), THROTTLE_DELAY_MS);
	assert_int_equal(throttle_delay(THROTTLE_FREE + 2), 2 * THROTTLE_DELAY_MS);
	assert_int_equal(throttle_delay(THROTTLE_LEVEL_MAX), THROTTLE_DELAY_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_masks_that_split_an_octet),
		cmocka_unit_test(test_levels_rise_and_are_forgotten),
		cmocka_unit_test(test_eviction_spares_the_worst),
		cmocka_unit_test(test_delays_double_up_to_their_maximum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
