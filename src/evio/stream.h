/* A connected byte stream (TCP, Unix, or simulated), in the clear or under TLS, with buffered input and
 * output.
 *
 * States and who moves them:
 *   CONNECTING --on_open--> OPEN --stream_tls_*--> HANDSHAKE --on_tls--> OPEN
 *   any --peer, error or stream_abort--> CLOSED (on_close, once, last callback of this stream)
 *
 * Invariants:
 *  1. on_close comes exactly once unless stream_free was called first; after it only stream_free is allowed.
 *  2. Input is shown in order; what on_read does not consume is shown again together with what follows.
 *  3. Output is sent in order; it is flushed at the end of the loop turn (so that pipelined replies share a
 * packet).
 *  4. STARTTLS: input received before the handshake and not consumed is discarded by stream_tls_accept and
 *     stream_tls_connect; the number of octets dropped is returned by stream_tls_discarded.
 *  5. A stream may be freed inside its own callbacks.
 */
#pragma once

#include "evio/net.h"
#include "evio/tls.h"

#include <sys/uio.h>

struct stream_events {
	/* Connected (only after stream_connect). May be NULL for accepted streams. */
	void (*on_open)(void *ctx);
	/* `in` is all unconsumed input; returns how many octets were consumed (0: wait for more). Called
	 * again when more arrives or after stream_resume. */
	size_t (*on_read)(void *ctx, struct slice in);
	/* Output fell to at most half of write_max after stream_write* had reported ERR_AGAIN, or all of it
	 * went out after stream_notify_drain. */
	void (*on_drain)(void *ctx);
	/* The peer sent its end of stream; output may still go. NULL: treated as close. */
	void (*on_eof)(void *ctx);
	/* Handshake finished. info is borrowed for the call; stream_tls_info gives it again. */
	void (*on_tls)(void *ctx, const struct tls_info *info);
	/* Gone: ERR_CLOSED for an orderly end, ERR_TIMEOUT for connect and handshake deadlines, ERR_IO...
	 * with words. */
	void (*on_close)(void *ctx, const struct diag *why);
};

struct stream_limits {
	size_t read_max;  /* unconsumed input kept; reading stops there; default 64 KiB */
	size_t write_max; /* unsent output kept; default 256 KiB */
};

struct connect_options {
	struct net_addr remote;
	struct net_addr local;       /* len 0: the system chooses */
	uint64_t timeout_ms;         /* 0: 30 s */
	struct stream_limits limits; /* zeros: defaults */
};
/* Starts connecting; the result comes by on_open or on_close. Fails at once only for ERR_NOMEM, EMFILE
 * (ERR_LIMIT). */
MUST_CHECK enum err stream_connect(struct loop *l, const struct connect_options *o,
				   const struct stream_events *ev, void *ctx, struct stream **ret,
				   struct diag *d);
/* Takes a connected descriptor (socket pair, passed connection); owns it from here, also on failure. */
MUST_CHECK enum err stream_from_fd(struct loop *l, int fd, const struct stream_events *ev, void *ctx,
				   struct stream **ret, struct diag *d);

void stream_set_events(struct stream *s, const struct stream_events *ev, void *ctx);
void stream_set_limits(struct stream *s, struct stream_limits lim);
const struct net_addr *stream_peer(const struct stream *s);
const struct net_addr *stream_local(const struct stream *s);
struct loop *stream_loop(const struct stream *s);

/* Queues a copy. ERR_OK: all was taken. ERR_AGAIN: all was taken, but stop now and wait for on_drain.
 * ERR_LIMIT: more than write_max beyond that: nothing of this call was taken. ERR_CLOSED: on_close has come
 * or comes. */
enum err stream_write(struct stream *s, struct slice data);
enum err stream_writev(struct stream *s, const struct iovec *iov, size_t n);
size_t stream_unsent(const struct stream *s);
void stream_notify_drain(struct stream *s); /* asks for one on_drain when everything is sent */
void stream_flush(struct stream *s);        /* now, not at the end of the turn */

void stream_pause(
	struct stream *s); /* no more on_read until resume; the peer feels it once buffers are full */
void stream_resume(struct stream *s); /* shows unconsumed input again in the next turn */

/* Sends what is queued, then closes (with TLS close_notify), at the latest after linger_ms; on_close comes
 * then. */
void stream_close(struct stream *s, uint64_t linger_ms);
void stream_abort(struct stream *s); /* closes now; on_close comes in the next turn */
void stream_free(struct stream *s);  /* closes now; no further callback; NULL is fine */

/* Start TLS on an OPEN stream; timeout_ms 0: 30 s. A client context must outlive the stream, a server context is kept
 * as long as needed. Output that was queued before goes out first, in the clear. ERR_CLOSED: it is not OPEN. */
MUST_CHECK enum err stream_tls_accept(struct stream *s, struct tls_server *ctx, uint64_t timeout_ms,
				      struct diag *d);
/* The same where octets of the handshake were read in the clear already (a PROXY header stood before them). They are
 * copied; what else was read is discarded as ever. */
MUST_CHECK enum err stream_tls_accept_early(struct stream *s, struct tls_server *ctx, struct slice early,
					    uint64_t timeout_ms, struct diag *d);
MUST_CHECK enum err stream_tls_connect(struct stream *s, struct tls_client *ctx, const struct tls_peer *peer,
				       uint64_t timeout_ms, struct diag *d);
const struct tls_info *stream_tls_info(const struct stream *s); /* NULL in the clear */
/* The "tls-exporter" channel binding (RFC 9266). False in the clear, and where it binds nothing (tls_info.bindable). */
#define STREAM_BINDING 32
MUST_CHECK bool stream_tls_binding(const struct stream *s, uint8_t ret[STREAM_BINDING]);
size_t stream_tls_discarded(const struct stream *s);

/* Takes the descriptor out of an OPEN stream in the clear with nothing unsent and no unconsumed input, and frees the
 * stream without a callback: for handing a connection to another process or another owner (stream_from_fd). The
 * caller owns the descriptor. -1, and the stream stays, if any of that does not hold. */
int stream_release(struct stream *s);
