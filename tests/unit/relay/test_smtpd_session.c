/* Sessions as a whole: every verb in every state, pipelined, split at every octet, line ends, limits, events. */
#include "smtpd_fake.h"

#include "core/mem.h"
#include "relay/smtpd/limits.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LOGIN     "AUTH PLAIN AGhvdXN0b24Ac2VjcmV0\r\n"
#define MAIL_LINE "MAIL FROM:<a@example.com>\r\n"
#define RCPT_LINE "RCPT TO:<b@example.org>\r\n"

/* ---- every verb in every state ---- */

enum place { GREETED, READY_CLEAR, READY_TLS, READY_AUTH, IN_MAIL, IN_RCPT, PLACES };

static void go_to(struct fake *f, enum place place)
{
	fake_init(f);
	fake_start(f);
	if (place >= READY_CLEAR)
		fake_say(f, "EHLO client.example.com\r\n");
	if (place >= READY_TLS)
		fake_say(f, "STARTTLS\r\n");
	if (place >= READY_TLS)
		fake_say(f, "EHLO client.example.com\r\n");
	if (place >= READY_AUTH)
		fake_say(f, LOGIN);
	if (place >= IN_MAIL)
		fake_say(f, MAIL_LINE);
	if (place >= IN_RCPT)
		fake_say(f, RCPT_LINE);
	(void)fake_codes(f);
}

struct verb_row {
	const char *line;
	const char *codes[PLACES]; /* GREETED, READY_CLEAR, READY_TLS, READY_AUTH, IN_MAIL, IN_RCPT */
};

/* clang-format off */
static const struct verb_row verb_rows[] = {
	{"EHLO x.example\r\n",        {"250 ", "250 ", "250 ", "250 ", "250 ", "250 "}},
	{"HELO x.example\r\n",        {"250 ", "250 ", "250 ", "250 ", "250 ", "250 "}},
	{"EHLO\r\n",                  {"501 ", "501 ", "501 ", "501 ", "501 ", "501 "}},
	{"EHLO a b\r\n",              {"501 ", "501 ", "501 ", "501 ", "501 ", "501 "}},
	{"ehlo [192.0.2.1]\r\n",      {"250 ", "250 ", "250 ", "250 ", "250 ", "250 "}},
	{"STARTTLS\r\n",              {"503 ", "220 ", "503 ", "503 ", "503 ", "503 "}},
	{"STARTTLS now\r\n",          {"503 ", "501 ", "501 ", "501 ", "503 ", "503 "}},
	{LOGIN,                       {"503 ", "538 ", "235 ", "503 ", "503 ", "503 "}},
	{"AUTH\r\n",                  {"503 ", "501 ", "501 ", "501 ", "503 ", "503 "}},
	{"AUTH GSSAPI\r\n",           {"503 ", "538 ", "504 ", "503 ", "503 ", "503 "}},
	{MAIL_LINE,                   {"503 ", "530 ", "530 ", "250 ", "503 ", "503 "}},
	{"MAIL FROM:<>\r\n",          {"503 ", "530 ", "530 ", "250 ", "503 ", "503 "}},
	{"MAIL\r\n",                  {"503 ", "501 ", "501 ", "501 ", "503 ", "503 "}},
	{"MAIL FROM:<a b>\r\n",       {"503 ", "530 ", "530 ", "501 ", "503 ", "503 "}},
	{RCPT_LINE,                   {"503 ", "503 ", "503 ", "503 ", "250 ", "250 "}},
	{"RCPT TO:<>\r\n",            {"503 ", "503 ", "503 ", "503 ", "501 ", "501 "}},
	{"DATA\r\n",                  {"503 ", "503 ", "503 ", "503 ", "503 ", "354 "}},
	{"DATA x\r\n",                {"503 ", "503 ", "503 ", "503 ", "501 ", "501 "}},
	{"RSET\r\n",                  {"250 ", "250 ", "250 ", "250 ", "250 ", "250 "}},
	{"RSET x\r\n",                {"501 ", "501 ", "501 ", "501 ", "501 ", "501 "}},
	{"NOOP\r\n",                  {"250 ", "250 ", "250 ", "250 ", "250 ", "250 "}},
	{"NOOP x y\r\n",              {"250 ", "250 ", "250 ", "250 ", "250 ", "250 "}},
	{"VRFY someone\r\n",          {"252 ", "252 ", "252 ", "252 ", "252 ", "252 "}},
	{"VRFY\r\n",                  {"501 ", "501 ", "501 ", "501 ", "501 ", "501 "}},
	{"HELP\r\n",                  {"214 ", "214 ", "214 ", "214 ", "214 ", "214 "}},
	{"QUIT\r\n",                  {"221 ", "221 ", "221 ", "221 ", "221 ", "221 "}},
	{"QUIT now\r\n",              {"501 ", "501 ", "501 ", "501 ", "501 ", "501 "}},
	{"EXPN list\r\n",             {"502 ", "502 ", "502 ", "502 ", "502 ", "502 "}},
	{"BOGUS\r\n",                 {"500 ", "500 ", "500 ", "500 ", "500 ", "500 "}},
	{"\r\n",                      {"500 ", "500 ", "500 ", "500 ", "500 ", "500 "}},
	{" NOOP\r\n",                 {"500 ", "500 ", "500 ", "500 ", "500 ", "500 "}},
	{"NOOP \001\r\n",             {"500 ", "500 ", "500 ", "500 ", "500 ", "500 "}},
	{"NO\rOP\r\n",                {"500 ", "500 ", "500 ", "500 ", "500 ", "500 "}},
	{"NOOP\n",                    {"500 ", "500 ", "500 ", "500 ", "500 ", "500 "}},
	{"GET / HTTP/1.1\r\n",        {"421 ", "421 ", "421 ", "421 ", "421 ", "421 "}},
	{"noop\r\n",                  {"250 ", "250 ", "250 ", "250 ", "250 ", "250 "}},
};
/* clang-format on */

