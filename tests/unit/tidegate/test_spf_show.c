/* Verdicts and trees as text and as JSON. */
#include "../unit.h"

#include "core/mem.h"
#include "tidegate/spf_show.h"
#include "zone.h"

#include <jansson.h>
#include <string.h>

#define OUT_MAX (1u << 20)

struct bench {
	struct spf_eval *e;
	struct spf_tree *t;
	struct zone z;
	struct spf_request r;
	struct buf out;
};

static int set_up(void **state)
{
	struct bench *b = NEW(struct bench);

	assert_int_equal(spf_eval_new(&b->e), ERR_OK);
	assert_int_equal(spf_tree_new(&b->t), ERR_OK);
	buf_init(&b->out, OUT_MAX);
	b->r = (struct spf_request){.sender = S("jo@example.com"), .helo = S("h.example"), .trace = true};
	assert_int_equal(spf_addr_parse(S("192.0.2.1"), &b->r.ip), ERR_OK);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	spf_eval_free(b->e);
	spf_tree_free(b->t);
	zone_done(&b->z);
	buf_done(&b->out);
	mem_free(b);
	return 0;
}

static const char *show_verdict(struct bench *b, bool json, bool trace)
{
	const struct spf_subject s = {b->r.ip, b->r.sender, b->r.helo, trace};
	struct spf_dns dns = zone_dns(&b->z);
	const struct spf_verdict *v = spf_eval_run(b->e, &b->r, &dns);

	buf_clear(&b->out);
	if (json)
		assert_int_equal(spf_json_verdict(&s, v, &b->out), ERR_OK);
	else
		spf_show_verdict(&s, v, &b->out);
	return buf_cstr(&b->out);
}

static const char *show_tree(struct bench *b, bool json)
{
	struct spf_dns dns = zone_dns(&b->z);
	struct spf_question q;
	struct dns_answer a;

	spf_tree_start(b->t, S("example.com"));
	for (enum spf_step s = spf_tree_step(b->t, NULL, &q); s == SPF_ASK; s = spf_tree_step(b->t, &a, &q))
		dns.answer(dns.self, q.name, q.type, &a);
	buf_clear(&b->out);
	if (json)
		assert_int_equal(spf_json_tree(b->t, S("example.com"), &b->out), ERR_OK);
	else
		spf_show_tree(b->t, S("example.com"), &b->out);
	return buf_cstr(&b->out);
}

static void test_verdict(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "example.com", DNS_TXT, "v=spf1 a:gone.example include:inc.example -all");
	zone_put(&b->z, "inc.example", DNS_TXT, "v=spf1 ip4:192.0.2.0/24 -all");
	assert_string_equal(show_verdict(b, false, true),
			    "pass: 192.0.2.1 is authorised by example.com\n"
			    "  matched      include:inc.example\n"
			    "  within it    ip4:192.0.2.0/24 of inc.example\n"
			    "  record       v=spf1 a:gone.example include:inc.example -all\n"
			    "  sender       jo@example.com\n"
			    "  HELO         h.example\n"
			    "  lookups      2 of 10\n"
			    "  voids        1 of 2\n"
			    "\n"
			    "example.com:\n"
			    "  no       a:gone.example  looks up gone.example (1 without a result)\n"
			    "  match    include:inc.example  looks up inc.example\n"
			    "  inc.example:\n"
			    "    match    ip4:192.0.2.0/24\n");
}

static void test_escapes(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "example.com", DNS_TXT, "v=spf1 -all exp=e.example.com");
	zone_put(&b->z, "e.example.com", DNS_TXT, "no %{l}");
	b->r.sender = S("\x1b[31m\xff@example.com");
	const char *text = show_verdict(b, false, false);
	assert_null(strchr(text, '\x1b'));
	assert_non_null(strstr(text, "explanation  no \\x1b[31m\\xff\n"));
	assert_null(strstr(text, "example.com:\n")); /* no trace */
	assert_non_null(strstr(show_verdict(b, true, false), "\\u001B[31m\xef\xbf\xbd"));
}

static json_t *get(json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);
	if (!v)
		fail_msg("no \"%s\"", key);
	return v;
}

