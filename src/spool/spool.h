/* The spool: where an accepted message is safe. Asynchronous; back ends `segments` (files, spool/FORMAT.md)
 * and `memory` (tests) behind one interface and one conformance suite.
 *
 * The spool knows message ids, recipient ordinals, their state and whether a message is held. Envelopes,
 * edits, verdicts and results are opaque payloads (encoded by src/record and mail/edits.h).
 *
 * Invariants:
 *  1. A `done` callback says COMMITTED only after everything in its batch is durable (fdatasync returned),
 * and all of a batch is recovered or none of it.
 *  2. FAILED: nothing of the batch will be recovered. UNKNOWN: it may or may not be; the caller must treat
 * the message as possibly accepted and answer 451 (the client's retry may duplicate, never lose). `segments`
 * gives UNKNOWN only when a sync failed.
 *  3. Stored content never changes; a loan shows exactly the octets that were appended.
 *  4. Callbacks run on the loop, never inside the call that requested them.
 *  5. No call blocks: everything that touches the disk runs on the spool's two workers (commit, bulk).
 *  6. A final recipient state never changes again.
 */
#pragma once

#include "evio/disk.h"
#include "evio/loop.h"

struct spool;
struct spool_write;
struct spool_batch;

enum spool_outcome { SPOOL_COMMITTED, SPOOL_FAILED, SPOOL_UNKNOWN };
typedef void spool_done_fn(void *ctx, enum spool_outcome outcome, const struct diag *why);

/* Per recipient; numbers are on disk. The spool itself only distinguishes open (queued, deferred) from final.
 */
enum spool_state { SPOOL_QUEUED, SPOOL_DEFERRED, SPOOL_DELIVERED, SPOOL_FAILED_FOR_GOOD, SPOOL_REMOVED };

/* One live message, shown at open. Everything is borrowed for the call. */
struct spool_live {
	uint64_t id;
	int64_t time_ms; /* of the commit */
	uint32_t recipients;
	const uint8_t *states;       /* enum spool_state, one per recipient */
	const struct slice *results; /* last result payload per recipient, empty: none */
	struct slice envelope;       /* payload */
	struct slice verdict;        /* last verdict payload, empty: none */
	bool held;
	uint64_t content_length;
};

struct spool_report {
	uint64_t generation; /* of this opening; never used before on this spool */
	uint64_t live;       /* messages with an open recipient */
	uint64_t dropped;    /* stored but never committed: their clients got no 250 */
	uint64_t unanswered; /* committed shortly before the end: perhaps never answered (they are live) */
	uint64_t damaged;    /* records skipped and quarantined */
	uint64_t took_ms;
};

enum spool_health {
	SPOOL_HEALTHY,
	SPOOL_RESERVE /* below disk_reserve: no new mail */,
	SPOOL_BROKEN /* writes fail; retrying */
};

struct spool_events {
	void (*on_live)(void *ctx, const struct spool_live *m); /* during opening, in order of id */
	void (*on_ready)(void *ctx, enum err e, const struct spool_report *r,
			 const struct diag *why); /* opening ended */
	void (*on_health)(void *ctx, enum spool_health h, const struct diag *why);
};

/* How long finished messages are kept: their records and, for a shorter time, headers and content. archive_ms 0: until
 * their segment is needed no more. headers_ms, body_ms 0: as long as what is named before. */
struct spool_retention {
	uint64_t archive_ms, headers_ms, body_ms;
};

struct spool_options {
	uint64_t segment_size;    /* octets, 0: 64 MiB */
	uint64_t large_threshold; /* content above it goes to a file of its own; 0: 256 KiB */
	uint64_t disk_reserve;    /* octets to keep free; 0: 64 MiB; back end segments only */
	struct spool_retention keep;
};

/* Opening is asynchronous: on_live for each live message, then on_ready. ERR_BUSY in on_ready: another
 * process holds it. */
MUST_CHECK enum err spool_open_segments(struct loop *l, struct disk disk, const struct spool_options *o,
					const struct spool_events *ev, void *ctx, struct spool **ret,
					struct diag *d);
MUST_CHECK enum err spool_open_memory(struct loop *l, const struct spool_options *o,
				      const struct spool_events *ev, void *ctx, struct spool **ret,
				      struct diag *d);
/* Finishes what was submitted (callbacks still come), then on_closed; the spool is gone after it. */
void spool_close(struct spool *sp, void (*on_closed)(void *ctx), void *ctx);

/* Another spool_options.disk_reserve, from the next look at the disk on. */
void spool_set_reserve(struct spool *sp, uint64_t octets);
void spool_set_retention(struct spool *sp, const struct spool_retention *keep);

