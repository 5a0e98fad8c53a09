#include "relay/queue/queue_priv.h"

#include "core/mem.h"
#include "relay/queue/move.h"
#include "relay/queue/queue_role.h"
#include "relay/queue/transfer.h"

#include <string.h>

static bool message_eq(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct message, node)->id == *(const uint64_t *)key;
}

static bool target_eq(const struct map_node *n, const void *key)
{
	return slice_eq(CONTAINER_OF(n, struct target, node)->key, *(const struct slice *)key);
}

static bool job_eq(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct job, node)->id == *(const uint64_t *)key;
}

void queue_log_spool(struct queue *q, const char *event, uint64_t id, const struct diag *why)
{
	char text[RECORD_ID_TEXT_MAX];
	if (q->stopped)
		return;
	struct log_line l = log_begin(q->env.log, LOG_ERROR, event);
	if (id) {
		record_id_format(id, text);
		log_cstr(&l, "id", text);
	}
	log_cstr(&l, "why", why && why->text[0] ? why->text : "no memory");
	log_end(&l);
}

/* ---- channels ---- */

void queue_channel_failed(struct queue *q, enum wire_role role, uint32_t slot)
{
	if (role == ROLE_SMTPD)
		q->intake_failed[slot] = true;
	else if (role == ROLE_SMTPC && q->carriers[slot])
		q->carriers[slot]->failed = true;
	else if (role == ROLE_RESOLVER)
		q->resolver_failed = true;
	task_defer(&q->cleanup);
}

static void cleanup(void *ctx)
{
	struct queue *q = ctx;
	for (uint32_t i = 0; i < QUEUE_SMTPD_MAX; i++) {
		if (!q->intake_failed[i])
			continue;
		q->intake_failed[i] = false;
		intake_free(q->intakes[i]);
		q->intakes[i] = NULL;
	}
	for (uint32_t i = 0; i < QUEUE_SMTPC_MAX; i++)
		if (q->carriers[i] && q->carriers[i]->failed)
			carrier_free(q->carriers[i]);
	if (q->resolver_failed) {
		q->resolver_failed = false;
		ipc_free(q->resolver);
		q->resolver = NULL;
		q->env.lost(q->env.ctx, ROLE_RESOLVER);
	}
	queue_check_drained(q);
}

static void peer_failed(struct queue *q, const char *what, const struct diag *d)
{
	log_event(q->env.log, LOG_ERROR, "queue.channel_failed", "to", what, "why", d->text, NULL);
}

static void queue_peer(void *self, enum wire_role role, uint32_t slot, int fd)
{
	struct queue *q = self;
	struct diag d = {0};
	enum err e = ERR_OK;
	if (role == ROLE_SMTPD && slot < QUEUE_SMTPD_MAX) {
		intake_free(q->intakes[slot]);
		q->intakes[slot] = NULL;
		q->intake_failed[slot] = false;
		e = intake_new(q, slot, fd, &q->intakes[slot], &d);
		if (!e)
			intake_announce(q->intakes[slot]);
	} else if (role == ROLE_SMTPC && slot < QUEUE_SMTPC_MAX) {
		if (q->carriers[slot])
			carrier_free(q->carriers[slot]);
		e = carrier_new(q, slot, fd, &q->carriers[slot], &d);
	} else if (role == ROLE_RESOLVER) {
		q->resolver_failed = false;
		e = resolver_open(q, fd, &d);
	} else {
		base_close(&fd);
	}
	if (e)
		peer_failed(q, wire_role_name(role), &d);
}

/* ---- the spool ---- */

static void announce(struct queue *q)
{
	for (uint32_t i = 0; i < QUEUE_SMTPD_MAX; i++)
		if (q->intakes[i])
			intake_announce(q->intakes[i]);
}

