/* The inside of an outgoing session, shared by client.c (states, input, ends), client_session.c (greeting to AUTH) and
 * client_job.c (MAIL to the final reply). Private to this folder. */
#pragma once

#include "relay/smtpc/client.h"
#include "relay/smtpc/content.h"

/* What the server offers; bits. */
enum client_feature {
	CLIENT_PIPELINING = 1,
	CLIENT_SIZE = 2,
	CLIENT_8BITMIME = 4,
	CLIENT_SMTPUTF8 = 8,
	CLIENT_STARTTLS_OFFERED = 16,
	CLIENT_AUTH_PLAIN = 32,
};

enum client_rcpt { CLIENT_RCPT_PENDING, CLIENT_RCPT_ACCEPTED, CLIENT_RCPT_REPORTED };

struct client {
	const struct client_actions *act;
	void *ctx;
	struct client_options o;
	enum client_state state;
	struct reply_parser parser;
	struct buf out; /* owned; scratch for what is sent and for texts */
	unsigned features;
	uint64_t size_max; /* of SIZE; 0: none told */
	bool tls;
	uint32_t jobs_done;

	/* the job; NULL: none */
	const struct client_job *job;
	uint64_t length_out; /* octets after the edits, before dot-stuffing */
	uint8_t rcpts[WIRE_JOB_RECIPIENTS_MAX];
	/* Steps of the envelope: 0 MAIL, 1 .. rcpt_count RCPT, rcpt_count + 1 DATA. */
	uint32_t sent, answered, accepted;
	bool mail_refused;
	struct content content;
};

/* What became of something, as a value: a reply, or our own words (code 0). */
struct client_verdict {
	enum client_outcome outcome;
	bool unknown;
	uint16_t code;
	uint8_t enhanced[3];
	struct slice text;
};

/* ---- client.c ---- */
void client_set_state(struct client *c, enum client_state to);
/* Sends a line (CRLF is added) that begins `state` and waits for its reply. `shown` stands for it in the trace. */
void client_command(struct client *c, enum client_state state, struct slice line, struct slice shown);
void client_idle(struct client *c);
/* CLOSED. Recipients not yet reported get the verdict (deferred; unknown after the final dot). */
void client_end(struct client *c, enum client_end_kind kind, const struct client_verdict *v);
void client_end_reply(struct client *c, enum client_end_kind kind, const struct smtp_reply *r);
void client_end_text(struct client *c, enum client_end_kind kind, const uint8_t enhanced[3],
		     const char *text);
void client_trace(struct client *c, enum client_line kind, struct slice line);

/* ---- client_session.c ---- */
void client_greeting(struct client *c, const struct smtp_reply *r);
void client_hello(struct client *c, const struct smtp_reply *r); /* EHLO and HELO */
void client_starttls(struct client *c, const struct smtp_reply *r);
void client_authenticated(struct client *c, const struct smtp_reply *r);
void client_send_ehlo(struct client *c);

/* ---- client_job.c ---- */
void client_envelope(struct client *c, const struct smtp_reply *r);
void client_early(struct client *c, const struct smtp_reply *r); /* a reply while content is being sent */
void client_dot(struct client *c, const struct smtp_reply *r);
void client_report_rest(struct client *c, const struct client_verdict *v); /* all not yet reported */
const char *client_waiting_for(const struct client *c);                    /* "the reply to MAIL" */
