/* Dot-stuffing, line ends and edits, in pieces of every size. */
#include "relay/smtpc/content.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void send_all(struct slice stored, struct slice edits, size_t chunk, struct buf *out,
		     bool *ret_eight_bit)
{
	struct content c;
	uint64_t offset, len;
	content_start(&c, edits, stored.len);
	while (content_want(&c, out, &offset, &len)) {
		size_t n = (size_t)MIN(len, (uint64_t)chunk);
		content_feed(&c, slice_sub(stored, (size_t)offset, n), out);
	}
	content_end(&c, out);
	*ret_eight_bit = c.eight_bit;
}

static void check(const char *stored, struct slice edits, const char *want)
{
	for (size_t chunk = 1; chunk < 30; chunk++) {
		CLEANUP(buf_done) struct buf out;
		bool eight;
		buf_init(&out, 10000);
		send_all(slice_str(stored), edits, chunk, &out, &eight);
		if (!slice_eq_str(buf_slice(&out), want))
			fail_msg("\"%s\" in pieces of %zu gives \"%s\"", stored, chunk, buf_cstr(&out));
	}
}

static void test_lines_and_dots(void **state)
{
	static const struct {
		const char *stored, *sent;
	} rows[] = {
		{"", ".\r\n"},
		{"a\r\n", "a\r\n.\r\n"},
		{"a", "a\r\n.\r\n"},
		{".", "..\r\n.\r\n"},
		{".\r\n", "..\r\n.\r\n"},
		{"..\r\n.a\r\nb.c\r\n", "...\r\n..a\r\nb.c\r\n.\r\n"},
		{"\r\n\r\n", "\r\n\r\n.\r\n"},
		{"a\nb\n", "a\r\nb\r\n.\r\n"},
		{"a\rb", "a\r\nb\r\n.\r\n"},
		{"a\r", "a\r\n.\r\n"},
		{"\r", "\r\n.\r\n"},
		{"a\r\r\nb", "a\r\n\r\nb\r\n.\r\n"},
		{"a\n.\nb", "a\r\n..\r\nb\r\n.\r\n"}, /* the end of data must not be smuggled in */
		{"a\r.\rb", "a\r\n..\r\nb\r\n.\r\n"},
		{"a\r\n.\rb\n.\r\nc", "a\r\n..\r\nb\r\n..\r\nc\r\n.\r\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check(rows[i].stored, SLICE_EMPTY, rows[i].sent);
}

static void test_edits(void **state)
{
	struct edits e;
	CLEANUP(buf_done) struct buf encoded;
	buf_init(&encoded, 1000);
	edits_init(&e);
	edits_insert(&e, 0, SLICE_LIT("Received: me\r\n"));
	edits_delete(&e, 6, 8); /* Bcc: x */
	edits_insert(&e, 16, SLICE_LIT(".end"));
	edits_encode(&e, &encoded);
	edits_done(&e);
	check("To: a\nBcc: x\r\n\r\n", buf_slice(&encoded), "Received: me\r\nTo: a\r\n\r\n..end\r\n.\r\n");
}

static void test_eight_bit_is_noticed(void **state)
{
	CLEANUP(buf_done) struct buf out;
	bool eight;
	buf_init(&out, 1000);
	send_all(SLICE_LIT("abc\r\ndef\r\n"), SLICE_EMPTY, 3, &out, &eight);
	assert_false(eight);
	send_all(SLICE_LIT("abc\r\nd\xe9 f\r\n"), SLICE_EMPTY, 3, &out, &eight);
	assert_true(eight);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_and_dots),
		cmocka_unit_test(test_edits),
		cmocka_unit_test(test_eight_bit_is_noticed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
