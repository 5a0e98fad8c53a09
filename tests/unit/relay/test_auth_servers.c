/* The `tidegate server` verbs: what they answer, that a change is in force at once and survives, and that one which
 * cannot be saved is undone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "auth_fixture.h"
#include "auth/credential.h"
#include "ctl/control.h"

#include <errno.h>
#include <string.h>

#define CLIENT "192.0.2.1"

static struct auth_fixture f;

/* One control connection and what came back. */
struct client {
	struct stream *stream;
	struct buf answer; /* whole frames */
	bool closed;
};

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

static size_t on_read(void *ctx, struct slice in)
{
	struct client *c = ctx;

	buf_add(&c->answer, in);
	return in.len;
}

static void on_close(void *ctx, const struct diag *why)
{
	((struct client *)ctx)->closed = true;
}

static const char *hash; /* argument of CTL_SERVER_IMPORT */

static void ask(struct client *c, enum ctl_verb verb, const char *name)
{
	static const struct stream_events events = {.on_read = on_read, .on_close = on_close};
	struct ctl_fields fields;
	struct buf request;
	int fds[2];

	*c = (struct client){0};
	buf_init(&c->answer, 4 << 20);
	ctl_fields_init(&fields);
	if (name)
		ctl_add_str(&fields, "name", name);
	if (hash)
		ctl_add_str(&fields, "hash", hash);
	buf_init(&request, CTL_REQUEST_MAX);
	assert_int_equal(ctl_encode_request(&request, verb, &fields), ERR_OK);
	assert_int_equal(ipc_pair(f.loop, fds, NULL), ERR_OK);
	assert_int_equal(stream_from_fd(f.loop, fds[1], &events, c, &c->stream, NULL), ERR_OK);
	auth_role.control(f.auth, fds[0], buf_slice(&request));
	buf_done(&request);
	ctl_fields_done(&fields);
}

static bool is_closed(void *ctx)
{
	return ((struct client *)ctx)->closed;
}

static void client_done(struct client *c)
{
	stream_free(c->stream);
	buf_done(&c->answer);
}

/* Counts the rows, copies one text field of the last one, and returns the status of the end. */
static enum err read_answer(struct client *c, unsigned *ret_rows, const char *key, char *text, size_t size)
{
	struct slice in = buf_slice(&c->answer);

	*ret_rows = 0;
	while (in.len > 0) {
		struct ctl_frame frame;
		struct slice value;
		size_t used;

		assert_int_equal(ctl_decode(in, CTL_FRAME_MAX, &frame, &used, NULL), ERR_OK);
		in = slice_from(in, used);
		if (frame.type == CTL_END) {
			assert_int_equal(in.len, 0);
			return frame.status;
		}
		++*ret_rows;
		value = ctl_get_text(&frame.fields, key, SLICE_EMPTY);
		assert_true(value.len < size);
		memset(text, 0, size);
		memcpy(text, value.ptr, value.len);
	}
	fail_msg("the answer has no end");
	return ERR_CORRUPT;
}

/* One verb from question to answer; *password (64 octets) gets the new password if there is one. */
static enum err verb(enum ctl_verb v, const char *name, char *password)
{
	struct client c;
	unsigned rows;
	enum err e;

	ask(&c, v, name);
	assert_true(sim_run_until(f.loop, is_closed, &c, 60000));
	e = read_answer(&c, &rows, "password", password, 64);
	assert_int_equal(rows, e == ERR_OK && (v == CTL_SERVER_ADD || v == CTL_SERVER_ROTATE) ? 1 : 0);
	client_done(&c);
	return e;
}

static enum wire_auth_outcome login(const char *name, const char *password)
{
	return fixture_plain(&f, CLIENT, name, password);
}

static void test_added_server_may_log_in_at_once(void **state)
{
	char password[64];

	assert_int_equal(verb(CTL_SERVER_ADD, "houston", password), ERR_OK);
	assert_int_equal(strlen(password), 31);
	assert_int_equal(login("houston", password), WIRE_AUTH_OK);
	assert_true(fixture_logged(&f, "event=server.added server=houston"));
	assert_false(fixture_logged(&f, password));
	for (uint64_t seed = 0; seed < 10; seed++) {
		fixture_restart(&f, seed);
		assert_int_equal(login("houston", password), WIRE_AUTH_OK);
	}
}

