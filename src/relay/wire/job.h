/* queue <-> smtpc: delivery jobs. A job is one message, one site, some of its recipients.
 *
 * Content is lent: LOAN passes a descriptor for a segment number once (read-only; valid until UNLOAN), jobs
 * name segment, offset and length. smtpc sends one RESULT per recipient, then JOB_DONE; it keeps the results
 * until RESULT_ACK (they are synced). A new queue gets REPORT for every job in flight and every result not
 * yet acknowledged, then REPORT_END (invariant 8 of the house).
 */
#pragma once

#include "core/arena.h"
#include "core/buf.h"
#include "relay/wire/limits.h"
#include "relay/wire/resolve.h"
#include "relay/wire/wire.h"

/* LOAN (with descriptor), UNLOAN. */
struct wire_loan {
	uint64_t segment;
};
void wire_loan_encode(const struct wire_loan *m, struct buf *out);
MUST_CHECK enum err wire_loan_decode(struct slice in, struct wire_loan *ret);

enum wire_tls_level { WIRE_TLS_NONE, WIRE_TLS_MAY, WIRE_TLS_ENCRYPT, WIRE_TLS_VERIFY };

struct wire_rcpt {
	uint32_t ordinal;
	struct slice address; /* forward-path without <> */
};
struct wire_job {
	uint64_t job; /* generation << 32 | counter */
	uint64_t message;
	struct slice site; /* pool key: connections are shared among jobs of the same site */
	enum wire_tls_level tls;
	struct slice auth_user, auth_password; /* empty: no AUTH towards the next hop */
	struct slice helo;                     /* our EHLO name */
	struct slice account;                  /* for logs */
	uint64_t segment, offset, length;      /* content */
	struct slice edits;                    /* encoded mail/edits.h */
	struct slice sender;                   /* reverse-path without <> */
	uint8_t body;                          /* enum record_body */
	bool smtputf8;
	uint32_t attempt; /* of the first recipient, for records */
	uint32_t hop_count;
	const struct wire_hop *hops;
	uint32_t rcpt_count;
	const struct wire_rcpt *rcpts;
};
void wire_job_encode(const struct wire_job *m, struct buf *out);
MUST_CHECK enum err wire_job_decode(struct slice in, struct arena *a, struct wire_job *ret);

/* RESULT and REPORT: `result` is record_result_encode's octets; empty in REPORT: still in flight. state is
 * RECORD_DELIVERED, RECORD_FAILED or RECORD_DEFERRED; attempt and next_try_ms are the queue's business and
 * left 0. */
struct wire_result {
	uint64_t job, message;
	uint32_t ordinal;
	struct slice result;
};
void wire_result_encode(const struct wire_result *m, struct buf *out);
MUST_CHECK enum err wire_result_decode(struct slice in, struct wire_result *ret);

/* JOB_DONE, RESULT_ACK. site_failed: no connection to the site could be made, or it said 421: the queue backs
 * off from it. */
struct wire_job_done {
	uint64_t job;
	bool site_failed;
	struct slice text;
};
void wire_job_done_encode(const struct wire_job_done *m, struct buf *out);
MUST_CHECK enum err wire_job_done_decode(struct slice in, struct wire_job_done *ret);
struct wire_job_ref {
	uint64_t job;
};
void wire_job_ref_encode(const struct wire_job_ref *m, struct buf *out);
MUST_CHECK enum err wire_job_ref_decode(struct slice in, struct wire_job_ref *ret);
