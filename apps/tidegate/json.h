/* Text as JSON, shared by what is shown. */
#pragma once

#include "core/buf.h"

#include <jansson.h>

json_t *json_text(struct slice text); /* octets that are not UTF-8 become U+FFFD; NULL without memory */
/* Appends with two columns a level and a line feed, and drops the reference. NULL, which is what jansson gives without
 * memory, is ERR_NOMEM. */
MUST_CHECK enum err json_write(json_t *top, struct buf *out);
