/* The queue process: it alone holds mail state (spool, index, schedule). See queue_priv.h for how its files divide
 * the work. */
#pragma once

#include "relay/wire/role.h"

extern const struct role_ops queue_role;
