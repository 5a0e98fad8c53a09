/* One connection: a stream on one side, a session on the other, the process's links at hand. */
#include "relay/smtpd/smtpd_priv.h"

#include "core/mem.h"
#include "relay/smtpd/proxy.h"

static const char too_busy[] = "421 4.3.2 Too many connections, try again later\r\n";
static const char not_you[] = "554 5.7.1 Your address may not connect here\r\n";

static bool admit(struct smtpd_conn *c, const struct net_addr *client);
static void refuse(struct smtpd_conn *c, const struct net_addr *client, const char *why, const char *answer);

/* ---- what the session asks for ---- */

static void do_send(void *ctx, struct slice octets)
{
	struct smtpd_conn *c = ctx;
	enum err e = stream_write(c->stream, octets);
	if (e == ERR_AGAIN)
		c->clogged = true;
	else if (e != ERR_OK && e != ERR_CLOSED)
		stream_abort(c->stream);
}

static void do_start_tls(void *ctx)
{
	struct smtpd_conn *c = ctx;
	struct diag why = {0};
	if (stream_tls_accept_early(c->stream, c->tls, c->early, c->conf->timeout.handshake, &why) == ERR_OK)
		return;
	struct log_line l = log_begin(c->d->env.log, LOG_WARNING, "smtp.tls_failed");
	log_u64(&l, "session", c->number);
	log_cstr(&l, "why", why.text);
	log_end(&l);
	stream_abort(c->stream);
}

static void do_auth_start(void *ctx, const struct smtpd_auth_request *r)
{
	struct smtpd_conn *c = ctx;
	if (!smtpd_auth_start(&c->d->auth, c, r))
		task_defer(&c->auth_late);
}

static void do_auth_response(void *ctx, struct slice data)
{
	struct smtpd_conn *c = ctx;
	if (!smtpd_auth_response(&c->d->auth, c, data))
		task_defer(&c->auth_late);
}

static void do_auth_cancel(void *ctx)
{
	struct smtpd_conn *c = ctx;
	task_cancel(&c->auth_late);
	smtpd_auth_cancel(&c->d->auth, c);
}

static bool do_mail_welcome(void *ctx, struct wire_reply *ret_refusal)
{
	struct smtpd_conn *c = ctx;
	return smtpd_queue_welcome(&c->d->queue, ret_refusal);
}

static bool do_mail_begin(void *ctx, uint64_t *ret_id, uint64_t *ret_window)
{
	struct smtpd_conn *c = ctx;
	*ret_window = WIRE_SUBMIT_WINDOW;
	return smtpd_queue_begin(&c->d->queue, c, ret_id);
}

static void do_mail_append(void *ctx, struct slice content)
{
	struct smtpd_conn *c = ctx;
	smtpd_queue_append(&c->d->queue, c, content);
}

static bool do_mail_end(void *ctx, const struct record_message *envelope, const struct edits *edits)
{
	struct smtpd_conn *c = ctx;
	return smtpd_queue_end(&c->d->queue, c, envelope, edits);
}

static void do_mail_abort(void *ctx)
{
	struct smtpd_conn *c = ctx;
	smtpd_queue_abort(&c->d->queue, c);
}

static void do_set_timer(void *ctx, uint64_t delay_ms)
{
	struct smtpd_conn *c = ctx;
	if (delay_ms)
		timer_set(&c->timer, delay_ms);
	else
		timer_cancel(&c->timer);
}

static void do_close(void *ctx)
{
	struct smtpd_conn *c = ctx;
	if (c->reading) /* closing drops the input that the session still looks at */
		c->closing = true;
	else
		stream_close(c->stream, SMTPD_LINGER_MS);
}

static void do_log(void *ctx, const struct smtpd_event *e)
{
	smtpd_event_log(ctx, e);
}

static const struct smtpd_actions actions = {
	.send = do_send,
	.start_tls = do_start_tls,
	.auth_start = do_auth_start,
	.auth_response = do_auth_response,
	.auth_cancel = do_auth_cancel,
	.mail_welcome = do_mail_welcome,
	.mail_begin = do_mail_begin,
	.mail_append = do_mail_append,
	.mail_end = do_mail_end,
	.mail_abort = do_mail_abort,
	.set_timer = do_set_timer,
	.close = do_close,
	.log = do_log,
};

/* ---- what the stream tells ---- */

/* Behind the client's end of stream: is there nothing more to do? Not while somebody owes the session an answer or
 * credit, or its input waits for room; a line without an end will never get one. */
static bool said_all(const struct smtpd_conn *c)
{
	enum smtpd_state st = smtpd_session_state(c->session);
	if (st == SMTPD_AUTH_WAIT || st == SMTPD_COMMIT || st == SMTPD_TLS)
		return false;
	return c->left == 0 || (st != SMTPD_DATA && !c->clogged && !smtpd_queue_blocked(&c->d->queue));
}

