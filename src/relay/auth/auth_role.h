/* The auth process: it alone holds the hosting servers' credentials and decides whether a password is right. Runs
 * SASL for all smtpd, counts failures, and answers the `tidegate server` verbs. It never touches the network.
 *
 *   auth_role.c  the role: start, channels to smtpd, drain       exchange.c  one SASL exchange, from START to verdict
 *   throttle.h   failures by name and by network                 recall.h    passwords that were right a while ago
 *   store.h      the credentials file on disk                    servers.c   verbs of the control socket
 */
#pragma once

#include "relay/wire/role.h"

extern const struct role_ops auth_role;
