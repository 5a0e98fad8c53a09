#include "auth/credential.h"

#include "core/mem.h"

#include <time.h>

#define FIRST_LINE  SLICE_LIT("tidegate-credentials 1")
#define FIRST_WORD  SLICE_LIT("tidegate-credentials ")
#define STAMP_LEN   20             /* "2026-11-23T16:20:01Z" */
#define SECONDS_MAX 253402300799LL /* 9999-12-31T23:59:59Z: the last that has four digits of year */

/* ---- time stamps ---- */

static void add_stamp(struct buf *out, int64_t ms)
{
	time_t sec = (time_t)(MIN(MAX(ms, 0) / 1000, SECONDS_MAX));
	struct tm tm;

	gmtime_r(&sec, &tm);
	buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
		   tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static int digits(struct slice s, size_t from, size_t len)
{
	uint64_t v;

	return slice_to_u64(slice_sub(s, from, len), INT32_MAX, &v) ? -1 : (int)v;
}

/* Accepts exactly what add_stamp writes: the way back must give the same text. */
static bool parse_stamp(struct slice s, int64_t *ret_ms)
{
	CLEANUP(buf_done) struct buf again = {0};
	struct tm tm = {
		.tm_year = digits(s, 0, 4) - 1900,
		.tm_mon = digits(s, 5, 2) - 1,
		.tm_mday = digits(s, 8, 2),
		.tm_hour = digits(s, 11, 2),
		.tm_min = digits(s, 14, 2),
		.tm_sec = digits(s, 17, 2),
	};
	int64_t ms;

	if (s.len != STAMP_LEN)
		return false;
	ms = (int64_t)timegm(&tm) * 1000;
	buf_init(&again, STAMP_LEN * 2);
	add_stamp(&again, ms);
	if (again.failed || !slice_eq(buf_slice(&again), s))
		return false;
	*ret_ms = ms;
	return true;
}

/* ---- writing ---- */

static void add_line(struct buf *out, const struct credential *c)
{
	buf_printf(out, "%s ", c->name);
	verifier_format(&c->verifier, out);
	buf_add_str(out, " created=");
	add_stamp(out, c->created_ms);
	buf_add_str(out, " rotated=");
	add_stamp(out, c->rotated_ms);
	buf_add_str(out, c->disabled ? " disabled\n" : "\n");
}

enum err credential_write(const struct credential_table *t, struct buf *out)
{
	size_t n;
	struct credential **all = credential_sorted(t, &n);

	if (!all)
		return ERR_NOMEM;
	buf_add(out, FIRST_LINE);
	buf_add_char(out, '\n');
	for (size_t i = 0; i < n; i++)
		add_line(out, all[i]);
	mem_free(all);
	return out->failed;
}

/* ---- reading ---- */

static enum err parse_time(struct slice word, struct slice key, int64_t *ret_ms, struct diag *d)
{
	if (!slice_starts(word, key) || !parse_stamp(slice_from(word, key.len), ret_ms))
		return diag_set(d, ERR_SYNTAX, "expected %.*sYYYY-MM-DDTHH:MM:SSZ", SLICE_ARG(key));
	return ERR_OK;
}

static enum err parse_times(struct slice *rest, struct credential *c, struct diag *d)
{
	enum err e = parse_time(slice_split(rest, ' '), SLICE_LIT("created="), &c->created_ms, d);

	return e ? e : parse_time(slice_split(rest, ' '), SLICE_LIT("rotated="), &c->rotated_ms, d);
}

static enum err parse_line(struct credential_table *t, struct slice line, struct diag *d)
{
	struct slice rest = line, name = slice_split(&rest, ' '), verifier = slice_split(&rest, ' ');
	struct credential times, *c;
	struct verifier v;
	enum err e;

	if (line.len > AUTH_CREDENTIALS_LINE)
		return diag_set(d, ERR_LIMIT, "line of %zu octets, at most %d", line.len,
				AUTH_CREDENTIALS_LINE);
	e = verifier_parse(verifier, &v, d);
	if (!e)
		e = parse_times(&rest, &times, d);
	if (e)
		return e;
	if (rest.ptr && !slice_eq_str(rest, "disabled"))
		return diag_set(d, ERR_SYNTAX, "expected \"disabled\" or the end of the line");
	e = credential_add(t, name, &v, 0, &c, d);
	if (e)
		return e;
	c->created_ms = times.created_ms;
	c->rotated_ms = times.rotated_ms;
	c->disabled = rest.ptr != NULL;
	return ERR_OK;
}

static enum err check_first(struct slice line, struct diag *d)
{
	if (slice_eq(line, FIRST_LINE))
		return ERR_OK;
	if (slice_starts(line, FIRST_WORD))
		return diag_set(d, ERR_UNSUPPORTED, "format \"%.*s\" is not known to this version",
				SLICE_ARG(slice_sub(line, 0, 40)));
	return diag_set(d, ERR_SYNTAX, "the first line is not \"%.*s\"", SLICE_ARG(FIRST_LINE));
}

static enum err parse_lines(struct credential_table *t, struct slice text, size_t *ret_line, struct diag *d)
{
	struct slice rest = text;
	enum err e = ERR_OK;

	if (text.len > AUTH_CREDENTIALS_FILE)
		return diag_set(d, ERR_LIMIT, "file of %zu octets, at most %u", text.len,
				AUTH_CREDENTIALS_FILE);
	for (*ret_line = 1; !e; ++*ret_line) {
		struct slice line = slice_split(&rest, '\n');

		if (!rest.ptr && *ret_line > 1 && line.len == 0)
			return ERR_OK; /* behind the last LF */
		if (!rest.ptr)
			e = diag_set(d, ERR_SYNTAX, "the line is cut off: no newline at its end");
		else
			e = *ret_line == 1 ? check_first(line, d) : parse_line(t, line, d);
		if (e)
			break;
	}
	return e;
}

enum err credential_parse(struct credential_table *t, struct slice text, const char *file, struct diag *d)
{
	size_t line = 1;
	enum err e;

	ASSERT(credential_count(t) == 0);
	e = parse_lines(t, text, &line, d);
	if (!e)
		return ERR_OK;
	credential_table_done(t);
	credential_table_init(t);
	diag_prefix(d, "%s:%zu", file, line);
	return e;
}
