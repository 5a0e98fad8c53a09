/* Named limits of the queue process. */
#pragma once

#define QUEUE_SMTPD_MAX       64           /* channels to smtpd */
#define QUEUE_SMTPC_MAX       64           /* channels to smtpc */
#define QUEUE_SUBMISSIONS_MAX 20000        /* messages being stored at a time, over all smtpd */
#define QUEUE_RECIPIENTS_MAX  10000        /* of one message */
#define QUEUE_ENVELOPE_ARENA  (4u << 20)   /* octets for one decoded envelope */
#define QUEUE_READ_ARENA      (256u << 10) /* octets for one decoded answer or job */
#define QUEUE_RESOLVES_MAX    1000         /* questions to the resolver under way */
#define QUEUE_READS_MAX       64           /* envelopes being read for jobs */
#define QUEUE_JOBS_PER_SMTPC  500          /* jobs in flight in one smtpc */
#define QUEUE_LIST_MAX        100000       /* rows of one control answer */
#define QUEUE_DEST_IDLE_MS    3600000      /* a destination without mail is forgotten after this */
