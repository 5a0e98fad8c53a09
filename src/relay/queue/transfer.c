#include "relay/queue/transfer.h"

#include "core/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

/* ---- life ---- */

static void transfer_free(struct transfer *t)
{
	task_cancel(&t->end);
	if (t->kind->free)
		t->kind->free(t);
	transfer_io_done(&t->io);
	t->queue->transfer = NULL;
	mem_free(t);
}

static void add_row(const struct transfer *t)
{
	CLEANUP(ctl_fields_done) struct ctl_fields f;
	char text[TRANSFER_TEXT_MAX];
	transfer_format(t->export, text);
	ctl_fields_init(&f);
	ctl_add_str(&f, "export", text);
	ctl_add_str(&f, "state", t->result);
	ctl_add_u64(&f, "messages", t->messages);
	ctl_add_size(&f, "size", t->octets);
	ctl_add_u64(&f, "skipped", t->skipped);
	(void)ctl_conn_row(t->conn, CTL_T_MOVE, &f);
}

static void log_end_of(const struct transfer *t)
{
	char text[TRANSFER_TEXT_MAX];
	transfer_format(t->export, text);
	struct log_line l = log_begin(t->queue->env.log, t->status ? LOG_WARNING : LOG_INFO, "queue.moved");
	log_cstr(&l, "request", ctl_verb_info(t->kind->verb)->name);
	log_cstr(&l, "export", text);
	log_u64(&l, "messages", t->messages);
	log_cstr(&l, "result", t->result ? t->result : "failed");
	if (t->status)
		log_cstr(&l, "why", t->text);
	log_end(&l);
}

static void on_end(void *ctx)
{
	struct transfer *t = ctx;
	struct queue *q = t->queue;
	log_end_of(t);
	if (t->conn && t->result)
		add_row(t);
	if (t->conn)
		ctl_conn_end(t->conn, t->status, slice_str(t->text));
	transfer_free(t);
	queue_check_drained(q);
}

void transfer_end(struct transfer *t, enum err status, const char *fmt, ...)
{
	va_list ap;
	t->status = status;
	va_start(ap, fmt);
	vsnprintf(t->text, sizeof(t->text), fmt, ap);
	va_end(ap);
	task_defer(&t->end);
}

bool transfer_over(const struct transfer *t)
{
	return !t->conn || t->queue->draining;
}

bool transfer_back(struct transfer *t)
{
	ASSERT(t->pending);
	t->pending--;
	if (!t->queue->stopped)
		return false;
	if (t->pending == 0)
		transfer_free(t);
	return true;
}

/* Waits for the step of the worker that is under way, which is bounded, and for no other. */
void transfer_stop(struct queue *q)
{
	struct transfer *t = q->transfer;
	if (!t)
		return;
	t->conn = NULL;
	task_cancel(&t->end);
	t->pending++; /* t stays while the step calls back */
	transfer_io_done(&t->io);
	transfer_back(t);
}

/* ---- requests without a file ---- */

static void fail_unknown(struct transfer *t)
{
	transfer_end(t, ERR_NOTFOUND,
		     "no export of that number waits here; `tidegate queue moves` lists what is known");
}

static void on_acknowledged(void *ctx)
{
	struct transfer *t = ctx;
	t->move = NULL;
	t->result = "acknowledged";
	if (!transfer_back(t))
		transfer_end(t, ERR_OK, "%llu messages were removed here; the other relay has them",
			     (unsigned long long)t->messages);
}

static void begin_acknowledge(struct transfer *t)
{
	t->move = move_find(t->queue, t->export);
	if (!t->move || t->move->kind != RECORD_VERDICT_EXPORTED) {
		fail_unknown(t);
		return;
	}
	t->messages = t->move->count;
	t->pending++;
	if (move_remove(t->queue, t->move, "moved to another relay", on_acknowledged, t) != ERR_OK) {
		t->pending--;
		transfer_end(t, ERR_NOMEM, "no memory");
	}
}

static void on_reclaimed(void *ctx)
{
	struct transfer *t = ctx;
	if (transfer_back(t))
		return;
	for (size_t i = 0; i < t->move->count; i++) {
		struct message *m = index_find(t->queue, t->move->ids[i]);
		if (m)
			message_release(t->queue, m);
	}
	move_forget(t->move);
	t->move = NULL;
	t->result = "reclaimed";
	transfer_end(t, ERR_OK, "%llu messages are delivered from here again",
		     (unsigned long long)t->messages);
}

static void begin_reclaim(struct transfer *t)
{
	t->move = move_find(t->queue, t->export);
	if (!t->move || t->move->kind != RECORD_VERDICT_EXPORTED) {
		fail_unknown(t);
		return;
	}
	t->messages = t->move->count;
	t->pending++;
	if (move_decide(t->queue, t->move, RECORD_VERDICT_NONE, on_reclaimed, t) != ERR_OK) {
		t->pending--;
		transfer_end(t, ERR_NOMEM, "no memory");
	}
}

