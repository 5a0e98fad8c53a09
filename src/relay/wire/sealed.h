/* Octets in a sealed memfd: how configuration, keys and contents travel as one descriptor. Nobody can change them
 * afterwards, so that a reader may trust a size that it has seen. */
#pragma once

#include "core/buf.h"
#include "core/diag.h"

/* A new descriptor (close-on-exec) that holds `data`; -1 with errno. */
int sealed_new(const char *name, struct slice data);

/* Appends the whole content to out (bounded by out->max). ERR_LIMIT, ERR_IO. */
MUST_CHECK enum err sealed_read(int fd, struct buf *out, struct diag *d);
