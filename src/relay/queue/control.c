/* What `tidegate queue` and `tidegate trace` ask: each request is walked to its end, a row at a time, with the
 * stored envelope read for the rows that show it. */
#include "relay/queue/queue_priv.h"

#include "core/mem.h"
#include "relay/queue/transfer.h"

#include <stdio.h>
#include <stdlib.h>

/* One request under way. It ends by control_end, or by the peer going away (conn NULL, freed when the spool answers). */
struct request {
	struct queue *queue;
	struct ctl_conn *conn; /* NULL: gone */
	uint64_t *ids;         /* owned; queue.list: what is still to be shown */
	size_t count, next;
	uint64_t limit, shown;
	uint64_t only_id;
	bool events;        /* trace.*: rows are events; else queue.show's attempts */
	bool waiting;       /* a read or walk is under way */
	bool full;          /* the reader is slow: on_more goes on */
	struct buf filters; /* the request's frame, which the slices below borrow from */
	struct slice server, sender, recipient, state;
	struct ctl_fields row;
	struct arena arena;
};

static void request_free(struct request *r)
{
	mem_free(r->ids);
	buf_done(&r->filters);
	ctl_fields_done(&r->row);
	arena_done(&r->arena);
	mem_free(r);
}

static void end(struct request *r, enum err status, const char *text)
{
	struct ctl_conn *c = r->conn;
	r->conn = NULL;
	if (c) {
		ctl_conn_set_data(c, NULL);
		ctl_conn_end(c, status, slice_str(text));
	}
	if (!r->waiting)
		request_free(r);
}

/* False: stop until on_more, or for good. */
static bool send_row(struct request *r, enum ctl_table table)
{
	enum err e = r->conn ? ctl_conn_row(r->conn, table, &r->row) : ERR_CLOSED;
	ctl_fields_clear(&r->row);
	r->shown++;
	r->full = e == ERR_AGAIN;
	return e == ERR_OK;
}

/* ---- words ---- */

static const char *message_state(const struct message *m)
{
	bool active = false, deferred = false;
	if (m->held)
		return m->claim == RECORD_VERDICT_EXPORTED    ? "exported"
		       : m->claim == RECORD_VERDICT_IMPORTING ? "importing"
							      : "held";
	for (uint32_t i = 0; i < m->count; i++) {
		active |= m->recipients[i].place == PLACE_IN_JOB || m->recipients[i].place == PLACE_RECORDING;
		deferred |= m->recipients[i].state == RECORD_DEFERRED;
	}
	return active ? "active" : deferred ? "deferred" : "queued";
}

static const char *recipient_state(const struct recipient *r)
{
	if (r->place == PLACE_HELD)
		return "held";
	if (r->place == PLACE_IN_JOB || r->place == PLACE_RECORDING)
		return "active";
	return r->state == RECORD_FAILED ? "bounced" : record_state_name((enum record_state)r->state);
}

static void add_id(struct request *r, uint64_t id)
{
	char text[RECORD_ID_TEXT_MAX];
	record_id_format(id, text);
	ctl_add_str(&r->row, "id", text);
}

/* When the earliest of the recipients is tried; false: none waits. */
static bool next_try(struct queue *q, const struct recipient *r, int64_t *ret)
{
	if (r->place != PLACE_SCHEDULED || sched_entry_idle(&r->entry))
		return false;
	uint64_t due = sched_entry_ready(&r->entry) ? loop_now(q->env.loop) : r->entry.at.due;
	int64_t wait = (int64_t)(due - loop_now(q->env.loop));
	*ret = loop_wall(q->env.loop) + wait;
	return true;
}

static void add_next_try(struct request *r, const struct recipient *first, uint32_t count)
{
	int64_t best = INT64_MAX, t;
	for (uint32_t i = 0; i < count; i++)
		if (next_try(r->queue, &first[i], &t) && t < best)
			best = t;
	if (best == INT64_MAX)
		ctl_add_null(&r->row, "next_try");
	else
		ctl_add_time(&r->row, "next_try", best);
}

