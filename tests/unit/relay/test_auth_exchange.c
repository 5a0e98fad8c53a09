/* SASL exchanges in the auth process: verdicts, what they cost, and what slows attackers but no server. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "auth_fixture.h"
#include "relay/auth/limits.h"
#include "scram_client.h"

#include <stdio.h>
#include <string.h>

#define CLIENT "192.0.2.1"
#define OTHER  "198.51.100.1" /* another network */

static struct auth_fixture f;

static int setup(void **state)
{
	fixture_init_imported(&f);
	return 0;
}

static int teardown(void **state)
{
	fixture_done(&f);
	return 0;
}

static void test_right_and_wrong(void **state)
{
	assert_int_equal(fixture_plain(&f, CLIENT, "alpha", "secret"), WIRE_AUTH_OK);
	assert_string_equal(f.verdicts[0].server, "alpha");
	assert_int_equal(fixture_plain(&f, CLIENT, "alpha", "secreT"), WIRE_AUTH_BAD);
	assert_int_equal(fixture_plain(&f, CLIENT, "gamma", "secret"), WIRE_AUTH_BAD);
	assert_string_equal(f.verdicts[2].server, "gamma");
	assert_int_equal(fixture_plain(&f, CLIENT, "beta", "secret"), WIRE_AUTH_BAD);
	assert_int_equal(fixture_plain(&f, CLIENT, "Alpha", "secret"), WIRE_AUTH_BAD);
	assert_true(fixture_logged(
		&f, "event=auth.failed server=alpha peer=192.0.2.1 mechanism=PLAIN reason=password\n"));
	assert_true(fixture_logged(&f, "server=gamma peer=192.0.2.1 mechanism=PLAIN reason=unknown\n"));
	assert_true(fixture_logged(&f, "server=beta peer=192.0.2.1 mechanism=PLAIN reason=disabled\n"));
	assert_false(fixture_logged(&f, "secre"));
	assert_int_equal(fixture_counter(&f, "auth_ok"), 1);
	assert_int_equal(fixture_counter(&f, "auth_failed"), 4);
}

static void test_nobody_acts_for_somebody_else(void **state)
{
	uint64_t same = fixture_start(&f, "PLAIN", CLIENT, "alpha\0alpha\0secret", 18);
	uint64_t other = fixture_start(&f, "PLAIN", CLIENT, "beta\0alpha\0secret", 17);

	assert_int_equal(fixture_verdict(&f, same)->outcome, WIRE_AUTH_OK);
	assert_int_equal(fixture_verdict(&f, other)->outcome, WIRE_AUTH_BAD);
	assert_true(fixture_logged(&f, "reason=authzid"));
}

static void test_login_with_challenges(void **state)
{
	uint64_t ref = fixture_start(&f, "LOGIN", CLIENT, NULL, 0);

	fixture_run(&f, 10);
	assert_string_equal(f.challenge, "Username:");
	fixture_respond(&f, ref, "alpha");
	fixture_run(&f, 10);
	assert_string_equal(f.challenge, "Password:");
	fixture_respond(&f, ref, "secret");
	assert_int_equal(fixture_verdict(&f, ref)->outcome, WIRE_AUTH_OK);
	assert_int_equal(f.nchallenges, 2);
}

static void test_what_is_no_exchange(void **state)
{
	uint64_t ref = fixture_start(&f, "CRAM-MD5", CLIENT, NULL, 0);

	assert_int_equal(fixture_verdict(&f, ref)->outcome, WIRE_AUTH_MECHANISM);
	ref = fixture_start(&f, "PLAIN", CLIENT, "alpha", 5);
	assert_int_equal(fixture_verdict(&f, ref)->outcome, WIRE_AUTH_MALFORMED);
	assert_int_equal(fixture_counter(&f, "auth_running"), 0);
}

