#include "conformance.h"

#include "core/mem.h"

static const struct tls_peer named = {.name = {"relay.example.net", 17}, .require_verified = true};

static void start_tls(struct end *client, struct end *server, const struct tls_peer *peer)
{
	struct fixture *f = client->f;

	assert_int_equal(stream_tls_accept(server->s, f->server_tls, 5000, NULL), ERR_OK);
	assert_int_equal(stream_tls_connect(client->s, f->client_tls, peer, 5000, NULL), ERR_OK);
	assert_int_equal(client->tlss + server->tlss, 0);
}

static void test_both_ways(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	assert_null(stream_tls_info(a.s));
	start_tls(&a, &b, &named);
	say(&a, "queued meanwhile"); /* goes encrypted */
	RUN_UNTIL(f, end_has_tls, &a);
	RUN_UNTIL(f, end_has_tls, &b);
	assert_true(heard(&b, "queued meanwhile"));
	say(&b, "answer");
	assert_true(heard(&a, "answer"));
	assert_true(a.info_complete && b.info_complete);
	assert_true(a.verified);
	assert_false(b.verified); /* nobody asked the client for a certificate */
	const struct tls_info *ia = stream_tls_info(a.s), *ib = stream_tls_info(b.s);
	assert_string_equal(ia->version, "TLSv1.3");
	assert_null(ia->verify_error);
	assert_true(slice_eq_str(ia->peer_subject, "CN=relay.example.net"));
	assert_true(slice_eq_str(ib->sni, "relay.example.net"));
	assert_int_equal(ib->peer_subject.len, 0);
	assert_int_equal(stream_tls_discarded(b.s), 0);
	end_done(&a);
	end_done(&b);
}

static void test_close_notify_is_an_end(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	start_tls(&a, &b, &named);
	RUN_UNTIL(f, end_has_tls, &a);
	RUN_UNTIL(f, end_has_tls, &b);
	say(&a, "QUIT");
	stream_close(a.s, 5000);
	RUN_UNTIL(f, end_has_eof, &b);
	assert_true(heard(&b, "QUIT"));
	stream_close(b.s, 5000);
	RUN_UNTIL(f, end_is_closed, &a);
	RUN_UNTIL(f, end_is_closed, &b);
	assert_int_equal(a.why.code, ERR_CLOSED);
	end_done(&a);
	end_done(&b);
}

/* ---- STARTTLS ---- */

#define COMMAND  "STARTTLS\r\n"
#define INJECTED "MAIL FROM:<evil@example.com>\r\n"

static size_t serve_starttls(struct end *e, struct slice in)
{
	if (e->step == 0 && slice_starts(in, SLICE_LIT(COMMAND))) {
		if (in.len < strlen(COMMAND INJECTED))
			return 0; /* so that the injected octets are there when the handshake begins */
		e->step = 1;
		say(e, "220 go\r\n");
		assert_int_equal(stream_tls_accept(e->s, e->f->server_tls, 5000, NULL), ERR_OK);
		return strlen(COMMAND);
	}
	if (e->step == 0)
		return 0;
	buf_add(&e->in, in);
	return in.len;
}

static size_t ask_starttls(struct end *e, struct slice in)
{
	if (e->step == 0 && slice_eq_str(in, "220 go\r\n")) {
		e->step = 1;
		assert_int_equal(stream_tls_connect(e->s, e->f->client_tls, &named, 5000, NULL), ERR_OK);
		return in.len;
	}
	if (e->step == 0)
		return 0;
	buf_add(&e->in, in);
	return in.len;
}

/* CVE-2011-0411: a command that a stranger put behind STARTTLS must not be executed under TLS. */
static void test_injected_input_is_discarded(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	a.on_read = ask_starttls;
	b.on_read = serve_starttls;
	say(&a, COMMAND INJECTED);
	RUN_UNTIL(f, end_has_tls, &a);
	RUN_UNTIL(f, end_has_tls, &b);
	assert_int_equal(stream_tls_discarded(b.s), strlen(INJECTED));
	say(&a, "EHLO again\r\n");
	assert_true(heard(&b, "EHLO again\r\n"));
	say(&b, "250 ok\r\n");
	assert_true(heard(&a, "250 ok\r\n"));
	end_done(&a);
	end_done(&b);
}

/* What was kept from earlier calls is discarded too. */
static void test_kept_input_is_discarded(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	b.take = 0;
	say(&a, "kept");
	run_for(f, 20);
	b.take = SIZE_MAX;
	start_tls(&a, &b, &named);
	assert_int_equal(stream_tls_discarded(b.s), 4);
	say(&a, "fresh");
	assert_true(heard(&b, "fresh"));
	end_done(&a);
	end_done(&b);
}

