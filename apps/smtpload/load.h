/* smtpload: a load generator for SMTP servers. Opens many connections, sends numbered messages over them as fast as
 * the server takes them (closed loop) or at a given rate, and counts what became of each.
 *
 * One process, one loop: main.c (start, end), args.c (options), run.c (which message goes when, the end of the run),
 * conn.c (a connection from its opening to QUIT), message.c (text of envelope and content), latency.c (percentiles),
 * report.c (progress and summary).
 *
 * Invariants:
 *  1. Sequence numbers begin at 0. When a connection breaks, its message is `unanswered` if content of it went out and
 *     `aborted` if only its envelope did: neither is sent again, so that no message can break connections for ever.
 *     One whose envelope was sent ahead, behind the content of another, is handed back and given out again.
 *  2. At the end: given out = accepted + refused + unanswered + aborted, and count = given out + unsent (with
 *     --seconds, only what was handed back is unsent).
 *  3. A run ends: by its count, its seconds, or when no message was answered for the time-out.
 *
 * Times are microseconds of CLOCK_MONOTONIC where their name ends in _us; the loop's milliseconds otherwise.
 */
#pragma once

#include "core/buf.h"
#include "core/diag.h"
#include "core/list.h"
#include "evio/net.h"
#include "evio/stream.h"

#define LOAD_CONNECTIONS_MAX 20000
#define LOAD_RECIPIENTS_MAX  10000
#define LOAD_SOURCES_MAX     60000
#define LOAD_SIZES_MAX       16
#define LOAD_SIZE_MAX        (256u << 20) /* octets of one message */
#define LOAD_SEQ_MAX         100000000u   /* as many smtpsink tracks */
#define LOAD_RATE_MAX        1000000u     /* messages a second */
#define LOAD_SECONDS_MAX     (7u * 24 * 3600)
#define LOAD_PATTERN_MAX     256           /* octets of a path (RFC 5321 4.5.3.1.3) */
#define LOAD_COMMAND_MAX     2048          /* octets of any command: a pattern of nothing but %d, or AUTH */
#define LOAD_REPLY_MAX       4096          /* octets of a reply line */
#define LOAD_CHUNK           (128u * 1024) /* octets of content handed to a stream at a time */
#define LOAD_BACKOFF_MIN_MS  10
#define LOAD_BACKOFF_MAX_MS  1000
#define LOAD_CODES           600 /* SMTP replies are 200..599 */

/* ---- latency.c: a histogram of durations with less than 1 % error, in fixed memory ---- */

#define LATENCY_BUCKETS 3840

struct latency {
	uint64_t count, min, max; /* us */
	uint64_t buckets[LATENCY_BUCKETS];
};
void latency_add(struct latency *l, uint64_t us);
/* The smallest recorded duration (rounded up by less than 1 %) that `percent` of all do not exceed; 0 without any. */
uint64_t latency_percentile(const struct latency *l, double percent);

/* ---- args.c ---- */

enum load_tls { LOAD_TLS_NONE, LOAD_TLS_STARTTLS, LOAD_TLS_IMPLICIT };

/* Strings are borrowed from argv. */
struct load_options {
	struct net_addr target;
	uint32_t connections;
	uint64_t per_connection; /* messages; 0: no limit */
	uint64_t count;          /* messages at most */
	uint32_t seconds;        /* 0: no limit */
	uint32_t rate;           /* messages a second over all connections; 0: closed loop */
	uint32_t recipients;     /* per message */
	uint32_t sources;        /* addresses from 127.0.1.1 upward; 0: the system chooses */
	uint64_t sizes[LOAD_SIZES_MAX];
	size_t size_count; /* message n has sizes[n % size_count] */
	const char *from, *to, *helo;
	enum load_tls tls;
	const char *ca_file;  /* NULL: the system's store */
	const char *tls_name; /* verified, and SNI; NULL: the target's address */
	bool insecure;        /* take any certificate */
	const char *auth;     /* "user:password" for AUTH PLAIN; NULL: none */
	const char *acked_file;
	uint64_t run; /* number of this run in each message; 0: random */
	uint64_t timeout_ms;
	bool no_pipelining, reconnect, json, help;
};
/* ERR_SYNTAX or ERR_RANGE with words for the user. Uses getopt_long. */
MUST_CHECK enum err load_options_parse(int argc, char **argv, struct load_options *ret, struct diag *d);
extern const char load_usage[];

/* ---- message.c ---- */

/* Appends `pattern` with %d replaced by the sequence number, %r by the recipient's, %% by a percent sign. */
void pattern_expand(struct buf *out, const char *pattern, uint64_t seq, uint32_t rcpt);
void add_decimal(struct buf *out, uint64_t v);

/* Every body is the tail of one block that is filled once. */
struct content {
	struct buf block; /* lines of 78 octets, none begins with a dot */
	uint64_t run;
	char date[64];
};
MUST_CHECK enum err content_init(struct content *c, const struct load_options *o, uint64_t run,
				 int64_t wall_ms);
void content_done(struct content *c);
/* Appends the header section of message `seq` to `head` and gives the body: both together have sizes[...] octets, or
 * the header's if that is more. The body needs no dot-stuffing and ends in CRLF. */
struct slice content_of(const struct content *c, const struct load_options *o, uint64_t seq,
			struct buf *head);

