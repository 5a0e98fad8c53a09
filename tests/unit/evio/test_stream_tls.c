/* What TLS costs, which names may be asked for, and tickets across processes. Handshakes are the conformance suite's. */
#include "conformance.h"

#include "counting.h"
#include "evio/stream_priv.h"
#include "tls_fixture.h"

#include <malloc.h>
#include <openssl/ssl.h>

#define IDLE            50
#define IDLE_SERVER_MAX (20 * 1024) /* octets of one end */
#define IDLE_CLIENT_MAX (48 * 1024) /* the peer's certificates, and what OpenSSL keeps of reading a ticket */

static const struct backend epoll = {"epoll", false, 0}, simulated = {"simulated", true, 0};
static const struct tls_peer named = {.name = {"relay.example.net", 17}, .require_verified = true};

static void tls_ends(struct fixture *f, struct end *a, struct end *b)
{
	connect_ends(f, a, b);
	assert_int_equal(stream_tls_accept(b->s, f->server_tls, 0, NULL), ERR_OK);
	assert_int_equal(stream_tls_connect(a->s, f->client_tls, &named, 0, NULL), ERR_OK);
	RUN_UNTIL(f, end_has_tls, a);
	RUN_UNTIL(f, end_has_tls, b);
	say(a, "x");
	assert_true(heard(b, "x"));
	say(b, "y");
	assert_true(heard(a, "y"));
}

/* Octets that each of these ends held. (Under a sanitizer the heap does not say: 0.) */
static size_t give_back(struct end *ends)
{
	size_t before = mallinfo2().uordblks;

	for (unsigned i = 0; i < IDLE; i++)
		end_done(&ends[i]);
	return (before - mallinfo2().uordblks) / IDLE;
}

static void test_idle_connections_are_small(void **state)
{
	struct fixture *f = *state;
	struct end a[IDLE], b[IDLE];

	for (unsigned i = 0; i < IDLE; i++)
		tls_ends(f, &a[i], &b[i]);
	size_t server = give_back(b), client = give_back(a);
	print_message("an idle end takes %zu octets at the server, %zu at the client\n", server, client);
	assert_true(server < IDLE_SERVER_MAX);
	assert_true(client < IDLE_CLIENT_MAX);
}

static size_t ask_again(struct end *e, struct slice in)
{
	e->step++;
	if (e->step < 10)
		say(e, "NOOP\r\n");
	return in.len;
}

static size_t answer(struct end *e, struct slice in)
{
	say(e, "250 ok\r\n");
	return in.len;
}

static bool ten_answers(void *ctx)
{
	const struct end *e = ctx;
	return e->step == 10;
}

static void test_a_record_costs_one_read(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	tls_ends(f, &a, &b);
	run_for(f, 5);
	a.on_read = ask_again;
	b.on_read = answer;
	struct op_counts *n = counting_start(f->loop);
	say(&a, "NOOP\r\n");
	RUN_UNTIL(f, ten_answers, &a);
	assert_int_equal(n->reads, 20);
	assert_int_equal(n->writes, 20);
	assert_int_equal(n->updates, 0);
	end_done(&a);
	end_done(&b);
}

static void test_names_that_cannot_be_verified(void **state)
{
	static const struct tls_peer wrong[] = {
		{.name = {"", 0}, .require_verified = true},
		{.name = {".", 1}},
		{.name = {"a\0b", 3}},
		{.name = {"a\nb", 3}},
	};
	struct fixture *f = *state;
	struct end a, b;
	char longer[TLS_NAME_MAX + 1];

	connect_ends(f, &a, &b);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_int_equal(stream_tls_connect(a.s, f->client_tls, &wrong[i], 0, NULL), ERR_RANGE);
	memset(longer, 'a', sizeof(longer));
	const struct tls_peer too_long = {.name = {longer, sizeof(longer)}};
	assert_int_equal(stream_tls_connect(a.s, f->client_tls, &too_long, 0, NULL), ERR_RANGE);
	say(&a, "still in the clear"); /* a refusal leaves the stream as it was */
	assert_true(heard(&b, "still in the clear"));
	end_done(&a);
	end_done(&b);
}

/* ---- tickets: a plain OpenSSL client against a stream ---- */

struct plain {
	struct fixture *f;
	SSL *ssl;
	bool ok, read;
};

