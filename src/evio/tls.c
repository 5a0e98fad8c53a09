#include "evio/tls.h"

#include "core/mem.h"
#include "evio/stream_priv.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ECDHE and authenticated ciphers for those who submit; a stranger's server may be older, and weak encryption without
 * RC4, 3DES or export ciphers is better than the clear text that would follow. (TLS 1.3 has its own list.) */
#define SERVER_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
#define CLIENT_CIPHERS SERVER_CIPHERS ":DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:RSA+AESGCM:RSA+AES:!aNULL"

struct tls_server {
	unsigned refs;
	SSL_CTX *ctx;
	BIO_METHOD *bio;
	EVP_CIPHER *ticket_cipher; /* fetched once; NULL without tickets */
	uint8_t ticket[TLS_TICKET_KEY];
};

struct tls_client {
	SSL_CTX *ctx;
	BIO_METHOD *bio;
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

static SSL_CTX *context_new(const SSL_METHOD *method, const char *ciphers)
{
	SSL_CTX *c = SSL_CTX_new(method);
	if (!c)
		return NULL;
	SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
	SSL_CTX_set_options(c,
			    SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				    SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(c, 1); /* a record by one read instead of two */
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_cipher_list(c, ciphers);
	return c;
}

static enum err session_new(SSL_CTX *ctx, const BIO_METHOD *method, struct stream *s, SSL **ret,
			    struct diag *d)
{
	SSL *ssl = SSL_new(ctx);
	BIO *bio = ssl ? BIO_new(method) : NULL;
	if (!bio) {
		SSL_free(ssl);
		return diag_set(d, ERR_NOMEM, "no memory for TLS");
	}
	BIO_set_data(bio, s);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	*ret = ssl;
	return ERR_OK;
}

/* The next certificate of PEM text: ERR_NOTFOUND at its end. */
static enum err next_certificate(BIO *bio, X509 **ret, struct diag *d)
{
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	unsigned long why = x ? 0 : ERR_peek_last_error();
	if (x) {
		*ret = x;
		return ERR_OK;
	}
	if (ERR_GET_LIB(why) == ERR_LIB_PEM && ERR_GET_REASON(why) == PEM_R_NO_START_LINE) {
		ERR_clear_error();
		return ERR_NOTFOUND;
	}
	tls_error(d, ERR_SYNTAX, "certificate");
	return ERR_SYNTAX;
}

/* ---- server ---- */

static BIO *memory_bio(struct slice pem)
{
	return pem.len <= INT_MAX ? BIO_new_mem_buf(pem.len ? pem.ptr : "", (int)pem.len) : NULL;
}

static enum err use_chain(SSL_CTX *ctx, struct slice pem, struct diag *d)
{
	BIO *bio = memory_bio(pem);
	X509 *x = NULL;
	enum err e =
		bio ? next_certificate(bio, &x, d) : diag_set(d, ERR_NOMEM, "no memory for a certificate");
	if (e == ERR_NOTFOUND)
		e = diag_set(d, ERR_SYNTAX, "certificate: no PEM text");
	if (!e && SSL_CTX_use_certificate(ctx, x) != 1) {
		tls_error(d, ERR_SYNTAX, "certificate");
		e = ERR_SYNTAX;
	}
	X509_free(x);
	while (!e && !(e = next_certificate(bio, &x, d)))
		if (SSL_CTX_add0_chain_cert(ctx, x) != 1) {
			X509_free(x);
			tls_error(d, ERR_SYNTAX, "certificate chain");
			e = ERR_SYNTAX;
		}
	BIO_free(bio);
	return e == ERR_NOTFOUND ? ERR_OK : e;
}

static int no_passphrase(char *buf, int size, int rwflag, void *u)
{
	return -1;
}

static enum err use_key(SSL_CTX *ctx, struct slice pem, struct diag *d)
{
	BIO *bio = memory_bio(pem);
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

/* Clients may show a certificate, and need not; one that nobody vouches for is as none. */
static int accept_client(int ok, X509_STORE_CTX *store)
{
	return 1;
}

static enum err use_client_ca(SSL_CTX *ctx, struct slice pem, struct diag *d)
{
	BIO *bio = pem.len ? memory_bio(pem) : NULL;
	enum err e = ERR_OK;
	size_t count = 0;
	if (pem.len == 0)
		return ERR_OK;
	if (!bio)
		return diag_set(d, ERR_NOMEM, "no memory for the authorities of clients");
	for (X509 *ca; !(e = next_certificate(bio, &ca, d)); count++) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca);
		SSL_CTX_add_client_CA(ctx, ca);
		X509_free(ca);
	}
	BIO_free(bio);
	if (e != ERR_NOTFOUND)
		return e;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_client);
	return count ? ERR_OK : diag_set(d, ERR_SYNTAX, "no certificate among the authorities of clients");
}

