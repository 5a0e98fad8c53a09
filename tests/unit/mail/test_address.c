/* The mailbox grammar of RFC 5321 4.1.2: what passes can be sent to any server. */
#include "mail/address.h"

#include "core/text.h"

#include "../unit.h"

#include <string.h>

static enum err parse(const char *text, struct mail_address *ret)
{
	struct diag d = {0};
	enum err e = mail_address_parse(slice_str(text), ret, &d);
	assert_int_equal(e != ERR_OK, d.text[0] != '\0'); /* every refusal says why */
	return e;
}

static void test_good(void **state)
{
	static const struct {
		const char *text, *local, *domain;
		bool literal, utf8;
	} good[] = {
		{"a@b", "a", "b", false, false},
		{"postmaster", "postmaster", "", false, false},
		{"a.b+c=d!e#f$g%h&i'j*k/l?m^n_o`p{q|r}s~t@x-1.example",
		 "a.b+c=d!e#f$g%h&i'j*k/l?m^n_o`p{q|r}s~t", "x-1.example", false, false},
		{"\"a b\\\"c\"@x.example", "\"a b\\\"c\"", "x.example", false, false},
		{"\"a@b\"@x.example", "\"a@b\"", "x.example", false, false},
		{"\"\"@x.example", "\"\"", "x.example", false, false},
		{"a@[192.0.2.1]", "a", "[192.0.2.1]", true, false},
		{"a@[IPv6:2001:db8::1]", "a", "[IPv6:2001:db8::1]", true, false},
		{"j\u00f6rg@x.example", "j\u00f6rg", "x.example", false, true},
		{"a@b\u00fccher.example", "a", "b\u00fccher.example", false, true},
	};
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct mail_address a;
		assert_int_equal(parse(good[i].text, &a), ERR_OK);
		assert_slice(a.local, good[i].local);
		assert_slice(a.domain, good[i].domain);
		assert_int_equal(a.literal, good[i].literal);
		assert_int_equal(a.utf8, good[i].utf8);
	}
}

static void test_bad(void **state)
{
	static const char *const bad[] = {
		"",           "@",
		"@b",         "a@",
		".a@b",       "a.@b",
		"a..b@c",     "a b@c",
		"a@b c",      "a@b@c",
		"a@-b",       "a@b-",
		"a@b..c",     "a@b.",
		"a@.b",       "a@b_c",
		"a<b@c",      "a>b@c",
		"a,b@c",      "a;b@c",
		"a:b@c",      "a(c)@b",
		"\"a@b",      "\"a\"b@c",
		"\"a\n\"@b",  "\"a\\\n\"@b",
		"a\r\n@b",    "a\x7f@b",
		"a@[1.2.3]",  "a@[1.2.3.4",
		"a@1.2.3.4]", "a@[]",
		"a@[IPv6:1]", "a@[::1]",
		"a\xff@b",    "a@b\xff",
		"a\xc3@b",    "a@[IPv6:192.0.2.1]",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct mail_address a;
		if (parse(bad[i], &a) != ERR_SYNTAX)
			fail_msg("accepted: %s", bad[i]);
	}
	struct mail_address a;
	struct diag d;
	assert_int_equal(mail_address_parse(S("a\0@b"), &a, &d), ERR_SYNTAX);
	assert_int_equal(mail_address_parse(S("a@b\0.c"), &a, &d), ERR_SYNTAX);
	assert_int_equal(mail_address_parse(S("a@[192.0.2.1\0]"), &a, &d), ERR_SYNTAX);
}

/* RFC 5321 4.5.3.1: the longest is good, one octet more is not. */
static void test_limits(void **state)
{
	static const struct {
		size_t local, label, labels;
		enum err e;
	} cases[] = {
		{64, 1, 1, ERR_OK},     {65, 1, 1, ERR_LIMIT}, {1, 63, 1, ERR_OK},
		{1, 64, 1, ERR_SYNTAX}, {1, 62, 4, ERR_OK},    {1, 63, 4, ERR_LIMIT},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(buf_done) struct buf text;
		struct mail_address a;
		buf_init(&text, 1024);
		for (size_t n = 0; n < cases[i].local; n++)
			buf_add_char(&text, 'l');
		for (size_t l = 0; l < cases[i].labels; l++) {
			buf_add_char(&text, l ? '.' : '@');
			for (size_t n = 0; n < cases[i].label; n++)
				buf_add_char(&text, 'd');
		}
		assert_int_equal(parse(buf_cstr(&text), &a), cases[i].e);
	}
}

static void test_domain_of(void **state)
{
	assert_slice(mail_domain_of(S("a@b.example")), "b.example");
	assert_slice(mail_domain_of(S("\"a@b\"@c")), "c");
	assert_slice(mail_domain_of(S("\"a@b\"")), "");
	assert_slice(mail_domain_of(S("postmaster")), "");
	assert_slice(mail_domain_of(S("")), "");
}

/* RFC 3461 4 */
static void test_xtext(void **state)
{
	CLEANUP(buf_done) struct buf out, back;
	char all[256];
	buf_init(&out, 4096);
	buf_init(&back, 4096);
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	xtext_encode(&out, slice_of(all, sizeof(all)));
	for (size_t i = 0; i < out.len; i++)
		assert_true(out.data[i] >= '!' && out.data[i] <= '~' && out.data[i] != '=');
	assert_int_equal(xtext_decode(&back, buf_slice(&out)), ERR_OK);
	assert_true(slice_eq(buf_slice(&back), slice_of(all, sizeof(all))));
	static const char *const bad[] = {"+", "+4", "+4g", "+4a", "a=b", "a b", "a\x80"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		buf_clear(&back);
		buf_add_str(&back, "x");
		assert_int_equal(xtext_decode(&back, slice_str(bad[i])), ERR_SYNTAX);
		assert_buf(&back, "x");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),      cmocka_unit_test(test_bad),   cmocka_unit_test(test_limits),
		cmocka_unit_test(test_domain_of), cmocka_unit_test(test_xtext),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
