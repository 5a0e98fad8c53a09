#include "conf/schema.h"

#include "conf/conf.h"
#include "conf/spell.h"
#include "core/hash.h"

#define AT(type_, member) .key = #member, .offset = offsetof(struct type_, member), .since = "0.1"
#define MS(n)             ((uint64_t)(n))
#define SECONDS(n)        (MS(n) * 1000)
#define MINUTES(n)        (SECONDS(n) * 60)
#define HOURS(n)          (MINUTES(n) * 60)
#define DAYS(n)           (HOURS(n) * 24)
#define KIB(n)            ((uint64_t)(n) << 10)
#define MIB(n)            ((uint64_t)(n) << 20)
#define GIB(n)            ((uint64_t)(n) << 30)

static const char *const listener_tls[] = {"starttls", "implicit", "none", NULL};
static const char *const listener_auth[] = {"required", "none", NULL};
static const char *const bare_newline[] = {"normalise", "reject", NULL};
static const char *const route_tls[] = {"none", "may", "encrypt", "verify", NULL};
static const char *const log_sink[] = {"stderr", "file", "syslog", NULL};
static const char *const log_level[] = {"error", "warning", "info", "debug", NULL};
static const char *const seccomp[] = {"log", "kill", "off", NULL};

static const struct conf_field top_fields[] = {
	{AT(conf, hostname), .type = CONF_HOSTNAME, .standard = "", .derived = true,
	 .example = "relay.example.net",
	 .help = "Name of this relay: in its greeting, in EHLO, in Received fields and in message ids. It "
		 "should "
		 "resolve to the relay's address and back. Without it the system's host name is taken."},
	{AT(conf, state_directory), .type = CONF_PATH, .standard = "/var/lib/tidegate",
	 .example = "/srv/tidegate", .help = "Where the relay keeps its state: spool/, trace/ and keys/."},
	{AT(conf, disk_reserve), .type = CONF_SIZE, .standard = "256M", .min = KIB(16) * 1024,
	 .max = GIB(1024), .example = "2G",
	 .help = "Room to keep free on the disk of the state directory. Below it new mail is put off with "
		 "452 and what is "
		 "queued is still delivered. Before that, the archive of delivered mail makes room."},
	{AT(conf, control_socket), .type = CONF_PATH, .standard = "/run/tidegate/control",
	 .example = "/run/tidegate/control",
	 .help = "Unix socket on which tidegated answers tidegate(1). Who may connect to it may do "
		 "everything that "
		 "tidegate can; the permissions of its directory decide."},
	{AT(conf, user), .type = CONF_STRING, .standard = "tidegate", .example = "tidegate",
	 .help = "System user to whom the processes that talk to the network drop. Used only when tidegated "
		 "is "
		 "started as root."},
	{AT(conf, postmaster), .type = CONF_MAILBOX, .standard = "", .derived = true,
	 .example = "postmaster@example.net",
	 .help = "Mailbox of the people who run this relay; named in bounces. Without it postmaster at the "
		 "relay's "
		 "hostname."},
};

static const struct conf_field tls_fields[] = {
	{AT(conf_tls, certificate), .type = CONF_PATH, .standard = "/etc/tidegate/relay.pem",
	 .example = "/etc/letsencrypt/live/relay.example.net/fullchain.pem",
	 .help = "PEM file with the relay's certificate and the chain behind it, the relay's own first."},
	{AT(conf_tls, key), .type = CONF_PATH, .standard = "/etc/tidegate/relay.key",
	 .example = "/etc/letsencrypt/live/relay.example.net/privkey.pem",
	 .help = "PEM file with the private key of the certificate. It must not be readable by others."},
};

