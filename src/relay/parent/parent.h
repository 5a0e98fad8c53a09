/* The parent: opens what must be opened (ports, directories, keys, logs), starts the children, keeps them running and
 * hands each what it needs as descriptors. It parses nothing that comes from the network.
 *
 *   STARTING --every child READY--> RUNNING --SIGTERM, drain--> STOPPING --last child gone--> STOPPED
 *   STARTING --a child cannot start--> STOPPING (exit status 1)
 *
 * Invariants:
 *  1. Listening sockets belong to the parent and are only lent: a dead child strands no connection.
 *  2. A configuration is used only after it was read and everything it names could be opened; else the old one goes on.
 *  3. A child that dies is started again after 100 ms, then twice as long each time up to 10 s; a minute of life resets it.
 *  4. A child that gives no sign of life for 10 s is named in the status; after 30 s it is killed and started again,
 *     unless a debugger holds it.
 */
#pragma once

#include "conf/conf.h"
#include "core/diag.h"
#include "evio/loop.h"

struct parent;

struct parent_options {
	const char *conf_path; /* borrowed; NULL: embedded defaults */
	struct conf *conf;     /* borrowed; a reference is taken */
	bool foreground;
	/* Runs once when every child is ready (a daemon's launcher waits for it). May be NULL. */
	void (*on_ready)(void *ctx);
	void *ctx;
};

/* Opens everything and starts the children. On failure nothing is left open or running. */
MUST_CHECK enum err parent_new(struct loop *l, const struct parent_options *o, struct parent **ret,
			       struct diag *d);
/* The exit status to give once loop_run has returned: 0 after an orderly stop. */
int parent_status(const struct parent *p);
void parent_free(struct parent *p);