static void on_live(void *ctx, const struct spool_live *m)
{
	struct queue *q = ctx;
	struct diag d = {0};
	if (q->stopped)
		return;
	if (moves_is_marker(q, m))
		return;
	enum err e = index_add_live(q, m);
	if (e) {
		diag_set(&d, e, "%s", err_name(e));
		queue_log_spool(q, "queue.not_indexed", m->id, &d);
	}
	moves_on_live(q, m);
}

static void log_opened(struct queue *q, const struct spool_report *r)
{
	struct log_line l = log_begin(q->env.log, LOG_INFO, "queue.opened");
	log_u64(&l, "generation", r->generation);
	log_u64(&l, "live", r->live);
	log_u64(&l, "dropped_uncommitted", r->dropped);
	log_u64(&l, "perhaps_unanswered", r->unanswered);
	log_u64(&l, "damaged", r->damaged);
	log_u64(&l, "took_ms", r->took_ms);
	log_end(&l);
}

static void on_ready(void *ctx, enum err e, const struct spool_report *r, const struct diag *why)
{
	struct queue *q = ctx;
	if (q->stopped)
		return;
	if (e) {
		/* Stays up and says so: the parent's status and the clients' 451 tell more than a restart loop. */
		queue_log_spool(q, "queue.spool_not_opened", 0, why);
		q->closing = true;
		return;
	}
	q->ready = true;
	q->report = *r;
	log_opened(q, r);
	moves_opened(q);
	announce(q);
	for (uint32_t i = 0; i < QUEUE_SMTPC_MAX; i++)
		if (q->carriers[i])
			carrier_open(q->carriers[i]);
	timer_set(&q->expire, QUEUE_EXPIRE_MS);
	task_defer(&q->pump);
}

static void on_health(void *ctx, enum spool_health h, const struct diag *why)
{
	static const char *const events[] = {"spool.healthy", "spool.reserve_reached", "spool.broken"};
	struct queue *q = ctx;
	if (q->stopped)
		return;
	log_event(q->env.log, h == SPOOL_HEALTHY ? LOG_INFO : LOG_ERROR, events[h], "why",
		  why ? why->text : "", NULL);
	announce(q);
}

/* ---- draining ---- */

static void queue_free(struct queue *q);

static void on_spool_closed(void *ctx)
{
	struct queue *q = ctx;
	q->spool = NULL;
	if (q->stopped) {
		queue_free(q);
		return;
	}
	q->drained = true;
	q->env.drained(q->env.ctx);
}

static void close_spool(struct queue *q)
{
	if (q->spool_closing)
		return;
	q->spool_closing = true;
	spool_close(q->spool, on_spool_closed, q);
}

void queue_check_drained(struct queue *q)
{
	bool busy = q->jobs.count || q->recording || q->outcomes || q->submissions || q->transfer ||
		    q->moves.changes.count;
	if (!q->draining || q->closing || q->stopped || busy)
		return;
	q->closing = true;
	close_spool(q);
}

static void queue_drain(void *self)
{
	struct queue *q = self;
	if (q->draining)
		return;
	q->draining = true;
	timer_cancel(&q->expire);
	announce(q);
	if (!q->ready) {
		q->env.drained(q->env.ctx); /* recovery can be broken off at any moment */
		return;
	}
	queue_check_drained(q);
}

/* ---- the role ---- */

static enum err make_sched(struct queue *q, struct diag *d)
{
	const struct conf_delivery *cd = &q->env.conf->delivery;
	struct sched_options o = {
		.site_jobs = (uint32_t)cd->connections_per_site,
		.job_entries = (uint32_t)MIN(cd->recipients_per_message,
					     MIN(SCHED_JOB_ENTRIES_MAX, WIRE_JOB_RECIPIENTS_MAX)),
		.together = dispatch_together,
	};
	loop_random(q->env.loop, &o.seed, sizeof(o.seed));
	enum err e = sched_new(&o, loop_now(q->env.loop), &q->sched);
	return e ? diag_set(d, e, "scheduler: %s", err_name(e)) : ERR_OK;
}

