#include "relay/queue/queue_priv.h"

#include "core/hash.h"
#include "core/mem.h"

#include <string.h>

#define MEMORY_WAIT_MS 1000
#define LOAN_WAIT_MS   10

/* A segment that an smtpc holds a descriptor of. */
struct loan {
	struct map_node node;
	uint64_t segment;
	uint32_t jobs;
};

/* ---- jobs ---- */

struct job *job_find(struct queue *q, uint64_t id)
{
	struct map_node *n = map_find(&q->jobs, hash_u64(id), &id);
	return n ? CONTAINER_OF(n, struct job, node) : NULL;
}

static struct job *job_new(struct queue *q, uint64_t id, struct message *m, struct target *t, uint32_t count)
{
	struct job *j = mem_alloc(sizeof(*j) + count * sizeof(j->recipients[0]));
	if (!j)
		return NULL;
	j->queue = q;
	j->id = id;
	j->message = m;
	j->target = t;
	j->count = count;
	j->recipients = (struct recipient **)(j + 1);
	j->started_ms = loop_now(q->env.loop);
	buf_init(&j->content, WIRE_ENVELOPE_MAX + WIRE_EDITS_MAX);
	if (map_insert(&q->jobs, &j->node, hash_u64(id)) != ERR_OK) {
		mem_free(j);
		return NULL;
	}
	t->refs++;
	return j;
}

static void carrier_send(struct carrier *c, enum wire_type type, const struct buf *payload, int fd)
{
	if (payload->failed ||
	    ipc_send(c->channel, (uint16_t)type, buf_slice(payload), &fd, fd >= 0) != ERR_OK)
		queue_channel_failed(c->queue, ROLE_SMTPC, c->slot);
}

static struct loan *loan_of(struct carrier *c, uint64_t segment)
{
	struct map_node *n = map_find(&c->loans, hash_u64(segment), &segment);
	return n ? CONTAINER_OF(n, struct loan, node) : NULL;
}

static void give_back(struct job *j)
{
	struct queue *q = j->queue;
	struct carrier *c = q->carriers[j->smtpc];
	if (!j->lent)
		return;
	j->lent = false;
	spool_unlend(q->spool, &j->loan);
	struct loan *l = c ? loan_of(c, j->loan.segment) : NULL;
	if (!l || --l->jobs)
		return;
	buf_clear(&q->scratch);
	wire_loan_encode(&(struct wire_loan){.segment = l->segment}, &q->scratch);
	carrier_send(c, WIRE_UNLOAN, &q->scratch, -1);
	map_remove(&c->loans, &l->node);
	mem_free(l);
}

void job_end(struct job *j)
{
	struct queue *q = j->queue;
	give_back(j);
	if (j->state == JOB_SENT && q->carriers[j->smtpc])
		q->carriers[j->smtpc]->jobs--;
	map_remove(&q->jobs, &j->node);
	if (list_linked(&j->waiting))
		list_remove(&j->target->waiting, &j->waiting);
	target_unref(j->target);
	buf_done(&j->content);
	mem_free(j);
	task_defer(&q->pump);
	queue_check_drained(q);
}

void jobs_free(struct queue *q)
{
	MAP_EACH_SAFE (&q->jobs, n, tmp) {
		struct job *j = CONTAINER_OF(n, struct job, node);
		sched_site_withdrawn(q->sched, j->target->site);
		map_remove(&q->jobs, &j->node);
		if (list_linked(&j->waiting))
			list_remove(&j->target->waiting, &j->waiting);
		target_unref(j->target);
		buf_done(&j->content);
		mem_free(j);
	}
}

/* Nothing was tried: the recipients wait again. */
static void job_withdraw(struct job *j, uint64_t delay_ms)
{
	struct queue *q = j->queue;
	sched_site_withdrawn(q->sched, j->target->site);
	for (uint32_t i = 0; i < j->count; i++)
		if (j->recipients[i])
			recipient_schedule(q, j->recipients[i], loop_now(q->env.loop) + delay_ms);
	job_end(j);
}

/* An outcome that smtpc has no part in: the resolver's, a broken envelope's, a dead process's. */
static void job_conclude(struct job *j, const struct record_result *res)
{
	struct queue *q = j->queue;
	for (uint32_t i = 0; i < j->count; i++) {
		struct record_result r = *res;
		if (j->recipients[i])
			outcome_add(q, j->recipients[i], &r);
	}
	job_end(j);
}

/* ---- preparing: envelope and edits from the spool, addresses from the resolver ---- */

