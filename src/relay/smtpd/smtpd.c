/* The process: listeners, epochs of configuration and certificates, drain. */
#include "relay/smtpd/smtpd_priv.h"

#include "core/mem.h"
#include "relay/smtpd/smtpd_role.h"

#include <unistd.h>

/* ---- start and stop ---- */

static void on_drained(void *ctx)
{
	struct smtpd *d = ctx;
	if (d->told)
		return;
	d->told = true;
	d->env.drained(d->env.ctx);
}

static void on_drain_timer(void *ctx)
{
	struct smtpd *d = ctx;
	LIST_EACH_SAFE (&d->conns, n, tmp)
		smtpd_conn_expire(CONTAINER_OF(n, struct smtpd_conn, node));
}

/* limit.connections is for all smtpd together; each takes an equal share of it, since they do not know each other. */
static uint64_t connections_share(const struct conf *c)
{
	long cores = c->process.smtpd ? (long)c->process.smtpd : sysconf(_SC_NPROCESSORS_ONLN);
	return MAX(c->limit.connections / (uint64_t)MAX(cores, 1), 1);
}

static enum err start(const struct role_env *env, void **ret_self, struct diag *d)
{
	struct smtpd *s = NEW(struct smtpd);
	if (!s)
		return diag_set(d, ERR_NOMEM, "smtpd: no memory");
	s->env = *env;
	s->conf = env->conf;
	conf_ref(s->conf);
	s->connections_max = connections_share(s->conf);
	list_init(&s->listeners);
	list_init(&s->conns);
	map_init(&s->networks, smtpd_share_eq);
	map_init(&s->servers, smtpd_share_eq);
	smtpd_queue_init(&s->queue, s);
	smtpd_auth_init(&s->auth, s);
	timer_init(&s->drain_timer, env->loop, on_drain_timer, s);
	task_init(&s->drained, env->loop, on_drained, s);
	*ret_self = s;
	return ERR_OK;
}

static void listener_done(struct smtpd_listener *l)
{
	listener_free(l->accepting);
	conf_unref(l->conf);
	list_remove(&l->d->listeners, &l->node);
	mem_free(l);
}

static void close_listeners(struct smtpd *d)
{
	LIST_EACH_SAFE (&d->listeners, n, tmp)
		listener_done(CONTAINER_OF(n, struct smtpd_listener, node));
}

static void stop(void *self)
{
	struct smtpd *d = self;
	close_listeners(d);
	LIST_EACH_SAFE (&d->conns, n, tmp)
		smtpd_conn_free(CONTAINER_OF(n, struct smtpd_conn, node));
	timer_cancel(&d->drain_timer);
	task_cancel(&d->drained);
	smtpd_queue_done(&d->queue);
	smtpd_auth_done(&d->auth);
	map_done(&d->networks);
	map_done(&d->servers);
	tls_server_unref(d->tls);
	conf_unref(d->conf);
	mem_free(d);
}

void smtpd_conn_gone(struct smtpd *d)
{
	if (d->draining && d->conns.count == 0)
		task_defer(&d->drained);
}

/* Nothing new; those inside finish the mail under way, at the latest when timeout.drain is over. */
static void drain(void *self)
{
	struct smtpd *d = self;
	if (d->draining)
		return;
	d->draining = true;
	close_listeners(d);
	LIST_EACH_SAFE (&d->conns, n, tmp)
		smtpd_conn_drain(CONTAINER_OF(n, struct smtpd_conn, node));
	timer_set(&d->drain_timer, d->conf->timeout.drain);
	smtpd_conn_gone(d);
}

/* ---- listeners ---- */

static void on_accept(void *ctx, struct stream *s)
{
	struct smtpd_listener *l = ctx;
	smtpd_conn_accept(l->d, l->conf, l->listener, s);
}

