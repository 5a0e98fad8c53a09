/* Where mail goes, with scripted answers. */
#include "dns/mx.h"

#include "core/buf.h"
#include "core/mem.h"
#include "dns_script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const struct dns_script_row rows[] = {
	{"two.example", DNS_MX, DNS_OK, true, 300, "20 b.example 10 a.example"},
	{"a.example", DNS_A, DNS_OK, true, 100, "192.0.2.1 192.0.2.2"},
	{"a.example", DNS_AAAA, DNS_OK, true, 200, "2001:db8::1"},
	{"b.example", DNS_A, DNS_OK, true, 400, "192.0.2.9"},
	{"b.example", DNS_AAAA, DNS_NODATA, true, 400, ""},
	{"implicit.example", DNS_MX, DNS_NODATA, false, 60, ""},
	{"implicit.example", DNS_A, DNS_OK, false, 60, "192.0.2.7"},
	{"implicit.example", DNS_AAAA, DNS_NODATA, false, 60, ""},
	{"null.example", DNS_MX, DNS_OK, false, 60, "0 ."},
	{"null-and-more.example", DNS_MX, DNS_OK, false, 60, "0 . 10 a.example"},
	{"no-address.example", DNS_MX, DNS_OK, false, 60, "10 gone.example"},
	{"bare.example", DNS_MX, DNS_NODATA, false, 60, ""},
	{"bare.example", DNS_A, DNS_NODATA, false, 60, ""},
	{"bare.example", DNS_AAAA, DNS_NODATA, false, 60, ""},
	{"servfail.example", DNS_MX, DNS_TEMPORARY, false, 30, ""},
	{"bogus.example", DNS_MX, DNS_BOGUS, false, 30, ""},
	{"half.example", DNS_MX, DNS_OK, true, 60, "10 lame.example 20 b.example"},
	{"lame.example", DNS_A, DNS_TEMPORARY, false, 30, ""},
	{"lame.example", DNS_AAAA, DNS_TEMPORARY, false, 30, ""},
	{"lame-only.example", DNS_MX, DNS_OK, false, 60, "10 lame.example 20 gone.example"},
	{"bogus-host.example", DNS_MX, DNS_OK, true, 60, "10 forged.example"},
	{"forged.example", DNS_A, DNS_BOGUS, false, 30, ""},
	{"forged.example", DNS_AAAA, DNS_BOGUS, false, 30, ""},
	{"strange.example", DNS_MX, DNS_OK, false, 60, "5 bad!name 6 a.example 6 a.example"},
	{"xn--bcher-kva.example", DNS_MX, DNS_OK, false, 60, "1 b.example"},
};

struct run {
	struct loop *loop;
	struct dns_script script;
	bool done;
	enum dns_mx_outcome outcome;
	uint32_t ttl_s;
	bool secure;
	char text[256], hops[2048];
};

static void on_result(void *ctx, const struct dns_mx_result *r)
{
	struct run *run = ctx;
	CLEANUP(buf_done) struct buf out;
	assert_false(run->done);
	run->done = true;
	run->outcome = r->outcome;
	run->ttl_s = r->ttl_s;
	run->secure = r->secure;
	snprintf(run->text, sizeof(run->text), "%.*s", SLICE_ARG(r->text));
	buf_init(&out, 4000);
	for (uint32_t i = 0; i < r->count; i++) {
		buf_printf(&out, "%s%u %.*s ", i ? ", " : "", r->hops[i].preference,
			   SLICE_ARG(r->hops[i].host));
		net_addr_format_ip(&r->hops[i].addr, &out);
	}
	snprintf(run->hops, sizeof(run->hops), "%s", buf_cstr(&out));
}

static void resolve(struct run *run, enum dns_mx_kind kind, const char *name, bool no_ipv6)
{
	const struct dns_lookup lookup = dns_script_lookup(&run->script);
	const struct dns_mx_options o = {.loop = run->loop, .lookup = &lookup, .no_ipv6 = no_ipv6};
	struct dns_mx *m;
	run->done = false;
	assert_int_equal(dns_mx_start(&o, kind, slice_str(name), on_result, run, &m), ERR_OK);
	assert_false(run->done);
	for (int turns = 0; turns < 200 && !run->done; turns++)
		loop_turn(run->loop, 0);
	assert_true(run->done);
}

static int setup(void **state)
{
	static struct run run;
	run = (struct run){0};
	assert_int_equal(loop_epoll_new(&run.loop, NULL), ERR_OK);
	dns_script_init(&run.script, run.loop, rows, ARRAY_LEN(rows));
	*state = &run;
	return 0;
}

static int teardown(void **state)
{
	struct run *run = *state;
	dns_script_done(&run->script);
	loop_free(run->loop);
	return 0;
}