static void test_clear_text_in_the_handshake_ends_it(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	assert_int_equal(stream_tls_accept(b.s, f->server_tls, 5000, NULL), ERR_OK);
	say(&a, INJECTED);
	RUN_UNTIL(f, end_is_closed, &b);
	assert_int_equal(b.why.code, ERR_IO);
	assert_non_null(strstr(b.why.text, "TLS"));
	assert_int_equal(b.in.len, 0);
	assert_int_equal(b.tlss, 0);
	end_done(&a);
	end_done(&b);
}

struct raw {
	struct fixture *f;
	int fd;
	struct buf got;
	size_t wanted;
};

static bool raw_has_all(void *ctx)
{
	struct raw *r = ctx;
	char part[4096];

	for (ssize_t n; (n = r->f->loop->ops->read(r->f->loop, r->fd, part, sizeof(part))) > 0;)
		buf_add_mem(&r->got, part, (size_t)n);
	return r->got.len > r->wanted;
}

/* Output before STARTTLS is in the clear, output after it never is, even when the former is stuck. */
static void test_stuck_output_before_the_handshake(void **state)
{
	struct fixture *f = *state;
	struct end a;
	struct raw r = {.f = f, .wanted = 1 << 20};
	char *text = mem_alloc(r.wanted);
	int fds[2];

	memset(text, 'x', r.wanted);
	buf_init(&r.got, 4 << 20);
	end_init(&a, f);
	assert_int_equal(f->loop->ops->pair(f->loop, fds), 0);
	r.fd = fds[1];
	assert_int_equal(stream_from_fd(f->loop, fds[0], &end_events, &a, &a.s, NULL), ERR_OK);
	stream_set_limits(a.s, (struct stream_limits){.write_max = 2 << 20});
	assert_int_equal(stream_write(a.s, slice_of(text, r.wanted)), ERR_OK);
	assert_int_equal(stream_tls_connect(a.s, f->client_tls, &named, 5000, NULL), ERR_OK);
	assert_true(stream_unsent(a.s) > 0); /* else this shows nothing */
	say(&a, "secret secret secret");
	RUN_UNTIL(f, raw_has_all, &r);
	run_for(f, 20);
	raw_has_all(&r);
	for (size_t i = 0; i < r.wanted; i++)
		assert_int_equal(r.got.data[i], 'x');
	assert_int_equal(r.got.data[r.wanted], 0x16); /* a handshake record */
	assert_int_equal(slice_find_slice(buf_slice(&r.got), SLICE_LIT("secret")), SLICE_NPOS);
	f->loop->ops->close(f->loop, r.fd);
	end_done(&a);
	buf_done(&r.got);
	mem_free(text);
}

static void test_handshake_times_out(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	uint64_t before = loop_now(f->loop);
	assert_int_equal(stream_tls_accept(b.s, f->server_tls, 30, NULL), ERR_OK);
	RUN_UNTIL(f, end_is_closed, &b);
	assert_int_equal(b.why.code, ERR_TIMEOUT);
	assert_in_range(loop_now(f->loop) - before, 30, 5000);
	end_done(&a);
	end_done(&b);
}

/* ---- verification ---- */

static void test_wrong_name_ends_the_handshake(void **state)
{
	const struct tls_peer other = {.name = SLICE_LIT("mx.example.org"), .require_verified = true};
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	start_tls(&a, &b, &other);
	RUN_UNTIL(f, end_is_closed, &a);
	RUN_UNTIL(f, end_is_closed, &b);
	assert_int_equal(a.why.code, ERR_PERM);
	assert_non_null(strstr(a.why.text, "ostname mismatch"));
	assert_int_equal(a.tlss, 0);
	end_done(&a);
	end_done(&b);
}

static void verify(struct fixture *f, struct tls_client *client, const struct tls_peer *peer, bool verified,
		   const char *error)
{
	struct end a, b;

	connect_ends(f, &a, &b);
	assert_int_equal(stream_tls_accept(b.s, f->server_tls, 5000, NULL), ERR_OK);
	assert_int_equal(stream_tls_connect(a.s, client, peer, 5000, NULL), ERR_OK);
	RUN_UNTIL(f, end_has_tls, &a);
	assert_int_equal(a.verified, verified);
	const char *e = stream_tls_info(a.s)->verify_error;
	if (error)
		assert_non_null(strstr(e ? e : "", error));
	else
		assert_null(e);
	end_done(&a);
	end_done(&b);
}

