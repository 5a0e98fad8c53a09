/* Edits: what leaves differs from what is stored. Stored octets never change; a list of inserts and deleted ranges over them is
 * kept beside and applied while the message is sent.
 *
 * Invariants:
 *  1. Positions are octets of the stored content and never decrease; what is deleted is not touched again. An insert at
 *     position p stands before octet p; several at one place keep their order.
 *  2. The encoded form is complete in itself: u8 kind (1 insert, 2 delete), u64 position, then u32 length + octets or u64
 *     length; repeated.
 *  3. Decoding checks everything (bounds, order, limits) before the first piece comes out.
 */
#pragma once

#include "core/buf.h"
#include "core/cursor.h"
#include "mail/limits.h"

struct edits {
	struct buf encoded;
	uint64_t position; /* where the next may begin at the earliest */
	uint32_t count;
	enum err failed; /* sticky: ERR_LIMIT, ERR_NOMEM, ERR_RANGE (out of order) */
};

void edits_init(struct edits *e);
void edits_done(struct edits *e);
void edits_insert(struct edits *e, uint64_t at, struct slice text);
void edits_delete(struct edits *e, uint64_t at, uint64_t len);
/* Appends the encoded form. Check e->failed first; a failed list encodes as nothing and sets out->failed. */
void edits_encode(const struct edits *e, struct buf *out);

/* Is this a valid list for `content` octets? *ret_length: octets that leave. ERR_CORRUPT, ERR_LIMIT. */
MUST_CHECK enum err edits_check(struct slice encoded, uint64_t content, uint64_t *ret_length);

/* The pieces of the outgoing message in order. The list must have passed edits_check for this content. */
struct edits_iter {
	struct cursor ops;
	uint64_t content, position;
	bool have_op;
	uint8_t kind;
	uint64_t at, len;
	struct slice text;
};
struct edits_piece {
	bool literal;         /* else a range of the stored content */
	struct slice text;    /* literal: borrowed from the encoded form */
	uint64_t offset, len; /* range; len is at least 1 */
};
void edits_iter_init(struct edits_iter *it, struct slice encoded, uint64_t content);
bool edits_next(struct edits_iter *it, struct edits_piece *ret);