static void fail_by_resolver(struct job *j)
{
	static const struct {
		uint8_t state, enhanced[3];
		const char *text;
	} outcomes[] = {
		[WIRE_RESOLVE_NO_DOMAIN] = {RECORD_FAILED, {5, 1, 2}, "the domain does not exist"},
		[WIRE_RESOLVE_NO_ADDRESS] = {RECORD_FAILED,
					     {5, 4, 4},
					     "the domain has no server that takes mail"},
		[WIRE_RESOLVE_NULL_MX] = {RECORD_FAILED, {5, 1, 10}, "the domain takes no mail (null MX)"},
		[WIRE_RESOLVE_TEMPORARY] = {RECORD_DEFERRED, {4, 4, 3}, "the DNS gives no answer now"},
	};
	const struct target *t = j->target;
	struct record_result r = {.state = outcomes[t->outcome].state,
				  .text = t->text.len ? t->text : slice_str(outcomes[t->outcome].text),
				  .host = t->key};
	memcpy(r.enhanced, outcomes[t->outcome].enhanced, sizeof(r.enhanced));
	/* The site itself said nothing: its state stays as it is. */
	sched_site_withdrawn(j->queue->sched, t->site);
	job_conclude(j, &r);
}

/* After a reload a recipient's route may be another one: it changes the target and leaves the job. */
static bool leave_if_rerouted(struct job *j, uint32_t i, struct slice address)
{
	struct queue *q = j->queue;
	struct recipient *r = j->recipients[i];
	if (target_fits(q, j->target, address))
		return false;
	struct target *other = target_for(q, address);
	if (!other)
		return false;
	target_unref(r->target);
	r->target = other;
	j->recipients[i] = NULL;
	recipient_schedule(q, r, loop_now(q->env.loop));
	return true;
}

struct job_text {
	struct arena arena;
	struct record_message rec;
	struct wire_rcpt rcpts[WIRE_JOB_RECIPIENTS_MAX];
	uint32_t count;
};

/* What does not fit into one frame goes back to the schedule and comes with the next job. */
static enum err collect_recipients(struct job *j, struct job_text *t)
{
	size_t octets = 0;
	for (uint32_t i = 0; i < j->count; i++) {
		struct recipient *r = j->recipients[i];
		if (r->ordinal >= t->rec.recipient_count)
			return ERR_CORRUPT;
		struct slice address = t->rec.recipients[r->ordinal].address;
		if (leave_if_rerouted(j, i, address))
			continue;
		octets += address.len;
		if (t->count == WIRE_JOB_RECIPIENTS_MAX || (t->count && octets > WIRE_JOB_ADDRESSES_MAX)) {
			j->recipients[i] = NULL;
			recipient_schedule(j->queue, r, loop_now(j->queue->env.loop));
			continue;
		}
		t->rcpts[t->count++] = (struct wire_rcpt){.ordinal = r->ordinal, .address = address};
	}
	return ERR_OK;
}

/* A disk slower than the destinations must not let results pile up in it. */
static bool may_take(const struct carrier *c)
{
	return !c->failed && c->jobs < QUEUE_JOBS_PER_SMTPC && c->owed < QUEUE_OWED_PER_SMTPC;
}

static struct carrier *least_loaded(struct queue *q)
{
	struct carrier *best = NULL;
	for (uint32_t i = 0; i < QUEUE_SMTPC_MAX; i++) {
		struct carrier *c = q->carriers[i];
		if (c && may_take(c) && (!best || c->jobs < best->jobs))
			best = c;
	}
	return best;
}

static enum err lend(struct carrier *c, struct job *j, struct diag *d)
{
	struct queue *q = j->queue;
	enum err e = spool_lend(q->spool, j->message->id, &j->loan, d);
	if (e)
		return e;
	struct loan *l = loan_of(c, j->loan.segment);
	if (!l) {
		l = NEW(struct loan);
		if (!l || map_insert(&c->loans, &l->node, hash_u64(j->loan.segment)) != ERR_OK) {
			mem_free(l);
			spool_unlend(q->spool, &j->loan);
			return diag_set(d, ERR_NOMEM, "no memory for a loan");
		}
		l->segment = j->loan.segment;
		buf_clear(&q->scratch);
		wire_loan_encode(&(struct wire_loan){.segment = l->segment}, &q->scratch);
		carrier_send(c, WIRE_LOAN, &q->scratch, j->loan.fd);
	}
	l->jobs++;
	j->lent = true;
	return ERR_OK;
}

