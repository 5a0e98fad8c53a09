/* smtpsink: a destination for tests and benchmarks. Takes any mail over SMTP, answers by script, stores messages or
 * only their digests, and reports gaps and duplicates of the sequence numbers that smtpload puts into a header.
 *
 * One process, one loop: main.c (options, summary), session.c (the SMTP server), script.c (scripted replies),
 * seen.c (sequence numbers), store.c (files).
 */
#pragma once

#include "core/buf.h"
#include "core/diag.h"
#include "core/list.h"
#include "core/map.h"
#include "evio/net.h"
#include "evio/stream.h"

#define SINK_LINE_MAX    4096         /* octets of a command line */
#define SINK_MESSAGE_MAX (256u << 20) /* octets of one message */
#define SINK_HEADER_MAX  16384        /* octets in which X-Smtpload is looked for */
#define SINK_RCPTS_MAX   10000
#define SINK_RULES_MAX   1000
#define SINK_SEQ_MAX     100000000u /* highest sequence number that is tracked */

/* ---- script.c ---- */

enum script_step { STEP_CONNECT, STEP_EHLO, STEP_MAIL, STEP_RCPT, STEP_DATA, STEP_DOT, STEP_COUNT };

/* Lines "STEP [PATTERN|*] [N%] [first N] ACTION": ACTION is "CODE text", "drop" or "hang". The first rule that matches
 * counts. With a code below 400 the step is taken, in the words of the script.
 *     rcpt *@slow.example hang
 *     rcpt full@* 452 4.2.2 Mailbox full
 *     dot * 5% 451 4.3.0 Try again
 *     mail * first 3 421 4.7.0 Too many connections
 */
struct script_action {
	enum { ACTION_NONE, ACTION_REPLY, ACTION_DROP, ACTION_HANG } kind;
	struct slice reply; /* "451 4.3.0 Try again" */
};
struct script;
MUST_CHECK enum err script_load(const char *path, struct script **ret, struct diag *d);
void script_free(struct script *s); /* NULL is fine */
/* subject: address, EHLO name or empty. roll: random number for percentages. NULL script: ACTION_NONE. */
struct script_action script_decide(struct script *s, enum script_step step, struct slice subject,
				   uint32_t roll);

/* ---- seen.c: which sequence numbers came, per run of smtpload ---- */

struct seen;
struct seen_report {
	uint64_t numbered, duplicates, missing; /* missing: below the highest number of each run */
};
struct seen *seen_new(void);
void seen_free(struct seen *s);
void seen_add(struct seen *s, uint64_t run, uint64_t seq);
struct seen_report seen_report(const struct seen *s);

/* ---- store.c ---- */

struct envelope {
	struct buf sender;     /* reverse-path without <> */
	struct buf recipients; /* each followed by '\n' */
	uint32_t rcpt_count;
	char helo[256];
	bool tls, body_8bit, smtputf8;
};
/* Writes N.eml (content, dots removed) and N.json (envelope). Fails with words; the message is then refused. */
MUST_CHECK enum err store_message(const char *dir, uint64_t number, const struct envelope *env,
				  struct slice content, int64_t wall_ms, struct diag *d);

/* ---- session.c ---- */

struct sink_options {
	const char *hostname;
	const char *store_dir; /* NULL: do not store */
	bool digest;           /* print a line with the XXH3 digest of each message */
	bool no_pipelining, no_8bitmime, no_smtputf8;
	uint64_t size;          /* SIZE announced, 0: none */
	struct tls_server *tls; /* NULL: no STARTTLS */
	bool implicit_tls;
	struct script *script;
	uint32_t connections_max; /* above it: 421 */
};
struct sink_counts {
	uint64_t connections, open, messages, recipients, octets, refused, dropped, tls;
};
struct sink {
	struct loop *loop;
	struct sink_options o;
	struct sink_counts n;
	struct seen *seen;
	struct list sessions;
	uint64_t last_ms; /* loop_now of the last message */
};
void session_start(struct sink *sink, struct stream *s);
void sessions_close(struct sink *sink);
