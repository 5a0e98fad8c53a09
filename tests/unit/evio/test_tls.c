/* Contexts: what is taken for a certificate, a key, a ticket key, a trust anchor. Handshakes are the conformance
 * suite's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "evio/tls.h"
#include "tls_fixture.h"

#include <stdlib.h>
#include <string.h>

static enum err server(struct slice certificate, struct slice key, struct slice ticket, struct diag *d)
{
	const struct tls_server_options o = {
		.certificate_pem = certificate, .key_pem = key, .ticket_key = ticket};
	struct tls_server *t = NULL;
	enum err e = tls_server_new(&o, &t, d);

	assert_true((e == ERR_OK) == (t != NULL));
	tls_server_unref(t);
	return e;
}

static enum err client(struct slice ca, bool no_system)
{
	const struct tls_client_options o = {.ca_pem = ca, .no_system_store = no_system};
	struct tls_client *t = NULL;
	enum err e = tls_client_new(&o, &t, NULL);

	assert_true((e == ERR_OK) == (t != NULL));
	tls_client_free(t);
	return e;
}

static void test_server(void **state)
{
	struct slice cert = buf_slice(&fixture_identity()->certificate),
		     key = buf_slice(&fixture_identity()->key);
	struct fixture_identity other;
	struct diag d = {0};
	char ticket[TLS_TICKET_KEY] = "x";

	fixture_identity_make(&other, "other.example.net");
	assert_int_equal(server(cert, key, SLICE_EMPTY, &d), ERR_OK);
	assert_int_equal(server(cert, key, slice_of(ticket, sizeof(ticket)), &d), ERR_OK);
	assert_int_equal(server(cert, key, slice_of(ticket, sizeof(ticket) - 1), &d), ERR_RANGE);
	assert_int_equal(server(cert, buf_slice(&other.key), SLICE_EMPTY, &d), ERR_PERM);
	assert_non_null(strstr(d.text, "does not belong"));
	assert_int_equal(server(SLICE_EMPTY, key, SLICE_EMPTY, &d), ERR_SYNTAX);
	assert_int_equal(server(SLICE_LIT("no PEM"), key, SLICE_EMPTY, &d), ERR_SYNTAX);
	assert_int_equal(server(cert, SLICE_EMPTY, SLICE_EMPTY, &d), ERR_SYNTAX);
	assert_int_equal(server(cert, cert, SLICE_EMPTY, &d), ERR_SYNTAX);
	assert_int_equal(server(slice_sub(cert, 0, cert.len / 2), key, SLICE_EMPTY, &d), ERR_SYNTAX);
	fixture_identity_done(&other);
}

/* Every certificate of the chain counts: one that is damaged must not be left out in silence. */
static void test_chain(void **state)
{
	struct slice cert = buf_slice(&fixture_identity()->certificate),
		     key = buf_slice(&fixture_identity()->key);
	CLEANUP(buf_done) struct buf chain;

	buf_init(&chain, 16384);
	buf_add(&chain, cert);
	buf_add(&chain, cert);
	assert_int_equal(server(buf_slice(&chain), key, SLICE_EMPTY, NULL), ERR_OK);
	buf_add(&chain, key); /* both in one file */
	assert_int_equal(server(buf_slice(&chain), buf_slice(&chain), SLICE_EMPTY, NULL), ERR_OK);
	chain.data[cert.len + 100] = '!';
	assert_int_equal(server(buf_slice(&chain), key, SLICE_EMPTY, NULL), ERR_SYNTAX);
}

static void test_client(void **state)
{
	struct slice cert = buf_slice(&fixture_identity()->certificate);
	CLEANUP(buf_done) struct buf bundle;

	assert_int_equal(client(cert, false), ERR_OK);
	assert_int_equal(client(SLICE_EMPTY, true), ERR_OK);
	assert_int_equal(client(SLICE_EMPTY, false), ERR_OK);
	assert_int_equal(client(SLICE_LIT("# nothing\n"), false), ERR_SYNTAX);
	buf_init(&bundle, 16384);
	buf_add(&bundle, cert);
	buf_add(&bundle, cert);
	bundle.data[cert.len + 100] = '!';
	assert_int_equal(client(buf_slice(&bundle), false), ERR_SYNTAX);
}

static void test_references(void **state)
{
	struct tls_server *t = fixture_server();

	tls_server_ref(t);
	tls_server_unref(t);
	tls_server_unref(t);
	tls_server_unref(NULL);
	tls_client_free(NULL);
	tls_library_init();
	tls_library_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_server),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_client),
		cmocka_unit_test(test_references),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
