/* SASL exchanges in the auth process: verdicts, what they cost, and what slows attackers but no server. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "auth_fixture.h"
#include "relay/auth/limits.h"

#include <stdio.h>
#include <string.h>

#define CLIENT "192.0.2.1"
#define OTHER  "198.51.100.1" /* another network */

static struct auth_fixture f;

static int setup(void **state)
{
	fixture_init(&f);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
