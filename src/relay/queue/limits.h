/* Named limits of the queue process. */
#pragma once

#define QUEUE_SMTPD_MAX       64           /* channels to smtpd */
#define QUEUE_SMTPC_MAX       64           /* channels to smtpc */
#define QUEUE_SUBMISSIONS_MAX 20000        /* messages being stored at a time, over all smtpd */
#define QUEUE_RECIPIENTS_MAX  10000        /* of one message */
#define QUEUE_ENVELOPE_ARENA  (4u << 20)   /* octets for one decoded envelope */
#define QUEUE_READ_ARENA      (256u << 10) /* octets for one decoded answer or job */
#define QUEUE_JOBS_PER_SMTPC  500          /* jobs in flight in one smtpc */
#define QUEUE_OWED_PER_SMTPC  1000         /* jobs it is done with and whose results are not durable yet; with those in
					    * flight fewer than an smtpc takes (SMTPC_JOBS_MAX) */
#define QUEUE_EXPIRE_MS       60000        /* how often the age of waiting mail is looked at */
#define QUEUE_EXPORT_MAX      50000        /* messages of one export: one batch decides about all */
#define QUEUE_IMPORT_AHEAD    256u         /* messages of an import that wait for the disk */
#define QUEUE_IMPORT_AGE_MS   (30ull * 24 * 3600 * 1000) /* an export that is older is not taken any more */
#define QUEUE_MARKER_MS       (32ull * 24 * 3600 * 1000) /* how long an import is remembered; longer than that */
