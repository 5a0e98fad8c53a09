#include "ctl/schema.h"

#define COLUMNS(a)   .columns = (a), .ncolumns = ARRAY_LEN(a)
#define ARGUMENTS(a) .arguments = (a), .narguments = ARRAY_LEN(a)

/* --- tables ----------------------------------------------------------------------------------------------- */

static const struct ctl_column relay_columns[] = {
	{"health", CTL_TEXT, "health"}, /* ok, degraded, down */
	{"reason", CTL_TEXT, "reason"}, /* null when ok */
	{"version", CTL_TEXT, "version"},
	{"hostname", CTL_TEXT, "hostname"},
	{"started", CTL_TIME, "started"},
	{"configured", CTL_TIME, "configured"}, /* when the configuration in force was read */
	{"epoch", CTL_U64, "configuration"},
	{"draining", CTL_BOOL, "draining"},
	{"servers", CTL_U64, "servers"},
	{"queued", CTL_U64, "queued"},     /* messages */
	{"pending", CTL_U64, "pending"},   /* recipients not done */
	{"oldest", CTL_TIME, "oldest"},    /* arrival of the oldest queued message, null: none */
	{"accepted", CTL_U64, "accepted"}, /* messages, this and the following since started */
	{"refused", CTL_U64, "refused"},
	{"delivered", CTL_U64, "delivered"}, /* recipients */
	{"deferred", CTL_U64, "deferred"},   /* attempts */
	{"bounced", CTL_U64, "bounced"},     /* recipients */
	{"connections_in", CTL_U64, "connections in"},
	{"connections_out", CTL_U64, "connections out"},
	{"disk_free", CTL_SIZE, "disk free"},
	{"disk_total", CTL_SIZE, "disk total"},
	{"disk_full", CTL_TIME,
	 "disk full"}, /* when disk_reserve is reached at the rate of the last day; null: not in sight */
};

static const struct ctl_column process_columns[] = {
	{"role", CTL_TEXT, "PROCESS"},
	{"number", CTL_U64, "NO"},
	{"pid", CTL_U64, "PID"},
	{"state", CTL_TEXT, "STATE"}, /* starting, running, stopping, waiting (before a restart) */
	{"version", CTL_TEXT, "VERSION"},
	{"epoch", CTL_U64, "EPOCH"},
	{"started", CTL_TIME, "STARTED"},
	{"restarts", CTL_U64, "RESTARTS"},
	{"last_exit", CTL_TEXT, "LAST EXIT"},
	{"missing", CTL_TEXT, NULL}, /* confinement that the kernel does not offer */
};

static const struct ctl_column server_columns[] = {
	{"name", CTL_TEXT, "SERVER"},         {"enabled", CTL_BOOL, "ENABLED"},
	{"created", CTL_TIME, "CREATED"},     {"rotated", CTL_TIME, "ROTATED"},
	{"last_used", CTL_TIME, "LAST USED"}, {"last_address", CTL_TEXT, "FROM"},
	{"successes", CTL_U64, "LOGINS"},     {"failures", CTL_U64, "FAILURES"},
};

static const struct ctl_column credential_columns[] = {
	{"name", CTL_TEXT, "name"},         {"password", CTL_TEXT, "password"}, /* told here once, not kept */
	{"hostname", CTL_TEXT, "hostname"},                                     /* of the relay */
	{"port", CTL_U64, "port"}, /* null: the relay has no listener for hosting servers */
	{"tls", CTL_TEXT, "tls"},  /* starttls, implicit, none */
};

static const struct ctl_column message_columns[] = {
	{"id", CTL_TEXT, "ID"},
	{"state", CTL_TEXT, "STATE"}, /* queued, active, deferred, held, exported, importing */
	{"arrived", CTL_TIME, "ARRIVED"},
	{"size", CTL_SIZE, "SIZE"},
	{"server", CTL_TEXT, "SERVER"},
	{"account", CTL_TEXT, NULL},
	{"sender", CTL_TEXT, "SENDER"},
	{"recipients", CTL_U64, "RCPT"},
	{"pending", CTL_U64, "LEFT"},
	{"next_try", CTL_TIME, "NEXT TRY"},
	{"last_reply", CTL_TEXT, "LAST REPLY"},
	{"message_id", CTL_TEXT, NULL},
	{"client", CTL_TEXT, NULL}, /* address from which it was submitted */
	{"protocol", CTL_TEXT, NULL},
	{"tls", CTL_TEXT, NULL},
};

static const struct ctl_column recipient_columns[] = {
	{"number", CTL_U64, "NO"},      {"address", CTL_TEXT, "RECIPIENT"},
	{"state", CTL_TEXT, "STATE"}, /* queued, active, deferred, delivered, bounced, expired */
	{"attempts", CTL_U64, "TRIES"}, {"next_try", CTL_TIME, "NEXT TRY"},
	{"site", CTL_TEXT, "SITE"},     {"last_reply", CTL_TEXT, "LAST REPLY"},
};

