/* Queued mail that moves to another relay, or came from one: who may deliver it is decided at every moment, also across
 * crashes on either side.
 *
 *   this relay (A)                                      the other one (B)
 *
 *   export FILE     withdraws what waits, writes FILE
 *                   one batch: EXPORTED; then FILE's END
 *                                                       import FILE   stores all of it: IMPORTING
 *                                                                     END: one batch: released, and a marker: IMPORTED
 *   acknowledge N   removes its copies
 *
 *   to give up:                                         refuse N      a marker: REFUSED; not if it is IMPORTED
 *   reclaim N       releases its copies
 *
 * Invariants:
 *  1. A delivers until EXPORTED is durable, nobody until IMPORTED is, B from then on. So a message is never delivered by
 *     both, and one of them has it at any time.
 *  2. A file without END was never EXPORTED, or was and is of no use: what stands in it is still A's.
 *  3. B says once, for good, what became of an export: IMPORTED or REFUSED. The same file again changes nothing.
 *  4. What is IMPORTING when the queue opens belongs to an import that did not get to its END: it is removed, A still has
 *     it.
 *
 * On disk EXPORTED and IMPORTING are the last verdict on a held message; a marker is a message of its own, held, without
 * content, whose verdict says IMPORTED or REFUSED. It is kept for longer than a file is taken.
 */
#pragma once

#include "record/record.h"
#include "relay/queue/queue_priv.h"

struct move {
	struct list_node node; /* in queue.moves.known */
	struct queue *queue;   /* borrowed */
	uint64_t export;
	uint8_t kind;     /* enum record_verdict_kind */
	uint64_t marker;  /* IMPORTED, REFUSED: the message that says so */
	int64_t since_ms; /* IMPORTED, REFUSED */
	uint64_t *ids;    /* owned array; EXPORTED, IMPORTING: its messages */
	size_t count, cap;
};

/* ---- what is known ---- */
struct move *move_find(const struct queue *q, uint64_t export);
struct move *move_new(struct queue *q, uint64_t export,
		      enum record_verdict_kind kind); /* NULL without memory */
MUST_CHECK enum err move_add(struct move *mv, uint64_t id);
void move_forget(struct move *mv);

void moves_init(struct queue *q);
void moves_stop(struct queue *q); /* nothing more is offered */
void moves_free(struct queue *q);
/* While opening, after live messages were indexed. True: a marker, which is no mail and must not be indexed. */
bool moves_is_marker(struct queue *q, const struct spool_live *live);
void moves_on_live(struct queue *q, const struct spool_live *live);
void moves_opened(struct queue *q); /* removes what invariant 4 says */

/* ---- messages ---- */
bool message_waits(const struct message *m); /* all its recipients do, and it is not held */
void message_withdraw(struct queue *q, struct message *m, uint8_t claim); /* message_waits */
void message_release(struct queue *q, struct message *m);                 /* to be tried at once */

/* ---- durable changes: offered to the spool again and again until they are ---- */
typedef void move_done_fn(void *ctx); /* once: it is durable, or the queue has stopped */
/* One batch: the verdict on all messages of mv, held or not; with a marker if kind is IMPORTED or REFUSED. The index is the
 * caller's business. ERR_NOMEM: nothing began. */
MUST_CHECK enum err move_decide(struct queue *q, struct move *mv, enum record_verdict_kind kind,
				move_done_fn *done, void *ctx);
/* Removes all messages of mv, also from the index, then mv itself. `text` is static. */
MUST_CHECK enum err move_remove(struct queue *q, struct move *mv, const char *text, move_done_fn *done,
				void *ctx);
