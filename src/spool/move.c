/* Compaction: the few live messages of the oldest segment are copied into the active one, so that it can go. Step by step,
 * so that nobody waits long for the bulk worker:
 *
 *     listing --(its messages are known)--> reading --(one message)--> committing --(durable)--> reading ... --> over
 *
 * A copy says everything that is true of its message: content, last verdict, hold, and each recipient's last result; it
 * takes the message's place (FORMAT.md, invariant 7). So a message is copied only from a state that is on disk: not while
 * a batch about it is under way (spool_entry.touched), nor if anything changed while it was read.
 */
#include "core/mem.h"
#include "spool/scan.h"
#include "spool/store.h"

#include <fcntl.h>
#include <string.h>

/* A record to be repeated, in this segment or a younger one: those stay while the oldest is kept. */
struct source {
	uint64_t sequence, seed;
	uint32_t offset8; /* 0: none */
	uint32_t ordinal;
	uint8_t state;
	size_t at, len; /* of what was read, in moving.text */
};

struct moving {
	struct job job;
	struct store *store;
	struct segment *from; /* kept by `users` */
	int fd;               /* of it; -1 */
	struct scan scan;     /* while listing */
	bool listed;
	struct numbers ids; /* messages in the segment, also finished ones */
	size_t next;
	/* the message that is being copied, as it was when reading began */
	uint64_t id, offset;
	struct spool_entry_rcpt *rcpt; /* owned array; `recipients` of them */
	struct source *results;        /* owned array; `result_count` of them */
	uint32_t recipients, result_count;
	struct source verdict;
	struct format_record header;
	struct buf record, content, text;
	enum err failed;
};

/* ---- on the worker: which messages there are ---- */

static int open_source(const struct store *s, uint64_t sequence)
{
	char name[STORE_NAME_MAX];
	store_name_segment(name, sequence);
	return s->disk.ops->open(s->disk.self, name, O_RDONLY, 0);
}

static void list_batch(struct moving *m)
{
	for (size_t i = 0; i < m->scan.count && !m->failed; i++)
		if (m->scan.records[i].record.type == FORMAT_MESSAGE &&
		    !numbers_add(&m->ids, m->scan.records[i].record.id))
			m->failed = ERR_NOMEM;
}

static void run_listing(struct job *j)
{
	struct moving *m = CONTAINER_OF(j, struct moving, job);
	struct scan_result r;
	if (m->fd < 0) {
		m->fd = open_source(m->store, m->from->sequence);
		if (m->fd < 0) {
			m->failed = err_from_errno(-m->fd);
			return;
		}
		scan_init(&m->scan, m->store->disk, m->fd, m->from->seed, FORMAT_SEGMENT_HEADER,
			  m->from->end);
	}
	for (uint64_t until = m->scan.pos + SPOOL_SLICE; m->scan.pos < until && !m->failed && !m->listed;) {
		enum scan_found f = scan_next(&m->scan, &r);
		if (f == SCAN_BATCH)
			list_batch(m);
		else if (f == SCAN_FAILED)
			m->failed = err_from_errno(m->scan.errnum);
		m->listed = f == SCAN_END;
	}
}

/* ---- on the worker: one message ---- */

static enum err read_content(struct moving *m, const struct format_message *msg)
{
	const struct disk *d = &m->store->disk;
	buf_clear(&m->content);
	if (msg->large)
		return ERR_OK;
	size_t n = (size_t)msg->content_length;
	enum err e = buf_reserve(&m->content, n);
	if (e)
		return e;
	ssize_t got = d->ops->pread(d->self, m->fd, m->content.data, n,
				    m->offset + FORMAT_RECORD_HEADER + m->header.summed);
	if (got < 0)
		return err_from_errno((int)-got);
	m->content.len = (size_t)got;
	bool whole = m->content.len == n && format_content_sum(buf_slice(&m->content)) == msg->content_sum;
	return whole ? ERR_OK : ERR_CORRUPT;
}

/* Words of a result that cannot be read are left out: its state is known. */
static void read_source(struct moving *m, struct source *src, enum format_type type)
{
	CLEANUP(buf_done) struct buf b;
	struct format_record rec;
	struct format_result res = {.ordinal = src->ordinal};
	int fd = src->offset8 ? open_source(m->store, src->sequence) : -1;
	buf_init(&b, SPOOL_RECORD_MAX);
	if (fd < 0)
		return;
	enum err e = read_record(m->store->disk, fd, src->seed, 8ull * src->offset8, &b, &rec);
	m->store->disk.ops->close(m->store->disk.self, fd);
	if (e || rec.type != type || rec.id != m->id)
		return;
	struct slice payload = slice_sub(buf_slice(&b), FORMAT_RECORD_HEADER, rec.summed);
	if (type == FORMAT_RESULT) {
		e = format_result_read(payload, &res);
		payload = res.payload;
	}
	if (e || res.ordinal != src->ordinal)
		return;
	src->at = m->text.len;
	src->len = payload.len;
	buf_add(&m->text, payload);
}

