/* Trees: what is followed, what it costs, and the problems in words (spf_judge.c). */
#include "../unit.h"

#include "core/mem.h"
#include "dns/spf_tree.h"
#include "zone.h"

#include <stdio.h>
#include <string.h>

struct bench {
	struct spf_tree *t;
	struct zone z;
};

static int set_up(void **state)
{
	struct bench *b = NEW(struct bench);

	assert_int_equal(spf_tree_new(&b->t), ERR_OK);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	spf_tree_free(b->t);
	zone_done(&b->z);
	mem_free(b);
	return 0;
}

static const struct spf_node *walk(struct bench *b, const char *domain)
{
	struct spf_dns dns = zone_dns(&b->z);
	struct spf_question q;
	struct dns_answer a;

	spf_tree_start(b->t, slice_str(domain));
	for (enum spf_step s = spf_tree_step(b->t, NULL, &q); s == SPF_ASK; s = spf_tree_step(b->t, &a, &q))
		dns.answer(dns.self, q.name, q.type, &a);
	return spf_tree_root(b->t);
}

static const struct spf_node *walk_record(struct bench *b, const char *record)
{
	zone_put(&b->z, "example.com", DNS_TXT, record);
	return walk(b, "example.com");
}

/* "domain: term: text", with "!" before what is fatal; NULL when there is no such problem. */
static void has_problem(const struct bench *b, bool fatal, const char *term, const char *text)
{
	for (const struct spf_problem *p = spf_tree_problems(b->t); p; p = p->next)
		if (p->fatal == fatal && slice_eq_str(p->term, term) &&
		    slice_find_slice(p->text, slice_str(text)) != SLICE_NPOS)
			return;
	for (const struct spf_problem *p = spf_tree_problems(b->t); p; p = p->next)
		print_error("there is: %s\"%.*s\" \"%.*s\"\n", p->fatal ? "fatal " : "", SLICE_ARG(p->term),
			    SLICE_ARG(p->text));
	fail_msg("no problem \"%s\" of \"%s\"", text, term);
}

static size_t count_problems(const struct bench *b)
{
	size_t n = 0;
	for (const struct spf_problem *p = spf_tree_problems(b->t); p; p = p->next)
		n++;
	return n;
}

static void test_tree(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "inc.example.net", DNS_TXT, "v=spf1 ip4:198.51.100.0/24 mx:mail.example -all");
	zone_put(&b->z, "mail.example", DNS_MX, "10 h1.example");
	zone_put(&b->z, "mail.example", DNS_MX, "20 h2.example");
	zone_put(&b->z, "h1.example", DNS_A, "192.0.2.5");
	zone_put(&b->z, "h2.example", DNS_AAAA, "2001:db8::5");
	zone_put(&b->z, "example.com", DNS_A, "192.0.2.7");
	const struct spf_node *n =
		walk_record(b, "v=spf1 a/24 include:inc.example.net exists:%{i}.x.example -all");
	assert_non_null(n);
	assert_slice(n->domain, "example.com");
	assert_int_equal(n->lookups, 4);
	assert_int_equal(n->voids4, 1); /* h2 has no A */
	assert_int_equal(n->voids6, 2); /* example.com and h1 no AAAA */
	assert_int_equal(n->branches[0].net_count, 1);
	assert_int_equal(n->branches[0].nets[0].prefix, 24);
	const struct spf_node *inc = n->branches[1].node;
	assert_slice(inc->domain, "inc.example.net");
	assert_ptr_equal(inc->parent, n);
	assert_int_equal(inc->lookups, 1);
	assert_int_equal(inc->branches[0].nets[0].prefix, 24);
	assert_int_equal(inc->branches[1].hosts, 2);
	assert_int_equal(inc->branches[1].net_count, 2);
	assert_int_equal(count_problems(b), 0);
	assert_false(spf_tree_cut(b->t));
	assert_null(walk(b, "a..b"));
}

static void test_nothing(void **state)
{
	struct bench *b = *state;

	const struct spf_node *n = walk(b, "example.com");
	assert_non_null(n);
	assert_int_equal(n->voids4 + n->voids6, 0); /* no term asked for it */
	has_problem(b, false, "", "the domain does not exist");
	zone_put(&b->z, "example.com", DNS_TXT, "something");
	walk(b, "example.com");
	has_problem(b, false, "", "there is no SPF record");
	zone_clear(&b->z);
	zone_put(&b->z, "example.com", DNS_TXT, "!temporary");
	walk(b, "example.com");
	has_problem(b, false, "", "DNS fails");
}

static void test_limits(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "h.example", DNS_A, "192.0.2.7");
	zone_put(&b->z, "inc.example", DNS_TXT,
		 "v=spf1 a:h.example a:h.example a:h.example a:h.example a:h.example");
	const struct spf_node *n = walk_record(b, "v=spf1 a:h.example a:h.example a:h.example a:h.example "
						  "include:inc.example redirect=inc.example");
	assert_int_equal(n->lookups, 16);
	has_problem(b, true, "", "it takes 16 lookups; receivers stop at 10");
	has_problem(b, true, "", "14 lookups find nothing; receivers stop at 2"); /* for IPv6 */
	assert_int_equal(n->voids4, 0);
	zone_clear(&b->z);
	for (int i = 0; i < 11; i++)
		zone_put(&b->z, "example.com", DNS_MX, "10 h.example");
	walk_record(b, "v=spf1 mx -all");
	has_problem(b, true, "mx", "there are 11 MX records");
}

