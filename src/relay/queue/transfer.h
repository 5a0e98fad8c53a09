/* The file in which queued mail moves, and the requests about it (`tidegate queue export`, `import`, `acknowledge`, `reclaim`,
 * `refuse`): one at a time. What is decided when, and what survives a crash: move.h. The form of the file: transfer_file.h.
 *
 *   ASKED --ctl: the client's file--> WORKING --step after step, on a worker or the spool--> ENDED (answered, freed)
 *
 * Invariants:
 *  1. Each step looks first whether it still may (transfer_over): the client can go away at any moment, and the relay can be
 *     told to stop. Then what was not decided is undone.
 *  2. A transfer is freed when nothing of it is under way any more, also at a sudden stop.
 */
#pragma once

#include "relay/queue/move.h"
#include "relay/queue/transfer_io.h"

struct transfer {
	const struct transfer_kind *kind;
	struct queue *queue;    /* borrowed */
	struct ctl_conn *conn;  /* borrowed; NULL: the client is gone */
	struct move *move;      /* borrowed; NULL: none, or it is decided and done */
	uint64_t export, limit; /* as the request said; 0: it did not */
	struct transfer_io io;  /* of a kind with a file, once that is there */
	bool opened;
	unsigned pending; /* steps, reads, batches and changes that will call back */
	struct task end;  /* answers and frees */
	enum err status;  /* of the answer */
	char text[512];
	const char *result; /* of the row; NULL: no row */
	uint64_t messages, octets, skipped;
};

struct transfer_kind {
	enum ctl_verb verb;
	bool file;                         /* the request is about one */
	size_t size;                       /* of the struct that begins with struct transfer */
	void (*begin)(struct transfer *t); /* the file, if any, is there */
	void (*free)(struct transfer *t);  /* what the kind itself owns; may be NULL */
};

extern const struct transfer_kind transfer_export, transfer_import;

/* A request of one of these verbs. False: it is none. */
bool transfer_request(struct queue *q, struct ctl_conn *c, const struct ctl_frame *req);
void transfer_file(struct queue *q, struct ctl_conn *c, int fd); /* owns fd */
void transfer_closed(struct queue *q, struct ctl_conn *c);
void transfer_stop(struct queue *q); /* suddenly; what is under way calls back and goes */

/* ---- for the kinds ---- */
bool transfer_over(const struct transfer *t);
/* Every callback begins with it. True: the queue has stopped, and t may be gone now: return. */
bool transfer_back(struct transfer *t);
/* Answers when this turn ends; then t is gone. */
void transfer_end(struct transfer *t, enum err status, const char *fmt, ...) ATTR_PRINTF(3, 4);
