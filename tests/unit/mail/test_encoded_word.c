/* RFC 2047's own examples, the sets that mail uses, and what broken and hostile mailers write. */
#include "mail/encoded_word.h"

#include "core/text.h"

#include "../unit.h"

#include <string.h>

static void check(const char *value, const char *wanted)
{
	CLEANUP(buf_done) struct buf out;
	buf_init(&out, 4096);
	encoded_word_decode(slice_str(value), &out);
	assert_buf(&out, wanted);
}

/* RFC 2047 8 */
static void test_examples(void **state)
{
	check("=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>");
	check("=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld J\u00f8rn Simonsen");
	check("=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?= "
	      "=?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
	      "If you can read this you understand the example.");
	check("(=?ISO-8859-1?Q?a?=)", "(a)");
	check("(=?ISO-8859-1?Q?a?= b)", "(a b)");
	check("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)");
	check("(=?ISO-8859-1?Q?a?=  \t =?ISO-8859-1?Q?b?=)", "(ab)");
	check("(=?ISO-8859-1?Q?a_b?=)", "(a b)");
	check("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)");
}

static void test_sets(void **state)
{
	check("=?utf-8?b?w6TigqzwnZKz?=", "\u00e4\u20ac\U0001d4b3");
	check("=?windows-1251?Q?=CF=F0=E8=E2=E5=F2?=", "\u041f\u0440\u0438\u0432\u0435\u0442");
	check("=?KOI8-R?B?8NLJ18XU?=", "\u041f\u0440\u0438\u0432\u0435\u0442");
	check("=?iso-8859-15?q?=A4=BD?=", "\u20ac\u0153");
	check("=?iso-8859-1?q?=80=93?=", "\u20ac\u201c");   /* as every client reads it */
	check("=?windows-1252*de?Q?=DCber?=", "\u00dcber"); /* RFC 2231 5 */
}

/* A character of several octets may not be split, but it is. */
static void test_split_character(void **state)
{
	check("=?UTF-8?B?4oI=?= =?UTF-8?B?rA==?=", "\u20ac");
	check("=?utf-8?q?=e2=82?= =?UTF-8?Q?=ac?= x", "\u20ac x");
	check("=?utf-8?q?=e2=82?= =?iso-8859-1?Q?=ac?=", "\ufffd\ufffd\u00ac");
}

static void test_broken(void **state)
{
	check("=?utf-8?q?open", "=?utf-8?q?open");
	check("=?utf-8?x?abc?=", "=?utf-8?x?abc?=");
	check("=?utf-8?qq?abc?=", "=?utf-8?qq?abc?=");
	check("=?utf-7?q?abc?= d", "=?utf-7?q?abc?= d");
	check("=?utf-7?q?a?= =?utf-8?q?b?=", "=?utf-7?q?a?= b");
	check("=?", "=?");
	check("=?=?utf-8?q?a?=", "=?a");
	check("=?utf-8?q?" "?=|=?utf-8?b?" "?=|", "||");
	check("=?utf-8?q?a b=?=", "a b=");
	check("=?utf-8?q?=4=zz=41?=", "=4=zzA");
	check("=?utf-8?b?YWJj!ZGVm?=", "abc");
	check("=?utf-8?b?YWI?=|=?utf-8?b?YWJ=?=|=?utf-8?b?YQ?=|=?utf-8?b?Y?=|", "ab|ab|a||");
	check("caf\xe9 \xc3\xa9", "caf\u00e9 \u00e9");
	check("a=?utf-8?q?b?=c", "abc");
}

static void test_controls_become_blanks(void **state)
{
	check("=?utf-8?q?a=0D=0ABcc:_x=00=7F=1b[1m?=", "a  Bcc: x   [1m");
	check("=?utf-8?q?=c2=85=c2=a0?=", "  \u00a0");
	check("a\x01z", "a z");
}

static void test_limits(void **state)
{
	char value[ENCODED_WORD_MAX + 100];
	for (int over = 0; over <= 1; over++) {
		CLEANUP(buf_done) struct buf out;
		size_t n = ENCODED_WORD_MAX + (size_t)over;
		memset(value, 'a', n);
		memcpy(value, "=?utf-8?q?", 10);
		memcpy(value + n - 2, "?=", 2);
		buf_init(&out, 4096);
		encoded_word_decode(slice_of(value, n), &out);
		assert_int_equal(out.len, over ? n : n - 12);
	}
	CLEANUP(buf_done) struct buf small;
	buf_init(&small, 5);
	encoded_word_decode(SLICE_LIT("=?utf-8?q?abcdef?="), &small);
	assert_int_equal(small.failed, ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_split_character),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_controls_become_blanks),
		cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