uint64_t spool_next_id(struct spool *sp); /* generation << 32 | counter; after on_ready */
enum spool_health spool_health(const struct spool *sp);

/* ---- storing one message: begin, append..., finish, then commit (alone or in a batch) or abort ---- */

/* ERR_NOSPACE below the reserve, ERR_LIMIT when too much is in flight, ERR_IO while BROKEN. */
MUST_CHECK enum err spool_write_begin(struct spool *sp, uint64_t id, struct spool_write **ret,
				      struct diag *d);
/* ERR_AGAIN: taken, but stop until on_drain(ctx) (large messages outrunning the disk). Other errors: abort.
 */
MUST_CHECK enum err spool_write_append(struct spool_write *w, struct slice content);
void spool_write_on_drain(struct spool_write *w, void (*on_drain)(void *ctx), void *ctx);
/* Content is complete; payloads are copied. From here spool_loan works for its id (the judge reads it before
 * the commit). */
MUST_CHECK enum err spool_write_finish(struct spool_write *w, uint32_t recipients, struct slice envelope,
				       struct slice edits);
void spool_write_abort(struct spool_write *w); /* before commit only */

/* ---- changes that belong together are one batch ---- */
struct spool_batch *spool_batch_new(struct spool *sp); /* NULL without memory */
MUST_CHECK enum err spool_batch_message(struct spool_batch *b, struct spool_write *w, struct slice verdict,
					bool held); /* w belongs to b */
MUST_CHECK enum err spool_batch_result(struct spool_batch *b, uint64_t id, uint32_t ordinal,
				       enum spool_state s, struct slice payload);
MUST_CHECK enum err spool_batch_verdict(struct spool_batch *b, uint64_t id, struct slice payload);
MUST_CHECK enum err spool_batch_hold(struct spool_batch *b, uint64_t id, bool held);
void spool_batch_abort(struct spool_batch *b);
/* b is gone after this call. Batches committed in one turn, or while a sync runs, share one write and one
 * fdatasync. */
void spool_batch_commit(struct spool_batch *b, spool_done_fn *done, void *ctx);

/* ---- reading ---- */

/* Content on loan: a kernel descriptor open for reading only. It pins its segment until spool_unlend. */
struct spool_loan {
	uint64_t segment; /* loans with the same number share fd: a borrower needs it once */
	uint64_t message;
	int fd; /* owned by the spool */
	uint64_t offset, length;
};
/* Inside the callback of a spool_read of this message, and for one that is not committed yet, it is there at once; else
 * perhaps ERR_AGAIN: it has to be opened, which spool_read does. ERR_NOTFOUND, ERR_IO. */
MUST_CHECK enum err spool_lend(struct spool *sp, uint64_t id, struct spool_loan *ret, struct diag *d);
void spool_unlend(struct spool *sp, const struct spool_loan *loan);

/* Envelope and edits of a committed message. `fn` comes on the loop, soon (cache) or after a read by the bulk
 * worker; slices are borrowed for the call. ERR_NOTFOUND, ERR_CORRUPT, ERR_IO. */
typedef void spool_read_fn(void *ctx, enum err e, struct slice envelope, struct slice edits);
void spool_read(struct spool *sp, uint64_t id, spool_read_fn *fn, void *ctx);

/* Committed records in the order of the spool, for trace and tracker. cursor 0 is the oldest kept; *ret_next
 * continues. Calls fn for at most `max` records, then done. With newest_first the walk goes backwards from
 * the end (cursor 0: the end). Slices are borrowed for the call. */
enum spool_record { SPOOL_REC_MESSAGE, SPOOL_REC_VERDICT, SPOOL_REC_RESULT, SPOOL_REC_HOLD };
struct spool_item {
	enum spool_record kind;
	uint64_t id;
	uint32_t ordinal;
	uint8_t state;        /* RESULT: enum spool_state; HOLD: 0 or 1 */
	struct slice payload; /* MESSAGE: envelope */
};
struct spool_walk {
	uint64_t cursor;
	uint32_t max;
	bool newest_first;
	uint64_t only_id; /* 0: all */
	void (*fn)(void *ctx, const struct spool_item *item);
	void (*done)(void *ctx, enum err e, uint64_t next_cursor);
	void *ctx;
};
MUST_CHECK enum err spool_walk(struct spool *sp, const struct spool_walk *w);

struct spool_stats {
	uint64_t live, segments, octets, free_octets;
	uint64_t commits, syncs, batches; /* since open */
	uint64_t moved;                   /* messages copied out of old segments since open */
	uint64_t sync_us_last, sync_us_max;
};
void spool_stats(const struct spool *sp, struct spool_stats *ret);