static const struct conf_field listener_fields[] = {
	{AT(conf_listener, address), .type = CONF_LISTENS, .standard = "", .required = true,
	 .example = "0.0.0.0:587, [::]:587",
	 .help = "Addresses with port, or unix:/path, on which connections are accepted."},
	{AT(conf_listener, tls), .type = CONF_ENUM, .choices = listener_tls, .standard = "starttls",
	 .example = "implicit",
	 .help = "starttls offers TLS after connecting (port 587), implicit begins with it (port 465), none "
		 "never "
		 "offers it."},
	{AT(conf_listener, auth), .type = CONF_ENUM, .choices = listener_auth, .standard = "required",
	 .example = "none",
	 .help = "Whether a hosting server must authenticate before it may submit mail. none, and passwords "
		 "without "
		 "TLS, are accepted on loopback, private and Unix addresses only: anything else would be an "
		 "open relay or show passwords to the network. none is accepted elsewhere if clients says "
		 "who may connect."},
	{AT(conf_listener, bare_newline), .type = CONF_ENUM, .choices = bare_newline, .standard = "normalise",
	 .example = "reject",
	 .help = "What happens to a message in which a line ends in a bare LF or CR: normalise turns it into "
		 "CRLF, "
		 "reject refuses the message with 550 5.6.0. In neither case can such a line end the data."},
	{AT(conf_listener, mechanisms), .type = CONF_STRING,
	 .standard = "EXTERNAL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN", .example = "PLAIN LOGIN",
	 .help = "Mechanisms of AUTH that are offered, in this order; -PLUS only where TLS binds the "
		 "channel, EXTERNAL only to a "
		 "client whose certificate was verified (tls.client_ca). Servers whose imported hash is no "
		 "SCRAM verifier "
		 "can use PLAIN and LOGIN alone."},
	{AT(conf_listener, clients), .type = CONF_NETWORKS, .standard = "",
	 .example = "192.0.2.0/24, 2001:db8::/48",
	 .help = "Networks whose clients may connect here, unix for Unix sockets; others are answered 554 "
		 "and closed. "
		 "Without any everybody may. A listener with auth none that others can reach needs it."},
	{AT(conf_listener, proxy), .type = CONF_NETWORKS, .standard = "", .example = "192.0.2.80",
	 .help = "Load balancers that tell the true address of the client by the PROXY protocol, version 1 "
		 "or 2. "
		 "A connection from there must begin with it; from anywhere else it is never believed."},
	{AT(conf_listener, xclient), .type = CONF_NETWORKS, .standard = "", .example = "127.0.0.1",
	 .help = "Mail proxies that may tell the true address of the client by the XCLIENT command. They can "
		 "never "
		 "vouch for a name: clients authenticate here."},
};

static const struct conf_field route_fields[] = {
	{AT(conf_route, via), .type = CONF_DESTINATION, .standard = "", .required = true,
	 .example = "smarthost.example.net:587",
	 .help = "mx: the mail exchangers of the recipient's domain. host:port: this host for all of them; "
		 "host is a "
		 "name, an IPv4 address, or an IPv6 address in brackets."},
	{AT(conf_route, tls), .type = CONF_ENUM, .choices = route_tls, .standard = "may", .example = "verify",
	 .help = "none: never. may: if it is offered. encrypt: TLS or no delivery. verify: also the "
		 "certificate must "
		 "be valid for the host's name."},
	{AT(conf_route, auth_user), .type = CONF_STRING, .standard = "", .example = "relay",
	 .help = "Name for AUTH at the host of via. Asks for tls encrypt or verify, and for "
		 "auth_password_file."},
	{AT(conf_route, auth_password_file), .type = CONF_PATH, .standard = "",
	 .example = "/etc/tidegate/smarthost.password",
	 .help = "File whose first line is the password for auth_user."},
};

