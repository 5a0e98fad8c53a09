/* Named limits of the queue process. */
#pragma once

#define QUEUE_SMTPD_MAX       64           /* channels to smtpd */
#define QUEUE_SMTPC_MAX       64           /* channels to smtpc */
#define QUEUE_SUBMISSIONS_MAX 20000        /* messages being stored at a time, over all smtpd */
#define QUEUE_RECIPIENTS_MAX  10000        /* of one message */
#define QUEUE_ENVELOPE_ARENA  (4u << 20)   /* octets for one decoded envelope */
#define QUEUE_READ_ARENA      (256u << 10) /* octets for one decoded answer or job */
#define QUEUE_JOBS_PER_SMTPC  500          /* jobs in flight in one smtpc */
#define QUEUE_EXPIRE_MS       60000        /* how often the age of waiting mail is looked at */
