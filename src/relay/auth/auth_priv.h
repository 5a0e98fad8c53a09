/* What the files of the auth process share: one struct auth, its channels and its exchanges. Private. */
#pragma once

#include "auth/credential.h"
#include "auth/sasl.h"
#include "core/map.h"
#include "ctl/server.h"
#include "evio/ipc.h"
#include "evio/worker.h"
#include "relay/auth/limits.h"
#include "relay/auth/recall.h"
#include "relay/auth/store.h"
#include "relay/auth/throttle.h"
#include "relay/wire/auth.h"
#include "relay/wire/role.h"

struct auth_counters {
	uint64_t successes, recalled, failures, refused, malformed, unsent;
};

struct auth {
	struct role_env env;
	struct conf *conf;             /* owned reference: networks, what `server add` tells */
	struct credential_table table; /* owned */
	struct verifier nobody;        /* what the passwords of unknown names are measured against */
	uint8_t key[STORE_KEY_LEN];    /* of the salts that unknown names seem to have */
	struct worker *worker;         /* owned: passwords and the file, in order */
	struct ctl_server *ctl;        /* owned */
	struct throttle *throttle;     /* owned */
	struct recall *recall;         /* owned */
	struct list channels;          /* struct auth_channel, owned */
	size_t exchanges;              /* of all channels, and orphans whose check still runs */
	struct worker
		*slow[AUTH_SLOW_WORKERS]; /* owned: imported hashes, which may take a hundred times as long */
	size_t checks;                    /* passwords given to the worker */
	size_t slow_checks;               /* those given to `slow` */
	uint64_t slowest;                 /* ms that the longest check of late took */
	struct list changes;              /* struct server_request, owned; the first one is being made */
	struct list listings;             /* struct server_request, owned: answers under way */
	bool draining;
	bool drained;  /* was told to the runtime */
	bool stopping; /* nothing new may start, nobody is answered */
	struct auth_counters counters;
};

/* One smtpd. */
struct auth_channel {
	struct list_node node;
	struct auth *auth;
	struct ipc *ipc; /* owned; NULL: closed */
	enum wire_role role;
	uint32_t slot;
	struct map exchanges; /* by reference; owned */
};

/* exchange.c: frames of a channel. False: the frame is not what it should be, the channel must be closed. */
MUST_CHECK bool exchange_on_start(struct auth_channel *ch, struct slice payload);
MUST_CHECK bool exchange_on_response(struct auth_channel *ch, struct slice payload);
MUST_CHECK bool exchange_on_cancel(struct auth_channel *ch, struct slice payload);
void exchange_channel_init(struct auth_channel *ch);
/* The channel is going away: its exchanges end without a verdict. */
void exchange_channel_done(struct auth_channel *ch);

/* servers.c */
extern const struct ctl_events servers_events; /* ctx: struct auth */
void servers_stop(struct auth *a);             /* requests that wait are dropped; the worker is empty */

/* auth_role.c: something ended; if the process drains and nothing is left, it is done. */
void auth_check_drained(struct auth *a);
