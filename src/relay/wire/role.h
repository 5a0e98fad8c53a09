/* What every child process is, seen from outside: one table of functions per process (`smtpd_role`,
 * `auth_role`, `queue_role`, `resolver_role`, `smtpc_role`, each declared in its folder's <process>_role.h).
 * The real child runtime (role_run) and the simulator drive the same tables, so that a whole relay also runs
 * in one process on one simulated loop.
 *
 * Order of calls: start, then any of peer, secrets, listener, and GO; from GO on also config, control,
 * heartbeat; at last drain, then stop. No mutable globals: everything hangs on *self.
 */
#pragma once

#include "conf/conf.h"
#include "core/diag.h"
#include "evio/disk.h"
#include "evio/log.h"
#include "evio/loop.h"
#include "relay/wire/child.h"

struct role_env {
	struct loop *loop;   /* borrowed */
	struct log *log;     /* borrowed */
	uint32_t slot;       /* 0, 1, ... among processes of the same role */
	struct conf *conf;   /* borrowed; conf_ref to keep it beyond the next call of config */
	struct slice ca_pem; /* the system's trust anchors, read before the chroot (smtpc); may be empty */
	struct slice trust_anchor; /* content of resolver.trust_anchor, read before the chroot (resolver); empty: built in */
	struct disk disk;    /* queue: the spool directory, auth: the keys directory; else zero */
	uint64_t spool_segment; /* queue: octets of a segment, 0: the spool's default; the simulator's disks are small */
	const struct dns_lookup
		*dns; /* resolver: NULL for libunbound; the simulator gives its scripted answers */
	/* The process has finished after drain; call once. */
	void (*drained)(void *ctx);
	/* The channel to the (only) process of this role broke. A new one comes by `peer`, when that process has started
	 * again, or soon if it lives. */
	void (*lost)(void *ctx, enum wire_role role);
	void *ctx;
};

struct role_ops {
	enum wire_role role;
	MUST_CHECK enum err (*start)(const struct role_env *env, void **ret_self,
				     struct diag *d); /* env is copied */
	void (*go)(void *self); /* everything that was needed at start has come; may be NULL */
	/* A channel to another process; owns fd. A second one for the same role and slot replaces the first.
	 */
	void (*peer)(void *self, enum wire_role role, uint32_t slot, int fd);
	/* A newer configuration, borrowed as in role_env. smtpd stops its listeners; those of the epoch follow. */
	void (*config)(void *self, struct conf *conf, uint64_t epoch);
	/* Borrowed for the call; returns why they cannot be used. smtpd: PEM texts and 80 octets of ticket key. queue:
	 * `key` holds the passwords of the routes, in the order of the configuration, each with u32 length. */
	MUST_CHECK enum err (*secrets)(void *self, struct slice certificate, struct slice key,
				       struct slice ticket, struct diag *d);
	void (*listener)(void *self, uint32_t listener,
			 int fd); /* index in conf's listeners; owns fd (smtpd) */
	void (*control)(void *self, int fd,
			struct slice request); /* a control connection with its first frame; owns fd */
	/* Fills counters (names static) and trouble ("" is well). */
	void (*heartbeat)(void *self, struct wire_heartbeat *hb);
	void (*drain)(void *self);
	void (*stop)(void *self); /* frees everything, callbacks end */
};

/* What the jail of a role allows (evio/proc.h), and the runtime of a child process: reads the control channel
 * on descriptor 3, drives `ops`, sends heartbeats. Returns the exit status. */
int role_run(const struct role_ops *ops, uint32_t slot);
