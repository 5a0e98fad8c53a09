#include "mail/date.h"

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
				     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

/* Days since 1970-01-01 of a Gregorian date and back; eras of 400 years begin in March (Hinnant, "chrono-compatible
 * low-level date algorithms"). */
static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
	y -= m <= 2;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	unsigned yoe = (unsigned)(y - era * 400);
	unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + (int64_t)doe - 719468;
}

static void civil_from_days(int64_t z, int64_t *y, unsigned *m, unsigned *d)
{
	z += 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	unsigned doe = (unsigned)(z - era * 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153;
	*d = doy - (153 * mp + 2) / 5 + 1;
	*m = mp < 10 ? mp + 3 : mp - 9;
	*y = (int64_t)yoe + era * 400 + (*m <= 2);
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

void mail_date_format(int64_t unix_ms, struct buf *out)
{
	int64_t s = floor_div(unix_ms, 1000), day = floor_div(s, 86400), y;
	unsigned sod = (unsigned)(s - day * 86400), m, d;
	civil_from_days(day, &y, &m, &d);
	unsigned weekday = (unsigned)(((day + 4) % 7 + 7) % 7);
	buf_printf(out, "%s, %02u %s %04lld %02u:%02u:%02u +0000", days[weekday], d, months[m - 1],
		   (long long)y, sod / 3600, sod / 60 % 60, sod % 60);
}

/* ---- parsing ---- */

/* Skips white space and comments. */
static void skip_cfws(struct slice *s)
{
	unsigned depth = 0;
	size_t i = 0;
	for (; i < s->len; i++) {
		char c = s->ptr[i];
		if (c == '\\' && depth)
			i++;
		else if (c == '(')
			depth++;
		else if (c == ')' && depth)
			depth--;
		else if (!depth && c != ' ' && c != '\t' && c != '\r' && c != '\n')
			break;
	}
	*s = slice_from(*s, i);
}

static bool take_number(struct slice *s, unsigned *ret, size_t *ret_digits)
{
	uint64_t v;
	size_t n = 0;
	skip_cfws(s);
	while (n < s->len && ascii_is_digit(s->ptr[n]))
		n++;
	if (n == 0 || n > 4 || slice_to_u64(slice_sub(*s, 0, n), 9999, &v) != ERR_OK)
		return false;
	*ret = (unsigned)v;
	if (ret_digits)
		*ret_digits = n;
	*s = slice_from(*s, n);
	return true;
}

static bool take_char(struct slice *s, char c)
{
	skip_cfws(s);
	if (s->len == 0 || s->ptr[0] != c)
		return false;
	*s = slice_from(*s, 1);
	return true;
}

static struct slice take_letters(struct slice *s)
{
	size_t n = 0;
	skip_cfws(s);
	while (n < s->len && ascii_is_alpha(s->ptr[n]))
		n++;
	struct slice word = slice_sub(*s, 0, n);
	*s = slice_from(*s, n);
	return word;
}

static bool month_number(struct slice name, unsigned *ret)
{
	for (unsigned i = 0; i < 12; i++)
		if (slice_ieq_str(slice_sub(name, 0, 3), months[i])) {
			*ret = i + 1;
			return true;
		}
	return false;
}

/* Minutes east of UTC. Unknown names are UTC (RFC 5322 4.3: "should be considered equivalent to -0000"). */
static bool take_zone(struct slice *s, int *ret)
{
	static const struct {
		const char *name;
		int minutes;
	} zones[] = {{"EST", -300}, {"EDT", -240}, {"CST", -360}, {"CDT", -300},
		     {"MST", -420}, {"MDT", -360}, {"PST", -480}, {"PDT", -420}};
	unsigned v;
	size_t digits;
	skip_cfws(s);
	*ret = 0;
	if (s->len && (s->ptr[0] == '+' || s->ptr[0] == '-')) {
		int sign = s->ptr[0] == '-' ? -1 : 1;
		*s = slice_from(*s, 1);
		if (!take_number(s, &v, &digits) || digits != 4 || v % 100 > 59)
			return false;
		*ret = sign * (int)(v / 100 * 60 + v % 100);
		return true;
	}
	struct slice name = take_letters(s);
	for (size_t i = 0; i < ARRAY_LEN(zones); i++)
		if (slice_ieq_str(name, zones[i].name))
			*ret = zones[i].minutes;
	return true;
}

/* RFC 5322 4.3: two digits are 2000-2049 or 1950-1999, three are added to 1900. */
static unsigned full_year(unsigned y, size_t digits)
{
	if (digits == 2)
		return y < 50 ? y + 2000 : y + 1900;
	return digits == 3 ? y + 1900 : y;
}

enum err mail_date_parse(struct slice text, int64_t *ret_ms)
{
	unsigned d, m, y, hour, minute, second = 0;
	size_t digits;
	int zone;
	struct slice s = text;
	skip_cfws(&s);
	if (s.len && ascii_is_alpha(s.ptr[0])) {
		take_letters(&s);
		take_char(&s, ',');
	}
	if (!take_number(&s, &d, NULL) || !month_number(take_letters(&s), &m) ||
	    !take_number(&s, &y, &digits))
		return ERR_SYNTAX;
	if (!take_number(&s, &hour, NULL) || !take_char(&s, ':') || !take_number(&s, &minute, NULL))
		return ERR_SYNTAX;
	if (take_char(&s, ':') && !take_number(&s, &second, NULL))
		return ERR_SYNTAX;
	if (!take_zone(&s, &zone))
		return ERR_SYNTAX;
	y = full_year(y, digits);
	if (d < 1 || d > 31 || hour > 23 || minute > 59 || second > 60 || y < 1900)
		return ERR_RANGE;
	int64_t seconds = days_from_civil(y, m, d) * 86400 + hour * 3600 + minute * 60 + second;
	*ret_ms = (seconds - zone * 60) * 1000;
	return ERR_OK;
}
