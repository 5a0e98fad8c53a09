/* smtpd <-> auth: one SASL exchange per reference (RFC 4954, RFC 4422). auth runs the mechanism, so that no
 * secret is decided about in a process that talks to the network. */
#pragma once

#include "core/buf.h"
#include "evio/net.h"
#include "relay/wire/limits.h"
#include "relay/wire/wire.h"

/* START: mechanism in upper case; `initial` is the decoded initial response. */
struct wire_auth_start {
	uint64_t ref; /* chosen by smtpd, unique on this channel until the verdict */
	struct slice mechanism;
	bool has_initial;
	struct slice initial;
	struct slice client; /* IP address, text: failures are counted per network */
	bool tls;
	struct slice binding;  /* tls-exporter data, if -PLUS was offered; empty: not */
	struct slice external; /* name of the client's verified certificate; empty: none */
};
void wire_auth_start_encode(const struct wire_auth_start *m, struct buf *out);
MUST_CHECK enum err wire_auth_start_decode(struct slice in, struct wire_auth_start *ret);

/* RESPONSE (smtpd -> auth) and CHALLENGE (auth -> smtpd): one decoded SASL message. */
struct wire_auth_step {
	uint64_t ref;
	struct slice data;
};
void wire_auth_step_encode(const struct wire_auth_step *m, struct buf *out);
MUST_CHECK enum err wire_auth_step_decode(struct slice in, struct wire_auth_step *ret);

/* CANCEL: the client sent "*" or is gone; no verdict follows. */
struct wire_auth_cancel {
	uint64_t ref;
};
void wire_auth_cancel_encode(const struct wire_auth_cancel *m, struct buf *out);
MUST_CHECK enum err wire_auth_cancel_decode(struct slice in, struct wire_auth_cancel *ret);

enum wire_auth_outcome {
	WIRE_AUTH_OK,
	WIRE_AUTH_BAD,       /* 535 5.7.8: name or password; never tells which */
	WIRE_AUTH_MALFORMED, /* 501 5.5.2: not a message of this mechanism */
	WIRE_AUTH_MECHANISM, /* 504 5.5.4: unknown mechanism */
	WIRE_AUTH_LATER,     /* 454 4.7.0: overloaded or slowed down */
};
struct wire_auth_verdict {
	uint64_t ref;
	enum wire_auth_outcome outcome;
	struct slice server; /* OK: the credential's name; else the name tried, for the log */
};
void wire_auth_verdict_encode(const struct wire_auth_verdict *m, struct buf *out);
MUST_CHECK enum err wire_auth_verdict_decode(struct slice in, struct wire_auth_verdict *ret);
