/* One value of an answer as text for people. Text from the network is escaped: it can neither move the cursor nor
 * turn the direction of the line. */
#pragma once

#include "core/buf.h"
#include "ctl/control.h"

struct cell_style {
	int64_t now_ms; /* for "3min ago" */
	bool full;      /* times with their date, not only relative */
};

void cell_format(const struct ctl_field *f, const struct cell_style *st, struct buf *out);

/* Controls (also C1), direction marks and malformed UTF-8 as \n, \xHH, \u{HHHH}. */
void cell_text(struct buf *out, struct slice text);

/* "2026-11-23T16:20:01.123Z" (RFC 3339); false and nothing added if the year has not four digits. */
bool cell_timestamp(struct buf *out, int64_t wall_ms);

/* "3min ago", "in 2h", "now". */
void cell_relative(struct buf *out, int64_t wall_ms, int64_t now_ms);