static const struct conf_field limit_fields[] = {
	{AT(conf_limit, message_size), .type = CONF_SIZE, .standard = "50M", .min = KIB(16), .max = GIB(2),
	 .example = "100M", .help = "Largest message accepted; announced by SIZE."},
	{AT(conf_limit, recipients), .type = CONF_INTEGER, .standard = "500", .min = 100, .max = 50000,
	 .example = "1000", .help = "Recipients of one message. RFC 5321 asks for at least 100."},
	{AT(conf_limit, messages_per_connection), .type = CONF_INTEGER, .standard = "1000", .min = 1,
	 .max = 1000000, .example = "100",
	 .help = "Messages that one connection may submit before it is closed with 421."},
	{AT(conf_limit, connections), .type = CONF_INTEGER, .standard = "4000", .min = 1, .max = 1000000,
	 .example = "10000", .help = "Incoming connections in all; a further one is answered 421."},
	{AT(conf_limit, connections_per_network), .type = CONF_INTEGER, .standard = "200", .min = 1,
	 .max = 1000000, .example = "50",
	 .help = "Incoming connections from one network (network_bits_ipv4, network_bits_ipv6)."},
	{AT(conf_limit, connections_per_server), .type = CONF_INTEGER, .standard = "500", .min = 1,
	 .max = 1000000, .example = "100",
	 .help = "Connections that are authenticated as the same hosting server."},
	{AT(conf_limit, network_bits_ipv4), .type = CONF_INTEGER, .standard = "32", .min = 8, .max = 32,
	 .example = "24", .help = "How many leading bits of an IPv4 address make a network."},
	{AT(conf_limit, network_bits_ipv6), .type = CONF_INTEGER, .standard = "64", .min = 16, .max = 128,
	 .example = "56", .help = "How many leading bits of an IPv6 address make a network."},
	{AT(conf_limit, commands_without_mail), .type = CONF_INTEGER, .standard = "50", .min = 5,
	 .max = 100000, .example = "20",
	 .help = "Commands in a row that do not bring a message on, such as NOOP and RSET."},
	{AT(conf_limit, bad_commands), .type = CONF_INTEGER, .standard = "10", .min = 1, .max = 1000,
	 .example = "5", .help = "Commands of a connection that were refused as unknown or malformed."},
	{AT(conf_limit, unknown_recipients), .type = CONF_INTEGER, .standard = "100", .min = 1, .max = 50000,
	 .example = "20", .help = "Recipients of a connection that were refused."},
	{AT(conf_limit, auth_failures), .type = CONF_INTEGER, .standard = "3", .min = 1, .max = 100,
	 .example = "2", .help = "Failed authentications of a connection."},
	{AT(conf_limit, command_line), .type = CONF_SIZE, .standard = "4K", .min = 1024, .max = KIB(64),
	 .example = "8K",
	 .help = "Length of a command line with its CRLF. RFC 5321 asks for 512 octets; extensions and "
		 "AUTH add to it."},
	{AT(conf_limit, header_size), .type = CONF_SIZE, .standard = "256K", .min = KIB(16), .max = MIB(16),
	 .example = "1M", .help = "Header section of a message."},
	{AT(conf_limit, received_hops), .type = CONF_INTEGER, .standard = "50", .min = 10, .max = 1000,
	 .example = "100", .help = "Received fields from which a message counts as looping and is refused."},
	{AT(conf_limit, session_memory), .type = CONF_SIZE, .standard = "1M", .min = KIB(256), .max = MIB(64),
	 .example = "2M",
	 .help = "Memory of one incoming connection; a connection that needs more is answered 421."},
};

static const struct conf_field timeout_fields[] = {
	{AT(conf_timeout, command), .type = CONF_DURATION, .standard = "5min", .min = SECONDS(1),
	 .max = HOURS(1), .example = "2min", .help = "Incoming: how long the next command may take."},
	{AT(conf_timeout, data), .type = CONF_DURATION, .standard = "3min", .min = SECONDS(1),
	 .max = HOURS(1), .example = "5min",
	 .help = "Incoming: how long the next octets of a message may take."},
	{AT(conf_timeout, handshake), .type = CONF_DURATION, .standard = "30s", .min = SECONDS(1),
	 .max = MINUTES(10), .example = "1min", .help = "A TLS handshake, in either direction."},
	{AT(conf_timeout, session), .type = CONF_DURATION, .standard = "12h", .min = SECONDS(10),
	 .max = DAYS(7), .example = "1h",
	 .help = "Incoming: a whole connection; it is closed with 421 between two messages."},
	{AT(conf_timeout, connect), .type = CONF_DURATION, .standard = "30s", .min = SECONDS(1),
	 .max = MINUTES(10), .example = "1min", .help = "Outgoing: connecting to one address."},
	{AT(conf_timeout, greeting), .type = CONF_DURATION, .standard = "5min", .min = SECONDS(1),
	 .max = HOURS(1), .example = "2min", .help = "Outgoing: the greeting."},
	{AT(conf_timeout, reply), .type = CONF_DURATION, .standard = "5min", .min = SECONDS(1),
	 .max = HOURS(1), .example = "2min",
	 .help = "Outgoing: the reply to any command that has no time of its own."},
	{AT(conf_timeout, data_start), .type = CONF_DURATION, .standard = "2min", .min = SECONDS(1),
	 .max = HOURS(1), .example = "5min", .help = "Outgoing: the reply to DATA."},
	{AT(conf_timeout, data_block), .type = CONF_DURATION, .standard = "3min", .min = SECONDS(1),
	 .max = HOURS(1), .example = "5min", .help = "Outgoing: until more octets of a message are taken."},
	{AT(conf_timeout, data_end), .type = CONF_DURATION, .standard = "10min", .min = SECONDS(1),
	 .max = HOURS(2), .example = "15min",
	 .help = "Outgoing: the reply to the end of a message. Too short a time sends messages twice."},
	{AT(conf_timeout, quit), .type = CONF_DURATION, .standard = "30s", .min = SECONDS(1),
	 .max = MINUTES(10), .example = "10s", .help = "Outgoing: the reply to QUIT."},
	{AT(conf_timeout, drain), .type = CONF_DURATION, .standard = "30s", .min = 0, .max = HOURS(1),
	 .example = "2min", .help = "When tidegated ends: how long sessions and deliveries may finish."},
};

