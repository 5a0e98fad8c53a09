/* Named limits of the submission server that are not keys of the configuration (conf/conf.h: struct conf_limit). */
#pragma once

#define SMTPD_LINE_MIN       512u   /* octets of a command that any server must take, RFC 5321 4.5.3.1.4 */
#define SMTPD_AUTH_LINE_MAX  12288u /* octets of a line of an AUTH exchange, RFC 4954 4 */
#define SMTPD_SKIP_MAX       (64u * 1024) /* octets of a broken command line thrown away before 421 */
#define SMTPD_DROP_MAX       (64u << 20)  /* octets read past a refusal inside DATA before 421 */
#define SMTPD_CHUNK_MAX      (1ull << 40) /* octets that one BDAT may announce; message_size ends it before */
#define SMTPD_CONTENT_LINE   (1u << 20)   /* octets of one line of content: more is refused with 554 */
#define SMTPD_HELO_MAX       255u         /* octets of the EHLO argument, RFC 5321 4.5.3.1.2 */
#define SMTPD_NAME_MAX       255u         /* octets of the name of an authenticated server */
#define SMTPD_AUTH_NAME_MAX  32u          /* octets of the name of a mechanism, RFC 4422 3.1 allows 20 */
#define SMTPD_CLIENT_MAX     64u          /* octets of a client address as text */
#define SMTPD_TLS_TEXT_MAX   96u          /* octets of "TLSv1.3 TLS_AES_256_GCM_SHA384" */
#define SMTPD_ENVID_MAX      100u         /* octets of ENVID, RFC 3461 4.4 */
#define SMTPD_ORCPT_MAX      500u         /* octets of ORCPT, RFC 3461 4.2 */
#define SMTPD_AUTH_PARAM_MAX 500u         /* octets of MAIL AUTH=, RFC 4954 5 */
#define SMTPD_REPLY_LINE_MAX 512u         /* octets of a reply line with CRLF, RFC 5321 4.5.3.1.5 */
#define SMTPD_REPLY_MAX      4096u        /* octets of one whole reply */
#define SMTPD_OWN_HOPS_MAX   5u           /* Received fields that name this relay before it is a loop */
#define SMTPD_FRONT_MAX      4096u        /* octets of the fields put in front of a mail */
#define SMTPD_AUTH_WAIT_MS   60000u       /* for a verdict of the auth process, then 454 */
#define SMTPD_COMMIT_WAIT_MS                                                                                 \
	540000u /* for the queue's answer: under the client's 10 min, RFC 5321 4.5.3.2.6 */
#define SMTPD_PROGRESS_OCTETS 1024u      /* of content that must come within timeout.data */
#define SMTPD_LINGER_MS       5000u      /* a closing connection may take this long to send the last reply */
#define SMTPD_GRANTS_MAX      8u         /* blocks of message ids kept */
#define SMTPD_BACKLOG_MAX     (4u << 20) /* octets of frames that wait for room in the channel to the queue */
#define SMTPD_PART_SMALL      (16u * 1024) /* octets of short runs put together into one frame */
#define PROXY_LINE_MAX        107u         /* octets of a PROXY header of version 1 with CRLF */
#define PROXY_BODY_MAX        4096u        /* octets behind the head of version 2, with its TLVs */
#define SMTPD_NETWORK_KEY     17u          /* octets of a network's key */