static void test_verdict_json(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "example.com", DNS_TXT, "v=spf1 a:gone.example -all exp=e.example.com");
	zone_put(&b->z, "e.example.com", DNS_TXT, "no");
	json_t *o = json_loads(show_verdict(b, true, true), 0, NULL);
	assert_non_null(o);
	assert_string_equal(json_string_value(get(o, "result")), "fail");
	assert_string_equal(json_string_value(get(o, "matched")), "-all");
	assert_int_equal(json_integer_value(get(o, "lookups")), 1);
	assert_int_equal(json_integer_value(get(o, "voids")), 1);
	assert_string_equal(json_string_value(get(o, "explanation")), "no");
	assert_true(json_is_null(get(o, "problem")));
	assert_int_equal(json_array_size(get(o, "trace")), 2);
	json_decref(o);
	zone_clear(&b->z);
	o = json_loads(show_verdict(b, true, false), 0, NULL);
	assert_string_equal(json_string_value(get(o, "result")), "none");
	assert_true(json_is_null(get(o, "matched")) && json_is_null(get(o, "explanation")));
	assert_null(json_object_get(o, "trace"));
	json_decref(o);
}

static void tree_zone(struct bench *b)
{
	zone_put(&b->z, "example.com", DNS_TXT,
		 "v=spf1 mx ~include:soft.example include:inc.example exists:%{i}.x.example moo -all");
	zone_put(&b->z, "example.com", DNS_MX, "10 mail.example.com");
	zone_put(&b->z, "mail.example.com", DNS_A, "192.0.2.5");
	zone_put(&b->z, "soft.example", DNS_TXT, "v=spf1 ip4:203.0.113.1 -all");
	zone_put(&b->z, "inc.example", DNS_TXT, "v=spf1 ip4:198.51.100.0/24 include:gone.example -all");
}

static void test_tree(void **state)
{
	struct bench *b = *state;

	tree_zone(b);
	assert_string_equal(show_tree(b, false),
			    "example.com: 5 lookups, without a result: 1 for IPv4, 2 for IPv6\n"
			    "  mx  192.0.2.5\n"
			    "  ~include:soft.example\n"
			    "    soft.example: no lookups\n"
			    "      ip4:203.0.113.1\n"
			    "      -all\n"
			    "  include:inc.example\n"
			    "    inc.example: 1 lookup, without a result: 1 for IPv4, 1 for IPv6\n"
			    "      ip4:198.51.100.0/24\n"
			    "      include:gone.example\n"
			    "        gone.example: does not exist\n"
			    "      -all\n"
			    "  exists:%{i}.x.example  (depends on the sender)\n"
			    "  moo  (an error)\n"
			    "  -all\n"
			    "\n"
			    "Authorised:\n"
			    "  192.0.2.5  by mx of example.com\n"
			    "  198.51.100.0/24  by ip4:198.51.100.0/24 of inc.example\n"
			    "\n"
			    "Problems:\n"
			    "  ERROR  example.com: moo: an unknown mechanism\n"
			    "  ERROR  inc.example: include:gone.example: gone.example does not exist\n");
}

static void test_tree_json(void **state)
{
	struct bench *b = *state;

	tree_zone(b);
	json_t *o = json_loads(show_tree(b, true), 0, NULL);
	assert_non_null(o);
	json_t *spf = get(o, "spf");
	assert_int_equal(json_integer_value(get(spf, "lookups")), 5);
	assert_int_equal(json_array_size(get(spf, "terms")), 6);
	json_t *inc = get(json_array_get(get(spf, "terms"), 2), "leads_to");
	assert_string_equal(json_string_value(get(inc, "domain")), "inc.example");
	json_t *net = json_array_get(get(json_array_get(get(inc, "terms"), 0), "networks"), 0);
	assert_string_equal(json_string_value(net), "198.51.100.0/24");
	json_t *problem = json_array_get(get(o, "problems"), 0);
	assert_true(json_is_true(get(problem, "fatal")));
	assert_string_equal(json_string_value(get(problem, "term")), "moo");
	json_decref(o);
}

/* Each allocation fails once: an error or the whole, never a part that looks whole. */
static void test_no_memory(void **state)
{
	struct bench *b = *state;
	const struct spf_subject s = {b->r.ip, b->r.sender, b->r.helo, true};
	unsigned failed = 0;

	tree_zone(b);
	(void)show_tree(b, true);
	(void)show_verdict(b, true, true);
	for (size_t n = 0; n < 20; n++) {
		CLEANUP(buf_done) struct buf out;
		buf_init(&out, OUT_MAX);
		mem_fail_after(n);
		enum err e = spf_json_verdict(&s, spf_eval_verdict(b->e), &out);
		mem_fail_after(SIZE_MAX);
		if (e)
			failed++;
		else
			assert_int_equal(out.len, b->out.len);
	}
	assert_true(failed > 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_verdict), TEST(test_escapes),   TEST(test_verdict_json),
		TEST(test_tree),    TEST(test_tree_json), TEST(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
