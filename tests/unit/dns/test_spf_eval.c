/* check_host() step by step: what is asked, what it costs, which term decided, limits, identities, explanations. The
 * suites in tests/spf are about results; this is about everything else. */
#include "../unit.h"

#include "core/mem.h"
#include "zone.h"

#include <string.h>

struct bench {
	struct spf_eval *e;
	struct zone z;
	struct spf_request r;
};

static int set_up(void **state)
{
	struct bench *b = NEW(struct bench);

	assert_int_equal(spf_eval_new(&b->e), ERR_OK);
	b->r = (struct spf_request){
		.sender = S("jo@example.com"), .helo = S("mail.example.com"), .now_s = 1700000000};
	assert_int_equal(spf_addr_parse(S("192.0.2.1"), &b->r.ip), ERR_OK);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	spf_eval_free(b->e);
	zone_done(&b->z);
	mem_free(b);
	return 0;
}

static const struct spf_verdict *run(struct bench *b)
{
	struct spf_dns dns = zone_dns(&b->z);
	return spf_eval_run(b->e, &b->r, &dns);
}

static const struct spf_verdict *run_record(struct bench *b, const char *record)
{
	zone_put(&b->z, "example.com", DNS_TXT, record);
	return run(b);
}

static void test_steps(void **state)
{
	struct bench *b = *state;
	struct spf_question q;
	struct slice txt = S("\14v=spf1 a:X.b"), address = S("\300\0\2\1");
	struct dns_answer a = {.count = 1, .records = &txt};

	spf_eval_start(b->e, &b->r);
	assert_int_equal(spf_eval_step(b->e, NULL, &q), SPF_ASK);
	assert_slice(q.name, "example.com");
	assert_int_equal(q.type, DNS_TXT);
	assert_int_equal(spf_eval_step(b->e, &a, &q), SPF_ASK);
	assert_slice(q.name, "x.b");
	assert_int_equal(q.type, DNS_A);
	a.records = &address;
	assert_int_equal(spf_eval_step(b->e, &a, &q), SPF_DONE);
	assert_int_equal(spf_eval_step(b->e, NULL, &q), SPF_DONE); /* stays */
	const struct spf_verdict *v = spf_eval_verdict(b->e);
	assert_int_equal(v->result, SPF_PASS);
	assert_int_equal(v->matched.at, 7);
	assert_slice(v->term, "a:X.b");
	assert_int_equal(v->questions, 2);
}

static void test_drop(void **state)
{
	struct bench *b = *state;
	struct spf_question q;

	spf_eval_start(b->e, &b->r);
	assert_int_equal(spf_eval_step(b->e, NULL, &q), SPF_ASK);
	assert_int_equal(run_record(b, "v=spf1 -all")->result,
			 SPF_FAIL); /* what was under way is forgotten */
	assert_int_equal(run(b)->lookups, 0);
}

static void test_include(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "inc.example.net", DNS_TXT, "v=spf1 a:none.example include:deep.example.net -all");
	zone_put(&b->z, "deep.example.net", DNS_TXT, "v=spf1 ?ip4:192.0.2.9 ip4:192.0.2.0/24");
	b->r.trace = true;
	const struct spf_verdict *v = run_record(b, "v=spf1 ip4:192.0.2.2 ~include:inc.example.net. -all");
	assert_int_equal(v->result, SPF_SOFTFAIL);
	assert_slice(v->term, "~include:inc.example.net.");
	assert_slice(v->inner_term, "ip4:192.0.2.0/24");
	assert_slice(v->inner_domain, "deep.example.net");
	assert_slice(v->domain, "example.com");
	assert_int_equal(v->lookups, 3);
	assert_int_equal(v->voids, 1);
	assert_int_equal(v->trace_count, 6);
	assert_int_equal(v->trace[1].outcome, SPF_MATCH);
	assert_int_equal(v->trace[1].result, SPF_PASS);
	assert_int_equal(v->trace[1].lookups, 3);
	assert_int_equal(v->trace[1].voids, 1);
	assert_slice(v->trace[1].target, "inc.example.net");
	assert_int_equal(v->trace[2].depth, 1);
	assert_int_equal(v->trace[2].outcome, SPF_NO_MATCH);
	assert_slice(v->trace[5].term, "ip4:192.0.2.0/24");
	assert_int_equal(v->trace[5].depth, 2);
}