static const struct ctl_column attempt_columns[] = {
	{"time", CTL_TIME, "TIME"},         {"recipient", CTL_U64, "RCPT"},
	{"result", CTL_TEXT, "RESULT"}, /* delivered, deferred, bounced, unknown */
	{"host", CTL_TEXT, "HOST"},         {"address", CTL_TEXT, "ADDRESS"},
	{"source", CTL_TEXT, NULL},         {"tls", CTL_TEXT, "TLS"},
	{"duration", CTL_DURATION, "TOOK"}, {"reply", CTL_TEXT, "REPLY"},
};

static const struct ctl_column queue_columns[] = {
	{"state", CTL_TEXT, "STATE"},          {"messages", CTL_U64, "MESSAGES"},
	{"recipients", CTL_U64, "RECIPIENTS"}, {"size", CTL_SIZE, "SIZE"},
	{"oldest", CTL_TIME, "OLDEST"},        {"next_try", CTL_TIME, "NEXT TRY"},
};

static const struct ctl_column event_columns[] = {
	{"time", CTL_TIME, "TIME"},
	{"id", CTL_TEXT, "ID"},
	{"event", CTL_TEXT, "EVENT"}, /* the names of record/record.h */
	{"server", CTL_TEXT, "SERVER"},
	{"account", CTL_TEXT, NULL},
	{"sender", CTL_TEXT, "SENDER"},
	{"recipient", CTL_TEXT, "RECIPIENT"},
	{"size", CTL_SIZE, NULL},
	{"client", CTL_TEXT, NULL},
	{"host", CTL_TEXT, "HOST"},
	{"address", CTL_TEXT, NULL},
	{"tls", CTL_TEXT, NULL},
	{"attempt", CTL_U64, NULL},
	{"duration", CTL_DURATION, "TOOK"},
	{"status", CTL_TEXT, "STATUS"}, /* RFC 3463 */
	{"reply", CTL_TEXT, "REPLY"},
};

static const struct ctl_column move_columns[] = {
	{"export", CTL_TEXT, "EXPORT"}, /* its number, on both relays */
	{"state", CTL_TEXT, "STATE"}, /* exporting, exported, importing, imported, refused; of an answer also what was done */
	{"messages", CTL_U64, "MESSAGES"}, {"size", CTL_SIZE, "SIZE"},
	{"skipped", CTL_U64, "SKIPPED"}, /* not exported because they were just being delivered, or over the limit */
	{"since", CTL_TIME, "SINCE"},
};

static const struct ctl_table_info tables[] = {
	{CTL_T_RELAY, "relay", .single = true, COLUMNS(relay_columns)},
	{CTL_T_PROCESS, "processes", COLUMNS(process_columns)},
	{CTL_T_SERVER, "servers", COLUMNS(server_columns)},
	{CTL_T_CREDENTIAL, "credential", .single = true, COLUMNS(credential_columns)},
	{CTL_T_MESSAGE, "messages", COLUMNS(message_columns)},
	{CTL_T_RECIPIENT, "recipients", COLUMNS(recipient_columns)},
	{CTL_T_ATTEMPT, "attempts", COLUMNS(attempt_columns)},
	{CTL_T_QUEUE, "queue", COLUMNS(queue_columns)},
	{CTL_T_EVENT, "events", COLUMNS(event_columns)},
	{CTL_T_MOVE, "moves", COLUMNS(move_columns)},
};

/* --- verbs ------------------------------------------------------------------------------------------------ */

static const struct ctl_column name_argument[] = {
	{"name", CTL_TEXT, "the hosting server"},
};
static const struct ctl_column import_arguments[] = {
	{"name", CTL_TEXT, "the hosting server"},
	{"hash", CTL_TEXT, "of its password: yescrypt, bcrypt, sha512-crypt or a SCRAM verifier"},
};
static const struct ctl_column id_argument[] = {
	{"id", CTL_TEXT, "the message"},
};
static const struct ctl_column export_argument[] = {
	{"limit", CTL_U64, "messages at most, the oldest first"},
};
static const struct ctl_column move_argument[] = {
	{"export", CTL_TEXT, "the number of the export"},
};
static const struct ctl_column list_arguments[] = {
	{"limit", CTL_U64, "rows at most; CTL_ROWS_DEFAULT without it, CTL_ROWS_MAX at most"},
	{"server", CTL_TEXT, "only messages of this hosting server"},
	{"sender", CTL_TEXT, "only messages of this sender"},
	{"recipient", CTL_TEXT, "only messages to this address, or with a leading @ to this domain"},
	{"state", CTL_TEXT, "only messages in this state"},
};
static const struct ctl_column recent_arguments[] = {
	{"limit", CTL_U64, "rows at most, the newest; CTL_ROWS_DEFAULT without it, CTL_ROWS_MAX at most"},
	{"server", CTL_TEXT, "only events of this hosting server"},
};

