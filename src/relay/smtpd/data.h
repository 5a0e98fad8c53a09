/* The reader of content: after DATA (RFC 5321 4.5.2) it finds the end and undoes dot-stuffing; of BDAT chunks
 * (RFC 3030), whose length is told beforehand, it takes dots as they are. It makes line ends canonical in both.
 *
 * It gives the content as runs: slices of the input itself wherever nothing has to change (the common case: many
 * lines in one run, nothing copied), else of static text. The runs put together are the canonical content: every
 * line ends with CRLF, no dot-stuffing, no bare CR or LF.
 *
 *   LINE --text--> TEXT --CR--> CR --LF--> LINE          CR --else--> TEXT  (the CR was bare)
 *   LINE --"."--> DOT --CR--> DOT_CR --LF--> END         DOT, DOT_CR --else--> TEXT  (the dot was stuffing)
 *
 * In chunks LINE never leads to DOT, and there is no END: data_finish says so. A chunk may end anywhere, also between
 * CR and LF.
 *
 * Invariants:
 *  1. Only CRLF "." CRLF ends the content (the first CRLF being that of the DATA command counts). A line that a
 *     bare CR or LF began never ends it and is never unstuffed: whoever sees lines where we see none cannot
 *     smuggle a second message past us.
 *  2. The runs and flaws depend on the octets only, not on how the input is split.
 *  3. A flaw never stops the reader: it goes on to the true end, so that what follows is not taken for commands.
 */
#pragma once

#include "core/slice.h"

enum data_mode {
	DATA_DOTS,   /* after DATA */
	DATA_CHUNKS, /* text by BDAT */
	DATA_BINARY, /* BODY=BINARYMIME by BDAT: every octet as it is */
};
enum data_state { DATA_LINE, DATA_TEXT, DATA_CR, DATA_DOT, DATA_DOT_CR, DATA_END };

/* What was wrong with the content; bits. */
enum data_flaw {
	DATA_BARE_CR = 1,
	DATA_BARE_LF = 2,
	DATA_NUL = 4,
	DATA_LONG_LINE = 8,
};

struct data_reader {
	enum data_mode mode;
	enum data_state state;
	unsigned flaws;  /* bits of enum data_flaw */
	uint64_t octets; /* of canonical content given out so far */
	uint64_t lines;  /* ends of lines given out so far */
	size_t line_len; /* octets of the current line given out so far, without its end */
	size_t line_max; /* longer ones are DATA_LONG_LINE; they are given out nevertheless */
};

void data_init(struct data_reader *r, enum data_mode mode, size_t line_max);

/* Consumes from the front of *in and returns the next run: borrowed from *in or static, never empty unless *in is
 * used up or the end was found (r->state == DATA_END; what stands behind it stays in *in). At most `max` octets (at
 * least 2) are given at a time. */
struct slice data_next(struct data_reader *r, struct slice *in, size_t max);

/* The last chunk is over: what was undecided, or the end of a last line that had none; static, maybe empty. Nothing can
 * be read afterwards. Not for DATA_DOTS. */
struct slice data_finish(struct data_reader *r);
