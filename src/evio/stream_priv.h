/* Inside a stream: shared by stream.c (buffers, states) and stream_tls.c (the handshake and the records). */
#pragma once

#include "core/buf.h"
#include "evio/loop_priv.h"
#include "evio/stream.h"

#include <openssl/ssl.h>

enum stream_state {
	STREAM_CONNECTING,
	STREAM_OPEN,
	STREAM_HANDSHAKE,
	STREAM_CLOSING,
	STREAM_LINGER,
	STREAM_CLOSED
};

struct stream {
	struct loop *loop;
	struct io io;
	const struct stream_events *ev;
	void *ctx;
	enum stream_state state;
	struct stream_limits limits;
	struct buf in;  /* unconsumed input */
	struct buf out; /* unsent output; `sent` of it are gone */
	size_t sent;
	size_t clear;          /* tls_waits: so much of out goes in the clear */
	struct timer deadline; /* connect, handshake, linger */
	struct task flush;
	struct task show; /* go on with input, or tell about the close */
	struct diag why;  /* of the close */
	int write_error;  /* errno: output ended, input is still read to its end */
	bool close_told, paused, eof, want_drain, want_empty, freed;
	bool again;            /* stream_resume: show what was shown before */
	bool tls_waits;        /* the handshake starts when the clear output is out */
	bool tls_named;        /* a name is verified */
	bool showing, discard; /* inside on_read; what it leaves is to be thrown away (STARTTLS) */
	unsigned busy;         /* callbacks on the stack */
	SSL *ssl;
	struct tls_server *tls_server; /* reference; server side only */
	struct tls_info info;
	char subject[256], name[256];
	size_t discarded;
	struct buf early; /* octets of the handshake that were read before it began */
	uint64_t tls_timeout_ms;
	struct net_addr peer, local;
};

/* Around every callback: the stream may be freed in it. Gives whether it lives. */
#define CALL(s, ...) ((s)->busy++, __VA_ARGS__, stream_called(s))
bool stream_called(struct stream *s);
void stream_set_state(struct stream *s, enum stream_state to); /* asserts against the table */

/* In the clear: 0 at the end, negative errno (-EAGAIN). */
ssize_t stream_raw_read(struct stream *s, void *p, size_t n);
ssize_t stream_raw_write(struct stream *s, const void *p, size_t n);
void stream_update(struct stream *s); /* registers what is wanted now */
void stream_fail(struct stream *s, enum err code, const char *fmt, ...) ATTR_PRINTF(3, 4);

/* A connection that the listener took; owns fd, also on failure. */
MUST_CHECK enum err stream_accepted(struct loop *l, int fd, const struct net_addr *peer,
				    const struct stream_events *ev, struct stream **ret);

/* stream_tls.c */
void stream_tls_start(struct stream *s); /* output is empty: go */
bool stream_tls_step(struct stream *s);  /* HANDSHAKE: something became ready; false: freed */
bool stream_tls_wants_write(const struct stream *s);
ssize_t stream_tls_read(struct stream *s, void *p,
			size_t n); /* as stream_raw_read; -EPROTO: OpenSSL's words */
ssize_t stream_tls_write(struct stream *s, const void *p, size_t n);
void stream_tls_bye(struct stream *s); /* close_notify, best effort */
bool stream_tls_pending(const struct stream *s);
void stream_tls_free(struct stream *s);

/* tls.c */
/* A session whose input and output go through s (stream_bio_method). */
MUST_CHECK enum err tls_server_ssl(struct tls_server *t, struct stream *s, SSL **ret, struct diag *d);
MUST_CHECK enum err tls_client_ssl(struct tls_client *t, const struct tls_peer *peer, struct stream *s,
				   SSL **ret, struct diag *d);
/* The first DNS name of a certificate, else its common name, in `out`; empty: neither is plain text that fits. */
struct slice tls_certificate_name(X509 *cert, char *out, size_t room);
BIO_METHOD *stream_bio_method(void);                             /* a new one; NULL without memory */
void tls_error(struct diag *d, enum err code, const char *what); /* with OpenSSL's words */
