/* The bounded cache of the resolver process. */
#include "relay/resolver/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static struct dns_mx_hop hop_of(const char *host, uint16_t preference)
{
	struct dns_mx_hop h = {.host = slice_str(host), .preference = preference};
	h.addr.len = sizeof(h.addr.u.in4);
	h.addr.u.in4.sin_family = AF_INET;
	return h;
}

static void test_copies_and_finds(void **state)
{
	struct cache c;
	char host[] = "a.example", text[] = "fine", name[] = "x.example";
	struct dns_mx_hop hops[] = {hop_of(host, 10), hop_of("b.example", 20)};
	struct dns_mx_result r = {.outcome = DNS_MX_OK,
				  .ttl_s = 10,
				  .secure = true,
				  .text = slice_str(text),
				  .count = 2,
				  .hops = hops};
	cache_init(&c, 10);
	assert_null(cache_find(&c, DNS_MX_DOMAIN, slice_str(name), 0));
	cache_put(&c, DNS_MX_DOMAIN, slice_str(name), &r, 1000);
	memset(host, '?', sizeof(host) - 1);
	memset(text, '?', sizeof(text) - 1);
	memset(name, '?', sizeof(name) - 1);
	const struct cache_entry *e = cache_find(&c, DNS_MX_DOMAIN, SLICE_LIT("X.Example"), 10999);
	assert_non_null(e);
	assert_true(e->result.secure && e->result.count == 2);
	assert_true(slice_eq_str(e->result.hops[0].host, "a.example"));
	assert_int_equal(e->result.hops[1].preference, 20);
	assert_true(slice_eq_str(e->result.text, "fine"));
	assert_null(cache_find(&c, DNS_MX_HOST, SLICE_LIT("x.example"), 1000));
	assert_null(cache_find(&c, DNS_MX_DOMAIN, SLICE_LIT("x.example"), 11000)); /* its time has passed */
	assert_int_equal(c.order.count, 0);
	cache_done(&c);
}

static void test_replaces(void **state)
{
	struct cache c;
	struct dns_mx_result r = {.outcome = DNS_MX_NULL, .ttl_s = 10};
	cache_init(&c, 10);
	cache_put(&c, DNS_MX_DOMAIN, SLICE_LIT("x"), &r, 0);
	r.outcome = DNS_MX_NO_DOMAIN;
	cache_put(&c, DNS_MX_DOMAIN, SLICE_LIT("X"), &r, 0);
	assert_int_equal(c.order.count, 1);
	assert_int_equal(cache_find(&c, DNS_MX_DOMAIN, SLICE_LIT("x"), 1)->result.outcome, DNS_MX_NO_DOMAIN);
	cache_done(&c);
}

static void test_least_recently_used_goes(void **state)
{
	struct cache c;
	struct dns_mx_result r = {.outcome = DNS_MX_NULL, .ttl_s = 1000};
	char name[16];
	cache_init(&c, 3);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		cache_put(&c, DNS_MX_DOMAIN, slice_str(name), &r, 0);
	}
	assert_non_null(cache_find(&c, DNS_MX_DOMAIN, SLICE_LIT("n0"), 1));
	cache_put(&c, DNS_MX_DOMAIN, SLICE_LIT("n3"), &r, 0);
	assert_int_equal(c.order.count, 3);
	assert_null(cache_find(&c, DNS_MX_DOMAIN, SLICE_LIT("n1"), 1));
	assert_non_null(cache_find(&c, DNS_MX_DOMAIN, SLICE_LIT("n0"), 1));
	cache_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies_and_finds),
		cmocka_unit_test(test_replaces),
		cmocka_unit_test(test_least_recently_used_goes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
