/* Submissions: what smtpd sends becomes a stored, committed message; only then is 250 given.
 *
 *   COLLECTING --END, envelope valid, content finished--> COMMITTING --durable--> answered 250, handed to the index
 *   COLLECTING --refused (disk, limits, bad parts)--> REFUSED (answered; further parts are ignored until END)
 *   COLLECTING, REFUSED --ABORT or smtpd gone--> gone
 *   COMMITTING --smtpd gone--> UNANSWERED --durable--> handed to the index, counted: the client got no 250
 */
#pragma once

#include "core/map.h"
#include "relay/wire/submit.h"
#include "spool/spool.h"

struct queue;
struct intake; /* the submissions of one smtpd */

MUST_CHECK enum err intake_new(struct queue *q, uint32_t slot, int fd, struct intake **ret, struct diag *d);
void intake_free(struct intake *in); /* the channel is gone or replaced; those COMMITTING go on alone */
/* The spool opened or changed its health: grants ids and says whether mail is welcome. */
void intake_announce(struct intake *in);
