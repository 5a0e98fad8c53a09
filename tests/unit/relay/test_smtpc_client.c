/* The client engine against a scripted server: every reply at every step, lost and split at every octet, pipelined and
 * not. */
#include "smtpc_fake.h"

#include "core/buf.h"
#include "mail/edits.h"
#include "record/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static bool dialogue_has(struct fake *f, const char *text)
{
	return strstr(buf_cstr(&f->dialogue), text) != NULL;
}

/* ---- the good case ---- */

static void test_delivers_with_and_without_pipelining(void **state)
{
	for (int pipelining = 0; pipelining < 2; pipelining++) {
		struct fake f;
		fake_init(&f);
		f.options.no_pipelining = !pipelining;
		fake_run(&f);
		assert_true(fake_idle(&f));
		fake_give_job(&f);
		assert_string_equal(fake_outcomes(&f), "DDD");
		assert_int_equal(f.code[0], 250);
		assert_string_equal(f.text[0], "queued as 77");
		assert_memory_equal(f.enhanced[0], ((uint8_t[]){2, 0, 0}), 3);
		assert_true(slice_eq(buf_slice(&f.message), f.content));
		assert_true(fake_idle(&f) && f.ready);
		fake_give_job(&f); /* the same connection */
		assert_string_equal(fake_outcomes(&f), "DDD");
		assert_false(dialogue_has(&f, "C: RSET"));
		client_quit(f.client);
		fake_go_on(&f);
		assert_int_equal(f.end.kind, CLIENT_END_QUIT);
		fake_done(&f);
	}
}

static void test_dialogue(void **state)
{
	struct fake f;
	fake_init(&f);
	f.body = RECORD_BODY_8BITMIME;
	f.options.no_pipelining = true;
	fake_run(&f);
	fake_give_job(&f);
	assert_string_equal(buf_cstr(&f.dialogue), "S: 220 mx.example ESMTP\n"
						   "C: EHLO relay.example\n"
						   "S: 250-mx.example\n"
						   "S: 250-PIPELINING\n"
						   "S: 250-SIZE 1000000\n"
						   "S: 250-8BITMIME\n"
						   "S: 250 ENHANCEDSTATUSCODES\n"
						   "C: MAIL FROM:<sender@example.net> SIZE=26 BODY=8BITMIME\n"
						   "S: 250 2.1.0 ok\n"
						   "C: RCPT TO:<a@example.org>\n"
						   "S: 250 2.1.5 ok\n"
						   "C: RCPT TO:<b@example.org>\n"
						   "S: 250 2.1.5 ok\n"
						   "C: RCPT TO:<c@example.org>\n"
						   "S: 250 2.1.5 ok\n"
						   "C: DATA\n"
						   "S: 354 go ahead\n"
						   "C: .\n"
						   "S: 250 2.0.0 queued as 77\n");
	fake_done(&f);
}

static void test_says_only_what_is_offered(void **state)
{
	struct fake f;
	fake_init(&f);
	f.extensions = "HELP";
	fake_run(&f);
	fake_give_job(&f);
	assert_true(dialogue_has(&f, "C: MAIL FROM:<sender@example.net>\n"));
	assert_string_equal(fake_outcomes(&f), "DDD");
	fake_done(&f);
}

/* ---- every reply at every step ---- */

struct row {
	enum fake_step step;
	const char *reply;
	const char *outcomes; /* of the first job; "---": it could not be given */
	int end;              /* enum client_end_kind, or -1: the connection can be used again */
};

