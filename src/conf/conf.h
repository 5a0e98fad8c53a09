/* The configuration as plain typed values: read from a file or from the embedded defaults, checked,
 * immutable.
 *
 * Which keys there are, their defaults, ranges and help stand in one table (conf/schema.c); the readers, the
 * checks, the epochs sent to the children (conf/epoch.h), tidegated.conf(5) and `tidegate config show` all
 * follow it. The structs below are filled by that table.
 *
 * Invariants:
 *  1. A struct conf that a caller sees is complete and passed every check that needs no other file; only
 *     conf_check_paths looks at what paths point to.
 *  2. It never changes. It is counted (conf_ref, conf_unref) by one thread: a session keeps the one that it
 * began with. All text lies in its arena.
 *  3. Slices are NUL-terminated behind their length and hold no NUL; an empty one means "not set".
 *  4. Units: durations in milliseconds, sizes in octets.
 *
 * Errors are meant for the administrator: file, line, key, what was found, what is allowed.
 */
#pragma once

#include "conf/limits.h"
#include "core/arena.h"
#include "core/diag.h"

struct conf_texts {
	const struct slice *items; /* in the arena */
	size_t count;
};

struct conf_numbers {
	const uint64_t *items; /* in the arena */
	size_t count;
};

/* Values of enums are indices into the choices of the schema, 0 first. */
enum conf_listener_tls { CONF_LISTENER_STARTTLS, CONF_LISTENER_IMPLICIT, CONF_LISTENER_NONE };
enum conf_auth { CONF_AUTH_REQUIRED, CONF_AUTH_NONE };
enum conf_bare_newline { CONF_BARE_NORMALISE, CONF_BARE_REJECT };
enum conf_route_tls {
	CONF_ROUTE_TLS_NONE,
	CONF_ROUTE_TLS_MAY,
	CONF_ROUTE_TLS_ENCRYPT,
	CONF_ROUTE_TLS_VERIFY
};
enum conf_log_sink { CONF_LOG_STDERR, CONF_LOG_FILE, CONF_LOG_SYSLOG };
enum conf_log_level { CONF_LOG_ERROR, CONF_LOG_WARNING, CONF_LOG_INFO, CONF_LOG_DEBUG };
enum conf_seccomp { CONF_SECCOMP_LOG, CONF_SECCOMP_KILL, CONF_SECCOMP_OFF };

struct conf_listener {
	struct slice name;
	struct conf_texts
		address; /* for net_addr_parse: "0.0.0.0:587", "[::]:587", "unix:/path"; 1 or more */
	enum conf_listener_tls tls;
	enum conf_auth auth;
	enum conf_bare_newline bare_newline;
	struct slice mechanisms;   /* of SASL, separated by blanks, in order of preference */
	struct conf_texts clients; /* networks (conf_spell_network) that may connect; empty: all */
	struct conf_texts proxy;   /* networks of balancers: their connections begin with a PROXY header */
	struct conf_texts xclient; /* networks whose clients may use XCLIENT */
};

struct conf_route {
	struct slice pattern; /* lower case: "*", ".suffix" (the domain's subdomains) or "domain" */
	struct slice via;     /* "mx", or "host:port" with host a name, an IPv4 address or "[IPv6]" */
	enum conf_route_tls tls;
	struct slice auth_user; /* empty: no AUTH */
	struct slice auth_password_file;
};

struct conf_tls {
	struct slice certificate; /* path, PEM, leaf first */
	struct slice key;         /* path, PEM */
};

struct conf_limit {
	uint64_t message_size; /* octets */
	uint64_t recipients;   /* per message */
	uint64_t messages_per_connection;
	uint64_t connections; /* of all smtpd together */
	uint64_t connections_per_network;
	uint64_t connections_per_server; /* authenticated as the same hosting server */
	uint64_t network_bits_ipv4;      /* what "network" means in these limits */
	uint64_t network_bits_ipv6;
	uint64_t commands_without_mail; /* commands in a row that bring no message on */
	uint64_t bad_commands;          /* refused commands before the connection is closed */
	uint64_t unknown_recipients;    /* refused recipients before the connection is closed */
	uint64_t auth_failures;         /* per connection */
	uint64_t command_line;          /* octets with CRLF */
	uint64_t header_size;           /* octets of a header section */
	uint64_t received_hops;         /* Received fields before a message counts as looping */
	uint64_t session_memory;        /* octets */
};

