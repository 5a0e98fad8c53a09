/* The scripts of smtpsink: which rule counts, percentages and "first", and what is refused at which line. */
#include "smtpsink/sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static enum err load(const char *text, struct script **ret, struct diag *d)
{
	char path[] = "/tmp/tidegate-script-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	enum err e = script_load(path, ret, d);
	unlink(path);
	return e;
}

static struct script *good(const char *text)
{
	struct script *s = NULL;
	struct diag d = {0};
	if (load(text, &s, &d) != ERR_OK)
		fail_msg("%s", d.text);
	return s;
}

static void bad(const char *text, const char *says)
{
	struct script *s = NULL;
	struct diag d = {0};
	assert_int_not_equal(load(text, &s, &d), ERR_OK);
	assert_null(s);
	if (!strstr(d.text, says))
		fail_msg("\"%s\" without \"%s\"", d.text, says);
}

static void decides(struct script *s, enum script_step step, const char *subject, uint32_t roll,
		    const char *reply)
{
	struct script_action a = script_decide(s, step, slice_str(subject), roll);
	if (!reply) {
		assert_int_equal(a.kind, ACTION_NONE);
		return;
	}
	assert_int_equal(a.kind, ACTION_REPLY);
	assert_true(slice_eq_str(a.reply, reply));
}

static void test_none(void **state)
{
	decides(NULL, STEP_RCPT, "a@b", 0, NULL);
	script_free(NULL);
	struct script *s = good("# only a comment\n\n   \n");
	decides(s, STEP_RCPT, "a@b", 0, NULL);
	script_free(s);
}

static void test_patterns(void **state)
{
	struct script *s = good("rcpt full@* 452 4.2.2 Mailbox full\n"
				"rcpt *@slow.example 451 Slow\r\n"
				"rcpt a*b@c 550 Middle\n"
				"rcpt exact@x 551 Exact\n");
	decides(s, STEP_RCPT, "FULL@anywhere", 0, "452 4.2.2 Mailbox full");
	decides(s, STEP_RCPT, "any@Slow.Example", 0, "451 Slow");
	decides(s, STEP_RCPT, "ab@c", 0, "550 Middle");
	decides(s, STEP_RCPT, "axxb@c", 0, "550 Middle");
	decides(s, STEP_RCPT, "b@c", 0, NULL);
	decides(s, STEP_RCPT, "Exact@X", 0, "551 Exact");
	decides(s, STEP_RCPT, "exact@xy", 0, NULL);
	decides(s, STEP_MAIL, "full@x", 0, NULL);
	script_free(s);
}

/* Head and tail of a pattern may not overlap in the subject. */
static void test_star_needs_its_room(void **state)
{
	struct script *s = good("mail ab*ba 550 No\n");
	decides(s, STEP_MAIL, "aba", 0, NULL);
	decides(s, STEP_MAIL, "abba", 0, "550 No");
	script_free(s);
}

static void test_first_rule_counts(void **state)
{
	struct script *s = good("rcpt ok@* 250 Fine\nrcpt * 550 No\n");
	decides(s, STEP_RCPT, "ok@x", 0, "250 Fine");
	decides(s, STEP_RCPT, "no@x", 0, "550 No");
	script_free(s);
}

static void test_percent(void **state)
{
	struct script *s = good("dot 5% 451 Later\n");
	unsigned hits = 0;
	for (uint32_t roll = 0; roll < 1000; roll++)
		hits += script_decide(s, STEP_DOT, SLICE_EMPTY, roll).kind == ACTION_REPLY;
	assert_int_equal(hits, 50);
	script_free(s);
}

static void test_first_n(void **state)
{
	struct script *s = good("connect first 2 421 Busy\nconnect first 1 drop\n");
	decides(s, STEP_CONNECT, "", 0, "421 Busy");
	decides(s, STEP_CONNECT, "", 0, "421 Busy");
	assert_int_equal(script_decide(s, STEP_CONNECT, SLICE_EMPTY, 0).kind, ACTION_DROP);
	decides(s, STEP_CONNECT, "", 0, NULL);
	script_free(s);
}

static void test_actions(void **state)
{
	struct script *s = good("ehlo drop\ndata hang\n");
	assert_int_equal(script_decide(s, STEP_EHLO, slice_str("h"), 0).kind, ACTION_DROP);
	assert_int_equal(script_decide(s, STEP_DATA, SLICE_EMPTY, 0).kind, ACTION_HANG);
	script_free(s);
}

static void test_refused(void **state)
{
	bad("# fine\nquit * drop\n", ":2: \"quit\"");
	bad("rcpt *\n", "no action");
	bad("rcpt a b drop\n", "\"b\"");
	bad("rcpt *a* drop\n", "one \"*\"");
	bad("rcpt first x drop\n", "first");
	bad("rcpt 99 text\n", "\"text\"");
	struct script *s = NULL;
	struct diag d = {0};
	assert_int_equal(script_load("/nonexistent/script", &s, &d), ERR_NOTFOUND);
}

static void test_too_many_rules(void **state)
{
	char *text = test_malloc(10 * (SINK_RULES_MAX + 1) + 1);
	for (int i = 0; i <= SINK_RULES_MAX; i++)
		memcpy(text + 10 * i, "dot  drop\n", 11);
	bad(text, ":1001: more than 1000 rules");
	text[10 * SINK_RULES_MAX] = '\0';
	script_free(good(text));
	test_free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_star_needs_its_room),
		cmocka_unit_test(test_first_rule_counts),
		cmocka_unit_test(test_percent),
		cmocka_unit_test(test_first_n),
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_many_rules),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
