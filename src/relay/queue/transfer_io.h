/* The file of an export or import, read or written a step at a time on a helper thread. Knows frames and their sums
 * (transfer_file.h), not what is in them.
 *
 *   writing: frame, then write until `left` is 0; ...; sync          reading: read, then piece until `left` is 0; ...
 *
 * Invariants:
 *  1. One step at a time. Its callback comes on the loop; then `status` says how it went.
 *  2. A step handles at most TRANSFER_STEP_MAX octets, so that nobody waits long for its end.
 *  3. A frame's head is written after all else of it, and read frames are shown only when their sums are right (a content
 *     piece by piece: wrong octets are told with the last one).
 */
#pragma once

#include "evio/loop.h"
#include "relay/queue/transfer_file.h"

#define TRANSFER_STEP_MAX (4u << 20)
#define TRANSFER_PIECE    (256u << 10)

struct worker;
struct transfer_step;

struct transfer_io {
	int fd;                    /* owned */
	struct transfer_head head; /* of the frame at `offset` */
	struct buf meta;           /* its meta */
	uint64_t offset, left;     /* octets of its content that are still to come */
	struct slice piece;        /* of the content; borrowed until the next step */
	/* OK. ERR_IO: errnum says why. Reading: ERR_CLOSED: the file ends within a frame or before one; ERR_CORRUPT;
	 * ERR_NOMEM. */
	enum err status;
	int errnum;
	bool source; /* writing: what failed was reading the content that is copied */
	/* private */
	struct worker *worker;      /* owned */
	struct transfer_step *step; /* owned */
	char *buffer;               /* owned, TRANSFER_PIECE octets */
	uint64_t next;              /* reading: offset of the frame behind this one */
	int from;
	uint64_t from_offset;
	uint32_t crc;
	void (*done)(void *ctx);
	void *ctx;
};

/* Owns fd, also on failure. */
MUST_CHECK enum err transfer_io_init(struct transfer_io *io, struct loop *l, int fd);
/* Waits for the step under way; its callback comes inside. A zeroed struct is fine. */
void transfer_io_done(struct transfer_io *io);

/* Begins a frame with what is in io->meta; its content comes from this descriptor, which is borrowed until it is written. */
void transfer_io_frame(struct transfer_io *io, enum transfer_type type, int from, uint64_t offset,
		       uint64_t length);
void transfer_io_write(struct transfer_io *io, void (*done)(void *ctx), void *ctx);
void transfer_io_sync(struct transfer_io *io, void (*done)(void *ctx), void *ctx);

void transfer_io_read(struct transfer_io *io, void (*done)(void *ctx),
		      void *ctx); /* the next frame's head and meta */
void transfer_io_piece(struct transfer_io *io, void (*done)(void *ctx), void *ctx); /* left > 0 */
