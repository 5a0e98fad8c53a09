/* Going into the background: the command returns 0 when the relay is ready, 1 when it could not start. */
#pragma once

#include <stdbool.h>

/* Forks. In the launcher (which waits and never returns) the exit status is the daemon's word; the daemon goes on here.
 * Returns the descriptor for daemon_ready, -1 with errno. */
int daemon_start(void);

/* Tells the launcher that all is well and lets go of the terminal. Closes fd. */
void daemon_ready(int fd);