struct conf_timeout {
	uint64_t command;   /* server: waiting for the next command */
	uint64_t data;      /* server: waiting for more data */
	uint64_t handshake; /* TLS, both sides */
	uint64_t session;   /* server: a connection in all */
	uint64_t connect;   /* client, and so on below: RFC 5321 4.5.3.2 */
	uint64_t greeting;
	uint64_t reply;      /* to EHLO, MAIL, RCPT, RSET, AUTH, STARTTLS */
	uint64_t data_start; /* to DATA */
	uint64_t data_block; /* until more data can be sent */
	uint64_t data_end;   /* to the final dot */
	uint64_t quit;
	uint64_t drain; /* SIGTERM: sessions may finish for so long */
};

struct conf_retry {
	struct conf_numbers schedule; /* waits after the 1st, 2nd, ... failure; the last one repeats */
	uint64_t jitter;              /* per cent of a wait, up or down */
	uint64_t expire;
	uint64_t expire_null; /* for messages with the null sender */
};

struct conf_retention { /* after the last recipient is done; body <= headers <= index */
	uint64_t body;
	uint64_t headers;
	uint64_t index;
};

struct conf_log {
	enum conf_log_sink sink;
	struct slice file;
	enum conf_log_level level;
};

struct conf_process {
	uint64_t smtpd; /* 0: one per core */
	uint64_t smtpc; /* 0: one per core */
	enum conf_seccomp seccomp;
};

struct conf_resolver {
	struct conf_texts forward; /* empty: full recursion */
	uint64_t timeout;
	struct slice trust_anchor; /* path; empty: the root key that is built in */
};

struct conf_delivery {
	struct conf_texts source; /* IP addresses without port; empty: the system chooses */
	struct slice helo_name;   /* empty in the file: hostname; never empty here */
	bool ipv6;                /* may IPv6 addresses of destinations be used */
	uint64_t port;            /* of hosts found by MX */
	uint64_t connections;     /* of all smtpc together */
	uint64_t connections_per_site;
	uint64_t messages_per_connection;
	uint64_t recipients_per_message;
	uint64_t idle; /* how long an unused connection is kept */
};

/* Where a value came from; looked up by its address (conf_origin). */
struct conf_origin {
	const void *value;
	struct slice file;
	unsigned line;
};

struct conf {
	unsigned refs;
	struct arena arena; /* owns all text and arrays */
	const struct conf_origin *origins;
	size_t norigins; /* 0 for defaults and decoded epochs */

	struct slice hostname; /* empty in the file: the system's; never empty here */
	struct slice state_directory;
	uint64_t disk_reserve; /* octets */
	struct slice control_socket;
	struct slice user;
	struct slice postmaster; /* empty in the file: postmaster@hostname; never empty here */
	struct conf_tls tls;
	const struct conf_listener *listeners; /* 1 or more */
	size_t nlisteners;
	const struct conf_route *routes; /* 1 or more; in the order of the file */
	size_t nroutes;
	struct conf_limit limit;
	struct conf_timeout timeout;
	struct conf_retry retry;
	struct conf_retention retention;
	struct conf_log log;
	struct conf_process process;
	struct conf_resolver resolver;
	struct conf_delivery delivery;
};

/* Reads a file and what it includes; NULL: the embedded defaults. ERR_NOTFOUND, ERR_PERM, ERR_IO, ERR_LIMIT,
 * ERR_SYNTAX, ERR_RANGE, ERR_NOMEM. Not for two threads at once (libconfuse). *ret is owned: conf_unref. */
MUST_CHECK enum err conf_load(const char *path, struct conf **ret, struct diag *d);

/* The same from text; name stands for the file in messages. Included files are relative to the working
 * directory.
 */
MUST_CHECK enum err conf_load_text(struct slice text, const char *name, struct conf **ret, struct diag *d);

void conf_ref(struct conf *c);
void conf_unref(struct conf *c); /* NULL is fine */

/* Are the paths and the user usable for this process (run it as the user that starts tidegated)? Names the
 * first that is not, with file and line. Creates nothing. */
MUST_CHECK enum err conf_check_paths(const struct conf *c, struct diag *d);

/* Where the field at this address was written, NULL if it is a default: conf_origin(c, &c->tls.key). */
const struct conf_origin *conf_origin(const struct conf *c, const void *value);

/* The best route for a domain: exact, then the longest suffix, then "*"; NULL if none. The case does not
 * matter. */
const struct conf_route *conf_route_for(const struct conf *c, struct slice domain);

/* The listener to tell hosting servers: authentication required, STARTTLS first, then implicit TLS; NULL if
 * none. *ret_port: its port. */
const struct conf_listener *conf_submission(const struct conf *c, uint16_t *ret_port);