static const struct row rows[] = {
	{FAKE_GREETING, "220-a\r\n220 b\r\n", "DDD", -1},
	{FAKE_GREETING, "421 4.3.2 busy\r\n", "---", CLIENT_END_SHUTDOWN},
	{FAKE_GREETING, "450 later\r\n", "---", CLIENT_END_REFUSED},
	{FAKE_GREETING, "554 5.7.1 go away\r\n", "---", CLIENT_END_REFUSED},
	{FAKE_GREETING, "354 what\r\n", "---", CLIENT_END_REFUSED},
	{FAKE_GREETING, "+OK pop3\r\n", "---", CLIENT_END_PROTOCOL},
	{FAKE_GREETING, "", "---", -2},
	{FAKE_EHLO, "500 what\r\n", "DDD", -1},
	{FAKE_EHLO, "502 5.5.1 no\r\n", "DDD", -1},
	{FAKE_EHLO, "421 bye\r\n", "---", CLIENT_END_SHUTDOWN},
	{FAKE_EHLO, "250-x\r\n251 y\r\n", "---", CLIENT_END_PROTOCOL},
	{FAKE_MAIL, "250 ok\r\n", "DDD", -1},
	{FAKE_MAIL, "421 4.3.2 bye\r\n", "LLL", CLIENT_END_SHUTDOWN},
	{FAKE_MAIL, "451 4.3.0 later\r\n", "LLL", -1},
	{FAKE_MAIL, "552 5.3.4 too big\r\n", "FFF", -1},
	{FAKE_MAIL, "550 5.1.8 bad sender\r\n", "FFF", -1},
	{FAKE_MAIL, "354 go\r\n", "LLL", CLIENT_END_PROTOCOL},
	{FAKE_MAIL, "99 x\r\n", "LLL", CLIENT_END_PROTOCOL},
	{FAKE_RCPT0, "251 forwarded\r\n", "DDD", -1},
	{FAKE_RCPT0, "450 4.2.0 greylisted\r\n", "LDD", -1},
	{FAKE_RCPT1, "550 5.1.1 unknown\r\n", "DFD", -1},
	{FAKE_RCPT1, "552 too many recipients\r\n", "DLD", -1},
	{FAKE_RCPT1, "552 5.2.2 mailbox full\r\n", "DFD", -1},
	{FAKE_RCPT2, "452 4.5.3 too many\r\n", "DDL", -1},
	{FAKE_RCPT2, "421 4.7.0 slow down\r\n", "LLL", CLIENT_END_SHUTDOWN},
	{FAKE_RCPT1, "354 go\r\n", "LLL", CLIENT_END_PROTOCOL},
	{FAKE_DATA, "451 4.3.0 later\r\n", "LLL", -1},
	{FAKE_DATA, "554 5.5.1 no\r\n", "FFF", -1},
	{FAKE_DATA, "421 bye\r\n", "LLL", CLIENT_END_SHUTDOWN},
	{FAKE_DATA, "250 ok\r\n", "LLL", CLIENT_END_PROTOCOL},
	{FAKE_DOT, "250-a\r\n250 b\r\n", "DDD", -1},
	{FAKE_DOT, "451 4.7.1 greylisted\r\n", "LLL", -1},
	{FAKE_DOT, "554 5.7.1 spam\r\n", "FFF", -1},
	{FAKE_DOT, "421 4.4.5 bye\r\n", "LLL", CLIENT_END_SHUTDOWN},
	{FAKE_DOT, "354 again\r\n", "UUU", CLIENT_END_PROTOCOL},
	{FAKE_DOT, "ok\r\n", "UUU", CLIENT_END_PROTOCOL},
	{FAKE_DOT, "250-ok\r\n550 no\r\n", "UUU", CLIENT_END_PROTOCOL},
	{FAKE_RSET, "500 no\r\n", "DDD", -1}, /* not sent */
};

static void check_row(const struct row *row, bool pipelining, size_t chunk)
{
	struct fake f;
	fake_init(&f);
	f.options.no_pipelining = !pipelining;
	f.chunk = chunk;
	f.replies[row->step] = row->reply;
	fake_run(&f);
	if (fake_idle(&f))
		fake_give_job(&f);
	if (strcmp(fake_outcomes(&f), row->outcomes) != 0)
		fail_msg("reply \"%s\" at step %d: %s, not %s\n%s", row->reply, row->step, fake_outcomes(&f),
			 row->outcomes, buf_cstr(&f.dialogue));
	if (row->end >= 0) {
		assert_int_equal(f.ends, 1);
		assert_int_equal(f.end.kind, row->end);
	} else if (row->end == -1) {
		assert_true(fake_idle(&f));
		f.replies[row->step] = NULL;
		fake_give_job(&f);
		assert_string_equal(fake_outcomes(&f), "DDD");
	}
	fake_done(&f);
}

static void test_every_reply_at_every_step(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t chunk = 0; chunk < 3; chunk++) {
			check_row(&rows[i], true, chunk);
			check_row(&rows[i], false, chunk);
		}
}

