/* What to paste on a hosting server so that it submits its mail to this relay: Exim 4.9x (Debian, cPanel), Postfix.
 *
 * The lines demand TLS with a verified certificate and authentication, and keep the password out of files that the
 * server's customers can read.
 */
#pragma once

#include "core/buf.h"

struct recipe {
	struct slice name;     /* of the hosting server; letters, digits, hyphens */
	struct slice password; /* as it was told */
	struct slice hostname; /* of the relay */
	uint16_t port;
	bool implicit_tls; /* TLS from the first octet (port 465), else STARTTLS */
};

void recipe_exim_debian(const struct recipe *r, struct buf *out);
void recipe_exim_cpanel(const struct recipe *r, struct buf *out);
void recipe_postfix(const struct recipe *r, struct buf *out);

/* 'text' for a POSIX shell. */
void recipe_shell_quote(struct buf *out, struct slice text);

/* A piece of Exim's client_send: "^" stands for NUL there, ":" separates, "$" and "\" are expanded. */
void recipe_exim_quote(struct buf *out, struct slice text);
