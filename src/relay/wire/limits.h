/* Named limits of the messages between processes. All payloads stay under IPC_PAYLOAD_MAX (evio/ipc.h). */
#pragma once

#define WIRE_SASL_MAX           4096          /* octets of one decoded SASL message */
#define WIRE_BINDING_MAX        64            /* octets of channel binding data */
#define WIRE_NAME_MAX           255           /* names of servers, hosts, listeners */
#define WIRE_TEXT_MAX           1024          /* reply texts and explanations */
#define WIRE_PART_MAX           (60u * 1024)  /* octets of one SUBMIT_PART */
#define WIRE_ENVELOPE_MAX       (1u << 20)    /* octets of one encoded envelope */
#define WIRE_EDITS_MAX          (32u * 1024)  /* octets of one encoded list of edits */
#define WIRE_SUBMIT_WINDOW      (256u * 1024) /* content octets a message may have under way without credit */
#define WIRE_ID_BLOCK           1024u         /* message ids granted at a time */
#define WIRE_HOPS_MAX           32            /* addresses tried for one job */
#define WIRE_JOB_RECIPIENTS_MAX 100           /* recipients of one job */
#define WIRE_JOB_ADDRESSES_MAX  (20u * 1024)  /* octets of their addresses together */
#define WIRE_COUNTERS_MAX       64            /* counters in a heartbeat */