static void test_redirect(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "other.example", DNS_TXT, "v=spf1 a -all");
	zone_put(&b->z, "other.example", DNS_A, "192.0.2.7");
	b->r.trace = true;
	const struct spf_verdict *v = run_record(b, "v=spf1 redirect=other.example a:x.example");
	assert_int_equal(v->result, SPF_FAIL);
	assert_slice(v->domain, "other.example");
	assert_slice(v->record, "v=spf1 a -all");
	assert_int_equal(v->matched.at, 9);
	assert_int_equal(v->lookups, 3); /* a, redirect, a */
	assert_int_equal(v->trace[1].outcome, SPF_FOLLOWED);
	zone_clear(&b->z);
	v = run_record(b, "v=spf1 ip4:192.0.2.1 redirect=other.example");
	assert_int_equal(v->lookups, 0); /* it is there, and not taken */
	zone_clear(&b->z);
	v = run_record(b, "v=spf1 redirect=nowhere.example");
	assert_int_equal(v->result, SPF_PERMERROR);
	assert_slice(v->problem, "nowhere.example does not exist");
	assert_int_equal(v->voids, 1);
}

static void test_lookup_limit(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "h.example", DNS_A, "192.0.2.9");
	assert_int_equal(run_record(b, "v=spf1 a:h.example a:h.example a:h.example a:h.example a:h.example "
				       "a:h.example a:h.example "
				       "a:h.example a:h.example a:h.example ip4:192.0.2.1 a:h.example -all")
				 ->result,
			 SPF_PASS); /* ten are evaluated, the eleventh is not reached */
	assert_int_equal(spf_addr_parse(S("192.0.2.2"), &b->r.ip), ERR_OK);
	const struct spf_verdict *v = run(b);
	assert_int_equal(v->result, SPF_PERMERROR);
	assert_int_equal(v->questions, 11); /* and none for the eleventh */
	b->r.count_on = true;
	v = run(b);
	assert_int_equal(v->result, SPF_FAIL);
	assert_int_equal(v->lookups, 11);
}

static void test_count_on_ends(void **state)
{
	struct bench *b = *state;

	b->r.count_on = true;
	const struct spf_verdict *v = run_record(b, "v=spf1 a include:example.com -all"); /* calls itself */
	assert_int_equal(v->result, SPF_PERMERROR);
	assert_true(v->lookups <= SPF_LOOKUPS_COUNTED + 1);
	zone_clear(&b->z);
	v = run_record(b, "v=spf1 redirect=example.com");
	assert_int_equal(v->result, SPF_PERMERROR);
	assert_int_equal(v->lookups, SPF_LOOKUPS_COUNTED + 1);
}

static void test_void_limit(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "empty.example", DNS_MX, "!nodata");
	const struct spf_verdict *v = run_record(b, "v=spf1 a:no1.example mx:empty.example ip4:192.0.2.1");
	assert_int_equal(v->result, SPF_PASS);
	assert_int_equal(v->voids, 2);
	zone_clear(&b->z);
	v = run_record(b, "v=spf1 a:no1.example a:no2.example a:no3.example ip4:192.0.2.1");
	assert_int_equal(v->result, SPF_PERMERROR);
	assert_slice(v->problem, "more than 2 lookups found nothing");
	assert_int_equal(v->voids, 3);
}

static void test_syntax_first(void **state)
{
	struct bench *b = *state;

	const struct spf_verdict *v = run_record(b, "v=spf1 ip4:192.0.2.1 a:x.example moo -all");
	assert_int_equal(v->result, SPF_PERMERROR);
	assert_slice(v->problem, "example.com: \"moo\": an unknown mechanism");
	assert_slice(v->inner_term, "moo");
	assert_int_equal(v->questions, 1);
	assert_int_equal(v->matched.len, 0);
}

static void test_records(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "example.com", DNS_TXT, "something else");
	assert_int_equal(run(b)->result, SPF_NONE);
	assert_int_equal(run_record(b, "v=spf1 +all")->result, SPF_PASS);
	assert_int_equal(run_record(b, "V=spf1")->result, SPF_PERMERROR);
	zone_clear(&b->z);
	zone_put(&b->z, "example.com", DNS_TXT, "!temporary");
	assert_int_equal(run(b)->result, SPF_TEMPERROR);
	zone_clear(&b->z);
	const struct spf_verdict *v = run(b);
	assert_int_equal(v->result, SPF_NONE);
	assert_int_equal(v->voids, 0); /* not a term */
	struct slice cut = S("\17v=spf1 -all");
	assert_int_equal(zone_add(&b->z, S("example.com"), DNS_TXT, DNS_OK, cut), ERR_OK);
	assert_int_equal(run(b)->result, SPF_NONE); /* no record in it that can be read */
}

static void test_long_record(void **state)
{
	struct bench *b = *state;
	CLEANUP(buf_done) struct buf text;

	buf_init(&text, 70000);
	buf_add_str(&text, "v=spf1");
	while (text.len < SPF_RECORD_MAX)
		buf_add_str(&text, " ip4:192.0.2.99");
	assert_int_equal(run_record(b, buf_cstr(&text))->result, SPF_PERMERROR);
}