static void run_reading(struct job *j)
{
	struct moving *m = CONTAINER_OF(j, struct moving, job);
	struct format_message msg;
	m->failed = read_record(m->store->disk, m->fd, m->from->seed, m->offset, &m->record, &m->header);
	if (!m->failed && (m->header.type != FORMAT_MESSAGE || m->header.id != m->id))
		m->failed = ERR_CORRUPT;
	struct slice summed = slice_sub(buf_slice(&m->record), FORMAT_RECORD_HEADER, m->header.summed);
	if (!m->failed)
		m->failed = format_message_read(&m->header, summed, &msg);
	if (!m->failed && msg.recipients != m->recipients)
		m->failed = ERR_CORRUPT;
	if (!m->failed)
		m->failed = read_content(m, &msg);
	buf_clear(&m->text);
	for (uint32_t i = 0; i < m->result_count && !m->failed; i++)
		read_source(m, &m->results[i], FORMAT_RESULT);
	if (!m->failed)
		read_source(m, &m->verdict, FORMAT_VERDICT);
	if (!m->failed)
		m->failed = m->text.failed;
}

static void run_close(struct job *j)
{
	struct moving *m = CONTAINER_OF(j, struct moving, job);
	if (m->fd >= 0)
		m->store->disk.ops->close(m->store->disk.self, m->fd);
}

/* ---- on the loop: the end ---- */

static void closed(struct job *j)
{
	struct moving *m = CONTAINER_OF(j, struct moving, job);
	struct store *s = m->store;
	store_bulk_done(s);
	m->from->users--;
	s->moving = false;
	scan_done(&m->scan);
	mem_free(m->ids.items);
	mem_free(m->rcpt);
	mem_free(m->results);
	buf_done(&m->record);
	buf_done(&m->content);
	buf_done(&m->text);
	mem_free(m);
	keep_look(s);
	store_check_closed(s);
}

static void over(struct moving *m, uint64_t wait_ms)
{
	m->from->move_at = loop_now(m->store->spool.loop) + wait_ms;
	m->job = (struct job){.run = run_close, .done = closed};
	store_bulk(m->store, &m->job);
}

/* ---- on the loop: choosing a message ---- */

static struct source source_of(const struct moving *m, uint32_t behind, uint32_t offset8)
{
	const struct segment *seg = offset8 ? store_segment(m->store, m->from->sequence + behind) : NULL;
	return seg ? (struct source){.sequence = seg->sequence, .seed = seg->seed, .offset8 = offset8}
		   : (struct source){0};
}

/* Notes how the message stands, and what is to be read for it. */
static bool take(struct moving *m, const struct spool_entry *e)
{
	size_t n = e->recipients;
	mem_free(m->rcpt);
	mem_free(m->results);
	m->rcpt = mem_alloc(n * sizeof(*m->rcpt));
	m->results = mem_alloc(n * sizeof(*m->results));
	if (!m->rcpt || !m->results)
		return false;
	memcpy(m->rcpt, e->rcpt, n * sizeof(*m->rcpt));
	m->recipients = e->recipients;
	m->result_count = 0;
	for (uint32_t i = 0; i < e->recipients; i++) {
		if (e->rcpt[i].state == SPOOL_QUEUED)
			continue;
		struct source *src = &m->results[m->result_count++];
		*src = source_of(m, e->rcpt[i].segment, e->rcpt[i].offset8);
		src->ordinal = i;
		src->state = e->rcpt[i].state;
	}
	m->verdict = source_of(m, e->verdict_segment, e->verdict_offset8);
	m->id = e->id;
	m->offset = 8ull * e->offset8;
	return true;
}

static bool same(const struct moving *m, const struct spool_entry *e)
{
	return e && e->home == m->from && e->touched == 0 &&
	       memcmp(m->rcpt, e->rcpt, e->recipients * sizeof(*m->rcpt)) == 0 &&
	       m->verdict.offset8 == source_of(m, e->verdict_segment, e->verdict_offset8).offset8;
}

static void reading_done(struct job *j);

static void next_message(struct moving *m)
{
	struct store *s = m->store;
	if (s->spool.closing || s->full || !s->active) {
		over(m, 0);
		return;
	}
	while (m->next < m->ids.count) {
		const struct spool_entry *e = spool_index_find(&s->spool.index, m->ids.items[m->next++]);
		if (!e || e->home != m->from || e->touched)
			continue; /* finished, moved, or about to change: another time */
		if (!take(m, e))
			break;
		m->job = (struct job){.run = run_reading, .done = reading_done};
		store_bulk(s, &m->job);
		return;
	}
	over(m, 0);
}

/* ---- on the loop: the copy ---- */

