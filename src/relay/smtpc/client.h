/* One outgoing SMTP session as a pure engine: octets and events in, actions out (RFC 5321, 2920, 3207, 4954, 1870, 6152,
 * 6531).
 *
 * No input or output, no clock, no globals: what it wants done it asks of `struct client_actions`, whose functions return
 * at once and never call back into the engine. Three lives nest: the session (a connection), the job (one message, some
 * recipients), the recipient.
 *
 * The session (client_set_state in client.c holds the same table and asserts it):
 *
 *   NEW --client_start--> GREETING --2xx--> EHLO --2xx, STARTTLS wanted and offered--> STARTTLS --2xx--> HANDSHAKE
 *       HANDSHAKE --client_tls--> EHLO          (RFC 3207 4.2: what was offered in the clear is forgotten)
 *       STARTTLS --4xx, 5xx, level "may"--> AUTH, IDLE
 *       EHLO --4xx, 5xx--> HELO                 EHLO, HELO --2xx--> AUTH (with credentials), IDLE
 *       AUTH --2xx--> IDLE
 *   IDLE --client_job--> ENVELOPE --354--> CONTENT --final dot--> DOT --reply--> IDLE
 *       IDLE --client_job, 8-bit content, no 8BITMIME--> SCAN --none found--> ENVELOPE
 *                                                        SCAN --found--> IDLE
 *       ENVELOPE --nobody accepted--> RSET, IDLE   ENVELOPE --nobody accepted, yet 354--> DOT (lone dot)
 *       RSET --2xx--> IDLE
 *   IDLE --client_quit--> QUIT
 *   any --reply that ends the session, 421, malformed reply, lost, time-out--> CLOSED
 *
 * A recipient: PENDING --RCPT 2xx--> ACCEPTED --reply to the final dot--> reported
 *              PENDING, ACCEPTED --any refusal or end before it--> reported
 *
 * Invariants:
 *  1. Every recipient of a job is reported exactly once (client_actions.result), before job_done; and job_done comes once
 *     for each job, unless the end says `untouched`.
 *  2. "unknown" is reported for exactly those recipients whose message was sent with its final dot and got no valid
 *     reply. Nothing is reported delivered without a 2xx to the final dot.
 *  3. Commands leave in groups only where the server offers PIPELINING; outcomes do not depend on it, nor on how the
 *     input was split.
 *  4. After STARTTLS nothing that came before the handshake is looked at: octets behind the 220 end the session.
 *  5. No octet of an address reaches a command line that could end it or begin another.
 *  6. After CLOSED no action is asked.
 */
#pragma once

#include "core/diag.h"
#include "evio/tls.h"
#include "relay/smtpc/reply_parser.h"
#include "relay/wire/job.h"

struct client;

enum client_state {
	CLIENT_NEW,
	CLIENT_GREETING,
	CLIENT_EHLO,
	CLIENT_HELO,
	CLIENT_STARTTLS,
	CLIENT_HANDSHAKE,
	CLIENT_AUTH,
	CLIENT_IDLE,
	CLIENT_SCAN,
	CLIENT_ENVELOPE,
	CLIENT_CONTENT,
	CLIENT_DOT,
	CLIENT_RSET,
	CLIENT_QUIT,
	CLIENT_CLOSED,
	CLIENT_STATE_COUNT,
};
const char *client_state_name(enum client_state s);

/* Waits, ms (RFC 5321 4.5.3.2). */
struct client_timeouts {
	uint64_t greeting, reply, data_start, data_block, data_end, quit, handshake, idle;
};

struct client_options {
	struct slice helo; /* our EHLO name; this and below: borrowed, outlives the client */
	enum wire_tls_level tls;
	struct slice auth_user, auth_password; /* empty user: no AUTH */
	struct client_timeouts timeouts;
	bool no_pipelining;
};