static void test_identities(void **state)
{
	static const struct {
		const char *sender, *helo, *explanation; /* NULL: none, nothing is asked */
	} rows[] = {
		{"jo@example.com", "h.example", "jo@example.com|jo|example.com|example.com|h.example"},
		{"", "example.com", "postmaster@example.com|postmaster|example.com|example.com|example.com"},
		{"@example.com", "h", "postmaster@example.com|postmaster|example.com|example.com|h"},
		{"example.com", "h", "postmaster@example.com|postmaster|example.com|example.com|h"},
		{"\"a@b\"@Example.COM.", "h", "\"a@b\"@Example.COM|\"a@b\"|Example.COM|Example.COM|h"},
		{"j\xc3\xb6@example.com", "h", "j\xc3\xb6@example.com|j\xc3\xb6|example.com|example.com|h"},
		{"jo@com", "h", NULL},
		{"jo@[192.0.2.1]", "h", NULL},
		{"jo@a..b", "h", NULL},
		{"jo@exa mple.com", "h", NULL},
		{"jo@.", "h", NULL},
		{"", "", NULL},
		{"", "[192.0.2.1]", NULL},
	};
	struct bench *b = *state;

	zone_put(&b->z, "example.com", DNS_TXT, "v=spf1 -all exp=e.example.com");
	zone_put(&b->z, "e.example.com", DNS_TXT, "%{s}|%{l}|%{o}|%{d}|%{h}");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		b->r.sender = slice_str(rows[i].sender);
		b->r.helo = slice_str(rows[i].helo);
		const struct spf_verdict *v = run(b);
		if (rows[i].explanation) {
			assert_int_equal(v->result, SPF_FAIL);
			assert_slice(v->explanation, rows[i].explanation);
		} else {
			assert_int_equal(v->result, SPF_NONE);
			assert_int_equal(v->questions, 0);
			assert_true(v->problem.len > 0);
		}
	}
}

static void test_international(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "xn--bcher-kva.example", DNS_TXT, "v=spf1 -exists:%{l}.x.example a:%{h} ?all");
	zone_put(&b->z, "xn--bcher-kva.example", DNS_A, "192.0.2.1");
	b->r.sender = S("j\xc3\xb6@B\xc3\xbc"
			"cher.example");
	b->r.helo = S("b\xc3\xbc"
		      "cher.example");
	const struct spf_verdict *v = run(b);
	assert_int_equal(v->result, SPF_PASS); /* a local part in UTF-8 matches nothing, RFC 8616 */
	assert_slice(v->term, "a:%{h}");
	assert_slice(v->domain, "xn--bcher-kva.example");
	assert_int_equal(v->questions, 2);
	assert_int_equal(v->lookups, 2);
}

static void test_other_domain(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "helo.example", DNS_TXT, "v=spf1 exists:%{o}.%{d} -all");
	zone_put(&b->z, "example.com.helo.example", DNS_A, "127.0.0.2");
	b->r.domain = S("helo.example");
	assert_int_equal(run(b)->result, SPF_PASS);
}

/* An address that came in as sixteen octets, as accept() gives it. */
static void test_mapped(void **state)
{
	struct bench *b = *state;

	assert_int_equal(spf_addr_parse6(S("::ffff:192.0.2.1"), &b->r.ip), ERR_OK);
	assert_int_equal(run_record(b, "v=spf1 -ip6:::/0 ip4:192.0.2.1 -all")->result, SPF_PASS);
}

static void test_too_long(void **state)
{
	struct bench *b = *state;
	char large[SPF_INPUT_MAX + 1];

	memset(large, 'a', sizeof(large));
	b->r.sender = slice_of(large, sizeof(large));
	assert_int_equal(run(b)->result, SPF_NONE);
	b->r.sender = S("jo@example.com");
	b->r.helo = slice_of(large, sizeof(large));
	assert_int_equal(run(b)->result, SPF_NONE);
}

static void test_explanation(void **state)
{
	static const char *const texts[] = {"%{x}", "tab\there", "\xc3\xa4", "50% off"};
	struct bench *b = *state;

	zone_put(&b->z, "example.com", DNS_TXT, "v=spf1 -all exp=e.%{d}");
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct zone one = {0};
		zone_put(&one, "example.com", DNS_TXT, "v=spf1 -all exp=e.%{d}");
		zone_put(&one, "e.example.com", DNS_TXT, texts[i]);
		struct spf_dns dns = zone_dns(&one);
		const struct spf_verdict *v = spf_eval_run(b->e, &b->r, &dns);
		assert_int_equal(v->result, SPF_FAIL);
		assert_slice(v->explanation, "");
		zone_done(&one);
	}
	zone_put(&b->z, "e.example.com", DNS_TXT, "%{i} at %{t} to %{r}: see http://x.example/?s=%{S}");
	const struct spf_verdict *v = run(b);
	assert_slice(v->explanation,
		     "192.0.2.1 at 1700000000 to unknown: see http://x.example/?s=jo%40example.com");
	assert_int_equal(v->lookups, 0);
	b->r.no_explanation = true;
	v = run(b);
	assert_slice(v->explanation, "");
	assert_int_equal(v->questions, 1);
}