static void add_text_or_null(struct request *r, const char *key, struct slice text)
{
	if (text.len)
		ctl_add_text(&r->row, key, text);
	else
		ctl_add_null(&r->row, key);
}

static bool send_message(struct request *r, const struct message *m, const struct record_message *rec)
{
	add_id(r, m->id);
	ctl_add_str(&r->row, "state", message_state(m));
	ctl_add_time(&r->row, "arrived", m->time_ms);
	ctl_add_size(&r->row, "size", m->size);
	ctl_add_text(&r->row, "server", rec->server);
	ctl_add_text(&r->row, "account", rec->account);
	ctl_add_text(&r->row, "sender", rec->sender);
	ctl_add_u64(&r->row, "recipients", m->count);
	ctl_add_u64(&r->row, "pending", m->open);
	add_next_try(r, m->recipients, m->count);
	ctl_add_text(&r->row, "client", rec->client);
	ctl_add_text(&r->row, "protocol", rec->protocol);
	add_text_or_null(r, "tls", rec->tls);
	return send_row(r, CTL_T_MESSAGE);
}

/* ---- queue.list ---- */

static bool recipient_wanted(const struct request *r, const struct record_message *rec)
{
	if (r->recipient.len == 0)
		return true;
	for (uint32_t i = 0; i < rec->recipient_count; i++) {
		struct slice a = rec->recipients[i].address;
		if (r->recipient.ptr[0] == '@' ? slice_iends(a, r->recipient) : slice_ieq(a, r->recipient))
			return true;
	}
	return false;
}

static bool wanted(const struct request *r, const struct message *m, const struct record_message *rec)
{
	return (!r->server.len || slice_eq(r->server, rec->server)) &&
	       (!r->sender.len || slice_ieq(r->sender, rec->sender)) &&
	       (!r->state.len || slice_eq_str(r->state, message_state(m))) && recipient_wanted(r, rec);
}

static void list_next(struct request *r);

static void on_listed(void *ctx, enum err e, struct slice envelope, struct slice edits)
{
	struct request *r = ctx;
	struct record_message rec;
	struct message *m = index_find(r->queue, r->ids[r->next++]);
	r->waiting = false;
	arena_reset(&r->arena);
	if (!e && m && record_message_decode(envelope, &r->arena, &rec) == ERR_OK && wanted(r, m, &rec))
		send_message(r, m, &rec);
	if (!r->conn)
		request_free(r);
	else if (!r->full)
		list_next(r);
}

