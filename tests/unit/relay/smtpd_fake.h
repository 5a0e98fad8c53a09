/* A world around one session that answers at once and always the same way: for unit tests and the fuzz target.
 *
 * Auth knows one credential: "houston" with the password "secret", by PLAIN and LOGIN. The queue takes every mail,
 * unless its content holds the line "X-Fake: refuse" (early 554), "X-Fake: late" (450 at the end). A handshake
 * succeeds at once and drops unconsumed input. Everything asked is also checked: no call after close, no mail twice.
 */
#pragma once

#include "core/buf.h"
#include "relay/smtpd/session.h"

struct fake {
	struct conf conf;
	struct conf_listener listener;
	struct smtpd_options options;
	struct smtpd_session *s;

	struct buf in;  /* not consumed yet */
	struct buf out; /* replies since they were last looked at */
	struct buf codes;
	bool stale;         /* they were looked at */
	struct buf content; /* of the last mail begun */
	struct buf trace;   /* "ready>mail " ... */
	struct buf edits;   /* encoded, of the last mail ended */
	struct buf secret;  /* what auth was told, for checks */

	/* the last mail that ended */
	struct buf envelope; /* encoded struct record_message */
	unsigned begun, ended, aborted, accepted;
	bool streaming; /* a mail is begun and neither ended nor aborted */

	bool want_tls, want_result, want_challenge, want_verdict, asked_auth;
	bool closed;
	enum wire_auth_outcome verdict;
	unsigned login_step;
	bool hold;         /* deliver no event by yourself */
	bool welcome;      /* queue takes new mail */
	bool ids;          /* mail_begin succeeds */
	bool handover;     /* mail_end succeeds */
	uint64_t window;   /* given by mail_begin; refilled by the same when used up */
	uint64_t owed;     /* octets taken since the last credit */
	uint64_t timer_ms; /* last value set */
	uint64_t next_id;
	unsigned events[8]; /* by enum smtpd_event_kind */
	struct slice last_refused_verb;
	int64_t wall_ms;
};

/* A listener as of port 587 (STARTTLS, authentication required) with every limit at a usual value. */
void fake_init(struct fake *f);
/* A trusted port in the clear that asks for authentication: whole sessions fit into one packet. */
void fake_init_clear(struct fake *f);
void fake_start(struct fake *f);
void fake_done(struct fake *f);

void fake_feed(struct fake *f, struct slice octets); /* shows them and delivers every event that follows */
void fake_say(struct fake *f, const char *text);     /* the same for a string */
void fake_pump(struct fake *f);                      /* delivers what was held back */

/* The replies since the last call, as "220 250 503 ": codes only, one per reply. Borrowed until the next call. */
const char *fake_codes(struct fake *f);
/* The replies since the last call as they are. */
const char *fake_replies(struct fake *f);
