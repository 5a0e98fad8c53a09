/* Inside the spool: what its back ends provide, and the writes and batches that both fill in the same way (txn.c). */
#pragma once

#include "core/buf.h"
#include "core/list.h"
#include "core/map.h"
#include "spool0/limits.h"
#include "spool/spool.h"

#define XXH_STATIC_LINKING_ONLY /* the state of a running hash, by value */
#include <xxhash.h>

struct spool_write {
	struct spool *spool;
	uint64_t id;
	struct buf content; /* what is in memory: all of it, or what a large file has not yet got */
	struct buf envelope, edits;
	uint32_t recipients;
	uint64_t length; /* octets appended */
	bool finished, failed;
	void (*on_drain)(void *ctx); /* told once after ERR_AGAIN */
	void *drain_ctx;
	bool want_drain;
	struct large *large; /* owned; NULL: goes into the segment */
};

enum op_kind { OP_MESSAGE, OP_RESULT, OP_VERDICT, OP_HOLD };
struct op {
	struct list_node node;
	enum op_kind kind;
	uint64_t id;
	uint32_t ordinal;
	uint8_t state;             /* RESULT: enum spool_state; HOLD, MESSAGE: held */
	struct slice payload;      /* behind the struct */
	struct spool_write *write; /* MESSAGE: owned */
	struct entry *entry;       /* MESSAGE: made before the write, so that nothing can fail after it */
};

struct spool_batch {
	struct list_node node; /* in a group, or waiting */
	struct spool *spool;
	struct list ops;
	uint32_t large_waiting; /* large files that are not durable yet */
	spool_done_fn *done;
	void *ctx;
	enum err failed; /* FAILED before it was written */
};

struct spool_ops {
	void (*close)(struct spool *sp, void (*on_closed)(void *ctx), void *ctx);
	enum err (*may_write)(struct spool *sp, struct diag *d);
	enum err (*append)(struct spool_write *w,
			   struct slice content);  /* NULL: everything stays in memory */
	enum err (*finish)(struct spool_write *w); /* NULL: nothing to do */
	void (*drop)(struct spool_write *w);       /* NULL: nothing to do */
	void (*commit)(struct spool_batch *b);
	enum err (*lend)(struct spool *sp, uint64_t id, struct spool_loan *ret, struct diag *d);
	void (*unlend)(struct spool *sp, const struct spool_loan *loan);
	void (*read)(struct spool *sp, uint64_t id, spool_read_fn *fn, void *ctx);
	enum err (*walk)(struct spool *sp, const struct spool_walk *w);
	void (*stats)(const struct spool *sp, struct spool_stats *ret);
};

struct spool {
	const struct spool_ops *ops;
	struct loop *loop;
	const struct spool_events *ev;
	void *ctx;
	struct spool_options o; /* defaults filled in */
	enum spool_health health;
	uint64_t generation;
	uint32_t next;
	size_t pending; /* octets in memory of writes that are not durable */
};

void spool_init(struct spool *sp, const struct spool_ops *ops, struct loop *l, const struct spool_options *o,
		const struct spool_events *ev, void *ctx);
void spool_set_health(struct spool *sp, enum spool_health h, const struct diag *why);

void txn_write_free(struct spool_write *w);
void txn_batch_free(struct spool_batch *b); /* with its ops and writes */

/* Walks are answered from copies: items in one buffer, shown in order, then done. */
struct walk_items {
	struct buf data; /* encoded items */
	uint32_t count;
};
void walk_add(struct walk_items *w, const struct spool_item *item);
void walk_filter(const struct walk_items *from, uint64_t id, struct walk_items *to);
/* Keeps the newest `max`, turned round if newest_first; calls fn for each. */
void walk_show(const struct walk_items *items, const struct spool_walk *w);
