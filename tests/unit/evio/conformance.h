/* What every back end of the loop has to do, said once: each test of the suite (conformance_*.c) runs over epoll and over
 * simulated loops that deliver whole, in pieces, and octet by octet. */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "evio/ipc.h"
#include "evio/loop_priv.h"
#include "evio/sim.h"
#include "evio/stream.h"

#include <string.h>

struct backend {
	const char *name;
	bool simulated;
	uint32_t chunk_max;
};

struct fixture {
	const struct backend *backend;
	struct loop *loop;
	struct tls_server *server_tls; /* of "relay.example.net" */
	struct tls_client *client_tls; /* trusts it */
};

/* One end of a connection, which records what it hears. */
struct end {
	struct fixture *f;
	struct stream *s; /* owned */
	struct buf in;    /* what it consumed */
	size_t take;      /* at most so many octets a call */
	size_t shown_max; /* longest input that on_read saw */
	unsigned reads, opens, drains, eofs, tlss, closes;
	struct tls_info info; /* as on_tls gave it; strings are not kept */
	bool verified, info_complete;
	struct diag why;
	/* What a test does inside the callbacks; may be NULL. read gives how much was consumed. */
	size_t (*on_read)(struct end *e, struct slice in);
	void (*on_event)(struct end *e, const char *event); /* "open", "drain", "eof", "tls", "close" */
	struct end *other;
	int step;
};

int suite_setup(void **state);
int suite_teardown(void **state);

/* Turns until cond is true: bounded by virtual or real time. Gives what cond gave last. */
bool run_until(struct fixture *f, bool (*cond)(void *ctx), void *ctx);
void run_for(struct fixture *f, uint64_t ms);
#define RUN_UNTIL(f, cond, ctx) assert_true(run_until((f), (cond), (ctx)))

void end_init(struct end *e, struct fixture *f);
void end_done(struct end *e);
extern const struct stream_events end_events;
extern const struct stream_events end_events_without_eof;

struct net_addr loopback(void); /* 127.0.0.1, any port */
/* Connects two ends: over a listener on loopback, or over a pair. */
void connect_ends(struct fixture *f, struct end *client, struct end *server);
void pair_ends(struct fixture *f, struct end *a, struct end *b);
int listen_on(struct fixture *f, struct net_addr *a); /* *a gets the port */
void start_connect(struct fixture *f, struct end *e, const struct net_addr *remote, uint64_t timeout_ms);

bool end_is_open(void *end);
bool end_is_closed(void *end);
bool end_has_eof(void *end);
bool end_has_drained(void *end);
bool end_has_tls(void *end);
void say(struct end *e, const char *text);
bool heard(struct end *e, const char *text); /* runs until it consumed exactly this */

/* Tables of tests, one a file. */
extern const struct CMUnitTest loop_tests[], stream_tests[], net_tests[], tls_tests[], ipc_tests[];
extern const size_t loop_tests_count, stream_tests_count, net_tests_count, tls_tests_count, ipc_tests_count;
