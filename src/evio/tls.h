/* TLS contexts over OpenSSL 3, TLS 1.2 and 1.3 only. The streams (evio/stream.h) do the input and output.
 *
 * Server contexts are made from PEM text, not paths: the processes that use them cannot open files.
 */
#pragma once

#include "core/diag.h"
#include "core/slice.h"
#include "evio/limits.h"

struct tls_server;
struct tls_client;

/* What a handshake gave. Strings are borrowed from the stream. */
struct tls_info {
	const char *version; /* "TLSv1.3" */
	const char *cipher;  /* "TLS_AES_256_GCM_SHA384" */
	int bits;
	bool resumed;
	bool verified;            /* chain and name were verified */
	const char *verify_error; /* NULL if verified or not asked */
	struct slice sni;         /* server side: name asked for; may be empty */
	bool bindable;            /* tls-exporter binds this channel: TLS 1.3, or 1.2 with RFC 7627 */
	struct slice
		peer_name; /* server side, verified client: first DNS name, else the common name; may be empty */
	struct slice peer_subject; /* RFC 4514 text of the peer's certificate; empty without one */
};

struct tls_server_options {
	struct slice certificate_pem; /* chain, leaf first */
	struct slice key_pem;
	struct slice client_ca;  /* PEM: who may vouch for clients; empty: none is asked for a certificate */
	struct slice ticket_key; /* TLS_TICKET_KEY octets shared by all smtpd, or empty: no tickets */
};
/* ERR_SYNTAX (not PEM), ERR_PERM (key does not belong to the certificate), ERR_RANGE (ticket key), with words. */
MUST_CHECK enum err tls_server_new(const struct tls_server_options *o, struct tls_server **ret,
				   struct diag *d);
void tls_server_ref(struct tls_server *t);
void tls_server_unref(struct tls_server *t);

struct tls_client_options {
	struct slice
		ca_pem; /* trust anchors; empty: the system's bundle, read here and now (before a chroot) */
	bool no_system_store; /* with empty ca_pem: trust nothing */
};
MUST_CHECK enum err tls_client_new(const struct tls_client_options *o, struct tls_client **ret,
				   struct diag *d);
void tls_client_free(struct tls_client *t);

/* How one outgoing connection is to be checked. `verified` needs a name; without one, or with one that no certificate
 * can have, require_verified is refused (ERR_RANGE). */
struct tls_peer {
	struct slice name;     /* SNI and the name to verify; may be empty */
	bool require_verified; /* a failed verification ends the handshake; else it is only reported in
				  tls_info */
};

/* Loads providers, algorithms and error strings before a chroot. Call once per process. */
void tls_library_init(void);
