#include "core/hash.h"
#include "core/mem.h"
#include "spool/seg_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A message as it is found; kept while it is live. */
struct found {
	struct map_node node;
	uint64_t id;
	int64_t time_ms;
	struct segment *segment;
	uint64_t envelope_at, content_at, content_length;
	struct buf envelope, verdict;
	uint32_t edits_len, recipients, open;
	bool held, large;
	uint8_t *states;
	struct buf *results; /* one per recipient */
};

struct recovery {
	struct job job;
	struct seg_spool *spool;
	struct map found;
	struct list segments;
	uint64_t *names; /* sequence numbers in the directory */
	size_t name_count, name_cap;
	uint64_t *larges; /* msg- files in the directory */
	size_t large_count, large_cap;
	uint64_t last_generation, last_sequence;
	struct spool_report report;
	int error;
	struct diag why;
};

void seg_name(char out[32], const char *kind, uint64_t number)
{
	snprintf(out, 32, "%s-%016llx", kind, (unsigned long long)number);
}

/* ---- found messages ---- */

static bool found_eq(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct found, node)->id == *(const uint64_t *)key;
}

static struct found *find(struct recovery *r, uint64_t id)
{
	struct map_node *n = map_find(&r->found, hash_u64(id), &id);
	return n ? CONTAINER_OF(n, struct found, node) : NULL;
}

static void found_free(struct recovery *r, struct found *f)
{
	map_remove(&r->found, &f->node);
	buf_done(&f->envelope);
	buf_done(&f->verdict);
	for (uint32_t i = 0; f->results && i < f->recipients; i++)
		buf_done(&f->results[i]);
	mem_free(f->results);
	mem_free(f->states);
	mem_free(f);
}

static enum err recover_message(struct recovery *r, struct segment *g, uint64_t at,
				const struct segf_record *rec)
{
	struct segf_message m;
	enum err e = segf_message_read(rec->payload, &m);
	if (e || find(r, rec->id))
		return e ? e : ERR_EXISTS;
	struct found *f = NEW(struct found);
	if (!f)
		return ERR_NOMEM;
	f->id = rec->id;
	f->time_ms = m.time_ms;
	f->segment = g;
	f->envelope_at = at + SEGF_RECORD_HEADER + SEGF_MESSAGE_HEADER;
	f->content_at = at + SEGF_RECORD_HEADER + m.content_at;
	f->content_length = m.content_length;
	f->edits_len = (uint32_t)m.edits.len;
	f->recipients = f->open = m.recipients;
	f->held = m.held;
	f->large = m.large;
	buf_init(&f->envelope, SPOOL_PAYLOAD_MAX);
	buf_init(&f->verdict, SPOOL_PAYLOAD_MAX);
	buf_add(&f->envelope, m.envelope);
	buf_add(&f->verdict, m.verdict);
	f->states = mem_alloc(f->recipients);
	if (m.large)
		buf_add_u64(&g->larges, f->id);
	if (f->states && map_insert(&r->found, &f->node, hash_u64(f->id)) == ERR_OK) {
		g->live++;
		return ERR_OK;
	}
	mem_free(f->states);
	mem_free(f);
	return ERR_NOMEM;
}

static enum err recover_result(struct recovery *r, const struct segf_record *rec)
{
	struct segf_result res;
	struct found *f = find(r, rec->id);
	enum err e = segf_result_read(rec->payload, &res);
	if (e || !f)
		return e; /* of a message that is done with and gone: fine */
	if (res.ordinal >= f->recipients)
		return ERR_CORRUPT;
	if (f->states[res.ordinal] >= SPOOL_DELIVERED)
		return ERR_OK;
	f->states[res.ordinal] = res.state;
	if (res.state >= SPOOL_DELIVERED && --f->open == 0) {
		f->segment->live--;
		found_free(r, f);
		return ERR_OK;
	}
	if (!f->results)
		f->results = mem_alloc(f->recipients * sizeof(*f->results));
	if (!f->results)
		return ERR_NOMEM;
	struct buf *b = &f->results[res.ordinal];
	b->max = SPOOL_PAYLOAD_MAX;
	buf_clear(b);
	buf_add(b, res.payload);
	return b->failed;
}

static enum err recover_verdict(struct recovery *r, const struct segf_record *rec)
{
	struct found *f = find(r, rec->id);
	if (!f)
		return ERR_OK;
	buf_clear(&f->verdict);
	buf_add(&f->verdict, rec->payload);
	return f->verdict.failed;
}