/* Borrowed until job_done or the end. */
struct client_job {
	struct slice sender;           /* without <>; empty: the null sender */
	const struct wire_rcpt *rcpts; /* at most WIRE_JOB_RECIPIENTS_MAX */
	uint32_t rcpt_count;
	uint64_t length;    /* octets of stored content */
	struct slice edits; /* encoded, mail/edits.h */
	uint8_t body;       /* enum record_body */
	bool smtputf8;
};

enum client_outcome { CLIENT_DELIVERED, CLIENT_FAILED, CLIENT_DEFERRED };

/* The end of one recipient. Borrowed for the call. */
struct client_result {
	uint32_t rcpt; /* index in the job */
	enum client_outcome outcome;
	bool unknown;  /* deferred, but it may have been delivered */
	uint16_t code; /* 0: no reply */
	uint8_t enhanced[3];
	struct slice text; /* one line; of the reply, or our own words */
};

enum client_end_kind {
	CLIENT_END_QUIT,    /* as we wished */
	CLIENT_END_REFUSED, /* greeting, EHLO, STARTTLS or AUTH was refused, or lacks what the job asks for */
	CLIENT_END_SHUTDOWN, /* 421 */
	CLIENT_END_TLS,      /* the handshake failed */
	CLIENT_END_LOST,     /* the connection went away */
	CLIENT_END_TIMEOUT,
	CLIENT_END_PROTOCOL, /* malformed or impossible reply */
};
const char *client_end_name(enum client_end_kind k);

struct client_end {
	enum client_end_kind kind;
	enum client_state state; /* in which it ended */
	bool untouched; /* the job's first reply never came, on a connection that had served others: nothing was
			   reported for it, give it to another connection */
	uint16_t code;
	uint8_t enhanced[3];
	struct slice text;
};

enum client_line { CLIENT_LINE_SENT, CLIENT_LINE_RECEIVED, CLIENT_LINE_EVENT };

struct client_actions {
	void (*send)(void *ctx, struct slice octets);
	void (*start_tls)(void *ctx); /* then client_tls or client_tls_failed; drops unconsumed input */
	/* Stored octets are wanted from this position: then client_content, with at most max of them. */
	void (*want_content)(void *ctx, uint64_t offset, uint64_t max);
	void (*ready)(void *ctx); /* IDLE: the next client_job or client_quit may come */
	void (*result)(void *ctx, const struct client_result *r);
	void (*job_done)(void *ctx);
	void (*close)(void *ctx, const struct client_end *e); /* CLOSED; once */
	void (*set_timer)(void *ctx, uint64_t delay_ms);      /* restarts the one timer */
	/* One line of the dialogue, secrets left out. May be NULL. */
	void (*trace)(void *ctx, enum client_line kind, struct slice line);
};

/* NULL without memory. */
struct client *client_new(const struct client_options *o, const struct client_actions *actions, void *ctx);
void client_free(struct client *c); /* asks for nothing; NULL is fine */

void client_start(struct client *c); /* once, connected: waits for the greeting */

/* Shows all unconsumed input; returns how many octets were consumed. */
MUST_CHECK size_t client_input(struct client *c, struct slice in);
void client_tls(struct client *c, const struct tls_info *info);
void client_tls_failed(struct client *c, struct slice why); /* instead of client_lost, in HANDSHAKE */
/* What want_content asked for: at least one octet, at most what it named. */
void client_content(struct client *c, struct slice stored);
/* The content cannot be read: the job is deferred and the session ends, since DATA cannot be taken back. */
void client_content_failed(struct client *c, struct slice why);
void client_lost(struct client *c, struct slice why); /* the peer closed, or the network failed */
void client_timeout(struct client *c);                /* the timer of set_timer */

/* IDLE only. */
void client_job(struct client *c, const struct client_job *job);
void client_quit(struct client *c);

/* Looking at it. */
enum client_state client_state(const struct client *c);
uint32_t client_jobs_done(const struct client *c);
bool client_secure(const struct client *c); /* under TLS */
