/* One submission session as a pure engine: octets and events in, actions out (RFC 5321, 6409, 4954, 3207, 2920,
 * 3030).
 *
 * It does no input or output, has no clock and no globals; everything it wants done it asks of `struct
 * smtpd_actions`, whose functions return at once and never call back into the session. Three lives nest: the session
 * (a connection), the mail (MAIL to the answer of the queue), the recipient (an entry of the mail).
 *
 * The session (smtpd_set_state in session.c holds the same table and asserts it):
 *
 *   NEW --smtpd_session_start--> GREETED          NEW --start, implicit TLS--> TLS
 *   GREETED --EHLO, HELO--> READY                 GREETED, READY, MAIL, RCPT --EHLO, HELO--> READY
 *   READY --STARTTLS--> TLS --smtpd_session_tls--> GREETED     (RFC 3207 4.2: everything is forgotten)
 *   READY --AUTH--> AUTH_WAIT --challenge--> AUTH_CLIENT --response--> AUTH_WAIT --verdict--> READY
 *                                            AUTH_CLIENT --"*", malformed--> READY
 *   READY --MAIL--> MAIL --RCPT--> RCPT --DATA--> DATA --final dot--> COMMIT --smtpd_session_result--> READY
 *   MAIL, RCPT --RSET--> READY                    DATA --final dot of a refused mail--> READY
 *   RCPT, CHUNKS --BDAT--> CHUNK --chunk complete--> CHUNKS        (RFC 3030)
 *                          CHUNK --last chunk--> COMMIT, READY as behind DATA        CHUNKS --RSET, EHLO--> READY
 *   GREETED, READY, MAIL, RCPT --BDAT that is refused--> DISCARD --its octets are gone--> where it was
 *   GREETED, READY --XCLIENT--> GREETED
 *   any --QUIT, 421, peer gone--> CLOSED
 *
 * The mail (struct smtpd_mail in session_priv.h):
 *
 *   NONE --MAIL--> ENVELOPE --DATA, BDAT--> STREAMING --its end--> ENDED --answer--> NONE
 *   STREAMING --flaw, limit, refused by the queue--> REFUSED --its end--> NONE
 *   ENVELOPE --BDAT while the queue takes nothing--> REFUSED
 *   any --RSET, EHLO, end of the session--> NONE   (withdrawn from the queue if it was STREAMING or ENDED)
 *
 * Invariants:
 *  1. Commands are answered in order. While one waits (TLS, AUTH_WAIT, COMMIT) no input is consumed; after every
 *     event call smtpd_session_input again with what is left. No answer depends on how the input was split.
 *  2. 250 to a mail is sent only from smtpd_session_result: the queue alone says that it is safe.
 *  3. A line of commands ends with CRLF only; what follows a bare LF on the same line is never executed.
 *  4. After CLOSED nothing is consumed and no action but log is asked.
 *  5. Memory is bounded: conf's limit.session_memory for envelopes, limit.header_size for headers; content is only
 *     passed through.
 */
#pragma once

#include "conf/conf.h"
#include "core/slice.h"
#include "evio/tls.h"
#include "mail/edits.h"
#include "record/record.h"
#include "relay/wire/auth.h"
#include "relay/wire/submit.h"

struct smtpd_session;

enum smtpd_state {
	SMTPD_NEW,
	SMTPD_TLS,
	SMTPD_GREETED,
	SMTPD_READY,
	SMTPD_AUTH_WAIT,
	SMTPD_AUTH_CLIENT,
	SMTPD_MAIL,
	SMTPD_RCPT,
	SMTPD_DATA,
	SMTPD_CHUNK,   /* octets of a BDAT chunk come */
	SMTPD_CHUNKS,  /* between two chunks of a mail */
	SMTPD_DISCARD, /* octets of a refused chunk come */
	SMTPD_COMMIT,
	SMTPD_CLOSED,
	SMTPD_STATE_COUNT,
};
const char *smtpd_state_name(enum smtpd_state s);

struct smtpd_auth_request {
	struct slice mechanism; /* upper case */
	bool has_initial;
	struct slice initial; /* decoded */
	bool binding;         /* -PLUS was offered: the channel binding belongs to the exchange */
};

/* What is worth a line in the log or a counter. */
enum smtpd_event_kind {
	SMTPD_EVENT_TLS,         /* handshake done */
	SMTPD_EVENT_AUTH,        /* authenticated */
	SMTPD_EVENT_AUTH_FAILED, /* text: the name tried */
	SMTPD_EVENT_ACCEPTED,    /* a mail got its 250 */
	SMTPD_EVENT_REFUSED,     /* a command or a mail got 4xx or 5xx */
	SMTPD_EVENT_CLOSED,      /* text: why */
};
struct smtpd_event {
	enum smtpd_event_kind kind;
	const char *verb;        /* static; REFUSED: what was refused */
	struct wire_reply reply; /* ACCEPTED, REFUSED */
	struct slice text;
	uint64_t id; /* mail, 0: none */
	uint64_t size;
	uint32_t recipients;
	struct slice sender;    /* of the mail under way, if `mail` */
	struct slice recipient; /* REFUSED RCPT: the one refused */
	bool mail;              /* a mail is under way */
};