/* To the spool, 0 means that nothing is said. */
static struct spool_retention retention(const struct conf *conf)
{
	const struct conf_retention *r = &conf->retention;
	return (struct spool_retention){
		.archive_ms = r->index, .headers_ms = MAX(r->headers, 1u), .body_ms = MAX(r->body, 1u)};
}

static enum err open_spool(struct queue *q, struct diag *d)
{
	static const struct spool_events events = {
		.on_live = on_live, .on_ready = on_ready, .on_health = on_health};
	struct spool_options o = {.segment_size = q->env.spool_segment,
				  .disk_reserve = q->env.conf->disk_reserve,
				  .keep = retention(q->env.conf)};
	if (!q->env.disk.ops)
		return spool_open_memory(q->env.loop, &o, &events, q, &q->spool, d);
	return spool_open_segments(q->env.loop, q->env.disk, &o, &events, q, &q->spool, d);
}

static void stop_working(struct queue *q)
{
	task_cancel(&q->cleanup);
	task_cancel(&q->pump);
	task_cancel(&q->record);
	timer_cancel(&q->wake);
	timer_cancel(&q->expire);
}

static void queue_free(struct queue *q)
{
	ASSERT(q->recording == 0);
	stop_working(q);
	index_free(q);
	targets_free(q);
	moves_free(q);
	map_done(&q->jobs);
	sched_free(q->sched);
	buf_done(&q->scratch);
	if (q->passwords.data)
		explicit_bzero(q->passwords.data, q->passwords.cap);
	buf_done(&q->passwords);
	buf_done(&q->owners);
	conf_unref(q->env.conf);
	mem_free(q);
}

/* Without a drain before it this is a sudden end: nobody hears of it, jobs stay with their smtpc, and what the spool had
 * under way ends on the loop, if that still turns: the queue is freed after it. */
static void queue_stop(void *self)
{
	struct queue *q = self;
	q->stopped = true;
	moves_stop(q);
	transfer_stop(q);
	jobs_free(q);
	for (uint32_t i = 0; i < QUEUE_SMTPD_MAX; i++)
		intake_free(q->intakes[i]);
	for (uint32_t i = 0; i < QUEUE_SMTPC_MAX; i++)
		if (q->carriers[i])
			carrier_free(q->carriers[i]);
	ipc_free(q->resolver);
	ctl_server_free(q->ctl);
	outcomes_free(q);
	stop_working(q);
	if (q->spool)
		close_spool(q);
	else
		queue_free(q);
}

static enum err queue_start(const struct role_env *env, void **ret_self, struct diag *d)
{
	struct queue *q = NEW(struct queue);
	if (!q)
		return diag_set(d, ERR_NOMEM, "no memory to start");
	q->env = *env;
	conf_ref(q->env.conf);
	map_init(&q->messages, message_eq);
	map_init(&q->targets, target_eq);
	map_init(&q->asked, target_ref_eq);
	map_init(&q->jobs, job_eq);
	buf_init(&q->scratch, IPC_PAYLOAD_MAX);
	buf_init(&q->passwords, 1u << 20);
	buf_init(&q->owners, UINT32_MAX / WIRE_ID_BLOCK + 1u);
	list_init(&q->batches);
	moves_init(q);
	task_init(&q->cleanup, env->loop, cleanup, q);
	task_init(&q->pump, env->loop, dispatch_pump, q);
	task_init(&q->record, env->loop, outcome_commit, q);
	timer_init(&q->wake, env->loop, dispatch_pump, q);
	timer_init(&q->expire, env->loop, index_expire, q);
	enum err e = index_init(q);
	if (e)
		diag_set(d, e, "no memory to start");
	if (!e)
		e = make_sched(q, d);
	if (!e)
		e = control_new(q, d);
	if (!e)
		e = open_spool(q, d);
	if (e) {
		queue_stop(q);
		return e;
	}
	*ret_self = q;
	return ERR_OK;
}

