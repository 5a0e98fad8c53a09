/* The credentials of the hosting servers: names, verifiers, and the text file that holds them. Pure: files are
 * read and written by who calls (relay/auth).
 *
 * File: UTF-8 text, LF at the end of every line; first line "tidegate-credentials 1", then one line per server,
 * sorted by name, words separated by single spaces:
 *
 *     houston {SCRAM-SHA-256}4096,c2Fs...$w3Fi...,Z2hp... created=2026-11-23T16:20:01Z rotated=2026-...Z disabled
 *
 * Invariants:
 *  1. Names are unique; credential_write and credential_parse are each other's inverse.
 *  2. But for the order of lines the parser takes nothing that the writer would not have written: a line edited
 *     by hand that cannot be understood keeps the whole file from being loaded, with "file:line: why", instead of
 *     losing a server.
 *  3. At most AUTH_CREDENTIALS_MAX servers.
 */
#pragma once

#include "auth/verifier.h"
#include "core/map.h"

struct credential {
	struct map_node node;
	char name[AUTH_NAME_MAX + 1]; /* [a-z0-9._-], 1 to 64 */
	struct verifier verifier;
	bool disabled;
	int64_t created_ms, rotated_ms; /* since 1970-01-01 UTC; kept to the second */
	/* Since the process started; not in the file. */
	int64_t last_used_ms;  /* 0: not yet */
	char last_address[48]; /* IP address as text */
	uint64_t successes, failures;
};

struct credential_table {
	struct map map; /* owns the credentials */
};

void credential_table_init(struct credential_table *t);
void credential_table_done(struct credential_table *t); /* fit for CLEANUP */
void credential_table_swap(struct credential_table *a, struct credential_table *b);
size_t credential_count(const struct credential_table *t);

bool credential_name_ok(struct slice name);
struct credential *credential_find(const struct credential_table *t, struct slice name); /* NULL: none */

/* ERR_RANGE (name), ERR_EXISTS, ERR_LIMIT, ERR_NOMEM. *ret is borrowed from the table; may be NULL. */
MUST_CHECK enum err credential_add(struct credential_table *t, struct slice name, const struct verifier *v,
				   int64_t now_ms, struct credential **ret, struct diag *d);
void credential_remove(struct credential_table *t, struct credential *c); /* frees c */

/* All credentials sorted by name: an array of *ret_count pointers borrowed from the table, to be freed with
 * mem_free. NULL without memory. */
struct credential **credential_sorted(const struct credential_table *t, size_t *ret_count);

/* Fills an empty table from a whole file. On failure the table is empty again and the diag begins with
 * "file:line: ". ERR_SYNTAX, ERR_RANGE, ERR_EXISTS, ERR_LIMIT, ERR_UNSUPPORTED (a later format), ERR_NOMEM. */
MUST_CHECK enum err credential_parse(struct credential_table *t, struct slice text, const char *file,
				     struct diag *d);
/* Appends the whole file; out's maximum should be AUTH_CREDENTIALS_FILE. */
MUST_CHECK enum err credential_write(const struct credential_table *t, struct buf *out);

#define CREDENTIAL_PASSWORD_RANDOM                                                                           \
	28 /* octets of randomness for one password; 5 bits of each are used: 140 */
/* Four groups of seven out of 32 characters without l, o, 0 and 1: "abcdefg-hijkmnp-qrstuvw-xyz2345". */
void credential_password(const uint8_t random[CREDENTIAL_PASSWORD_RANDOM], struct buf *out);
