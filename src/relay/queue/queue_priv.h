/* The queue process from inside. Its files:
 *
 *   queue.c     the role: channels, opening the spool, health, drain, heartbeat
 *   intake.c    submissions from smtpd -> committed messages                       (intake.h)
 *   index.c     what is in memory of each live message and its recipients; scheduling
 *   target.c    where a domain's mail goes: routes, answers of the resolver
 *   dispatch.c  jobs: from the schedule to smtpc, with content on loan
 *   results.c   outcomes: recorded durably, then applied
 *   control.c   `tidegate queue` and `tidegate trace`
 *   move.c      mail that moves between relays: who has it                         (move.h)
 *   transfer.c, export.c, import.c   the file in which it moves
 *
 * A recipient is in exactly one place:
 *
 *   SCHEDULED --sched_next--> IN_JOB --outcome--> RECORDING --durable, deferred--> SCHEDULED
 *                                \                     \--durable, final--> gone
 *                                 \--job withdrawn--> SCHEDULED
 *   HELD <--hold / release--> SCHEDULED
 *
 * Invariants:
 *  1. recipient_move is the only function that changes the place; it asserts against this table.
 *  2. An outcome is applied only after its record is durable; until then nobody tries the recipient again.
 *  3. Nothing is scheduled before the spool is open and every smtpc has reported what it holds.
 */
#pragma once

#include "core/map.h"
#include "ctl/server.h"
#include "evio/ipc.h"
#include "evio/log.h"
#include "record/record.h"
#include "relay/queue/forecast.h"
#include "relay/queue/intake.h"
#include "relay/queue/limits.h"
#include "relay/wire/job.h"
#include "relay/wire/role.h"
#include "sched/sched.h"
#include "spool/spool.h"

enum place { PLACE_NEW, PLACE_SCHEDULED, PLACE_IN_JOB, PLACE_RECORDING, PLACE_HELD, PLACE_DONE };

struct target;

struct recipient {
	struct sched_entry entry;
	struct target *target; /* counted; NULL once DONE */
	uint32_t ordinal;
	uint16_t attempts;
	uint8_t place; /* enum place */
	uint8_t state; /* enum record_state */
};

struct message {
	struct map_node node; /* by id */
	uint64_t id;
	int64_t time_ms;
	uint64_t size;
	struct sched_account *account; /* counted */
	uint32_t count, open;          /* recipients; those not DONE */
	bool null_sender, held;
	uint8_t claim; /* held because it moves: enum record_verdict_kind, EXPORTED or IMPORTING (move.h) */
	struct recipient recipients[];
};

static inline struct message *recipient_message(struct recipient *r)
{
	return CONTAINER_OF(r - r->ordinal, struct message, recipients);
}

/* Where mail goes: one per site key, that is, per domain for MX routes and per host:port for fixed ones. */
enum target_state { TARGET_UNKNOWN, TARGET_ASKED, TARGET_KNOWN };
struct target {
	struct map_node node;  /* by key */
	struct map_node asked; /* by ref, while ASKED */
	struct queue *queue;
	struct sched_site *site; /* counted */
	uint32_t refs;           /* recipients and jobs */
	enum target_state state;
	uint64_t ref;        /* of the question under way */
	uint64_t expires_ms; /* loop_now; KNOWN */
	enum wire_resolve_outcome outcome;
	struct arena arena; /* hops and text */
	uint32_t hop_count;
	const struct wire_hop *hops;
	struct slice text;
	struct list waiting; /* struct job */
	struct slice key;    /* behind the struct */
};

enum job_state { JOB_PREPARING, JOB_SENT };
struct job {
	struct map_node node;     /* by id */
	struct list_node waiting; /* in its target while that is asked */
	struct queue *queue;
	uint64_t id;
	enum job_state state;
	struct message *message;
	struct target *target; /* counted */
	struct buf content;    /* envelope and edits, while PREPARING */
	size_t envelope_len;
	bool have_content, have_target;
	uint32_t smtpc;         /* slot; SENT */
	struct spool_loan loan; /* SENT and not adopted */
	bool lent;
	uint64_t started_ms;
	uint32_t count;
	struct recipient **recipients; /* behind the struct; NULL entries have their result */
};

/* A channel to one smtpc and what it has on loan. */
struct carrier {
	struct queue *queue;
	struct ipc *channel; /* owned */
	uint32_t slot, jobs;
	uint32_t owed;    /* jobs it is done with and keeps until they are acknowledged */
	uint64_t serial;  /* of this channel, so that old acknowledgements are not counted */
	bool reported;    /* REPORT_END has come */
	bool failed;      /* to be dropped at the end of the turn */
	struct map loans; /* segments it knows */
};

struct counts {
	uint64_t accepted, refused, unanswered, delivered, deferred, failed, unknown;
};

