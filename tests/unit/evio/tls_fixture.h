/* A self-made certificate of "relay.example.net" and 192.0.2.1, and contexts that use and trust it. */
#pragma once

#include "core/buf.h"
#include "evio/tls.h"

struct fixture_identity {
	struct buf certificate, key; /* PEM */
};

void fixture_identity_make(struct fixture_identity *id, const char *name);
void fixture_identity_done(struct fixture_identity *id);

/* The same identity and ticket key in every call of one program. */
const struct fixture_identity *fixture_identity(void);
struct tls_server *fixture_server(void);
struct tls_client *fixture_client(void);