/* ---- run.c ---- */

struct conn;

struct load_counts {
	uint64_t given; /* sequence numbers handed out, without those handed back */
	uint64_t accepted, refused, unanswered, aborted;
	uint64_t rcpt_accepted, rcpt_refused; /* of messages that went on to DATA */
	uint64_t octets;                      /* content of accepted messages */
	uint64_t connects, ready, broken;     /* tried; came as far as MAIL; ended without our QUIT */
	uint64_t codes[LOAD_CODES];           /* the reply that decided each message */
	uint64_t rcpt_codes[LOAD_CODES];      /* refused recipients */
	uint64_t session_codes[LOAD_CODES];   /* greeting, EHLO, STARTTLS or AUTH refused */
};

struct load {
	struct load_options o;
	struct loop *loop;
	uint64_t (*clock_us)(const struct load *l); /* monotonic; set by load_init, replaced in simulations */
	struct tls_client *tls;                     /* owned; NULL without TLS */
	struct content content;
	struct conn *conns; /* owned, o.connections of them */
	uint32_t opened, live;
	uint64_t next_seq;
	struct buf again;    /* u64 each: handed back */
	struct list waiting; /* connections for which no message is due */
	struct timer opener, tick, pace, end;
	struct load_counts n;
	struct latency message, session,
		lag; /* accepted: MAIL to final reply; connect to MAIL; due time to MAIL (only --rate) */
	uint64_t started_us, last_reply_us;
	uint64_t progress_ms; /* loop_now of the last final reply */
	bool ending;          /* hand out nothing more */
	int acked_fd;         /* -1: none */
	struct diag trouble;  /* the latest reason why a connection failed */
	struct diag fatal;    /* what ended the run early */
	struct buf scratch;   /* commands and headers under construction */
	bool terminal;        /* standard error shows a progress line */
};

MUST_CHECK enum err load_init(struct load *l, const struct load_options *o, struct loop *loop,
			      struct diag *d);
void load_done(struct load *l);
/* Runs to the end. Returns ERR_OK even if messages were refused: see load_succeeded. */
MUST_CHECK enum err load_run(struct load *l, struct diag *d);
uint64_t load_unsent(const struct load *l);
bool load_succeeded(const struct load *l);
void load_stop(struct load *l); /* what is under way is finished; called again: at once */

enum load_take { TAKE_MESSAGE, TAKE_LATER, TAKE_NEVER };
/* The next message to send now. TAKE_LATER: none is due yet. */
enum load_take load_take(struct load *l, uint64_t *ret_seq);
void load_give_back(struct load *l, uint64_t seq);
bool load_has_work(const struct load *l);
void load_wait(struct load *l, struct conn *c); /* conn_wake comes when a message is due */
void load_acknowledge(struct load *l, uint64_t seq);
void load_conn_ended(struct load *l); /* a connection will not come again */

/* ---- conn.c ---- */

/* OFF --open--> GREETING --220--> EHLO [--> STARTTLS --> EHLO] [--> AUTH] --> MAIL .. FINAL --> MAIL | IDLE | QUIT.
 * A reply moves a connection to the next step; a refusal before MAIL, a break or silence moves it to OFF, from where
 * it is reopened (with back-off) if there is work and the options say so. */
enum conn_step {
	CONN_OFF,
	CONN_CONNECT, /* also the TLS handshakes */
	CONN_GREETING,
	CONN_EHLO,
	CONN_STARTTLS,
	CONN_AUTH,
	CONN_IDLE, /* no message is due */
	CONN_RSET,
	CONN_MAIL,
	CONN_RCPT,
	CONN_DATA,
	CONN_FINAL, /* content goes out or is out */
	CONN_QUIT,
	CONN_COUNT
};

struct message {
	uint64_t seq;
	uint64_t started_us; /* MAIL went out, or the message before was answered if that came later */
	uint32_t rcpts_answered, rcpts_accepted;
	uint16_t refused; /* first refusal, 0: none yet */
	bool active, mail_accepted, content_begun;
};

struct conn {
	struct load *load;
	struct list_node waiting;
	struct stream *stream; /* owned */
	struct net_addr local;
	struct timer backoff;
	uint64_t backoff_ms;
	enum conn_step step;
	uint64_t since; /* loop_now when the reply we wait for was asked for */
	uint64_t opened_us;
	uint64_t messages;        /* begun on this connection */
	struct message cur, next; /* next: its envelope follows the content of cur */
	struct slice body;        /* what is left of cur's content */
	bool content_out;         /* and its final dot */
	bool grouped;             /* the whole envelope is out */
	bool need_rset, quit_sent, secured;
	bool has_pipelining, has_size, has_starttls; /* announced */
};

void conn_init(struct conn *c, struct load *l, uint32_t number);
void conn_open(struct conn *c);
void conn_wake(struct conn *c);       /* takes a message, or waits again, or quits */
void conn_check_time(struct conn *c); /* breaks it if the reply is overdue */
void conn_leave(struct conn *c);      /* nothing more is begun: a session that is not ready yet is closed */
void conn_shut(struct conn *c);       /* at the end of the run: closes at once; what was sent is unanswered */

/* ---- report.c ---- */

void report_progress(const struct load *l);
void report_summary(const struct load *l); /* standard output; JSON if asked */
