/* Life-cycle events of a message: the one schema behind log line, trace row, metric and console.
 *
 * Values, pure. Encoded as: u8 schema version, u8 kind, then the fields in the order of the struct (little
 * endian, slices with u32 length, addresses as they stood on the wire). Decoding is strict and bounded
 * (record/limits.h): trailing octets, an unknown version or counts over the limits are ERR_CORRUPT or
 * ERR_UNSUPPORTED. Decoded slices borrow from the input.
 */
#pragma once

#include "core/arena.h"
#include "core/buf.h"
#include "core/cursor.h"

enum record_kind {
	RECORD_ACCEPTED = 1, /* struct record_message: committed, answered or about to be answered with 250 */
	RECORD_VERDICT = 2,  /* struct record_verdict: may be repeated, the last one counts */
	RECORD_RESULT = 3,   /* struct record_result: one recipient, one attempt */
};

enum record_body { RECORD_BODY_7BIT, RECORD_BODY_8BITMIME, RECORD_BODY_BINARYMIME };

struct record_recipient {
	struct slice address; /* forward-path without <>, as given */
	struct slice orcpt;   /* RFC 3461 ORCPT as given, empty: none */
	uint8_t notify;       /* RFC 3461 bits: 1 NEVER, 2 SUCCESS, 4 FAILURE, 8 DELAY; 0: not given */
};

struct record_message {
	uint64_t id;
	int64_t time_ms;         /* wall clock at acceptance, ms since 1970 UTC */
	struct slice server;     /* authenticated hosting server (credential name): proven */
	struct slice account;    /* whose share it is; until origin exists the server */
	struct slice auth_param; /* MAIL AUTH= as given (RFC 4954), empty: none */
	struct slice listener;
	struct slice client; /* IP address, text */
	struct slice helo;
	struct slice protocol; /* RFC 3848: "ESMTPSA", ... */
	struct slice tls;      /* "TLSv1.3 TLS_AES_256_GCM_SHA384", empty: in the clear */
	struct slice sender;   /* reverse-path without <>; empty: null sender */
	struct slice envid;    /* RFC 3461 */
	uint8_t ret;           /* 0 none, 1 FULL, 2 HDRS */
	uint8_t body;          /* enum record_body */
	bool smtputf8;
	uint64_t size; /* octets of content as stored */
	uint32_t recipient_count;
	const struct record_recipient *recipients; /* borrowed; decoded: from the arena */
};

enum record_verdict_kind {
	RECORD_VERDICT_NONE,
	RECORD_VERDICT_PASS,
	RECORD_VERDICT_PENDING,
	RECORD_VERDICT_HOLD,
	RECORD_VERDICT_REJECT,
	/* About mail that moves between relays; the reason is the export's number (relay/queue/move.h). */
	RECORD_VERDICT_EXPORTED,
	RECORD_VERDICT_IMPORTING,
	RECORD_VERDICT_IMPORTED,
	RECORD_VERDICT_REFUSED
};
struct record_verdict {
	uint64_t id;
	int64_t time_ms;
	uint8_t kind;        /* enum record_verdict_kind */
	struct slice reason; /* in words */
};

enum record_state {
	RECORD_QUEUED,    /* no attempt yet */
	RECORD_DEFERRED,  /* tried, will be tried again */
	RECORD_DELIVERED, /* final: the next hop took it */
	RECORD_FAILED,    /* final: refused for good or given up */
	RECORD_REMOVED,   /* final: by the administrator */
};
const char *record_state_name(enum record_state s); /* "queued", "deferred", ... */
static inline bool record_state_final(enum record_state s)
{
	return s >= RECORD_DELIVERED;
}

struct record_result {
	uint64_t id;
	uint32_t ordinal; /* index of the recipient in the message */
	uint32_t attempt; /* 1, 2, ... */
	int64_t time_ms;
	uint32_t duration_ms; /* of the attempt, connection included */
	uint8_t state;        /* enum record_state */
	bool unknown;         /* connection lost after the final dot: may have been delivered */
	uint16_t code;        /* SMTP reply code, 0: none (network, DNS) */
	uint8_t enhanced[3];  /* X.Y.Z as octets (Y and Z above 255 are kept as 255) */
	struct slice text;    /* reply text or our own words */
	struct slice host;    /* name of the next hop, empty: none reached */
	struct slice address; /* its IP address and port */
	struct slice tls;     /* as in record_message */
	int64_t next_try_ms;  /* deferred: wall clock; else 0 */
};

void record_message_encode(const struct record_message *m, struct buf *out);
MUST_CHECK enum err record_message_decode(struct slice in, struct arena *a, struct record_message *ret);
void record_verdict_encode(const struct record_verdict *v, struct buf *out);
MUST_CHECK enum err record_verdict_decode(struct slice in, struct record_verdict *ret);
void record_result_encode(const struct record_result *r, struct buf *out);
MUST_CHECK enum err record_result_decode(struct slice in, struct record_result *ret);

/* Message ids: u64, generation of the spool in the upper, a counter in the lower 32 bits. Text: both in hex,
 * "2-1f3a"; what people type and logs show. */
#define RECORD_ID_TEXT_MAX 18
void record_id_format(uint64_t id, char out[RECORD_ID_TEXT_MAX]);
MUST_CHECK enum err record_id_parse(struct slice text, uint64_t *ret_id);
