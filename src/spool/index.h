/* What a spool keeps in memory of each live message: where its record is, how its recipients stand.
 *
 * Invariants:
 *  1. An entry exists from the moment its message is committed until its last recipient is final.
 *  2. It says what a recovery that read everything committed so far would find.
 *  3. At most 104 octets and 8 per recipient, so that a million queued messages fit (payloads are in the cache,
 *     which is bounded, or on disk).
 */
#pragma once

#include "core/list.h"
#include "core/map.h"
#include "spool/spool.h"

struct segment;
struct payload;

#define INDEX_RESULT_SEGMENTS ((1u << 29) - 1)

struct spool_entry_rcpt {
	uint32_t state : 3;    /* enum spool_state */
	uint32_t segment : 29; /* of the last result, counted from the message's segment */
	uint32_t offset8;      /* of the last result in its segment, in units of 8 octets; 0: none */
};

struct spool_entry {
	struct map_node node;
	uint64_t id;
	struct segment *home; /* borrowed; holds the message's record */
	uint32_t offset8;     /* of that record */
	uint32_t summed;      /* octets of its payload before the content */
	uint64_t content_length;
	struct payload *cached;   /* owned by the cache; NULL: only on disk */
	struct list_node changed; /* linked: the next checkpoint must write it */
	uint32_t verdict_segment; /* of the last verdict record, counted from home */
	uint32_t verdict_offset8; /* 0: as in the message's record */
	uint16_t recipients, open;
	uint16_t touched;      /* counts batches that were handed in and concern this message */
	bool held : 1;         /* by the administrator or a verdict */
	bool large : 1;        /* content in a file of its own */
	bool checkpointed : 1; /* an older checkpoint knows it */
	struct spool_entry_rcpt rcpt[];
};

struct spool_index {
	struct map entries;
	struct list changed; /* entries that the next checkpoint writes */
};

MUST_CHECK enum err spool_index_init(struct spool_index *ix); /* after it spool_index_add cannot fail */
void spool_index_done(struct spool_index *ix);                /* frees the entries too; not the cache */

struct spool_entry *spool_index_entry_new(uint64_t id,
					  uint32_t recipients);      /* all queued; NULL without memory */
void spool_index_entry_free(struct spool_entry *e);                  /* not in the index */
void spool_index_add(struct spool_index *ix, struct spool_entry *e); /* owned by the index from here */
struct spool_entry *spool_index_find(const struct spool_index *ix, uint64_t id);
/* Takes e out of the index and of the list of changes; the caller frees it. */
void spool_index_remove(struct spool_index *ix, struct spool_entry *e);
void spool_index_mark_changed(struct spool_index *ix, struct spool_entry *e);

/* A final state stays. Returns whether anything changed. */
bool spool_index_set_state(struct spool_entry *e, uint32_t ordinal, enum spool_state s);
static inline bool spool_state_final(enum spool_state s)
{
	return s >= SPOOL_DELIVERED;
}
