/* smtpd <-> queue: one message is PART(envelope)..., PART(content)..., PART(edits), END; all carry its id.
 * smtpd takes ids from blocks that the queue grants, so that nothing waits for an id and the Received field
 * can name it.
 *
 * Flow: a message may have WIRE_SUBMIT_WINDOW content octets under way; CREDIT gives more. RESULT answers
 * END, or comes earlier if the queue refuses (then smtpd drops the rest; parts still on the way are ignored).
 * ABORT withdraws; no RESULT follows. STATE tells before a MAIL command whether the queue takes new mail.
 */
#pragma once

#include "core/buf.h"
#include "relay/wire/limits.h"
#include "relay/wire/wire.h"

enum wire_part { WIRE_PART_ENVELOPE, WIRE_PART_CONTENT, WIRE_PART_EDITS };

/* ENVELOPE: octets of record_message_encode (record/record.h); EDITS: of mail/edits.h; each may span several
 * parts. */
struct wire_submit_part {
	uint64_t id;
	enum wire_part part;
	struct slice data; /* at most WIRE_PART_MAX */
};
void wire_submit_part_encode(const struct wire_submit_part *m, struct buf *out);
MUST_CHECK enum err wire_submit_part_decode(struct slice in, struct wire_submit_part *ret);

/* END, ABORT. */
struct wire_submit_ref {
	uint64_t id;
};
void wire_submit_ref_encode(const struct wire_submit_ref *m, struct buf *out);
MUST_CHECK enum err wire_submit_ref_decode(struct slice in, struct wire_submit_ref *ret);

struct wire_submit_grant {
	uint64_t first; /* ids first .. first + count - 1 are this smtpd's */
	uint32_t count;
};
void wire_submit_grant_encode(const struct wire_submit_grant *m, struct buf *out);
MUST_CHECK enum err wire_submit_grant_decode(struct slice in, struct wire_submit_grant *ret);

/* A reply for the client: STATE (code 0: mail is welcome) and inside RESULT. */
struct wire_reply {
	uint16_t code; /* 250, 451, 452, 552, 554, ... */
	uint8_t enhanced[3];
	struct slice text;
};
void wire_submit_state_encode(const struct wire_reply *m, struct buf *out);
MUST_CHECK enum err wire_submit_state_decode(struct slice in, struct wire_reply *ret);

struct wire_submit_credit {
	uint64_t id;
	uint32_t octets;
};
void wire_submit_credit_encode(const struct wire_submit_credit *m, struct buf *out);
MUST_CHECK enum err wire_submit_credit_decode(struct slice in, struct wire_submit_credit *ret);

struct wire_submit_result {
	uint64_t id;
	struct wire_reply reply; /* 250 only when durable */
};
void wire_submit_result_encode(const struct wire_submit_result *m, struct buf *out);
MUST_CHECK enum err wire_submit_result_decode(struct slice in, struct wire_submit_result *ret);
