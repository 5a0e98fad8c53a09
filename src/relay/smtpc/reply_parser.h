/* Reads SMTP replies (RFC 5321 4.2.1) from octets as they come, split anywhere.
 *
 * A reply is one or more lines "250-text", the last one "250 text" or "250"; all have the same code. Lines end with
 * CRLF; a bare LF is taken for it, since some servers send that and nothing can hide behind it here. The text is made
 * harmless as it is read: control characters, and octets that are not UTF-8, become '?'.
 *
 * Everything is bounded (limits.h): a line that is too long or a reply with too many lines is malformed; text beyond
 * SMTPC_REPLY_TEXT_MAX is dropped, which is no fault.
 */
#pragma once

#include "core/buf.h"
#include "relay/smtpc/limits.h"

enum reply_flaw {
	REPLY_FLAW_NONE,
	REPLY_FLAW_CODE,    /* does not begin with a code from 200 to 599 */
	REPLY_FLAW_MARK,    /* neither ' ' nor '-' behind the code */
	REPLY_FLAW_CHANGED, /* another code than in the line before */
	REPLY_FLAW_LONG,    /* a line over SMTPC_REPLY_LINE_MAX */
	REPLY_FLAW_LINES,   /* more lines than SMTPC_REPLY_LINES_MAX */
	REPLY_FLAW_MEMORY,  /* ours */
};
const char *reply_flaw_text(enum reply_flaw f); /* in words, for logs */

struct smtp_reply {
	uint16_t code;
	uint8_t enhanced
		[3]; /* of the first line (RFC 2034), parts above 255 as 255; zeros: none, or of another class */
	uint32_t lines;
	struct slice text; /* of all lines, joined by LF, without codes; borrowed from the parser */
};

/* 2: done, 3: go on, 4: not now, 5: no. */
static inline unsigned smtp_reply_class(const struct smtp_reply *r)
{
	return r->code / 100u;
}

enum reply_status { REPLY_MORE, REPLY_DONE, REPLY_BAD };

struct reply_parser {
	struct buf text; /* owned */
	char line[SMTPC_REPLY_LINE_MAX + 1];
	uint32_t line_len, lines;
	uint16_t code;
	enum reply_flaw flaw;
	bool done; /* the next octet begins a new reply */
};

void reply_parser_init(struct reply_parser *p);
void reply_parser_done(struct reply_parser *p);

/* Consumes octets of `in` up to the end of one reply. DONE: *ret_reply is valid until the next call. BAD: p->flaw tells
 * why, and nothing more can be read. MORE: all was consumed. */
enum reply_status reply_parser_feed(struct reply_parser *p, struct slice in, size_t *ret_consumed,
				    struct smtp_reply *ret_reply);
/* In the middle of a reply? */
bool reply_parser_partial(const struct reply_parser *p);
/* Gives back memory that a long reply took. */
void reply_parser_trim(struct reply_parser *p);
