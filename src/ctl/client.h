/* A blocking client of the control socket, for the command line.
 *
 *     ctl_client_open, ctl_client_request, ctl_client_next until CTL_END, ctl_client_close
 */
#pragma once

#include "ctl/control.h"

struct ctl_client;

/* Connects. timeout_ms (0: CTL_CLIENT_MS) bounds every single wait. The diag says what to do: "tidegated does
 * not answer on PATH: Connection refused. Is it running? ..." ERR_CLOSED: nobody there, ERR_PERM, ERR_IO. */
MUST_CHECK enum err ctl_client_open(const char *path, uint64_t timeout_ms, struct ctl_client **ret,
				    struct diag *d);
/* A client on a connected stream socket (tests); owns fd, also on failure. */
MUST_CHECK enum err ctl_client_from_fd(int fd, uint64_t timeout_ms, struct ctl_client **ret, struct diag *d);
MUST_CHECK enum err ctl_client_request(struct ctl_client *c, enum ctl_verb verb, const struct ctl_fields *f,
				       struct diag *d);
/* The next ROW, FILE (then ctl_client_file) or the END; *ret is borrowed until the next call. ERR_CLOSED: cut off before END, ERR_TIMEOUT,
 * ERR_CORRUPT, ERR_UNSUPPORTED. */
MUST_CHECK enum err ctl_client_next(struct ctl_client *c, struct ctl_frame *ret, struct diag *d);
MUST_CHECK enum err ctl_client_file(struct ctl_client *c, int fd, struct diag *d); /* fd stays the caller's */
void ctl_client_close(struct ctl_client *c);                                       /* NULL is fine */
