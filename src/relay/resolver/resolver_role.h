/* The resolver process as the child runtime and the simulator drive it (relay/wire/role.h): answers the queue's
 * questions from its cache or through struct dns_lookup. */
#pragma once

#include "relay/wire/role.h"

extern const struct role_ops resolver_role;
