/* The process: its channel to the queue, its life. */
#include "relay/smtpc/smtpc_priv.h"

#include "core/mem.h"
#include "relay/smtpc/smtpc_role.h"

static void lose_queue(struct smtpc *p)
{
	ipc_free(p->queue);
	p->queue = NULL;
	smtpc_loans_forget(p);
	smtpc_check_drained(p);
}

static enum err take_loan(struct smtpc *p, struct ipc_frame *f)
{
	struct wire_loan m;
	enum err e = wire_loan_decode(f->payload, &m);
	if (e || f->nfds != 1)
		return ERR_CORRUPT;
	smtpc_loan_add(p, m.segment, f->fds[0]);
	f->fds[0] = -1;
	return ERR_OK;
}

static enum err take_unloan(struct smtpc *p, struct slice payload)
{
	struct wire_loan m;
	enum err e = wire_loan_decode(payload, &m);
	if (!e)
		smtpc_loan_drop(p, m.segment);
	return e;
}

static enum err take_ack(struct smtpc *p, struct slice payload)
{
	struct wire_job_ref m;
	enum err e = wire_job_ref_decode(payload, &m);
	if (!e)
		smtpc_job_acknowledge(p, m.job);
	return e;
}

static enum err take_frame(struct smtpc *p, struct ipc_frame *f)
{
	switch (f->type) {
	case WIRE_LOAN:
		return take_loan(p, f);
	case WIRE_UNLOAN:
		return take_unloan(p, f->payload);
	case WIRE_JOB:
		return smtpc_job_take(p, f->payload);
	case WIRE_RESULT_ACK:
		return take_ack(p, f->payload);
	default:
		return ERR_UNSUPPORTED;
	}
}

/* Closing tells the queue that its jobs here have an unknown end; after a restart of the channel they are reported. */
static void on_frame(void *ctx, struct ipc_frame *f)
{
	struct smtpc *p = ctx;
	enum err e = take_frame(p, f);
	if (!e)
		return;
	log_event(p->env.log, LOG_ERROR, "smtpc.bad_frame", "from", "queue", "why", err_name(e), NULL);
	lose_queue(p);
	p->env.lost(p->env.ctx, ROLE_QUEUE);
}

static void on_drain(void *ctx)
{
	smtpc_jobs_flush(ctx);
}

static void on_flush(void *ctx)
{
	smtpc_jobs_flush(ctx);
}

static void on_queue_close(void *ctx, const struct diag *why)
{
	struct smtpc *p = ctx;
	lose_queue(p);
	p->env.lost(p->env.ctx, ROLE_QUEUE);
}

/* ---- the role ---- */

static void peer(void *self, enum wire_role role, uint32_t slot, int fd)
{
	static const struct ipc_events events = {
		.on_frame = on_frame, .on_drain = on_drain, .on_close = on_queue_close};
	struct smtpc *p = self;
	struct diag d = {0};
	if (p->queue)
		lose_queue(p);
	if (ipc_new(p->env.loop, fd, &events, p, &p->queue, &d) == ERR_OK)
		smtpc_jobs_report(p);
	else
		log_event(p->env.log, LOG_ERROR, "smtpc.channel_failed", "why", d.text, NULL);
}

static void config(void *self, struct conf *conf, uint64_t epoch)
{
	struct smtpc *p = self;
	conf_ref(conf);
	conf_unref(p->conf);
	p->conf = conf;
}

static void heartbeat(void *self, struct wire_heartbeat *hb)
{
	const struct smtpc *p = self;
	const struct wire_counter counters[] = {
		{SLICE_LIT("smtpc_jobs"), p->jobs.count},
		{SLICE_LIT("smtpc_connections"), p->conns},
		{SLICE_LIT("smtpc_idle"), p->idle},
		{SLICE_LIT("smtpc_connects"), p->connects},
		{SLICE_LIT("smtpc_connect_failures"), p->connect_failures},
		{SLICE_LIT("smtpc_reused"), p->reused},
		{SLICE_LIT("smtpc_tls_sessions"), p->tls_sessions},
		{SLICE_LIT("smtpc_delivered"), p->delivered},
		{SLICE_LIT("smtpc_deferred"), p->deferred},
		{SLICE_LIT("smtpc_failed"), p->failed},
		{SLICE_LIT("smtpc_unknown"), p->unknown},
	};
	for (size_t i = 0; i < ARRAY_LEN(counters) && hb->count < WIRE_COUNTERS_MAX; i++)
		hb->counters[hb->count++] = counters[i];
}

/* Drained: everything that was begun has ended, and the queue has it, or there is none that could take it. */
void smtpc_check_drained(struct smtpc *p)
{
	if (!p->draining || p->drained)
		return;
	bool told = p->jobs.count == 0 || (!p->queue && p->conns == 0);
	if (!told)
		return;
	p->drained = true;
	p->env.drained(p->env.ctx);
}

static void drain(void *self)
{
	struct smtpc *p = self;
	p->draining = true;
	smtpc_pools_close_idle(p);
	smtpc_check_drained(p);
}

static void stop(void *self)
{
	struct smtpc *p = self;
	struct list_node *n;
	p->drained = true; /* nothing new is opened, nobody is told */
	smtpc_pools_done(p);
	while ((n = list_first(&p->all)))
		smtpc_conn_free(CONTAINER_OF(n, struct smtpc_conn, all));
	smtpc_jobs_free(p);
	smtpc_loans_forget(p);
	map_done(&p->loans);
	map_done(&p->pools);
	task_cancel(&p->flush);
	ipc_free(p->queue);
	tls_client_free(p->tls);
	buf_done(&p->frame);
	mem_free(p->chunk);
	conf_unref(p->conf);
	mem_free(p);
}

static enum err start(const struct role_env *env, void **ret_self, struct diag *d)
{
	const struct tls_client_options tls = {.ca_pem = env->ca_pem, .no_system_store = true};
	struct smtpc *p = NEW(struct smtpc);
	if (!p)
		return diag_set(d, ERR_NOMEM, "no memory for smtpc");
	p->env = *env;
	p->conf = env->conf;
	conf_ref(p->conf);
	smtpc_loans_init(p);
	smtpc_jobs_init(p);
	smtpc_pools_init(p);
	task_init(&p->flush, env->loop, on_flush, p);
	buf_init(&p->frame, IPC_PAYLOAD_MAX);
	p->chunk = mem_alloc(SMTPC_CHUNK);
	enum err e =
		p->chunk ? tls_client_new(&tls, &p->tls, d) : diag_set(d, ERR_NOMEM, "no memory for smtpc");
	if (e) {
		stop(p);
		return e;
	}
	*ret_self = p;
	return ERR_OK;
}

const struct role_ops smtpc_role = {
	.role = ROLE_SMTPC,
	.start = start,
	.peer = peer,
	.config = config,
	.heartbeat = heartbeat,
	.drain = drain,
	.stop = stop,
};