static void on_exhausted(void *ctx, enum err e)
{
	struct smtpd_listener *l = ctx;
	log_event(l->d->env.log, LOG_ERROR, "smtpd.exhausted", "why", err_name(e), NULL);
}

static void add_listener(void *self, uint32_t index, int fd)
{
	static const struct listener_events events = {.on_accept = on_accept, .on_exhausted = on_exhausted};
	struct smtpd *d = self;
	struct diag why = {0};
	struct smtpd_listener *l =
		index < d->conf->nlisteners && !d->draining ? NEW(struct smtpd_listener) : NULL;
	if (!l) {
		log_event(d->env.log, LOG_ERROR, "smtpd.listener_failed", "why",
			  "unknown listener or no memory", NULL);
		base_close(&fd);
		return;
	}
	l->d = d;
	l->conf = d->conf;
	l->listener = &d->conf->listeners[index];
	if (listener_new(d->env.loop, fd, &events, l, &l->accepting, &why) != ERR_OK) {
		log_event(d->env.log, LOG_ERROR, "smtpd.listener_failed", "why", why.text, NULL);
		mem_free(l);
		return;
	}
	conf_ref(l->conf);
	list_push_back(&d->listeners, &l->node);
}

/* ---- epochs ---- */

/* New connections follow the newer configuration, whose listeners come next; a session keeps the one it began with. */
static void config(void *self, struct conf *newer, uint64_t epoch)
{
	struct smtpd *d = self;
	conf_ref(newer);
	conf_unref(d->conf);
	d->conf = newer;
	d->connections_max = connections_share(newer);
	close_listeners(d);
}

static enum err secrets(void *self, struct slice certificate, struct slice key, struct slice ticket,
			struct diag *why)
{
	struct smtpd *d = self;
	struct tls_server_options o = {.certificate_pem = certificate, .key_pem = key, .ticket_key = ticket};
	struct tls_server *tls;
	enum err e = tls_server_new(&o, &tls, why);
	if (e != ERR_OK)
		return e;
	tls_server_unref(d->tls);
	d->tls = tls;
	return ERR_OK;
}

static void peer(void *self, enum wire_role role, uint32_t slot, int fd)
{
	struct smtpd *d = self;
	if (role == ROLE_QUEUE)
		smtpd_queue_connect(&d->queue, fd);
	else if (role == ROLE_AUTH)
		smtpd_auth_connect(&d->auth, fd);
	else
		base_close(&fd);
}

static void heartbeat(void *self, struct wire_heartbeat *hb)
{
	struct smtpd *d = self;
	const struct smtpd_counters *n = &d->counters;
	const struct wire_counter counters[] = {
		{SLICE_LIT("sessions"), d->conns.count},
		{SLICE_LIT("connections"), n->connections},
		{SLICE_LIT("connections_refused"), n->refused_connections},
		{SLICE_LIT("tls_handshakes"), n->tls},
		{SLICE_LIT("tls_failed"), n->tls_failed},
		{SLICE_LIT("auth_ok"), n->auth},
		{SLICE_LIT("auth_failed"), n->auth_failed},
		{SLICE_LIT("accepted"), n->accepted},
		{SLICE_LIT("accepted_recipients"), n->recipients},
		{SLICE_LIT("accepted_octets"), n->octets},
		{SLICE_LIT("refused"), n->refused},
	};
	for (size_t i = 0; i < ARRAY_LEN(counters) && hb->count < WIRE_COUNTERS_MAX; i++)
		hb->counters[hb->count++] = counters[i];
	if (!d->queue.ipc)
		hb->trouble = SLICE_LIT("no channel to the queue");
	else if (!d->auth.ipc)
		hb->trouble = SLICE_LIT("no channel to auth");
}

const struct role_ops smtpd_role = {
	.role = ROLE_SMTPD,
	.start = start,
	.peer = peer,
	.config = config,
	.secrets = secrets,
	.listener = add_listener,
	.heartbeat = heartbeat,
	.drain = drain,
	.stop = stop,
};