static void test_every_verb_in_every_state(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(verb_rows); i++) {
		for (enum place p = 0; p < PLACES; p++) {
			struct fake f;
			go_to(&f, p);
			fake_say(&f, verb_rows[i].line);
			const char *codes = fake_codes(&f);
			if (strcmp(codes, verb_rows[i].codes[p]) != 0)
				fail_msg("place %d, %s: got %s, not %s", (int)p, verb_rows[i].line, codes,
					 verb_rows[i].codes[p]);
			fake_done(&f);
		}
	}
}

/* ---- a whole session, however it is cut ---- */

static const char session_text[] = "EHLO client.example.com\r\n"
				   "MAIL FROM:<early@example.com>\r\n" /* 530 */
				   "AUTH PLAIN\r\nAGhvdXN0b24Ac2VjcmV0\r\n"
				   "NOOP\r\nJUNK\r\nNO\nNOOP\r\nRSET\r\n"
				   "MAIL FROM:<a@example.com> SIZE=100 BODY=8BITMIME\r\n"
				   "RCPT TO:<b@example.org>\r\nRCPT TO:<c@@>\r\nDATA\r\n"
				   "Subject: one\r\nBcc: x@example.org\r\n\r\n..dot\r\nbare\nlf\r\n.\r\n"
				   "MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
				   "X-Fake: late\r\n\r\ntwo\r\n.\r\n"
				   "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
				   "X-Fake: refuse\r\n\r\nthree\r\n.\r\n"
				   "QUIT\r\nNOOP\r\n";
static const char session_codes[] = "220 250 530 334 235 250 500 500 250 "
				    "250 250 501 354 250 250 250 354 450 250 250 354 554 221 ";

static void run_session(size_t cut, size_t piece)
{
	struct fake f;
	fake_init_clear(&f);
	fake_start(&f);
	struct slice all = slice_of(session_text, sizeof(session_text) - 1);
	fake_feed(&f, slice_sub(all, 0, cut));
	for (struct slice rest = slice_from(all, cut); rest.len; rest = slice_from(rest, piece))
		fake_feed(&f, slice_sub(rest, 0, piece));
	assert_string_equal(fake_codes(&f), session_codes);
	assert_int_equal(f.accepted, 1);
	assert_int_equal(f.begun, 3);
	assert_true(f.closed);
	assert_int_equal(smtpd_session_state(f.s), SMTPD_CLOSED);
	fake_done(&f);
}

static void test_session_in_one_packet(void **state)
{
	run_session(sizeof(session_text) - 1, SIZE_MAX);
}

static void test_session_cut_at_every_octet(void **state)
{
	for (size_t cut = 0; cut < sizeof(session_text) - 1; cut++)
		run_session(cut, SIZE_MAX);
}

