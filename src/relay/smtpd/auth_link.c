/* Exchanges with the auth process: one reference each, from start to verdict. */
#include "relay/smtpd/smtpd_priv.h"

#include "core/hash.h"

#include <string.h>

static bool exchange_eq(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct smtpd_conn, auth_node)->auth_ref == *(const uint64_t *)key;
}

void smtpd_auth_init(struct smtpd_auth_link *a, struct smtpd *d)
{
	*a = (struct smtpd_auth_link){.d = d, .next_ref = 1};
	map_init(&a->exchanges, exchange_eq);
	buf_init(&a->payload, IPC_PAYLOAD_MAX);
}

void smtpd_auth_done(struct smtpd_auth_link *a)
{
	ASSERT(a->exchanges.count == 0);
	ipc_free(a->ipc);
	map_done(&a->exchanges);
	buf_done(&a->payload);
}

/* Secrets went through the scratch: it is emptied at once. */
static bool send_frame(struct smtpd_auth_link *a, uint16_t type)
{
	bool ok = a->ipc && !a->payload.failed &&
		  ipc_send(a->ipc, type, buf_slice(&a->payload), NULL, 0) == ERR_OK;
	if (a->payload.data)
		explicit_bzero(a->payload.data, a->payload.len);
	buf_clear(&a->payload);
	return ok;
}

static void forget(struct smtpd_auth_link *a, struct smtpd_conn *c)
{
	map_remove(&a->exchanges, &c->auth_node);
	c->auth_ref = 0;
}

bool smtpd_auth_start(struct smtpd_auth_link *a, struct smtpd_conn *c, const struct smtpd_auth_request *r)
{
	struct wire_auth_start m = {.ref = a->next_ref,
				    .mechanism = r->mechanism,
				    .has_initial = r->has_initial,
				    .initial = r->initial,
				    .client = smtpd_session_client(c->session),
				    .tls = stream_tls_info(c->stream) != NULL};
	const struct tls_info *tls = stream_tls_info(c->stream);
	uint8_t binding[STREAM_BINDING];
	ASSERT(c->auth_ref == 0);
	if (r->binding && stream_tls_binding(c->stream, binding))
		m.binding = slice_of(binding, sizeof(binding));
	if (tls)
		m.external = tls->peer_name;
	wire_auth_start_encode(&m, &a->payload);
	c->auth_ref = a->next_ref;
	if (map_insert(&a->exchanges, &c->auth_node, hash_u64(c->auth_ref)) != ERR_OK) {
		c->auth_ref = 0;
		buf_clear(&a->payload);
		return false;
	}
	a->next_ref++;
	if (send_frame(a, WIRE_AUTH_START))
		return true;
	forget(a, c);
	return false;
}

bool smtpd_auth_response(struct smtpd_auth_link *a, struct smtpd_conn *c, struct slice data)
{
	if (c->auth_ref == 0)
		return false;
	wire_auth_step_encode(&(struct wire_auth_step){.ref = c->auth_ref, .data = data}, &a->payload);
	if (send_frame(a, WIRE_AUTH_RESPONSE))
		return true;
	forget(a, c);
	return false;
}

void smtpd_auth_cancel(struct smtpd_auth_link *a, struct smtpd_conn *c)
{
	if (c->auth_ref == 0)
		return;
	wire_auth_cancel_encode(&(struct wire_auth_cancel){.ref = c->auth_ref}, &a->payload);
	(void)send_frame(a, WIRE_AUTH_CANCEL); /* lost: auth forgets it by its own deadline */
	forget(a, c);
}

/* ---- answers ---- */

static struct smtpd_conn *find(struct smtpd_auth_link *a, uint64_t ref)
{
	struct map_node *n = map_find(&a->exchanges, hash_u64(ref), &ref);
	return n ? CONTAINER_OF(n, struct smtpd_conn, auth_node) : NULL;
}

static void on_challenge(struct smtpd_auth_link *a, const struct wire_auth_step *m)
{
	struct smtpd_conn *c = find(a, m->ref);
	if (!c)
		return;
	smtpd_session_auth_challenge(c->session, m->data);
	smtpd_conn_wake(c);
}

static void on_verdict(struct smtpd_auth_link *a, const struct wire_auth_verdict *m)
{
	struct smtpd_conn *c = find(a, m->ref);
	if (!c)
		return;
	forget(a, c);
	smtpd_conn_verdict(c, m->outcome, m->server);
}

static void lost(struct smtpd_auth_link *a, const char *why)
{
	log_event(a->d->env.log, LOG_WARNING, "smtpd.auth_lost", "why", why, NULL);
	ipc_free(a->ipc);
	a->ipc = NULL;
	LIST_EACH_SAFE (&a->d->conns, n, tmp) {
		struct smtpd_conn *c = CONTAINER_OF(n, struct smtpd_conn, node);
		if (c->auth_ref == 0)
			continue;
		forget(a, c);
		smtpd_conn_verdict(c, WIRE_AUTH_LATER, SLICE_EMPTY);
	}
}

static void broken(struct smtpd_auth_link *a, const char *why)
{
	lost(a, why);
	a->d->env.lost(a->d->env.ctx, ROLE_AUTH);
}

static void on_frame(void *ctx, struct ipc_frame *f)
{
	struct smtpd_auth_link *a = ctx;
	struct wire_auth_step step;
	struct wire_auth_verdict verdict;
	if (f->type == WIRE_AUTH_CHALLENGE && wire_auth_step_decode(f->payload, &step) == ERR_OK)
		on_challenge(a, &step);
	else if (f->type == WIRE_AUTH_VERDICT && wire_auth_verdict_decode(f->payload, &verdict) == ERR_OK &&
		 (verdict.outcome != WIRE_AUTH_OK ||
		  (verdict.server.len > 0 && verdict.server.len <= SMTPD_NAME_MAX)))
		on_verdict(a, &verdict);
	else
		broken(a, "malformed frame");
}

static void on_close(void *ctx, const struct diag *why)
{
	broken(ctx, why->text);
}

void smtpd_auth_connect(struct smtpd_auth_link *a, int fd)
{
	static const struct ipc_events events = {.on_frame = on_frame, .on_close = on_close};
	struct diag why = {0};
	if (a->ipc)
		lost(a, "replaced by a new channel");
	if (ipc_new(a->d->env.loop, fd, &events, a, &a->ipc, &why) != ERR_OK) {
		a->ipc = NULL;
		log_event(a->d->env.log, LOG_ERROR, "smtpd.auth_lost", "why", why.text, NULL);
	}
}
