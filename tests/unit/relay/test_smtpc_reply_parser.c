/* Replies: well-formed, malformed, at their limits, split at every octet. */
#include "relay/smtpc/reply_parser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

struct row {
	const char *in;
	uint16_t code; /* 0: malformed */
	enum reply_flaw flaw;
	uint8_t enhanced[3];
	const char *text;
};

static const struct row rows[] = {
	{"250 ok\r\n", 250, 0, {0}, "ok"},
	{"250\r\n", 250, 0, {0}, ""},
	{"250 \r\n", 250, 0, {0}, ""},
	{"250 ok\n", 250, 0, {0}, "ok"},
	{"250-a\r\n250-\r\n250 b\r\n", 250, 0, {0}, "a\n\nb"},
	{"550 5.1.1 no\r\n", 550, 0, {5, 1, 1}, "5.1.1 no"},
	{"550 5.1.1\r\n", 550, 0, {5, 1, 1}, "5.1.1"},
	{"550-5.7.26 a\r\n550 5.7.26 b\r\n", 550, 0, {5, 7, 26}, "5.7.26 a\n5.7.26 b"},
	{"550 5.999.300 x\r\n", 550, 0, {5, 255, 255}, "5.999.300 x"},
	{"550 4.1.1 other class\r\n", 550, 0, {0}, "4.1.1 other class"},
	{"550 5.1 x\r\n", 550, 0, {0}, "5.1 x"},
	{"550 5.1.1x\r\n", 550, 0, {0}, "5.1.1x"},
	{"550 5.1.1.1 x\r\n", 550, 0, {0}, "5.1.1.1 x"},
	{"550 5.1111.1 x\r\n", 550, 0, {0}, "5.1111.1 x"},
	{"550 a\x01\x7f\tb\r\n", 550, 0, {0}, "a???b"},
	{"550 gr\xc3\xbc\xff\r\n", 550, 0, {0}, "gr\xc3\xbc?"},
	{"550 a\rb\r\n", 550, 0, {0}, "a?b"},
	{"", 0, 0, {0}, ""},
	{"25 ok\r\n", 0, REPLY_FLAW_CODE, {0}, ""},
	{"2500 ok\r\n", 0, REPLY_FLAW_MARK, {0}, ""},
	{"250_ok\r\n", 0, REPLY_FLAW_MARK, {0}, ""},
	{"150 ok\r\n", 0, REPLY_FLAW_CODE, {0}, ""},
	{"650 ok\r\n", 0, REPLY_FLAW_CODE, {0}, ""},
	{"hello\r\n", 0, REPLY_FLAW_CODE, {0}, ""},
	{"\r\n", 0, REPLY_FLAW_CODE, {0}, ""},
	{"250-a\r\n251 b\r\n", 0, REPLY_FLAW_CHANGED, {0}, ""},
	{"250-a\r\nb\r\n", 0, REPLY_FLAW_CODE, {0}, ""},
};

static void check(const struct row *row, size_t chunk)
{
	struct reply_parser p;
	struct smtp_reply r;
	struct slice in = slice_str(row->in);
	enum reply_status st = REPLY_MORE;
	reply_parser_init(&p);
	while (in.len && st == REPLY_MORE) {
		size_t n = MIN(chunk, in.len), used;
		st = reply_parser_feed(&p, slice_sub(in, 0, n), &used, &r);
		assert_true(used <= n && (st != REPLY_MORE || used == n));
		in = slice_from(in, used);
	}
	assert_int_equal(st, row->code ? REPLY_DONE : row->flaw ? REPLY_BAD : REPLY_MORE);
	assert_int_equal(p.flaw, row->flaw);
	if (row->code) {
		assert_int_equal(in.len, 0);
		assert_int_equal(r.code, row->code);
		assert_memory_equal(r.enhanced, row->enhanced, 3);
		assert_true(slice_eq_str(r.text, row->text));
	}
	reply_parser_done(&p);
}

static void test_table_at_every_split(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t chunk = 1; chunk <= 40; chunk++)
			check(&rows[i], chunk);
}

static void test_one_at_a_time(void **state)
{
	struct reply_parser p;
	struct smtp_reply r;
	struct slice in = SLICE_LIT("250 a\r\n550-b\r\n550 c\r\n35");
	size_t used;
	reply_parser_init(&p);
	assert_int_equal(reply_parser_feed(&p, in, &used, &r), REPLY_DONE);
	assert_int_equal(used, 7);
	assert_int_equal(r.code, 250);
	assert_false(reply_parser_partial(&p));
	in = slice_from(in, used);
	assert_int_equal(reply_parser_feed(&p, in, &used, &r), REPLY_DONE);
	assert_int_equal(used, 14);
	assert_int_equal(r.lines, 2);
	assert_true(slice_eq_str(r.text, "b\nc"));
	in = slice_from(in, used);
	assert_int_equal(reply_parser_feed(&p, in, &used, &r), REPLY_MORE);
	assert_true(reply_parser_partial(&p));
	reply_parser_done(&p);
}

/* A line of exactly the limit passes, one more octet does not; what is kept of the text is bounded. */
static void test_long_lines(void **state)
{
	char line[SMTPC_REPLY_LINE_MAX + 3];
	for (size_t over = 0; over < 2; over++) {
		struct reply_parser p;
		struct smtp_reply r;
		size_t used, n = SMTPC_REPLY_LINE_MAX + over;
		memset(line, 'x', sizeof(line));
		memcpy(line, "250 ", 4);
		memcpy(line + n, "\r\n", 2);
		reply_parser_init(&p);
		assert_int_equal(reply_parser_feed(&p, slice_of(line, n + 2), &used, &r),
				 over ? REPLY_BAD : REPLY_DONE);
		assert_int_equal(p.flaw, over ? REPLY_FLAW_LONG : REPLY_FLAW_NONE);
		/* nothing can be read after a flaw */
		if (over)
			assert_int_equal(reply_parser_feed(&p, SLICE_LIT("250 ok\r\n"), &used, &r),
					 REPLY_BAD);
		reply_parser_done(&p);
	}
}

static void test_many_lines(void **state)
{
	struct reply_parser p;
	struct smtp_reply r;
	size_t used;
	char line[600];
	enum reply_status st = REPLY_MORE;
	memset(line, 'y', sizeof(line));
	memcpy(line, "250-", 4);
	memcpy(line + 598, "\r\n", 2);
	reply_parser_init(&p);
	for (unsigned i = 1; i < SMTPC_REPLY_LINES_MAX; i++)
		assert_int_equal(reply_parser_feed(&p, slice_of(line, 600), &used, &r), REPLY_MORE);
	line[3] = ' ';
	assert_int_equal(reply_parser_feed(&p, slice_of(line, 600), &used, &r), REPLY_DONE);
	assert_int_equal(r.lines, SMTPC_REPLY_LINES_MAX);
	assert_int_equal(r.text.len, SMTPC_REPLY_TEXT_MAX);
	line[3] = '-';
	unsigned n = 0;
	for (; st == REPLY_MORE; n++)
		st = reply_parser_feed(&p, slice_of(line, 600), &used, &r);
	assert_int_equal(st, REPLY_BAD);
	assert_int_equal(p.flaw, REPLY_FLAW_LINES);
	assert_int_equal(n, SMTPC_REPLY_LINES_MAX + 1);
	reply_parser_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_at_every_split),
		cmocka_unit_test(test_one_at_a_time),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_many_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