static bool plain_is_through(void *ctx)
{
	struct plain *p = ctx;
	char c;

	if (!p->ok && SSL_do_handshake(p->ssl) == 1)
		p->ok = true;
	/* The ticket comes with what is read after the handshake. */
	p->read = p->read || (p->ok && SSL_read(p->ssl, &c, 1) == 1);
	return p->read;
}

static SSL_SESSION *plain_handshake(struct fixture *f, struct tls_server *server, int version,
				    SSL_SESSION *session, bool *ret_resumed)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct plain p = {.f = f, .ssl = SSL_new(ctx)};
	struct end b;
	int fds[2];

	SSL_set_max_proto_version(p.ssl, version);
	assert_int_equal(f->loop->ops->pair(f->loop, fds), 0);
	end_init(&b, f);
	assert_int_equal(stream_from_fd(f->loop, fds[1], &end_events, &b, &b.s, NULL), ERR_OK);
	assert_int_equal(stream_tls_accept(b.s, server, 0, NULL), ERR_OK);
	say(&b, "x");
	SSL_set_fd(p.ssl, fds[0]);
	SSL_set_connect_state(p.ssl);
	if (session)
		SSL_set_session(p.ssl, session);
	RUN_UNTIL(f, plain_is_through, &p);
	*ret_resumed = SSL_session_reused(p.ssl) && stream_tls_info(b.s)->resumed;
	SSL_SESSION *ticket = SSL_get1_session(p.ssl);
	SSL_shutdown(p.ssl);
	SSL_free(p.ssl);
	f->loop->ops->close(f->loop, fds[0]);
	end_done(&b);
	SSL_CTX_free(ctx);
	return ticket;
}

static void check_tickets(struct fixture *f, int version)
{
	struct tls_server *same = fixture_server(), *other;
	char key[TLS_TICKET_KEY] = "another key";
	const struct tls_server_options o = {.certificate_pem = buf_slice(&fixture_identity()->certificate),
					     .key_pem = buf_slice(&fixture_identity()->key),
					     .ticket_key = {key, sizeof(key)}};
	bool resumed;

	assert_int_equal(tls_server_new(&o, &other, NULL), ERR_OK);
	SSL_SESSION *s = plain_handshake(f, f->server_tls, version, NULL, &resumed);
	assert_false(resumed);
	SSL_SESSION *t = plain_handshake(f, same, version, s, &resumed); /* as another process would */
	assert_true(resumed);
	SSL_SESSION_free(s);
	s = plain_handshake(f, other, version, t, &resumed);
	assert_false(resumed);
	SSL_SESSION_free(s);
	SSL_SESSION_free(t);
	tls_server_unref(same);
	tls_server_unref(other);
}

static void test_tickets_are_shared_by_their_key(void **state)
{
	check_tickets(*state, TLS1_3_VERSION);
	check_tickets(*state, TLS1_2_VERSION);
}

static void test_old_versions_are_refused(void **state)
{
	struct fixture *f = *state;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct plain p = {.f = f, .ssl = SSL_new(ctx)};
	struct end b;
	int fds[2];

	SSL_set_security_level(p.ssl, 0);
	SSL_set_min_proto_version(p.ssl, TLS1_VERSION);
	SSL_set_max_proto_version(p.ssl, TLS1_1_VERSION);
	assert_int_equal(f->loop->ops->pair(f->loop, fds), 0);
	end_init(&b, f);
	assert_int_equal(stream_from_fd(f->loop, fds[1], &end_events, &b, &b.s, NULL), ERR_OK);
	assert_int_equal(stream_tls_accept(b.s, f->server_tls, 0, NULL), ERR_OK);
	SSL_set_fd(p.ssl, fds[0]);
	assert_int_equal(SSL_connect(p.ssl), -1); /* has spoken first */
	RUN_UNTIL(f, end_is_closed, &b);
	assert_int_equal(b.why.code, ERR_IO);
	assert_non_null(strstr(b.why.text, "unsupported protocol"));
	SSL_free(p.ssl);
	SSL_CTX_free(ctx);
	f->loop->ops->close(f->loop, fds[0]);
	end_done(&b);
}

#define OVER(back_end, name)                                                                                 \
	{                                                                                                    \
#name, name, suite_setup, suite_teardown, (void *)&(back_end)                                \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVER(simulated, test_idle_connections_are_small),
		OVER(epoll, test_a_record_costs_one_read),
		OVER(simulated, test_a_record_costs_one_read),
		OVER(simulated, test_names_that_cannot_be_verified),
		OVER(epoll, test_tickets_are_shared_by_their_key),
		OVER(epoll, test_old_versions_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
