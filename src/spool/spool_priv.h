/* What both back ends share: the message being written, the batch, the cache of payloads, the index.
 *
 * A back end is a struct that begins with struct spool and a table of functions. Everything here lives on the
 * loop's thread; the workers of `segments` see only chunks and records that nobody else changes meanwhile.
 */
#pragma once

#include "spool/format.h"
#include "spool/index.h"
#include "spool/spool.h"

/* ---- payloads: envelope and edits of one message, for spool_read ---- */

/* Owned by its message until the commit, then by the cache. */
struct payload {
	struct list_node node; /* in cache.recent, while no batch holds it */
	struct spool_entry *entry;
	uint32_t envelope_len, edits_len;
	char octets[]; /* envelope, edits */
};

struct payload_cache {
	struct list recent; /* struct payload; last used at the back */
	size_t octets, max;
};

struct payload *payload_new(struct slice envelope, struct slice edits); /* NULL without memory */
struct slice payload_envelope(const struct payload *p);
struct slice payload_edits(const struct payload *p);
void payload_cache_put(struct payload_cache *c, struct spool_entry *e,
		       struct payload *p); /* p is the cache's; may evict others */
void payload_cache_use(struct payload_cache *c, struct payload *p);
void payload_cache_drop(struct payload_cache *c, struct spool_entry *e); /* nothing happens if it has none */
void payload_cache_done(struct payload_cache *c);

/* ---- writing one message ---- */

struct chunk {
	struct chunk *next;
	uint32_t used;
	char octets[];
};
#define CHUNK_ROOM (SPOOL_CHUNK - sizeof(struct chunk))

struct chunk_list {
	struct chunk *first, *last;
	uint64_t octets;
};

enum write_state { WRITE_OPEN, WRITE_FINISHED, WRITE_BATCHED };

struct spool_write {
	struct map_node node;      /* in spool.writes: for spool_loan before the commit */
	struct list_node in_batch; /* in spool_batch.messages */
	struct spool *spool;       /* borrowed */
	struct spool_batch *batch; /* borrowed; from spool_batch_message on */
	struct spool_entry *entry; /* owned until the commit; from spool_write_finish on */
	struct payload *payload;   /* owned until the commit; from spool_write_finish on */
	struct large *large;       /* owned; NULL while the content is in `content` */
	struct loan_file *preview; /* owned; what was lent before the commit */
	struct chunk_list content; /* what no worker has taken yet */
	struct buf verdict;
	uint64_t id, content_length, content_sum, offset;
	uint32_t recipients;
	void (*on_drain)(void *ctx);
	void *drain_ctx;
	enum write_state state;
	enum err failed; /* sticky */
	bool held;
	bool elsewhere; /* a copy whose content stays in the file of its own that it has */
	uint64_t
		origin; /* of a copy: sequence of the segment with the first record of this message; 0: no copy */
};

/* An empty one, known by its id; NULL without memory. */
struct spool_write *write_new(struct spool *sp, uint64_t id);
MUST_CHECK enum err chunks_add(struct spool *sp, struct chunk_list *l, struct slice s);
void chunks_free(struct spool *sp, struct chunk_list *l); /* back to the spool's stock */
/* The write, with everything that it still owns. */
void write_free(struct spool_write *w);

/* ---- batches ---- */

struct spool_batch {
	struct list_node node; /* in the back end's queue */
	struct spool *spool;   /* borrowed */
	struct list messages;  /* struct spool_write, owned */
	struct buf records;    /* results, verdicts, holds: encoded, not yet placed */
	uint64_t record_count; /* in `records` */
	spool_done_fn *done;
	void *ctx;
	uint64_t size;    /* octets in the segment, commit record included */
	uint64_t offset;  /* of its first record */
	int64_t time_ms;  /* of the commit */
	uint32_t waiting; /* large messages that are not safe yet */
	bool moves;       /* compaction: its messages are in the index already */
	bool touching;    /* counted in the entries that it concerns */
	enum err failed;  /* while it waits in spool.ended */
	const char *why;  /* the same; static */
	char commit[FORMAT_COMMIT_SIZE];
};

/* Calls done and frees the batch; its messages are freed with it. */
void batch_end(struct spool_batch *b, enum spool_outcome outcome, const struct diag *why);
/* It is no more under way. Once its outcome is known, before anybody is told. */
void batch_untouch(struct spool_batch *b);
/* The same as batch_end at the end of the turn. */
void batch_fail_later(struct spool_batch *b, enum err code, const char *why);
/* Committed: the index gets its messages and what its records say; messages without an open recipient leave it.
 * `home`: the segment that the batch is in; NULL in the memory back end. */
void batch_apply(struct spool_batch *b, struct segment *home);
/* One record about a live message, found in the segment of this number. */
void batch_apply_record(struct spool_entry *e, const struct format_record *r, struct slice payload,
			uint64_t sequence);

/* ---- the spool ---- */

struct spool_backend {
	void (*close)(struct spool *sp);
	/* Content was added, or is complete (state WRITE_FINISHED). ERR_AGAIN: taken, wait for on_drain. */
	enum err (*written)(struct spool_write *w);
	void (*discard)(struct spool_write *w); /* frees w->large and w->preview */
	void (*commit)(struct spool_batch *b);  /* owns b from here */
	enum err (*lend)(struct spool *sp, uint64_t id, struct spool_loan *ret, struct diag *d);
	/* Whether lend needs nothing of the disk for this message; NULL: it never does. */
	bool (*lendable)(struct spool *sp, const struct spool_entry *e);
	void (*unlend)(struct spool *sp, const struct spool_loan *loan);
	void (*read)(struct spool *sp, struct spool_entry *e, spool_read_fn *fn,
		     void *ctx); /* not in the cache */
	enum err (*walk)(struct spool *sp, const struct spool_walk *w);
	void (*stats)(const struct spool *sp, struct spool_stats *ret);
	void (*dead)(struct spool *sp,
		     const struct spool_entry *e); /* has just left the index; may be NULL */
};

struct spool {
	const struct spool_backend *backend;
	struct loop *loop; /* borrowed */
	struct spool_options options;
	struct spool_events events;
	void *ctx;
	uint64_t generation;
	uint32_t counter; /* of ids */
	bool ready, closing;
	enum spool_health health;
	struct map writes; /* struct spool_write */
	struct spool_index index;
	struct payload_cache cache;
	struct chunk *stock; /* free chunks, owned */
	size_t stocked;
	uint64_t pending;  /* octets of content in memory */
	struct list ended; /* struct spool_batch that failed at once; answered at the end of the turn */
	struct list asked; /* reads that the cache can answer, at the end of the turn */
	struct task answer;
	void (*on_closed)(void *ctx);
	void *closed_ctx;
	uint64_t commits, batches, syncs, sync_us_last, sync_us_max;
};

MUST_CHECK enum err spool_init(struct spool *sp, const struct spool_backend *backend, struct loop *l,
			       const struct spool_options *o, const struct spool_events *ev, void *ctx);
void spool_done(struct spool *sp); /* frees what is in it, not sp itself */
void spool_set_health(struct spool *sp, enum spool_health h, const struct diag *why);
struct spool_write *spool_find_write(const struct spool *sp, uint64_t id);
