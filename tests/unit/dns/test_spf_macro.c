/* Macros: syntax, the examples of RFC 7208 7.4, names. */
#include "../unit.h"

#include "dns/limits.h"
#include "dns/spf_macro.h"

#include <string.h>

static struct spf_macros macros(const char *ip)
{
	struct spf_macros m = {.local = S("strong-bad"),
			       .sender_domain = S("email.example.com"),
			       .domain = S("email.example.com"),
			       .helo = S("mx.example.org"),
			       .now_s = 1700000000};
	assert_int_equal(spf_addr_parse(slice_str(ip), &m.ip), ERR_OK);
	return m;
}

static void expands(const struct spf_macros *m, struct slice text, const char *want)
{
	CLEANUP(buf_done) struct buf out;

	buf_init(&out, SPF_EXPANSION_MAX);
	assert_null(spf_macro_problem(text, SPF_IN_EXPLANATION));
	spf_macro_expand(text, m, &out);
	assert_buf(&out, want);
}

static void test_examples(void **state)
{
	static const char *const rows[][2] = {
		{"%{s}", "strong-bad@email.example.com"},
		{"%{o}", "email.example.com"},
		{"%{d}", "email.example.com"},
		{"%{d4}", "email.example.com"},
		{"%{d3}", "email.example.com"},
		{"%{d2}", "example.com"},
		{"%{d1}", "com"},
		{"%{dr}", "com.example.email"},
		{"%{d2r}", "example.email"},
		{"%{l}", "strong-bad"},
		{"%{l-}", "strong.bad"},
		{"%{lr}", "strong-bad"},
		{"%{lr-}", "bad.strong"},
		{"%{l1r-}", "strong"},
		{"%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
		{"%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"},
		{"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
		{"%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"},
		{"%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"},
	};
	struct spf_macros m = macros("192.0.2.3");

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		expands(&m, slice_str(rows[i][0]), rows[i][1]);
	struct spf_macros six = macros("2001:db8::cb01");
	expands(&six, S("%{ir}.%{v}._spf.%{d2}"),
		"1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6._spf.example.com");
	expands(&six, S("%{c}"), "2001:db8::cb01");
}

static void test_letters(void **state)
{
	struct spf_macros m = macros("192.0.2.3");

	expands(&m, S("%{p} %{P}"), "unknown unknown");
	expands(&m, S("%{r}%_%%%-%{t}"), "unknown %%201700000000");
	m.validated = S("mx.example.org");
	m.receiver = S("relay.example");
	m.local = S("~jack&jill=up-a_b3.c\xff");
	expands(&m, S("%{p2} %{r}"), "example.org relay.example");
	expands(&m, S("%{L}"), "~jack%26jill%3Dup-a_b3.c%FF");
	expands(&m, S("%{H}%{O1r}"), "mx.example.orgemail");
}

static void test_parts(void **state)
{
	struct spf_macros m = macros("192.0.2.3");

	m.local = S("a--b+c");
	expands(&m, S("%{l-}"), "a..b+c"); /* an empty part between two delimiters */
	expands(&m, S("%{l-+}"), "a..b.c");
	expands(&m, S("%{l2-+}"), "b.c");
	expands(&m, S("%{lR-+}"), "c.b..a");
	expands(&m, S("%{l1r-+}"), "a");
	expands(&m, S("%{l99999999999999999999-}"), "a..b+c");
	expands(&m, S("%{d/}"), "email.example.com"); /* only the delimiters given part it */
	expands(&m, S("%{h1-}"), "mx.example.org");
	m.local = SLICE_EMPTY;
	expands(&m, S("[%{l}][%{lr-}]"), "[][]");
}

static void test_problems(void **state)
{
	static const struct {
		const char *text;
		bool domain, modifier, explanation; /* is it well formed there? */
	} rows[] = {
		{"a.example.com", true, true, true},
		{"a.example.com.", true, true, true},
		{"a.example.com..", false, true, true},
		{"example", false, true, true},
		{"example.", false, true, true},
		{"a.123", false, true, true},
		{"a.1-2", true, true, true},
		{"a.xn--p1ai", true, true, true},
		{"a.-x", false, true, true},
		{"a.x-", false, true, true},
		{"a.x_y", false, true, true},
		{"192.0.2.1", false, true, true},
		{"foo:bar/baz.example.com", true, true, true},
		{"example.com:25", false, true, true},
		{"%{d}", true, true, true},
		{"%{d}x", false, true, true},
		{"%{d}.", false, true, true},
		{"x%%", true, true, true},
		{"x%_y.com", true, true, true},
		{"a b.com", false, false, true},
		{"a\tb.com", false, false, false},
		{"\xc3\xa4.com", false, false, false},
		{"%", false, false, false},
		{"%a", false, false, false},
		{"%%%a", false, false, false},
		{"%{", false, false, false},
		{"%{}", false, false, false},
		{"%{d", false, false, false},
		{"%{x}", false, false, false},
		{"%{d0}", false, false, false},
		{"%{d00}", false, false, false},
		{"%{d01}", true, true, true},
		{"%{dr2}", false, false, false},
		{"%{drr}", false, false, false},
		{"%{d!}", false, false, false},
		{"%{dR-+,/_=.}", true, true, true},
		{"%{c}", false, false, true},
		{"%{R}", false, false, true},
		{"%{t}", false, false, true},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct slice s = slice_str(rows[i].text);
		if (!spf_macro_problem(s, SPF_IN_DOMAIN) != rows[i].domain ||
		    !spf_macro_problem(s, SPF_IN_MODIFIER) != rows[i].modifier ||
		    !spf_macro_problem(s, SPF_IN_EXPLANATION) != rows[i].explanation)
			fail_msg("%s", rows[i].text);
	}
	assert_non_null(spf_macro_problem(S("%{d\0}"), SPF_IN_DOMAIN));
	assert_non_null(spf_macro_problem(S("a\0.com"), SPF_IN_DOMAIN));
	assert_null(spf_macro_problem(S(""), SPF_IN_DOMAIN));
}

static void test_uses(void **state)
{
	assert_true(spf_macro_uses(S("a.%{Pr}.b"), 'p'));
	assert_false(spf_macro_uses(S("a.%%{p}.%{d}"), 'p'));
	assert_true(spf_macro_uses(S("%{d}"), '\0'));
	assert_false(spf_macro_uses(S("%%%_%-x"), '\0'));
	assert_false(spf_macro_uses(S("%{broken"), '\0'));
}

static void test_limit(void **state)
{
	struct spf_macros m = macros("192.0.2.3");
	CLEANUP(buf_done) struct buf out;

	buf_init(&out, 20);
	spf_macro_expand(S("%{s}"), &m, &out);
	assert_int_equal(out.failed, ERR_LIMIT);
}

static void test_names(void **state)
{
	CLEANUP(buf_done) struct buf long_name, out;

	buf_init(&long_name, 1000);
	buf_init(&out, 4 * DNS_NAME_MAX);
	for (int i = 0; i < 30; i++)
		buf_printf(&long_name, "label-%03d.", i); /* 10 octets each */
	buf_add_str(&long_name, "com.");
	struct slice cut = spf_target_cut(buf_slice(&long_name));
	assert_int_equal(cut.len, 253); /* 25 labels and "com" */
	assert_true(slice_starts(cut, S("label-005.")) && slice_ends(cut, S(".com")));
	assert_slice(spf_target_cut(S("a.")), "a");
	assert_slice(spf_target_cut(S("")), "");
	assert_true(spf_target_name(S("Foo:Bar b_z.Example\\\0"), &out));
	assert_buf(&out, "foo\\058bar\\032b_z.example\\092\\000");
	buf_clear(&out);
	assert_false(spf_target_name(S("a..b"), &out));
	assert_false(spf_target_name(S(""), &out));
	assert_false(spf_target_name(S(".a"), &out));
	assert_false(spf_target_name(S("a."), &out));
	assert_false(spf_target_name(buf_slice(&long_name), &out));
	char label[64 + 4];
	memset(label, 'x', 64);
	assert_false(spf_target_name(slice_of(label, 64), &out));
	assert_true(spf_target_name(slice_of(label, 63), &out));
	assert_int_equal(out.len, 63);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples), cmocka_unit_test(test_letters), cmocka_unit_test(test_parts),
		cmocka_unit_test(test_problems), cmocka_unit_test(test_uses),    cmocka_unit_test(test_limit),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
