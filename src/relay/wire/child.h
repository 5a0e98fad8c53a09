/* parent <-> child. The control channel is descriptor 3 of every child (PROC_FD_BASE).
 *
 * Start: the parent sends CONFIG, LOG, then what the role needs (SECRETS, LISTENER..., DIR, PEER...), then
 * GO. The child jails itself, starts to work and answers READY. Later CONFIG, SECRETS, LOG and PEER may come
 * again: a new epoch, reopened logs, a restarted peer (its old channel has closed or closes). DRAIN: finish
 * what is under way, take nothing new, exit with 0. The channel closing means the same, at once.
 */
#pragma once

#include "core/buf.h"
#include "relay/wire/wire.h"
#include "relay/wire/limits.h"

/* CONFIG: descriptor: sealed memfd with conf/epoch.h's encoding; u64 epoch. */
struct wire_config {
	uint64_t epoch;
};
void wire_config_encode(const struct wire_config *m, struct buf *out);
MUST_CHECK enum err wire_config_decode(struct slice in, struct wire_config *ret);

/* SECRETS (smtpd, queue): descriptor: memfd; lengths of its parts, one behind the other. */
struct wire_secrets {
	uint64_t epoch;
	uint32_t certificate_len, key_len, ticket_len;
};
void wire_secrets_encode(const struct wire_secrets *m, struct buf *out);
MUST_CHECK enum err wire_secrets_decode(struct slice in, struct wire_secrets *ret);

/* LISTENER (smtpd): descriptor: listening socket; index into the configuration's listeners. */
struct wire_listener {
	uint64_t epoch;
	uint32_t listener;
};
void wire_listener_encode(const struct wire_listener *m, struct buf *out);
MUST_CHECK enum err wire_listener_decode(struct slice in, struct wire_listener *ret);

/* PEER: descriptor: one end of a channel to this process. From a child, without a descriptor: that channel broke. */
struct wire_peer {
	enum wire_role role;
	uint32_t slot;   /* 0, 1, ... within the role */
	uint32_t serial; /* of the channel, so that a report about one that was replaced meanwhile is known as old */
};
void wire_peer_encode(const struct wire_peer *m, struct buf *out);
MUST_CHECK enum err wire_peer_decode(struct slice in, struct wire_peer *ret);

/* LOG: descriptor: where log lines go. u8 enum log_sink, u8 enum log_level. */
struct wire_log {
	uint8_t sink, level;
};
void wire_log_encode(const struct wire_log *m, struct buf *out);
MUST_CHECK enum err wire_log_decode(struct slice in, struct wire_log *ret);

/* DIR (queue: spool, auth: keys): descriptor: directory; `path` is where it lies, for chroot and messages. */
struct wire_dir {
	struct slice path;
};
void wire_dir_encode(const struct wire_dir *m, struct buf *out);
MUST_CHECK enum err wire_dir_decode(struct slice in, struct wire_dir *ret);

/* CONTROL (queue, auth): descriptor: an accepted control connection; payload: the octets read from it so far
 * (one request frame of ctl/control.h). GO and DRAIN have no payload. */

/* READY: what the kernel lacked for the jail, in words; empty: nothing. */
struct wire_ready {
	struct slice missing;
};
void wire_ready_encode(const struct wire_ready *m, struct buf *out);
MUST_CHECK enum err wire_ready_decode(struct slice in, struct wire_ready *ret);

/* HEARTBEAT, once a second: named counters for `tidegate status`, and a state in words ("" is well). */
struct wire_counter {
	struct slice name;
	uint64_t value;
};
struct wire_heartbeat {
	struct slice trouble;
	uint32_t count;
	struct wire_counter counters[WIRE_COUNTERS_MAX];
};
void wire_heartbeat_encode(const struct wire_heartbeat *m, struct buf *out);
MUST_CHECK enum err wire_heartbeat_decode(struct slice in, struct wire_heartbeat *ret);
