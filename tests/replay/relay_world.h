/* A whole relay in one process on one simulated loop: its processes as tables of functions (relay/wire/role.h), the
 * network, the disks, the DNS, the destinations and the submitting clients. Scenarios (relay_replay.c) drive it.
 *
 *   relay_world.c   processes: start, connect, kill, drain, reload; what the parent does in the daemon
 *   relay_disk.c    a process's view of a simulated disk, which dies with the process
 *   relay_dns.c     scripted answers
 *   relay_site.c    destinations: SMTP servers with scripted replies, which remember what they got
 *   relay_client.c  submitting clients: dialogues, and numbered messages by the hundred
 *   relay_ask.c     control verbs
 *
 * Failures of the test bench itself (no memory, a socket that cannot be made) end the program: need().
 */
#pragma once

#include "core/buf.h"
#include "core/list.h"
#include "dns/lookup.h"
#include "evio/sim.h"
#include "relay/wire/role.h"

#define WORLD_MEMBERS   32
#define WORLD_LISTENERS 8
#define WORLD_ENDS      256
#define WORLD_SEGMENT   (1u << 20)
#define WORLD_TEXT_MAX  (64u << 20)

__attribute__((noreturn, format(printf, 1, 2))) void world_fail(const char *fmt, ...);
#define need(expr) ((expr) ? (void)0 : world_fail("%s:%d: %s", __FILE__, __LINE__, #expr))

/* ---- relay_disk.c ---- */
struct shield;
struct shield *shield_new(struct sim_disk *sd);
struct disk shield_disk(struct shield *s);
/* What the kernel does when a process ends: descriptors and locks are gone, nothing is written any more. */
void shield_end(struct shield *s);
void shield_free(struct shield *s);

/* ---- relay_dns.c ---- */
struct zone;
struct zone *zone_new(struct loop *l, uint64_t timeout_ms);
void zone_free(struct zone *z);
/* "mx HOST...", "a ADDRESS...", "null", "nxdomain", "nodata", "servfail", "timeout"; false: not understood. */
bool zone_set(struct zone *z, struct slice name, struct slice what);
void zone_set_ttl(struct zone *z, uint32_t seconds);
const struct dns_lookup *zone_lookup(const struct zone *z);
uint64_t zone_questions(const struct zone *z);

/* ---- relay_site.c ---- */
struct delivery {
	struct list_node node; /* in sites.deliveries */
	struct site *site;
	uint64_t time_ms;                    /* loop_now */
	struct buf sender, recipients, data; /* recipients: one a line; data without dot-stuffing */
	uint32_t recipient_count;
};
struct sites {
	struct loop *loop;
	struct list sites, deliveries;
};
void sites_init(struct sites *s, struct loop *l);
void sites_done(struct sites *s);
struct site *site_find(struct sites *s, struct slice address); /* NULL: none */
/* "up", "down", "silent", "delay 5s", or "PHASE [TEXT] reply|drop|hang|lose ... [xN]"; false: not understood. */
bool site_script(struct sites *s, struct slice address, struct slice what);
uint64_t site_connections(const struct site *s); /* now */
uint64_t site_connected(const struct site *s);   /* ever */

/* ---- relay_client.c ---- */
struct ack {
	struct list_node node;
	uint64_t number;
	struct buf recipients; /* one a line */
};
struct clients {
	struct loop *loop;
	struct list clients, acks;
	uint64_t next_number, refused;
	char last_id[64];
	struct list passwords;
};
struct batch {
	uint64_t count, size;
	struct slice from, to, as, port, subject;
	uint64_t per_connection; /* 0: all on one */
};
void clients_init(struct clients *c, struct loop *l);
void clients_done(struct clients *c);
void clients_password(struct clients *c, struct slice server, struct slice password);
/* AUTH PLAIN's initial response for a server that is known. */
void clients_plain(struct clients *c, struct slice server, struct buf *out);
void client_connect(struct clients *c, struct slice name, struct slice address);
void client_say(struct clients *c, struct slice name, struct slice octets);
void client_close(struct clients *c, struct slice name);
/* The next whole reply, its lines one behind the other; false: none within `ms`; "closed" when the connection is. */
bool client_hear(struct clients *c, struct slice name, uint64_t ms, struct buf *out);
/* Submits; returns how many were answered 250. Those are remembered. */
uint64_t clients_submit(struct clients *c, const struct batch *b);

/* ---- relay_world.c ---- */
struct world;
struct member {
	struct world *world;
	const struct role_ops *ops;
	uint32_t slot;
	char name[32];
	void *self; /* NULL: not running */
	struct log *log;
	struct shield *shield; /* of the running or the last one; NULL: has no disk */
	bool drained, draining;
	unsigned lost; /* roles, as bits, that it has no channel to */
};
struct world {
	struct loop *loop;
	struct sim_disk *spool, *keys; /* spool NULL: memory back end */
	uint64_t spool_size;
	int log_fd;
	struct conf *conf;
	uint64_t epoch;
	struct member members[WORLD_MEMBERS];
	size_t member_count;
	int listeners[WORLD_LISTENERS]; /* -1: free; by index in conf */
	bool started;
	struct task drain_step, reconnect;
	struct shield *ended[WORLD_ENDS]; /* of killed processes, whose last calls may still come */
	size_t ended_count;
	struct zone *zone;
	struct sites sites;
	struct clients clients;
	struct buf rows; /* of the last answer of a control verb, one a line */
};
void world_init(struct world *w, uint64_t seed);
void world_done(struct world *w);
/* Reads the configuration; ERR_OK or why not. */
enum err world_configure(struct world *w, struct slice text, struct diag *d);
void world_start(struct world *w, uint32_t smtpd, uint32_t smtpc);
void world_reload(struct world *w);
struct member *world_member(struct world *w, struct slice name); /* "queue.0", "queue" is the same */
void member_start(struct member *m);
void member_kill(struct member *m);
void world_power_off(struct world *w); /* all processes end; disks lose what was not synced at world_boot */
void world_boot(struct world *w, uint64_t seed);
void world_drain(struct world *w);
uint64_t world_running(const struct world *w);
uint64_t world_counter(const struct world *w, enum wire_role role, struct slice name);
bool world_trouble(const struct world *w, struct buf *out); /* what heartbeats say; false: all is well */
void world_log(const struct world *w, struct buf *out);

/* ---- relay_ask.c ---- */
/* Sends a control verb ("queue.list server=a") and collects the answer in w->rows. False: no whole answer came. */
bool world_ask(struct world *w, struct slice request);
