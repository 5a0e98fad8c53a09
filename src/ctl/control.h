/* The control protocol between `tidegate` and `tidegated`: one request, any number of rows, one end. Pure.
 *
 * Frame (integers little endian):
 *
 *     u32 length   octets that follow
 *     u8  version  CTL_VERSION
 *     u8  type     enum ctl_type
 *     REQUEST:  u16 verb,   fields
 *     ROW:      u16 table,  fields
 *     END:      i32 status (enum err), u32 length + text, fields
 *     FILE:     nothing more: the server asks for the descriptor of a file that the client has opened
 *
 *     fields:   u16 count, then each: u8 length + key, u8 kind, value by kind
 *
 * Which verbs and tables there are, and the columns of each table, stand in ctl/schema.h: the servers that
 * fill a row and the command line that shows it (as a table or as JSON) read the same description.
 *
 * Invariants:
 *  1. A connection carries exactly one request; nothing follows it. So a process that has read a request may
 *     hand the descriptor and the request's octets to the process that owns the answer (ctl/server.h). One octet
 *     follows a FILE frame, with the file's descriptor: a daemon never opens a path that it was told.
 *  2. An answer ends with exactly one END. Its absence means that the answer is not complete.
 *  3. Decoding checks everything (limits.h, kinds, UTF-8 of keys, no trailing octets) before it gives a frame
 *     out; reading the fields of a decoded frame cannot fail.
 *  4. Text values are octets as they came, also from the network: who shows them escapes them.
 */
#pragma once

#include "core/buf.h"
#include "core/cursor.h"
#include "core/diag.h"
#include "ctl/limits.h"
#include "ctl/schema.h"

#define CTL_VERSION 1

enum ctl_type { CTL_REQUEST = 1, CTL_ROW = 2, CTL_END = 3, CTL_FILE = 4 };

/* One field of a decoded frame; borrowed from the frame's octets. */
struct ctl_field {
	struct slice key;
	enum ctl_kind kind;
	union {
		struct slice text; /* CTL_TEXT */
		uint64_t u64;      /* CTL_U64, CTL_DURATION (ms), CTL_SIZE (octets) */
		int64_t i64;       /* CTL_I64, CTL_TIME (ms since 1970-01-01 UTC) */
		bool flag;         /* CTL_BOOL */
		struct {
			struct slice data; /* read with ctl_list_next */
			unsigned count;
		} list; /* CTL_LIST */
	} v;
};

/* The fields of a decoded frame; borrowed. */
struct ctl_view {
	struct slice data;
	unsigned count;
};

struct ctl_frame {
	enum ctl_type type;
	enum ctl_verb verb;   /* REQUEST */
	enum ctl_table table; /* ROW */
	enum err status;      /* END: ERR_OK or why it failed */
	struct slice message; /* END: words for the administrator; may be empty */
	struct ctl_view fields;
};

/* --- building ---------------------------------------------------------------------------------------------
 */

/* Fields under construction. Limits and memory are checked once, by ctl_encode_*: a builder that failed makes
 * them return the error. Keys are string literals. */
struct ctl_fields {
	struct buf data;
	unsigned count;
};
void ctl_fields_init(struct ctl_fields *f);
void ctl_fields_done(struct ctl_fields *f);  /* fit for CLEANUP */
void ctl_fields_clear(struct ctl_fields *f); /* for the next row; keeps the allocation */

void ctl_add_text(struct ctl_fields *f, const char *key, struct slice value);
void ctl_add_str(struct ctl_fields *f, const char *key, const char *value); /* NULL: as ctl_add_null */
void ctl_add_u64(struct ctl_fields *f, const char *key, uint64_t value);
void ctl_add_i64(struct ctl_fields *f, const char *key, int64_t value);
void ctl_add_time(struct ctl_fields *f, const char *key, int64_t wall_ms);
void ctl_add_duration(struct ctl_fields *f, const char *key, uint64_t ms);
void ctl_add_size(struct ctl_fields *f, const char *key, uint64_t octets);
void ctl_add_bool(struct ctl_fields *f, const char *key, bool value);
void ctl_add_null(struct ctl_fields *f, const char *key); /* "never", "none", "not known" */
void ctl_add_list(struct ctl_fields *f, const char *key, const struct slice *items, size_t n);

/* Append a whole frame to out. On failure (ERR_LIMIT, ERR_NOMEM) its content is as before; out->failed is set if
 * out itself was too small. f may be NULL: no fields. */
MUST_CHECK enum err ctl_encode_request(struct buf *out, enum ctl_verb verb, const struct ctl_fields *f);
MUST_CHECK enum err ctl_encode_row(struct buf *out, enum ctl_table table, const struct ctl_fields *f);
MUST_CHECK enum err ctl_encode_end(struct buf *out, enum err status, struct slice message,
				   const struct ctl_fields *f);

MUST_CHECK enum err ctl_encode_file(struct buf *out);

/* --- reading ----------------------------------------------------------------------------------------------
 */

/* Decodes the frame at the start of in, of at most `max` octets. ERR_OK: *ret borrows from in, *ret_used
 * octets belong to it. ERR_AGAIN: not whole yet. ERR_LIMIT, ERR_CORRUPT, ERR_UNSUPPORTED (another version, an
 * unknown verb or table): with words; the connection is of no more use. */
MUST_CHECK enum err ctl_decode(struct slice in, size_t max, struct ctl_frame *ret, size_t *ret_used,
			       struct diag *d);

/* Iterates: *pos starts at 0. False at the end. */
bool ctl_view_next(const struct ctl_view *v, size_t *pos, struct ctl_field *ret);
/* The next string of a CTL_LIST field: *rest starts as v.list.data. False at the end. */
bool ctl_list_next(struct slice *rest, struct slice *ret);

/* By key; the first if there are several. False or the fallback where it is missing, null or of another kind.
 */
bool ctl_view_find(const struct ctl_view *v, const char *key, struct ctl_field *ret);
struct slice ctl_get_text(const struct ctl_view *v, const char *key, struct slice fallback);
uint64_t ctl_get_u64(const struct ctl_view *v, const char *key, uint64_t fallback);
bool ctl_get_bool(const struct ctl_view *v, const char *key, bool fallback);
