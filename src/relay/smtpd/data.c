#include "relay/smtpd/data.h"

#include <string.h>

static const struct slice crlf = {"\r\n", 2};

void data_init(struct data_reader *r, enum data_mode mode, size_t line_max)
{
	*r = (struct data_reader){.mode = mode, .state = DATA_LINE, .line_max = line_max};
}

static void take(struct slice *in, size_t n)
{
	*in = slice_from(*in, n);
}

/* The end of a line, made up where the sender's was bare. */
static struct slice line_end(struct data_reader *r, enum data_state next)
{
	r->state = next;
	r->octets += crlf.len;
	r->lines++;
	r->line_len = 0;
	return crlf;
}

static void line_grows(struct data_reader *r, size_t n)
{
	r->line_len += n;
	if (r->line_len > r->line_max)
		r->flaws |= DATA_LONG_LINE;
}

/* States in which a CR or a dot of the last input is still undecided. Returns an empty slice if the octet only moved
 * the state. */
static struct slice undecided(struct data_reader *r, struct slice *in)
{
	bool lf = in->ptr[0] == '\n';
	if (r->state == DATA_CR) {
		if (lf) {
			take(in, 1);
			return line_end(r, DATA_LINE);
		}
		r->flaws |= DATA_BARE_CR;
		return line_end(r, DATA_TEXT);
	}
	if (r->state == DATA_DOT) {
		r->state = in->ptr[0] == '\r' ? DATA_DOT_CR : DATA_TEXT;
		if (r->state == DATA_DOT_CR)
			take(in, 1);
		return SLICE_EMPTY;
	}
	ASSERT(r->state == DATA_DOT_CR);
	if (lf) {
		take(in, 1);
		r->state = DATA_END;
		return SLICE_EMPTY;
	}
	r->flaws |= DATA_BARE_CR;
	return line_end(r, DATA_TEXT);
}

/* How far the text goes on unchanged from `at` to the end of this line: behind its CRLF (*ret_whole), or up to what
 * needs a decision. */
static size_t line_scan(struct data_reader *r, struct slice in, size_t at, bool *ret_whole)
{
	const char *p = in.ptr + at;
	size_t left = in.len - at;
	const char *cr = memchr(p, '\r', left);
	size_t n = cr ? (size_t)(cr - p) : left;
	const char *lf = memchr(p, '\n', n);
	*ret_whole = false;
	if (lf)
		n = (size_t)(lf - p);
	line_grows(r, n);
	if (!lf && cr && n + 1 < left && cr[1] == '\n') {
		*ret_whole = true;
		r->lines++;
		r->line_len = 0;
		return at + n + 2;
	}
	return at + n;
}

/* Does a dot here have to be looked at? */
static bool dot_decides(const struct data_reader *r, char c)
{
	return c == '.' && r->state == DATA_LINE && r->mode == DATA_DOTS;
}

/* The longest run from the front of *in that needs no change. */
static struct slice run(struct data_reader *r, struct slice *in, size_t max)
{
	struct slice window = slice_sub(*in, 0, max);
	size_t n = 0;
	while (n < window.len && !dot_decides(r, window.ptr[n])) {
		bool whole;
		n = line_scan(r, window, n, &whole);
		r->state = whole ? DATA_LINE : DATA_TEXT;
		if (!whole)
			break;
	}
	struct slice out = slice_sub(window, 0, n);
	take(in, n);
	r->octets += n;
	if (memchr(out.ptr, '\0', out.len))
		r->flaws |= DATA_NUL;
	return out;
}

/* The octet at the front of *in is a dot that begins a line, a CR or a bare LF. */
static struct slice special(struct data_reader *r, struct slice *in)
{
	char c = in->ptr[0];
	take(in, 1);
	if (c == '\n') {
		r->flaws |= DATA_BARE_LF;
		return line_end(r, DATA_TEXT);
	}
	ASSERT(c == '\r' || (c == '.' && r->state == DATA_LINE));
	r->state = c == '\r' ? DATA_CR : DATA_DOT;
	return SLICE_EMPTY;
}

static struct slice binary(struct data_reader *r, struct slice *in, size_t max)
{
	struct slice out = slice_sub(*in, 0, max);
	take(in, out.len);
	r->octets += out.len;
	return out;
}

struct slice data_next(struct data_reader *r, struct slice *in, size_t max)
{
	ASSERT(max >= crlf.len);
	if (r->mode == DATA_BINARY)
		return binary(r, in, max);
	struct slice out = SLICE_EMPTY;
	while (out.len == 0 && in->len > 0 && r->state != DATA_END) {
		if (r->state != DATA_LINE && r->state != DATA_TEXT)
			out = undecided(r, in);
		else if ((out = run(r, in, max)).len == 0)
			out = special(r, in);
	}
	return out;
}

struct slice data_finish(struct data_reader *r)
{
	struct slice out = SLICE_EMPTY;
	ASSERT(r->mode != DATA_DOTS && r->state != DATA_END);
	if (r->mode == DATA_CHUNKS && r->state == DATA_CR)
		r->flaws |= DATA_BARE_CR;
	if (r->mode == DATA_CHUNKS && (r->state == DATA_CR || (r->state == DATA_TEXT && r->line_len > 0)))
		out = line_end(r, DATA_END);
	r->state = DATA_END;
	return out;
}