static void test_session_octet_by_octet(void **state)
{
	for (size_t piece = 1; piece < 5; piece++)
		run_session(0, piece);
}

/* ---- content ---- */

static void open_data(struct fake *f)
{
	fake_init_clear(f);
	fake_start(f);
	fake_say(f, "EHLO client.example.com\r\n" LOGIN MAIL_LINE RCPT_LINE "DATA\r\n");
	assert_string_equal(fake_codes(f), "220 250 235 250 250 354 ");
}

/* Nothing of the smuggling family ends the data or makes a second mail; all is canonical where it is taken. */
static void test_smuggling(void **state)
{
	static const char *const ends[] = {"\n.\n",       "\n.\r\n",       "\r\n.\n",     "\r.\r",
					   "\r.\r\n",     "\r\n.\r",       "\r\n.\r\r\n", "\n.\r",
					   "\r.\n",       "\r\r\n.\r\r\n", "\n\r.\n\r",   "\r\n.\n\r\n",
					   "\r\n\t.\r\n", "\r\n.\v\r\n"};
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		for (int reject = 0; reject < 2; reject++) {
			struct fake f;
			open_data(&f);
			f.listener.bare_newline = reject ? CONF_BARE_REJECT : CONF_BARE_NORMALISE;
			fake_say(&f, "Subject: x\r\n\r\nhello");
			fake_say(&f, ends[i]);
			fake_say(&f, "MAIL FROM:<evil@example.com>\r\nRCPT TO:<v@example.org>\r\nDATA\r\n");
			assert_string_equal(fake_codes(&f), "");
			assert_int_equal(smtpd_session_state(f.s), SMTPD_DATA);
			fake_say(&f, "\r\n.\r\n");
			bool tab = strchr(ends[i], '\t') || strchr(ends[i], '\v');
			assert_string_equal(fake_codes(&f), reject && !tab ? "550 " : "250 ");
			assert_int_equal(f.begun, 1);
			fake_done(&f);
		}
	}
}

static void test_content_limits(void **state)
{
	struct fake f;
	open_data(&f);
	f.conf.limit.message_size = 1000;
	for (int i = 0; i < 100; i++)
		fake_say(&f, "0123456789012345678\r\n");
	assert_int_equal(f.aborted, 1);
	assert_string_equal(fake_codes(&f), "");
	fake_say(&f, ".\r\nNOOP\r\n");
	assert_string_equal(fake_codes(&f), "552 250 ");
	fake_done(&f);

	open_data(&f);
	for (int i = 0; i < 300; i++)
		fake_say(&f, "X-Header: 0123456789\r\n");
	fake_say(&f, "\r\n.\r\n");
	assert_string_equal(fake_codes(&f), "552 ");
	assert_int_equal(f.ended, 0);
	fake_done(&f);

	open_data(&f);
	fake_feed(&f, SLICE_LIT("a: b\r\n\r\nx\0y\r\n.\r\n"));
	assert_string_equal(fake_codes(&f), "550 ");
	fake_done(&f);
}

/* No octet is consumed beyond the window; credit lets it go on. */
static void test_window(void **state)
{
	struct fake f;
	fake_init_clear(&f);
	f.window = 10;
	fake_start(&f);
	fake_say(&f, "EHLO c.example\r\n" LOGIN MAIL_LINE RCPT_LINE "DATA\r\n");
	f.hold = true;
	fake_say(&f, "0123456789abcdef\r\n.\r\n");
	assert_int_equal(f.content.len, 10);
	assert_int_equal(f.in.len, 11);
	smtpd_session_credit(f.s, 4);
	fake_pump(&f);
	assert_int_equal(f.content.len, 14);
	f.hold = false;
	fake_pump(&f);
	assert_int_equal(f.content.len, 18);
	assert_int_equal(f.accepted, 1);
	fake_done(&f);
}

/* ---- waiting ---- */