static void test_good_password_is_computed_once(void **state)
{
	assert_int_equal(fixture_plain(&f, CLIENT, "alpha", "secret"), WIRE_AUTH_OK);
	assert_int_equal(fixture_counter(&f, "auth_recalled"), 0);
	assert_int_equal(fixture_plain(&f, OTHER, "alpha", "secret"), WIRE_AUTH_OK);
	assert_int_equal(fixture_counter(&f, "auth_recalled"), 1);
	assert_int_equal(fixture_plain(&f, CLIENT, "alpha", "secret2"), WIRE_AUTH_BAD);
	fixture_run(&f, RECALL_MS);
	assert_int_equal(fixture_plain(&f, CLIENT, "alpha", "secret"), WIRE_AUTH_OK);
	assert_int_equal(fixture_counter(&f, "auth_recalled"), 1);
}

static uint64_t time_of_failure(const char *name)
{
	uint64_t before = loop_now(f.loop);

	assert_int_equal(fixture_plain(&f, CLIENT, name, "wrong"), WIRE_AUTH_BAD);
	return loop_now(f.loop) - before;
}

/* Known, unknown and disabled names are slowed alike. */
static void test_failures_are_answered_later_and_later(void **state)
{
	static const char *const names[] = {"alpha", "gamma", "beta"};

	sim_set_worker_delay(f.loop, 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		for (unsigned n = 0; n < THROTTLE_FREE; n++)
			assert_true(time_of_failure(names[i]) < THROTTLE_DELAY_MS);
		assert_in_range(time_of_failure(names[i]), THROTTLE_DELAY_MS, 2 * THROTTLE_DELAY_MS - 1);
		assert_in_range(time_of_failure(names[i]), 2 * THROTTLE_DELAY_MS, 4 * THROTTLE_DELAY_MS - 1);
		fixture_run(&f, 60ULL * 60 * 1000); /* all is forgotten */
	}
}

static void test_network_is_refused_but_a_known_password_passes(void **state)
{
	assert_int_equal(fixture_plain(&f, CLIENT, "alpha", "secret"), WIRE_AUTH_OK);
	/* All at once, as a botnet does: so the delays do not slow this test. */
	for (unsigned i = 0; i < THROTTLE_REFUSE + 1; i++)
		fixture_start(&f, "PLAIN", "192.0.2.77", "\0nobody\0wrong", 13);
	fixture_run(&f, 10000);
	assert_int_equal(fixture_plain(&f, "192.0.2.99", "gamma", "x"), WIRE_AUTH_LATER);
	assert_int_equal(fixture_plain(&f, "192.0.2.99", "alpha", "wrong"), WIRE_AUTH_LATER);
	assert_int_equal(fixture_plain(&f, "192.0.2.99", "alpha", "secret"), WIRE_AUTH_OK);
	assert_int_equal(fixture_plain(&f, OTHER, "alpha", "wrong"), WIRE_AUTH_BAD);
}

/* Whoever fails under a server's name delays that name's failures, never its success. */
static void test_no_name_can_be_locked_out(void **state)
{
	for (unsigned i = 0; i < 2 * THROTTLE_REFUSE; i++) {
		char client[32];

		snprintf(client, sizeof(client), "10.%u.1.1", i);
		fixture_start(&f, "PLAIN", client, "\0alpha\0wrong", 12);
	}
	fixture_run(&f, 20000);
	assert_int_equal(fixture_plain(&f, CLIENT, "alpha", "secret"), WIRE_AUTH_OK);
}

static void test_cancel_and_close_leave_nothing(void **state)
{
	uint64_t waiting = fixture_start(&f, "LOGIN", CLIENT, NULL, 0), checking;

	fixture_run(&f, 10);
	fixture_cancel(&f, waiting);
	fixture_run(&f, 10);
	assert_int_equal(fixture_counter(&f, "auth_running"), 0);
	sim_set_worker_delay(f.loop, 1000);
	checking = fixture_start(&f, "PLAIN", CLIENT, "\0alpha\0wrong", 12);
	fixture_run(&f, 10);
	fixture_cancel(&f, checking);
	fixture_run(&f, 10);
	assert_int_equal(fixture_counter(&f, "auth_running"), 1); /* the worker has it */
	fixture_run(&f, 2000);
	assert_int_equal(fixture_counter(&f, "auth_running"), 0);
	assert_int_equal(fixture_counter(&f, "auth_failed"), 1); /* hanging up does not save the failure */
	assert_int_equal(f.nverdicts, 0);
}

