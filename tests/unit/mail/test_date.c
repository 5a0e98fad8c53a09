/* Dates against gmtime_r, over all forms that RFC 5322 knows, the obsolete ones too. */
#include "mail/date.h"

#include "../unit.h"

#include <time.h>

static void test_format_agrees_with_libc(void **state)
{
	uint64_t seed = 1;
	for (int i = 0; i < 20000; i++) {
		CLEANUP(buf_done) struct buf out;
		char wanted[64];
		time_t t =
			(time_t)(unit_random(&seed) % 253402300800ull) - 60000000; /* up to the year 9999 */
		struct tm tm;
		int64_t back;
		buf_init(&out, MAIL_DATE_MAX);
		gmtime_r(&t, &tm);
		strftime(wanted, sizeof(wanted), "%a, %d %b %Y %H:%M:%S +0000", &tm);
		mail_date_format((int64_t)t * 1000 + 999, &out);
		assert_buf(&out, wanted);
		assert_int_equal(mail_date_parse(buf_slice(&out), &back), ERR_OK);
		assert_true(back == (int64_t)t * 1000);
	}
}

static void test_forms(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} good[] = {
		{"Fri, 21 Nov 1997 09:55:06 -0600", 880127706},
		{"21 Nov 97 09:55:06 GMT", 880106106},
		{"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880127706},
		{"Mon, 23 Nov 2026 16:20 +0000", 1795450800},
		{"  (a (nested) comment) 1 Jan 1970 00:00:00 Z", 0},
		{"1 January 1970 01:00:00 +0100", 0},
		{"1 Jan 1970 00:00:00 EST", 18000},
		{"1 Jan 100 00:00:00 +0000", 946684800},
		{"29 Feb 2000 12:00:00 +0000", 951825600},
		{"31 Dec 2016 23:59:60 +0000", 1483228800},
	};
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		int64_t ms = -1;
		if (mail_date_parse(slice_str(good[i].text), &ms) != ERR_OK || ms != good[i].seconds * 1000)
			fail_msg("%s: %lld", good[i].text, (long long)ms);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		enum err e;
	} bad[] = {
		{"", ERR_SYNTAX},
		{"yesterday", ERR_SYNTAX},
		{"1 Foo 2026 00:00", ERR_SYNTAX},
		{"1 Jan 2026", ERR_SYNTAX},
		{"1 Jan 2026 00", ERR_SYNTAX},
		{"1 Jan 12345 00:00 +0000", ERR_SYNTAX},
		{"1 Jan 2026 00:00:00 +100", ERR_SYNTAX},
		{"1 Jan 2026 00:00:00 +0060", ERR_SYNTAX},
		{"0 Jan 2026 00:00 +0000", ERR_RANGE},
		{"32 Jan 2026 00:00 +0000", ERR_RANGE},
		{"1 Jan 2026 24:00 +0000", ERR_RANGE},
		{"1 Jan 2026 00:60 +0000", ERR_RANGE},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int64_t ms = 42;
		if (mail_date_parse(slice_str(bad[i].text), &ms) != bad[i].e || ms != 42)
			fail_msg("%s", bad[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format_agrees_with_libc),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
