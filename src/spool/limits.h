/* Named limits of the spool. */
#pragma once

#define SPOOL_SEGMENT_DEFAULT (64ull << 20)
#define SPOOL_SEGMENT_MIN     (64ull << 10)
#define SPOOL_SEGMENT_MAX                                                                                    \
	(8ull << 30) /* offsets are kept in units of 8 octets in 32 bits, with room for growth */
#define SPOOL_LARGE_DEFAULT    (256ull << 10)
#define SPOOL_LARGE_MAX        (8ull << 20) /* content above always goes to a file of its own */
#define SPOOL_RESERVE_DEFAULT  (64ull << 20)
#define SPOOL_RECIPIENTS_MAX   10000u        /* of one message */
#define SPOOL_PAYLOAD_MAX      (2u << 20)    /* octets of an envelope, edits, verdict or result payload */
#define SPOOL_CONTENT_MAX      (4ull << 30)  /* octets of one content */
#define SPOOL_BATCH_MESSAGES   1024u         /* messages in one batch */
#define SPOOL_BATCH_MAX        (32u << 20)   /* octets of a batch without its messages */
#define SPOOL_GROUP_MAX        (8u << 20)    /* octets after which a group takes no further batch */
#define SPOOL_PENDING_MAX      (256u << 20)  /* octets of content in memory; above: ERR_LIMIT */
#define SPOOL_CHUNK            8192u         /* content is taken in pieces of this size */
#define SPOOL_CHUNKS_KEPT      1024u         /* free pieces kept for reuse */
#define SPOOL_LARGE_AHEAD      (4u << 20)    /* octets of one large message in memory before ERR_AGAIN */
#define SPOOL_CACHE_MAX        (32u << 20)   /* octets of envelopes and edits kept for spool_read */
#define SPOOL_RECORD_MAX       (40ull << 20) /* octets of one record that recovery believes in */
#define SPOOL_CHECKPOINT_MAX   (3ull << 30)  /* octets of a checkpoint */
#define SPOOL_CHECKPOINT_CHAIN 64u           /* checkpoints that build on each other */
#define SPOOL_SCAN_WINDOW      (1u << 20)    /* octets read ahead while records are looked through */
#define SPOOL_WALK_OCTETS      (4u << 20)    /* octets of items brought to the loop at a time */
#define SPOOL_RETRY_MS         1000u         /* a broken disk is tried again after this time */
#define SPOOL_ZERO_BELOW_MS    60000u        /* half a segment in less: the next one is zeroed beforehand */
#define SPOOL_TICK_MS          5000u         /* free space and retention are looked at this often */
#define SPOOL_SWEEP_MS         60000u        /* large files without a message are looked for this often */
#define SPOOL_TIGHT_SEGMENTS   4u /* the archive goes early when so many segments are left above the reserve */
#define SPOOL_OPEN_FILES       128u       /* descriptors for loans kept open while nobody borrows them */
#define SPOOL_LIVE_SLICE       256u       /* messages shown per turn while opening */
#define SPOOL_SLICE            (4u << 20) /* octets that one job of the bulk worker looks at in the background */
#define SPOOL_MOVE_SHARE       4u         /* live messages are moved if they are at most one in so many */
#define SPOOL_MOVE_ANYWAY_MS   86400000    /* or if nothing was added to their segment for so long */
#define SPOOL_MOVE_WAIT_MS     600000u     /* then it is looked at again */
#define SPOOL_HEADERS_MAX      (64u << 10) /* octets of a content in which its first empty line is looked for */
#define SPOOL_DIGEST_WAIT_MS   60000u      /* after a digest that came to nothing */
#define SPOOL_LIFETIME_MIN_MS                                                                                \
	600000u /* a segment with something in it is sealed after an eighth of body_ms: at least */
#define SPOOL_LIFETIME_MAX_MS 86400000u /* at most */
#define SPOOL_TAILS_MAX                                                                                      \
	4u /* segments behind the last checkpoint that an opening may have had to read without making one */
