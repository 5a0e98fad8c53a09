/* The state of an opening, shared by recover.c (what the files say) and show.c (what the caller is shown). */
#pragma once

#include "spool/scan.h"
#include "spool/store.h"

/* One live message of a slice; places in recovery.text. */
struct shown {
	uint64_t id;
	int64_t time_ms;
	size_t envelope, envelope_len, verdict, verdict_len;
	size_t results; /* index of its first recipient in recovery.results */
	enum err failed;
};
struct span {
	size_t at, len;
};

struct recovery {
	struct job job;
	struct store *store;
	uint64_t began_ms;
	struct spool_report report;
	enum err failed;
	struct diag why;
	struct numbers sequences, larges; /* names in the directory */
	struct segment **segments;        /* owned array of borrowed, in order of sequence */
	size_t segment_count;
	uint32_t tails;     /* segments that were read record by record */
	uint64_t sealed;    /* sequence of the segment with the checkpoint that is used */
	struct numbers ids; /* live, in order */
	size_t next;        /* of ids: first of the slice */
	struct buf text, record;
	struct shown slice[SPOOL_LIVE_SLICE];
	struct span *results; /* owned array */
	size_t result_count, result_cap;
	int fd; /* of the segment that the slice reads */
	const struct segment *fd_of;
};

static inline const struct disk *recover_disk(const struct recovery *r)
{
	return &r->store->disk;
}

void recover_fail_memory(struct recovery *r);
/* A message leaves the index as if it had never been in it. */
void recover_forget(struct store *s, struct spool_entry *e);
struct segment *recover_segment(const struct recovery *r, uint64_t sequence);