static const struct conf_field retry_fields[] = {
	{AT(conf_retry, schedule), .type = CONF_DURATIONS, .standard = "1min, 5min, 15min, 30min, 1h, 2h, 4h",
	 .min = SECONDS(1), .max = DAYS(1), .example = "5min, 30min, 2h",
	 .help = "Waits after the first, second, ... failed attempt for a recipient; the last one repeats."},
	{AT(conf_retry, jitter), .type = CONF_INTEGER, .standard = "10", .min = 0, .max = 50, .example = "20",
	 .help = "Per cent by which a wait is made longer or shorter at random, so that retries spread."},
	{AT(conf_retry, expire), .type = CONF_DURATION, .standard = "5d", .min = MINUTES(1), .max = DAYS(30),
	 .example = "3d", .help = "Age at which a recipient is given up."},
	{AT(conf_retry, expire_null), .type = CONF_DURATION, .standard = "2d", .min = MINUTES(1),
	 .max = DAYS(30), .example = "1d",
	 .help = "The same for messages with the null sender (bounces). At most expire."},
};

static const struct conf_field retention_fields[] = {
	{AT(conf_retention, body), .type = CONF_DURATION, .standard = "3d", .min = 0, .max = DAYS(3650),
	 .example = "0s",
	 .help = "How long the body of a message is kept after its last recipient is done. 0s: not at all. "
		 "At most headers."},
	{AT(conf_retention, headers), .type = CONF_DURATION, .standard = "14d", .min = 0, .max = DAYS(3650),
	 .example = "7d", .help = "The same for header sections. At most index."},
	{AT(conf_retention, index), .type = CONF_DURATION, .standard = "90d", .min = 0, .max = DAYS(3650),
	 .example = "30d", .help = "The same for the record of who sent what to whom and what became of it."},
};

static const struct conf_field log_fields[] = {
	{AT(conf_log, sink), .type = CONF_ENUM, .choices = log_sink, .standard = "stderr",
	 .example = "syslog", .help = "Where log lines go. Under systemd stderr is the journal."},
	{AT(conf_log, file), .type = CONF_PATH, .standard = "", .example = "/var/log/tidegate/tidegate.log",
	 .help = "The file for sink file; SIGUSR1 opens it again after it was rotated."},
	{AT(conf_log, level), .type = CONF_ENUM, .choices = log_level, .standard = "info", .example = "debug",
	 .help = "The least important lines that are written."},
};

static const struct conf_field process_fields[] = {
	{AT(conf_process, smtpd), .type = CONF_INTEGER, .standard = "0", .min = 0, .max = 64, .example = "4",
	 .help = "Processes for incoming connections. 0: one per core."},
	{AT(conf_process, smtpc), .type = CONF_INTEGER, .standard = "0", .min = 0, .max = 64, .example = "4",
	 .help = "Processes for outgoing connections. 0: one per core."},
	{AT(conf_process, seccomp), .type = CONF_ENUM, .choices = seccomp, .standard = "log",
	 .example = "kill",
	 .help = "What happens to a system call that a process has no need of: log denies it and the kernel "
		 "logs it, "
		 "kill ends the process, off allows it."},
};

