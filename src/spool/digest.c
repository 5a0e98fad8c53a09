/* Retention: what may go of finished messages goes, before the rest does. A segment in which nothing is live is written
 * again without what may not be kept any longer, in slices, into a file of its own:
 *
 *     seg-N --(body_ms over)--> hdr-N: records, and the headers --(headers_ms over)--> idx-N: records
 *
 * The new file is whole and durable (it ends in a seal) before it takes the segment's place, and then the old one goes.
 * Whatever moment the power goes, the next opening finds one of them (recover.c).
 */
#include "core/mem.h"
#include "spool/scan.h"
#include "spool/store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct digesting {
	struct job job;
	struct store *store;
	struct segment *segment; /* kept by `users` */
	struct format_segment header;
	uint64_t seed;
	int in, out; /* -1 */
	struct scan scan;
	struct buf data;   /* to be written at `written` */
	struct buf head;   /* scratch: the headers of one content */
	uint64_t written;  /* octets of the new file */
	bool begun, whole; /* whole: durable */
	enum format_kept was;
	int errnum;
};

/* ---- on the worker ---- */

static int begin(struct digesting *g)
{
	const struct disk *d = &g->store->disk;
	char name[STORE_NAME_MAX];
	g->begun = true;
	store_name_kept(name, g->segment->sequence, g->was);
	g->in = d->ops->open(d->self, name, O_RDONLY, 0);
	if (g->in < 0)
		return -g->in;
	store_name_kept(name, g->segment->sequence, g->header.kept);
	g->out = d->ops->open(d->self, name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (g->out < 0)
		return -g->out;
	scan_init(&g->scan, *d, g->in, g->segment->seed, FORMAT_SEGMENT_HEADER, g->segment->end);
	format_segment_encode(&g->header, &g->data);
	return 0;
}

/* Up to and with the first empty line. Without one in sight nothing is known to be a header, but in a short content. */
static size_t headers_length(struct slice start, bool all)
{
	if (slice_starts(start, SLICE_LIT("\r\n")))
		return 2;
	size_t at = slice_find_slice(start, SLICE_LIT("\r\n\r\n"));
	if (at < start.len)
		return at + 4;
	return all ? start.len : 0;
}

/* What is left of the content. A file of its own may be gone already. */
static struct slice read_head(struct digesting *g, const struct format_record *r,
			      const struct format_message *m)
{
	const struct disk *d = &g->store->disk;
	size_t n = (size_t)MIN(m->content_length, (uint64_t)SPOOL_HEADERS_MAX);
	uint64_t offset = m->large ? 0 : r->offset + FORMAT_RECORD_HEADER + r->summed;
	char name[STORE_NAME_MAX];
	int fd = g->in;
	buf_clear(&g->head);
	if (m->large) {
		store_name_large(name, r->id);
		fd = d->ops->open(d->self, name, O_RDONLY, 0);
	}
	ssize_t got = fd < 0 || buf_reserve(&g->head, n) != ERR_OK
			      ? -1
			      : d->ops->pread(d->self, fd, g->head.data, n, offset);
	if (m->large && fd >= 0)
		d->ops->close(d->self, fd);
	g->head.len = got > 0 ? (size_t)got : 0;
	return slice_sub(buf_slice(&g->head), 0, headers_length(buf_slice(&g->head), n == m->content_length));
}

static bool add_message(struct digesting *g, const struct format_record *r, struct slice payload)
{
	struct format_message m;
	char head[FORMAT_RECORD_HEADER + FORMAT_MESSAGE_HEADER];
	if (format_message_read(r, payload, &m) != ERR_OK)
		return false;
	if (g->header.kept == FORMAT_KEPT_RECORDS)
		m.head = m.edits = SLICE_EMPTY;
	else if (!m.cut)
		m.head = read_head(g, r, &m);
	m.cut = true;
	uint64_t length = FORMAT_MESSAGE_HEADER + m.envelope.len + m.edits.len + m.verdict.len + m.head.len;
	format_header_put(
		&(struct format_header){
			.type = FORMAT_MESSAGE, .id = r->id, .length = length, .summed = length},
		head);
	format_message_head(&m, head + FORMAT_RECORD_HEADER);
	buf_add_mem(&g->data, head, sizeof(head));
	buf_add(&g->data, m.envelope);
	buf_add(&g->data, m.edits);
	buf_add(&g->data, m.verdict);
	buf_add(&g->data, m.head);
	buf_add_zero(&g->data, format_padded(length) - length);
	return true;
}

static void place(struct digesting *g, size_t from)
{
	if (!g->data.failed)
		format_place_all(g->data.data + from, g->data.len - from, g->written + from, g->seed);
}

static void add_batch(struct digesting *g, const struct scan_result *res)
{
	char commit[FORMAT_COMMIT_SIZE];
	size_t from = g->data.len;
	uint64_t count = 0;
	for (size_t i = 0; i < g->scan.count; i++) {
		const struct scan_record *r = &g->scan.records[i];
		struct slice payload = scan_payload(&g->scan, r);
		bool added = true;
		if (r->record.type == FORMAT_MESSAGE)
			added = add_message(g, &r->record, payload);
		else
			format_add(&g->data, r->record.type, r->record.id, payload);
		count += added;
	}
	format_commit_put(commit, count, res->commit.time_ms, g->written + from);
	buf_add_mem(&g->data, commit, sizeof(commit));
	place(g, from);
}

static int flush(struct digesting *g)
{
	const struct disk *d = &g->store->disk;
	struct iovec iov = {g->data.data, g->data.len};
	if (g->data.failed)
		return ENOMEM;
	ssize_t n = d->ops->pwritev(d->self, g->out, &iov, 1, g->written);
	if (n < 0)
		return (int)-n;
	g->written += (uint64_t)n;
	buf_clear(&g->data);
	return 0;
}

static int finish(struct digesting *g)
{
	const struct disk *d = &g->store->disk;
	size_t from = g->data.len;
	format_add(&g->data, FORMAT_SEAL, 0, SLICE_EMPTY);
	place(g, from);
	int r = flush(g);
	if (!r)
		r = -d->ops->fdatasync(d->self, g->out);
	if (!r)
		r = -d->ops->fsync_dir(d->self, ".");
	g->whole = !r;
	return r;
}

static void run_digest(struct job *j)
{
	struct digesting *g = CONTAINER_OF(j, struct digesting, job);
	struct scan_result res;
	g->errnum = g->begun ? 0 : begin(g);
	for (uint64_t until = g->scan.pos + SPOOL_SLICE; !g->errnum && !g->whole && g->scan.pos < until;) {
		enum scan_found f = scan_next(&g->scan, &res);
		if (f == SCAN_BATCH)
			add_batch(g, &res);
		else if (f == SCAN_FAILED)
			g->errnum = g->scan.errnum;
		else if (f == SCAN_END)
			g->errnum = finish(g);
	}
	if (!g->errnum && g->data.len)
		g->errnum = flush(g);
}

/* The file that is needed no more: the old one, or the new one that came to nothing. */
static void run_end(struct job *j)
{
	struct digesting *g = CONTAINER_OF(j, struct digesting, job);
	const struct disk *d = &g->store->disk;
	char name[STORE_NAME_MAX];
	bool taken = g->segment->kept == g->header.kept;
	if (g->in >= 0)
		d->ops->close(d->self, g->in);
	if (g->out >= 0)
		d->ops->close(d->self, g->out);
	store_name_kept(name, g->segment->sequence, taken ? g->was : g->header.kept);
	d->ops->unlink(d->self, name);
	d->ops->fsync_dir(d->self, ".");
}

/* ---- on the loop ---- */

static void ended(struct job *j)
{
	struct digesting *g = CONTAINER_OF(j, struct digesting, job);
	struct store *s = g->store;
	store_bulk_done(s);
	g->segment->users--;
	s->digesting = false;
	scan_done(&g->scan);
	buf_done(&g->data);
	buf_done(&g->head);
	mem_free(g);
	keep_look(s);
	store_check_closed(s);
}

/* Nobody reads the segment while it becomes another file. */
static bool may_swap(const struct digesting *g)
{
	return g->whole && g->segment->users == 1 && !loan_lent(g->segment) && !g->segment->live;
}

static void swap(struct digesting *g)
{
	struct segment *seg = g->segment;
	loan_drop(g->store, seg);
	seg->kept = g->header.kept;
	seg->seed = g->seed;
	seg->sealed = false;
	seg->allocated = g->written;
	seg->end = g->written - FORMAT_RECORD_HEADER;
}

static void digest_done(struct job *j)
{
	struct digesting *g = CONTAINER_OF(j, struct digesting, job);
	struct store *s = g->store;
	store_bulk_done(s);
	if (!g->errnum && !g->whole && !s->spool.closing) {
		store_bulk(s, &g->job);
		return;
	}
	if (may_swap(g))
		swap(g);
	else
		g->segment->move_at = loop_now(s->spool.loop) + SPOOL_DIGEST_WAIT_MS;
	g->job = (struct job){.run = run_end, .done = ended};
	store_bulk(s, &g->job);
}

void digest_start(struct store *s, struct segment *seg, enum format_kept kept)
{
	bool later = loop_now(s->spool.loop) < seg->move_at || s->full || s->spool.closing;
	struct digesting *g = s->digesting || later ? NULL : NEW(struct digesting);
	if (!g)
		return;
	g->store = s;
	g->segment = seg;
	g->in = g->out = -1;
	g->was = seg->kept;
	g->header = (struct format_segment){.sequence = seg->sequence,
					    .generation = seg->generation,
					    .created_ms = loop_wall(s->spool.loop),
					    .last_ms = seg->last_ms,
					    .kept = kept};
	loop_random(s->spool.loop, g->header.secret, sizeof(g->header.secret));
	g->seed = format_seed(&g->header);
	buf_init(&g->data, SPOOL_RECORD_MAX + SPOOL_SLICE);
	buf_init(&g->head, SPOOL_HEADERS_MAX);
	g->job = (struct job){.run = run_digest, .done = digest_done};
	seg->users++;
	s->digesting = true;
	store_bulk(s, &g->job);
}
