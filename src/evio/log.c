#include "evio/log.h"

#include "core/mem.h"
#include "core/text.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define LOG_PROC_MAX 31
#define LOG_TAIL     32 /* kept free behind the fields for " lost=<u64>" and the newline */

/* What kind of descriptor the sink is: each has its own way of not blocking. */
enum sink_kind { KIND_FILE, KIND_SOCKET, KIND_PIPE };

struct log {
	struct loop *loop; /* borrowed: the clock */
	int fd;            /* owned unless it is stderr */
	enum log_sink sink;
	enum sink_kind kind;
	enum log_level level;
	uint64_t lost; /* lines since the last one that went through */
	bool torn;     /* the last line went out in part: the next starts on a fresh one */
	char proc[LOG_PROC_MAX + 1];
};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

/* RFC 3164 4.1.1: facility 2 (mail) times 8, plus severity err, warning, info, debug. */
static const unsigned syslog_priority[] = {16 + 3, 16 + 4, 16 + 6, 16 + 7};

static enum sink_kind kind_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || S_ISREG(st.st_mode))
		return KIND_FILE;
	return S_ISSOCK(st.st_mode) ? KIND_SOCKET : KIND_PIPE;
}

static void close_fd(int fd)
{
	if (fd > STDERR_FILENO)
		base_close(&fd);
}

enum err log_new(struct loop *l, int fd, enum log_sink sink, enum log_level level, const char *proc,
		 struct log **ret, struct diag *d)
{
	struct log *lg = NEW(struct log);

	if (!lg) {
		close_fd(fd);
		return diag_set(d, ERR_NOMEM, "no memory for the log");
	}
	lg->loop = l;
	lg->fd = fd;
	lg->sink = sink;
	lg->kind = kind_of(fd);
	lg->level = level;
	snprintf(lg->proc, sizeof(lg->proc), "%s", proc);
	*ret = lg;
	return ERR_OK;
}

void log_set_fd(struct log *lg, int fd)
{
	if (fd != lg->fd)
		close_fd(lg->fd);
	lg->fd = fd;
	lg->kind = kind_of(fd);
	lg->torn = false;
}

void log_set_level(struct log *lg, enum log_level level)
{
	lg->level = level;
}

void log_free(struct log *lg)
{
	if (!lg)
		return;
	close_fd(lg->fd);
	mem_free(lg);
}

/* "2026-11-23T16:20:01.123Z ": UTC, so that lines of machines and seasons compare as text. */
static void add_time(struct buf *out, int64_t wall_ms)
{
	int64_t ms = wall_ms % 1000;
	time_t sec;
	struct tm tm;

	if (ms < 0)
		ms += 1000;
	sec = (time_t)((wall_ms - ms) / 1000);
	gmtime_r(&sec, &tm);
	buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
		   tm.tm_hour, tm.tm_min, tm.tm_sec, (int)ms);
}

/* RFC 3164 4.1: "<22>Nov  3 16:20:01 tidegated[123]: ". Local time is what syslog daemons expect; the zone was
 * loaded before the jail. Month names are fixed English, whatever the locale. */
static void add_syslog_header(struct buf *out, enum log_level level, int64_t wall_ms)
{
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t sec = (time_t)(wall_ms / 1000);
	struct tm tm;

	localtime_r(&sec, &tm);
	buf_printf(out, "<%u>%s %2d %02d:%02d:%02d tidegated[%ld]: ", syslog_priority[level],
		   months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (long)getpid());
}

struct log_line log_begin(struct log *lg, enum log_level level, const char *event)
{
	struct log_line l = {0};
	size_t max;

	if (!lg || level > lg->level)
		return l;
	max = lg->kind == KIND_PIPE ? MIN(LOG_LINE_MAX, PIPE_BUF) : LOG_LINE_MAX;
	l.log = lg;
	buf_init(&l.text, max - LOG_TAIL);
	if (lg->torn)
		buf_add_char(&l.text, '\n');
	if (lg->sink == LOG_SINK_SYSLOG)
		add_syslog_header(&l.text, level, loop_wall(lg->loop));
	else
		add_time(&l.text, loop_wall(lg->loop));
	buf_printf(&l.text, "level=%s proc=", level_names[level]);
	text_quote(&l.text, slice_str(lg->proc));
	buf_printf(&l.text, " event=%s", event);
	return l;
}