static enum wire_tls_level tls_level(const struct conf_route *route)
{
	static const enum wire_tls_level levels[] = {
		[CONF_ROUTE_TLS_NONE] = WIRE_TLS_NONE,
		[CONF_ROUTE_TLS_MAY] = WIRE_TLS_MAY,
		[CONF_ROUTE_TLS_ENCRYPT] = WIRE_TLS_ENCRYPT,
		[CONF_ROUTE_TLS_VERIFY] = WIRE_TLS_VERIFY,
	};
	return route ? levels[route->tls] : WIRE_TLS_MAY;
}

static void encode_job(struct job *j, const struct job_text *t, struct buf *out)
{
	const struct conf *conf = j->queue->env.conf;
	const struct conf_route *route = target_route(j->target);
	struct wire_job w = {
		.job = j->id,
		.message = j->message->id,
		.site = j->target->key,
		.tls = tls_level(route),
		.auth_user = route ? route->auth_user : SLICE_EMPTY,
		.auth_password = queue_password(j->queue, route),
		.helo = conf->delivery.helo_name,
		.account = t->rec.account,
		.segment = j->loan.segment,
		.offset = j->loan.offset,
		.length = j->loan.length,
		.edits = slice_from(buf_slice(&j->content), j->envelope_len),
		.sender = t->rec.sender,
		.body = t->rec.body,
		.smtputf8 = t->rec.smtputf8,
		.hop_count = j->target->hop_count,
		.hops = j->target->hops,
		.rcpt_count = t->count,
		.rcpts = t->rcpts,
	};
	buf_clear(out);
	wire_job_encode(&w, out);
}

static enum err send_prepared(struct job *j, struct carrier *c, struct job_text *t, struct diag *d)
{
	struct queue *q = j->queue;
	struct slice envelope = slice_sub(buf_slice(&j->content), 0, j->envelope_len);
	enum err e = record_message_decode(envelope, &t->arena, &t->rec);
	if (!e)
		e = collect_recipients(j, t);
	if (e)
		return diag_set(d, e, "the stored envelope cannot be read");
	if (t->count == 0)
		return ERR_CANCELLED;
	j->smtpc = c->slot;
	e = lend(c, j, d);
	if (e)
		return e;
	encode_job(j, t, &q->scratch);
	j->state = JOB_SENT;
	c->jobs++;
	carrier_send(c, WIRE_JOB, &q->scratch, -1);
	buf_done(&j->content);
	return ERR_OK;
}

/* Want of memory is no attempt. */
static bool short_of_memory(enum err e)
{
	return e == ERR_NOMEM || e == ERR_LIMIT;
}

static void send_job(struct job *j)
{
	struct queue *q = j->queue;
	struct carrier *c = least_loaded(q);
	struct diag d = {0};
	if (!c || q->draining) {
		job_withdraw(j, 0);
		return;
	}
	struct job_text *t = NEW(struct job_text);
	if (!t) {
		job_withdraw(j, MEMORY_WAIT_MS);
		return;
	}
	arena_init(&t->arena, QUEUE_ENVELOPE_ARENA);
	enum err e = send_prepared(j, c, t, &d);
	arena_done(&t->arena);
	mem_free(t);
	if (e == ERR_CANCELLED) {
		job_withdraw(j, 0); /* every recipient was rerouted */
	} else if (e == ERR_AGAIN) {
		job_withdraw(j, LOAN_WAIT_MS); /* its descriptor was closed while the address was looked up */
	} else if (short_of_memory(e)) {
		job_withdraw(j, MEMORY_WAIT_MS);
	} else if (e) {
		struct record_result r = {
			.state = RECORD_DEFERRED, .enhanced = {4, 3, 0}, .text = slice_str(d.text)};
		queue_log_spool(q, "message.unreadable", j->message->id, &d);
		sched_site_withdrawn(q->sched, j->target->site);
		job_conclude(j, &r);
	}
}

static void go_on(struct job *j)
{
	if (!j->have_content || !j->have_target)
		return;
	if (j->target->outcome != WIRE_RESOLVE_OK || j->target->hop_count == 0)
		fail_by_resolver(j);
	else
		send_job(j);
}

void job_target_ready(struct job *j)
{
	j->have_target = true;
	go_on(j);
}

/* The job may have been withdrawn meanwhile; its id is all that the spool holds. */
struct reading {
	struct queue *queue;
	uint64_t job;
};