static const struct ctl_verb_info verbs[] = {
	{CTL_STATUS, "status", CTL_OWNER_PARENT, .tables = {CTL_T_RELAY, CTL_T_PROCESS}},
	{CTL_SERVER_ADD, "server.add", CTL_OWNER_AUTH, .changes = true, .tables = {CTL_T_CREDENTIAL},
	 ARGUMENTS(name_argument)},
	{CTL_SERVER_LIST, "server.list", CTL_OWNER_AUTH, .tables = {CTL_T_SERVER}},
	{CTL_SERVER_DISABLE, "server.disable", CTL_OWNER_AUTH, .changes = true, ARGUMENTS(name_argument)},
	{CTL_SERVER_ENABLE, "server.enable", CTL_OWNER_AUTH, .changes = true, ARGUMENTS(name_argument)},
	{CTL_SERVER_REMOVE, "server.remove", CTL_OWNER_AUTH, .changes = true, ARGUMENTS(name_argument)},
	{CTL_SERVER_ROTATE, "server.rotate", CTL_OWNER_AUTH, .changes = true, .tables = {CTL_T_CREDENTIAL},
	 ARGUMENTS(name_argument)},
	{CTL_SERVER_IMPORT, "server.import", CTL_OWNER_AUTH, .changes = true, ARGUMENTS(import_arguments)},
	{CTL_QUEUE_LIST, "queue.list", CTL_OWNER_QUEUE, .tables = {CTL_T_MESSAGE}, ARGUMENTS(list_arguments)},
	{CTL_QUEUE_SHOW, "queue.show", CTL_OWNER_QUEUE,
	 .tables = {CTL_T_MESSAGE, CTL_T_RECIPIENT, CTL_T_ATTEMPT}, ARGUMENTS(id_argument)},
	{CTL_QUEUE_STATS, "queue.stats", CTL_OWNER_QUEUE, .tables = {CTL_T_QUEUE}},
	{CTL_QUEUE_EXPORT, "queue.export", CTL_OWNER_QUEUE, .changes = true, .file = true,
	 .tables = {CTL_T_MOVE}, ARGUMENTS(export_argument)},
	{CTL_QUEUE_IMPORT, "queue.import", CTL_OWNER_QUEUE, .changes = true, .file = true,
	 .tables = {CTL_T_MOVE}},
	{CTL_QUEUE_ACKNOWLEDGE, "queue.acknowledge", CTL_OWNER_QUEUE, .changes = true, .tables = {CTL_T_MOVE},
	 ARGUMENTS(move_argument)},
	{CTL_QUEUE_RECLAIM, "queue.reclaim", CTL_OWNER_QUEUE, .changes = true, .tables = {CTL_T_MOVE},
	 ARGUMENTS(move_argument)},
	{CTL_QUEUE_REFUSE, "queue.refuse", CTL_OWNER_QUEUE, .changes = true, .tables = {CTL_T_MOVE},
	 ARGUMENTS(move_argument)},
	{CTL_QUEUE_MOVES, "queue.moves", CTL_OWNER_QUEUE, .tables = {CTL_T_MOVE}},
	{CTL_TRACE_RECENT, "trace.recent", CTL_OWNER_QUEUE, .tables = {CTL_T_EVENT},
	 ARGUMENTS(recent_arguments)},
	{CTL_TRACE_SHOW, "trace.show", CTL_OWNER_QUEUE, .tables = {CTL_T_EVENT}, ARGUMENTS(id_argument)},
	{CTL_RELOAD, "reload", CTL_OWNER_PARENT, .changes = true},
	{CTL_DRAIN, "drain", CTL_OWNER_PARENT, .changes = true},
	{CTL_STOP, "stop", CTL_OWNER_PARENT, .changes = true},
};

const struct ctl_verb_info *ctl_verb_info(unsigned verb)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (verbs[i].verb == verb)
			return &verbs[i];
	return NULL;
}

const struct ctl_verb_info *ctl_verb_by_name(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (slice_eq_str(name, verbs[i].name))
			return &verbs[i];
	return NULL;
}

const struct ctl_table_info *ctl_table_info(unsigned table)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		if (tables[i].table == table)
			return &tables[i];
	return NULL;
}

const struct ctl_column *ctl_table_column(const struct ctl_table_info *t, struct slice key)
{
	for (size_t i = 0; i < t->ncolumns; i++)
		if (slice_eq_str(key, t->columns[i].key))
			return &t->columns[i];
	return NULL;
}
