/* Passing one descriptor over a connected Unix socket, with the single octet that carries it. Plain system calls. */
#pragma once

#include "core/diag.h"

/* The socket may be blocking or not; nothing else may be unsent on it. */
MUST_CHECK enum err ctl_descriptor_send(int sock, int fd, struct diag *d);
/* Does not wait. ERR_OK: *ret is the caller's, close-on-exec. ERR_AGAIN: nothing yet. ERR_CLOSED: the peer is gone,
 * ERR_CORRUPT: something else came, or more than one; what came of descriptors is closed. */
MUST_CHECK enum err ctl_descriptor_receive(int sock, int *ret, struct diag *d);
