/* a, mx, ptr, exists and %{p}: which names are asked for, in which order, and what failures do. */
#include "../unit.h"

#include "core/mem.h"
#include "zone.h"

#define REVERSE  "1.2.0.192.in-addr.arpa"
#define REVERSE6 "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"

struct bench {
	struct spf_eval *e;
	struct zone z;
	struct spf_request r;
	struct buf asked; /* "TYPE NAME " of each question */
};

static int set_up(void **state)
{
	struct bench *b = NEW(struct bench);

	assert_int_equal(spf_eval_new(&b->e), ERR_OK);
	buf_init(&b->asked, 1u << 16);
	b->r = (struct spf_request){.sender = S("jo@example.com"), .helo = S("mail.example.com")};
	assert_int_equal(spf_addr_parse(S("192.0.2.1"), &b->r.ip), ERR_OK);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	spf_eval_free(b->e);
	zone_done(&b->z);
	buf_done(&b->asked);
	mem_free(b);
	return 0;
}

static void ask_and_note(void *self, struct slice name, enum dns_type type, struct dns_answer *ret)
{
	struct bench *b = self;
	struct spf_dns dns = zone_dns(&b->z);

	if (type != DNS_TXT)
		buf_printf(&b->asked, "%d %.*s ", (int)type, SLICE_ARG(name));
	dns.answer(dns.self, name, type, ret);
}

static enum spf_result run(struct bench *b, const char *record)
{
	struct spf_dns dns = {b, ask_and_note};

	buf_clear(&b->asked);
	if (record)
		zone_put(&b->z, "example.com", DNS_TXT, record);
	return spf_eval_run(b->e, &b->r, &dns)->result;
}

static void test_a(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "example.com", DNS_A, "192.0.2.200");
	zone_put(&b->z, "example.com", DNS_AAAA, "2001:db8::9");
	assert_int_equal(run(b, "v=spf1 a/32 a/24//64 -all"), SPF_PASS);
	assert_slice(spf_eval_verdict(b->e)->term, "a/24//64");
	assert_slice(buf_slice(&b->asked), "1 example.com 1 example.com ");
	assert_int_equal(spf_addr_parse(S("2001:db8::1"), &b->r.ip), ERR_OK);
	assert_int_equal(run(b, NULL), SPF_PASS);
	assert_slice(buf_slice(&b->asked), "28 example.com 28 example.com ");
	struct slice odd = S("\300\0\2");
	assert_int_equal(zone_add(&b->z, S("odd.example"), DNS_A, DNS_OK, odd), ERR_OK); /* of three octets */
	zone_clear(&b->z);
}

static void test_odd_names(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "foo\\058bar\\047baz.example.com", DNS_A, "192.0.2.1");
	assert_int_equal(run(b, "v=spf1 a:%{h}%%..x.example a:Foo:Bar/Baz.example.com -all"), SPF_PASS);
	assert_slice(buf_slice(&b->asked),
		     "1 foo\\058bar\\047baz.example.com "); /* an empty label is not asked for */
	assert_int_equal(spf_eval_verdict(b->e)->voids, 0);
}

static void test_exists(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "jo.example.com", DNS_A, "127.0.0.2");
	assert_int_equal(spf_addr_parse(S("2001:db8::1"), &b->r.ip), ERR_OK);
	assert_int_equal(run(b, "v=spf1 exists:%{l}.%{o} -all"), SPF_PASS);
	assert_slice(buf_slice(&b->asked), "1 jo.example.com "); /* A, also for IPv6 */
	zone_put(&b->z, "x.example.com", DNS_A, "!temporary");
	zone_clear(&b->z);
	zone_put(&b->z, "x.example.com", DNS_A, "!temporary");
	assert_int_equal(run(b, "v=spf1 exists:x.example.com -all"), SPF_TEMPERROR);
}

