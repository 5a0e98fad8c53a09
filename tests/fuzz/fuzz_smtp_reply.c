/* Replies from a hostile server, whole and octet by octet: both ways must read the same. */
#include "relay/smtpc/reply_parser.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	unsigned replies, lines;
	uint64_t codes, text;
	enum reply_flaw flaw;
};

static void note(struct seen *s, const struct smtp_reply *r)
{
	s->replies++;
	s->lines += r->lines;
	s->codes = s->codes * 31 + r->code + r->enhanced[1];
	for (size_t i = 0; i < r->text.len; i++) {
		ASSERT((unsigned char)r->text.ptr[i] >= ' ' || r->text.ptr[i] == '\n');
		s->text = s->text * 31 + (unsigned char)r->text.ptr[i];
	}
	ASSERT(r->code >= 200 && r->code <= 599 && r->lines <= SMTPC_REPLY_LINES_MAX);
	ASSERT(r->text.len <= SMTPC_REPLY_TEXT_MAX);
}

static struct seen read_all(struct slice in, size_t chunk)
{
	struct reply_parser p;
	struct seen s = {0};
	reply_parser_init(&p);
	while (in.len) {
		struct smtp_reply r;
		size_t used, n = MIN(chunk, in.len);
		enum reply_status st = reply_parser_feed(&p, slice_sub(in, 0, n), &used, &r);
		ASSERT(used <= n);
		if (st == REPLY_BAD)
			break;
		ASSERT(used > 0);
		if (st == REPLY_DONE)
			note(&s, &r);
		in = slice_from(in, used);
	}
	s.flaw = p.flaw;
	reply_parser_done(&p);
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);
	struct seen whole = read_all(in, SIZE_MAX), single = read_all(in, 1);
	ASSERT(whole.replies == single.replies && whole.lines == single.lines && whole.codes == single.codes);
	ASSERT(whole.text == single.text && whole.flaw == single.flaw);
	return 0;
}
