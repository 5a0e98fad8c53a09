/* The messages between the processes of one relay: frame types and their values, by channel.
 *
 * How a process is driven, and the table each one implements: relay/wire/role.h.
 *
 *   parent -> child    CONFIG SECRETS LISTENER PEER LOG DIR GO DRAIN CONTROL       (relay/wire/child.h)
 *   child -> parent    READY HEARTBEAT
 *   smtpd <-> auth     AUTH_START AUTH_RESPONSE AUTH_CANCEL / AUTH_CHALLENGE AUTH_VERDICT (relay/wire/auth.h)
 *   smtpd <-> queue    SUBMIT_PART SUBMIT_END SUBMIT_ABORT
 *                      / SUBMIT_GRANT SUBMIT_STATE SUBMIT_CREDIT SUBMIT_RESULT    (relay/wire/submit.h)
 *   queue <-> resolver RESOLVE / RESOLVED                                        (relay/wire/resolve.h)
 *   queue <-> smtpc    LOAN UNLOAN JOB RESULT_ACK
 *                      / RESULT JOB_DONE REPORT REPORT_END                        (relay/wire/job.h)
 *
 * Every message has one `_encode` (appends the payload to a buf) and one `_decode` (borrows from the payload,
 * strict: counts bounded by wire/limits.h, nothing left over). A frame that does not decode is a bug or a
 * broken child: the receiver closes the channel.
 */
#pragma once

#include <stdint.h>

enum wire_type {
	WIRE_CONFIG = 1,
	WIRE_SECRETS,
	WIRE_LISTENER,
	WIRE_PEER,
	WIRE_LOG,
	WIRE_DIR,
	WIRE_GO,
	WIRE_DRAIN,
	WIRE_CONTROL,
	WIRE_READY,
	WIRE_HEARTBEAT,

	WIRE_AUTH_START = 32,
	WIRE_AUTH_RESPONSE,
	WIRE_AUTH_CANCEL,
	WIRE_AUTH_CHALLENGE,
	WIRE_AUTH_VERDICT,

	WIRE_SUBMIT_PART = 64,
	WIRE_SUBMIT_END,
	WIRE_SUBMIT_ABORT,
	WIRE_SUBMIT_GRANT,
	WIRE_SUBMIT_STATE,
	WIRE_SUBMIT_CREDIT,
	WIRE_SUBMIT_RESULT,

	WIRE_RESOLVE = 96,
	WIRE_RESOLVED,

	WIRE_LOAN = 128,
	WIRE_UNLOAN,
	WIRE_JOB,
	WIRE_RESULT_ACK,
	WIRE_RESULT,
	WIRE_JOB_DONE,
	WIRE_REPORT,
	WIRE_REPORT_END,
};

/* Which process; also the argument of `tidegated --child ROLE.SLOT`. */
enum wire_role { ROLE_PARENT, ROLE_SMTPD, ROLE_AUTH, ROLE_QUEUE, ROLE_RESOLVER, ROLE_SMTPC, ROLE_COUNT };
const char *wire_role_name(enum wire_role r);