/* All recipients are refused, and the server lets DATA through all the same. */
static void test_nobody_accepted(void **state)
{
	static const char *const no = "550 5.1.1 unknown\r\n";
	for (int pipelining = 0; pipelining < 2; pipelining++) {
		for (int data = 0; data < 2; data++) {
			struct fake f;
			fake_init(&f);
			f.options.no_pipelining = !pipelining;
			f.replies[FAKE_RCPT0] = f.replies[FAKE_RCPT1] = f.replies[FAKE_RCPT2] = no;
			f.replies[FAKE_DATA] = data ? "354 go\r\n" : "503 5.5.1 no recipients\r\n";
			f.replies[FAKE_DOT] = "554 5.5.1 nobody\r\n";
			fake_run(&f);
			fake_give_job(&f);
			assert_string_equal(fake_outcomes(&f), "FFF");
			assert_int_equal(f.lone_dots, pipelining && data ? 1 : 0);
			assert_int_equal(f.message.len, 0);
			assert_true(fake_idle(&f));
			/* a lone dot ends the transaction; else it has to be left */
			assert_int_equal(dialogue_has(&f, "C: RSET"), f.lone_dots == 0);
			fake_done(&f);
		}
	}
}

static void test_rset_refused(void **state)
{
	struct fake f;
	fake_init(&f);
	f.replies[FAKE_DATA] = "451 4.3.0 later\r\n";
	f.replies[FAKE_RSET] = "502 5.5.1 what?\r\n";
	fake_run(&f);
	fake_give_job(&f);
	assert_string_equal(fake_outcomes(&f), "LLL");
	assert_int_equal(f.end.kind, CLIENT_END_SHUTDOWN);
	fake_done(&f);
}

static void test_mail_refused_yet_data_goes(void **state)
{
	struct fake f;
	fake_init(&f);
	f.replies[FAKE_MAIL] = "451 4.3.0 later\r\n";
	f.replies[FAKE_RCPT0] = f.replies[FAKE_RCPT1] = f.replies[FAKE_RCPT2] = "503 5.5.1 no MAIL\r\n";
	f.replies[FAKE_DATA] = "354 go\r\n";
	fake_run(&f);
	fake_give_job(&f);
	assert_string_equal(fake_outcomes(&f), "LLL"); /* MAIL's answer counts, not what follows from it */
	assert_int_equal(f.lone_dots, 1);
	fake_done(&f);
}

static void test_mixed_rejections(void **state)
{
	struct fake f;
	fake_init(&f);
	f.replies[FAKE_RCPT0] = "550 5.1.1 unknown\r\n";
	f.replies[FAKE_RCPT1] = "450 4.2.1 later\r\n";
	fake_run(&f);
	fake_give_job(&f);
	assert_string_equal(fake_outcomes(&f), "FLD");
	assert_int_equal(f.code[0], 550);
	assert_string_equal(f.text[0], "unknown");
	assert_int_equal(f.code[1], 450);
	assert_int_equal(f.code[2], 250);
	fake_done(&f);
}

static void test_texts_of_many_lines(void **state)
{
	struct fake f;
	fake_init(&f);
	f.replies[FAKE_RCPT0] =
		"550-5.7.1 Our system\r\n550-5.7.1  has seen\x01 this\r\n550 5.7.1 x\xff.\r\n";
	fake_run(&f);
	fake_give_job(&f);
	assert_string_equal(f.text[0], "Our system has seen? this x?.");
	assert_memory_equal(f.enhanced[0], ((uint8_t[]){5, 7, 1}), 3);
	fake_done(&f);
}

/* ---- lost and split ---- */

static uint64_t octets_of_good_run(bool pipelining)
{
	struct fake f;
	fake_init(&f);
	f.options.no_pipelining = !pipelining;
	fake_run(&f);
	fake_give_job(&f);
	uint64_t n = f.delivered_octets;
	fake_done(&f);
	return n;
}

