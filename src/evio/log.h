/* Structured log: one key=value line per event, with a stable dotted name. Libraries do not log; processes
 * do.
 *
 *     2026-11-23T16:20:01.123Z level=info proc=smtpd.0 event=auth.failed server=houston peer=192.0.2.7 ...
 *
 * Values are escaped in one place (text_quote): control characters can never forge a line. A line is written
 * with one write(2); a full or broken sink never blocks or ends the process: lost lines are counted and
 * reported by the next line that goes through.
 */
#pragma once

#include "core/buf.h"
#include "evio/loop.h"

#define LOG_LINE_MAX  8192 /* octets of a line with its newline; 4096 where the sink is a pipe (PIPE_BUF) */
#define LOG_VALUE_MAX 2048 /* octets of one value before escaping */

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
enum log_sink { LOG_SINK_STDERR, LOG_SINK_FILE, LOG_SINK_SYSLOG };

struct log; /* opaque */

/* fd: where lines go (the parent opens it: stderr, a file with O_APPEND, or a connected /dev/log datagram
 * socket). It is owned, also on failure, unless it is stderr. proc is copied (at most 31 octets). The log takes
 * its clock from the loop. */
MUST_CHECK enum err log_new(struct loop *l, int fd, enum log_sink sink, enum log_level level,
			    const char *proc, struct log **ret, struct diag *d);
void log_set_fd(struct log *lg,
		int fd); /* reopening: the new descriptor, owned; the old one is closed unless it is stderr */
void log_set_level(struct log *lg, enum log_level level);
void log_free(struct log *lg);

/* Building a line: log_begin, any number of fields, log_end. Nothing happens below the level. At most
 * LOG_LINE_MAX; longer values are cut and end in "...". To syslog (RFC 3164 framing, facility mail) the daemon's
 * own header takes the place of the time stamp. */
struct log_line {
	struct log *log; /* NULL: below the level */
	struct buf text;
};
struct log_line log_begin(struct log *lg, enum log_level level, const char *event);
void log_str(struct log_line *l, const char *key, struct slice value);
void log_cstr(struct log_line *l, const char *key, const char *value);
void log_u64(struct log_line *l, const char *key, uint64_t value);
void log_i64(struct log_line *l, const char *key, int64_t value);
void log_end(struct log_line *l);

/* Whole line in one call for fixed keys: log_event(lg, LOG_INFO, "queue.start", "spool", "/var/...", NULL).
 */
void log_event(struct log *lg, enum log_level level, const char *event,
	       ... /* const char *key, *value, NULL */) __attribute__((sentinel));