/* The first octets of a connection from a balancer. Behind an implicit TLS listener the handshake follows in the same
 * breath: it is handed on, not discarded. */
static size_t on_proxy_header(struct smtpd_conn *c, struct slice in)
{
	struct net_addr client = *stream_peer(c->stream);
	size_t used = 0;
	switch (proxy_parse(in, &client, &used)) {
	case PROXY_MORE:
		return 0;
	case PROXY_BAD:
		refuse(c, &client, "malformed PROXY header", NULL);
		return 0;
	case PROXY_OK:
	case PROXY_LOCAL:
		break;
	}
	if (c->listener->tls == CONF_LISTENER_IMPLICIT)
		c->early = slice_from(in, used);
	timer_cancel(&c->timer);
	if (!admit(c, &client))
		return 0;
	c->early = SLICE_EMPTY;
	stream_resume(c->stream); /* a client that does not wait for the greeting is not kept waiting */
	return used;
}

static size_t on_read(void *ctx, struct slice in)
{
	struct smtpd_conn *c = ctx;
	if (!c->session)
		return on_proxy_header(c, in);
	c->left = in.len;
	if (c->clogged || smtpd_queue_blocked(&c->d->queue))
		return 0;
	c->reading = true;
	size_t n = smtpd_session_input(c->session, in, loop_wall(c->d->env.loop));
	c->reading = false;
	smtpd_queue_flush(&c->d->queue);
	c->left = in.len - n;
	if (c->closing || (c->eof && said_all(c)))
		stream_close(c->stream, SMTPD_LINGER_MS);
	return n;
}

static void on_drain(void *ctx)
{
	struct smtpd_conn *c = ctx;
	c->clogged = false;
	smtpd_conn_wake(c);
}

/* A client that has said everything may still want to hear the answers. */
static void on_eof(void *ctx)
{
	struct smtpd_conn *c = ctx;
	c->eof = true;
	if (!c->session || said_all(c))
		stream_close(c->stream, SMTPD_LINGER_MS);
}

static void on_tls(void *ctx, const struct tls_info *info)
{
	struct smtpd_conn *c = ctx;
	smtpd_session_tls(c->session, info);
	smtpd_conn_wake(c);
}

static void on_close(void *ctx, const struct diag *why)
{
	struct smtpd_conn *c = ctx;
	struct smtpd *d = c->d;
	smtpd_event_close(c, why);
	smtpd_conn_free(c);
	smtpd_conn_gone(d);
}

static const struct stream_events events = {
	.on_read = on_read,
	.on_drain = on_drain,
	.on_eof = on_eof,
	.on_tls = on_tls,
	.on_close = on_close,
};

static void on_timer(void *ctx)
{
	struct smtpd_conn *c = ctx;
	if (!c->session) {
		stream_abort(c->stream); /* no PROXY header came */
		return;
	}
	smtpd_session_timeout(c->session);
	smtpd_conn_wake(c);
}

static void on_life(void *ctx)
{
	struct smtpd_conn *c = ctx;
	smtpd_session_expire(c->session);
}

static void on_auth_late(void *ctx)
{
	struct smtpd_conn *c = ctx;
	smtpd_conn_verdict(c, WIRE_AUTH_LATER, SLICE_EMPTY);
}

void smtpd_conn_wake(struct smtpd_conn *c)
{
	if (!c->session)
		return;
	if (c->eof && said_all(c))
		stream_close(c->stream, SMTPD_LINGER_MS);
	else
		stream_resume(c->stream);
}

/* A server may have only so many connections here; one too many is sent away for a while. */
static bool server_fits(struct smtpd_conn *c, struct slice server)
{
	ASSERT(!c->server);
	c->server = smtpd_share_take(&c->d->servers, server, c->conf->limit.connections_per_server);
	return c->server != NULL;
}

void smtpd_conn_verdict(struct smtpd_conn *c, enum wire_auth_outcome outcome, struct slice server)
{
	if (outcome == WIRE_AUTH_OK && !server_fits(c, server))
		outcome = WIRE_AUTH_LATER;
	smtpd_session_auth_verdict(c->session, outcome, server);
	smtpd_conn_wake(c);
}

void smtpd_conn_drain(struct smtpd_conn *c)
{
	if (c->session)
		smtpd_session_drain(c->session);
	else
		stream_abort(c->stream);
}

void smtpd_conn_expire(struct smtpd_conn *c)
{
	if (c->session)
		smtpd_session_expire(c->session);
}

/* ---- life ---- */

void smtpd_conn_free(struct smtpd_conn *c)
{
	smtpd_session_free(c->session); /* first: it may withdraw from the links */
	ASSERT(c->auth_ref == 0 && c->mail_id == 0);
	timer_cancel(&c->timer);
	timer_cancel(&c->life);
	task_cancel(&c->auth_late);
	smtpd_share_give(&c->d->networks, c->network);
	smtpd_share_give(&c->d->servers, c->server);
	stream_free(c->stream);
	tls_server_unref(c->tls);
	conf_unref(c->conf);
	list_remove(&c->d->conns, &c->node);
	mem_free(c);
}

