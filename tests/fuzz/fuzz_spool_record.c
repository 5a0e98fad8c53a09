/* A segment that was written well and damaged afterwards. The input is a script of octets that writes batches and then breaks
 * them; the scanner may show only batches that were written and committed here, octet for octet, in order. Content of a
 * mail that looks like records (of this very segment's past, or under another seed) is never taken for one.
 *
 *     0-3  a batch: u8 messages (0-3), each u8 length and content; u8 results (0-3); commit
 *     4    a message without a commit
 *     5    u16 where, u8 with what: octets are changed
 *     6    u16 where, u8 how many: octets become zero
 *     7    the batch before this one again, as it stands on disk
 *     8    the whole segment so far, under another seed, as the content of a message
 */
#include "core/cursor.h"
#include "evio/sim.h"
#include "spool/scan.h"

#include <fcntl.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEGMENT_MAX (256u << 10)
#define BATCHES_MAX 256
#define SEED        0x1234567890abcdefull
#define BASE        FORMAT_SEGMENT_HEADER

struct segment_image {
	struct buf written; /* as it should be, from BASE on */
	struct buf damaged; /* as it is */
	size_t from[BATCHES_MAX], to[BATCHES_MAX];
	size_t batches;
	bool odd; /* holds what is no batch, and may hide the one behind it */
};

/* ---- writing ---- */

static void add_message(struct buf *out, uint64_t id, struct slice content, uint64_t seed)
{
	struct format_message m = {.recipients = 1,
				   .content_length = content.len,
				   .content_sum = format_content_sum(content),
				   .envelope = SLICE_LIT("envelope"),
				   .edits = SLICE_EMPTY,
				   .verdict = SLICE_EMPTY};
	uint64_t summed = FORMAT_MESSAGE_HEADER + m.envelope.len;
	struct format_header h = {
		.type = FORMAT_MESSAGE, .id = id, .length = summed + content.len, .summed = summed};
	char head[FORMAT_RECORD_HEADER + FORMAT_MESSAGE_HEADER];
	size_t from = out->len;
	format_header_put(&h, head);
	format_message_head(&m, head + FORMAT_RECORD_HEADER);
	buf_add_mem(out, head, sizeof(head));
	buf_add(out, m.envelope);
	if (!out->failed)
		format_place(out->data + from, BASE + from, seed);
	buf_add(out, content);
	buf_add_zero(out, format_padded(h.length) - h.length);
}

static void add_commit(struct buf *out, uint64_t records, uint64_t seed)
{
	char commit[FORMAT_COMMIT_SIZE];
	format_commit_put(commit, records, 1, BASE);
	format_place(commit, BASE + out->len, seed);
	buf_add_mem(out, commit, sizeof(commit));
}

static void add_result(struct buf *out, uint64_t id, uint64_t seed)
{
	struct format_result r = {.ordinal = 0, .state = 2, .payload = SLICE_LIT("taken")};
	size_t from = out->len;
	if (format_result_add(out, id, &r) == ERR_OK && !out->failed)
		format_place_all(out->data + from, out->len - from, BASE + from, seed);
}

static void add_batch(struct buf *out, struct cursor *c, uint64_t seed)
{
	unsigned messages = cursor_u8(c) % 4, results;
	for (unsigned i = 0; i < messages; i++) {
		size_t n = cursor_u8(c);
		n = MIN(n, cursor_left(c));
		add_message(out, i + 1, cursor_bytes(c, n), seed);
	}
	results = cursor_u8(c) % 4;
	for (unsigned i = 0; i < results; i++)
		add_result(out, i + 1, seed);
	add_commit(out, messages + results, seed);
}

/* The same octets under another seed: what a mail may hold that somebody made from a segment of his own. */
static void add_forgery(struct segment_image *g)
{
	struct buf forged;
	buf_init(&forged, SEGMENT_MAX);
	add_message(&forged, 9, SLICE_LIT("forged"), SEED + 1);
	add_commit(&forged, 1, SEED + 1);
	buf_add(&forged, slice_sub(buf_slice(&g->written), 0, 4096)); /* a true past, at another offset */
	add_message(&g->written, 1, buf_slice(&forged), SEED);
	add_commit(&g->written, 1, SEED);
	buf_done(&forged);
}

static void repeat_batch(struct segment_image *g)
{
	size_t from = g->from[g->batches - 1], n = g->to[g->batches - 1] - from;
	if (buf_reserve(&g->written, n) ==
	    ERR_OK) /* so that the octets stay where they are while they are copied */
		buf_add_mem(&g->written, g->written.data + from, n);
}