static void test_closing_the_channel_ends_its_exchanges(void **state)
{
	sim_set_worker_delay(f.loop, 1000);
	fixture_start(&f, "LOGIN", CLIENT, NULL, 0);
	fixture_start(&f, "PLAIN", CLIENT, "\0alpha\0secret", 13);
	fixture_run(&f, 10);
	assert_int_equal(fixture_counter(&f, "auth_running"), 2);
	ipc_free(f.smtpd);
	f.smtpd = NULL;
	fixture_run(&f, 10);
	assert_int_equal(fixture_counter(&f, "auth_running"), 1);
	fixture_run(&f, 2000);
	assert_int_equal(fixture_counter(&f, "auth_running"), 0);
}

static void test_a_silent_client_is_forgotten(void **state)
{
	uint64_t ref = fixture_start(&f, "LOGIN", CLIENT, NULL, 0);

	fixture_run(&f, AUTH_EXCHANGE_MS + 10);
	assert_int_equal(fixture_verdict(&f, ref)->outcome, WIRE_AUTH_LATER);
	/* Its late answer finds nothing and harms nothing. */
	fixture_respond(&f, ref, "alpha");
	fixture_run(&f, 10);
	assert_non_null(f.smtpd);
}

static void test_a_broken_frame_closes_the_channel(void **state)
{
	assert_int_equal(ipc_send(f.smtpd, WIRE_AUTH_START, SLICE_LIT("x"), NULL, 0), ERR_OK);
	fixture_run(&f, 10);
	assert_null(f.smtpd);
	assert_true(fixture_logged(&f, "event=channel.broken peer=smtpd slot=0"));
}

static void test_an_answer_nobody_asked_for_closes_the_channel(void **state)
{
	uint64_t ref;

	sim_set_worker_delay(f.loop, 1000);
	ref = fixture_start(&f, "PLAIN", CLIENT, "\0alpha\0secret", 13);
	fixture_respond(&f, ref, "again");
	fixture_run(&f, 10);
	assert_null(f.smtpd);
	fixture_run(&f, 2000);
	assert_int_equal(fixture_counter(&f, "auth_running"), 0);
}

static void test_exchanges_are_bounded(void **state)
{
	uint64_t ref = 0;

	for (unsigned i = 0; i < AUTH_EXCHANGES_MAX; i++)
		fixture_start(&f, "LOGIN", CLIENT, NULL, 0);
	ref = fixture_start(&f, "LOGIN", CLIENT, NULL, 0);
	assert_int_equal(fixture_verdict(&f, ref)->outcome, WIRE_AUTH_LATER);
	assert_int_equal(fixture_counter(&f, "auth_running"), AUTH_EXCHANGES_MAX);
}

static void test_drain_waits_for_what_runs(void **state)
{
	uint64_t ref = fixture_start(&f, "LOGIN", CLIENT, NULL, 0), late;

	fixture_run(&f, 10);
	auth_role.drain(f.auth);
	assert_false(f.drained);
	late = fixture_start(&f, "LOGIN", CLIENT, NULL, 0);
	assert_int_equal(fixture_verdict(&f, late)->outcome, WIRE_AUTH_LATER);
	fixture_respond(&f, ref, "alpha");
	fixture_run(&f, 10);
	fixture_respond(&f, ref, "secret");
	assert_int_equal(fixture_verdict(&f, ref)->outcome, WIRE_AUTH_OK);
	assert_true(f.drained);
}

static void test_stopping_in_the_middle(void **state)
{
	sim_set_worker_delay(f.loop, 1000);
	fixture_start(&f, "PLAIN", CLIENT, "\0alpha\0wrong", 12);
	fixture_start(&f, "LOGIN", CLIENT, NULL, 0);
	fixture_run(&f, 10);
	/* teardown stops it: nothing may be left, and nothing may touch what is gone */
}

