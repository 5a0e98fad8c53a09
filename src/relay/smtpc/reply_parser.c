#include "relay/smtpc/reply_parser.h"

#include "core/text.h"

#define CODE_LEN 3u
#define CODE_MIN 200u
#define CODE_MAX 599u

const char *reply_flaw_text(enum reply_flaw f)
{
	static const char *const texts[] = {
		"well-formed reply",     "reply without a code",
		"malformed reply code",  "reply lines with different codes",
		"reply line too long",   "reply with too many lines",
		"no memory for a reply",
	};
	ASSERT((size_t)f < ARRAY_LEN(texts));
	return texts[f];
}

void reply_parser_init(struct reply_parser *p)
{
	p->line_len = p->lines = 0;
	p->code = 0;
	p->flaw = REPLY_FLAW_NONE;
	p->done = false;
	buf_init(&p->text, SMTPC_REPLY_TEXT_MAX);
}

void reply_parser_done(struct reply_parser *p)
{
	buf_done(&p->text);
}

void reply_parser_trim(struct reply_parser *p)
{
	buf_done(&p->text);
	buf_init(&p->text, SMTPC_REPLY_TEXT_MAX);
}

bool reply_parser_partial(const struct reply_parser *p)
{
	return !p->done && (p->lines > 0 || p->line_len > 0);
}

static enum reply_status bad(struct reply_parser *p, enum reply_flaw f)
{
	p->flaw = f;
	return REPLY_BAD;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static uint16_t code_of(struct slice line)
{
	unsigned code = 0;
	if (line.len < CODE_LEN)
		return 0;
	for (size_t i = 0; i < CODE_LEN; i++) {
		if (!is_digit(line.ptr[i]))
			return 0;
		code = code * 10 + (unsigned)(line.ptr[i] - '0');
	}
	return code >= CODE_MIN && code <= CODE_MAX ? (uint16_t)code : 0;
}

/* As much of the text as there is room for; what is left out is not an error. */
static bool add_text(struct reply_parser *p, struct slice s)
{
	if (p->lines > 1 && p->text.len < p->text.max)
		buf_add_char(&p->text, '\n');
	s = slice_sub(s, 0, p->text.max - p->text.len);
	while (s.len) {
		size_t n = utf8_next(s, NULL);
		bool plain = n > 1 || (n == 1 && (unsigned char)s.ptr[0] >= ' ' && s.ptr[0] != 127);
		if (plain)
			buf_add_mem(&p->text, s.ptr, n);
		else
			buf_add_char(&p->text, '?');
		s = slice_from(s, n ? n : 1);
	}
	return !p->text.failed;
}

static enum reply_status take_line(struct reply_parser *p, struct slice line)
{
	uint16_t code = code_of(line);
	if (!code)
		return bad(p, REPLY_FLAW_CODE);
	char mark = line.len > CODE_LEN ? line.ptr[CODE_LEN] : ' ';
	if (mark != ' ' && mark != '-')
		return bad(p, REPLY_FLAW_MARK);
	if (p->lines > 0 && code != p->code)
		return bad(p, REPLY_FLAW_CHANGED);
	if (p->lines == SMTPC_REPLY_LINES_MAX)
		return bad(p, REPLY_FLAW_LINES);
	p->code = code;
	p->lines++;
	if (!add_text(p, slice_from(line, CODE_LEN + 1)))
		return bad(p, REPLY_FLAW_MEMORY);
	return mark == '-' ? REPLY_MORE : REPLY_DONE;
}

/* "X.Y.Z" at the start of the text, X the class of the code. */
static void parse_enhanced(struct slice text, uint16_t code, uint8_t ret[3])
{
	unsigned part[3] = {0};
	size_t at = 0;
	for (int i = 0; i < 3; i++) {
		size_t digits = 0;
		for (; at < text.len && is_digit(text.ptr[at]) && digits < 3; at++, digits++)
			part[i] = part[i] * 10 + (unsigned)(text.ptr[at] - '0');
		bool end = at == text.len || text.ptr[at] == ' ' || text.ptr[at] == '\n';
		if (digits == 0 || (i < 2 ? end || text.ptr[at++] != '.' : !end))
			return;
	}
	if (part[0] != code / 100u)
		return;
	for (int i = 0; i < 3; i++)
		ret[i] = (uint8_t)MIN(part[i], 255u);
}

static void begin(struct reply_parser *p)
{
	buf_clear(&p->text);
	p->lines = p->line_len = 0;
	p->done = false;
}

static enum reply_status end_line(struct reply_parser *p)
{
	struct slice line = slice_of(p->line, p->line_len);
	if (slice_ends(line, SLICE_LIT("\r")))
		line.len--;
	p->line_len = 0;
	return take_line(p, line);
}

enum reply_status reply_parser_feed(struct reply_parser *p, struct slice in, size_t *ret_consumed,
				    struct smtp_reply *ret_reply)
{
	enum reply_status st = p->flaw ? REPLY_BAD : REPLY_MORE;
	size_t i = 0;
	if (p->done)
		begin(p);
	while (i < in.len && st == REPLY_MORE) {
		char c = in.ptr[i++];
		if (c == '\n')
			st = end_line(p);
		else if (p->line_len < sizeof(p->line))
			p->line[p->line_len++] = c;
		else
			st = bad(p, REPLY_FLAW_LONG);
	}
	*ret_consumed = i;
	if (st != REPLY_DONE)
		return st;
	p->done = true;
	*ret_reply = (struct smtp_reply){.code = p->code, .lines = p->lines, .text = buf_slice(&p->text)};
	parse_enhanced(ret_reply->text, p->code, ret_reply->enhanced);
	return st;
}
