#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tls_fixture.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

static void take(BIO *bio, struct buf *out)
{
	char *p;
	long n = BIO_get_mem_data(bio, &p);

	buf_init(out, 16384);
	buf_add_mem(out, p, (size_t)n);
	BIO_free(bio);
}

static void add_names(X509 *x, const char *name)
{
	char text[300];

	snprintf(text, sizeof(text), "DNS:%s,IP:192.0.2.1", name);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text);
	assert_non_null(e);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

void fixture_identity_make(struct fixture_identity *id, const char *name)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	BIO *cert = BIO_new(BIO_s_mem()), *priv = BIO_new(BIO_s_mem());

	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_set_version(x, X509_VERSION_3);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name,
				   -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	add_names(x, name);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	PEM_write_bio_X509(cert, x);
	PEM_write_bio_PrivateKey(priv, key, NULL, NULL, 0, NULL, NULL);
	take(cert, &id->certificate);
	take(priv, &id->key);
	X509_free(x);
	EVP_PKEY_free(key);
}

void fixture_identity_done(struct fixture_identity *id)
{
	buf_done(&id->certificate);
	buf_done(&id->key);
}

static struct fixture_identity identity;

static void forget_identity(void)
{
	fixture_identity_done(&identity);
}

const struct fixture_identity *fixture_identity(void)
{
	if (!identity.certificate.len) {
		fixture_identity_make(&identity, "relay.example.net");
		atexit(forget_identity);
	}
	return &identity;
}

struct tls_server *fixture_server(void)
{
	static const char ticket[TLS_TICKET_KEY] = "a key that all processes share";
	const struct tls_server_options o = {.certificate_pem = buf_slice(&fixture_identity()->certificate),
					     .key_pem = buf_slice(&fixture_identity()->key),
					     .ticket_key = slice_of(ticket, sizeof(ticket))};
	struct tls_server *t = NULL;

	assert_int_equal(tls_server_new(&o, &t, NULL), ERR_OK);
	return t;
}

struct tls_client *fixture_client(void)
{
	const struct tls_client_options o = {.ca_pem = buf_slice(&fixture_identity()->certificate)};
	struct tls_client *t = NULL;

	assert_int_equal(tls_client_new(&o, &t, NULL), ERR_OK);
	return t;
}