/* ---- SCRAM, EXTERNAL, imported hashes ---- */

static void wait_challenge(unsigned before)
{
	for (unsigned i = 0; i < 1000 && f.nchallenges == before; i++)
		loop_turn(f.loop, 10);
	assert_true(f.nchallenges > before);
}

/* A whole exchange without binding; the reference of its verdict. */
static uint64_t scram(const char *client, const char *name, const char *password)
{
	struct buf first, final;
	unsigned before = f.nchallenges;
	uint64_t ref;

	buf_init(&first, 512);
	buf_init(&final, 1024);
	buf_printf(&first, "n,,n=%s,r=abcdef", name);
	ref = fixture_start(&f, "SCRAM-SHA-256", client, first.data, first.len);
	wait_challenge(before);
	before = f.nchallenges;
	scram_client_final(slice_from(buf_slice(&first), 3), slice_str(f.challenge), password,
			   SLICE_LIT("n,,"), &final);
	fixture_respond(&f, ref, buf_cstr(&final));
	fixture_run(&f, 1);
	if (f.nchallenges > before) {
		assert_memory_equal(f.challenge, "v=", 2);
		fixture_respond(&f, ref, "");
	}
	buf_done(&first);
	buf_done(&final);
	return ref;
}

static void test_scram(void **state)
{
	const struct fixture_verdict *v = fixture_verdict(&f, scram(CLIENT, "alpha", "secret"));

	assert_int_equal(v->outcome, WIRE_AUTH_OK);
	assert_string_equal(v->server, "alpha");
	assert_int_equal(fixture_verdict(&f, scram(CLIENT, "alpha", "secreT"))->outcome, WIRE_AUTH_BAD);
	assert_int_equal(fixture_verdict(&f, scram(CLIENT, "gamma", "secret"))->outcome, WIRE_AUTH_BAD);
	assert_int_equal(fixture_verdict(&f, scram(CLIENT, "beta", "secret"))->outcome, WIRE_AUTH_BAD);
	assert_int_equal(fixture_verdict(&f, scram(CLIENT, "panel", "secret"))->outcome, WIRE_AUTH_BAD);
	assert_true(
		fixture_logged(&f, "server=gamma peer=192.0.2.1 mechanism=SCRAM-SHA-256 reason=unknown\n"));
	assert_true(
		fixture_logged(&f, "server=beta peer=192.0.2.1 mechanism=SCRAM-SHA-256 reason=disabled\n"));
	assert_int_equal(fixture_counter(&f, "auth_failed"), 4);
}

/* The salt of a name that does not exist is always the same, as a real one is: also after a restart. */
static void test_made_up_salts(void **state)
{
	char salts[3][512];
	static const char *const names[] = {"gamma", "gamma", "delta"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (i == 1)
			fixture_restart(&f, 7);
		(void)scram(OTHER, names[i], "x");
		const char *salt = strstr(f.challenge, ",s=");
		assert_non_null(salt);
		strncpy(salts[i], salt, sizeof(salts[i]) - 1);
		salts[i][sizeof(salts[i]) - 1] = '\0';
	}
	assert_string_equal(salts[0], salts[1]);
	assert_string_not_equal(salts[0], salts[2]);
}

static void test_plus_needs_a_binding(void **state)
{
	const char first[] = "p=tls-exporter,,n=alpha,r=abc";
	uint64_t ref = fixture_start(&f, "SCRAM-SHA-256-PLUS", CLIENT, first, sizeof(first) - 1);
	struct buf final;

	assert_int_equal(fixture_verdict(&f, ref)->outcome, WIRE_AUTH_MECHANISM);
	f.binding = SLICE_LIT("0123456789abcdef0123456789abcdef");
	ref = fixture_start(&f, "SCRAM-SHA-256-PLUS", CLIENT, first, sizeof(first) - 1);
	wait_challenge(0);
	buf_init(&final, 1024);
	scram_client_final(SLICE_LIT("n=alpha,r=abc"), slice_str(f.challenge), "secret",
			   SLICE_LIT("p=tls-exporter,,0123456789abcdef0123456789abcdef"), &final);
	fixture_respond(&f, ref, buf_cstr(&final));
	fixture_respond(&f, ref, "");
	assert_int_equal(fixture_verdict(&f, ref)->outcome, WIRE_AUTH_OK);
	buf_done(&final);
}