static void list_next(struct request *r)
{
	if (r->next == r->count || r->shown == r->limit) {
		end(r, ERR_OK, "");
		return;
	}
	r->waiting = true;
	spool_read(r->queue->spool, r->ids[r->next], on_listed, r);
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void start_list(struct request *r)
{
	struct queue *q = r->queue;
	r->ids = mem_alloc(MAX(q->messages.count, (size_t)1) * sizeof(*r->ids));
	if (!r->ids) {
		end(r, ERR_NOMEM, "no memory for the list");
		return;
	}
	MAP_EACH_SAFE (&q->messages, n, tmp) {
		r->ids[r->count++] = CONTAINER_OF(n, struct message, node)->id;
	}
	qsort(r->ids, r->count, sizeof(*r->ids), by_id);
	list_next(r);
}

/* ---- events ---- */

static void add_result(struct request *r, const struct record_result *res)
{
	char status[16];
	snprintf(status, sizeof(status), "%u.%u.%u", res->enhanced[0], res->enhanced[1], res->enhanced[2]);
	add_text_or_null(r, "host", res->host);
	add_text_or_null(r, "address", res->address);
	add_text_or_null(r, "tls", res->tls);
	ctl_add_duration(&r->row, "duration", res->duration_ms);
	if (r->events) {
		ctl_add_u64(&r->row, "attempt", res->attempt);
		ctl_add_str(&r->row, "status", status);
	}
	if (res->code) {
		CLEANUP(buf_done) struct buf reply;
		buf_init(&reply, 2048);
		buf_printf(&reply, "%u ", res->code);
		buf_add(&reply, res->text);
		ctl_add_text(&r->row, "reply", buf_slice(&reply));
	} else {
		add_text_or_null(r, "reply", res->text);
	}
}

static const char *result_word(const struct record_result *res)
{
	if (res->unknown)
		return "unknown";
	return res->state == RECORD_FAILED ? "bounced" : record_state_name((enum record_state)res->state);
}

static void show_result(struct request *r, const struct spool_item *item)
{
	struct record_result res;
	if (record_result_decode(item->payload, &res) != ERR_OK)
		return;
	ctl_add_time(&r->row, "time", res.time_ms);
	if (!r->events) {
		ctl_add_u64(&r->row, "recipient", res.ordinal + 1u);
		ctl_add_str(&r->row, "result", result_word(&res));
		add_result(r, &res);
		send_row(r, CTL_T_ATTEMPT);
		return;
	}
	add_id(r, item->id);
	ctl_add_str(&r->row, "event", result_word(&res));
	char number[32];
	snprintf(number, sizeof(number), "#%u", res.ordinal + 1);
	ctl_add_str(&r->row, "recipient", number);
	add_result(r, &res);
	send_row(r, CTL_T_EVENT);
}

static void show_accepted(struct request *r, const struct spool_item *item)
{
	struct record_message rec;
	arena_reset(&r->arena);
	if (!r->events || record_message_decode(item->payload, &r->arena, &rec) != ERR_OK)
		return;
	for (uint32_t i = 0; i < rec.recipient_count && (!r->server.len || slice_eq(r->server, rec.server));
	     i++) {
		ctl_add_time(&r->row, "time", rec.time_ms);
		add_id(r, item->id);
		ctl_add_str(&r->row, "event", "accepted");
		ctl_add_text(&r->row, "server", rec.server);
		ctl_add_text(&r->row, "account", rec.account);
		ctl_add_text(&r->row, "sender", rec.sender);
		ctl_add_text(&r->row, "recipient", rec.recipients[i].address);
		ctl_add_size(&r->row, "size", rec.size);
		ctl_add_text(&r->row, "client", rec.client);
		add_text_or_null(r, "tls", rec.tls);
		send_row(r, CTL_T_EVENT);
	}
}

static void on_item(void *ctx, const struct spool_item *item)
{
	struct request *r = ctx;
	if (!r->conn)
		return;
	if (item->kind == SPOOL_REC_MESSAGE)
		show_accepted(r, item);
	else if (item->kind == SPOOL_REC_RESULT && (!r->server.len || r->only_id))
		show_result(r, item);
}

static void on_walked(void *ctx, enum err e, uint64_t next_cursor)
{
	struct request *r = ctx;
	r->waiting = false;
	if (!r->conn)
		request_free(r);
	else if (r->only_id && r->shown == 0 && !e)
		end(r, ERR_NOTFOUND, "no message of that id is kept here");
	else
		end(r, e, e ? err_name(e) : "");
}

static void start_walk(struct request *r)
{
	struct spool_walk w = {.max = (uint32_t)r->limit,
			       .newest_first = !r->only_id,
			       .only_id = r->only_id,
			       .fn = on_item,
			       .done = on_walked,
			       .ctx = r};
	r->waiting = true;
	enum err e = spool_walk(r->queue->spool, &w);
	if (e) {
		r->waiting = false;
		end(r, e, err_name(e));
	}
}

/* ---- queue.show ---- */

static void show_recipients(struct request *r, const struct message *m, const struct record_message *rec)
{
	for (uint32_t i = 0; i < m->count; i++) {
		const struct recipient *rc = &m->recipients[i];
		ctl_add_u64(&r->row, "number", i + 1u);
		ctl_add_text(&r->row, "address", rec->recipients[i].address);
		ctl_add_str(&r->row, "state", recipient_state(rc));
		ctl_add_u64(&r->row, "attempts", rc->attempts);
		add_next_try(r, rc, 1);
		if (rc->target)
			ctl_add_text(&r->row, "site", rc->target->key);
		send_row(r, CTL_T_RECIPIENT);
	}
}

static void on_shown(void *ctx, enum err e, struct slice envelope, struct slice edits)
{
	struct request *r = ctx;
	struct record_message rec;
	struct message *m = index_find(r->queue, r->only_id);
	r->waiting = false;
	if (!r->conn) {
		request_free(r);
		return;
	}
	if (!e)
		e = record_message_decode(envelope, &r->arena, &rec);
	if (e || !m) {
		end(r, e ? e : ERR_NOTFOUND, e ? err_name(e) : "the message has just left the queue");
		return;
	}
	send_message(r, m, &rec);
	show_recipients(r, m, &rec);
	start_walk(r);
}

static void start_show(struct request *r)
{
	if (!index_find(r->queue, r->only_id)) {
		end(r, ERR_NOTFOUND, "no message of that id is queued (tidegate trace show tells its past)");
		return;
	}
	r->limit = CTL_ROWS_MAX;
	r->waiting = true;
	spool_read(r->queue->spool, r->only_id, on_shown, r);
}

/* ---- queue.stats ---- */

struct tally {
	const char *state;
	uint64_t messages, recipients, size;
	int64_t oldest;
};

static void send_tally(struct request *r, const struct tally *t)
{
	ctl_add_str(&r->row, "state", t->state);
	ctl_add_u64(&r->row, "messages", t->messages);
	ctl_add_u64(&r->row, "recipients", t->recipients);
	ctl_add_size(&r->row, "size", t->size);
	if (t->messages)
		ctl_add_time(&r->row, "oldest", t->oldest);
	else
		ctl_add_null(&r->row, "oldest");
	send_row(r, CTL_T_QUEUE);
}

static void start_stats(struct request *r)
{
	struct tally t[] = {{.state = "queued"}, {.state = "active"},   {.state = "deferred"},
			    {.state = "held"},   {.state = "exported"}, {.state = "importing"}};
	MAP_EACH_SAFE (&r->queue->messages, n, tmp) {
		const struct message *m = CONTAINER_OF(n, struct message, node);
		struct slice state = slice_str(message_state(m));
		for (size_t i = 0; i < ARRAY_LEN(t); i++) {
			if (!slice_eq_str(state, t[i].state))
				continue;
			t[i].oldest = t[i].messages ? MIN(t[i].oldest, m->time_ms) : m->time_ms;
			t[i].messages++;
			t[i].recipients += m->open;
			t[i].size += m->size;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		send_tally(r, &t[i]);
	end(r, ERR_OK, "");
}

/* ---- queue.moves ---- */

static const char *move_state(const struct move *mv)
{
	switch (mv->kind) {
	case RECORD_VERDICT_EXPORTED:
		return "exported";
	case RECORD_VERDICT_IMPORTING:
		return "importing";
	case RECORD_VERDICT_IMPORTED:
		return "imported";
	case RECORD_VERDICT_REFUSED:
		return "refused";
	default:
		return "exporting";
	}
}

static void start_moves(struct request *r)
{
	LIST_EACH_SAFE (&r->queue->moves.known, n, tmp) {
		const struct move *mv = CONTAINER_OF(n, struct move, node);
		char text[TRANSFER_TEXT_MAX];
		transfer_format(mv->export, text);
		ctl_add_str(&r->row, "export", text);
		ctl_add_str(&r->row, "state", move_state(mv));
		if (mv->count)
			ctl_add_u64(&r->row, "messages", mv->count);
		if (mv->since_ms)
			ctl_add_time(&r->row, "since", mv->since_ms);
		send_row(r, CTL_T_MOVE);
	}
	end(r, ERR_OK, "");
}

/* ---- requests ---- */

static struct request *request_new(struct queue *q, struct ctl_conn *c, struct slice raw)
{
	struct request *r = NEW(struct request);
	struct ctl_frame f;
	size_t used;
	if (!r)
		return NULL;
	r->queue = q;
	r->conn = c;
	ctl_fields_init(&r->row);
	arena_init(&r->arena, QUEUE_ENVELOPE_ARENA);
	buf_init(&r->filters, CTL_REQUEST_MAX);
	buf_add(&r->filters, raw);
	if (r->filters.failed ||
	    ctl_decode(buf_slice(&r->filters), CTL_REQUEST_MAX, &f, &used, NULL) != ERR_OK) {
		request_free(r);
		return NULL;
	}
	r->limit = MIN(ctl_get_u64(&f.fields, "limit", CTL_ROWS_DEFAULT), (uint64_t)CTL_ROWS_MAX);
	r->server = ctl_get_text(&f.fields, "server", SLICE_EMPTY);
	r->sender = ctl_get_text(&f.fields, "sender", SLICE_EMPTY);
	r->recipient = ctl_get_text(&f.fields, "recipient", SLICE_EMPTY);
	r->state = ctl_get_text(&f.fields, "state", SLICE_EMPTY);
	ctl_conn_set_data(c, r);
	return r;
}

static void dispatch(struct request *r, enum ctl_verb verb)
{
	switch (verb) {
	case CTL_QUEUE_LIST:
		start_list(r);
		break;
	case CTL_QUEUE_SHOW:
		start_show(r);
		break;
	case CTL_QUEUE_STATS:
		start_stats(r);
		break;
	case CTL_QUEUE_MOVES:
		start_moves(r);
		break;
	case CTL_TRACE_RECENT:
	case CTL_TRACE_SHOW:
		r->events = true;
		if (r->only_id)
			r->limit = CTL_ROWS_MAX;
		start_walk(r);
		break;
	default:
		end(r, ERR_UNSUPPORTED, "not a question for the queue");
		break;
	}
}

static void on_request(void *ctx, struct ctl_conn *c, const struct ctl_frame *req, struct slice raw)
{
	struct queue *q = ctx;
	struct slice id = ctl_get_text(&req->fields, "id", SLICE_EMPTY);
	uint64_t number = 0;
	bool by_id_verb = req->verb == CTL_QUEUE_SHOW || req->verb == CTL_TRACE_SHOW;
	if (!q->ready || q->closing) {
		ctl_conn_end(c, ERR_BUSY, SLICE_LIT("the spool is not open; try again"));
		return;
	}
	if (transfer_request(q, c, req))
		return;
	if (by_id_verb && record_id_parse(id, &number) != ERR_OK) {
		ctl_conn_end(c, ERR_SYNTAX, SLICE_LIT("not a message id (they look like 2-1f3a)"));
		return;
	}
	struct request *r = request_new(q, c, raw);
	if (!r) {
		ctl_conn_end(c, ERR_NOMEM, SLICE_LIT("no memory for the request"));
		return;
	}
	r->only_id = number;
	dispatch(r, req->verb);
}

static void on_more(void *ctx, struct ctl_conn *c)
{
	struct request *r = ctl_conn_data(c);
	if (!r || !r->full)
		return;
	r->full = false;
	if (r->ids && !r->waiting)
		list_next(r);
}

static void on_close(void *ctx, struct ctl_conn *c)
{
	struct request *r = ctl_conn_data(c);
	if (!r) {
		transfer_closed(ctx, c);
		return;
	}
	r->conn = NULL;
	if (!r->waiting)
		request_free(r);
}

static void on_file(void *ctx, struct ctl_conn *c, int fd)
{
	transfer_file(ctx, c, fd);
}

enum err control_new(struct queue *q, struct diag *d)
{
	static const struct ctl_events events = {
		.on_request = on_request, .on_more = on_more, .on_close = on_close, .on_file = on_file};
	return ctl_server_new(q->env.loop, &events, q, &q->ctl, d);
}
