/* Named limits and defaults of evio. */
#pragma once

#define EVIO_SCRATCH              (64u * 1024) /* octets read from a descriptor at a time */
#define EVIO_READS_PER_WAKE       4 /* full scratch buffers taken from one stream before others have their turn */
#define EVIO_EVENTS_PER_WAIT      256
#define STREAM_READ_MAX_DEFAULT   (64u * 1024)
#define STREAM_WRITE_MAX_DEFAULT  (256u * 1024)
#define STREAM_CONNECT_TIMEOUT_MS 30000
#define LISTENER_PAUSE_MS         100 /* after EMFILE */
#define LISTENER_COMPLAIN_MS      1000
#define LISTEN_BACKLOG            1024
#define IPC_FDS_QUEUED_MAX        64 /* passed descriptors that wait for their frames */