static void test_external(void **state)
{
	uint64_t none = fixture_start(&f, "EXTERNAL", CLIENT, "", 0), ok, other, unknown, off;

	f.external = SLICE_LIT("alpha");
	ok = fixture_start(&f, "EXTERNAL", CLIENT, "", 0);
	other = fixture_start(&f, "EXTERNAL", CLIENT, "panel", 5);
	f.external = SLICE_LIT("gamma");
	unknown = fixture_start(&f, "EXTERNAL", CLIENT, "", 0);
	f.external = SLICE_LIT("beta");
	off = fixture_start(&f, "EXTERNAL", CLIENT, "beta", 4);
	assert_int_equal(fixture_verdict(&f, none)->outcome, WIRE_AUTH_MECHANISM);
	assert_int_equal(fixture_verdict(&f, ok)->outcome, WIRE_AUTH_OK);
	assert_string_equal(fixture_verdict(&f, ok)->server, "alpha");
	assert_int_equal(fixture_verdict(&f, other)->outcome, WIRE_AUTH_BAD);
	assert_int_equal(fixture_verdict(&f, unknown)->outcome, WIRE_AUTH_BAD);
	assert_int_equal(fixture_verdict(&f, off)->outcome, WIRE_AUTH_BAD);
}

static void test_imported_hash(void **state)
{
	assert_int_equal(fixture_plain(&f, CLIENT, "panel", "secret"), WIRE_AUTH_OK);
	assert_int_equal(fixture_plain(&f, CLIENT, "panel", "secreT"), WIRE_AUTH_BAD);
	assert_int_equal(fixture_plain(&f, CLIENT, "panel", "secret"), WIRE_AUTH_OK);
	assert_int_equal(fixture_counter(&f, "auth_recalled"), 1);
}

/* However long its hash takes: whether a name exists does not show in the time of a failure. */
static void test_failures_take_the_same_time(void **state)
{
	uint64_t took[3];
	static const char *const names[] = {"panel", "alpha", "gamma"};

	sim_set_worker_delay(f.loop, 700); /* what the hash costs */
	(void)fixture_plain(&f, OTHER, "panel", "warm-up");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		uint64_t began = loop_now(f.loop);
		sim_set_worker_delay(f.loop, i == 0 ? 700 : 3);
		assert_int_equal(fixture_plain(&f, CLIENT, names[i], "wrong"), WIRE_AUTH_BAD);
		took[i] = loop_now(f.loop) - began;
	}
	assert_true(took[1] + 50 >= took[0] && took[1] <= took[0] + 50);
	assert_true(took[2] + 50 >= took[0] && took[2] <= took[0] + 50);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_right_and_wrong),
		TEST(test_nobody_acts_for_somebody_else),
		TEST(test_login_with_challenges),
		TEST(test_what_is_no_exchange),
		TEST(test_good_password_is_computed_once),
		TEST(test_failures_are_answered_later_and_later),
		TEST(test_network_is_refused_but_a_known_password_passes),
		TEST(test_no_name_can_be_locked_out),
		TEST(test_cancel_and_close_leave_nothing),
		TEST(test_closing_the_channel_ends_its_exchanges),
		TEST(test_a_silent_client_is_forgotten),
		TEST(test_a_broken_frame_closes_the_channel),
		TEST(test_an_answer_nobody_asked_for_closes_the_channel),
		TEST(test_exchanges_are_bounded),
		TEST(test_drain_waits_for_what_runs),
		TEST(test_stopping_in_the_middle),
		TEST(test_scram),
		TEST(test_made_up_salts),
		TEST(test_plus_needs_a_binding),
		TEST(test_external),
		TEST(test_imported_hash),
		TEST(test_failures_take_the_same_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