static void lose_at(uint64_t at, uint64_t total, bool pipelining)
{
	static const size_t last_reply = sizeof("250 2.0.0 queued as 77\r\n") - 1;
	struct fake f;
	fake_init(&f);
	f.options.no_pipelining = !pipelining;
	f.lose_after = at;
	f.chunk = 1;
	fake_run(&f);
	bool given = fake_idle(&f);
	if (given)
		fake_give_job(&f);
	assert_int_equal(f.ends, 1);
	assert_int_equal(f.end.kind, CLIENT_END_LOST);
	assert_false(f.end.untouched);
	if (given && at >= total - last_reply && at < total)
		assert_string_equal(fake_outcomes(&f), "UUU");
	else if (given && at < total)
		assert_string_equal(fake_outcomes(&f), "LLL");
	if (given && at < total)
		assert_non_null(strstr(f.text[0], "connection lost while waiting for"));
	fake_done(&f);
}

static void test_lost_at_every_octet(void **state)
{
	for (int pipelining = 0; pipelining < 2; pipelining++) {
		uint64_t total = octets_of_good_run(pipelining);
		for (uint64_t at = 0; at < total; at++)
			lose_at(at, total, pipelining);
	}
}

static void test_time_out_everywhere(void **state)
{
	static const struct {
		enum fake_step step;
		uint64_t wait;
		const char *outcomes, *text;
	} waits[] = {
		{FAKE_GREETING, 300000, "---", "the greeting"},
		{FAKE_EHLO, 300000, "---", "the reply to EHLO"},
		{FAKE_MAIL, 300000, "LLL", "the reply to MAIL"},
		{FAKE_RCPT1, 300000, "LLL", "the reply to RCPT"},
		{FAKE_DATA, 120000, "LLL", "the reply to DATA"},
		{FAKE_DOT, 600000, "UUU", "the reply to the end of data"},
	};
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		struct fake f;
		fake_init(&f);
		f.options.no_pipelining = true;
		f.replies[waits[i].step] = "";
		fake_run(&f);
		if (fake_idle(&f))
			fake_give_job(&f);
		assert_int_equal(f.ends, 0);
		assert_int_equal(f.last_timer, waits[i].wait);
		client_timeout(f.client);
		assert_int_equal(f.end.kind, CLIENT_END_TIMEOUT);
		assert_string_equal(fake_outcomes(&f), waits[i].outcomes);
		assert_non_null(strstr(f.end_text, waits[i].text));
		fake_done(&f);
	}
}

static void test_idle_time_out_quits(void **state)
{
	struct fake f;
	fake_init(&f);
	fake_run(&f);
	assert_int_equal(f.last_timer, 60000);
	client_timeout(f.client);
	fake_go_on(&f);
	assert_int_equal(f.end.kind, CLIENT_END_QUIT);
	assert_true(dialogue_has(&f, "C: QUIT"));
	fake_done(&f);
}

/* A kept connection that the server dropped costs the next job nothing. */
static void test_reused_connection_was_dead(void **state)
{
	static const char *const replies[] = {"", "421 4.4.2 idle too long\r\n"};
	for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
		struct fake f;
		fake_init(&f);
		fake_run(&f);
		fake_give_job(&f);
		f.replies[FAKE_MAIL] = replies[i];
		f.replies[FAKE_RCPT0] = f.replies[FAKE_RCPT1] = f.replies[FAKE_RCPT2] = f.replies[FAKE_DATA] =
			"";
		fake_give_job(&f);
		if (!f.ends)
			client_lost(f.client, SLICE_LIT("broken pipe"));
		assert_int_equal(f.ends, 1);
		assert_true(f.end.untouched);
		assert_string_equal(fake_outcomes(&f), "---");
		fake_done(&f);
	}
}

static void test_spoken_to_while_idle(void **state)
{
	struct fake f;
	fake_init(&f);
	fake_run(&f);
	buf_add_str(&f.out, "421 4.4.2 bye\r\n");
	fake_go_on(&f);
	assert_int_equal(f.end.kind, CLIENT_END_SHUTDOWN);
	fake_done(&f);
	fake_init(&f);
	fake_run(&f);
	buf_add_str(&f.out, "250 ok\r\n");
	fake_go_on(&f);
	assert_int_equal(f.end.kind, CLIENT_END_PROTOCOL);
	fake_done(&f);
}

