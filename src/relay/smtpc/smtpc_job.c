/* Jobs and what the queue hears about them. */
#include "relay/smtpc/smtpc_priv.h"

#include "core/hash.h"
#include "core/mem.h"

#define RECORD_MAX 4096u /* octets of one encoded result */

static bool job_eq(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct smtpc_job, node)->w.job == *(const uint64_t *)key;
}

void smtpc_jobs_init(struct smtpc *p)
{
	map_init(&p->jobs, job_eq);
	list_init(&p->outbox);
	list_init(&p->reports);
}

static struct smtpc_job *find(const struct smtpc *p, uint64_t id)
{
	struct map_node *n = map_find(&p->jobs, hash_u64(id), &id);
	return n ? CONTAINER_OF(n, struct smtpc_job, node) : NULL;
}

/* ---- life ---- */

static void leave_outbox(struct smtpc_job *j)
{
	if (!list_linked(&j->outbox))
		return;
	/* A job waits in `reports` exactly while it has something to report. */
	bool reporting = j->report_at < j->w.rcpt_count;
	list_remove(reporting ? &j->p->reports : &j->p->outbox, &j->outbox);
}

static void job_release(struct smtpc_job *j)
{
	if (j->loan)
		smtpc_loan_unref(j->loan);
	j->loan = NULL;
	if (j->pool)
		smtpc_pool_unref(j->pool);
	j->pool = NULL;
}

static void job_free(struct smtpc_job *j)
{
	job_release(j);
	arena_done(&j->arena);
	buf_done(&j->payload);
	mem_free(j);
}

static void job_forget(struct smtpc_job *j)
{
	leave_outbox(j);
	map_remove(&j->p->jobs, &j->node);
	job_free(j);
}

static enum err job_read(struct smtpc_job *j, struct slice payload)
{
	buf_add(&j->payload, payload);
	enum err e = j->payload.failed;
	if (!e)
		e = wire_job_decode(buf_slice(&j->payload), &j->arena, &j->w);
	if (!e && (j->w.rcpt_count == 0 || find(j->p, j->w.job)))
		e = ERR_CORRUPT;
	if (e)
		return e;
	j->report_at = j->w.rcpt_count;
	j->outcomes = arena_alloc(&j->arena, j->w.rcpt_count * sizeof(j->outcomes[0]));
	return j->outcomes ? map_insert(&j->p->jobs, &j->node, hash_u64(j->w.job)) : ERR_NOMEM;
}

static void refuse(struct smtpc_job *j, const char *why)
{
	struct record_result r = {
		.state = RECORD_DEFERRED, .enhanced = {4, 3, 0}, .text = slice_str(why), .host = SLICE_EMPTY};
	smtpc_job_defer_all(j, &r);
}

/* A frame that does not decode is the queue's bug (ERR_CORRUPT); everything else becomes a result. */
enum err smtpc_job_take(struct smtpc *p, struct slice payload)
{
	struct smtpc_job *j = p->jobs.count < SMTPC_JOBS_MAX ? NEW(struct smtpc_job) : NULL;
	if (!j)
		return ERR_LIMIT;
	j->p = p;
	j->started = loop_now(p->env.loop);
	buf_init(&j->payload, IPC_PAYLOAD_MAX);
	arena_init(&j->arena, SMTPC_JOB_ARENA);
	enum err e = job_read(j, payload);
	if (e) {
		job_free(j);
		return e;
	}
	j->loan = smtpc_loan_ref(p, j->w.segment);
	j->pool = smtpc_pool_ref(p, &j->w);
	if (!j->loan)
		refuse(j, "the content was not lent");
	else if (!j->pool)
		refuse(j, "out of memory");
	else if (j->w.hop_count == 0)
		refuse(j, "no address to deliver to");
	else
		smtpc_pool_submit(j->pool, j);
	return ERR_OK;
}

/* ---- outcomes ---- */

static void to_outbox(struct smtpc_job *j)
{
	if (!list_linked(&j->outbox))
		list_push_back(&j->p->outbox, &j->outbox);
	task_defer(&j->p->flush);
}

static void count(struct smtpc *p, const struct record_result *r)
{
	p->delivered += r->state == RECORD_DELIVERED;
	p->deferred += r->state == RECORD_DEFERRED;
	p->failed += r->state == RECORD_FAILED;
	p->unknown += r->unknown;
}

void smtpc_job_result(struct smtpc_job *j, uint32_t rcpt, const struct record_result *r)
{
	struct record_result rec = *r;
	CLEANUP(buf_done) struct buf out;
	ASSERT(rcpt < j->w.rcpt_count && !j->done && j->outcomes[rcpt].record.len == 0);
	rec.id = j->w.message;
	rec.ordinal = j->w.rcpts[rcpt].ordinal;
	rec.time_ms = loop_wall(j->p->env.loop);
	rec.duration_ms = (uint32_t)MIN(loop_now(j->p->env.loop) - j->started, UINT32_MAX);
	buf_init(&out, RECORD_MAX);
	record_result_encode(&rec, &out);
	count(j->p, &rec);
	/* Without memory the queue learns it from JOB_DONE: this recipient is then deferred. */
	if (out.failed || arena_dup(&j->arena, buf_slice(&out), &j->outcomes[rcpt].record) != ERR_OK)
		j->outcomes[rcpt].record = SLICE_EMPTY;
	to_outbox(j);
}

