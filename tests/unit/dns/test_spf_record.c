/* Records: terms with their places and values, problems in words, joined strings. */
#include "../unit.h"

#include "dns/spf_record.h"

#include <string.h>

struct fixture {
	struct arena arena;
	struct spf_record r;
};

static void read_record(struct fixture *f, struct slice text)
{
	arena_init(&f->arena, 1u << 20);
	assert_int_equal(spf_record_read(&f->arena, text, &f->r), ERR_OK);
}

static void test_spans(void **state)
{
	static const char *const want[] = {"a", "-MX:foo.example.com/24//64", "~include:x.example.com",
					   "exp=e.%{d}", "?all"};
	struct slice text =
		S("V=spf1  a -MX:foo.example.com/24//64   ~include:x.example.com exp=e.%{d} ?all  ");
	struct fixture f;
	size_t pos = 0;

	read_record(&f, text);
	assert_int_equal(f.r.count, ARRAY_LEN(want));
	for (size_t i = 0; i < f.r.count; i++) {
		assert_slice(spf_term_text(text, &f.r.terms[i]), want[i]);
		struct spf_term t;
		assert_true(spf_term_next(text, &pos, &t)); /* the same one by one */
		assert_int_equal(t.span.at, f.r.terms[i].span.at);
	}
	const struct spf_term *mx = &f.r.terms[1];
	assert_int_equal(mx->span.at, 10);
	assert_int_equal(mx->kind, SPF_MX);
	assert_int_equal(mx->qualifier, SPF_FAIL);
	assert_true(mx->qualifier_written && mx->bits4_written && mx->bits6_written);
	assert_int_equal(mx->bits4, 24);
	assert_int_equal(mx->bits6, 64);
	assert_slice(mx->name, "MX");
	assert_slice(mx->domain, "foo.example.com");
	assert_int_equal(f.r.terms[0].qualifier, SPF_PASS);
	assert_false(f.r.terms[0].qualifier_written);
	assert_int_equal(f.r.terms[0].bits4, 32);
	assert_int_equal(f.r.terms[0].bits6, 128);
	assert_int_equal(f.r.terms[2].qualifier, SPF_SOFTFAIL);
	assert_true(f.r.terms[3].macros && !f.r.terms[2].macros);
	assert_ptr_equal(f.r.exp, &f.r.terms[3]);
	assert_ptr_equal(f.r.all, &f.r.terms[4]);
	assert_null(f.r.redirect);
	assert_null(f.r.problem);
	assert_int_equal(f.r.lookups, 3);
	arena_done(&f.arena);
}

static void test_addresses(void **state)
{
	struct fixture f;

	read_record(&f, S("v=spf1 ip4:192.0.2.0/24 IP6:2001:db8::/32 ip6:::ffff:192.0.2.1 ip4:192.0.2.7"));
	assert_null(f.r.problem);
	assert_int_equal(f.r.terms[0].addr.bits, SPF_BITS4);
	assert_int_equal(f.r.terms[0].bits4, 24);
	assert_int_equal(f.r.terms[1].bits6, 32);
	assert_int_equal(f.r.terms[2].addr.bits, SPF_BITS6); /* as written, not as IPv4 */
	assert_false(f.r.terms[3].bits4_written);
	assert_int_equal(f.r.lookups, 0);
	arena_done(&f.arena);
}

static void test_lookups(void **state)
{
	struct fixture f;

	read_record(&f, S("v=spf1 a mx ptr exists:%{i}.x include:b.x ip4:192.0.2.1 redirect=c.x exp=d.x"));
	assert_int_equal(f.r.lookups, 6);
	arena_done(&f.arena);
	read_record(&f, S("v=spf1 a -all mx redirect=c.x"));
	assert_int_equal(f.r.lookups, 1); /* what stands behind all is never evaluated */
	arena_done(&f.arena);
}

static void test_broken(void **state)
{
	static const char *const terms[] = {
		"moo",
		"a:",
		"a:museum",
		"a:1.2.3.4",
		"a/33",
		"a//129",
		"a/024",
		"a/24/64",
		"a/",
		"a//",
		"all.",
		"all:x",
		"all/8",
		"ip4",
		"ip4:",
		"ip4/24",
		"ip4:1.2.3",
		"ip4:1.2.3.4/33",
		"ip4:1.2.3.4/032",
		"ip4:1.2.3.4//32",
		"ip4:1.2.3.4:25",
		"ip6:",
		"ip6:1",
		"ip6:::1/129",
		"ip6:::1//4",
		"ip6:1.2.3.4",
		"ptr:",
		"ptr/0",
		"include",
		"include:",
		"include:x",
		"exists",
		"exists:",
		"exists:a.b/24",
		"redirect:a.b",
		"redirect=",
		"redirect=-all",
		"exp=",
		"exp=-all",
		"=all",
		"1up=x",
		"-",
		"+-all",
		"-redirect=a.b",
		"foo=%abc",
		"a:%(d).x",
		"a:x.y\x80",
		"moo.cow/far_out=x",
		"a:%{c}.x",
		"include:%{r}",
		"mx:a.b,",
		"\x01",
	};
	for (size_t i = 0; i < ARRAY_LEN(terms); i++) {
		CLEANUP(buf_done) struct buf text;
		struct fixture f;
		buf_init(&text, 200);
		buf_printf(&text, "v=spf1 %s a", terms[i]);
		read_record(&f, buf_slice(&text));
		if (f.r.terms[0].kind != SPF_BROKEN || !f.r.problem || f.r.problem_at.at != 7)
			fail_msg("%s", terms[i]);
		assert_int_equal(f.r.terms[1].kind, SPF_A); /* the others are read on */
		arena_done(&f.arena);
	}
}