static void on_refused(void *ctx)
{
	struct transfer *t = ctx;
	t->result = "refused";
	if (!transfer_back(t))
		transfer_end(t, ERR_OK, "this relay will not take that export; the other one may reclaim it");
}

static void begin_refuse(struct transfer *t)
{
	t->move = move_find(t->queue, t->export);
	if (t->move) {
		bool same = t->move->kind == RECORD_VERDICT_REFUSED;
		t->result = same ? "refused" : NULL;
		transfer_end(t, same ? ERR_OK : ERR_EXISTS, "%s",
			     same ? "it was refused before"
				  : "too late: this relay has that export, or made it");
		return;
	}
	t->move = move_new(t->queue, t->export, RECORD_VERDICT_NONE);
	t->pending++;
	if (!t->move || move_decide(t->queue, t->move, RECORD_VERDICT_REFUSED, on_refused, t) != ERR_OK) {
		if (t->move)
			move_forget(t->move);
		t->pending--;
		transfer_end(t, ERR_NOMEM, "no memory");
	}
}

static const struct transfer_kind transfer_acknowledge = {
	.verb = CTL_QUEUE_ACKNOWLEDGE, .size = sizeof(struct transfer), .begin = begin_acknowledge};
static const struct transfer_kind transfer_reclaim = {
	.verb = CTL_QUEUE_RECLAIM, .size = sizeof(struct transfer), .begin = begin_reclaim};
static const struct transfer_kind transfer_refuse = {
	.verb = CTL_QUEUE_REFUSE, .size = sizeof(struct transfer), .begin = begin_refuse};

/* ---- requests ---- */

static const struct transfer_kind *kind_of(enum ctl_verb verb)
{
	static const struct transfer_kind *const kinds[] = {&transfer_export, &transfer_import,
							    &transfer_acknowledge, &transfer_reclaim,
							    &transfer_refuse};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i]->verb == verb)
			return kinds[i];
	return NULL;
}

static struct transfer *transfer_new(struct queue *q, struct ctl_conn *c, const struct transfer_kind *kind)
{
	struct transfer *t = mem_alloc(kind->size);
	if (!t)
		return NULL;
	t->kind = kind;
	t->queue = q;
	t->conn = c;
	task_init(&t->end, q->env.loop, on_end, t);
	q->transfer = t;
	return t;
}

bool transfer_request(struct queue *q, struct ctl_conn *c, const struct ctl_frame *req)
{
	const struct transfer_kind *kind = kind_of(req->verb);
	struct slice text = ctl_get_text(&req->fields, "export", SLICE_EMPTY);
	uint64_t export = 0;
	if (!kind)
		return false;
	if (!kind->file && transfer_parse(text, &export) != ERR_OK) {
		ctl_conn_end(c, ERR_SYNTAX, SLICE_LIT("not the number of an export: 16 hexadecimal digits"));
		return true;
	}
	if (q->transfer || q->draining) {
		ctl_conn_end(c, ERR_BUSY,
			     SLICE_LIT("another export or import is under way, or the relay stops"));
		return true;
	}
	struct transfer *t = transfer_new(q, c, kind);
	if (!t) {
		ctl_conn_end(c, ERR_NOMEM, SLICE_LIT("no memory for the request"));
		return true;
	}
	t->export = export;
	t->limit = MIN(ctl_get_u64(&req->fields, "limit", QUEUE_EXPORT_MAX), (uint64_t)QUEUE_EXPORT_MAX);
	if (kind->file)
		ctl_conn_ask_file(c);
	else
		kind->begin(t);
	return true;
}

void transfer_file(struct queue *q, struct ctl_conn *c, int fd)
{
	struct transfer *t = q->transfer;
	struct stat st;
	bool wanted = t && t->conn == c && !t->opened;
	bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode); /* a pipe could let a step wait for ever */
	if (!wanted || !regular) {
		base_close(&fd);
		if (wanted)
			transfer_end(t, ERR_UNSUPPORTED, "not a regular file");
		return;
	}
	t->opened = true;
	if (transfer_io_init(&t->io, q->env.loop, fd) == ERR_OK)
		t->kind->begin(t);
	else
		transfer_end(t, ERR_NOMEM, "no memory for the request");
}

/* Steps under way notice it themselves; before the first one nobody else would. */
void transfer_closed(struct queue *q, struct ctl_conn *c)
{
	struct transfer *t = q->transfer;
	if (!t || t->conn != c)
		return;
	t->conn = NULL;
	if (t->kind->file && !t->opened)
		transfer_end(t, ERR_CLOSED, "the client went away");
}