static void on_moved(void *ctx, enum spool_outcome outcome, const struct diag *why)
{
	struct moving *m = ctx;
	m->store->moved += outcome == SPOOL_COMMITTED;
	if (outcome == SPOOL_COMMITTED)
		next_message(m);
	else
		over(m, SPOOL_MOVE_WAIT_MS);
}

static struct spool_write *copy_of(struct moving *m, const struct spool_entry *e)
{
	struct format_message msg;
	struct spool *sp = &m->store->spool;
	struct slice summed = slice_sub(buf_slice(&m->record), FORMAT_RECORD_HEADER, m->header.summed);
	struct spool_write *w = write_new(sp, m->id);
	if (!w)
		return NULL;
	enum err err = format_message_read(&m->header, summed, &msg);
	ASSERT(!err); /* it was read before */
	w->payload = payload_new(msg.envelope, msg.edits);
	w->recipients = msg.recipients;
	w->content_length = msg.content_length;
	w->content_sum = msg.content_sum;
	w->elsewhere = msg.large;
	w->origin = m->from->sequence - msg.back;
	w->held = e->held;
	buf_add(&w->verdict,
		m->verdict.len ? slice_of(m->text.data + m->verdict.at, m->verdict.len) : msg.verdict);
	err = chunks_add(sp, &w->content, buf_slice(&m->content));
	if (!w->payload || w->verdict.failed || err) {
		write_free(w);
		return NULL;
	}
	return w;
}

static bool add_results(const struct moving *m, struct spool_batch *b)
{
	for (uint32_t i = 0; i < m->result_count; i++) {
		const struct source *src = &m->results[i];
		struct format_result r = {.ordinal = src->ordinal,
					  .state = src->state,
					  .payload = src->len ? slice_of(m->text.data + src->at, src->len)
							      : SLICE_EMPTY};
		if (format_result_add(&b->records, m->id, &r) != ERR_OK)
			return false;
		b->record_count++;
	}
	return true;
}

static bool commit_copy(struct moving *m, const struct spool_entry *e)
{
	struct spool_batch *b = spool_batch_new(&m->store->spool);
	struct spool_write *w = b ? copy_of(m, e) : NULL;
	struct format_message msg;
	if (!w || !add_results(m, b)) {
		if (w)
			write_free(w);
		if (b)
			spool_batch_abort(b);
		return false;
	}
	struct slice summed = slice_sub(buf_slice(&m->record), FORMAT_RECORD_HEADER, m->header.summed);
	enum err err = format_message_read(&m->header, summed, &msg);
	ASSERT(!err);
	w->state = WRITE_BATCHED;
	w->batch = b;
	list_push_back(&b->messages, &w->in_batch);
	b->moves = true;
	b->time_ms = msg.time_ms;
	spool_batch_commit(b, on_moved, m);
	return true;
}

static void reading_done(struct job *j)
{
	struct moving *m = CONTAINER_OF(j, struct moving, job);
	struct store *s = m->store;
	store_bulk_done(s);
	const struct spool_entry *e = spool_index_find(&s->spool.index, m->id);
	if (s->spool.closing)
		over(m, 0);
	else if (m->failed || !same(m, e))
		next_message(m); /* damaged: it stays where it is, and so does its segment */
	else if (!commit_copy(m, e))
		over(m, SPOOL_MOVE_WAIT_MS);
	store_check_closed(s);
}

/* ---- on the loop: beginning ---- */

/* Copying half a segment saves little; but no content stays longer than it may because of a few that do. */
static bool worth_it(const struct store *s, const struct segment *from)
{
	int64_t age = loop_wall(s->spool.loop) - from->last_ms;
	return (uint64_t)from->live * SPOOL_MOVE_SHARE <= from->messages || age > SPOOL_MOVE_ANYWAY_MS;
}

static void listed(struct moving *m)
{
	m->from->messages = MAX(m->ids.count, 1u);
	if (worth_it(m->store, m->from))
		next_message(m);
	else
		over(m, 0);
}

static void listing_done(struct job *j)
{
	struct moving *m = CONTAINER_OF(j, struct moving, job);
	struct store *s = m->store;
	store_bulk_done(s);
	if (m->failed || s->spool.closing)
		over(m, SPOOL_MOVE_WAIT_MS);
	else if (!m->listed)
		store_bulk(s, &m->job);
	else
		listed(m);
	store_check_closed(s);
}

void move_start(struct store *s, struct segment *from)
{
	bool later = loop_now(s->spool.loop) < from->move_at || (from->messages && !worth_it(s, from));
	struct moving *m = s->moving || later || s->full || !s->active ? NULL : NEW(struct moving);
	if (!m)
		return;
	m->store = s;
	m->from = from;
	m->fd = -1;
	buf_init(&m->record, SPOOL_RECORD_MAX);
	buf_init(&m->content, SPOOL_RECORD_MAX);
	buf_init(&m->text, SPOOL_BATCH_MAX);
	m->job = (struct job){.run = run_listing, .done = listing_done};
	from->users++;
	s->moving = true;
	store_bulk(s, &m->job);
}