static void test_mx(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "example.com", DNS_MX, "30 c.example.com");
	zone_put(&b->z, "example.com", DNS_MX, "10 a.example.com");
	zone_put(&b->z, "example.com", DNS_MX, "0 .");
	zone_put(&b->z, "example.com", DNS_MX, "10 b.example.com");
	zone_put(&b->z, "a.example.com", DNS_A, "192.0.2.1");
	zone_put(&b->z, "c.example.com", DNS_A, "192.0.2.7");
	assert_int_equal(run(b, "v=spf1 mx -all"), SPF_PASS);
	/* by preference, all of them before any is compared, and no question about the root */
	assert_slice(buf_slice(&b->asked), "15 example.com 1 a.example.com 1 b.example.com 1 c.example.com ");
	assert_int_equal(spf_eval_verdict(b->e)->lookups, 1);
	assert_int_equal(spf_eval_verdict(b->e)->voids, 1);
	zone_put(&b->z, "b.example.com", DNS_A, "!temporary");
	assert_int_equal(run(b, NULL), SPF_TEMPERROR);
}

static void test_mx_limit(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "h.example.com", DNS_A, "192.0.2.1");
	for (int i = 0; i < 10; i++)
		zone_put(&b->z, "example.com", DNS_MX, "10 h.example.com");
	assert_int_equal(run(b, "v=spf1 mx -all"), SPF_PASS);
	zone_put(&b->z, "example.com", DNS_MX, "20 h.example.com");
	assert_int_equal(run(b, NULL), SPF_PERMERROR);
	assert_slice(buf_slice(&b->asked), "15 example.com ");
}

static void test_ptr(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, REVERSE, DNS_PTR, "Liar.example.com");
	zone_put(&b->z, REVERSE, DNS_PTR, "Mail.Example.COM");
	zone_put(&b->z, "liar.example.com", DNS_A, "192.0.2.7");
	zone_put(&b->z, "mail.example.com", DNS_A, "192.0.2.1");
	assert_int_equal(run(b, "v=spf1 ptr:liar.example.com ptr:ail.example.com ptr -all"), SPF_PASS);
	assert_slice(spf_eval_verdict(b->e)->term, "ptr");
	assert_slice(buf_slice(&b->asked),
		     "12 " REVERSE " 1 liar.example.com 1 mail.example.com "); /* once for all three */
	assert_int_equal(spf_eval_verdict(b->e)->lookups, 3);
}

static void test_ptr_ip6(void **state)
{
	struct bench *b = *state;

	assert_int_equal(spf_addr_parse(S("2001:db8::1"), &b->r.ip), ERR_OK);
	zone_put(&b->z, REVERSE6, DNS_PTR, "example.com");
	zone_put(&b->z, "example.com", DNS_AAAA, "2001:db8::1");
	assert_int_equal(run(b, "v=spf1 ptr -all"), SPF_PASS);
	assert_slice(buf_slice(&b->asked), "12 " REVERSE6 " 28 example.com ");
}

static void test_ptr_limit(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "h.example.net", DNS_A, "192.0.2.7");
	zone_put(&b->z, "example.com", DNS_A, "192.0.2.1");
	zone_put(&b->z, "example.org", DNS_A, "192.0.2.1");
	zone_put(&b->z, "example.org", DNS_TXT, "v=spf1 ptr ?all");
	for (int i = 0; i < 9; i++)
		zone_put(&b->z, REVERSE, DNS_PTR, "h.example.net");
	zone_put(&b->z, REVERSE, DNS_PTR, "example.org");
	zone_put(&b->z, REVERSE, DNS_PTR, "example.com");
	assert_int_equal(run(b, "v=spf1 ptr ?all"),
			 SPF_NEUTRAL); /* the eleventh is not looked at, and no error */
	b->r.domain = S("example.org");
	assert_int_equal(run(b, NULL), SPF_PASS); /* the tenth is */
}

static void test_ptr_failures(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, REVERSE, DNS_PTR, "!temporary");
	assert_int_equal(run(b, "v=spf1 ptr exists:%{p}.x ?all"), SPF_NEUTRAL);
	assert_slice(buf_slice(&b->asked), "12 " REVERSE " 1 unknown.x ");
	zone_clear(&b->z);
	zone_put(&b->z, REVERSE, DNS_PTR, "bad.example.com");
	zone_put(&b->z, REVERSE, DNS_PTR, "good.example.com");
	zone_put(&b->z, "bad.example.com", DNS_A, "!temporary");
	zone_put(&b->z, "good.example.com", DNS_A, "192.0.2.1");
	assert_int_equal(run(b, "v=spf1 ptr -all"), SPF_PASS);
}

