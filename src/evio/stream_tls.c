/* TLS on a stream: OpenSSL reads and writes through a BIO over the loop's own operations, so that real and simulated
 * connections run the same code and no octet is buffered twice. */
#include "evio/stream_priv.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

/* ---- BIO ---- */

static int bio_result(BIO *b, ssize_t n, int retry)
{
	BIO_clear_retry_flags(b);
	if (n == -EAGAIN)
		BIO_set_flags(b, retry | BIO_FLAGS_SHOULD_RETRY);
	return n < 0 ? -1 : (int)n;
}

static int early_read(struct stream *s, char *p, int n)
{
	size_t take = MIN((size_t)n, s->early.len);
	memcpy(p, s->early.data, take);
	buf_consume(&s->early, take);
	if (s->early.len == 0)
		buf_done(&s->early);
	return (int)take;
}

static int bio_read(BIO *b, char *p, int n)
{
	struct stream *s = BIO_get_data(b);
	if (s->early.len > 0 && n > 0) {
		BIO_clear_retry_flags(b);
		return early_read(s, p, n);
	}
	return bio_result(b, stream_raw_read(s, p, (size_t)n), BIO_FLAGS_READ);
}

static int bio_write(BIO *b, const char *p, int n)
{
	return bio_result(b, stream_raw_write(BIO_get_data(b), p, (size_t)n), BIO_FLAGS_WRITE);
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	return cmd == BIO_CTRL_FLUSH;
}

BIO_METHOD *stream_bio_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "tidegate stream");
	if (!m)
		return NULL;
	BIO_meth_set_read(m, bio_read);
	BIO_meth_set_write(m, bio_write);
	BIO_meth_set_ctrl(m, bio_ctrl);
	return m;
}

/* ---- records ---- */

static ssize_t ssl_result(struct stream *s, int r)
{
	switch (SSL_get_error(s->ssl, r)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		return -ECONNRESET;
	default:
		return -EPROTO;
	}
}

ssize_t stream_tls_read(struct stream *s, void *p, size_t n)
{
	ERR_clear_error();
	size_t got = 0;
	int r = SSL_read_ex(s->ssl, p, n, &got);
	return r == 1 ? (ssize_t)got : ssl_result(s, r);
}

ssize_t stream_tls_write(struct stream *s, const void *p, size_t n)
{
	ERR_clear_error();
	size_t done = 0;
	int r = SSL_write_ex(s->ssl, p, n, &done);
	ssize_t result = r == 1 ? (ssize_t)done : ssl_result(s, r);
	return result == 0 ? -EPIPE : result;
}

bool stream_tls_wants_write(const struct stream *s)
{
	return SSL_want_write(s->ssl);
}

/* ---- handshake ---- */

static void describe(struct stream *s)
{
	struct tls_info *i = &s->info;
	const char *sni = SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name);
	long verify = SSL_get_verify_result(s->ssl);
	X509 *cert = SSL_get0_peer_certificate(s->ssl);

	i->version = SSL_get_version(s->ssl);
	i->cipher = SSL_get_cipher_name(s->ssl);
	i->bits = SSL_get_cipher_bits(s->ssl, NULL);
	i->resumed = SSL_session_reused(s->ssl);
	i->bindable = SSL_version(s->ssl) >= TLS1_3_VERSION || SSL_get_extms_support(s->ssl) == 1;
	i->verified = cert && verify == X509_V_OK && (s->tls_named || s->tls_server);
	i->verify_error = verify != X509_V_OK ? X509_verify_cert_error_string(verify) : NULL;
	i->sni = slice_str(sni);
	if (!cert)
		return;
	BIO *text = BIO_new(BIO_s_mem());
	if (text && X509_NAME_print_ex(text, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) >= 0) {
		int n = BIO_read(text, s->subject, sizeof(s->subject));
		i->peer_subject = slice_of(s->subject, n > 0 ? (size_t)n : 0);
	}
	BIO_free(text);
	if (s->tls_server && i->verified)
		i->peer_name = tls_certificate_name(cert, s->name, sizeof(s->name));
}

static void fail(struct stream *s)
{
	struct diag d = {0};
	if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		stream_fail(s, ERR_PERM, "certificate not accepted: %s",
			    X509_verify_cert_error_string(SSL_get_verify_result(s->ssl)));
		ERR_clear_error();
		return;
	}
	tls_error(&d, ERR_IO, "TLS handshake");
	stream_fail(s, ERR_IO, "%s", d.text);
}

