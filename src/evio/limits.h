/* Named limits and defaults of evio. */
#pragma once

#define EVIO_SCRATCH              (64u * 1024) /* octets read from a descriptor at a time */
#define EVIO_READS_PER_WAKE       4 /* full scratch buffers taken from one stream before others have their turn */
#define EVIO_EVENTS_PER_WAIT      256
#define EVIO_TASK_ROUNDS          8 /* of tasks that tasks defer, until descriptors have their turn again */
#define STREAM_READ_MAX_DEFAULT   (64u * 1024)
#define STREAM_WRITE_MAX_DEFAULT  (256u * 1024)
#define STREAM_CONNECT_TIMEOUT_MS 30000
#define STREAM_TLS_TIMEOUT_MS     30000
#define STREAM_EARLY_MAX          (64u * 1024) /* octets of a handshake read before it began */
#define LISTENER_PAUSE_MS         100 /* after EMFILE */
#define LISTENER_COMPLAIN_MS      1000
#define LISTEN_BACKLOG            1024
#define IPC_FDS_QUEUED_MAX        64           /* passed descriptors that wait for their frames */
#define IPC_BUFFER_KEPT           (64u * 1024) /* octets of output buffer that an idle channel keeps */
#define TLS_NAME_MAX              255          /* octets of a server's name */
#define TLS_TICKET_KEY            80           /* octets: 16 name, 32 AES-256, 32 HMAC */
