#include "relay/smtpc/content.h"

#include <string.h>

#define CRLF SLICE_LIT("\r\n")

void content_start(struct content *c, struct slice encoded, uint64_t length)
{
	*c = (struct content){.line_start = true};
	edits_iter_init(&c->edits, encoded, length);
}

static bool has_eight_bit(struct slice s)
{
	return !slice_is_ascii(s);
}

static void end_line(struct content *c, struct buf *out)
{
	buf_add(out, CRLF);
	c->line_start = true;
}

/* Octets up to the first CR or LF; lines are short, so two searches of one line are cheap. */
static size_t run_length(struct slice s)
{
	const char *lf = memchr(s.ptr, '\n', s.len);
	size_t n = lf ? (size_t)(lf - s.ptr) : s.len;
	const char *cr = memchr(s.ptr, '\r', n);
	return cr ? (size_t)(cr - s.ptr) : n;
}

static void write_octets(struct content *c, struct slice s, struct buf *out)
{
	c->eight_bit = c->eight_bit || has_eight_bit(s);
	while (s.len) {
		if (c->after_cr) {
			c->after_cr = false;
			end_line(c, out);
			if (s.ptr[0] == '\n')
				s = slice_from(s, 1);
			continue;
		}
		if (c->line_start && s.ptr[0] == '.')
			buf_add_char(out, '.');
		size_t n = run_length(s);
		buf_add(out, slice_sub(s, 0, n));
		if (n)
			c->line_start = false;
		if (n == s.len)
			return;
		if (s.ptr[n] == '\r')
			c->after_cr = true;
		else
			end_line(c, out);
		s = slice_from(s, n + 1);
	}
}

bool content_want(struct content *c, struct buf *out, uint64_t *ret_offset, uint64_t *ret_len)
{
	while (!c->in_range || c->piece.len == 0) {
		c->in_range = false;
		if (!edits_next(&c->edits, &c->piece))
			return false;
		if (c->piece.literal)
			write_octets(c, c->piece.text, out);
		else
			c->in_range = true;
	}
	*ret_offset = c->piece.offset;
	*ret_len = c->piece.len;
	return true;
}

void content_feed(struct content *c, struct slice stored, struct buf *out)
{
	ASSERT(c->in_range && stored.len <= c->piece.len);
	c->piece.offset += stored.len;
	c->piece.len -= stored.len;
	write_octets(c, stored, out);
}

void content_end(struct content *c, struct buf *out)
{
	if (c->after_cr || !c->line_start)
		end_line(c, out);
	c->after_cr = false;
	buf_add(out, SLICE_LIT(".\r\n"));
}
