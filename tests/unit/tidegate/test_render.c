#include "rows.h"

static void shown(const struct render *r, const char *words)
{
	struct buf b;

	buf_init(&b, RENDER_OUTPUT_MAX);
	render_tables(r, &b);
	assert_int_equal(b.failed, ERR_OK);
	assert_string_equal(buf_cstr(&b), words);
	buf_done(&b);
}

/* Columns are as wide as their widest cell on the screen: wide characters count two, accents one, escapes what
 * they take. Columns without any value are left out. */
static void test_table(void **state)
{
	struct render r = rendering(CTL_QUEUE_LIST);

	add_queue(&r);
	shown(&r,
	      "ID  STATE     ARRIVED  SIZE  SERVER   SENDER              RCPT  LEFT  NEXT TRY  LAST REPLY\n"
	      "A1  deferred  3h ago     2K  houston  b\xc3\xbc"
	      "cher@example.net    12     2  in 5min   451 4.7.1 \\x1b[31mtry later\\r\\n\n"
	      "A2  queued    5s ago     50  a        \xe6\x97\xa5\xe6\x9c\xac@x                 1     1  -   "
	      "      -\n");
	render_done(&r);
}

static void test_cut(void **state)
{
	struct render r = rendering(CTL_QUEUE_LIST);
	struct ctl_fields f;

	r.o.columns = 24;
	ctl_fields_init(&f);
	ctl_add_str(&f, "id", "A1");
	ctl_add_str(&f, "last_reply",
		    "\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5\xe6\x9c\xac"
		    "\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5\xe6\x9c\xac");
	assert_int_equal(add_row(&r, CTL_T_MESSAGE, &f), ERR_OK);
	shown(&r, "ID  LAST REPLY\n"
		  "A1  \xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5\xe6\x9c\xac"
		  "\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5\xe6\x9c\xac\n");
	ctl_fields_done(&f);
	render_done(&r);
}

static void test_color(void **state)
{
	struct render r = rendering(CTL_QUEUE_STATS);
	struct ctl_fields f;

	r.o.color = true;
	ctl_fields_init(&f);
	ctl_add_str(&f, "state", "deferred");
	ctl_add_u64(&f, "messages", 5);
	assert_int_equal(add_row(&r, CTL_T_QUEUE, &f), ERR_OK);
	shown(&r, "\033[1mSTATE\033[0m     \033[1mMESSAGES\033[0m\n"
		  "\033[33mdeferred\033[0m         5\n");
	ctl_fields_done(&f);
	render_done(&r);
}

static void test_status(void **state)
{
	struct render r = rendering(CTL_STATUS);
	struct ctl_fields f;

	ctl_fields_init(&f);
	ctl_add_str(&f, "health", "degraded");
	ctl_add_str(&f, "reason", "smtpc.1 is not running");
	ctl_add_time(&f, "started", NOW - 7200000);
	ctl_add_u64(&f, "connections_in", 3);
	ctl_add_null(&f, "oldest");
	assert_int_equal(add_row(&r, CTL_T_RELAY, &f), ERR_OK);
	ctl_add_str(&f, "role", "smtpd");
	ctl_add_u64(&f, "number", 0);
	ctl_add_u64(&f, "pid", 77);
	ctl_add_str(&f, "state", "running");
	assert_int_equal(add_row(&r, CTL_T_PROCESS, &f), ERR_OK);
	shown(&r, "health           degraded\n"
		  "reason           smtpc.1 is not running\n"
		  "started          2026-11-23 14:23:20Z (2h ago)\n"
		  "connections in   3\n"
		  "\n"
		  "PROCESS  NO  PID  STATE\n"
		  "smtpd     0   77  running\n");
	ctl_fields_done(&f);
	render_done(&r);
}

static void test_record(void **state)
{
	struct render r = rendering(CTL_QUEUE_SHOW);
	struct ctl_fields f;

	r.o.records = true;
	ctl_fields_init(&f);
	ctl_add_str(&f, "id", "A1");
	ctl_add_str(&f, "message_id", "<x@y>");
	assert_int_equal(add_row(&r, CTL_T_MESSAGE, &f), ERR_OK);
	ctl_add_u64(&f, "number", 0);
	ctl_add_str(&f, "address", "a@b");
	assert_int_equal(add_row(&r, CTL_T_RECIPIENT, &f), ERR_OK);
	shown(&r, "id          A1\n"
		  "message id  <x@y>\n"
		  "\n"
		  "NO  RECIPIENT\n"
		  " 0  a@b\n");
	ctl_fields_done(&f);
	render_done(&r);
}

static void test_empty(void **state)
{
	struct render r = rendering(CTL_SERVER_LIST);

	shown(&r, "no servers\n");
	render_done(&r);
	r = rendering(CTL_RELOAD);
	shown(&r, "");
	render_done(&r);
}

static void test_foreign_rows(void **state)
{
	struct render r = rendering(CTL_STATUS);
	struct ctl_fields f;

	ctl_fields_init(&f);
	assert_int_equal(add_row(&r, CTL_T_MESSAGE, &f), ERR_CORRUPT);
	assert_int_equal(add_row(&r, CTL_T_RELAY, &f), ERR_OK);
	assert_int_equal(add_row(&r, CTL_T_RELAY, &f), ERR_CORRUPT); /* one only */
	ctl_fields_done(&f);
	render_done(&r);
}

static void test_first(void **state)
{
	struct render r = rendering(CTL_QUEUE_LIST);
	struct ctl_field f;

	assert_false(render_first(&r, CTL_T_MESSAGE, "id", &f));
	add_queue(&r);
	assert_true(render_first(&r, CTL_T_MESSAGE, "id", &f));
	assert_true(slice_eq_str(f.v.text, "A1"));
	assert_false(render_first(&r, CTL_T_RELAY, "id", &f));
	render_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),        cmocka_unit_test(test_cut),
		cmocka_unit_test(test_color),        cmocka_unit_test(test_status),
		cmocka_unit_test(test_record),       cmocka_unit_test(test_empty),
		cmocka_unit_test(test_foreign_rows), cmocka_unit_test(test_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
