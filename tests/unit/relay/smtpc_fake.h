/* A scripted SMTP server without sockets and a driver for the client engine, with the checks that hold in every run:
 * each recipient reported once, nothing delivered that the server did not take, "unknown" only behind the final dot.
 */
#pragma once

#include "relay/smtpc/client.h"

#define FAKE_RCPTS 3

enum fake_step {
	FAKE_GREETING,
	FAKE_EHLO,
	FAKE_HELO,
	FAKE_STARTTLS,
	FAKE_AUTH,
	FAKE_MAIL,
	FAKE_RCPT0,
	FAKE_RCPT1,
	FAKE_RCPT2,
	FAKE_DATA,
	FAKE_DOT,
	FAKE_RSET,
	FAKE_QUIT,
	FAKE_STEPS,
};

struct fake {
	/* the script */
	const char *replies[FAKE_STEPS]; /* NULL: what a friendly server says; "" says nothing */
	const char *extensions;          /* lines behind EHLO, "-PIPELINING\r\n...": each without its code */
	const char *extensions_tls;      /* the same under TLS; NULL: no other */
	size_t chunk;                    /* octets delivered at a time; 0: all there are */
	uint64_t
		lose_after; /* the connection goes after this many octets from the server; UINT64_MAX: never */
	bool tls_fails, tls_unverified;
	bool mute; /* the server says nothing by itself: replies are put into `out` */
	struct client_options options;
	struct slice content, edits;
	uint8_t body;
	bool smtputf8;
	size_t content_chunk; /* octets given to client_content at a time; 0: as asked */

	/* the run */
	struct client *client;
	struct client_job job;
	struct wire_rcpt rcpts[FAKE_RCPTS];
	struct buf in, out, dialogue; /* from the client, to the client, all lines of both */
	struct buf message;           /* the last one, as the server understood it, dots removed */
	uint64_t delivered_octets;
	bool data, tls, start_tls, wants, ready;
	uint64_t want_offset, want_max;
	unsigned rcpt_seen, rcpt_ok; /* of the transaction */
	unsigned accepted[FAKE_RCPTS], messages, lone_dots, dots;

	/* what the engine told */
	unsigned results[FAKE_RCPTS], jobs_done, ends, timers, jobs_given;
	enum client_outcome outcome[FAKE_RCPTS];
	bool unknown[FAKE_RCPTS];
	uint16_t code[FAKE_RCPTS];
	uint8_t enhanced[FAKE_RCPTS][3];
	char text[FAKE_RCPTS][1024];
	struct client_end end;
	char end_text[1024];
	uint64_t last_timer;
};

void fake_init(struct fake *f);
void fake_done(struct fake *f);
void fake_run(struct fake *f); /* from the connection until nothing more happens, without giving a job */
void fake_go_on(struct fake *f);
void fake_give_job(struct fake *f); /* and go on */
bool fake_idle(const struct fake *f);
/* "DDD" delivered, "F" failed, "L" deferred (later), "U" unknown, "-" nothing told; static. */
const char *fake_outcomes(const struct fake *f);