static void on_content(void *ctx, enum err e, struct slice envelope, struct slice edits)
{
	struct reading *rd = ctx;
	struct job *j = job_find(rd->queue, rd->job);
	mem_free(rd);
	if (!j)
		return;
	if (!e) {
		j->envelope_len = envelope.len;
		buf_add(&j->content, envelope);
		buf_add(&j->content, edits);
		e = j->content.failed;
	}
	if (!e) {
		j->have_content = true;
		go_on(j);
		return;
	}
	if (short_of_memory(e)) {
		job_withdraw(j, MEMORY_WAIT_MS);
		return;
	}
	struct record_result r = {.state = RECORD_DEFERRED,
				  .enhanced = {4, 3, 0},
				  .text = SLICE_LIT("the message cannot be read from the spool")};
	sched_site_withdrawn(j->queue->sched, j->target->site);
	job_conclude(j, &r);
}

static void prepare(struct queue *q, const struct sched_job *sj)
{
	struct recipient *first = CONTAINER_OF(sj->entries[0], struct recipient, entry);
	struct message *m = recipient_message(first);
	struct reading *rd = NEW(struct reading);
	struct job *j =
		rd ? job_new(q, q->report.generation << 32 | ++q->next_job, m, first->target, sj->count)
		   : NULL;
	for (uint32_t i = 0; i < sj->count; i++) {
		struct recipient *r = CONTAINER_OF(sj->entries[i], struct recipient, entry);
		recipient_move(r, PLACE_IN_JOB);
		if (j)
			j->recipients[i] = r;
		else
			recipient_schedule(q, r, loop_now(q->env.loop) + MEMORY_WAIT_MS);
	}
	if (!j) {
		sched_site_withdrawn(q->sched, sj->site);
		mem_free(rd);
		return;
	}
	*rd = (struct reading){q, j->id};
	spool_read(q->spool, m->id, on_content, rd);
	target_want(j->target, j);
}

/* ---- the pump ---- */

bool dispatch_together(const struct sched_entry *a, const struct sched_entry *b)
{
	struct recipient *x = CONTAINER_OF(a, struct recipient, entry),
			 *y = CONTAINER_OF(b, struct recipient, entry);
	return recipient_message(x) == recipient_message(y);
}

static bool may_schedule(struct queue *q)
{
	bool any = false;
	if (!q->ready || q->draining)
		return false;
	for (uint32_t i = 0; i < QUEUE_SMTPC_MAX; i++) {
		if (!q->carriers[i])
			continue;
		if (!q->carriers[i]->reported)
			return false;
		any = true;
	}
	return any;
}

void dispatch_pump(void *ctx)
{
	struct queue *q = ctx;
	struct sched_job sj;
	uint64_t now = loop_now(q->env.loop);
	if (!may_schedule(q))
		return;
	while (q->jobs.count < q->env.conf->delivery.connections && least_loaded(q) &&
	       sched_next(q->sched, now, &sj))
		prepare(q, &sj);
	uint64_t wake = sched_next_wakeup(q->sched);
	if (wake != WHEEL_NEVER)
		timer_set(&q->wake, wake > now ? wake - now : 1);
}

/* ---- smtpc ---- */

static bool loan_eq(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct loan, node)->segment == *(const uint64_t *)key;
}

static struct recipient *take_from_job(struct job *j, uint32_t ordinal)
{
	for (uint32_t i = 0; i < j->count; i++) {
		struct recipient *r = j->recipients[i];
		if (r && r->ordinal == ordinal) {
			j->recipients[i] = NULL;
			return r;
		}
	}
	return NULL;
}

static enum err on_result(struct carrier *c, struct slice payload)
{
	struct wire_result m;
	struct record_result res;
	enum err e = wire_result_decode(payload, &m);
	if (!e)
		e = record_result_decode(m.result, &res);
	if (e)
		return e;
	struct job *j = job_find(c->queue, m.job);
	if (!j || j->state != JOB_SENT || j->smtpc != c->slot || j->message->id != m.message)
		return ERR_OK; /* a job of an earlier queue whose message is done */
	struct recipient *r = take_from_job(j, m.ordinal);
	if (r)
		outcome_add(c->queue, r, &res);
	return ERR_OK;
}

static enum err on_job_done(struct carrier *c, struct slice payload)
{
	struct wire_job_done m;
	struct queue *q = c->queue;
	enum err e = wire_job_done_decode(payload, &m);
	if (e)
		return e;
	struct job *j = job_find(q, m.job);
	if (j && j->state == JOB_SENT && j->smtpc == c->slot) {
		if (m.site_failed)
			sched_site_failed(q->sched, j->target->site, loop_now(q->env.loop));
		else
			sched_site_done(q->sched, j->target->site);
		struct record_result r = {.state = RECORD_DEFERRED, .enhanced = {4, 3, 0}, .text = m.text};
		job_conclude(j, &r); /* normally every recipient has its result already */
	}
	outcome_ack(c, m.job);
	return ERR_OK;
}

