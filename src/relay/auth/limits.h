/* Named limits of the auth process. */
#pragma once

#define AUTH_EXCHANGES_MAX 2048u /* SASL exchanges under way; more get "later" */
#define AUTH_CHECKS_MAX    512u  /* passwords waiting for the worker (about a second); more get "later" */
#define AUTH_SLOW_WORKERS  2u    /* threads for imported hashes */
#define AUTH_SLOW_MAX      64u   /* imported hashes waiting for them; more get "later" */
#define AUTH_SLOWEST_MAX   2000u /* ms: failures are not answered before the slowest check would be over */
#define AUTH_EXCHANGE_MS   (5u * 60 * 1000) /* a client that does not go on */
#define AUTH_CHANNELS_MAX  64u              /* smtpd processes */
#define AUTH_CHANGES_MAX   64u              /* control requests that wait for their turn */

#define THROTTLE_SETS      2048u /* times THROTTLE_WAYS keys are remembered, 24 octets each */
#define THROTTLE_WAYS      4u
#define THROTTLE_FORGET_MS 30000u /* one failure is forgotten every 30 s */
#define THROTTLE_LEVEL_MAX 1000u
#define THROTTLE_FREE      3u    /* failures that are answered at once */
#define THROTTLE_DELAY_MS  250u  /* the first delay; doubles with each failure */
#define THROTTLE_DELAY_MAX 8000u /* ms */
#define THROTTLE_REFUSE    40u   /* failures of a network after which passwords are not looked at */

#define RECALL_SLOTS       4096u             /* servers whose last good password is recognised */
#define RECALL_MS          (15u * 60 * 1000) /* after which it is computed again */
