/* A helper thread that runs jobs in the order in which they were submitted and reports back on the loop.
 *
 * Simulated: the job runs on the loop's own thread after the virtual delay that sim_set_worker_delay names.
 */
#pragma once

#include "evio/loop.h"

struct worker;

struct job {
	struct list_node node;
	void (*run)(struct job *j);  /* on the helper thread; may block */
	void (*done)(struct job *j); /* on the loop, after run; may free or resubmit j */
};

MUST_CHECK enum err worker_new(struct loop *l, const char *name, struct worker **ret, struct diag *d);
void worker_submit(struct worker *w, struct job *j); /* j belongs to the worker until done */
size_t worker_pending(const struct worker *w);       /* submitted and not done */
/* Runs what is still queued and calls every done first: it takes as long as those jobs. NULL is fine. Not inside
 * run or done of its own jobs. */
void worker_free(struct worker *w);
