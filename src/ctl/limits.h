/* Named limits of the control protocol. Both sides refuse what is beyond them. */
#pragma once

#define CTL_REQUEST_MAX  (16u * 1024)   /* octets of a request frame, header included */
#define CTL_FRAME_MAX    (256u * 1024)  /* octets of any frame, header included */
#define CTL_FIELDS_MAX   64u            /* fields of a frame */
#define CTL_KEY_MAX      32u            /* octets of a field's key */
#define CTL_LIST_MAX     1024u          /* strings of a list */
#define CTL_MESSAGE_MAX  1024u          /* octets of the text in an end frame; longer is cut */
#define CTL_CONNECTIONS  64u            /* open control connections of a process */
#define CTL_UNSENT_MAX   (1024u * 1024) /* octets of an answer that wait for a slow reader */
#define CTL_REQUEST_MS   10000u         /* from connecting to a whole request */
#define CTL_STALL_MS     60000u         /* an answer of which nothing moves for so long is given up */
#define CTL_CLIENT_MS    30000u         /* default: how long the client waits for the next frame */
#define CTL_ROWS_DEFAULT 100u           /* rows of a listing without "limit" */
#define CTL_ROWS_MAX     100000u        /* rows of a listing at most */