static enum err recover_hold(struct recovery *r, const struct segf_record *rec)
{
	struct found *f = find(r, rec->id);
	if (f && rec->payload.len)
		f->held = rec->payload.ptr[0] != 0;
	return ERR_OK;
}

/* ---- one segment ---- */

static void apply_batch(struct recovery *r, struct segment *g, struct slice all, uint64_t from, uint64_t to)
{
	struct segf_record rec;
	while (from < to && segf_read(slice_from(all, from), from, g->seed, &rec) == ERR_OK) {
		enum err e = ERR_OK;
		if (rec.type == SEGF_MESSAGE)
			e = recover_message(r, g, from, &rec);
		else if (rec.type == SEGF_RESULT)
			e = recover_result(r, &rec);
		else if (rec.type == SEGF_VERDICT)
			e = recover_verdict(r, &rec);
		else if (rec.type == SEGF_HOLD)
			e = recover_hold(r, &rec);
		if (e == ERR_NOMEM)
			r->error = ENOMEM;
		else if (e)
			r->report.damaged++;
		from += rec.size;
	}
}

static void quarantine(struct recovery *r, struct segment *g, struct slice damage, uint64_t at)
{
	struct disk *d = &r->spool->disk;
	char name[64];
	r->report.damaged++;
	snprintf(name, sizeof(name), "bad-%016llx-%016llx", (unsigned long long)g->sequence,
		 (unsigned long long)at);
	int fd = d->ops->open(d->self, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return; /* it still is where it was */
	struct iovec iov = {(void *)damage.ptr, damage.len};
	d->ops->pwritev(d->self, fd, &iov, 1, 0);
	d->ops->fdatasync(d->self, fd);
	d->ops->close(d->self, fd);
}

/* The next intact record behind `at`, or the end of the segment. */
static uint64_t resynchronise(struct slice all, uint64_t at, uint64_t seed)
{
	struct segf_record rec;
	for (at += 8; at + SEGF_RECORD_HEADER <= all.len; at += 8)
		if (segf_read(slice_from(all, at), at, seed, &rec) == ERR_OK)
			return at;
	return all.len;
}

/* Messages among the records that a missing commit leaves behind. */
static uint64_t count_messages(struct slice all, uint64_t from, uint64_t to, uint64_t seed)
{
	struct segf_record rec;
	uint64_t n = 0;
	while (from < to && segf_read(slice_from(all, from), from, seed, &rec) == ERR_OK) {
		n += rec.type == SEGF_MESSAGE;
		from += rec.size;
	}
	return n;
}

static void read_records(struct recovery *r, struct segment *g, struct slice all)
{
	uint64_t at = SEGF_SEGMENT_HEADER, batch = at, count = 0;
	struct segf_record rec;
	while (at < all.len && !r->error) {
		enum err e = segf_read(slice_from(all, at), at, g->seed, &rec);
		if (e == ERR_NOTFOUND)
			break;
		if (e) {
			uint64_t next = resynchronise(all, at, g->seed);
			r->report.dropped += count_messages(all, batch, at, g->seed);
			if (next == all.len)
				break; /* the torn tail */
			quarantine(r, g, slice_sub(all, at, next - at), at);
			at = batch = next;
			count = 0;
			g->end = at;
			continue;
		}
		at += rec.size;
		if (rec.type != SEGF_COMMIT) {
			count++;
			continue;
		}
		if (rec.id == count)
			apply_batch(r, g, all, batch, at - rec.size);
		else
			r->report.damaged++;
		batch = g->end = at;
		count = 0;
	}
	if (batch < at)
		r->report.dropped += count_messages(all, batch, at, g->seed);
	g->durable = g->end;
}

static int read_file(struct disk *d, int fd, struct buf *out)
{
	struct disk_stat st;
	int r = d->ops->stat(d->self, fd, &st);
	if (r)
		return -r;
	if (buf_reserve(out, st.size) != ERR_OK)
		return ENOMEM;
	while (out->len < st.size) {
		ssize_t n = d->ops->pread(d->self, fd, out->data + out->len, st.size - out->len, out->len);
		if (n < 0)
			return (int)-n;
		if (n == 0)
			break;
		out->len += (size_t)n;
	}
	return 0;
}

/* A segment whose header never became durable was never written to: its making was interrupted. */
static void discard_segment(struct recovery *r, const char *name)
{
	struct disk *d = &r->spool->disk;
	d->ops->unlink(d->self, name);
	d->ops->fsync_dir(d->self, ".");
}

static void trim_and_open(struct recovery *r, struct segment *g, const char *name)
{
	struct disk *d = &r->spool->disk;
	int fd = d->ops->open(d->self, name, O_RDWR, 0);
	if (fd >= 0) {
		d->ops->truncate(d->self, fd, g->end);
		d->ops->close(d->self, fd);
	}
	if (g->live)
		g->read_fd = d->ops->reopen_readonly(d->self, name);
}

static void recover_segment(struct recovery *r, uint64_t sequence)
{
	struct disk *d = &r->spool->disk;
	CLEANUP(buf_done) struct buf data;
	struct segf_segment header;
	char name[32];
	buf_init(&data, 1ull << 32);
	seg_name(name, "seg", sequence);
	int fd = d->ops->open(d->self, name, O_RDONLY, 0);
	r->error = fd < 0 ? -fd : read_file(d, fd, &data);
	if (fd >= 0)
		d->ops->close(d->self, fd);
	if (r->error) {
		diag_set_errno(&r->why, r->error, "%s", name);
		return;
	}
	enum err e = segf_segment_decode(buf_slice(&data), &header, &r->why);
	if (e == ERR_UNSUPPORTED) {
		r->error = EPROTO;
		return;
	}
	r->last_sequence = MAX(r->last_sequence, sequence);
	if (e || header.sequence != sequence) {
		discard_segment(r, name);
		return;
	}
	r->last_generation = MAX(r->last_generation, header.generation);
	struct segment *g = seg_segment_new(sequence);
	if (!g) {
		r->error = ENOMEM;
		return;
	}
	g->seed = segf_seed(&header);
	g->created_ms = header.created_ms;
	g->sealed = true;
	list_push_back(&r->segments, &g->node);
	read_records(r, g, buf_slice(&data));
	trim_and_open(r, g, name);
}

/* ---- the directory ---- */

static bool parse_name(const char *name, const char *prefix, uint64_t *ret)
{
	size_t n = strlen(prefix);
	char *end;
	if (strncmp(name, prefix, n) != 0 || strlen(name) != n + 16)
		return false;
	*ret = strtoull(name + n, &end, 16);
	return *end == '\0';
}

static bool push(uint64_t **list, size_t *count, size_t *cap, uint64_t v)
{
	if (*count == *cap) {
		size_t more = *cap ? *cap * 2 : 256;
		uint64_t *p = mem_resize(*list, more * sizeof(*p));
		if (!p)
			return false;
		*list = p;
		*cap = more;
	}
	(*list)[(*count)++] = v;
	return true;
}

static bool on_name(void *ctx, const char *name)
{
	struct recovery *r = ctx;
	uint64_t v;
	if (parse_name(name, "seg-", &v))
		return push(&r->names, &r->name_count, &r->name_cap, v);
	if (parse_name(name, "msg-", &v))
		return push(&r->larges, &r->large_count, &r->large_cap, v);
	return true;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static bool owned(struct recovery *r, uint64_t id)
{
	LIST_EACH_SAFE (&r->segments, n, tmp) {
		const struct buf *l = &CONTAINER_OF(n, struct segment, node)->larges;
		for (size_t i = 0; i + 8 <= l->len; i += 8)
			if (memcmp(l->data + i, &id, 8) == 0)
				return true;
	}
	return false;
}

static void recover_orphans(struct recovery *r)
{
	struct disk *d = &r->spool->disk;
	char name[32];
	for (size_t i = 0; i < r->large_count; i++) {
		if (owned(r, r->larges[i]))
			continue;
		seg_name(name, "msg", r->larges[i]);
		d->ops->unlink(d->self, name);
	}
}

static int take_lock(struct seg_spool *s, struct diag *d)
{
	s->lock_fd = s->disk.ops->open(s->disk.self, "lock", O_RDWR | O_CREAT, 0600);
	int r = s->lock_fd < 0 ? s->lock_fd : s->disk.ops->lock(s->disk.self, s->lock_fd);
	if (r == -EWOULDBLOCK)
		diag_set(d, ERR_BUSY, "another process has this spool open");
	else if (r)
		diag_set_errno(d, -r, "locking the spool");
	return -r;
}

static void run_recover(struct job *j)
{
	struct recovery *r = CONTAINER_OF(j, struct recovery, job);
	struct disk *d = &r->spool->disk;
	r->error = take_lock(r->spool, &r->why);
	if (!r->error) {
		r->error = -d->ops->list(d->self, ".", on_name, r);
		if (r->error)
			diag_set_errno(&r->why, r->error, "listing the spool");
	}
	qsort(r->names, r->name_count, sizeof(*r->names), ascending);
	for (size_t i = 0; i < r->name_count && !r->error; i++)
		recover_segment(r, r->names[i]);
	if (!r->error)
		recover_orphans(r);
}

/* ---- on the loop ---- */

static struct entry *index_found(struct seg_spool *s, struct found *f)
{
	struct entry *e = mem_alloc(sizeof(*e) + f->recipients);
	if (!e)
		return NULL;
	*e = (struct entry){.id = f->id,
			    .segment = f->segment,
			    .envelope_at = f->envelope_at,
			    .content_at = f->content_at,
			    .content_length = f->content_length,
			    .envelope_len = (uint32_t)f->envelope.len,
			    .edits_len = f->edits_len,
			    .recipients = f->recipients,
			    .open = f->open,
			    .large_fd = -1,
			    .held = f->held,
			    .large = f->large};
	memcpy(e->states, f->states, f->recipients);
	if (map_insert(&s->entries, &e->node, hash_u64(e->id)) == ERR_OK)
		return e;
	mem_free(e);
	return NULL;
}

static enum err show_found(struct seg_spool *s, struct found *f)
{
	struct slice *results = mem_alloc(f->recipients * sizeof(*results));
	struct entry *e = results ? index_found(s, f) : NULL;
	if (!e) {
		mem_free(results);
		return ERR_NOMEM;
	}
	for (uint32_t i = 0; i < f->recipients; i++)
		results[i] = f->results ? buf_slice(&f->results[i]) : SLICE_EMPTY;
	struct spool_live live = {.id = f->id,
				  .time_ms = f->time_ms,
				  .recipients = f->recipients,
				  .states = e->states,
				  .results = results,
				  .envelope = buf_slice(&f->envelope),
				  .verdict = buf_slice(&f->verdict),
				  .held = f->held,
				  .content_length = f->content_length};
	s->spool.ev->on_live(s->spool.ctx, &live);
	mem_free(results);
	return ERR_OK;
}

static enum err show_all(struct recovery *r)
{
	size_t n = 0;
	uint64_t *ids = mem_alloc((r->found.count + 1) * sizeof(*ids));
	if (!ids)
		return ERR_NOMEM;
	MAP_EACH_SAFE (&r->found, it, tmp) {
		ids[n++] = CONTAINER_OF(it, struct found, node)->id;
	}
	qsort(ids, n, sizeof(*ids), ascending);
	enum err e = ERR_OK;
	for (size_t i = 0; i < n && !e; i++)
		e = show_found(r->spool, find(r, ids[i]));
	mem_free(ids);
	return e;
}

static void give_segments(struct recovery *r)
{
	struct seg_spool *s = r->spool;
	for (struct list_node *n; (n = list_pop(&r->segments));)
		list_push_back(&s->segments, n);
	s->next_sequence = r->last_sequence + 1;
	s->spool.generation = r->last_generation + 1;
	s->report = r->report;
	s->report.generation = s->spool.generation;
	s->report.live = r->found.count;
}

static void recovery_free(struct recovery *r)
{
	MAP_EACH_SAFE (&r->found, n, tmp) {
		found_free(r, CONTAINER_OF(n, struct found, node));
	}
	map_done(&r->found);
	mem_free(r->names);
	mem_free(r->larges);
	mem_free(r);
}

static void recovered(struct job *j)
{
	struct recovery *r = CONTAINER_OF(j, struct recovery, job);
	struct seg_spool *s = r->spool;
	s->bulk_jobs--;
	give_segments(r);
	enum err e = r->error ? (r->why.code ? r->why.code : err_from_errno(r->error)) : ERR_OK;
	if (!e && !s->closing)
		e = show_all(r);
	if (e) {
		if (!r->why.text[0])
			diag_set(&r->why, e, "the spool cannot be read: %s", err_name(e));
		s->spool.ev->on_ready(s->spool.ctx, e, NULL, &r->why);
	} else {
		seg_make(s); /* on_ready follows when the segment of this generation is durable */
	}
	recovery_free(r);
	seg_check_closed(s);
}

enum err seg_recover(struct seg_spool *s)
{
	struct recovery *r = NEW(struct recovery);
	if (!r)
		return ERR_NOMEM;
	r->spool = s;
	map_init(&r->found, found_eq);
	list_init(&r->segments);
	r->job = (struct job){.run = run_recover, .done = recovered};
	s->bulk_jobs++;
	worker_submit(s->bulk, &r->job);
	return ERR_OK;
}