static struct slice plain_name(const ASN1_STRING *text, char *out, size_t room)
{
	unsigned char *utf8 = NULL;
	int n = ASN1_STRING_to_UTF8(&utf8, text);
	struct slice s = slice_of(utf8, n > 0 ? (size_t)n : 0);
	bool ok = s.len > 0 && s.len <= room && !slice_has_control(s) && slice_is_ascii(s);
	if (ok)
		memcpy(out, s.ptr, s.len);
	OPENSSL_free(utf8);
	return ok ? slice_of(out, s.len) : SLICE_EMPTY;
}

static struct slice dns_name(X509 *cert, char *out, size_t room)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	struct slice found = SLICE_EMPTY;
	for (int i = 0; found.len == 0 && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		if (n->type == GEN_DNS)
			found = plain_name(n->d.dNSName, out, room);
	}
	GENERAL_NAMES_free(names);
	return found;
}

struct slice tls_certificate_name(X509 *cert, char *out, size_t room)
{
	struct slice name = dns_name(cert, out, room);
	const X509_NAME *subject = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (name.len == 0 && at >= 0)
		name = plain_name(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), out, room);
	return name;
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
	if (EVP_CipherInit_ex2(cipher, t->ticket_cipher, t->ticket + 16, iv, encrypt, NULL) != 1 ||
	    EVP_MAC_CTX_set_params(mac, params) != 1)
		return -1;
	return 1;
}