static void test_modifiers(void **state)
{
	struct fixture f;

	read_record(&f, S("v=spf1 moo.cow-far_out=man:dog/cat foo= Redirect=a.b EXP=c.d v=spf1"));
	assert_null(f.r.problem);
	assert_int_equal(f.r.terms[0].kind, SPF_UNKNOWN);
	assert_slice(f.r.terms[0].domain, "man:dog/cat");
	assert_non_null(f.r.redirect);
	assert_non_null(f.r.exp);
	assert_true(spf_term_is_modifier(&f.r.terms[1]) && spf_term_is_modifier(f.r.exp));
	arena_done(&f.arena);
	read_record(&f, S("v=spf1 redirect=a.b redirect=a.b"));
	assert_string_equal(f.r.problem, "a second redirect=");
	assert_int_equal(f.r.problem_at.at, 20);
	arena_done(&f.arena);
	read_record(&f, S("v=spf1 exp=a.b x=1 x=2 exp=a.b"));
	assert_string_equal(f.r.problem, "a second exp=");
	arena_done(&f.arena);
}

static void test_nul(void **state)
{
	struct fixture f;

	read_record(&f, S("v=spf1 a:foo.example.com\0 -all\0 mx"));
	assert_int_equal(f.r.count, 3);
	assert_int_equal(f.r.terms[0].kind, SPF_BROKEN);
	assert_int_equal(f.r.terms[0].span.len, 18);
	assert_int_equal(f.r.terms[1].kind, SPF_BROKEN);
	assert_int_equal(f.r.terms[2].kind, SPF_MX);
	arena_done(&f.arena);
}

static void test_version(void **state)
{
	struct spf_record r;
	struct arena a;
	char large[SPF_RECORD_MAX + 1];

	assert_true(spf_record_is(S("v=spf1")) && spf_record_is(S("V=SPF1 x")));
	assert_false(spf_record_is(S("v=spf10")) || spf_record_is(S("v=spf1\t")) ||
		     spf_record_is(S(" v=spf1")) || spf_record_is(S("")));
	arena_init(&a, 1u << 22);
	assert_int_equal(spf_record_read(&a, S("v=spf2"), &r), ERR_SYNTAX);
	memset(large, ' ', sizeof(large));
	memcpy(large, "v=spf1", 6);
	assert_int_equal(spf_record_read(&a, slice_of(large, sizeof(large)), &r), ERR_LIMIT);
	assert_int_equal(spf_record_read(&a, slice_of(large, sizeof(large) - 1), &r), ERR_OK);
	assert_int_equal(r.count, 0);
	arena_done(&a);
	arena_init(&a, 16);
	assert_int_equal(spf_record_read(&a, S("v=spf1 a a a a"), &r), ERR_LIMIT);
	arena_done(&a);
}

static void test_join(void **state)
{
	CLEANUP(buf_done) struct buf out;

	buf_init(&out, 16);
	assert_int_equal(spf_txt_join(S("\6v=spf1\0\2 a\1\0"), &out), ERR_OK);
	assert_true(slice_eq(buf_slice(&out), S("v=spf1 a\0")));
	assert_int_equal(spf_txt_join(S("\5abc"), &out), ERR_CORRUPT);
	assert_int_equal(spf_txt_join(S(""), &out), ERR_OK);
	assert_int_equal(spf_txt_join(S("\017"
					"123456789012345"),
				      &out),
			 ERR_LIMIT);
}

static void test_words(void **state)
{
	assert_string_equal(spf_result_name(SPF_SOFTFAIL), "softfail");
	assert_string_equal(spf_kind_name(SPF_EXISTS), "exists");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spans),     cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_lookups),   cmocka_unit_test(test_broken),
		cmocka_unit_test(test_modifiers), cmocka_unit_test(test_nul),
		cmocka_unit_test(test_version),   cmocka_unit_test(test_join),
		cmocka_unit_test(test_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
