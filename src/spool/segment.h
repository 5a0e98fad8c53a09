/* One segment file, as the segments back end knows it in memory. Life:
 *
 *     making --(header synced)--> next --(roll)--> active --(roll)--> sealing --(checkpoint synced)--> sealed --> gone
 *                                                    `---(write or sync failed)---> abandoned ----------------^
 *
 *     making: segment_make     roll: commit.c     sealing: checkpoint_seal     gone: keep.c
 *
 * Once nothing in it is live, a digest takes its place when its content, later its headers, may go (digest.c).
 *
 * Only the active segment grows. A segment found at opening is sealed or abandoned from the start.
 */
#pragma once

#include "core/list.h"
#include "spool/format.h"

struct loan_file;

struct segment {
	struct list_node node; /* in store.segments, in order of sequence */
	uint64_t sequence, generation;
	uint64_t seed;      /* of its checksums */
	uint64_t end;       /* everything before it is durable; the next group begins here */
	uint64_t allocated; /* octets of the file */
	int64_t last_ms;    /* wall clock of the last commit in it */
	uint64_t since;     /* loop time at which it became active */
	uint32_t live;      /* messages in the index whose record is here */
	uint32_t users;     /* jobs of the bulk worker that read or write it */
	int fd;             /* for writing; -1 once nothing more is written */
	uint64_t move_at;   /* loop time before which nobody looks whether its live messages can be moved */
	uint64_t messages;  /* in it, finished ones too; 0: not counted yet */
	bool sealed;        /* ends in a checkpoint */
	bool retire;        /* active, and to be sealed although it is not full */
	enum format_kept kept;  /* of its finished messages; less than all: a digest (digest.c) */
	struct loan_file *loan; /* NULL: not open for loans */
};

static inline uint64_t segment_sequence(const struct segment *s)
{
	return s ? s->sequence : 0;
}
