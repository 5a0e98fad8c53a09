/* Records and segment headers as octets (FORMAT.md). Pure: no file, no clock. */
#pragma once

#include "core/buf.h"
#include "core/diag.h"
#include "spool/limits.h"

#define SEGF_VERSION        1
#define SEGF_SEGMENT_HEADER 4096
#define SEGF_RECORD_HEADER  32

enum segf_type { SEGF_MESSAGE = 1, SEGF_COMMIT, SEGF_RESULT, SEGF_VERDICT, SEGF_HOLD };

struct segf_segment {
	uint64_t sequence, generation, node;
	int64_t created_ms;
	uint8_t secret[16];
};
void segf_segment_encode(const struct segf_segment *s, struct buf *out); /* SEGF_SEGMENT_HEADER octets */
/* ERR_UNSUPPORTED names both versions; ERR_CORRUPT. */
MUST_CHECK enum err segf_segment_decode(struct slice in, struct segf_segment *ret, struct diag *d);
uint64_t segf_seed(const struct segf_segment *s);

/* A record is built in place: begin, payload, end. `base` is the offset in the segment of out->data[0]. */
size_t segf_begin(struct buf *out, enum segf_type type, uint64_t id);
void segf_end(struct buf *out, size_t begun, uint64_t base, uint64_t seed);

struct segf_record {
	enum segf_type type;
	uint64_t id;
	struct slice payload; /* borrowed */
	uint64_t size;        /* with header and padding */
};
/* The record at the start of `in`, which lies at `offset` of the segment. ERR_AGAIN: in is too short to tell (at the end of a file:
 * damage); ERR_NOTFOUND: zeros, the end; ERR_CORRUPT. */
MUST_CHECK enum err segf_read(struct slice in, uint64_t offset, uint64_t seed, struct segf_record *ret);

struct segf_message {
	bool held, large;
	uint32_t recipients;
	int64_t time_ms;
	uint64_t content_length, content_sum;
	struct slice envelope, edits, verdict;
	uint64_t content_at; /* offset of the content in the payload */
};
#define SEGF_MESSAGE_HEADER 48
/* Everything of a message's payload but its content. */
void segf_message_head(const struct segf_message *m, struct buf *out);
MUST_CHECK enum err segf_message_read(struct slice payload, struct segf_message *ret);

struct segf_result {
	uint32_t ordinal;
	uint8_t state;
	struct slice payload;
};
void segf_result_add(const struct segf_result *r, struct buf *out);
MUST_CHECK enum err segf_result_read(struct slice payload, struct segf_result *ret);
