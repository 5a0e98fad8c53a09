#include "load.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define LINE 78 /* octets of a body line with CRLF */

void add_decimal(struct buf *out, uint64_t v)
{
	char text[20];
	size_t at = sizeof(text);
	do
		text[--at] = (char)('0' + v % 10);
	while (v /= 10);
	buf_add_mem(out, text + at, sizeof(text) - at);
}

void pattern_expand(struct buf *out, const char *pattern, uint64_t seq, uint32_t rcpt)
{
	for (const char *sign; (sign = strchr(pattern, '%')); pattern = sign + 2) {
		buf_add_mem(out, pattern, (size_t)(sign - pattern));
		if (sign[1] == 'd')
			add_decimal(out, seq);
		else if (sign[1] == 'r')
			add_decimal(out, rcpt);
		else
			buf_add_char(out, '%');
	}
	buf_add_str(out, pattern);
}

enum err content_init(struct content *c, const struct load_options *o, uint64_t run, int64_t wall_ms)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789";
	uint64_t largest = 0;
	time_t now = (time_t)(wall_ms / 1000);
	struct tm tm;
	for (size_t i = 0; i < o->size_count; i++)
		largest = MAX(largest, o->sizes[i]);
	size_t lines = (size_t)(largest + LINE - 1) / LINE;
	buf_init(&c->block, (lines + 1) * LINE);
	c->run = run;
	strftime(c->date, sizeof(c->date), "%a, %d %b %Y %H:%M:%S +0000", gmtime_r(&now, &tm));
	enum err e = buf_reserve(&c->block, lines * LINE);
	for (size_t i = 0; !e && i < lines; i++) {
		for (size_t col = 0; col < LINE - 2; col++)
			buf_add_char(&c->block, letters[(i * 7 + col) % (sizeof(letters) - 1)]);
		buf_add_mem(&c->block, "\r\n", 2);
	}
	return e ? e : c->block.failed;
}

void content_done(struct content *c)
{
	buf_done(&c->block);
}

static void add_header(const struct content *c, const struct load_options *o, uint64_t seq, struct buf *head)
{
	buf_add_str(head, "X-Smtpload: ");
	add_decimal(head, c->run);
	buf_add_char(head, ' ');
	add_decimal(head, seq);
	buf_add_str(head, "\r\nFrom: <");
	pattern_expand(head, o->from, seq, 0);
	buf_add_str(head, ">\r\nTo: <");
	pattern_expand(head, o->to, seq, 0);
	buf_add_str(head, ">\r\nDate: ");
	buf_add_str(head, c->date);
	buf_add_str(head, "\r\nMessage-ID: <");
	add_decimal(head, c->run);
	buf_add_char(head, '.');
	add_decimal(head, seq);
	buf_add_str(head, "@smtpload.invalid>\r\nSubject: load\r\n\r\n");
}

struct slice content_of(const struct content *c, const struct load_options *o, uint64_t seq, struct buf *head)
{
	uint64_t size = o->sizes[seq % o->size_count];
	size_t before = head->len;
	add_header(c, o, seq, head);
	size_t header = head->len - before;
	/* A rest of one octet cannot be a line. */
	size_t want = size > header + 1 ? (size_t)size - header : 0;
	struct slice body = slice_from(buf_slice(&c->block), c->block.len - want);
	/* The cut may fall between CR and LF: then the first line gets a letter of its own instead of the LF. */
	if (want == 0 || body.ptr[0] != '\n')
		return body;
	buf_add_char(head, 'x');
	return slice_from(body, 1);
}
