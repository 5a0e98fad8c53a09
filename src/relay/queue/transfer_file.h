/* The file that `tidegate queue export` writes and `tidegate queue import` reads: queued mail on its way from one relay to
 * another. Pure: frames as octets; reading and writing the file is the business of export.c and import.c.
 *
 * A sequence of frames, integers little endian:
 *
 *     head     32 octets: u32 type, u32 length of the meta, u64 length of the content, u32 CRC-32C of the meta, u32 CRC-32C
 *              of the content, u32 zero, u32 CRC-32C of the 28 octets before
 *     meta     by type:
 *       1 BEGIN    "TIDEGATE EXPORT\n", u32 version, u64 number of the export, i64 time (ms since 1970 UTC), name of the host
 *       2 MESSAGE  u64 its number in the file (0, 1, ...), envelope (record/record.h), edits (mail/edits.h), u32 recipients, and
 *                  of each u8 state, u16 attempts
 *       3 END      u64 number of the export, u64 number of messages
 *     content  of a message, as it was submitted; else none
 *
 * Names, envelope and edits have u32 length in front. A file without END is not an export: whoever wrote it did not get
 * to the end, and gave nothing away.
 *
 * Invariants:
 *  1. What decodes is bounded by these limits and complete; damage anywhere is found by a checksum.
 *  2. Decoded slices borrow from the input.
 */
#pragma once

#include "core/arena.h"
#include "core/buf.h"
#include "core/diag.h"

#define TRANSFER_VERSION  1
#define TRANSFER_HEAD     32
#define TRANSFER_META_MAX (2u << 20) /* octets: an envelope, edits, and the recipients */
#define TRANSFER_NAME_MAX 255        /* octets of the host's name */

enum transfer_type { TRANSFER_BEGIN = 1, TRANSFER_MESSAGE, TRANSFER_END };

struct transfer_head {
	uint32_t type; /* enum transfer_type */
	uint32_t meta_len;
	uint64_t content_len;
	uint32_t meta_crc, content_crc;
};
void transfer_head_encode(const struct transfer_head *h, char out[TRANSFER_HEAD]);
/* ERR_CORRUPT: damaged, or lengths beyond the limits. */
MUST_CHECK enum err transfer_head_decode(const char in[TRANSFER_HEAD], struct transfer_head *ret);

struct transfer_begin {
	uint64_t export;
	int64_t time_ms;
	struct slice host;
};
void transfer_begin_encode(const struct transfer_begin *b, struct buf *out);
/* ERR_UNSUPPORTED: of a newer relay. ERR_CORRUPT: not such a file. */
MUST_CHECK enum err transfer_begin_decode(struct slice in, struct transfer_begin *ret, struct diag *d);

struct transfer_recipient {
	uint8_t state; /* enum record_state */
	uint16_t attempts;
};
struct transfer_message {
	uint64_t number;
	struct slice envelope, edits;
	uint32_t count;
	const struct transfer_recipient *recipients; /* borrowed; decoded: from the arena */
};
void transfer_message_encode(const struct transfer_message *m, struct buf *out);
MUST_CHECK enum err transfer_message_decode(struct slice in, struct arena *a, struct transfer_message *ret);

struct transfer_end {
	uint64_t export, messages;
};
void transfer_end_encode(const struct transfer_end *e, struct buf *out);
MUST_CHECK enum err transfer_end_decode(struct slice in, struct transfer_end *ret);

/* An export's number as people type it: 16 hex digits. */
#define TRANSFER_TEXT_MAX 17
void transfer_format(uint64_t export, char out[TRANSFER_TEXT_MAX]);
MUST_CHECK enum err transfer_parse(struct slice text, uint64_t *ret_export);