static void test_outcomes(void **state)
{
	static const struct {
		enum dns_mx_kind kind;
		const char *name;
		enum dns_mx_outcome outcome;
		const char *hops;
	} want[] = {
		{DNS_MX_DOMAIN, "two.example", DNS_MX_OK,
		 "10 a.example 2001:db8::1, 10 a.example 192.0.2.1, 10 a.example 192.0.2.2, 20 b.example "
		 "192.0.2.9"},
		{DNS_MX_DOMAIN, "Two.Example.", DNS_MX_OK,
		 "10 a.example 2001:db8::1, 10 a.example 192.0.2.1, 10 a.example 192.0.2.2, 20 b.example "
		 "192.0.2.9"},
		{DNS_MX_DOMAIN, "implicit.example", DNS_MX_OK, "0 implicit.example 192.0.2.7"},
		{DNS_MX_DOMAIN, "null.example", DNS_MX_NULL, ""},
		{DNS_MX_DOMAIN, "null-and-more.example", DNS_MX_OK,
		 "10 a.example 2001:db8::1, 10 a.example 192.0.2.1, 10 a.example 192.0.2.2"},
		{DNS_MX_DOMAIN, "no-address.example", DNS_MX_NO_ADDRESS, ""},
		{DNS_MX_DOMAIN, "bare.example", DNS_MX_NO_ADDRESS, ""},
		{DNS_MX_DOMAIN, "nowhere.example", DNS_MX_NO_DOMAIN, ""},
		{DNS_MX_DOMAIN, "not a name", DNS_MX_NO_DOMAIN, ""},
		{DNS_MX_DOMAIN, "", DNS_MX_NO_DOMAIN, ""},
		{DNS_MX_DOMAIN, "servfail.example", DNS_MX_TEMPORARY, ""},
		{DNS_MX_DOMAIN, "bogus.example", DNS_MX_BOGUS, ""},
		{DNS_MX_DOMAIN, "half.example", DNS_MX_OK, "20 b.example 192.0.2.9"},
		{DNS_MX_DOMAIN, "lame-only.example", DNS_MX_TEMPORARY, ""},
		{DNS_MX_DOMAIN, "bogus-host.example", DNS_MX_BOGUS, ""},
		{DNS_MX_DOMAIN, "strange.example", DNS_MX_OK,
		 "6 a.example 2001:db8::1, 6 a.example 192.0.2.1, 6 a.example 192.0.2.2"},
		{DNS_MX_DOMAIN,
		 "b\xc3\xbc"
		 "cher.example",
		 DNS_MX_OK, "1 b.example 192.0.2.9"},
		{DNS_MX_DOMAIN, "[192.0.2.55]", DNS_MX_OK, "0  192.0.2.55"},
		{DNS_MX_DOMAIN, "[IPv6:2001:db8::5]", DNS_MX_OK, "0  2001:db8::5"},
		{DNS_MX_DOMAIN, "[ipv6:2001:db8::5]", DNS_MX_OK, "0  2001:db8::5"},
		{DNS_MX_DOMAIN, "[2001:db8::5]", DNS_MX_NO_DOMAIN, ""},
		{DNS_MX_DOMAIN, "[192.0.2.55:25]", DNS_MX_NO_DOMAIN, ""},
		{DNS_MX_DOMAIN, "[unix:/run/x]", DNS_MX_NO_DOMAIN, ""},
		{DNS_MX_DOMAIN, "[]", DNS_MX_NO_DOMAIN, ""},
		{DNS_MX_HOST, "a.example", DNS_MX_OK,
		 "0 a.example 2001:db8::1, 0 a.example 192.0.2.1, 0 a.example 192.0.2.2"},
		{DNS_MX_HOST, "gone.example", DNS_MX_NO_DOMAIN, ""},
		{DNS_MX_HOST, "bare.example", DNS_MX_NO_ADDRESS, ""},
		{DNS_MX_HOST, "lame.example", DNS_MX_TEMPORARY, ""},
		{DNS_MX_HOST, "127.0.0.1", DNS_MX_OK, "0  127.0.0.1"},
		{DNS_MX_HOST, "[2001:db8::5]", DNS_MX_OK, "0  2001:db8::5"},
		{DNS_MX_HOST, "2001:db8::5", DNS_MX_OK, "0  2001:db8::5"},
		{DNS_MX_HOST, "unix:/run/x", DNS_MX_NO_DOMAIN, ""},
	};
	struct run *run = *state;
	for (int reversed = 0; reversed < 2; reversed++) {
		run->script.reversed = reversed;
		for (size_t i = 0; i < ARRAY_LEN(want); i++) {
			resolve(run, want[i].kind, want[i].name, false);
			if (run->outcome != want[i].outcome || strcmp(run->hops, want[i].hops) != 0)
				fail_msg("%s: %s \"%s\" %s", want[i].name, dns_mx_outcome_name(run->outcome),
					 run->hops, run->text);
			assert_true(run->outcome == DNS_MX_OK || run->text[0]);
		}
	}
}