static enum err use_ticket_key(struct tls_server *t, struct slice key, struct diag *d)
{
	if (key.len == 0) {
		SSL_CTX_set_options(t->ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(t->ctx, 0);
		return ERR_OK;
	}
	if (key.len != sizeof(t->ticket))
		return diag_set(d, ERR_RANGE, "ticket key of %zu octets, not %zu", key.len,
				sizeof(t->ticket));
	memcpy(t->ticket, key.ptr, key.len);
	t->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	if (!t->ticket_cipher)
		return diag_set(d, ERR_UNSUPPORTED, "no AES-256-CBC for session tickets");
	SSL_CTX_set_tlsext_ticket_key_evp_cb(t->ctx, on_ticket);
	SSL_CTX_set_num_tickets(t->ctx, 1);
	return ERR_OK;
}

enum err tls_server_new(const struct tls_server_options *o, struct tls_server **ret, struct diag *d)
{
	struct tls_server *t = NEW(struct tls_server);
	if (!t)
		return diag_set(d, ERR_NOMEM, "no memory for TLS");
	t->refs = 1;
	t->ctx = context_new(TLS_server_method(), SERVER_CIPHERS);
	t->bio = stream_bio_method();
	enum err e = t->ctx && t->bio ? ERR_OK : diag_set(d, ERR_NOMEM, "no memory for TLS");
	if (!e)
		e = use_chain(t->ctx, o->certificate_pem, d);
	if (!e)
		e = use_key(t->ctx, o->key_pem, d);
	if (!e)
		e = use_client_ca(t->ctx, o->client_ca, d);
	if (!e)
		e = use_ticket_key(t, o->ticket_key, d);
	if (e) {
		tls_server_unref(t);
		return e;
	}
	SSL_CTX_set_options(t->ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_app_data(t->ctx, t);
	SSL_CTX_set_session_id_context(t->ctx, (const unsigned char *)"tidegate", 8);
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
	BIO_meth_free(t->bio);
	EVP_CIPHER_free(t->ticket_cipher);
	OPENSSL_cleanse(t->ticket, sizeof(t->ticket));
	mem_free(t);
}

enum err tls_server_ssl(struct tls_server *t, struct stream *s, SSL **ret, struct diag *d)
{
	return session_new(t->ctx, t->bio, s, ret, d);
}

/* ---- client ---- */

static enum err trust(SSL_CTX *ctx, struct slice pem, struct diag *d)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	BIO *bio = memory_bio(pem);
	enum err e = bio ? ERR_OK : diag_set(d, ERR_NOMEM, "no memory for trust anchors");
	size_t count = 0;
	for (X509 *ca; !e && !(e = next_certificate(bio, &ca, d)); count++) {
		X509_STORE_add_cert(store, ca);
		X509_free(ca);
	}
	ERR_clear_error();
	BIO_free(bio);
	if (e == ERR_NOTFOUND)
		e = count ? ERR_OK : diag_set(d, ERR_SYNTAX, "no certificate among the trust anchors");
	return e;
}

/* The whole bundle now: the library's own default would look into a directory at the first handshake, behind the
 * chroot. Without a bundle that default is what is left. */
static void trust_system(SSL_CTX *ctx)
{
	const char *named = secure_getenv(X509_get_default_cert_file_env());
	const char *const places[] = {named ? named : "", X509_get_default_cert_file(),
				      "/etc/ssl/certs/ca-certificates.crt",
				      "/etc/pki/tls/certs/ca-bundle.crt"};
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (*places[i] && SSL_CTX_load_verify_file(ctx, places[i]) == 1)
			return;
	SSL_CTX_set_default_verify_paths(ctx);
}

enum err tls_client_new(const struct tls_client_options *o, struct tls_client **ret, struct diag *d)
{
	struct tls_client *t = NEW(struct tls_client);
	if (!t)
		return diag_set(d, ERR_NOMEM, "no memory for TLS");
	t->ctx = context_new(TLS_client_method(), CLIENT_CIPHERS);
	t->bio = stream_bio_method();
	enum err e = t->ctx && t->bio ? ERR_OK : diag_set(d, ERR_NOMEM, "no memory for TLS");
	if (!e && o->ca_pem.len)
		e = trust(t->ctx, o->ca_pem, d);
	else if (!e && !o->no_system_store)
		trust_system(t->ctx);
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
	BIO_meth_free(t->bio);
	mem_free(t);
}

/* Lets a handshake go on whatever the verification says; the result stays to be read. */
static int accept_any(int ok, X509_STORE_CTX *store)
{
	return 1;
}

/* An address is checked as one, and is never an SNI (RFC 6066 3). */
static bool expect_name(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
		return true;
	ERR_clear_error();
	return SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1;
}

enum err tls_client_ssl(struct tls_client *t, const struct tls_peer *peer, struct stream *s, SSL **ret,
			struct diag *d)
{
	char name[TLS_NAME_MAX + 1];
	struct slice given = peer->name;
	/* A root at the end belongs to the name in the DNS, not in a certificate (RFC 6066 3). */
	if (slice_ends(given, SLICE_LIT(".")))
		given.len--;
	if (given.len > TLS_NAME_MAX || slice_has_control(given) || (peer->name.len && !given.len))
		return diag_set(d, ERR_RANGE, "no TLS for this name of %zu octets", given.len);
	if (given.len == 0 && peer->require_verified)
		return diag_set(d, ERR_RANGE, "a certificate cannot be verified without a name");
	enum err e = session_new(t->ctx, t->bio, s, ret, d);
	if (e)
		return e;
	SSL_set_verify(*ret, SSL_VERIFY_PEER, peer->require_verified ? NULL : accept_any);
	if (given.len == 0)
		return ERR_OK;
	memcpy(name, given.ptr, given.len);
	name[given.len] = '\0';
	if (expect_name(*ret, name))
		return ERR_OK;
	SSL_free(*ret);
	return diag_set(d, ERR_NOMEM, "TLS cannot expect the name %s", name);
}
