#include "tidegate/cell.h"

#include "core/text.h"

#include <inttypes.h>
#include <time.h>

/* --- text ------------------------------------------------------------------------------------------------- */

/* Characters that change how the rest of a line is shown: C1 controls, line separators, direction marks. */
static bool is_treacherous(uint32_t cp)
{
	return (cp >= 0x80 && cp < 0xa0) || (cp >= 0x200e && cp <= 0x200f) ||
	       (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0x061c ||
	       cp == 0xfeff;
}

static void escape_octet(struct buf *out, unsigned char c)
{
	if (c == '\n')
		buf_add_str(out, "\\n");
	else if (c == '\r')
		buf_add_str(out, "\\r");
	else if (c == '\t')
		buf_add_str(out, "\\t");
	else
		buf_printf(out, "\\x%02x", c);
}

void cell_text(struct buf *out, struct slice text)
{
	while (text.len > 0) {
		uint32_t cp = 0;
		size_t n = utf8_next(text, &cp);
		if (n == 0 || cp < 0x20 || cp == 0x7f) {
			n = 1;
			escape_octet(out, (unsigned char)text.ptr[0]);
		} else if (is_treacherous(cp)) {
			buf_printf(out, "\\u{%04" PRIx32 "}", cp);
		} else {
			buf_add(out, slice_sub(text, 0, n));
		}
		text = slice_from(text, n);
	}
}

/* --- time ------------------------------------------------------------------------------------------------- */

static bool split_time(int64_t wall_ms, struct tm *ret, unsigned *ret_ms)
{
	int64_t ms = wall_ms % 1000;
	time_t seconds = (time_t)(wall_ms / 1000);

	if (ms < 0) {
		ms += 1000;
		seconds--;
	}
	*ret_ms = (unsigned)ms;
	return gmtime_r(&seconds, ret) && ret->tm_year >= -900 && ret->tm_year <= 8099;
}

static void add_date(struct buf *out, const struct tm *t, char between)
{
	buf_printf(out, "%04d-%02d-%02d%c%02d:%02d:%02d", t->tm_year + 1900, t->tm_mon + 1, t->tm_mday,
		   between, t->tm_hour, t->tm_min, t->tm_sec);
}

bool cell_timestamp(struct buf *out, int64_t wall_ms)
{
	struct tm t;
	unsigned ms;

	if (!split_time(wall_ms, &t, &ms))
		return false;
	add_date(out, &t, 'T');
	buf_printf(out, ".%03uZ", ms);
	return true;
}

void cell_relative(struct buf *out, int64_t wall_ms, int64_t now_ms)
{
	bool past = wall_ms <= now_ms;
	uint64_t s =
		(past ? (uint64_t)now_ms - (uint64_t)wall_ms : (uint64_t)wall_ms - (uint64_t)now_ms) / 1000;

	if (s == 0) {
		buf_add_str(out, "now");
		return;
	}
	if (!past)
		buf_add_str(out, "in ");
	if (s < 120)
		buf_printf(out, "%" PRIu64 "s", s);
	else if (s < 120 * 60)
		buf_printf(out, "%" PRIu64 "min", s / 60);
	else if (s < 48 * 3600)
		buf_printf(out, "%" PRIu64 "h", s / 3600);
	else
		buf_printf(out, "%" PRIu64 "d", s / 86400);
	if (past)
		buf_add_str(out, " ago");
}

static void add_time(struct buf *out, int64_t wall_ms, const struct cell_style *st)
{
	struct tm t;
	unsigned ms;

	if (!st->full) {
		cell_relative(out, wall_ms, st->now_ms);
		return;
	}
	if (split_time(wall_ms, &t, &ms)) {
		add_date(out, &t, ' ');
		buf_add_str(out, "Z (");
		cell_relative(out, wall_ms, st->now_ms);
		buf_add_char(out, ')');
	} else {
		buf_printf(out, "%" PRId64 " ms", wall_ms);
	}
}

/* --- values ----------------------------------------------------------------------------------------------- */

static void add_list(struct buf *out, const struct ctl_field *f)
{
	struct slice rest = f->v.list.data, item;

	for (bool first = true; ctl_list_next(&rest, &item); first = false) {
		if (!first)
			buf_add_str(out, ", ");
		cell_text(out, item);
	}
}

void cell_format(const struct ctl_field *f, const struct cell_style *st, struct buf *out)
{
	switch (f->kind) {
	case CTL_NULL:
		buf_add_char(out, '-');
		break;
	case CTL_TEXT:
		cell_text(out, f->v.text);
		break;
	case CTL_U64:
		buf_printf(out, "%" PRIu64, f->v.u64);
		break;
	case CTL_I64:
		buf_printf(out, "%" PRId64, f->v.i64);
		break;
	case CTL_TIME:
		add_time(out, f->v.i64, st);
		break;
	case CTL_DURATION:
		text_format_duration(out, f->v.u64);
		break;
	case CTL_SIZE:
		text_format_size(out, f->v.u64);
		break;
	case CTL_BOOL:
		buf_add_str(out, f->v.flag ? "yes" : "no");
		break;
	case CTL_LIST:
		add_list(out, f);
		break;
	}
}
