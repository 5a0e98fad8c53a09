/* A failed operation's explanation in words: fixed size, no allocation, last parameter of what can fail.
 *
 * The text names the file, line, field or value at fault; it is meant for the administrator. A NULL diag is
 * allowed everywhere. Control characters in arguments are kept as they are: the log escapes in one place.
 */
#pragma once

#include "core/err.h"

struct diag {
	enum err code;
	char text[320]; /* NUL-terminated; ends in "..." if it was cut */
};

/* Fills *d (unless NULL) and returns `code`, so that `return diag_set(d, ERR_SYNTAX, "...")` reads well. */
enum err diag_set(struct diag *d, enum err code, const char *fmt, ...) ATTR_PRINTF(3, 4);

/* The same with ": <strerror>" appended and the code taken from errnum. */
enum err diag_set_errno(struct diag *d, int errnum, const char *fmt, ...) ATTR_PRINTF(3, 4);

/* Puts "prefix: " before the text that is there (for "file:line" known only to a caller). Returns d->code, so that
 * a failure can be passed on in one line; without a diag the code is not known, and ERR_IO stands for it. */
enum err diag_prefix(struct diag *d, const char *fmt, ...) ATTR_PRINTF(2, 3);