static void test_worst(void **state)
{
	struct bench *b = *state;
	struct spf_dns dns = zone_dns(&b->z);
	struct spf_addr clients[3];
	struct spf_cost cost;

	zone_put(&b->z, "v4.example", DNS_A, "192.0.2.7");
	zone_put(&b->z, "example.com", DNS_TXT,
		 "v=spf1 ip4:192.0.2.1 a:v4.example a:v4.example a:v4.example -all");
	assert_int_equal(spf_addr_parse(S("192.0.2.1"), &clients[0]), ERR_OK);
	assert_int_equal(spf_addr_parse(S("198.51.100.1"), &clients[1]), ERR_OK);
	assert_int_equal(spf_addr_parse(S("2001:db8::1"), &clients[2]), ERR_OK);
	spf_eval_worst(b->e, &b->r, clients, 3, &dns, &cost);
	assert_int_equal(cost.lookups, 3);
	assert_true(spf_addr_eq(&cost.lookups_of, &clients[1]));
	assert_int_equal(cost.voids, 3); /* no AAAA: for IPv6 only, and behind the limit */
	assert_true(spf_addr_eq(&cost.voids_of, &clients[2]));
	spf_eval_worst(b->e, &b->r, clients, 1, &dns, &cost);
	assert_int_equal(cost.lookups + cost.voids, 0);
}

static void test_trace_limit(void **state)
{
	struct bench *b = *state;
	CLEANUP(buf_done) struct buf text;

	buf_init(&text, 20000);
	buf_add_str(&text, "v=spf1");
	for (unsigned i = 0; i < SPF_TRACE_MAX + 1; i++)
		buf_add_str(&text, " ip4:1.1.1.1");
	b->r.trace = true;
	const struct spf_verdict *v = run_record(b, buf_cstr(&text));
	assert_int_equal(v->result, SPF_NEUTRAL);
	assert_int_equal(v->trace_count, SPF_TRACE_MAX);
	assert_true(v->trace_cut);
}

/* Each allocation fails once: the check ends with temperror or as it should. */
static void test_no_memory(void **state)
{
	struct bench *b = *state;
	bool failed = false, ended = false;

	zone_put(&b->z, "example.com", DNS_TXT,
		 "v=spf1 a:%{d} mx ptr include:%{l}.example.com -all exp=e.%{d}");
	zone_put(&b->z, "jo.example.com", DNS_TXT, "v=spf1 a:%{p} -all");
	zone_put(&b->z, "example.com", DNS_A, "192.0.2.9");
	zone_put(&b->z, "example.com", DNS_MX, "10 h.example.com");
	zone_put(&b->z, "h.example.com", DNS_A, "192.0.2.9");
	zone_put(&b->z, "unknown", DNS_A, "192.0.2.9");
	zone_put(&b->z, "1.2.0.192.in-addr.arpa", DNS_PTR, "h.example.com");
	zone_put(&b->z, "e.example.com", DNS_TXT, "no");
	b->r.trace = true;
	for (size_t n = 0; !ended; n++) {
		struct spf_eval *e = NULL;
		struct spf_dns dns = zone_dns(&b->z);
		mem_fail_after(n);
		if (spf_eval_new(&e) == ERR_OK) {
			const struct spf_verdict *v = spf_eval_run(e, &b->r, &dns);
			ended = v->result == SPF_FAIL && v->explanation.len > 0 && v->trace_count > 0;
			failed |= v->result == SPF_TEMPERROR;
			assert_true(v->result == SPF_FAIL || v->result == SPF_TEMPERROR);
			ended &= n > 40;
		}
		mem_fail_after(SIZE_MAX);
		spf_eval_free(e);
	}
	assert_true(failed);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_steps),        TEST(test_drop),         TEST(test_include),
		TEST(test_redirect),     TEST(test_lookup_limit), TEST(test_count_on_ends),
		TEST(test_void_limit),   TEST(test_syntax_first), TEST(test_records),
		TEST(test_long_record),  TEST(test_identities),   TEST(test_international),
		TEST(test_other_domain), TEST(test_too_long),     TEST(test_explanation),
		TEST(test_worst),        TEST(test_trace_limit),  TEST(test_mapped),
		TEST(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
