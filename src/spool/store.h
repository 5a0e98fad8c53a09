/* The segments back end from inside. Files:
 *
 *   store.c       opening, closing, health, the table of operations
 *   segment.c     making segments, also zeroed ones, in the background
 *   commit.c      ready batches -> one group -> one write and one fdatasync -> the index
 *   large.c       content in a file of its own
 *   scan.c        reading a segment's batches and what is damaged between them
 *   recover.c     reading at opening: segments, checkpoints, what came after them
 *   show.c        showing what is live
 *   checkpoint.c  the index in a sealed segment, so that recovery need not read the archive
 *   loan.c        descriptors for borrowers
 *   read.c        envelopes and walks
 *   move.c        compaction: live messages leave the oldest segment
 *   digest.c      finished messages without their content, then without their headers
 *   keep.c        free space, removal of what is needed no more
 *
 * All state lives on the loop. A worker gets a job with copies of what it needs; while a group is written, the
 * batches in it belong to the commit worker.
 */
#pragma once

#include "evio/worker.h"
#include "spool/segment.h"
#include "spool/spool_priv.h"

#include <sys/uio.h>

#define STORE_NAME_MAX 48

/* What one write and one fdatasync make durable. */
struct group {
	struct job job;
	struct segment *segment;
	struct list batches; /* struct spool_batch */
	uint64_t start, end; /* in the segment */
	size_t meta_len;
	struct buf meta;   /* headers, envelopes, edits, small records */
	struct iovec *iov; /* owned array */
	size_t iov_count, iov_cap;
	int errnum;
	bool written, undone; /* written: only the sync failed; undone: nothing of it will be found */
	uint64_t took_us;
};

struct store {
	struct spool spool;
	struct disk disk;
	struct worker *committer, *bulk;
	uint32_t bulk_jobs; /* under way */
	int lock_fd;        /* -1: not locked */
	struct list segments;
	struct segment *active, *next; /* NULL: none; `next` is not in the list */
	bool making;
	uint64_t next_sequence;
	struct list ready; /* struct spool_batch */
	struct group group;
	bool writing; /* the group belongs to the commit worker */
	struct task kick;
	struct timer retry, tick;
	/* checkpoints */
	uint64_t checkpoint; /* sequence of the segment with the last one; 0: none */
	uint64_t base;       /* sequence of the complete one that it builds on */
	uint32_t chain;      /* checkpoints since the complete one */
	uint64_t chain_octets, base_octets;
	bool complete_wanted; /* the next one is complete, so that older segments may go */
	struct buf gone;      /* u64 ids that older checkpoints know and that have left the index */
	/* loans */
	struct map loans; /* struct loan_file by number */
	struct list idle; /* struct loan_file without a borrower, last used at the back */
	uint64_t next_loan;
	uint64_t loan_missing; /* id of the message whose content could not be opened last; 0: none */
	/* space */
	uint64_t free_octets, total_octets;
	bool looking, removing, sweeping, moving, digesting; /* jobs under way */
	bool full;                                           /* a write found no space */
	uint64_t moved;                                      /* messages that left their segment */
	uint64_t sweep_at;                                   /* loop time of the next look for large files */
	struct recovery *recovery;                           /* while opening */
	struct task closed;
	bool recovered; /* the index says what the files say */
	bool opened;    /* on_ready has come */
};

static inline struct store *store_of(struct spool *sp)
{
	return CONTAINER_OF(sp, struct store, spool);
}

void store_name_segment(char out[STORE_NAME_MAX], uint64_t sequence);
/* The file that it is in now: seg-, hdr- or idx-. */
void store_name_kept(char out[STORE_NAME_MAX], uint64_t sequence, enum format_kept kept);
void store_name_large(char out[STORE_NAME_MAX], uint64_t id);
bool store_parse_name(const char *name, const char *prefix, uint64_t *ret_number);
void store_bulk(struct store *s, struct job *j);
void store_bulk_done(struct store *s); /* first thing in each done */
void store_check_closed(struct store *s);
struct segment *store_segment(const struct store *s, uint64_t sequence); /* NULL: not there */
void store_health(struct store *s, const struct diag *why); /* from what is known of space and segments */

/* segment.c */
struct segment *segment_new(uint64_t sequence);
void segment_free(struct store *s, struct segment *seg); /* not in the list any more */
void segment_make(struct store *s, bool zeroed); /* a `next` one, unless there is one or one is made */

/* commit.c */
void commit_submit(struct spool_batch *b);
void commit_kick(void *ctx);
void commit_retire(struct store *s); /* seals the active segment although it is not full */
void commit_fail_ready(struct store *s, const struct diag *why);

/* large.c */
enum err large_written(struct spool_write *w);
void large_discard(struct spool_write *w);
void large_attach(struct spool_batch *b); /* counts what is not safe yet; commit_submit follows when it is */
void large_keep(struct large *l);         /* committed */

/* checkpoint.c */
void checkpoint_seal(struct store *s, struct segment *seg);

/* loan.c */
void loan_init(struct store *s);
enum err loan_lend(struct spool *sp, uint64_t id, struct spool_loan *ret, struct diag *d);
void loan_unlend(struct spool *sp, const struct spool_loan *loan);
bool loan_ready(struct spool *sp, const struct spool_entry *e); /* loan_lend needs nothing of the disk */
/* What a worker opened for it, in its present home; owns fd. Negative: it cannot be opened, loan_lend will say so. */
void loan_found(struct store *s, const struct spool_entry *e, int fd);
void loan_discard_preview(struct spool_write *w);
void loan_drop(struct store *s, struct segment *seg); /* closes what nobody borrows */
bool loan_lent(const struct segment *seg);
/* Descriptors that a worker opened; they own fd, which may be negative. */
void loan_open_segment(struct store *s, struct segment *seg, int fd);
void loan_open_large(struct store *s, uint64_t id, int fd);
void loan_done(struct store *s);

/* recover.c */
MUST_CHECK enum err recover_start(struct store *s, struct diag *d); /* on_live..., then a segment is made */
void recover_ready(struct store *s);                                /* it is there: on_ready */

/* show.c */
void show_start(struct recovery *r);   /* on the loop, after recover.c's job */
void recover_free(struct recovery *r); /* NULL is fine */

/* read.c */
void read_payload(struct spool *sp, struct spool_entry *e, spool_read_fn *fn, void *ctx);
enum err read_walk(struct spool *sp, const struct spool_walk *w);
/* On a worker: the message record at this place, its summed payload behind the header in `out`. Verified. */
MUST_CHECK enum err read_record(struct disk d, int fd, uint64_t seed, uint64_t offset, struct buf *out,
				struct format_record *ret);

/* move.c */
/* Copies the live messages of the oldest segment, if that is worth it; keep_look follows. */
void move_start(struct store *s, struct segment *from);

/* digest.c */
/* Writes what `kept` names of a segment without live messages, which then takes its place; keep_look follows. */
void digest_start(struct store *s, struct segment *seg, enum format_kept kept);

/* keep.c */
void keep_tick(void *ctx);
void keep_look(struct store *s); /* asks for the free space, then removes what may go */