static void test_two_servers_get_two_passwords(void **state)
{
	char one[64], two[64];

	assert_int_equal(verb(CTL_SERVER_ADD, "one", one), ERR_OK);
	assert_int_equal(verb(CTL_SERVER_ADD, "two", two), ERR_OK);
	assert_string_not_equal(one, two);
	assert_int_equal(login("one", two), WIRE_AUTH_BAD);
}

static void test_rotate_replaces_the_password(void **state)
{
	char password[64];

	assert_int_equal(login("alpha", "secret"), WIRE_AUTH_OK); /* is remembered now, which must not help */
	assert_int_equal(verb(CTL_SERVER_ROTATE, "alpha", password), ERR_OK);
	assert_int_equal(login("alpha", "secret"), WIRE_AUTH_BAD);
	assert_int_equal(login("alpha", password), WIRE_AUTH_OK);
	fixture_restart(&f, 1);
	assert_int_equal(login("alpha", password), WIRE_AUTH_OK);
}

static void test_disable_enable_remove(void **state)
{
	char none[64];

	assert_int_equal(login("alpha", "secret"), WIRE_AUTH_OK);
	assert_int_equal(verb(CTL_SERVER_DISABLE, "alpha", none), ERR_OK);
	assert_int_equal(login("alpha", "secret"), WIRE_AUTH_BAD);
	assert_int_equal(verb(CTL_SERVER_ENABLE, "alpha", none), ERR_OK);
	assert_int_equal(login("alpha", "secret"), WIRE_AUTH_OK);
	assert_int_equal(verb(CTL_SERVER_REMOVE, "alpha", none), ERR_OK);
	assert_int_equal(login("alpha", "secret"), WIRE_AUTH_BAD);
	fixture_restart(&f, 1);
	assert_int_equal(login("alpha", "secret"), WIRE_AUTH_BAD);
	assert_int_equal(fixture_counter(&f, "servers"), 1);
}

static void test_import(void **state)
{
	char none[64];

	hash = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"; /* "secret" */
	assert_int_equal(verb(CTL_SERVER_IMPORT, "panel", none), ERR_OK);
	assert_int_equal(login("panel", "secret"), WIRE_AUTH_OK);
	assert_int_equal(verb(CTL_SERVER_ROTATE, "panel", none), ERR_OK);
	assert_int_equal(login("panel", "secret"), WIRE_AUTH_BAD);
	assert_int_equal(verb(CTL_SERVER_IMPORT, "panel", none), ERR_OK); /* replaces */
	fixture_restart(&f, 1);
	assert_int_equal(login("panel", "secret"), WIRE_AUTH_OK);
	hash = "$1$weak$hash";
	assert_int_equal(verb(CTL_SERVER_IMPORT, "panel", none), ERR_UNSUPPORTED);
	assert_int_equal(login("panel", "secret"), WIRE_AUTH_OK);
	hash = NULL;
	assert_int_equal(verb(CTL_SERVER_IMPORT, "other", none), ERR_UNSUPPORTED);
	assert_int_equal(fixture_counter(&f, "servers"), 3);
}

static void test_what_cannot_be_is_refused_in_words(void **state)
{
	char none[64];

	assert_int_equal(verb(CTL_SERVER_ADD, "alpha", none), ERR_EXISTS);
	assert_int_equal(verb(CTL_SERVER_ADD, "Not A Name", none), ERR_RANGE);
	assert_int_equal(verb(CTL_SERVER_ADD, NULL, none), ERR_RANGE);
	assert_int_equal(verb(CTL_SERVER_ROTATE, "gamma", none), ERR_NOTFOUND);
	assert_int_equal(verb(CTL_SERVER_REMOVE, "gamma", none), ERR_NOTFOUND);
	assert_int_equal(verb(CTL_QUEUE_STATS, NULL, none), ERR_UNSUPPORTED);
}

static void test_a_change_that_cannot_be_saved_is_undone(void **state)
{
	static const enum ctl_verb verbs[] = {CTL_SERVER_ROTATE, CTL_SERVER_DISABLE, CTL_SERVER_REMOVE};
	char none[64];

	sim_disk_fail(f.disk, SIM_WRITE, 1, ENOSPC, true);
	assert_int_equal(verb(CTL_SERVER_ADD, "houston", none), ERR_NOSPACE);
	assert_int_equal(fixture_counter(&f, "servers"), 2);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		assert_int_equal(verb(verbs[i], "alpha", none), ERR_NOSPACE);
		assert_int_equal(login("alpha", "secret"), WIRE_AUTH_OK);
	}
	assert_true(fixture_logged(&f, "event=server.unchanged server=alpha verb=server.rotate"));
	sim_disk_fail(f.disk, 0, 0, 0, false);
	assert_int_equal(verb(CTL_SERVER_REMOVE, "alpha", none), ERR_OK);
}