void smtpc_job_defer_all(struct smtpc_job *j, const struct record_result *r)
{
	if (arena_dup(&j->arena, r->text, &j->text) != ERR_OK)
		j->text = SLICE_EMPTY;
	for (uint32_t i = 0; i < j->w.rcpt_count; i++)
		if (j->outcomes[i].record.len == 0)
			smtpc_job_result(j, i, r);
	smtpc_job_done(j);
}

void smtpc_job_done(struct smtpc_job *j)
{
	ASSERT(!j->done);
	j->done = true;
	job_release(j);
	to_outbox(j);
}

void smtpc_job_acknowledge(struct smtpc *p, uint64_t id)
{
	struct smtpc_job *j = find(p, id);
	/* A queue also acknowledges single reported results of a job that is still under way. */
	if (j && j->done && j->done_sent)
		job_forget(j);
	smtpc_check_drained(p);
}

/* ---- to the queue ---- */

static bool send_frame(struct smtpc *p, enum wire_type type)
{
	if (p->frame.failed)
		return false;
	return ipc_send(p->queue, type, buf_slice(&p->frame), NULL, 0) == ERR_OK;
}

static bool send_outcome(struct smtpc_job *j, uint32_t i, enum wire_type type)
{
	struct smtpc_outcome *o = &j->outcomes[i];
	struct wire_result m = {.job = j->w.job,
				.message = j->w.message,
				.ordinal = j->w.rcpts[i].ordinal,
				.result = o->record};
	buf_clear(&j->p->frame);
	wire_result_encode(&m, &j->p->frame);
	if (!send_frame(j->p, type))
		return false;
	o->sent = o->record.len > 0;
	return true;
}

static bool send_done(struct smtpc_job *j)
{
	struct wire_job_done m = {.job = j->w.job, .site_failed = j->site_failed, .text = j->text};
	buf_clear(&j->p->frame);
	wire_job_done_encode(&m, &j->p->frame);
	j->done_sent = send_frame(j->p, WIRE_JOB_DONE);
	return j->done_sent;
}

static bool tell(struct smtpc_job *j)
{
	for (uint32_t i = 0; i < j->w.rcpt_count; i++)
		if (j->outcomes[i].record.len && !j->outcomes[i].sent && !send_outcome(j, i, WIRE_RESULT))
			return false;
	return !j->done || j->done_sent || send_done(j);
}

/* Recipients without result are in flight; a job that is done has only results, or is told by JOB_DONE. */
static bool report(struct smtpc_job *j)
{
	while (j->report_at < j->w.rcpt_count) {
		bool known = j->outcomes[j->report_at].record.len > 0;
		if ((known || !j->done) && !send_outcome(j, j->report_at, WIRE_REPORT))
			return false;
		j->report_at++;
	}
	return true;
}

static bool flush_reports(struct smtpc *p)
{
	struct list_node *n;
	while ((n = list_first(&p->reports))) {
		struct smtpc_job *j = CONTAINER_OF(n, struct smtpc_job, outbox);
		if (!report(j))
			return false;
		/* Results may have come behind the place that the report had reached. */
		list_remove(&p->reports, n);
		list_push_back(&p->outbox, n);
	}
	buf_clear(&p->frame);
	if (p->report_end && !send_frame(p, WIRE_REPORT_END))
		return false;
	p->report_end = false;
	return true;
}

void smtpc_jobs_flush(struct smtpc *p)
{
	struct list_node *n;
	if (!p->queue || !flush_reports(p))
		return;
	while ((n = list_first(&p->outbox))) {
		struct smtpc_job *j = CONTAINER_OF(n, struct smtpc_job, outbox);
		if (!tell(j))
			return;
		list_remove(&p->outbox, n);
	}
}

void smtpc_jobs_report(struct smtpc *p)
{
	MAP_EACH_SAFE (&p->jobs, n, next) {
		struct smtpc_job *j = CONTAINER_OF(n, struct smtpc_job, node);
		leave_outbox(j);
		for (uint32_t i = 0; i < j->w.rcpt_count; i++)
			j->outcomes[i].sent = false;
		j->report_at = 0;
		j->done_sent = false;
		list_push_back(&p->reports, &j->outbox);
	}
	p->report_end = true;
	task_defer(&p->flush);
}

void smtpc_jobs_free(struct smtpc *p)
{
	MAP_EACH_SAFE (&p->jobs, n, next)
		job_forget(CONTAINER_OF(n, struct smtpc_job, node));
	map_done(&p->jobs);
}