static void write_batch(struct segment_image *g, unsigned op, struct cursor *c)
{
	size_t from = g->written.len;
	if (g->batches == BATCHES_MAX)
		return;
	if (op == 7 && g->batches)
		repeat_batch(g);
	else if (op == 8)
		add_forgery(g);
	else if (op == 4)
		add_message(&g->written, 77, SLICE_LIT("never committed"), SEED);
	else if (op < 4)
		add_batch(&g->written, c, SEED);
	buf_add(&g->damaged, slice_from(buf_slice(&g->written), from));
	g->odd |= op == 4 || op == 7;
	if (op == 4 || op == 7)
		return; /* a copy at another place is no record; without a commit there is no batch */
	g->from[g->batches] = from;
	g->to[g->batches++] = g->written.len;
}

static void break_octets(struct segment_image *g, unsigned op, struct cursor *c)
{
	size_t at = cursor_u16(c), n = op == 6 ? cursor_u8(c) : 1;
	uint8_t with = op == 5 ? cursor_u8(c) : 0;
	for (size_t i = at; i < at + n && i < g->damaged.len; i++)
		g->damaged.data[i] = (char)(op == 5 ? g->damaged.data[i] ^ with : 0);
}

/* ---- scanning ---- */

static void check_batch(const struct segment_image *g, const struct scan *s, const struct scan_result *r,
			size_t *next)
{
	struct slice written = buf_slice(&g->written), damaged = buf_slice(&g->damaged);
	/* A batch may begin later than it was written: where its first records were lost nothing of it may come. */
	while (*next < g->batches && g->to[*next] + BASE != r->to)
		++*next;
	ASSERT(*next < g->batches && r->from == g->from[*next] + BASE);
	for (size_t i = 0; i < s->count; i++) {
		const struct format_record *rec = &s->records[i].record;
		size_t at = rec->offset - BASE;
		ASSERT(rec->offset >= r->from && rec->offset + rec->size <= r->to);
		ASSERT(slice_eq(slice_sub(written, at, rec->length + FORMAT_RECORD_HEADER),
				slice_sub(damaged, at, rec->length + FORMAT_RECORD_HEADER)));
		ASSERT(slice_eq(scan_payload(s, &s->records[i]),
				slice_sub(written, at + FORMAT_RECORD_HEADER, rec->summed)));
	}
	++*next;
}

static void scan_all(const struct segment_image *g)
{
	struct sim_disk *sd = sim_disk_new(1, 4u << 20);
	struct disk disk = sim_disk_disk(sd);
	int fd = disk.ops->open(disk.self, "segment", O_RDWR | O_CREAT, 0600);
	struct iovec iov = {g->damaged.data, g->damaged.len};
	struct scan_result r = {.to = 0};
	enum scan_found found;
	struct scan s;
	size_t next = 0;
	uint64_t pos = BASE, end = BASE + g->damaged.len + 64;
	ASSERT(fd >= 0 &&
	       (iov.iov_len == 0 || disk.ops->pwritev(disk.self, fd, &iov, 1, BASE) == (ssize_t)iov.iov_len));
	ASSERT(disk.ops->allocate(disk.self, fd, 0, end) == 0);
	scan_init(&s, disk, fd, SEED, BASE, end);
	s.verify = true;
	while ((found = scan_next(&s, &r)) != SCAN_END) {
		ASSERT(found == SCAN_BATCH || found == SCAN_DAMAGE);
		ASSERT(r.from >= pos && r.to > r.from && r.to <= end);
		pos = r.to;
		if (found == SCAN_BATCH)
			check_batch(g, &s, &r, &next);
	}
	ASSERT(r.to <= end);
	bool same = slice_eq(buf_slice(&g->written), buf_slice(&g->damaged));
	ASSERT(!same || g->odd || next == g->batches);
	scan_done(&s);
	disk.ops->close(disk.self, fd);
	sim_disk_free(sd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(slice_of(data, size));
	struct segment_image g = {.batches = 0};
	buf_init(&g.written, SEGMENT_MAX);
	buf_init(&g.damaged, SEGMENT_MAX);
	while (cursor_left(&c) > 0 && !c.failed && g.written.len < SEGMENT_MAX / 2) {
		unsigned op = cursor_u8(&c) % 9;
		if (op == 5 || op == 6)
			break_octets(&g, op, &c);
		else
			write_batch(&g, op, &c);
	}
	if (!g.written.failed && !g.damaged.failed)
		scan_all(&g);
	buf_done(&g.written);
	buf_done(&g.damaged);
	return 0;
}