static void test_ptr_voids(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, REVERSE, DNS_PTR, "gone.example.com");
	assert_int_equal(run(b, "v=spf1 ptr ptr ?all"), SPF_NEUTRAL);
	assert_int_equal(spf_eval_verdict(b->e)->voids, 2); /* each term pays, also if another one asked */
	zone_clear(&b->z);
	zone_put(&b->z, REVERSE, DNS_PTR, "gone.example.com");
	assert_int_equal(run(b, "v=spf1 ptr ptr ptr ?all"), SPF_PERMERROR);
}

static void test_validated_name(void **state)
{
	static const struct {
		const char *domain, *want;
	} rows[] = {
		{"example.com",
		 "12 " REVERSE " 1 z.example.net 1 a.example.com 1 example.com 1 example.com.x "},
		{"b.example.com",
		 "12 " REVERSE " 1 z.example.net 1 a.example.com 1 example.com 1 z.example.net.x "},
		{"example.net",
		 "12 " REVERSE " 1 z.example.net 1 a.example.com 1 example.com 1 z.example.net.x "},
		{"Example.COM",
		 "12 " REVERSE " 1 z.example.net 1 a.example.com 1 example.com 1 example.com.x "},
	};
	struct bench *b = *state;

	zone_put(&b->z, REVERSE, DNS_PTR, "z.example.net");
	zone_put(&b->z, REVERSE, DNS_PTR, "a.example.com");
	zone_put(&b->z, REVERSE, DNS_PTR, "example.com");
	zone_put(&b->z, "z.example.net", DNS_A, "192.0.2.1");
	zone_put(&b->z, "a.example.com", DNS_A, "192.0.2.1");
	zone_put(&b->z, "example.com", DNS_A, "192.0.2.1");
	zone_put(&b->z, "example.com", DNS_TXT, "v=spf1 exists:%{p}.x ?all");
	zone_put(&b->z, "b.example.com", DNS_TXT, "v=spf1 exists:%{p}.x ?all");
	zone_put(&b->z, "example.net", DNS_TXT, "v=spf1 exists:%{p}.x ?all");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		b->r.domain = slice_str(rows[i].domain);
		(void)run(b, NULL);
		assert_slice(buf_slice(&b->asked), rows[i].want);
	}
}

/* %{p} in exp= and in its text: looked up when the result stands, and no void counts any more. */
static void test_explanation(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "e.example.com", DNS_TXT, "from %{p}");
	assert_int_equal(run(b, "v=spf1 a:no1.example a:no2.example -all exp=e.example.com"), SPF_FAIL);
	assert_slice(buf_slice(&b->asked), "1 no1.example 1 no2.example 12 " REVERSE " ");
	assert_slice(spf_eval_verdict(b->e)->explanation, "from unknown");
	zone_put(&b->z, REVERSE, DNS_PTR, "e.example.com");
	zone_put(&b->z, "e.example.com", DNS_A, "192.0.2.1");
	zone_clear(&b->z);
	zone_put(&b->z, REVERSE, DNS_PTR, "e.example.com");
	zone_put(&b->z, "e.example.com", DNS_A, "192.0.2.1");
	zone_put(&b->z, "e.example.com", DNS_TXT, "from %{p}");
	assert_int_equal(run(b, "v=spf1 -all exp=%{p}"), SPF_FAIL);
	assert_slice(spf_eval_verdict(b->e)->explanation, "from e.example.com");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_a),         TEST(test_odd_names),      TEST(test_exists),
		TEST(test_mx),        TEST(test_mx_limit),       TEST(test_ptr),
		TEST(test_ptr_ip6),   TEST(test_ptr_limit),      TEST(test_ptr_failures),
		TEST(test_ptr_voids), TEST(test_validated_name), TEST(test_explanation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