/* Replies that come before their command must not be taken for its answer. */
static void test_reply_injected_ahead(void **state)
{
	struct fake f;
	fake_init(&f);
	f.replies[FAKE_DATA] = "354 go\r\n250 2.0.0 taken already\r\n";
	fake_run(&f);
	fake_give_job(&f);
	assert_string_equal(fake_outcomes(&f), "LLL");
	assert_int_equal(f.end.kind, CLIENT_END_PROTOCOL);
	fake_done(&f);
}

static void test_refused_in_the_middle_of_content(void **state)
{
	struct fake f;
	fake_init(&f);
	f.replies[FAKE_DATA] = "354 go\r\n552 5.3.4 too big after all\r\n";
	fake_run(&f);
	fake_give_job(&f);
	assert_string_equal(fake_outcomes(&f), "FFF");
	assert_int_equal(f.ends, 1);
	assert_int_equal(f.dots, 0);
	fake_done(&f);
}

static void test_content_cannot_be_read(void **state)
{
	struct fake f;
	fake_init(&f);
	fake_run(&f);
	f.content = slice_sub(f.content, 0, 10);
	f.content_chunk = 5;
	f.replies[FAKE_DATA] = "";
	f.options.no_pipelining = true;
	fake_give_job(&f);
	buf_add_str(&f.out, "354 go\r\n");
	assert_int_equal(client_input(f.client, buf_slice(&f.out)), f.out.len);
	assert_true(f.wants);
	client_content_failed(f.client, SLICE_LIT("I/O error"));
	assert_string_equal(fake_outcomes(&f), "LLL");
	assert_int_equal(f.ends, 1);
	fake_done(&f);
}

/* ---- TLS ---- */

static struct fake tls_fake(enum wire_tls_level level)
{
	struct fake f;
	fake_init(&f);
	f.options.tls = level;
	f.extensions = "PIPELINING\nSTARTTLS";
	return f;
}

static void test_starttls(void **state)
{
	struct fake f = tls_fake(WIRE_TLS_MAY);
	fake_run(&f);
	assert_true(f.tls && fake_idle(&f) && client_secure(f.client));
	fake_give_job(&f);
	assert_string_equal(fake_outcomes(&f), "DDD");
	fake_done(&f);
}

static void test_starttls_not_wanted_or_not_offered(void **state)
{
	struct fake f = tls_fake(WIRE_TLS_NONE);
	fake_run(&f);
	assert_true(!f.tls && fake_idle(&f));
	fake_done(&f);
	f = tls_fake(WIRE_TLS_MAY);
	f.extensions = "PIPELINING";
	fake_run(&f);
	assert_true(!f.tls && fake_idle(&f));
	fake_done(&f);
	f = tls_fake(WIRE_TLS_ENCRYPT);
	f.extensions = "PIPELINING"; /* or somebody on the way has taken it out */
	fake_run(&f);
	assert_int_equal(f.end.kind, CLIENT_END_REFUSED);
	assert_memory_equal(f.end.enhanced, ((uint8_t[]){4, 7, 4}), 3);
	fake_done(&f);
}

static void test_starttls_refused(void **state)
{
	struct fake f = tls_fake(WIRE_TLS_MAY);
	f.replies[FAKE_STARTTLS] = "454 4.7.0 not now\r\n";
	fake_run(&f);
	assert_true(!f.tls && fake_idle(&f));
	fake_done(&f);
	f = tls_fake(WIRE_TLS_ENCRYPT);
	f.replies[FAKE_STARTTLS] = "454 4.7.0 not now\r\n";
	fake_run(&f);
	assert_int_equal(f.end.kind, CLIENT_END_REFUSED);
	fake_done(&f);
}

static void test_handshake_fails(void **state)
{
	struct fake f = tls_fake(WIRE_TLS_MAY);
	f.tls_fails = true;
	fake_run(&f);
	assert_int_equal(f.end.kind, CLIENT_END_TLS);
	fake_done(&f);
	f = tls_fake(WIRE_TLS_VERIFY);
	f.tls_unverified = true;
	fake_run(&f);
	assert_int_equal(f.end.kind, CLIENT_END_TLS);
	fake_done(&f);
	f = tls_fake(WIRE_TLS_ENCRYPT);
	f.tls_unverified = true;
	fake_run(&f);
	assert_true(fake_idle(&f));
	fake_done(&f);
}

