/* Records and segment headers as octets (FORMAT.md). Pure: no file, no clock.
 *
 * Functions that read judge every length; what they return borrows from the input.
 */
#pragma once

#include "core/buf.h"
#include "core/diag.h"
#include "spool/limits.h"

#define FORMAT_VERSION        2
#define FORMAT_SEGMENT_HEADER 4096
#define FORMAT_HEADER_COPY    2048 /* the segment header stands in its block twice */
#define FORMAT_RECORD_HEADER  32
#define FORMAT_MESSAGE_HEADER 48 /* of a message's payload: its fixed fields */
#define FORMAT_COMMIT_SIZE    (FORMAT_RECORD_HEADER + 16)

enum format_type {
	FORMAT_MESSAGE = 1,
	FORMAT_COMMIT,
	FORMAT_RESULT,
	FORMAT_VERDICT,
	FORMAT_HOLD,
	FORMAT_EXPUNGE,
	FORMAT_CHECKPOINT,
	FORMAT_SEAL,
	FORMAT_TYPE_END
};

/* ---- segment header ---- */

/* What of finished messages is still there; the file's name says it too. */
enum format_kept { FORMAT_KEPT_ALL, FORMAT_KEPT_HEADERS, FORMAT_KEPT_RECORDS };

struct format_segment {
	uint64_t sequence, generation, node;
	int64_t created_ms;
	int64_t last_ms;       /* of the last commit in it; 0: the file's own time says it. Since format 2 */
	enum format_kept kept; /* since format 2 */
	uint8_t secret[16];
};
void format_segment_encode(const struct format_segment *s,
			   struct buf *out); /* FORMAT_SEGMENT_HEADER octets */
/* ERR_UNSUPPORTED: a newer format; the text names both versions. ERR_CORRUPT. */
MUST_CHECK enum err format_segment_decode(struct slice in, struct format_segment *ret, struct diag *d);
uint64_t format_seed(const struct format_segment *s);

/* ---- records ---- */

static inline uint64_t format_padded(uint64_t n)
{
	return (n + 7) & ~7ull;
}

/* A header for a record whose place is not known yet: format_place completes it. */
struct format_header {
	enum format_type type;
	uint64_t id;
	uint64_t length; /* of the payload */
	uint64_t summed; /* octets of the payload that the record's checksum covers */
};
void format_header_put(const struct format_header *h, char out[FORMAT_RECORD_HEADER]);

/* Writes offset and checksum into a record: a header and, right behind it, the summed octets of the payload. */
void format_place(char *record, uint64_t offset, uint64_t seed);

/* A whole small record, placed later: header, payload, padding. */
void format_add(struct buf *out, enum format_type type, uint64_t id, struct slice payload);
/* Places every record of `records`, which lies at `offset` of the segment. */
void format_place_all(char *records, size_t n, uint64_t offset, uint64_t seed);

struct format_record {
	enum format_type type;
	uint64_t id;
	uint64_t offset;
	uint64_t length; /* of the payload */
	uint64_t summed;
	uint64_t size; /* with header and padding */
	uint64_t sum;
};
/* Judges the header at the start of `in` (FORMAT_RECORD_HEADER octets at least), which lies at `offset`.
 * ERR_NOTFOUND: zeros, the end of what was written. ERR_CORRUPT. The checksum is not checked yet. */
MUST_CHECK enum err format_header_read(struct slice in, uint64_t offset, struct format_record *ret);
/* `in` begins with the header and holds the summed octets. */
bool format_intact(const struct format_record *r, struct slice in, uint64_t seed);
/* The next header in the octets of format_add. false at the end. */
bool format_next(struct slice *rest, struct format_record *ret, struct slice *ret_payload);

/* ---- payloads ---- */

struct format_message {
	bool held, large;
	bool cut;      /* an archive's: of the content only `head` is left */
	uint32_t back; /* a copy of the message in the segment so many before; 0: no copy */
	uint32_t recipients;
	int64_t time_ms;
	uint64_t content_length, content_sum;
	struct slice envelope, edits, verdict;
	struct slice head; /* cut: what is left of the content */
};
/* The fixed fields; envelope, edits, verdict and content (cut: head) follow. */
void format_message_head(const struct format_message *m, char out[FORMAT_MESSAGE_HEADER]);
/* `summed`: the summed part of the payload, which is everything but the content. */
MUST_CHECK enum err format_message_read(const struct format_record *r, struct slice summed,
					struct format_message *ret);

void format_commit_put(char out[FORMAT_COMMIT_SIZE], uint64_t records, int64_t time_ms, uint64_t group);
struct format_commit {
	int64_t time_ms;
	uint64_t group; /* everything before this offset was durable when this was written */
};
MUST_CHECK enum err format_commit_read(struct slice payload, struct format_commit *ret);

struct format_result {
	uint32_t ordinal;
	uint8_t state; /* enum spool_state */
	struct slice payload;
};
MUST_CHECK enum err format_result_add(struct buf *out, uint64_t id, const struct format_result *r);
MUST_CHECK enum err format_result_read(struct slice payload, struct format_result *ret);
MUST_CHECK enum err format_hold_read(struct slice payload, bool *ret_held);

uint64_t format_content_sum(struct slice content);

/* ---- checkpoint ---- */

#define FORMAT_ENTRY_HEADER 48
#define FORMAT_ENTRY_RCPT   16

struct format_checkpoint {
	uint64_t
		previous; /* sequence number of the segment with the checkpoint this one builds on; 0: complete */
	uint64_t entries, gone;
};
struct format_place { /* of a record; sequence 0: none */
	uint64_t sequence;
	uint32_t offset8;
};
struct format_entry {
	uint64_t id;
	struct format_place home, verdict;
	uint32_t recipients;
	bool held;
};
#define FORMAT_CHECKPOINT_HEADER 24
void format_checkpoint_add(struct buf *out, const struct format_checkpoint *c);
void format_entry_add(struct buf *out, const struct format_entry *e); /* then the recipients, one by one */
void format_rcpt_add(struct buf *out, uint8_t state, struct format_place result);

struct cursor;
void format_checkpoint_read(struct cursor *c, struct format_checkpoint *ret);
void format_entry_read(struct cursor *c, struct format_entry *ret);
void format_rcpt_read(struct cursor *c, uint8_t *ret_state, struct format_place *ret_result);
