/* The one description of every configuration key, from which everything about it follows: how it is read and
 * checked (load.c, value.c), sent to the children (epoch.c), shown (show.c) and documented (manual.c).
 *
 * To add a key: a member in conf/conf.h and a line in schema.c. Nothing else.
 */
#pragma once

#include "core/slice.h"

enum conf_type {                   /* member's C type */
		 CONF_STRING,      /* struct slice */
		 CONF_HOSTNAME,    /* struct slice: letters, digits, hyphens, dots */
		 CONF_MAILBOX,     /* struct slice: local@domain */
		 CONF_PATH,        /* struct slice: absolute */
		 CONF_DESTINATION, /* struct slice: "mx" or "host:port" */
		 CONF_BOOL,        /* bool: true or false */
		 CONF_INTEGER,     /* uint64_t */
		 CONF_SIZE,        /* uint64_t, octets */
		 CONF_DURATION,    /* uint64_t, ms */
		 CONF_ENUM,        /* an enum whose values are indices into choices */
		 CONF_DURATIONS,   /* struct conf_numbers, ms */
		 CONF_LISTENS,     /* struct conf_texts: IP address with port, or unix:/path */
		 CONF_SERVERS,     /* struct conf_texts: IP address, port optional */
		 CONF_SOURCES,     /* struct conf_texts: IP address without port */
		 CONF_NETWORKS,    /* struct conf_texts: prefix of IP addresses, or "unix" */
};

struct conf_field {
	const char *key;
	enum conf_type type;
	size_t offset;        /* of the member in its section's struct */
	const char *standard; /* default as written in a file, list items separated by ", "; "": not set */
	uint64_t min, max;    /* of a number; of each number of a list */
	const char *const *choices; /* CONF_ENUM: NULL-terminated */
	bool required;              /* has no default, must be given */
	bool derived;               /* "" in the file means a value that is found out when it is read */
	const char *help;           /* whole sentences, for the manual */
	const char *example;        /* as written in a file */
	const char *since;          /* version */
};

struct conf_section {
	const char *name;  /* "" for the top level */
	const char *title; /* what the title of a repeated section names, NULL: the section stands once */
	const char *help;
	size_t offset;       /* in struct conf: of the member struct, or of the array pointer if repeated */
	size_t count_offset; /* repeated: of the size_t count */
	size_t size;         /* of the struct */
	size_t title_offset; /* repeated: of the struct slice for the title */
	size_t max_count;
	MUST_CHECK enum err (*check_title)(struct slice title); /* NULL: not repeated */
	const char *title_rule;                                 /* "a title is ..." for messages */
	const char *standard; /* repeated: text of the section that stands in where none is given */
	const struct conf_field *fields;
	size_t nfields;
};

extern const struct conf_section conf_schema[];
extern const size_t conf_schema_count; /* at most 32 */

const struct conf_section *conf_schema_section(struct slice name); /* NULL: unknown */
const struct conf_field *conf_schema_field(const struct conf_section *s, struct slice key);

bool conf_type_is_list(enum conf_type t);
const char *conf_type_name(enum conf_type t); /* "size", "list of durations": for the manual */

/* CRC-32C over names, types and choices: equal in two binaries that understand each other's epochs. */
uint32_t conf_schema_crc(void);
