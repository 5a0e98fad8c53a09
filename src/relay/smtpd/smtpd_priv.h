/* The wiring of the smtpd process: what joins sessions (session.h) to streams and channels. Private to this folder.
 *
 * Ownership: the process owns its listeners, links and connections; a connection owns its stream, session and timers
 * and holds references to the configuration and TLS context that it began with (its epoch).
 *
 * Who calls whom: streams and channels call into the wiring, the wiring into a session, a session back into the
 * wiring by struct smtpd_actions, which never calls the session again in the same breath.
 */
#pragma once

#include "core/list.h"
#include "core/map.h"
#include "evio/ipc.h"
#include "evio/log.h"
#include "evio/stream.h"
#include "relay/smtpd/limits.h"
#include "relay/smtpd/session.h"
#include "relay/wire/auth.h"
#include "relay/wire/role.h"
#include "relay/wire/submit.h"

struct smtpd;
struct smtpd_conn;

/* ---- queue_link.c: mails on their way to the queue ---- */
struct smtpd_queue_link {
	struct smtpd *d;
	struct ipc *ipc; /* owned; NULL: no queue at the moment */
	struct wire_submit_grant grants[SMTPD_GRANTS_MAX];
	unsigned grant_count;
	uint16_t state_code; /* 0: mail is welcome */
	uint8_t state_enhanced[3];
	struct buf state_text;
	struct map mails;   /* smtpd_conn.mail_node by id */
	uint64_t part_id;   /* whose content `part` holds */
	struct buf part;    /* content put together from short runs */
	struct buf payload; /* scratch */
	struct buf backlog; /* frames that the channel did not take */
	struct task broken; /* the channel has to be given up */
	const char *broken_why;
};
void smtpd_queue_init(struct smtpd_queue_link *q, struct smtpd *d);
void smtpd_queue_done(struct smtpd_queue_link *q);
void smtpd_queue_connect(struct smtpd_queue_link *q, int fd); /* owns fd; replaces an earlier channel */
bool smtpd_queue_welcome(struct smtpd_queue_link *q, struct wire_reply *ret_refusal);
bool smtpd_queue_begin(struct smtpd_queue_link *q, struct smtpd_conn *c, uint64_t *ret_id);
void smtpd_queue_append(struct smtpd_queue_link *q, struct smtpd_conn *c, struct slice content);
bool smtpd_queue_end(struct smtpd_queue_link *q, struct smtpd_conn *c, const struct record_message *envelope,
		     const struct edits *edits);
void smtpd_queue_abort(struct smtpd_queue_link *q, struct smtpd_conn *c);
void smtpd_queue_flush(struct smtpd_queue_link *q);         /* what was put together goes out */
bool smtpd_queue_blocked(const struct smtpd_queue_link *q); /* the channel is full: read nothing now */

/* ---- auth_link.c: exchanges with the auth process ---- */
struct smtpd_auth_link {
	struct smtpd *d;
	struct ipc *ipc;      /* owned; NULL: no auth at the moment */
	struct map exchanges; /* smtpd_conn.auth_node by reference */
	uint64_t next_ref;
	struct buf payload; /* scratch */
};
void smtpd_auth_init(struct smtpd_auth_link *a, struct smtpd *d);
void smtpd_auth_done(struct smtpd_auth_link *a);
void smtpd_auth_connect(struct smtpd_auth_link *a, int fd);
/* False: auth cannot be asked at the moment. */
bool smtpd_auth_start(struct smtpd_auth_link *a, struct smtpd_conn *c, const struct smtpd_auth_request *r);
bool smtpd_auth_response(struct smtpd_auth_link *a, struct smtpd_conn *c, struct slice data);
void smtpd_auth_cancel(struct smtpd_auth_link *a, struct smtpd_conn *c);

/* ---- conn.c: one connection ---- */
struct smtpd_conn {
	struct list_node node; /* in smtpd.conns */
	struct smtpd *d;
	uint64_t number;                      /* for the log */
	struct conf *conf;                    /* a reference */
	struct tls_server *tls;               /* a reference; NULL: none */
	const struct conf_listener *listener; /* in conf */
	struct stream *stream;                /* owned */
	struct smtpd_session *session;        /* owned; NULL: the PROXY header has not come yet */
	struct slice early; /* octets of a handshake behind the PROXY header; borrowed from input */
	struct timer timer, life;
	struct task auth_late;                /* auth could not be asked: tell the session in the next turn */
	struct smtpd_share *network, *server; /* borrowed from shares; NULL: not counted */
	uint64_t auth_ref, mail_id;           /* 0: none */
	struct map_node auth_node, mail_node;
	size_t left;           /* octets of input that the session has seen and not consumed */
	bool eof;              /* the client sends no more */
	bool clogged;          /* the client does not read its replies */
	bool reading, closing; /* inside smtpd_session_input; close behind it */
	int64_t began_ms;
};
void smtpd_conn_accept(struct smtpd *d, struct conf *conf, const struct conf_listener *l, struct stream *s);
void smtpd_conn_free(struct smtpd_conn *c);
void smtpd_conn_drain(struct smtpd_conn *c);
void smtpd_conn_expire(struct smtpd_conn *c);
void smtpd_conn_wake(struct smtpd_conn *c); /* unconsumed input may be consumable now */
void smtpd_conn_verdict(struct smtpd_conn *c, enum wire_auth_outcome outcome, struct slice server);

/* ---- share.c: how many connections a network or a server has ---- */
struct smtpd_share {
	struct map_node node;
	uint32_t count;
	uint16_t len;
	char key[SMTPD_NAME_MAX];
};
/* Counts one more. NULL: `max` is reached, or no memory. */
struct smtpd_share *smtpd_share_take(struct map *shares, struct slice key, uint64_t max);
void smtpd_share_give(struct map *shares, struct smtpd_share *sh); /* NULL is fine */
bool smtpd_share_eq(const struct map_node *n, const void *key);    /* key: struct slice */
/* The network of an address as a key: its first bits; `out` has SMTPD_NETWORK_KEY octets. */
struct slice smtpd_network_key(const struct net_addr *a, const struct conf_limit *l, char *out);

/* ---- peers.c: who is listed ---- */
/* Is the address in one of the networks (conf_spell_network)? */
bool smtpd_peer_listed(const struct conf_texts *networks, const struct net_addr *a);

/* ---- events.c: what sessions report, as log lines and counters ---- */
struct smtpd_counters {
	uint64_t connections, refused_connections, tls, tls_failed, auth, auth_failed, accepted, recipients,
		octets, refused;
};
void smtpd_event_log(struct smtpd_conn *c, const struct smtpd_event *e);
void smtpd_event_connect(struct smtpd_conn *c);
void smtpd_event_close(struct smtpd_conn *c, const struct diag *why);

/* ---- smtpd.c: the process ---- */
struct smtpd_listener {
	struct list_node node;
	struct smtpd *d;
	struct conf *conf;                    /* a reference */
	const struct conf_listener *listener; /* in conf */
	struct listener *accepting;           /* owned */
};
struct smtpd {
	struct role_env env;
	struct conf *conf; /* a reference: the newest */
	struct tls_server *tls;
	struct list listeners, conns;
	uint64_t connections_max;     /* this process's share of limit.connections */
	struct map networks, servers; /* struct smtpd_share */
	struct smtpd_queue_link queue;
	struct smtpd_auth_link auth;
	struct smtpd_counters counters;
	uint64_t next_number;
	struct timer drain_timer;
	struct task drained; /* the last connection is gone */
	bool draining, told;
};
void smtpd_conn_gone(struct smtpd *d); /* a connection was freed */