struct job *job_adopt(struct carrier *c, uint64_t id, struct recipient *r)
{
	struct queue *q = c->queue;
	struct message *m = recipient_message(r);
	struct job *j = job_find(q, id);
	if (j && (j->message != m || j->smtpc != c->slot || j->state != JOB_SENT))
		return NULL; /* no job of its own: a broken smtpc */
	if (!j) {
		j = job_new(q, id, m, r->target, m->count);
		if (!j)
			return NULL;
		j->state = JOB_SENT;
		j->smtpc = c->slot;
		c->jobs++;
		sched_site_adopt(q->sched, r->target->site);
	}
	sched_remove(q->sched, &r->entry);
	recipient_move(r, PLACE_IN_JOB);
	j->recipients[r->ordinal] = r;
	return j;
}

/* What an smtpc holds from before this queue started: jobs in flight go on, results count. */
static enum err on_report(struct carrier *c, struct slice payload)
{
	struct queue *q = c->queue;
	struct wire_result m;
	struct record_result res;
	enum err e = c->reported ? ERR_CORRUPT : wire_result_decode(payload, &m);
	if (e)
		return e;
	struct message *msg = index_find(q, m.message);
	struct recipient *r = msg && m.ordinal < msg->count ? &msg->recipients[m.ordinal] : NULL;
	if (r && r->place == PLACE_SCHEDULED) {
		if (m.result.len == 0)
			return job_adopt(c, m.job, r) ? ERR_OK : ERR_CORRUPT;
		e = record_result_decode(m.result, &res);
		if (e)
			return e;
		sched_remove(q->sched, &r->entry);
		outcome_add(q, r, &res);
	}
	if (m.result.len)
		outcome_ack(c, m.job);
	return ERR_OK;
}

static void on_frame(void *ctx, struct ipc_frame *f)
{
	struct carrier *c = ctx;
	enum err e = ERR_CORRUPT;
	switch (f->type) {
	case WIRE_RESULT:
		e = on_result(c, f->payload);
		break;
	case WIRE_JOB_DONE:
		e = on_job_done(c, f->payload);
		break;
	case WIRE_REPORT:
		e = on_report(c, f->payload);
		break;
	case WIRE_REPORT_END:
		c->reported = true;
		task_defer(&c->queue->pump);
		e = ERR_OK;
		break;
	default:
		break;
	}
	if (e)
		queue_channel_failed(c->queue, ROLE_SMTPC, c->slot);
}

static void on_close(void *ctx, const struct diag *why)
{
	struct carrier *c = ctx;
	queue_channel_failed(c->queue, ROLE_SMTPC, c->slot);
}

enum err carrier_new(struct queue *q, uint32_t slot, int fd, struct carrier **ret, struct diag *d)
{
	static const struct ipc_events events = {.on_frame = on_frame, .on_close = on_close};
	struct carrier *c = NEW(struct carrier);
	if (!c) {
		base_close(&fd);
		return diag_set(d, ERR_NOMEM, "no memory for a channel");
	}
	c->queue = q;
	c->slot = slot;
	c->serial = ++q->next_carrier;
	map_init(&c->loans, loan_eq);
	enum err e = ipc_new(q->env.loop, fd, &events, c, &c->channel, d);
	if (e) {
		mem_free(c);
		return e;
	}
	if (!q->ready)
		ipc_pause(c->channel, true);
	*ret = c;
	return ERR_OK;
}

void carrier_open(struct carrier *c)
{
	ipc_pause(c->channel, false);
}

/* Nobody knows how far its attempts came: they count as unknown and are made again. */
void carrier_free(struct carrier *c)
{
	struct queue *q = c->queue;
	struct record_result r = {.state = RECORD_DEFERRED,
				  .unknown = true,
				  .enhanced = {4, 3, 0},
				  .text = SLICE_LIT("the delivering process ended during the attempt")};
	q->carriers[c->slot] = NULL;
	MAP_EACH_SAFE (&c->loans, n, tmp) {
		map_remove(&c->loans, n);
		mem_free(CONTAINER_OF(n, struct loan, node));
	}
	map_done(&c->loans);
	MAP_EACH_SAFE (&q->jobs, n, tmp) {
		struct job *j = CONTAINER_OF(n, struct job, node);
		if (j->state != JOB_SENT || j->smtpc != c->slot)
			continue;
		sched_site_withdrawn(q->sched, j->target->site);
		job_conclude(j, &r);
	}
	ipc_free(c->channel);
	mem_free(c);
}