/* The first n octets or fewer, so that no UTF-8 sequence is cut. */
static struct slice cut_utf8(struct slice s, size_t n)
{
	while (n > 0 && n < s.len && ((unsigned char)s.ptr[n] & 0xC0) == 0x80)
		n--;
	return slice_sub(s, 0, n);
}

/* One field, whole or (sticky failure undone) not at all. */
static bool try_field(struct buf *text, const char *key, struct slice value, bool cut)
{
	CLEANUP(buf_done) struct buf marked = {0};
	size_t before = text->len;

	if (cut) {
		buf_init(&marked, value.len + 3);
		buf_add(&marked, value);
		buf_add_str(&marked, "...");
		value = buf_slice(&marked);
	}
	buf_printf(text, " %s=", key);
	text_quote(text, value);
	if (!text->failed)
		return true;
	text->failed = ERR_OK;
	text->len = before;
	return false;
}

void log_str(struct log_line *l, const char *key, struct slice value)
{
	size_t n = MIN(value.len, (size_t)LOG_VALUE_MAX);

	if (!l->log || l->text.failed)
		return;
	/* Escaping may make a value four times as long: halve it until it fits; at the very end of the line
	 * not even "..." does, and the field is left out. */
	while (!try_field(&l->text, key, cut_utf8(value, n), n < value.len) && n > 0)
		n /= 2;
}

void log_cstr(struct log_line *l, const char *key, const char *value)
{
	log_str(l, key, slice_str(value));
}

void log_u64(struct log_line *l, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	log_cstr(l, key, text);
}

void log_i64(struct log_line *l, const char *key, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	log_cstr(l, key, text);
}

/* Pipes and terminals shared with other programs must keep their blocking mode (it belongs to the open file,
 * not to us), so each write asks not to wait. Kernels that do not know how for pipes (before 6.4) are asked for
 * room first: a pipe that polls writable takes PIPE_BUF octets. */
static ssize_t write_pipe(int fd, const struct iovec *iov)
{
	ssize_t r = pwritev2(fd, iov, 1, -1, RWF_NOWAIT);
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	if (r >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL))
		return r;
	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT))
		return -1;
	return write(fd, iov->iov_base, iov->iov_len);
}

static ssize_t write_once(const struct log *lg, struct slice line)
{
	struct iovec iov = {.iov_base = (void *)line.ptr, .iov_len = line.len};

	switch (lg->kind) {
	case KIND_SOCKET:
		return send(lg->fd, line.ptr, line.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	case KIND_PIPE:
		return write_pipe(lg->fd, &iov);
	case KIND_FILE:
		break;
	}
	return write(lg->fd, line.ptr, line.len);
}

void log_end(struct log_line *l)
{
	struct log *lg = l->log;
	ssize_t r = -1;

	if (!lg)
		return;
	l->text.max += LOG_TAIL;
	if (lg->lost > 0)
		buf_printf(&l->text, " lost=%llu", (unsigned long long)lg->lost);
	if (lg->sink != LOG_SINK_SYSLOG) /* a datagram is its own frame */
		buf_add_char(&l->text, '\n');
	if (!l->text.failed)
		r = write_once(lg, buf_slice(&l->text));
	if (r == (ssize_t)l->text.len) {
		lg->lost = 0;
		lg->torn = false;
	} else {
		lg->lost++;
		lg->torn = lg->torn || r > 0;
	}
	buf_done(&l->text);
	l->log = NULL;
}

void log_event(struct log *lg, enum log_level level, const char *event, ...)
{
	struct log_line l = log_begin(lg, level, event);
	const char *key;
	va_list ap;

	va_start(ap, event);
	while ((key = va_arg(ap, const char *)))
		log_cstr(&l, key, va_arg(ap, const char *));
	va_end(ap);
	log_end(&l);
}