static void test_injection_behind_starttls(void **state)
{
	struct fake f = tls_fake(WIRE_TLS_MAY);
	f.replies[FAKE_STARTTLS] = "220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n";
	fake_run(&f);
	assert_int_equal(f.end.kind, CLIENT_END_PROTOCOL);
	assert_false(f.tls);
	fake_done(&f);
}

/* What was offered in the clear does not count under TLS. */
static void test_features_are_forgotten(void **state)
{
	struct fake f = tls_fake(WIRE_TLS_MAY);
	f.extensions = "SIZE 10\nSTARTTLS\nPIPELINING";
	f.extensions_tls = "HELP";
	fake_run(&f);
	fake_give_job(&f);
	assert_string_equal(fake_outcomes(&f), "DDD");
	assert_true(f.tls && dialogue_has(&f, "C: MAIL FROM:<sender@example.net>\nS: 250"));
	fake_done(&f);
}

/* ---- AUTH ---- */

static void test_auth_plain(void **state)
{
	struct fake f = tls_fake(WIRE_TLS_MAY);
	f.extensions = "STARTTLS\nAUTH LOGIN PLAIN";
	f.options.auth_user = SLICE_LIT("user");
	f.options.auth_password = SLICE_LIT("secret");
	fake_run(&f);
	assert_true(fake_idle(&f));
	assert_true(dialogue_has(&f, "C: AUTH PLAIN ...\n"));
	assert_false(dialogue_has(&f, "AHVzZXIAc2VjcmV0"));
	fake_done(&f);
}

static void test_auth_fails(void **state)
{
	struct fake f = tls_fake(WIRE_TLS_MAY);
	f.extensions = "STARTTLS\nAUTH PLAIN";
	f.options.auth_user = SLICE_LIT("user");
	f.replies[FAKE_AUTH] = "535 5.7.8 no\r\n";
	fake_run(&f);
	assert_int_equal(f.end.kind, CLIENT_END_REFUSED);
	assert_int_equal(f.end.code, 535);
	fake_done(&f);
	f = tls_fake(WIRE_TLS_MAY); /* no TLS: the secret stays here */
	f.extensions = "AUTH PLAIN";
	f.options.auth_user = SLICE_LIT("user");
	fake_run(&f);
	assert_int_equal(f.end.kind, CLIENT_END_REFUSED);
	assert_false(dialogue_has(&f, "AUTH PLAIN ..."));
	fake_done(&f);
	f = tls_fake(WIRE_TLS_MAY);
	f.extensions = "STARTTLS\nAUTH LOGIN";
	f.options.auth_user = SLICE_LIT("user");
	fake_run(&f);
	assert_int_equal(f.end.kind, CLIENT_END_REFUSED);
	fake_done(&f);
}

/* ---- what a server cannot take ---- */

static void test_size(void **state)
{
	struct fake f;
	fake_init(&f);
	f.extensions = "SIZE 25";
	fake_run(&f);
	fake_give_job(&f); /* 26 octets */
	assert_string_equal(fake_outcomes(&f), "FFF");
	assert_memory_equal(f.enhanced[0], ((uint8_t[]){5, 3, 4}), 3);
	assert_false(dialogue_has(&f, "C: MAIL"));
	f.content = slice_sub(f.content, 0, 25);
	fake_give_job(&f);
	assert_string_equal(fake_outcomes(&f), "DDD");
	fake_done(&f);
}

static void test_8bit_without_8bitmime(void **state)
{
	struct fake f;
	fake_init(&f);
	f.extensions = "PIPELINING";
	f.body = RECORD_BODY_8BITMIME;
	f.content_chunk = 3;
	fake_run(&f);
	fake_give_job(&f); /* declared 8-bit, yet all of it is 7-bit */
	assert_string_equal(fake_outcomes(&f), "DDD");
	assert_false(dialogue_has(&f, "BODY="));
	f.content = SLICE_LIT("Subject: x\r\n\r\ngr\xc3\xbc\xc3\x9f\r\n");
	fake_give_job(&f);
	assert_string_equal(fake_outcomes(&f), "FFF");
	assert_memory_equal(f.enhanced[0], ((uint8_t[]){5, 6, 3}), 3);
	assert_true(fake_idle(&f));
	fake_done(&f);
}