static void test_loop(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "b.example", DNS_TXT, "v=spf1 include:Example.COM -all");
	const struct spf_node *n = walk_record(b, "v=spf1 include:b.example -all");
	assert_true(n->branches[0].node->branches[0].node->loop);
	has_problem(b, true, "include:Example.COM", "a loop");
}

static void test_includes(void **state)
{
	struct bench *b = *state;

	zone_put(&b->z, "empty.example", DNS_TXT, "x");
	zone_put(&b->z, "bad.example", DNS_TXT, "!temporary");
	walk_record(b, "v=spf1 include:gone.example include:empty.example include:bad.example include:%{d}.x "
		       "include:a..example -all");
	has_problem(b, true, "include:gone.example", "gone.example does not exist");
	has_problem(b, true, "include:empty.example", "has no SPF record");
	has_problem(b, false, "include:bad.example", "DNS fails");
	has_problem(b, false, "include:%{d}.x", "depends on the sender");
	has_problem(b, true, "include:a..example", "no domain name comes of it");
}

static void test_words(void **state)
{
	struct bench *b = *state;

	walk_record(b, "v=spf1 moo ptr a:gone.example exists:gone.example ip4:0.0.0.0/0 ip4:10.0.0.0/7 "
		       "v=spf1 ?all mx redirect=x.example");
	has_problem(b, true, "moo", "an unknown mechanism");
	has_problem(b, false, "ptr", "should not be used");
	has_problem(b, false, "a:gone.example", "no address behind it");
	has_problem(b, false, "exists:gone.example", "does not exist");
	has_problem(b, false, "ip4:0.0.0.0/0", "the whole internet");
	has_problem(b, false, "ip4:10.0.0.0/7", "very large");
	has_problem(b, false, "v=spf1", "a second version");
	has_problem(b, false, "?all", "nothing is said");
	has_problem(b, false, "mx", "never reached");
	has_problem(b, false, "redirect=x.example", "no effect beside all");
	assert_true(spf_tree_problems(b->t)->fatal); /* first */
	zone_clear(&b->z);
	assert_int_equal(walk_record(b, "v=spf1 +all mx redirect=x.example")->lookups, 0);
	has_problem(b, false, "+all", "everybody is authorised");
	zone_clear(&b->z);
	walk_record(b, "v=spf1 ip4:192.0.2.1");
	has_problem(b, false, "", "ends without all");
	zone_clear(&b->z);
	walk_record(b, "v=spf1 redirect=a.b redirect=c.d");
	has_problem(b, true, "", "a second redirect=");
	zone_put(&b->z, "example.com", DNS_TXT, "v=spf1 -all");
	walk(b, "example.com");
	has_problem(b, true, "", "more than one SPF record");
}

static void test_long(void **state)
{
	struct bench *b = *state;
	CLEANUP(buf_done) struct buf text;

	buf_init(&text, 70000);
	buf_add_str(&text, "v=spf1");
	while (text.len <= SPF_LENGTH_ADVISED)
		buf_add_str(&text, " ip4:192.0.2.1");
	buf_add_str(&text, " -all");
	walk_record(b, buf_cstr(&text));
	has_problem(b, false, "", "may not fit");
	while (text.len <= SPF_RECORD_MAX)
		buf_add_str(&text, " ip4:192.0.2.1");
	zone_clear(&b->z);
	walk_record(b, buf_cstr(&text));
	has_problem(b, true, "", "too long to be read");
}

/* A record that branches without end is cut, with every question answered. */
static void endless(void *self, struct slice name, enum dns_type type, struct dns_answer *ret)
{
	static struct slice record;
	static char data[256];
	char text[250];
	int *n = self;

	*ret = (struct dns_answer){.status = DNS_OK, .count = 1, .records = &record};
	int len = snprintf(text, sizeof(text),
			   "v=spf1 include:a%d.example include:b%d.example include:c%d.example -all", *n, *n,
			   *n);
	(*n)++;
	data[0] = (char)len;
	memcpy(data + 1, text, (size_t)len);
	record = slice_of(data, (size_t)len + 1);
}

static void test_cut(void **state)
{
	struct bench *b = *state;
	struct spf_question q;
	struct dns_answer a;
	int n = 0;

	spf_tree_start(b->t, S("example.com"));
	for (enum spf_step s = spf_tree_step(b->t, NULL, &q); s == SPF_ASK; s = spf_tree_step(b->t, &a, &q))
		endless(&n, q.name, q.type, &a);
	assert_int_equal(n, SPF_TREE_RECORDS_MAX);
	assert_true(spf_tree_cut(b->t));
	assert_non_null(spf_tree_root(b->t));
}

static void test_no_memory(void **state)
{
	struct bench *b = *state;
	unsigned failed = 0;

	zone_put(&b->z, "example.com", DNS_A, "192.0.2.7");
	zone_put(&b->z, "example.com", DNS_TXT, "v=spf1 a include:gone.example -all");
	for (size_t n = 0; n < 40; n++) {
		struct bench one = {.z = b->z};
		mem_fail_after(n);
		if (spf_tree_new(&one.t) == ERR_OK)
			failed += walk(&one, "example.com") == NULL;
		mem_fail_after(SIZE_MAX);
		spf_tree_free(one.t);
	}
	assert_true(failed > 0);
	assert_non_null(walk(b, "example.com"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_tree), TEST(test_nothing),  TEST(test_limits),
		TEST(test_loop), TEST(test_includes), TEST(test_words),
		TEST(test_long), TEST(test_cut),      TEST(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
