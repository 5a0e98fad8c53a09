/* A configuration as text that conf_load_text reads back, and the manual page of all keys. */
#pragma once

#include "conf/conf.h"
#include "core/buf.h"

/* Every key with its value, section by section. Check out->failed. */
void conf_show(const struct conf *c, struct buf *out);

/* The embedded defaults as a commented file to start from: every key with its help,
 * those without a default commented out. Loading it gives the defaults. */
void conf_show_defaults(struct buf *out);

/* tidegated.conf(5) in mdoc. */
void conf_show_manual(struct buf *out);
