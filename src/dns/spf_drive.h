/* Runs a machine that asks (spf_eval_step, spf_tree_step) over struct dns_lookup, one question at a time, or over DNS
 * that answers at once.
 *
 *   ASKING --answer--> the machine's step --SPF_ASK--> ASKING
 *                                         --SPF_DONE--> done(ctx)
 *          --time is over--> every further question is answered with a temporary failure, at once
 */
#pragma once

#include "dns/spf_eval.h"
#include "evio/loop.h"

struct spf_machine {
	void *self;
	enum spf_step (*step)(void *self, const struct dns_answer *answer, struct spf_question *ret);
};
struct spf_machine spf_eval_machine(struct spf_eval *e); /* after spf_eval_start */

void spf_drive_now(const struct spf_machine *m, const struct spf_dns *dns);

struct spf_drive_options {
	struct loop *loop;
	const struct dns_lookup *lookup; /* borrowed */
	uint64_t timeout_ms;             /* for all questions together; RFC 7208 4.6.4: at least 20 s */
};

struct spf_drive;
/* `done` comes once, never inside this call; then the drive is freed, the machine is not. A name that struct dns_lookup
 * cannot take (over DNS_NAME_MAX octets with its escapes) does not exist. ERR_NOMEM only. */
MUST_CHECK enum err spf_drive_start(const struct spf_drive_options *o, const struct spf_machine *m,
				    void (*done)(void *ctx), void *ctx, struct spf_drive **ret);
void spf_drive_cancel(struct spf_drive *d); /* before done; frees; NULL is fine */