static void test_nothing_is_consumed_while_waiting(void **state)
{
	struct fake f;
	fake_init_clear(&f);
	fake_start(&f);
	f.hold = true;
	fake_say(&f, "EHLO c.example\r\n" LOGIN "NOOP\r\n");
	assert_int_equal(smtpd_session_state(f.s), SMTPD_AUTH_WAIT);
	assert_int_equal(f.in.len, 6);
	f.hold = false;
	fake_pump(&f);
	assert_string_equal(fake_codes(&f), "220 250 235 250 ");
	f.hold = true;
	fake_say(&f, MAIL_LINE RCPT_LINE "DATA\r\na: b\r\n\r\nx\r\n.\r\nRSET\r\n");
	assert_int_equal(smtpd_session_state(f.s), SMTPD_COMMIT);
	assert_int_equal(f.in.len, 6);
	assert_string_equal(fake_codes(&f), "250 250 354 ");
	f.hold = false;
	fake_pump(&f);
	assert_string_equal(fake_codes(&f), "250 250 ");
	fake_done(&f);
}

static void test_timeouts(void **state)
{
	struct fake f;
	fake_init_clear(&f);
	fake_start(&f);
	f.hold = true;
	assert_int_equal(f.timer_ms, 300000);
	fake_say(&f, "EHLO c.example\r\n" LOGIN);
	assert_int_equal(f.timer_ms, SMTPD_AUTH_WAIT_MS);
	smtpd_session_timeout(f.s);
	assert_string_equal(fake_codes(&f), "220 250 454 ");
	assert_false(f.asked_auth);
	f.hold = false;
	fake_say(&f, LOGIN);
	f.hold = true;
	fake_say(&f, MAIL_LINE RCPT_LINE "DATA\r\n");
	assert_int_equal(f.timer_ms, 180000);
	fake_say(&f, "a: b\r\n.\r\n");
	assert_int_equal(f.timer_ms, SMTPD_COMMIT_WAIT_MS);
	smtpd_session_timeout(f.s);
	assert_string_equal(fake_codes(&f), "235 250 250 354 451 ");
	assert_int_equal(f.aborted, 1);
	smtpd_session_timeout(f.s);
	assert_string_equal(fake_codes(&f), "421 ");
	assert_true(f.closed);
	fake_done(&f);
}

static void test_trickle_gets_no_new_term(void **state)
{
	struct fake f;
	open_data(&f);
	f.timer_ms = 1;
	for (size_t i = 0; i < SMTPD_PROGRESS_OCTETS - 1; i++)
		fake_say(&f, "x");
	assert_int_equal(f.timer_ms, 1);
	fake_say(&f, "x");
	assert_int_equal(f.timer_ms, 180000);
	fake_done(&f);
}

static void test_drain(void **state)
{
	struct fake f;
	fake_init_clear(&f);
	fake_start(&f);
	fake_say(&f, "EHLO c.example\r\n" LOGIN MAIL_LINE RCPT_LINE "DATA\r\n");
	smtpd_session_drain(f.s);
	assert_false(f.closed);
	fake_say(&f, "a: b\r\n.\r\n");
	assert_string_equal(fake_codes(&f), "220 250 235 250 250 354 250 421 ");
	assert_true(f.closed);
	assert_int_equal(f.accepted, 1);
	fake_done(&f);

	fake_init_clear(&f);
	fake_start(&f);
	smtpd_session_drain(f.s);
	assert_string_equal(fake_codes(&f), "220 421 ");
	fake_done(&f);
}

/* A late answer to something that nobody waits for any more changes nothing. */
static void test_late_answers_are_ignored(void **state)
{
	struct fake f;
	struct wire_reply ok = {250, {2, 0, 0}, SLICE_LIT("Ok")};
	struct tls_info info = {.version = "TLSv1.3", .cipher = "X"};
	fake_init(&f);
	fake_start(&f);
	(void)fake_codes(&f);
	smtpd_session_result(f.s, &ok);
	smtpd_session_auth_verdict(f.s, WIRE_AUTH_OK, SLICE_LIT("houston"));
	smtpd_session_auth_challenge(f.s, SLICE_LIT("x"));
	smtpd_session_tls(f.s, &info);
	smtpd_session_credit(f.s, 100);
	assert_string_equal(fake_codes(&f), "");
	assert_int_equal(smtpd_session_state(f.s), SMTPD_GREETED);
	assert_int_equal(smtpd_session_server(f.s).len, 0);
	fake_done(&f);
}

/* ---- lines ---- */

