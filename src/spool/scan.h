/* Reading a segment's records in order, batch by batch, with whatever damage lies between them. Runs on a worker.
 *
 * A batch is shown only when all its records and its commit are intact (FORMAT.md, invariant 1). Damage is shown as
 * a range; what follows it is looked for at every multiple of 8, and the keyed checksum decides, so that octets of a
 * mail are never taken for a record.
 */
#pragma once

#include "core/buf.h"
#include "evio/disk.h"
#include "spool/format.h"

struct numbers {
	uint64_t *items; /* owned array */
	size_t count, cap;
};
bool numbers_add(struct numbers *l, uint64_t v); /* false: no memory */

struct scan {
	struct disk disk; /* borrowed */
	int fd;           /* borrowed */
	uint64_t seed;
	uint64_t pos, end; /* next octet to judge; octets to look at */
	bool verify;       /* check the contents of messages too */
	struct buf window; /* owned */
	uint64_t window_at;
	int errnum; /* of a read that failed */
	/* the batch being collected */
	struct buf payloads;
	struct scan_record *records; /* owned array */
	size_t count, cap;
	uint64_t batch_at;
};

struct scan_record {
	struct format_record record;
	size_t at; /* of the summed payload in scan.payloads */
};

enum scan_found {
	SCAN_BATCH,  /* records, commit */
	SCAN_DAMAGE, /* from, to; behind it something intact follows */
	SCAN_END,    /* to: where intact records end; torn: octets that are not zero follow */
	SCAN_FAILED, /* errnum; -ENOMEM too */
};

struct scan_result {
	struct format_commit commit;
	uint64_t from, to;
	uint64_t dropped; /* messages in records without a commit, since the last result */
	bool torn;
};

void scan_init(struct scan *s, struct disk disk, int fd, uint64_t seed, uint64_t from, uint64_t end);
void scan_done(struct scan *s);
enum scan_found scan_next(struct scan *s, struct scan_result *ret);
/* Of the batch that scan_next showed last; borrowed until the next call. */
struct slice scan_payload(const struct scan *s, const struct scan_record *r);
