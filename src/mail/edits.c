#include "mail/edits.h"

enum { OP_INSERT = 1, OP_DELETE = 2 };

void edits_init(struct edits *e)
{
	*e = (struct edits){0};
	buf_init(&e->encoded, EDITS_ENCODED_MAX);
}

void edits_done(struct edits *e)
{
	buf_done(&e->encoded);
}

/* Common to both kinds; false: the list has failed. */
static bool begin(struct edits *e, uint8_t kind, uint64_t at)
{
	if (!e->failed && at < e->position)
		e->failed = ERR_RANGE;
	if (!e->failed && e->count == EDITS_OPS_MAX)
		e->failed = ERR_LIMIT;
	if (e->failed)
		return false;
	e->count++;
	e->position = at;
	buf_add_u8(&e->encoded, kind);
	buf_add_u64(&e->encoded, at);
	return true;
}

static void end(struct edits *e)
{
	if (!e->failed)
		e->failed = e->encoded.failed;
}

void edits_insert(struct edits *e, uint64_t at, struct slice text)
{
	if (text.len == 0 || !begin(e, OP_INSERT, at))
		return;
	buf_add_slice32(&e->encoded, text);
	end(e);
}

void edits_delete(struct edits *e, uint64_t at, uint64_t len)
{
	if (len == 0 || !begin(e, OP_DELETE, at))
		return;
	if (len > UINT64_MAX - at) {
		e->failed = ERR_RANGE;
		return;
	}
	buf_add_u64(&e->encoded, len);
	e->position = at + len;
	end(e);
}

void edits_encode(const struct edits *e, struct buf *out)
{
	if (e->failed)
		out->failed = e->failed;
	else
		buf_add(out, buf_slice(&e->encoded));
}

/* ---- reading ---- */

/* Reads the next operation into the iterator; false at the end (or if the list is broken: it->ops.failed). */
static bool read_op(struct edits_iter *it)
{
	if (cursor_left(&it->ops) == 0)
		return false;
	it->kind = cursor_u8(&it->ops);
	it->at = cursor_u64(&it->ops);
	it->text = SLICE_EMPTY;
	it->len = 0;
	if (it->kind == OP_INSERT)
		it->text = cursor_slice32(&it->ops);
	else if (it->kind == OP_DELETE)
		it->len = cursor_u64(&it->ops);
	else
		it->ops.failed = true;
	return !it->ops.failed;
}

enum err edits_check(struct slice encoded, uint64_t content, uint64_t *ret_length)
{
	struct edits_iter it = {.ops = cursor_of(encoded)};
	uint64_t position = 0, length = content;
	uint32_t count = 0;
	if (encoded.len > EDITS_ENCODED_MAX)
		return ERR_LIMIT;
	while (read_op(&it)) {
		if (++count > EDITS_OPS_MAX)
			return ERR_LIMIT;
		if (it.at < position || it.at > content || it.len > content - it.at)
			return ERR_CORRUPT;
		position = it.at + it.len;
		length = length + it.text.len - it.len;
	}
	if (it.ops.failed)
		return ERR_CORRUPT;
	*ret_length = length;
	return ERR_OK;
}

void edits_iter_init(struct edits_iter *it, struct slice encoded, uint64_t content)
{
	*it = (struct edits_iter){.ops = cursor_of(encoded), .content = content};
	it->have_op = read_op(it);
}

bool edits_next(struct edits_iter *it, struct edits_piece *ret)
{
	while (it->have_op && it->at == it->position) {
		struct slice text = it->text;
		it->position += it->len;
		it->have_op = read_op(it);
		if (text.len) {
			*ret = (struct edits_piece){.literal = true, .text = text};
			return true;
		}
	}
	uint64_t until = it->have_op ? it->at : it->content;
	if (it->position >= until)
		return false;
	*ret = (struct edits_piece){.offset = it->position, .len = until - it->position, .text = SLICE_EMPTY};
	it->position = until;
	return true;
}
