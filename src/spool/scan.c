#include "spool/scan.h"

#include "core/mem.h"

#include <errno.h>
#include <string.h>

#define PAYLOADS_MAX ((size_t)1 << 31)

bool numbers_add(struct numbers *l, uint64_t v)
{
	if (l->count == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		uint64_t *more = mem_resize(l->items, cap * sizeof(*more));
		if (!more)
			return false;
		l->items = more;
		l->cap = cap;
	}
	l->items[l->count++] = v;
	return true;
}

void scan_init(struct scan *s, struct disk disk, int fd, uint64_t seed, uint64_t from, uint64_t end)
{
	*s = (struct scan){.disk = disk, .fd = fd, .seed = seed, .pos = from, .end = end, .batch_at = from};
	buf_init(&s->window, SPOOL_RECORD_MAX + SPOOL_SCAN_WINDOW);
	buf_init(&s->payloads, PAYLOADS_MAX);
}

void scan_done(struct scan *s)
{
	buf_done(&s->window);
	buf_done(&s->payloads);
	mem_free(s->records);
	s->records = NULL;
}

struct slice scan_payload(const struct scan *s, const struct scan_record *r)
{
	return slice_of(s->payloads.data + r->at, r->record.summed);
}

/* ---- the window ---- */

static void fill(struct scan *s, uint64_t at, size_t n)
{
	n = (size_t)MIN(MAX((uint64_t)n, SPOOL_SCAN_WINDOW), s->end - at);
	buf_clear(&s->window);
	s->window_at = at;
	if (buf_reserve(&s->window, n) != ERR_OK) {
		s->errnum = ENOMEM;
		return;
	}
	ssize_t got = s->disk.ops->pread(s->disk.self, s->fd, s->window.data, n, at);
	if (got < 0)
		s->errnum = (int)-got;
	else
		s->window.len = (size_t)got;
}

/* n octets from `at`, fewer at the end of the file. Borrowed until the next call. */
static struct slice look(struct scan *s, uint64_t at, uint64_t n)
{
	n = at < s->end ? MIN(n, s->end - at) : 0;
	if (n == 0 || s->errnum)
		return SLICE_EMPTY;
	if (at < s->window_at || at + n > s->window_at + s->window.len)
		fill(s, at, (size_t)n);
	return slice_sub(buf_slice(&s->window), (size_t)(at - s->window_at), (size_t)n);
}

/* ---- one record ---- */

static bool content_intact(struct scan *s, const struct format_record *r, struct slice summed)
{
	struct format_message m;
	if (r->type != FORMAT_MESSAGE || !s->verify)
		return true;
	if (format_message_read(r, summed, &m) != ERR_OK)
		return false;
	if (m.large || m.cut)
		return true;
	struct slice all = look(s, r->offset, r->size);
	struct slice content = slice_sub(all, FORMAT_RECORD_HEADER + r->summed, m.content_length);
	return content.len == m.content_length && format_content_sum(content) == m.content_sum;
}

/* ERR_NOTFOUND: zeros. ERR_CORRUPT. *ret_summed is borrowed from the window. */
static enum err record_at(struct scan *s, uint64_t at, struct format_record *ret, struct slice *ret_summed)
{
	struct slice head = look(s, at, FORMAT_RECORD_HEADER);
	if (head.len == 0)
		return ERR_NOTFOUND;
	enum err e = format_header_read(head, at, ret);
	if (e)
		return e;
	if (ret->size > s->end - at)
		return ERR_CORRUPT;
	struct slice in = look(s, at, FORMAT_RECORD_HEADER + ret->summed);
	if (!format_intact(ret, in, s->seed) || !content_intact(s, ret, slice_from(in, FORMAT_RECORD_HEADER)))
		return ERR_CORRUPT;
	/* The content's check may have moved the window. */
	in = look(s, at, FORMAT_RECORD_HEADER + ret->summed);
	*ret_summed = slice_from(in, FORMAT_RECORD_HEADER);
	return s->errnum ? ERR_IO : ERR_OK;
}

static bool zero(struct slice s)
{
	return s.len == 0 || (s.ptr[0] == 0 && memcmp(s.ptr, s.ptr + 1, s.len - 1) == 0);
}

#define STRIDE 4096 /* of looking for the end of zeros */

/* The next intact record behind `at`; s->end if there is none. */
static uint64_t resynchronise(struct scan *s, uint64_t at, bool *ret_garbage)
{
	struct format_record r;
	struct slice summed;
	*ret_garbage = false;
	for (; at < s->end && !s->errnum; at += 8) {
		while (at < s->end && !s->errnum && at % STRIDE == 0 && zero(look(s, at, STRIDE)))
			at += STRIDE;
		if (zero(look(s, at, 8)))
			continue;
		*ret_garbage = true;
		if (record_at(s, at, &r, &summed) == ERR_OK)
			return at;
	}
	return s->end;
}

/* ---- batches ---- */

static void forget_batch(struct scan *s, struct scan_result *ret)
{
	for (size_t i = 0; i < s->count; i++)
		ret->dropped += s->records[i].record.type == FORMAT_MESSAGE;
	s->count = 0;
	buf_clear(&s->payloads);
	s->batch_at = s->pos;
}

static bool keep(struct scan *s, const struct format_record *r, struct slice summed)
{
	if (s->count == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct scan_record *more = mem_resize(s->records, cap * sizeof(*more));
		if (!more)
			return false;
		s->records = more;
		s->cap = cap;
	}
	s->records[s->count++] = (struct scan_record){.record = *r, .at = s->payloads.len};
	buf_add(&s->payloads, summed);
	return !s->payloads.failed;
}

static enum scan_found damage(struct scan *s, struct scan_result *ret, bool corrupt)
{
	uint64_t from = s->pos;
	bool garbage;
	uint64_t next = resynchronise(s, corrupt ? from + 8 : from, &garbage);
	if (s->errnum)
		return SCAN_FAILED;
	forget_batch(s, ret);
	ret->from = from;
	ret->to = next;
	if (next == s->end) {
		ret->to = from;
		ret->torn = corrupt || garbage;
		s->pos = s->end;
		return SCAN_END;
	}
	s->pos = s->batch_at = next;
	return SCAN_DAMAGE;
}

/* Whether the commit fits the records before it. */
static bool closes(const struct scan *s, const struct format_record *r, struct slice payload,
		   struct format_commit *ret)
{
	return r->id == s->count && format_commit_read(payload, ret) == ERR_OK;
}

enum scan_found scan_next(struct scan *s, struct scan_result *ret)
{
	struct format_record r;
	struct slice summed;
	*ret = (struct scan_result){.from = s->pos};
	/* What the last call showed. */
	if (s->batch_at == s->pos) {
		s->count = 0;
		buf_clear(&s->payloads);
	}
	while (!s->errnum) {
		enum err e = record_at(s, s->pos, &r, &summed);
		if (e == ERR_NOTFOUND || e == ERR_CORRUPT)
			return damage(s, ret, e == ERR_CORRUPT);
		if (e)
			break;
		s->pos += r.size;
		if (r.type == FORMAT_COMMIT && closes(s, &r, summed, &ret->commit)) {
			ret->from = s->batch_at;
			ret->to = s->batch_at = s->pos;
			return SCAN_BATCH;
		}
		if (r.type == FORMAT_COMMIT || r.type >= FORMAT_CHECKPOINT)
			forget_batch(
				s,
				ret); /* a commit without its records, after damage; or the end of a segment */
		else if (!keep(s, &r, summed))
			s->errnum = ENOMEM;
	}
	return SCAN_FAILED;
}
