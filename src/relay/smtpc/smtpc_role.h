/* The smtpc process as the child runtime and the simulator drive it (relay/wire/role.h): jobs from the queue,
 * connections to destinations. The protocol itself is the engine of client.h. */
#pragma once

#include "relay/wire/role.h"

extern const struct role_ops smtpc_role;
