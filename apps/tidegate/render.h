/* An answer on its way to the screen: rows are collected, then shown as aligned tables or as one JSON object.
 *
 * JSON has a member for every table of the verb: an object (or null) for a table of a single row, else an array.
 * Names are those of ctl/schema.h. Times are RFC 3339 in UTC, durations milliseconds, sizes octets; what is not
 * known is null; octets that are not UTF-8 become U+FFFD.
 */
#pragma once

#include "core/buf.h"
#include "ctl/control.h"

#define RENDER_TABLES     3u
#define RENDER_ROWS_MAX   (256u * 1024 * 1024) /* octets of rows kept */
#define RENDER_OUTPUT_MAX (512u * 1024 * 1024) /* octets of text made */

struct render_options {
	int64_t now_ms; /* wall clock, for relative times */
	size_t columns; /* of the terminal: the last column is cut to fit; 0: never cut */
	bool color;
	bool records; /* a first table with exactly one row is shown as a record: "key  value" lines */
};

struct render {
	const struct ctl_verb_info *verb;
	struct render_options o;
	struct {
		const struct ctl_table_info *info; /* NULL: no further table */
		struct buf rows;                   /* u16 count, u32 length, fields: of each row */
		size_t count;
	} tables[RENDER_TABLES];
};

void render_init(struct render *r, const struct ctl_verb_info *verb, const struct render_options *o);
void render_done(struct render *r); /* fit for CLEANUP */

/* ERR_CORRUPT: a table that does not belong to the verb, or a second row of a single one; ERR_LIMIT; ERR_NOMEM. */
MUST_CHECK enum err render_add(struct render *r, const struct ctl_frame *row);
/* A value of the first row of a table; false if there is none. Borrowed from r. */
bool render_first(const struct render *r, enum ctl_table table, const char *key, struct ctl_field *ret);

/* Check out->failed. */
void render_tables(const struct render *r, struct buf *out);
MUST_CHECK enum err render_json(const struct render *r, struct buf *out);