static void test_changes_are_made_one_after_the_other(void **state)
{
	struct client clients[5];
	char password[64], text[64];
	unsigned rows, ok = 0;

	sim_set_worker_delay(f.loop, 100);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		ask(&clients[i], i == 2 ? CTL_SERVER_REMOVE : CTL_SERVER_ADD, "houston");
	for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
		assert_true(sim_run_until(f.loop, is_closed, &clients[i], 60000));
		if (read_answer(&clients[i], &rows, "password", text, sizeof(text)) == ERR_OK) {
			ok++;
			if (rows)
				memcpy(password, text, sizeof(password));
		}
		client_done(&clients[i]);
	}
	/* add, add (exists), remove, add, add (exists): in the order of their arrival */
	assert_int_equal(ok, 3);
	assert_int_equal(login("houston", password), WIRE_AUTH_OK);
}

static void test_a_client_that_goes_away_stops_nothing(void **state)
{
	struct client c;

	sim_set_worker_delay(f.loop, 100);
	ask(&c, CTL_SERVER_ADD, "houston");
	fixture_run(&f, 50);
	client_done(&c);
	fixture_run(&f, 1000);
	assert_int_equal(fixture_counter(&f, "servers"), 3);
}

static void test_listing(void **state)
{
	struct client c;
	char last[64];
	unsigned rows;

	ask(&c, CTL_SERVER_LIST, NULL);
	assert_true(sim_run_until(f.loop, is_closed, &c, 60000));
	assert_int_equal(read_answer(&c, &rows, "name", last, sizeof(last)), ERR_OK);
	assert_int_equal(rows, 2);
	assert_string_equal(last, "beta");
	client_done(&c);
}

static void test_listing_says_who_was_here(void **state)
{
	struct client c;
	char address[64];
	unsigned rows;

	assert_int_equal(verb(CTL_SERVER_REMOVE, "beta", address), ERR_OK);
	assert_int_equal(login("alpha", "secret"), WIRE_AUTH_OK);
	ask(&c, CTL_SERVER_LIST, NULL);
	assert_true(sim_run_until(f.loop, is_closed, &c, 60000));
	assert_int_equal(read_answer(&c, &rows, "last_address", address, sizeof(address)), ERR_OK);
	assert_int_equal(rows, 1);
	assert_string_equal(address, CLIENT);
	client_done(&c);
}

static void test_drain_waits_for_a_change(void **state)
{
	struct client c, late;
	char none[64];
	unsigned rows;

	sim_set_worker_delay(f.loop, 100);
	ask(&c, CTL_SERVER_ADD, "houston");
	fixture_run(&f, 50);
	auth_role.drain(f.auth);
	assert_false(f.drained);
	ask(&late, CTL_SERVER_ADD, "late");
	fixture_run(&f, 1000);
	assert_true(f.drained);
	assert_int_equal(read_answer(&c, &rows, "password", none, sizeof(none)), ERR_OK);
	assert_int_equal(rows, 1);
	assert_int_equal(read_answer(&late, &rows, "password", none, sizeof(none)), ERR_BUSY);
	client_done(&c);
	client_done(&late);
}

static void test_stopping_with_changes_in_line(void **state)
{
	struct client a, b;

	sim_set_worker_delay(f.loop, 100);
	ask(&a, CTL_SERVER_ADD, "one");
	ask(&b, CTL_SERVER_ADD, "two");
	fixture_run(&f, 50);
	fixture_restart(&f, 1);
	/* The first was under way and is whole, or was not made; the second was never begun. */
	assert_in_range(fixture_counter(&f, "servers"), 2, 3);
	client_done(&a);
	client_done(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_added_server_may_log_in_at_once),
		TEST(test_two_servers_get_two_passwords),
		TEST(test_rotate_replaces_the_password),
		TEST(test_disable_enable_remove),
		TEST(test_import),
		TEST(test_what_cannot_be_is_refused_in_words),
		TEST(test_a_change_that_cannot_be_saved_is_undone),
		TEST(test_changes_are_made_one_after_the_other),
		TEST(test_a_client_that_goes_away_stops_nothing),
		TEST(test_listing),
		TEST(test_listing_says_who_was_here),
		TEST(test_drain_waits_for_a_change),
		TEST(test_stopping_with_changes_in_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