static void test_ttl_and_security(void **state)
{
	struct run *run = *state;
	resolve(run, DNS_MX_DOMAIN, "two.example", false);
	assert_int_equal(run->ttl_s, 100);
	assert_true(run->secure);
	resolve(run, DNS_MX_DOMAIN, "half.example", false);
	assert_int_equal(run->ttl_s, 30); /* the lame one is to be asked again soon */
	assert_false(run->secure);
	resolve(run, DNS_MX_DOMAIN, "implicit.example", false);
	assert_false(run->secure);
	resolve(run, DNS_MX_DOMAIN, "[192.0.2.5]", false);
	assert_false(run->secure);
}

static void test_without_ipv6(void **state)
{
	struct run *run = *state;
	resolve(run, DNS_MX_DOMAIN, "two.example", true);
	assert_string_equal(run->hops,
			    "10 a.example 192.0.2.1, 10 a.example 192.0.2.2, 20 b.example 192.0.2.9");
	resolve(run, DNS_MX_DOMAIN, "[IPv6:2001:db8::5]", true);
	assert_int_equal(run->outcome, DNS_MX_NO_ADDRESS);
}

static void test_questions_that_cannot_be_asked(void **state)
{
	struct run *run = *state;
	for (unsigned n = 1; n < 6; n++) {
		run->script.asked = 0;
		run->script.fail_after = n;
		resolve(run, DNS_MX_DOMAIN, "two.example", false);
		if (n <= 2)
			assert_int_equal(run->outcome, DNS_MX_TEMPORARY);
		else
			assert_int_equal(run->outcome, DNS_MX_OK);
	}
}

static void test_cancel(void **state)
{
	struct run *run = *state;
	const struct dns_lookup lookup = dns_script_lookup(&run->script);
	const struct dns_mx_options o = {.loop = run->loop, .lookup = &lookup};
	run->script.silent = true;
	for (int turns = 0; turns < 3; turns++) {
		struct dns_mx *m;
		assert_int_equal(
			dns_mx_start(&o, DNS_MX_DOMAIN, SLICE_LIT("two.example"), on_result, run, &m),
			ERR_OK);
		for (int i = 0; i < turns; i++)
			loop_turn(run->loop, 0);
		dns_mx_cancel(m);
	}
	assert_false(run->done);
	assert_int_equal(run->script.cancelled, 2);
}

static void test_no_memory(void **state)
{
	struct run *run = *state;
	const struct dns_lookup lookup = dns_script_lookup(&run->script);
	const struct dns_mx_options o = {.loop = run->loop, .lookup = &lookup};
	for (size_t n = 0; n < 2; n++) {
		struct dns_mx *m;
		mem_fail_after(n);
		assert_int_equal(dns_mx_start(&o, DNS_MX_DOMAIN, SLICE_LIT("x"), on_result, run, &m),
				 ERR_NOMEM);
	}
	mem_fail_after(SIZE_MAX);
}

/* Equal hosts share first place; the order of preference and each host's addresses stay. */
static void test_shuffle(void **state)
{
	unsigned first[3] = {0};
	for (uint64_t seed = 0; seed < 3000; seed++) {
		struct dns_mx_hop hops[] = {
			{SLICE_LIT("a"), {.len = 1}, 10}, {SLICE_LIT("a"), {.len = 2}, 10},
			{SLICE_LIT("b"), {.len = 1}, 10}, {SLICE_LIT("c"), {.len = 1}, 10},
			{SLICE_LIT("c"), {.len = 2}, 10}, {SLICE_LIT("d"), {.len = 1}, 20},
		};
		dns_mx_shuffle(hops, ARRAY_LEN(hops), seed);
		first[hops[0].host.ptr[0] - 'a']++;
		assert_int_equal(hops[5].host.ptr[0], 'd');
		unsigned seen[256] = {0};
		for (size_t i = 0; i < ARRAY_LEN(hops); i++) {
			unsigned char h = (unsigned char)hops[i].host.ptr[0];
			assert_int_equal(hops[i].addr.len, ++seen[h]);
			assert_true(seen[h] == 1 || hops[i - 1].host.ptr[0] == h);
		}
		assert_int_equal(seen['a'] + seen['b'] + seen['c'], 5);
	}
	for (int i = 0; i < 3; i++)
		assert_in_range(first[i], 900, 1100);
	dns_mx_shuffle(NULL, 0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_outcomes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ttl_and_security, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_ipv6, setup, teardown),
		cmocka_unit_test_setup_teardown(test_questions_that_cannot_be_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
		cmocka_unit_test(test_shuffle),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