static const struct conf_field resolver_fields[] = {
	{AT(conf_resolver, forward), .type = CONF_SERVERS, .standard = "",
	 .example = "192.0.2.53, [2001:db8::53]:5353",
	 .help = "Name servers to ask, port 53 unless given. Without any the relay asks the authorities "
		 "itself."},
	{AT(conf_resolver, timeout), .type = CONF_DURATION, .standard = "20s", .min = SECONDS(1),
	 .max = MINUTES(5), .example = "10s", .help = "After which a question counts as failed for now."},
	{AT(conf_resolver, trust_anchor), .type = CONF_PATH, .standard = "",
	 .example = "/usr/share/dns/root.key",
	 .help = "File with the DNSSEC key of the root. Without it the key that is built in."},
};

static const struct conf_field delivery_fields[] = {
	{AT(conf_delivery, source), .type = CONF_SOURCES, .standard = "",
	 .example = "192.0.2.10, 2001:db8::10",
	 .help = "Addresses of this machine from which mail is delivered, in turn; a destination is reached "
		 "only by "
		 "the families that are named. Without any the system chooses."},
	{AT(conf_delivery, helo_name), .type = CONF_HOSTNAME, .standard = "", .derived = true,
	 .example = "out.example.net",
	 .help = "Name in EHLO towards destinations; the name of the source addresses. Without it hostname."},
	{AT(conf_delivery, ipv6), .type = CONF_BOOL, .standard = "true", .example = "false",
	 .help = "Whether IPv6 addresses of destinations are used."},
	{AT(conf_delivery, port), .type = CONF_INTEGER, .standard = "25", .min = 1, .max = 65535,
	 .example = "2525",
	 .help = "Port of mail exchangers found in the DNS. Another one than 25 is for test benches."},
	{AT(conf_delivery, connections), .type = CONF_INTEGER, .standard = "1000", .min = 1, .max = 1000000,
	 .example = "5000", .help = "Outgoing connections in all."},
	{AT(conf_delivery, connections_per_site), .type = CONF_INTEGER, .standard = "20", .min = 1,
	 .max = 10000, .example = "5",
	 .help = "Outgoing connections to one site: the domains that share their mail exchangers."},
	{AT(conf_delivery, messages_per_connection), .type = CONF_INTEGER, .standard = "100", .min = 1,
	 .max = 100000, .example = "20", .help = "Messages after which an outgoing connection is closed."},
	{AT(conf_delivery, recipients_per_message), .type = CONF_INTEGER, .standard = "100", .min = 1,
	 .max = 10000, .example = "50", .help = "Recipients that share one transmission of a message."},
	{AT(conf_delivery, idle), .type = CONF_DURATION, .standard = "5s", .min = 0, .max = MINUTES(5),
	 .example = "2s", .help = "How long an outgoing connection is kept without a message."},
};

#define FIELDS(array) .fields = (array), .nfields = ARRAY_LEN(array)
#define ONCE(member)  .offset = offsetof(struct conf, member), .size = sizeof(((struct conf *)0)->member)
#define MANY(array, n, type, id)                                                                             \
	.offset = offsetof(struct conf, array), .count_offset = offsetof(struct conf, n),                    \
	.size = sizeof(struct type), .title_offset = offsetof(struct type, id)

