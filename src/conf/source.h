/* The text of a configuration on its way to libconfuse: files read, includes put in place, comments removed,
 * strings brought into one form. Each line of the result knows its file and line.
 *
 * libconfuse takes more than we want to promise: it expands ${VARIABLES}, drops characters that it does not
 * know, continues strings over lines, cuts a string at \0, keeps its state after an error in an included file
 * (which would spoil the next reload), and counts lines twice after some comments. What passes here has none of
 * that:
 *
 *  - words of letters, digits and _ - . : / % @ [ ]; the marks = { } ,
 *  - "text" with the escapes \" \\ \$ only, 'text' taken as it is, both within one line; ${ is refused except
 *    between single quotes, where it means itself
 *  - comments: # and // to the end of the line, and those between slash-asterisk and asterisk-slash
 *  - include("file"): absolute, or relative to the including file; bounded by CONF_INCLUDE_DEPTH
 */
#pragma once

#include "conf/limits.h"
#include "core/buf.h"
#include "core/diag.h"

struct conf_source {
	struct buf text;  /* for libconfuse */
	struct buf lines; /* u32 file, u32 line for each line of text */
	struct buf names; /* NUL-terminated file names one behind the other; a file is its offset */
	unsigned nfiles;
};

void conf_source_init(struct conf_source *s);
void conf_source_done(struct conf_source *s); /* fit for CLEANUP */

/* Appends a file, or text called `name`. Errors are prefixed with file and line. */
MUST_CHECK enum err conf_source_file(struct conf_source *s, const char *path, struct diag *d);
MUST_CHECK enum err conf_source_text(struct conf_source *s, struct slice text, const char *name,
				     struct diag *d);

/* File and line of a line (from 1) of the text; *ret_file is borrowed until the next append. */
void conf_source_where(const struct conf_source *s, unsigned text_line, const char **ret_file,
		       unsigned *ret_line);
