/* Shared by the files of this folder: parent.c (life, signals, reload), children.c (processes and their channels),
 * resources.c (files, keys, ports), control.c (status and the control socket). */
#pragma once

#include "ctl/server.h"
#include "evio/ipc.h"
#include "evio/log.h"
#include "evio/net.h"
#include "relay/parent/parent.h"
#include "relay/wire/role.h"

#include <sys/types.h>

#define CHILDREN_MAX     64
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   10000
#define BACKOFF_RESET_MS 60000
#define WATCH_MS         1000
#define SILENT_TICKS     10 /* looks at a child without a sign of life, after which it is named in the status */
#define HUNG_TICKS       30 /* and after which it is killed and started again */

enum child_state { CHILD_DOWN, CHILD_STARTING, CHILD_UP, CHILD_DRAINING };

struct child {
	struct parent *parent;
	enum wire_role role;
	uint32_t slot;
	enum child_state state;
	pid_t pid;            /* 0: down */
	struct ipc *channel;  /* owned */
	struct timer restart; /* runs while DOWN and wanted */
	uint64_t backoff_ms;
	uint64_t started_ms; /* loop_now */
	int64_t started_wall_ms;
	uint32_t restarts;
	bool ever_ready;
	/* Looks of the watch since its last frame. Looks and not milliseconds: when the parent, or the whole machine,
	 * stood still, no child is to blame. */
	unsigned quiet;
	bool hung;                   /* being killed because it was quiet for too long */
	struct buf beat;             /* last HEARTBEAT payload */
	uint32_t serial[ROLE_COUNT]; /* of the last channel to a process of this role */
	unsigned lost;               /* roles, as bits, that it has no channel to */
	char missing[256];           /* what its jail lacks */
	char last_exit[64];          /* how the one before ended */
};

struct bound {
	uint32_t listener; /* index in the configuration */
	struct net_addr addr;
	int fd;
};

/* Everything that a configuration names and that has to be opened: replaced as a whole on reload. */
struct resources {
	struct conf *conf; /* owned reference */
	uint64_t epoch;
	struct buf certificate, key; /* PEM; empty if no listener speaks TLS */
	struct bound *bound;         /* owned array */
	size_t bound_count;
	int conf_fd;      /* sealed memfd */
	int secrets_fd;   /* sealed memfd */
	int passwords_fd; /* sealed memfd: passwords of the routes, for the queue */
	uint32_t passwords_len;
};

enum parent_state { PARENT_STARTING, PARENT_RUNNING, PARENT_STOPPING, PARENT_STOPPED };

struct parent {
	struct loop *loop;
	struct log *log;
	struct parent_options o;
	enum parent_state state;
	int status;
	struct resources res;
	uint8_t ticket_key[80];
	unsigned inherited_count; /* sockets from the service manager: PROC_FD_BASE and up */
	uint64_t inherited_taken; /* bit i: in use */
	struct child children[CHILDREN_MAX];
	unsigned child_count;
	uint32_t channels; /* made so far */
	struct ctl_server *ctl;
	struct listener *control;
	struct timer watch; /* looks for silent children */
	struct timer kill;  /* end of the drain time */
	int64_t started_wall_ms;
	bool edge_closed;       /* drained: no smtpd runs, what is queued is still delivered */
	char reload_error[320]; /* why the last reload was refused; empty: it was not */
};

/* resources.c */
MUST_CHECK enum err resources_open(struct parent *p, struct conf *conf, uint64_t epoch,
				   const struct resources *old, struct resources *ret, struct diag *d);
/* Closes what `keep` does not share. keep may be NULL. */
void resources_close(struct resources *r, const struct resources *keep);
void resources_close_ports(struct resources *r, const struct resources *keep);
MUST_CHECK enum err resources_directories(const struct conf *conf, struct diag *d);
/* The descriptor lines go to; -1 with words. */
int resources_log_fd(const struct conf *conf, struct diag *d);
/* Path of a role's root: spool, keys or empty below the state directory. */
void resources_root(const struct conf *conf, enum wire_role role, struct buf *out);

/* children.c */
void children_plan(struct parent *p);
MUST_CHECK enum err child_start(struct child *c, struct diag *d);
void children_send_epoch(struct parent *p);
void children_send_log(struct parent *p);
void children_reconnect(struct parent *p);
void children_watch(struct parent *p); /* every WATCH_MS */
bool child_silent(const struct child *c);
void children_drain(struct parent *p);
void children_drain_edge(struct parent *p); /* only those that take mail */
void children_kill(struct parent *p);
void children_reap(struct parent *p);
bool children_all(const struct parent *p, enum child_state s);
struct child *children_find(struct parent *p, enum wire_role role);
const char *child_name(const struct child *c, char out[32]);

/* control.c */
MUST_CHECK enum err control_open(struct parent *p, struct diag *d);
void control_close(struct parent *p);

/* parent.c */
void parent_child_ready(struct parent *p);
void parent_child_gone(struct parent *p, struct child *c, bool can_never_start);
MUST_CHECK enum err parent_reload(struct parent *p, struct diag *d);
void parent_stop(struct parent *p);
void parent_drain(struct parent *p); /* the edge closes; the rest goes on until parent_stop */
