/* The wiring of the smtpc process: what joins engines (client.h) to streams and to the queue. Private to this folder.
 *
 * A job: TAKEN --connection found or opened--> SENDING --last recipient's result--> DONE --RESULT_ACK--> gone
 *        SENDING --reused connection was dead--> TAKEN
 * It outlives the queue process that gave it; its results are kept until a queue says that they are durable.
 *
 * Ownership: the process owns loans, jobs and pools; a pool owns its connections; a connection owns its stream and
 * engine. A job refers to its connection and its loan, a connection to the job under way.
 *
 * Who calls whom: streams and engines only set flags of a connection and defer its `work`; what follows happens there,
 * so that nothing is freed or started inside a callback.
 */
#pragma once

#include "core/list.h"
#include "core/map.h"
#include "evio/ipc.h"
#include "evio/stream.h"
#include "record/record.h"
#include "relay/smtpc/client.h"
#include "relay/wire/role.h"

struct smtpc;
struct smtpc_conn;
struct smtpc_pool;

/* A segment of the spool, lent by the queue of `channel`. */
struct smtpc_loan {
	struct map_node node; /* in smtpc.loans, unless that queue is gone */
	uint64_t segment;
	int fd;        /* owned */
	uint32_t refs; /* jobs, and one for the table */
};

struct smtpc_outcome {
	struct slice record; /* record_result_encode; empty: none yet; in the job's arena */
	bool sent;
};

struct smtpc_job {
	struct map_node node;     /* in smtpc.jobs, by id */
	struct list_node waiting; /* TAKEN: in its pool's list */
	struct list_node outbox;  /* in smtpc.outbox or smtpc.reports */
	struct smtpc *p;
	struct wire_job w;  /* borrows from payload and arena */
	struct buf payload; /* owned */
	struct arena arena; /* owned */
	struct smtpc_loan *loan;
	struct smtpc_pool *pool;        /* counted; NULL: DONE */
	struct smtpc_outcome *outcomes; /* one a recipient */
	uint32_t report_at;             /* next recipient to report to a new queue */
	bool done, done_sent, site_failed;
	uint64_t started;  /* ms, monotonic */
	struct slice text; /* why the site failed; in the arena */
};

/* Connections that may serve each other's jobs: same site, TLS level, credentials and EHLO name. */
struct smtpc_pool {
	struct map_node node;     /* in smtpc.pools */
	struct list_node starved; /* in smtpc.starved while jobs wait and no connection may be opened */
	struct smtpc *p;
	struct slice key; /* owned, with what follows in it */
	struct slice site, helo, auth_user, auth_password;
	enum wire_tls_level tls;
	struct list idle;     /* connections, most recently used last */
	struct list waiting;  /* jobs */
	uint32_t conns, refs; /* refs: connections and jobs */
};

struct smtpc {
	struct role_env env;
	struct conf *conf; /* owned reference */
	struct tls_client *tls;
	struct ipc *queue; /* owned; NULL: none at the moment */
	struct map loans, jobs, pools;
	struct list outbox;  /* jobs with results or an end to tell */
	struct list reports; /* jobs that a new queue must hear of first */
	bool report_end;     /* REPORT_END is due behind them */
	struct list all;     /* connections */
	struct list starved; /* pools */
	struct task flush;   /* sends what the outbox holds */
	struct buf frame;    /* scratch */
	char *chunk;         /* owned; SMTPC_CHUNK octets read from a loan */
	uint32_t conns, idle, next_source;
	bool draining, drained;
	uint64_t delivered, deferred, failed, unknown, connects, connect_failures, reused, tls_sessions;
};

/* ---- smtpc_loan.c ---- */
void smtpc_loans_init(struct smtpc *p);
void smtpc_loan_add(struct smtpc *p, uint64_t segment, int fd); /* owns fd */
void smtpc_loan_drop(struct smtpc *p, uint64_t segment);
void smtpc_loans_forget(struct smtpc *p); /* the queue is gone: its numbers mean nothing any more */
struct smtpc_loan *smtpc_loan_ref(struct smtpc *p, uint64_t segment); /* NULL: not lent */
void smtpc_loan_unref(struct smtpc_loan *l);

/* ---- smtpc_job.c ---- */
void smtpc_jobs_init(struct smtpc *p);
MUST_CHECK enum err smtpc_job_take(struct smtpc *p, struct slice payload); /* a JOB frame */
void smtpc_job_result(struct smtpc_job *j, uint32_t rcpt, const struct record_result *r);
/* The same outcome for every recipient that has none, then done. */
void smtpc_job_defer_all(struct smtpc_job *j, const struct record_result *r);
void smtpc_job_done(struct smtpc_job *j);
void smtpc_job_acknowledge(struct smtpc *p, uint64_t id);
void smtpc_jobs_report(
	struct smtpc *p);               /* to a new queue: everything that it must know before it schedules */
void smtpc_jobs_flush(struct smtpc *p); /* as much as the channel takes */
void smtpc_jobs_free(struct smtpc *p);

/* ---- smtpc_pool.c ---- */
void smtpc_pools_init(struct smtpc *p);
struct smtpc_pool *smtpc_pool_ref(struct smtpc *p, const struct wire_job *w); /* NULL without memory */
void smtpc_pool_unref(struct smtpc_pool *pool);
void smtpc_pool_submit(struct smtpc_pool *pool,
		       struct smtpc_job *j);                /* to an idle connection, a new one, or waits */
struct smtpc_job *smtpc_pool_next(struct smtpc_pool *pool); /* a waiting job, taken out; NULL */
void smtpc_pool_starving(struct smtpc *p);                  /* a connection is gone: who may open one? */
void smtpc_pools_close_idle(struct smtpc *p);
void smtpc_pools_done(struct smtpc *p); /* forgets what waits; connections and jobs are freed by others */

/* ---- smtpc_conn.c ---- */
struct smtpc_conn {
	struct list_node all;  /* in smtpc.all */
	struct list_node idle; /* in pool->idle */
	struct smtpc *p;
	struct smtpc_pool *pool; /* counted */
	struct smtpc_job *job;   /* under way, or what the connection is being made for */
	struct smtpc_job *ended; /* whose job_done came in this turn: `close` may still tell about it */
	struct stream *stream;   /* owned; NULL: between two attempts */
	struct client *client;   /* owned; NULL until connected */
	struct timer timer;      /* the engine's */
	struct task work;
	struct client_job cjob;
	uint32_t hop;                       /* index of the next address to try */
	bool no_tls;                        /* the handshake failed, and the level allows to go on without */
	bool ready, wants, over, start_tls; /* what the engine asked for, until `work` has done it */
	uint64_t want_offset, want_max;
	struct net_addr addr;
	char host[WIRE_NAME_MAX + 1];
	char tls_text[96]; /* "TLSv1.3 TLS_AES_256_GCM_SHA384" */
	/* the last failure of a session, for the results if no address is left */
	enum client_end_kind end;
	uint16_t code;
	uint8_t enhanced[3];
	char why[SMTPC_RESULT_TEXT_MAX + 1];
};
MUST_CHECK enum err smtpc_conn_open(struct smtpc_pool *pool, struct smtpc_job *j);
void smtpc_conn_give(struct smtpc_conn *c, struct smtpc_job *j); /* to an idle one */
void smtpc_conn_quit(struct smtpc_conn *c);                      /* an idle one */
void smtpc_conn_free(struct smtpc_conn *c);

/* ---- smtpc.c ---- */
void smtpc_check_drained(struct smtpc *p);
