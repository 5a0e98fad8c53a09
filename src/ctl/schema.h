/* What can be asked of a relay and what it answers: verbs, tables and their columns, by stable names.
 *
 * Names of verbs, tables and columns are an interface (scripts read --json): add, never rename or change the
 * kind. A row may leave columns out; a column that is there has the kind said here or is null.
 */
#pragma once

#include "core/slice.h"

/* Values on the wire: add at the end only. */
enum ctl_verb {
	CTL_STATUS = 1,
	CTL_SERVER_ADD = 2,
	CTL_SERVER_LIST = 3,
	CTL_SERVER_DISABLE = 4,
	CTL_SERVER_ENABLE = 5,
	CTL_SERVER_REMOVE = 6,
	CTL_SERVER_ROTATE = 7,
	CTL_QUEUE_LIST = 8,
	CTL_QUEUE_SHOW = 9,
	CTL_QUEUE_STATS = 10,
	CTL_TRACE_RECENT = 11,
	CTL_TRACE_SHOW = 12,
	CTL_RELOAD = 13,
	CTL_DRAIN = 14,
	CTL_STOP = 15,
	CTL_QUEUE_EXPORT = 16,
	CTL_QUEUE_IMPORT = 17,
	CTL_QUEUE_ACKNOWLEDGE = 18,
	CTL_QUEUE_RECLAIM = 19,
	CTL_QUEUE_REFUSE = 20,
	CTL_QUEUE_MOVES = 21,
	CTL_SERVER_IMPORT = 30,
};

/* The process that answers a verb. The parent accepts every connection and hands on what is not its own. */
enum ctl_owner { CTL_OWNER_PARENT, CTL_OWNER_AUTH, CTL_OWNER_QUEUE };

enum ctl_table {
	CTL_T_RELAY = 1,      /* one row: health and counts */
	CTL_T_PROCESS = 2,    /* a child process */
	CTL_T_SERVER = 3,     /* a hosting server that may submit */
	CTL_T_CREDENTIAL = 4, /* one row: a new password and where to use it */
	CTL_T_MESSAGE = 5,    /* a queued message */
	CTL_T_RECIPIENT = 6,  /* a recipient of one message */
	CTL_T_ATTEMPT = 7,    /* a delivery attempt */
	CTL_T_QUEUE = 8,      /* counts of one state of the queue */
	CTL_T_EVENT = 9,      /* a step in a message's life */
	CTL_T_MOVE = 10,      /* queued mail that moves between relays */
};

enum ctl_kind {
	CTL_NULL = 0,
	CTL_TEXT = 1,
	CTL_U64 = 2,
	CTL_I64 = 3,
	CTL_TIME = 4,     /* ms since 1970-01-01 UTC */
	CTL_DURATION = 5, /* ms */
	CTL_SIZE = 6,     /* octets */
	CTL_BOOL = 7,
	CTL_LIST = 8, /* of strings */
};

struct ctl_column {
	const char *key; /* in frames and JSON */
	enum ctl_kind kind;
	const char *heading; /* of the aligned table; NULL: only in JSON and in single-row views */
};

struct ctl_table_info {
	enum ctl_table table;
	const char *name; /* in JSON */
	bool single;      /* at most one row: shown as "key: value" lines, in JSON an object, not an array */
	const struct ctl_column *columns;
	size_t ncolumns;
};

struct ctl_verb_info {
	enum ctl_verb verb;
	const char *name; /* "queue.list" */
	enum ctl_owner owner;
	bool changes;                       /* to be written to the audit log */
	bool file;                          /* the server asks for a file's descriptor */
	enum ctl_table tables[3];           /* that an answer may hold, in this order; 0 ends */
	const struct ctl_column *arguments; /* heading: what the argument means */
	size_t narguments;
};

const struct ctl_verb_info *ctl_verb_info(unsigned verb);        /* NULL: unknown */
const struct ctl_verb_info *ctl_verb_by_name(struct slice name); /* NULL: unknown */
const struct ctl_table_info *ctl_table_info(unsigned table);     /* NULL: unknown */
/* The column of that name, NULL if the table has none. */
const struct ctl_column *ctl_table_column(const struct ctl_table_info *t, struct slice key);
