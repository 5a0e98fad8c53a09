/* The `segments` back end from inside. Its files:
 *
 *   seg_spool.c    opening, closing, health; the table of operations
 *   seg_pool.c     segments: made and zeroed in the background, removed from the oldest
 *   seg_commit.c   batches -> groups -> one write and one fdatasync on the commit worker -> the index
 *   seg_large.c    content over the threshold, streamed into a file of its own
 *   seg_recover.c  reading everything again at opening (runs on the bulk worker)
 *   seg_read.c     loans, envelopes, walks
 *
 * The index (struct entry) and all decisions live on the loop; the workers only get jobs with what they need in them.
 */
#pragma once

#include "evio/worker.h"
#include "spool/seg_format.h"
#include "spool/spool_priv.h"

struct segment {
	struct list_node node; /* in seg_spool.segments, in order of sequence */
	uint64_t sequence, seed;
	int64_t created_ms;
	int fd, read_fd;      /* -1: not open */
	uint64_t end;         /* where the next group goes */
	uint64_t durable;     /* all before it is synced */
	uint32_t live, loans; /* messages with an open recipient; descriptors out */
	bool sealed;          /* nothing is appended any more */
	struct buf larges;    /* u64 ids of the messages whose msg- files go with it */
};

/* A live message. */
struct entry {
	struct map_node node;
	uint64_t id;
	struct segment *segment;
	uint64_t envelope_at, content_at, content_length; /* offsets in the segment */
	uint32_t envelope_len, edits_len;
	struct cached *cached; /* NULL: to be read */
	uint32_t recipients, open;
	uint32_t loans;
	int large_fd; /* read-only; -1: not open or not large */
	bool held, large;
	uint8_t states[];
};

/* Envelope and edits of a recent message. */
struct cached {
	struct list_node node; /* in seg_spool.cache, oldest first */
	struct entry *entry;
	uint32_t envelope_len, edits_len;
	char octets[];
};

/* What one fdatasync makes durable. */
struct group {
	struct job job;
	struct list_node node;
	struct seg_spool *spool;
	struct segment *segment;
	uint64_t base;
	struct buf data;
	struct list batches;
	int write_error, sync_error; /* errno of the worker */
	bool partly;                 /* some octets may have reached the file */
	uint64_t sync_us;
};

struct seg_spool {
	struct spool spool;
	struct disk disk;
	struct worker *commit, *bulk;
	int lock_fd;
	struct list segments;
	struct segment *active, *spare;
	bool making;        /* a segment is being made */
	struct timer again; /* after a failure to make one */
	struct timer look;  /* free space */
	bool looking;
	uint64_t next_sequence, free_octets, total_octets;
	struct map entries;
	struct list cache;
	size_t cache_octets;
	struct list waiting; /* batches without a segment to go to */
	struct list groups;  /* closed or collecting, not yet given to the worker; the last may collect */
	struct group *flying;
	struct task submit; /* gives the next group to the worker */
	struct list early;  /* struct reading: answers from the cache */
	struct task answer;
	struct spool_report report;
	uint64_t opened_ms;
	bool ready, closing;
	uint32_t bulk_jobs; /* under way */
	void (*on_closed)(void *ctx);
	void *closed_ctx;
	uint64_t commits, syncs, batches, sync_us_last, sync_us_max;
};

static inline struct seg_spool *seg_of(struct spool *sp)
{
	return CONTAINER_OF(sp, struct seg_spool, spool);
}

void seg_name(char out[32], const char *kind, uint64_t number); /* "seg-0000000000000001" */
void seg_check_closed(struct seg_spool *s);
struct entry *seg_find(struct seg_spool *s, uint64_t id);

/* seg_pool.c */
struct segment *seg_segment_new(uint64_t sequence);
void seg_make(struct seg_spool *s);                       /* a spare one, in the background */
bool seg_rotate(struct seg_spool *s);                     /* active = spare; false: there is none yet */
void seg_abandon(struct seg_spool *s, struct segment *g); /* a write or sync failed */
void seg_collect(struct seg_spool *s);                    /* removes what nobody needs */
void seg_segment_free(struct seg_spool *s, struct segment *g);
struct segment *seg_by_sequence(struct seg_spool *s, uint64_t sequence);
void seg_look(void *ctx);

/* seg_commit.c */
void seg_commit(struct spool_batch *b);
void seg_submit(void *ctx);
void seg_place_waiting(struct seg_spool *s);
void seg_fail_waiting(struct seg_spool *s, const struct diag *why);
/* The entry is in the index; it may be gone afterwards. */
void seg_set_state(struct seg_spool *s, struct entry *e, uint32_t ordinal, uint8_t state);
void seg_entry_free(struct seg_spool *s, struct entry *e);
void seg_cache_put(struct seg_spool *s, struct entry *e, struct slice envelope, struct slice edits);
void seg_cache_drop(struct seg_spool *s, struct cached *c);

/* seg_large.c */
enum err seg_append(struct spool_write *w, struct slice content);
enum err seg_finish(struct spool_write *w);
void seg_drop(struct spool_write *w);
/* Durable, or will call seg_large_done for the batch. True: wait. */
bool seg_large_wait(struct spool_write *w, struct spool_batch *b);
void seg_large_done(struct spool_batch *b, int error);
uint64_t seg_large_sum(const struct spool_write *w);
void seg_large_keep(struct spool_write *w); /* committed: the file stays */

/* seg_recover.c */
MUST_CHECK enum err seg_recover(struct seg_spool *s);

/* seg_read.c */
enum err seg_lend(struct spool *sp, uint64_t id, struct spool_loan *ret, struct diag *d);
void seg_unlend(struct spool *sp, const struct spool_loan *loan);
void seg_read(struct spool *sp, uint64_t id, spool_read_fn *fn, void *ctx);
void seg_answer(void *ctx);
enum err seg_walk(struct spool *sp, const struct spool_walk *w);