struct queue {
	struct role_env env;
	struct spool *spool;
	bool ready, draining, closing, drained;
	bool stopped;       /* nothing is logged, sent or scheduled any more */
	bool spool_closing; /* queue.c's: once only */
	struct spool_report report;
	struct forecast forecast;
	struct intake *intakes[QUEUE_SMTPD_MAX];
	bool intake_failed[QUEUE_SMTPD_MAX];
	struct carrier *carriers[QUEUE_SMTPC_MAX];
	struct ipc *resolver;
	bool resolver_failed;
	struct task cleanup; /* drops channels that failed */
	struct task pump;    /* gives out jobs */
	struct timer expire; /* index_expire */
	struct timer wake;   /* sched_next_wakeup */
	struct sched *sched;
	struct map messages, targets, asked, jobs;
	struct outcomes *outcomes; /* being collected; NULL: none */
	struct task record;        /* commits them */
	uint32_t recording;        /* batches under way or waiting to be tried again */
	struct list batches;       /* those; struct outcomes */
	struct buf owners;         /* slot + 1 of the smtpd that each block of ids was granted to */
	uint32_t submissions;
	uint64_t next_ref, next_job, next_carrier;
	struct ctl_server *ctl;
	struct {
		struct list known;   /* struct move */
		struct list changes; /* under way */
		struct timer tidy;
	} moves;
	struct transfer *transfer; /* the export or import under way; NULL: none */
	struct buf passwords;      /* of the routes, in their order; as SECRETS brought them */
	struct buf scratch;        /* for one outgoing frame */
	struct counts count;
};

/* queue.c */
void queue_channel_failed(struct queue *q, enum wire_role role,
			  uint32_t slot); /* dropped at the end of the turn */
void queue_log_spool(struct queue *q, const char *event, uint64_t id, const struct diag *why);
void queue_check_drained(struct queue *q);

/* index.c */
struct message *index_find(struct queue *q, uint64_t id);
MUST_CHECK enum err index_init(struct queue *q);
/* What memory a message needs is taken before it is committed: nothing can fail after its 250. */
struct message *message_new(struct queue *q,
			    const struct record_message *rec); /* not in the index; or NULL */
void message_discard(struct queue *q, struct message *m);      /* never committed; or NULL */
/* It became durable: indexes and schedules it, and owns it. */
void queue_message_committed(struct queue *q, struct message *m);
MUST_CHECK enum err index_add_live(struct queue *q, const struct spool_live *live);
/* Timer: fails what is over its age and waits for a site that is down; schedules what had no memory for it. */
void index_expire(void *ctx);
void index_remove(struct queue *q, struct message *m);
void recipient_move(struct recipient *r, enum place to);
/* To SCHEDULED (or HELD if the message is): due in loop_now's ms. */
void recipient_schedule(struct queue *q, struct recipient *r, uint64_t due);
void index_free(struct queue *q);

/* target.c */
struct target *target_for(struct queue *q, struct slice address); /* counts; NULL without memory */
bool target_fits(struct queue *q, const struct target *t,
		 struct slice address); /* still this target's after a reload? */
void target_unref(struct target *t);
void target_want(struct target *t, struct job *j); /* job_target_ready follows, perhaps later */
const struct conf_route *target_route(const struct target *t);
struct slice queue_password(const struct queue *q, const struct conf_route *route); /* empty: none */
MUST_CHECK enum err resolver_open(struct queue *q, int fd, struct diag *d);
void targets_forget_answers(struct queue *q);
void targets_free(struct queue *q);
bool target_ref_eq(const struct map_node *n, const void *key);

/* dispatch.c */
void dispatch_pump(void *ctx);
bool dispatch_together(const struct sched_entry *a, const struct sched_entry *b); /* of one message */
void job_target_ready(struct job *j);
struct job *job_find(struct queue *q, uint64_t id);
void job_end(struct job *j);     /* every recipient has its outcome or went back */
void jobs_free(struct queue *q); /* forgets them: their smtpc will report them to the next queue */
MUST_CHECK enum err carrier_new(struct queue *q, uint32_t slot, int fd, struct carrier **ret, struct diag *d);
void carrier_free(struct carrier *c); /* its jobs' outcomes become unknown */
void carrier_open(struct carrier *c); /* the index is there: reports may come */
struct job *job_adopt(struct carrier *c, uint64_t id, struct recipient *r);

/* results.c */
/* The outcome of one attempt; attempt, next try and giving up are added here. res->state as smtpc said it. */
void outcome_add(struct queue *q, struct recipient *r, struct record_result *res);
/* Sends RESULT_ACK for this job once everything collected so far is durable. */
void outcome_ack(struct carrier *c, uint64_t job);
void outcome_commit(void *ctx);
void outcomes_free(struct queue *q);

/* control.c */
MUST_CHECK enum err control_new(struct queue *q, struct diag *d);
