/* Header sections as mail clients read them, good ones and broken ones; addresses of RFC 5322 3.4. */
#include "mail/header.h"

#include "../unit.h"

#include <string.h>

/* "name=value|..."; a malformed line has no name. */
static void fields(struct slice message, struct buf *out)
{
	struct header_iter it = header_iter_of(message);
	struct header_field f;
	size_t end = 0;
	while (header_next(&it, &f)) {
		assert_int_equal(f.offset, end); /* nothing is left out */
		end += f.raw.len;
		assert_int_equal(f.malformed, f.name.len == 0);
		buf_add(out, f.name);
		buf_add_char(out, '=');
		header_unfold(f.value, out);
		buf_add_char(out, '|');
	}
}

static void check(const char *message, const char *wanted)
{
	CLEANUP(buf_done) struct buf out;
	buf_init(&out, 65536);
	fields(slice_str(message), &out);
	assert_buf(&out, wanted);
}

static void test_fields(void **state)
{
	check("A: 1\r\nB:2\r\n\r\nC: body\r\n", "A=1|B=2|");
	check("A: 1\nB: 2\n\nC: body\n", "A=1|B=2|");
	check("A: one\r\n  two\r\n\tthree\r\n\r\n", "A=one two three|");
	check("A:\r\n one\r\n\r\n", "A=one|");
	check("A: x  y\r\n\r\n", "A=x  y|"); /* blanks within a line stay */
	check("A : 1\r\nB\t: 2\r\n\r\n", "A=1|B=2|");
	check("A: 1", "A=1|");
	check("", "");
	check("\r\nA: body", "");
	check("A: 1\r\nno colon\r\n: nothing\r\nB C: 3\r\nD: 4\r\n\r\n",
	      "A=1|=no colon|=: nothing|=B C: 3|D=4|");
	check(" leading\r\nA: 1\r\n\r\n", "=leading|A=1|");
	check("A: 1\r\n \r\nB: 2\r\n\r\n", "A=1|B=2|"); /* a line of blanks continues */
	check("A: a:b\r\n\r\n", "A=a:b|");
}

static void test_section_length(void **state)
{
	assert_int_equal(header_section_length(S("A: 1\r\n\r\nbody")), 8);
	assert_int_equal(header_section_length(S("A: 1\n\nbody")), 6);
	assert_int_equal(header_section_length(S("\r\nbody")), 2);
	assert_int_equal(header_section_length(S("A: 1\r\nB: 2")), 10);
	assert_int_equal(header_section_length(S("")), 0);
}

static void test_find(void **state)
{
	struct header_field f;
	struct slice message = S("Subject: one\r\nsubject: two\r\n\r\nX-Body: no\r\n");
	assert_true(header_find(message, "SUBJECT", &f));
	assert_slice(slice_trim(f.value), "one");
	assert_false(header_find(message, "X-Body", &f));
	assert_false(header_find(message, "Sub", &f));
}

static void test_field_limit(void **state)
{
	CLEANUP(buf_done) struct buf message;
	struct header_field f;
	buf_init(&message, 1u << 20);
	for (int i = 0; i < HEADER_FIELDS_MAX + 5; i++)
		buf_add_str(&message, "A: 1\r\n");
	struct header_iter it = header_iter_of(buf_slice(&message));
	int n = 0;
	while (header_next(&it, &f))
		n++;
	assert_int_equal(n, HEADER_FIELDS_MAX);
}

static void addresses(const char *value, const char *wanted)
{
	CLEANUP(buf_done) struct buf out;
	struct header_address_iter it = header_addresses_of(slice_str(value));
	struct header_address a;
	buf_init(&out, 65536);
	while (header_next_address(&it, &a)) {
		buf_add(&out, a.display);
		buf_add_char(&out, '<');
		buf_add(&out, a.address);
		buf_add_char(&out, '>');
	}
	assert_buf(&out, wanted);
}

static void test_addresses(void **state)
{
	addresses("a@b", "<a@b>");
	addresses("A B <a@b>, \"C, D\" <c@d>", "A B<a@b>\"C, D\"<c@d>");
	addresses("a@b (Comment, one)", "<a@b>");
	addresses("(before) X (y) <a@b>", "X<a@b>");
	addresses("Group: a@b, C <c@d>; e@f", "<a@b>C<c@d><e@f>");
	addresses("undisclosed-recipients:;", "");
	addresses("\"a\\\"b, c\" <a@b>", "\"a\\\"b, c\"<a@b>");
	addresses(",, ,a@b,", "<a@b>");
	addresses("<a@b", "<a@b>");
	addresses("X <a,b@c>", "X<a,b@c>");
	addresses("(never closed <a@b>", "");
	addresses("", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),    cmocka_unit_test(test_section_length),
		cmocka_unit_test(test_find),      cmocka_unit_test(test_field_limit),
		cmocka_unit_test(test_addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
