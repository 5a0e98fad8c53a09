/* Dates of messages (RFC 5322 3.3). */
#pragma once

#include "core/buf.h"

#define MAIL_DATE_MAX 40

/* "Mon, 23 Nov 2026 16:20:01 +0000": always UTC, so that no time-zone data is needed behind a chroot. */
void mail_date_format(int64_t unix_ms, struct buf *out);

/* Obsolete forms too: two-digit years, named zones, comments, missing seconds or weekday. ERR_SYNTAX, ERR_RANGE. *ret_ms: UTC. */
MUST_CHECK enum err mail_date_parse(struct slice text, int64_t *ret_ms);