static struct smtpd_session *session_new(struct smtpd_conn *c, const struct net_addr *client)
{
	struct buf b;
	buf_init(&b, SMTPD_CLIENT_MAX);
	if (client->u.sa.sa_family == AF_UNIX)
		buf_add_str(&b, "unix");
	else
		net_addr_format_ip(client, &b);
	struct smtpd_options o = {.conf = c->conf,
				  .listener = c->listener,
				  .client = buf_slice(&b),
				  .tls_available = c->tls != NULL,
				  .xclient = smtpd_peer_listed(&c->listener->xclient, client),
				  .extensions = SMTPD_EXT_8BITMIME | SMTPD_EXT_CHUNKING,
				  .mechanisms = c->listener->mechanisms};
	struct smtpd_session *s = smtpd_session_new(&o, &actions, c);
	buf_done(&b);
	return s;
}

/* Sends the client away, with an answer where it can be understood, and frees the connection. */
static void refuse(struct smtpd_conn *c, const struct net_addr *client, const char *why, const char *answer)
{
	struct smtpd *d = c->d;
	struct buf text;
	buf_init(&text, SMTPD_CLIENT_MAX);
	net_addr_format_ip(client, &text);
	log_event(d->env.log, LOG_WARNING, "smtp.connection_refused", "client", buf_cstr(&text), "why", why,
		  NULL);
	buf_done(&text);
	d->counters.refused_connections++;
	if (answer && c->listener->tls != CONF_LISTENER_IMPLICIT) {
		(void)stream_write(c->stream, slice_str(answer));
		stream_flush(c->stream);
	}
	smtpd_conn_free(c);
	smtpd_conn_gone(d);
}

/* Counts the connection for its network. A mail proxy that speaks for others is not one network. */
static bool network_fits(struct smtpd_conn *c, const struct net_addr *client)
{
	char key[SMTPD_NETWORK_KEY];
	const struct conf_limit *l = &c->conf->limit;
	if (smtpd_peer_listed(&c->listener->xclient, client))
		return true;
	c->network = smtpd_share_take(&c->d->networks, smtpd_network_key(client, l, key),
				      l->connections_per_network);
	return c->network != NULL;
}

/* The client is known: the session begins. False: it was refused, the connection is gone. */
static bool admit(struct smtpd_conn *c, const struct net_addr *client)
{
	const struct conf_texts *clients = &c->listener->clients;
	const char *why = NULL, *answer = too_busy;
	if (clients->count > 0 && !smtpd_peer_listed(clients, client)) {
		why = "not among the clients of the listener";
		answer = not_you;
	} else if (c->listener->tls == CONF_LISTENER_IMPLICIT && !c->tls) {
		why = "no certificate";
	} else if (!network_fits(c, client)) {
		why = "limit of connections per network";
	} else if (!(c->session = session_new(c, client))) {
		why = "no memory";
	}
	if (why) {
		refuse(c, client, why, answer);
		return false;
	}
	smtpd_event_connect(c);
	timer_set(&c->life, c->conf->timeout.session);
	smtpd_session_start(c->session);
	return true;
}

static struct smtpd_conn *conn_new(struct smtpd *d, struct conf *conf, const struct conf_listener *l,
				   struct stream *s)
{
	struct smtpd_conn *c = NEW(struct smtpd_conn);
	if (!c)
		return NULL;
	*c = (struct smtpd_conn){.d = d,
				 .number = ++d->next_number,
				 .conf = conf,
				 .tls = d->tls,
				 .listener = l,
				 .stream = s,
				 .began_ms = loop_wall(d->env.loop)};
	conf_ref(conf);
	if (c->tls)
		tls_server_ref(c->tls);
	timer_init(&c->timer, d->env.loop, on_timer, c);
	timer_init(&c->life, d->env.loop, on_life, c);
	task_init(&c->auth_late, d->env.loop, on_auth_late, c);
	list_push_back(&d->conns, &c->node);
	return c;
}

void smtpd_conn_accept(struct smtpd *d, struct conf *conf, const struct conf_listener *l, struct stream *s)
{
	struct smtpd_conn *c = conn_new(d, conf, l, s);
	if (!c) {
		stream_free(s);
		return;
	}
	stream_set_events(s, &events, c);
	if (d->conns.count > d->connections_max) {
		refuse(c, stream_peer(s), "limit of connections", too_busy);
	} else if (smtpd_peer_listed(&l->proxy, stream_peer(s))) {
		timer_set(&c->timer, conf->timeout.handshake);
	} else {
		(void)admit(c, stream_peer(s));
	}
}
