/* The trace field that a server puts in front of a message (RFC 5321 4.4, RFC 3848, RFC 8314 4.3). */
#pragma once

#include "core/buf.h"
#include "mail/limits.h"

struct received {
	struct slice helo;     /* as the client said */
	struct slice client;   /* its address, text; "" (Unix socket) writes [local] */
	struct slice hostname; /* ours */
	struct slice protocol; /* "ESMTPSA" */
	struct slice id;
	struct slice tls;    /* "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty: none */
	struct slice server; /* authenticated as; empty: not */
	struct slice
		recipient; /* written only when it is the only one (privacy of the others); empty: none */
	int64_t time_ms;
};

/* Appends the field with its final CRLF, folded under 78 columns where the parts allow. Values from the network cannot
 * break out: what is not printable ASCII, and brackets, backslashes and parentheses in comments, become '?'. */
void received_format(const struct received *r, struct buf *out);
