/* The smtpd process as the child runtime and the simulator drive it (relay/wire/role.h): listeners, connections, TLS,
 * the channels to auth and queue. The protocol itself is the engine of session.h. */
#pragma once

#include "relay/wire/role.h"

extern const struct role_ops smtpd_role;