/* What the session asks of its surroundings. All slices and values are borrowed for the call. */
struct smtpd_actions {
	void (*send)(void *ctx, struct slice octets);
	void (*start_tls)(
		void *ctx); /* after what was sent; drops unconsumed input; then smtpd_session_tls */
	void (*auth_start)(void *ctx, const struct smtpd_auth_request *r); /* then challenge or verdict */
	void (*auth_response)(void *ctx, struct slice data);               /* the same */
	void (*auth_cancel)(void *ctx);                                    /* nothing follows */

	/* Is new mail welcome? True, or false with the reply for MAIL (borrowed until the session acts again). */
	bool (*mail_welcome)(void *ctx, struct wire_reply *ret_refusal);
	/* Begins a mail towards the queue, which gets the id *ret_id. False: not now (451). *ret_window: octets that
	 * may be appended until smtpd_session_credit gives more. */
	bool (*mail_begin)(void *ctx, uint64_t *ret_id, uint64_t *ret_window);
	void (*mail_append)(void *ctx, struct slice content);
	/* The content is complete; then smtpd_session_result. False: it cannot be handed over (451). */
	bool (*mail_end)(void *ctx, const struct record_message *envelope, const struct edits *edits);
	void (*mail_abort)(void *ctx); /* nothing follows */

	void (*set_timer)(void *ctx, uint64_t delay_ms); /* restarts the one timer; 0: off */
	void (*close)(void *ctx);                        /* send what is left, then close */
	void (*log)(void *ctx, const struct smtpd_event *e);
	void (*trace)(void *ctx, enum smtpd_state from, enum smtpd_state to); /* may be NULL */
};

/* Extensions that are understood but announced only where the way behind them honours them; bits. Parameters of an
 * extension that is not announced are refused (555). */
enum smtpd_extension {
	SMTPD_EXT_8BITMIME = 1,
	SMTPD_EXT_SMTPUTF8 = 2,
	SMTPD_EXT_DSN = 4,
	SMTPD_EXT_CHUNKING = 8,
	SMTPD_EXT_BINARYMIME = 16, /* only together with CHUNKING */
};

struct smtpd_options {
	const struct conf *conf;              /* borrowed; outlives the session */
	const struct conf_listener *listener; /* in conf */
	struct slice client;                  /* IP address as text, or "unix"; copied */
	bool tls_available;                   /* STARTTLS can be served */
	bool xclient;                         /* this client may use XCLIENT */
	unsigned extensions;                  /* bits of enum smtpd_extension */
	struct slice
		mechanisms; /* "SCRAM-SHA-256 PLAIN"; what the channel does not allow is left out; borrowed,
					      * outlives the session */
};

/* NULL without memory. `actions` and ctx outlive the session. */
struct smtpd_session *smtpd_session_new(const struct smtpd_options *o, const struct smtpd_actions *actions,
					void *ctx);
/* Withdraws what is under way (auth_cancel, mail_abort), asks nothing else. NULL is fine. */
void smtpd_session_free(struct smtpd_session *s);

void smtpd_session_start(struct smtpd_session *s); /* once, first: greets, or awaits the implicit handshake */

/* Shows all unconsumed input; returns how many octets were consumed. wall_ms: ms since 1970 UTC. */
MUST_CHECK size_t smtpd_session_input(struct smtpd_session *s, struct slice in, int64_t wall_ms);

/* Events from outside; each is ignored where the session no longer waits for it (a late answer). */
void smtpd_session_tls(struct smtpd_session *s, const struct tls_info *info);
void smtpd_session_auth_challenge(struct smtpd_session *s, struct slice data);
void smtpd_session_auth_verdict(struct smtpd_session *s, enum wire_auth_outcome outcome, struct slice server);
void smtpd_session_credit(struct smtpd_session *s, uint64_t octets);
/* The queue's answer to the mail under way: after mail_end, or earlier if it refuses. */
void smtpd_session_result(struct smtpd_session *s, const struct wire_reply *reply);
void smtpd_session_timeout(struct smtpd_session *s); /* the timer of set_timer ran out */
/* The relay stops, or a newer rule ends this session: 421 now if no mail is under way, else after its answer. */
void smtpd_session_drain(struct smtpd_session *s);
void smtpd_session_expire(struct smtpd_session *s); /* 421 at once, whatever is under way */

/* Looking at it, for log lines and tests. Borrowed from the session. */
enum smtpd_state smtpd_session_state(const struct smtpd_session *s);
struct slice smtpd_session_helo(const struct smtpd_session *s);
struct slice smtpd_session_server(const struct smtpd_session *s); /* authenticated as; empty: not */
struct slice smtpd_session_tls_text(const struct smtpd_session *s);
struct slice smtpd_session_client(const struct smtpd_session *s);