static void test_long_lines(void **state)
{
	struct fake f;
	char line[8192];
	fake_init(&f);
	fake_start(&f);
	memset(line, 'x', sizeof(line));
	memcpy(line, "NOOP ", 5);
	fake_feed(&f, slice_of(line, 4094));
	fake_say(&f, "\r\n"); /* 4096 with CRLF: just fits */
	assert_string_equal(fake_codes(&f), "220 250 ");
	fake_feed(&f, slice_of(line, 4095));
	fake_say(&f, "\r\nNOOP\r\n");
	assert_string_equal(fake_codes(&f), "500 250 ");
	for (int i = 0; i < 7; i++)
		fake_feed(&f, slice_of(line, sizeof(line)));
	assert_string_equal(fake_codes(&f), "");
	for (int i = 0; i < 3; i++)
		fake_feed(&f, slice_of(line, sizeof(line)));
	assert_string_equal(fake_codes(&f), "421 ");
	assert_true(f.closed);
	fake_done(&f);
}

/* What follows a bare LF on the same line is never executed. */
static void test_bare_lf_injects_nothing(void **state)
{
	struct fake f;
	fake_init_clear(&f);
	fake_start(&f);
	fake_say(&f,
		 "EHLO c.example\r\n" LOGIN "MAIL FROM:<a@example.com>\nRCPT TO:<b@example.org>\r\nNOOP\r\n");
	assert_string_equal(fake_codes(&f), "220 250 235 500 250 ");
	assert_int_equal(smtpd_session_state(f.s), SMTPD_READY);
	fake_done(&f);
}

static void test_too_many_errors(void **state)
{
	struct fake f;
	fake_init(&f);
	f.conf.limit.bad_commands = 3;
	fake_start(&f);
	fake_say(&f, "A\r\nB\r\nC\r\nD\r\n");
	assert_string_equal(fake_codes(&f), "220 500 500 500 421 ");
	fake_done(&f);

	fake_init(&f);
	f.conf.limit.commands_without_mail = 3;
	fake_start(&f);
	fake_say(&f, "NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n");
	assert_string_equal(fake_codes(&f), "220 250 250 250 421 ");
	fake_done(&f);
}

static void test_replies_hold_no_control_characters(void **state)
{
	struct fake f;
	fake_init(&f);
	fake_start(&f);
	(void)fake_replies(&f);
	fake_say(&f, "EHLO \xff\xfe\"<x\r\n");
	const char *reply = fake_replies(&f);
	assert_non_null(strstr(reply, "501 5.5.4 \"??\"<x\""));
	fake_done(&f);
}

/* Implicit TLS: nothing is said before the handshake. */
static void test_implicit_tls(void **state)
{
	struct fake f;
	fake_init(&f);
	f.listener.tls = CONF_LISTENER_IMPLICIT;
	f.hold = true;
	fake_start(&f);
	assert_string_equal(fake_codes(&f), "");
	assert_true(f.want_tls);
	assert_int_equal(f.timer_ms, 60000);
	f.hold = false;
	fake_pump(&f);
	fake_say(&f, "EHLO c.example\r\n" LOGIN);
	const char *replies = fake_replies(&f);
	assert_null(strstr(replies, "STARTTLS"));
	assert_non_null(strstr(replies, "235 2.7.0"));
	fake_done(&f);
}

/* Fails the n-th allocation, for every n: no crash, no leak, and never a 250 for a mail that was not handed over. */
static void test_no_memory(void **state)
{
	for (size_t n = 0; n < 60; n++) {
		struct fake f;
		fake_init_clear(&f);
		fake_start(&f);
		(void)fake_codes(&f);
		fake_say(&f, "EHLO c.example\r\n" LOGIN);
		mem_fail_after(n);
		fake_say(&f, MAIL_LINE RCPT_LINE "DATA\r\nSubject: x\r\n\r\nx\r\n");
		mem_fail_after(SIZE_MAX);
		fake_say(&f, ".\r\nQUIT\r\n");
		assert_true(f.accepted <= f.ended);
		fake_done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_verb_in_every_state),
		cmocka_unit_test(test_session_in_one_packet),
		cmocka_unit_test(test_session_cut_at_every_octet),
		cmocka_unit_test(test_session_octet_by_octet),
		cmocka_unit_test(test_smuggling),
		cmocka_unit_test(test_content_limits),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_nothing_is_consumed_while_waiting),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_trickle_gets_no_new_term),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_late_answers_are_ignored),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_bare_lf_injects_nothing),
		cmocka_unit_test(test_too_many_errors),
		cmocka_unit_test(test_replies_hold_no_control_characters),
		cmocka_unit_test(test_implicit_tls),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