static void test_smtputf8(void **state)
{
	struct fake f;
	fake_init(&f);
	f.smtputf8 = true;
	fake_run(&f);
	fake_give_job(&f);
	assert_string_equal(fake_outcomes(&f), "FFF");
	assert_memory_equal(f.enhanced[0], ((uint8_t[]){5, 6, 7}), 3);
	fake_done(&f);
	fake_init(&f);
	f.smtputf8 = true;
	f.extensions = "SMTPUTF8\n8BITMIME";
	fake_run(&f);
	fake_give_job(&f);
	assert_string_equal(fake_outcomes(&f), "DDD");
	assert_true(dialogue_has(&f, "C: MAIL FROM:<sender@example.net> SMTPUTF8\n"));
	fake_done(&f);
}

static void test_addresses_cannot_inject(void **state)
{
	static const char *const bad[] = {
		"a@b>\r\nRCPT TO:<x@y", "a@b\nDATA", "a>b@c", "a b@c", "\"a@c", "a@b\x7f", ""};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct fake f;
		fake_init(&f);
		fake_run(&f);
		f.rcpts[1].address = slice_str(bad[i]);
		fake_give_job(&f);
		assert_string_equal(fake_outcomes(&f), "FFF");
		assert_false(dialogue_has(&f, "C: MAIL"));
		fake_done(&f);
	}
	struct fake f;
	fake_init(&f);
	fake_run(&f);
	f.rcpts[1].address = slice_str("\"a b> \\\"c\"@example.org");
	fake_give_job(&f);
	assert_string_equal(fake_outcomes(&f), "DDD");
	fake_done(&f);
}

static void test_edits(void **state)
{
	struct fake f;
	struct edits e;
	CLEANUP(buf_done) struct buf encoded;
	buf_init(&encoded, 1000);
	edits_init(&e);
	edits_insert(&e, 0, SLICE_LIT("Received: x\r\n"));
	edits_delete(&e, 0, 12);
	edits_encode(&e, &encoded);
	edits_done(&e);
	fake_init(&f);
	f.edits = buf_slice(&encoded);
	f.content_chunk = 1;
	fake_run(&f);
	fake_give_job(&f);
	assert_string_equal(buf_cstr(&f.message), "Received: x\r\n\r\n.dot\r\nbody\r\n");
	f.edits = SLICE_LIT("\x07nonsense");
	fake_give_job(&f);
	assert_string_equal(fake_outcomes(&f), "LLL");
	fake_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delivers_with_and_without_pipelining),
		cmocka_unit_test(test_dialogue),
		cmocka_unit_test(test_says_only_what_is_offered),
		cmocka_unit_test(test_every_reply_at_every_step),
		cmocka_unit_test(test_nobody_accepted),
		cmocka_unit_test(test_rset_refused),
		cmocka_unit_test(test_mail_refused_yet_data_goes),
		cmocka_unit_test(test_mixed_rejections),
		cmocka_unit_test(test_texts_of_many_lines),
		cmocka_unit_test(test_lost_at_every_octet),
		cmocka_unit_test(test_time_out_everywhere),
		cmocka_unit_test(test_idle_time_out_quits),
		cmocka_unit_test(test_reused_connection_was_dead),
		cmocka_unit_test(test_spoken_to_while_idle),
		cmocka_unit_test(test_reply_injected_ahead),
		cmocka_unit_test(test_refused_in_the_middle_of_content),
		cmocka_unit_test(test_content_cannot_be_read),
		cmocka_unit_test(test_starttls),
		cmocka_unit_test(test_starttls_not_wanted_or_not_offered),
		cmocka_unit_test(test_starttls_refused),
		cmocka_unit_test(test_handshake_fails),
		cmocka_unit_test(test_injection_behind_starttls),
		cmocka_unit_test(test_features_are_forgotten),
		cmocka_unit_test(test_auth_plain),
		cmocka_unit_test(test_auth_fails),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_8bit_without_8bitmime),
		cmocka_unit_test(test_smtputf8),
		cmocka_unit_test(test_addresses_cannot_inject),
		cmocka_unit_test(test_edits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