bool stream_tls_step(struct stream *s)
{
	ERR_clear_error();
	int r = SSL_do_handshake(s->ssl);
	if (r == 1) {
		timer_cancel(&s->deadline);
		stream_set_state(s, STREAM_OPEN);
		describe(s);
		/* Output queued meanwhile, and input that came with the last flight. */
		task_defer(&s->flush);
		task_defer(&s->show);
		return !s->ev->on_tls || CALL(s, s->ev->on_tls(s->ctx, &s->info));
	}
	int e = SSL_get_error(s->ssl, r);
	if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
		fail(s);
	return true;
}

/* The first step comes from the loop: a client has to speak first, and no callback may come from inside a call. */
void stream_tls_start(struct stream *s)
{
	s->tls_waits = false;
	stream_set_state(s, STREAM_HANDSHAKE);
	timer_set(&s->deadline, s->tls_timeout_ms);
	task_defer(&s->show);
}

static void begin(struct stream *s, SSL *ssl, uint64_t timeout_ms)
{
	if (s->showing) {
		s->discard = true;
	} else {
		s->discarded += s->in.len;
		buf_done(&s->in);
	}
	s->ssl = ssl;
	s->tls_timeout_ms = timeout_ms ? timeout_ms : STREAM_TLS_TIMEOUT_MS;
	s->tls_waits = true; /* what is queued by now still goes in the clear */
	s->clear = s->out.len;
	stream_flush(s);
	if (s->sent == s->clear && !s->write_error)
		stream_tls_start(s);
	else
		timer_set(&s->deadline, s->tls_timeout_ms);
}

static enum err may_begin(const struct stream *s, struct diag *d)
{
	ASSERT(!s->ssl);
	if (s->state == STREAM_OPEN && !s->write_error)
		return ERR_OK;
	return diag_set(d, ERR_CLOSED, "no TLS on a connection that is closed");
}

enum err stream_tls_accept(struct stream *s, struct tls_server *ctx, uint64_t timeout_ms, struct diag *d)
{
	SSL *ssl;
	enum err e = may_begin(s, d);
	if (!e)
		e = tls_server_ssl(ctx, s, &ssl, d);
	if (e)
		return e;
	SSL_set_accept_state(ssl);
	tls_server_ref(ctx); /* an old epoch's keys live as long as its sessions */
	s->tls_server = ctx;
	begin(s, ssl, timeout_ms);
	return ERR_OK;
}

enum err stream_tls_accept_early(struct stream *s, struct tls_server *ctx, struct slice early,
				 uint64_t timeout_ms, struct diag *d)
{
	buf_init(&s->early, STREAM_EARLY_MAX);
	buf_add(&s->early, early);
	if (s->early.failed)
		return diag_set(d, s->early.failed, "%zu octets before the handshake", early.len);
	return stream_tls_accept(s, ctx, timeout_ms, d);
}

enum err stream_tls_connect(struct stream *s, struct tls_client *ctx, const struct tls_peer *peer,
			    uint64_t timeout_ms, struct diag *d)
{
	SSL *ssl;
	enum err e = may_begin(s, d);
	if (!e)
		e = tls_client_ssl(ctx, peer, s, &ssl, d);
	if (e)
		return e;
	SSL_set_connect_state(ssl);
	s->tls_named = peer->name.len > 0;
	begin(s, ssl, timeout_ms);
	return ERR_OK;
}

const struct tls_info *stream_tls_info(const struct stream *s)
{
	return s->ssl && s->info.version ? &s->info : NULL;
}

bool stream_tls_binding(const struct stream *s, uint8_t ret[STREAM_BINDING])
{
	static const char label[] = "EXPORTER-Channel-Binding";
	return s->ssl && s->info.bindable &&
	       SSL_export_keying_material(s->ssl, ret, STREAM_BINDING, label, sizeof(label) - 1,
					  (const unsigned char *)"", 0, 1) == 1;
}

size_t stream_tls_discarded(const struct stream *s)
{
	return s->discarded;
}

bool stream_tls_pending(const struct stream *s)
{
	return s->ssl && !s->tls_waits && s->state == STREAM_OPEN && SSL_has_pending(s->ssl);
}

void stream_tls_bye(struct stream *s)
{
	if (s->ssl && SSL_is_init_finished(s->ssl))
		SSL_shutdown(s->ssl);
	ERR_clear_error();
}

void stream_tls_free(struct stream *s)
{
	SSL_free(s->ssl);
	tls_server_unref(s->tls_server);
	buf_done(&s->early);
	s->ssl = NULL;
	s->tls_server = NULL;
	s->info = (struct tls_info){0};
}