static void test_verification_is_reported(void **state)
{
	const struct tls_client_options nobody = {.no_system_store = true};
	const struct tls_peer good = {.name = SLICE_LIT("relay.example.net.")},
			      address = {.name = SLICE_LIT("192.0.2.1"), .require_verified = true},
			      wrong = {.name = SLICE_LIT("mx.example.org")}, none = {.name = SLICE_EMPTY};
	struct fixture *f = *state;
	struct tls_client *trusting_none;

	assert_int_equal(tls_client_new(&nobody, &trusting_none, NULL), ERR_OK);
	verify(f, f->client_tls, &good, true, NULL);
	verify(f, f->client_tls, &address, true, NULL);
	verify(f, f->client_tls, &wrong, false, "ostname mismatch");
	verify(f, f->client_tls, &none, false, NULL);
	verify(f, trusting_none, &good, false, "self");
	verify(f, trusting_none, &none, false, "self");
	tls_client_free(trusting_none);
}

/* ---- streams under TLS ---- */

static bool has_megabyte(void *ctx)
{
	const struct end *e = ctx;
	return e->in.len >= 1 << 20;
}

static size_t read_with_pauses(struct end *e, struct slice in)
{
	size_t n = MIN(in.len, 5000);

	buf_add_mem(&e->in, in.ptr, n);
	stream_pause(e->s);
	stream_resume(e->s);
	return n;
}

/* Reading stops and goes on while OpenSSL holds records of its own: none may be forgotten there. */
static void test_a_megabyte_with_pauses(void **state)
{
	struct fixture *f = *state;
	struct end a, b;
	char *text = mem_alloc(1 << 20);

	for (size_t i = 0; i < 1 << 20; i++)
		text[i] = (char)(i * 13 + (i >> 9));
	connect_ends(f, &a, &b);
	b.on_read = read_with_pauses;
	stream_set_limits(a.s, (struct stream_limits){.write_max = 2 << 20});
	start_tls(&a, &b, &named);
	RUN_UNTIL(f, end_has_tls, &a);
	for (size_t at = 0, n; at < 1 << 20; at += n) { /* records of many sizes */
		n = MIN((size_t)(1 << 20) - at, 1 + at % 20000);
		assert_int_equal(stream_write(a.s, slice_of(text + at, n)), ERR_OK);
	}
	RUN_UNTIL(f, has_megabyte, &b);
	assert_memory_equal(b.in.data, text, 1 << 20);
	mem_free(text);
	end_done(&a);
	end_done(&b);
}

/* Many small records in one segment, more than are taken in one wake. */
static void test_many_records_at_once(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	start_tls(&a, &b, &named);
	RUN_UNTIL(f, end_has_tls, &a);
	RUN_UNTIL(f, end_has_tls, &b);
	for (int i = 0; i < 40; i++) {
		say(&a, "record;");
		stream_flush(a.s);
	}
	run_for(f, 50);
	assert_int_equal(b.in.len, 40 * 7);
	end_done(&a);
	end_done(&b);
}

static void free_in_tls(struct end *e, const char *event)
{
	stream_free(e->s);
	e->s = NULL;
}

static void test_free_inside_on_tls(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	a.on_event = b.on_event = free_in_tls;
	start_tls(&a, &b, &named);
	RUN_UNTIL(f, end_has_tls, &a);
	assert_null(a.s);
	end_done(&a);
	end_done(&b);
}

/* An epoch's context may go before its sessions. */
static void test_server_context_outlives_its_owner(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	start_tls(&a, &b, &named);
	tls_server_unref(f->server_tls);
	f->server_tls = NULL;
	RUN_UNTIL(f, end_has_tls, &b);
	say(&a, "x");
	assert_true(heard(&b, "x"));
	end_done(&a);
	end_done(&b);
}

static void test_no_tls_on_a_closed_stream(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	stream_abort(a.s);
	assert_int_equal(stream_tls_connect(a.s, f->client_tls, &named, 0, NULL), ERR_CLOSED);
	end_done(&a);
	end_done(&b);
}

const struct CMUnitTest tls_tests[] = {
	cmocka_unit_test(test_both_ways),
	cmocka_unit_test(test_close_notify_is_an_end),
	cmocka_unit_test(test_injected_input_is_discarded),
	cmocka_unit_test(test_kept_input_is_discarded),
	cmocka_unit_test(test_clear_text_in_the_handshake_ends_it),
	cmocka_unit_test(test_stuck_output_before_the_handshake),
	cmocka_unit_test(test_handshake_times_out),
	cmocka_unit_test(test_wrong_name_ends_the_handshake),
	cmocka_unit_test(test_verification_is_reported),
	cmocka_unit_test(test_a_megabyte_with_pauses),
	cmocka_unit_test(test_many_records_at_once),
	cmocka_unit_test(test_free_inside_on_tls),
	cmocka_unit_test(test_server_context_outlives_its_owner),
	cmocka_unit_test(test_no_tls_on_a_closed_stream),
};
const size_t tls_tests_count = ARRAY_LEN(tls_tests);
