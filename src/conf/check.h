/* What can only be judged when the whole configuration is known. Shared by the readers of files and epochs. */
#pragma once

#include "conf/conf.h"

struct conf *conf_new(void); /* one reference, all zero; NULL without memory */

/* Fills what is found out: hostname, postmaster, helo_name, where they are not set. */
MUST_CHECK enum err conf_derive(struct conf *c, struct diag *d);

/* Values against each other. ERR_RANGE with file, line and key. */
MUST_CHECK enum err conf_check(const struct conf *c, struct diag *d);