const struct conf_section conf_schema[] = {
	{.name = "",
	 .offset = 0,
	 .size = sizeof(struct conf),
	 FIELDS(top_fields),
	 .help = "Keys outside of any section."},
	{.name = "tls", ONCE(tls), FIELDS(tls_fields), .help = "The certificate of the listeners."},
	{.name = "listener",
	 .title = "NAME",
	 MANY(listeners, nlisteners, conf_listener, name),
	 FIELDS(listener_fields),
	 .max_count = CONF_LISTENERS_MAX,
	 .check_title = conf_spell_name,
	 .title_rule = "a name of at most 32 lower-case letters, digits, hyphens and underscores",
	 .standard = "listener submission { address = {\"0.0.0.0:587\", \"[::]:587\"} }\n",
	 .help = "A place where hosting servers submit mail. The name appears in logs."},
	{.name = "route",
	 .title = "PATTERN",
	 MANY(routes, nroutes, conf_route, pattern),
	 FIELDS(route_fields),
	 .max_count = CONF_ROUTES_MAX,
	 .check_title = conf_spell_pattern,
	 .title_rule = "\"*\", a domain, or \".domain\" for what is below it",
	 .standard = "route \"*\" { via = \"mx\" }\n",
	 .help = "How mail to some recipients' domains is delivered. PATTERN is a domain, \".domain\" for "
		 "the domains "
		 "below it, or \"*\" for all; the most exact one counts, whatever the order."},
	{.name = "limit",
	 ONCE(limit),
	 FIELDS(limit_fields),
	 .help = "What one sender may ask of the relay. Reaching a limit is answered, never a failure of the "
		 "relay."},
	{.name = "timeout",
	 ONCE(timeout),
	 FIELDS(timeout_fields),
	 .help = "How long the other side may take."},
	{.name = "retry",
	 ONCE(retry),
	 FIELDS(retry_fields),
	 .help = "When a failed delivery is tried again."},
	{.name = "retention",
	 ONCE(retention),
	 FIELDS(retention_fields),
	 .help = "How long mail is kept after it was delivered or given up."},
	{.name = "log",
	 ONCE(log),
	 FIELDS(log_fields),
	 .help = "The structured log: one key=value line per event."},
	{.name = "process", ONCE(process), FIELDS(process_fields), .help = "The processes of tidegated."},
	{.name = "resolver", ONCE(resolver), FIELDS(resolver_fields), .help = "DNS."},
	{.name = "delivery", ONCE(delivery), FIELDS(delivery_fields), .help = "Outgoing connections."},
};
const size_t conf_schema_count = ARRAY_LEN(conf_schema);

const struct conf_section *conf_schema_section(struct slice name)
{
	for (size_t i = 0; i < conf_schema_count; i++)
		if (slice_eq_str(name, conf_schema[i].name))
			return &conf_schema[i];
	return NULL;
}

const struct conf_field *conf_schema_field(const struct conf_section *s, struct slice key)
{
	for (size_t i = 0; i < s->nfields; i++)
		if (slice_eq_str(key, s->fields[i].key))
			return &s->fields[i];
	return NULL;
}

bool conf_type_is_list(enum conf_type t)
{
	return t >= CONF_DURATIONS;
}

const char *conf_type_name(enum conf_type t)
{
	switch (t) {
	case CONF_STRING:
		return "text";
	case CONF_HOSTNAME:
		return "host name";
	case CONF_MAILBOX:
		return "mailbox";
	case CONF_PATH:
		return "absolute path";
	case CONF_DESTINATION:
		return "\"mx\" or \"host:port\"";
	case CONF_BOOL:
		return "true or false";
	case CONF_INTEGER:
		return "number";
	case CONF_SIZE:
		return "size";
	case CONF_DURATION:
		return "duration";
	case CONF_ENUM:
		return "one of";
	case CONF_DURATIONS:
		return "list of durations";
	case CONF_LISTENS:
		return "list of addresses with port";
	case CONF_SERVERS:
		return "list of addresses, port optional";
	case CONF_SOURCES:
		return "list of addresses without port";
	case CONF_NETWORKS:
		return "list of networks";
	}
	return "";
}

static uint32_t crc_text(uint32_t crc, const char *z)
{
	struct slice s = slice_str(z);

	return crc32c(crc32c(crc, s.ptr, s.len), "", 1); /* with the NUL, so that names cannot run together */
}

static uint32_t crc_field(uint32_t crc, const struct conf_field *f)
{
	uint8_t type = (uint8_t)f->type;

	crc = crc32c(crc_text(crc, f->key), &type, 1);
	for (size_t i = 0; f->choices && f->choices[i]; i++)
		crc = crc_text(crc, f->choices[i]);
	return crc;
}

uint32_t conf_schema_crc(void)
{
	uint32_t crc = 0;

	for (size_t i = 0; i < conf_schema_count; i++) {
		crc = crc_text(crc, conf_schema[i].name);
		for (size_t k = 0; k < conf_schema[i].nfields; k++)
			crc = crc_field(crc, &conf_schema[i].fields[k]);
	}
	return crc;
}
