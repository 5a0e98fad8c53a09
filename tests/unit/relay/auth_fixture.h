/* The auth process on the simulated loop and disk, with one smtpd channel whose other end the test holds. */
#pragma once

#include "evio/ipc.h"
#include "evio/sim.h"
#include "relay/auth/auth_role.h"
#include "relay/wire/auth.h"

#define FIXTURE_VERDICTS 64

struct fixture_verdict {
	uint64_t ref;
	enum wire_auth_outcome outcome;
	char server[256];
	uint64_t at_ms; /* loop time of its arrival */
};

struct auth_fixture {
	struct loop *loop;
	struct sim_disk *disk;
	struct log *log;
	int log_fd; /* a memfd with the log's text */
	struct conf conf;
	void *auth;
	struct ipc *smtpd; /* NULL: closed by auth */
	struct fixture_verdict verdicts[FIXTURE_VERDICTS];
	unsigned nverdicts;
	char challenge[512];
	struct slice binding, external; /* of the exchanges that are started; empty: none */
	unsigned nchallenges;
	bool drained, imported;
	uint64_t next_ref;
};

/* Starts with the servers alpha and beta, whose password is "secret"; beta is disabled. The
 * second form adds panel, which has the same one as an imported hash. */
void fixture_init(struct auth_fixture *f);
void fixture_init_imported(struct auth_fixture *f);
void fixture_done(struct auth_fixture *f);
/* The process ends, the power too, and it starts again from what the disk kept. */
void fixture_restart(struct auth_fixture *f, uint64_t seed);

/* Sends AUTH_START; returns the reference. initial NULL: none. */
uint64_t fixture_start(struct auth_fixture *f, const char *mechanism, const char *client, const void *initial,
		       size_t len);
void fixture_respond(struct auth_fixture *f, uint64_t ref, const char *text);
void fixture_cancel(struct auth_fixture *f, uint64_t ref);
/* PLAIN in one go; waits for the verdict. */
enum wire_auth_outcome fixture_plain(struct auth_fixture *f, const char *client, const char *name,
				     const char *password);
/* The verdict on ref; fails the test if none comes within a virtual minute. */
const struct fixture_verdict *fixture_verdict(struct auth_fixture *f, uint64_t ref);
void fixture_run(struct auth_fixture *f, uint64_t ms);
uint64_t fixture_counter(struct auth_fixture *f, const char *name);
/* Does the log hold this text? */
bool fixture_logged(struct auth_fixture *f, const char *text);