static void queue_config(void *self, struct conf *conf, uint64_t epoch)
{
	struct queue *q = self;
	struct conf *old = q->env.conf;
	conf_ref(conf);
	q->env.conf = conf;
	conf_unref(old);
	if (q->spool) {
		struct spool_retention keep = retention(conf);
		spool_set_reserve(q->spool, conf->disk_reserve);
		spool_set_retention(q->spool, &keep);
	}
	targets_forget_answers(q);
	task_defer(&q->pump);
}

/* ---- passwords of the routes ---- */

static enum err queue_secrets(void *self, struct slice certificate, struct slice key, struct slice ticket,
			      struct diag *d)
{
	struct queue *q = self;
	buf_clear(&q->passwords);
	buf_add(&q->passwords, key);
	return q->passwords.failed ? diag_set(d, q->passwords.failed, "passwords of the routes") : ERR_OK;
}

struct slice queue_password(const struct queue *q, const struct conf_route *route)
{
	struct cursor c = cursor_of(buf_slice(&q->passwords));
	for (size_t i = 0; route && i < q->env.conf->nroutes && !c.failed; i++) {
		struct slice password = cursor_slice32(&c);
		if (&q->env.conf->routes[i] == route)
			return password;
	}
	return SLICE_EMPTY;
}

static void queue_control(void *self, int fd, struct slice request)
{
	struct queue *q = self;
	struct diag d = {0};
	if (ctl_server_adopt(q->ctl, fd, request, &d) != ERR_OK)
		log_event(q->env.log, LOG_WARNING, "control.lost", "why", d.text, NULL);
}

static void put(struct wire_heartbeat *hb, const char *name, uint64_t value)
{
	ASSERT(hb->count < WIRE_COUNTERS_MAX);
	hb->counters[hb->count++] = (struct wire_counter){slice_str(name), value};
}

static struct slice trouble(const struct queue *q)
{
	if (q->closing && !q->draining)
		return SLICE_LIT("the spool could not be opened");
	if (!q->ready)
		return SLICE_LIT("the spool is being opened");
	switch (spool_health(q->spool)) {
	case SPOOL_HEALTHY:
		return SLICE_EMPTY;
	case SPOOL_RESERVE:
		return SLICE_LIT("the disk is nearly full: no new mail is taken");
	default:
		return SLICE_LIT("the spool cannot be written");
	}
}

static void queue_heartbeat(void *self, struct wire_heartbeat *hb)
{
	struct queue *q = self;
	struct sched_counts sc = sched_counts(q->sched);
	struct spool_stats ss = {0};
	hb->trouble = q->drained ? SLICE_EMPTY : trouble(q);
	uint64_t full_in = 0;
	if (q->ready && q->spool) {
		spool_stats(q->spool, &ss);
		forecast_add(&q->forecast, loop_now(q->env.loop), ss.free_octets);
		if (forecast_full(&q->forecast, q->env.conf->disk_reserve, &full_in))
			put(hb, "disk_full_in", full_in);
	}
	put(hb, "accepted", q->count.accepted);
	put(hb, "refused", q->count.refused);
	put(hb, "delivered", q->count.delivered);
	put(hb, "deferred", q->count.deferred);
	put(hb, "bounced", q->count.failed);
	put(hb, "unknown", q->count.unknown);
	put(hb, "unanswered", q->count.unanswered);
	put(hb, "queued", q->messages.count);
	put(hb, "pending", sc.waiting + sc.ready);
	put(hb, "active", q->jobs.count);
	put(hb, "sites", sc.sites);
	put(hb, "sites_down", sc.sites_down);
	put(hb, "disk_free", ss.free_octets);
	put(hb, "syncs", ss.syncs);
	put(hb, "sync_us_max", ss.sync_us_max);
}

const struct role_ops queue_role = {
	.role = ROLE_QUEUE,
	.start = queue_start,
	.peer = queue_peer,
	.config = queue_config,
	.secrets = queue_secrets,
	.control = queue_control,
	.heartbeat = queue_heartbeat,
	.drain = queue_drain,
	.stop = queue_stop,
};
