/* Framed messages between the processes of one relay over a stream socket pair, with passed descriptors.
 *
 * Frame: u32 payload length, u16 type, u8 descriptors (0-4), u8 zero; payload. At most IPC_PAYLOAD_MAX
 * octets. Frames sent in one loop turn leave in as few system calls as possible; so do those received.
 *
 * Invariants:
 *  1. Order is kept, descriptors arrive with their frame.
 *  2. A malformed frame, an over-long one, or a missing descriptor closes the channel (on_close with a diag).
 *  3. Descriptors that a handler does not take (by setting them to -1) are closed after on_frame.
 *  4. Unsent octets of all channels of a loop together are capped (IPC_UNSENT_MAX): then ipc_send gives
 * ERR_AGAIN and took nothing; on_drain tells when to try again. Streams use their own credits so that this is
 * rare.
 */
#pragma once

#include "core/slice.h"
#include "evio/loop.h"

#include <sys/uio.h>

#define IPC_PAYLOAD_MAX (64u * 1024 - 8)
#define IPC_FDS_MAX     4
#define IPC_UNSENT_MAX  (16u * 1024 * 1024)

struct ipc;

struct ipc_frame {
	uint16_t type;
	struct slice payload; /* borrowed for the call */
	int fds[IPC_FDS_MAX]; /* owned by the channel unless set to -1 */
	unsigned nfds;
};

struct ipc_events {
	void (*on_frame)(void *ctx, struct ipc_frame *f);
	void (*on_drain)(void *ctx);                         /* may be NULL */
	void (*on_close)(void *ctx, const struct diag *why); /* once; then only ipc_free */
};

/* Two connected ends (real: AF_UNIX SOCK_STREAM, close-on-exec, non-blocking; simulated: an in-memory pair).
 */
MUST_CHECK enum err ipc_pair(struct loop *l, int ret_fds[2], struct diag *d);
MUST_CHECK enum err ipc_new(struct loop *l, int fd, const struct ipc_events *ev, void *ctx, struct ipc **ret,
			    struct diag *d);
void ipc_free(struct ipc *c); /* closes; NULL is fine; allowed inside callbacks */

/* Sends one frame; fds are duplicated by the kernel and stay the caller's. */
enum err ipc_send(struct ipc *c, uint16_t type, struct slice payload, const int *fds, unsigned nfds);
size_t ipc_unsent(const struct ipc *c);
void ipc_flush(struct ipc *c);
void ipc_pause(struct ipc *c, bool paused); /* no frames are read while paused */
