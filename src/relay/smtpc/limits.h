/* Named limits of the SMTP client. */
#pragma once

#define SMTPC_REPLY_LINE_MAX  2048u /* octets of a reply line without its end; RFC 5321 4.5.3.1.5 has 512 */
#define SMTPC_REPLY_LINES_MAX 256u  /* lines of one reply */
#define SMTPC_REPLY_TEXT_MAX  (16u * 1024)  /* octets of a reply's text that are kept; the rest is dropped */
#define SMTPC_COMMAND_MAX     2048u         /* octets of a command line with CRLF */
#define SMTPC_OUT_MAX         (256u * 1024) /* octets given to one send */
#define SMTPC_CHUNK           (32u * 1024)  /* octets of content asked for at a time */
#define SMTPC_RESULT_TEXT_MAX                                                                                \
	900u /* octets of a result's text; fits WIRE_TEXT_MAX with what is put before it */
#define SMTPC_UNSENT_MAX    (128u * 1024) /* content is not read while more than this waits to be sent */
#define SMTPC_JOBS_MAX      2000u         /* jobs taken and not acknowledged */
#define SMTPC_LOANS_MAX     4096u         /* segments on loan */
#define SMTPC_SITE_IDLE_MAX 20u           /* idle connections kept for one site */
#define SMTPC_JOB_ARENA     (256u * 1024) /* octets of a decoded job beside its payload */
#define SMTPC_KEY_MAX       4096u         /* octets of a pool's key */
