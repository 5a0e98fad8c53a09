/* One value of the configuration: text items in, the typed member out, and back.
 *
 * Text items are what a file has between quotes: one for a plain value, any number for a list. The same form
 * travels in an epoch, so that a child runs the same checks as the parent.
 */
#pragma once

#include "conf/schema.h"
#include "core/arena.h"
#include "core/buf.h"
#include "core/diag.h"

/* Checks one text item for a field. The diag says what was found and what is allowed, without file and key:
 * '"50 apples" is not a size; ...'. ERR_SYNTAX, ERR_RANGE. */
MUST_CHECK enum err conf_value_check(const struct conf_field *f, struct slice item, struct diag *d);

/* Checks all items and fills the member at `member`; text goes to the arena. ERR_SYNTAX, ERR_RANGE, ERR_LIMIT. */
MUST_CHECK enum err conf_value_set(const struct conf_field *f, const struct slice *items, size_t n,
				   struct arena *a, void *member, struct diag *d);

/* The default of the schema; also fine for a required field (gives "not set"). */
MUST_CHECK enum err conf_value_set_standard(const struct conf_field *f, struct arena *a, void *member,
					    struct diag *d);

/* How many items the member has (a text that is not set: 0), and the i-th appended as text, exact: what
 * conf_value_set reads as the same value. */
size_t conf_value_count(const struct conf_field *f, const void *member);
void conf_value_item(const struct conf_field *f, const void *member, size_t i, struct buf *out);

/* The value in the syntax of a file: 50M, true, "text", {"a", "b"}. */
void conf_value_format(const struct conf_field *f, const void *member, struct buf *out);
void conf_value_quote(struct buf *out, struct slice text); /* "text" with \" \\ \$ */

/* A number of the field in its own unit, exact: "50M", "4h", "500". */
void conf_value_number(const struct conf_field *f, uint64_t value, struct buf *out);
