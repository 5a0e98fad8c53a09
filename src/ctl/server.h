/* Serving control requests on the event loop: for the parent, who accepts, and for the owners, who answer.
 *
 *   accept (parent) -> WAITING --request read--> on_request --+--> ctl_conn_row* , ctl_conn_end -> CLOSING ->
 * gone adopt (owner)   -----------------------------^            +--> ctl_conn_release -> gone here, adopted
 * there
 *
 * The parent hands a request on like this: in on_request, if ctl_verb_info(verb)->owner is another process,
 *     copy raw; fd = ctl_conn_release(c); ipc_send(child, TYPE, copy, &fd, 1); base_close(&fd);
 * and the child calls ctl_server_adopt(srv, fd, raw), whose on_request then finds the same request.
 *
 * A verb that is about a file: in on_request, or later, ctl_conn_ask_file; on_file brings the descriptor.
 *
 * Invariants:
 *  1. on_request comes once for each connection, never inside ctl_server_accept or ctl_server_adopt.
 *  2. After on_request a connection ends by ctl_conn_release, or by on_close, which comes exactly once: after
 *     ctl_conn_end, or when the peer goes away. It is freed after that.
 *  3. A bad request is answered with an END that says why, without on_request.
 *  4. A row's columns are those of its table (ASSERT: our own code fills rows).
 *  5. At most CTL_CONNECTIONS connections; a further one gets an END "busy".
 */
#pragma once

#include "ctl/control.h"
#include "evio/stream.h"

struct ctl_server;
struct ctl_conn;

struct ctl_events {
	/* req and raw (the whole frame) are borrowed for the call. The answer may come now or later. */
	void (*on_request)(void *ctx, struct ctl_conn *c, const struct ctl_frame *req, struct slice raw);
	/* There is room again after ctl_conn_row gave ERR_AGAIN. May be NULL if answers are short. */
	void (*on_more)(void *ctx, struct ctl_conn *c);
	/* Gone, answered or not. Forget c. May be NULL if nobody keeps c. */
	void (*on_close)(void *ctx, struct ctl_conn *c);
	/* The file that ctl_conn_ask_file asked for; owns fd from here. May be NULL if no verb has one. */
	void (*on_file)(void *ctx, struct ctl_conn *c, int fd);
};

MUST_CHECK enum err ctl_server_new(struct loop *l, const struct ctl_events *ev, void *ctx,
				   struct ctl_server **ret, struct diag *d);
void ctl_server_free(struct ctl_server *srv); /* cuts all connections, without on_close; NULL is fine */
size_t ctl_server_connections(const struct ctl_server *srv);

/* A fresh connection, from listener_events.on_accept; owns s from here. */
void ctl_server_accept(struct ctl_server *srv, struct stream *s);
/* A connection whose request another process has read; owns fd from here, also on failure. */
MUST_CHECK enum err ctl_server_adopt(struct ctl_server *srv, int fd, struct slice raw, struct diag *d);

/* Takes the descriptor out of a connection that has not been answered yet, and frees the connection. The caller
 * closes it. -1: the peer is gone or sent more than a request; the connection ends without on_close. */
int ctl_conn_release(struct ctl_conn *c);

/* Asks the client for its file, once and before any row. on_file comes; or on_close, if the client has none to give. */
void ctl_conn_ask_file(struct ctl_conn *c);
/* Queues one row. ERR_OK; ERR_AGAIN: taken, but wait for on_more before the next; ERR_LIMIT: a row too large, or no
 * waiting for on_more: not taken; ERR_CLOSED: the peer is gone, on_close comes; ERR_NOMEM. */
enum err ctl_conn_row(struct ctl_conn *c, enum ctl_table table, const struct ctl_fields *f);
/* Ends the answer and closes; on_close comes later. message may be empty. */
void ctl_conn_end(struct ctl_conn *c, enum err status, struct slice message);
/* The same with the words of a diag; ERR_OK and no words for NULL. */
void ctl_conn_fail(struct ctl_conn *c, const struct diag *why);

void ctl_conn_set_data(struct ctl_conn *c, void *data); /* the answering side's own, borrowed */
void *ctl_conn_data(const struct ctl_conn *c);
