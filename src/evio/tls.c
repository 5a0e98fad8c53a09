#include "evio/tls.h"

#include "core/mem.h"
#include "evio/stream_priv.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>

#define TICKET_KEY_LEN 80 /* 16 name, 32 AES-256, 32 HMAC */

struct tls_server {
	unsigned refs;
	SSL_CTX *ctx;
	uint8_t ticket[TICKET_KEY_LEN];
};

struct tls_client {
	SSL_CTX *ctx;
};

void tls_error(struct diag *d, enum err code, const char *what)
{
	char text[200] = "unexpected end";
	unsigned long e = ERR_peek_last_error();
	if (e)
		ERR_error_string_n(e, text, sizeof(text));
	ERR_clear_error();
	diag_set(d, code, "%s: %s", what, text);
}

void tls_library_init(void)
{
	OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
	/* A first use loads what would otherwise be looked for behind the chroot. */
	unsigned char b[1];
	RAND_bytes(b, sizeof(b));
	SSL_CTX_free(SSL_CTX_new(TLS_method()));
}

static SSL_CTX *context_new(const SSL_METHOD *method)
{
	SSL_CTX *c = SSL_CTX_new(method);
	if (!c)
		return NULL;
	SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
	SSL_CTX_set_options(c,
			    SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				    SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20");
	return c;
}

/* ---- server ---- */

static enum err use_chain(SSL_CTX *ctx, struct slice pem, struct diag *d)
{
	BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	X509 *leaf = bio ? PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL) : NULL;
	enum err e = ERR_OK;
	if (!leaf || SSL_CTX_use_certificate(ctx, leaf) != 1) {
		tls_error(d, ERR_SYNTAX, "certificate");
		e = ERR_SYNTAX;
	}
	X509_free(leaf);
	for (X509 *ca; !e && (ca = PEM_read_bio_X509(bio, NULL, NULL, NULL));)
		if (SSL_CTX_add0_chain_cert(ctx, ca) != 1) {
			X509_free(ca);
			tls_error(d, ERR_SYNTAX, "certificate chain");
			e = ERR_SYNTAX;
		}
	ERR_clear_error();
	BIO_free(bio);
	return e;
}

static int no_passphrase(char *buf, int size, int rwflag, void *u)
{
	return -1;
}

static enum err use_key(SSL_CTX *ctx, struct slice pem, struct diag *d)
{
	BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
	enum err e = ERR_OK;
	if (!key) {
		tls_error(d, ERR_SYNTAX, "private key (PEM without passphrase wanted)");
		e = ERR_SYNTAX;
	} else if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
		tls_error(d, ERR_PERM, "private key does not belong to the certificate");
		e = ERR_PERM;
	}
	EVP_PKEY_free(key);
	BIO_free(bio);
	return e;
}

/* RFC 5077 tickets under the key that all smtpd share: a client may resume with any of them. */
static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char iv[EVP_MAX_IV_LENGTH],
		     EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	const struct tls_server *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(t->ticket + 48), 32),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end()};
	if (encrypt) {
		memcpy(name, t->ticket, 16);
		if (RAND_bytes(iv, 16) != 1)
			return -1;
	} else if (memcmp(name, t->ticket, 16) != 0) {
		return 0; /* another key: full handshake */
	}
	if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, t->ticket + 16, iv, encrypt) != 1 ||
	    EVP_MAC_CTX_set_params(mac, params) != 1)
		return -1;
	return 1;
}

enum err tls_server_new(const struct tls_server_options *o, struct tls_server **ret, struct diag *d)
{
	struct tls_server *t = NEW(struct tls_server);
	SSL_CTX *ctx = t ? context_new(TLS_server_method()) : NULL;
	if (!ctx) {
		mem_free(t);
		return diag_set(d, ERR_NOMEM, "no memory for TLS");
	}
	t->refs = 1;
	t->ctx = ctx;
	enum err e = use_chain(ctx, o->certificate_pem, d);
	if (!e)
		e = use_key(ctx, o->key_pem, d);
	if (e) {
		tls_server_unref(t);
		return e;
	}
	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_app_data(ctx, t);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"tidegate", 8);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (o->ticket_key.len == TICKET_KEY_LEN) {
		memcpy(t->ticket, o->ticket_key.ptr, TICKET_KEY_LEN);
		SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
		SSL_CTX_set_num_tickets(ctx, 1);
	} else {
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ctx, 0);
	}
	*ret = t;
	return ERR_OK;
}

void tls_server_ref(struct tls_server *t)
{
	t->refs++;
}

void tls_server_unref(struct tls_server *t)
{
	if (!t || --t->refs)
		return;
	SSL_CTX_free(t->ctx);
	OPENSSL_cleanse(t->ticket, sizeof(t->ticket));
	mem_free(t);
}

SSL *tls_server_ssl(struct tls_server *t)
{
	return SSL_new(t->ctx);
}

/* ---- client ---- */

static enum err trust(SSL_CTX *ctx, struct slice pem, struct diag *d)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	size_t count = 0;
	for (X509 *ca; bio && (ca = PEM_read_bio_X509(bio, NULL, NULL, NULL)); count++) {
		X509_STORE_add_cert(store, ca);
		X509_free(ca);
	}
	ERR_clear_error();
	BIO_free(bio);
	return count ? ERR_OK : diag_set(d, ERR_SYNTAX, "no certificate among the trust anchors");
}

enum err tls_client_new(const struct tls_client_options *o, struct tls_client **ret, struct diag *d)
{
	struct tls_client *t = NEW(struct tls_client);
	SSL_CTX *ctx = t ? context_new(TLS_client_method()) : NULL;
	if (!ctx) {
		mem_free(t);
		return diag_set(d, ERR_NOMEM, "no memory for TLS");
	}
	t->ctx = ctx;
	enum err e = ERR_OK;
	if (o->ca_pem.len)
		e = trust(ctx, o->ca_pem, d);
	else if (!o->no_system_store)
		SSL_CTX_set_default_verify_paths(ctx);
	ERR_clear_error();
	if (e) {
		tls_client_free(t);
		return e;
	}
	*ret = t;
	return ERR_OK;
}

void tls_client_free(struct tls_client *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	mem_free(t);
}

/* Lets a handshake go on whatever the verification says; the result stays to be read. */
static int accept_any(int ok, X509_STORE_CTX *store)
{
	return 1;
}

SSL *tls_client_ssl(struct tls_client *t, const struct tls_peer *peer, struct diag *d)
{
	char name[256];
	SSL *ssl = SSL_new(t->ctx);
	if (!ssl || peer->name.len >= sizeof(name)) {
		SSL_free(ssl);
		diag_set(d, ERR_RANGE, "no TLS for a name of %zu octets", peer->name.len);
		return NULL;
	}
	SSL_set_verify(ssl, SSL_VERIFY_PEER, peer->require_verified ? NULL : accept_any);
	if (peer->name.len == 0)
		return ssl;
	memcpy(name, peer->name.ptr, peer->name.len);
	name[peer->name.len] = '\0';
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	/* An address is checked as one, and is never an SNI (RFC 6066 3). */
	if (X509_VERIFY_PARAM_set1_ip_asc(param, name) != 1) {
		ERR_clear_error();
		SSL_set_tlsext_host_name(ssl, name);
		SSL_set1_host(ssl, name);
	}
	return ssl;
}
