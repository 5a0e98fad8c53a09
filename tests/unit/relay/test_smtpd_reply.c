/* Replies: codes, folding, and that nothing from the network can forge a line. */
#include "smtpd_fake.h"

#include "relay/smtpd/session_priv.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_codes(void **state)
{
	struct wire_reply r = smtpd_code("250");
	assert_int_equal(r.code, 250);
	assert_int_equal(r.enhanced[0], 0);
	r = smtpd_code("538 5.7.11");
	assert_int_equal(r.code, 538);
	assert_memory_equal(r.enhanced, ((uint8_t[]){5, 7, 11}), 3);
}

/* Every line of a reply: within the limit, with the code, "-" on all but the last, printable. */
static void check_lines(struct slice reply, const char *code)
{
	while (reply.len) {
		size_t end = slice_find_slice(reply, SLICE_LIT("\r\n"));
		assert_true(end != SLICE_NPOS && end + 2 <= SMTPD_REPLY_LINE_MAX);
		struct slice line = slice_sub(reply, 0, end);
		reply = slice_from(reply, end + 2);
		assert_true(slice_starts(line, slice_str(code)));
		assert_int_equal(line.ptr[3], reply.len ? '-' : ' ');
		assert_false(slice_has_control(line));
		assert_true(slice_is_ascii(line));
	}
}

static void test_long_text_is_folded(void **state)
{
	struct fake f;
	char text[WIRE_TEXT_MAX];
	struct wire_reply r = {554, {5, 7, 1}, slice_of(text, sizeof(text))};
	fake_init(&f);
	fake_start(&f);
	for (int blanks = 0; blanks < 2; blanks++) {
		(void)fake_replies(&f);
		memset(text, 'x', sizeof(text));
		for (size_t i = 0; blanks && i < sizeof(text); i += 10)
			text[i] = ' ';
		smtpd_reply_wire(f.s, &r);
		struct slice reply = slice_str(fake_replies(&f));
		check_lines(reply, "554");
		size_t x = 0;
		for (size_t i = 0; i < reply.len; i++)
			x += reply.ptr[i] == 'x';
		assert_int_equal(x, blanks ? sizeof(text) - (sizeof(text) + 9) / 10 : sizeof(text));
	}
	fake_done(&f);
}

static void test_nothing_forges_a_line(void **state)
{
	struct fake f;
	struct wire_reply r = {550, {5, 1, 1}, SLICE_LIT("no\r\n250 2.0.0 Ok\0\x7f\xff")};
	fake_init(&f);
	fake_start(&f);
	(void)fake_replies(&f);
	smtpd_reply_wire(f.s, &r);
	assert_string_equal(fake_replies(&f), "550 5.1.1 no??250 2.0.0 Ok???\r\n");
	assert_int_equal(f.events[SMTPD_EVENT_REFUSED], 1);
	fake_done(&f);
}

static void test_empty_text(void **state)
{
	struct fake f;
	struct wire_reply r = {451, {4, 3, 0}, SLICE_EMPTY};
	fake_init(&f);
	fake_start(&f);
	(void)fake_replies(&f);
	smtpd_reply_wire(f.s, &r);
	assert_string_equal(fake_replies(&f), "451 4.3.0 \r\n");
	fake_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_codes),
		cmocka_unit_test(test_long_text_is_folded),
		cmocka_unit_test(test_nothing_forges_a_line),
		cmocka_unit_test(test_empty_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
