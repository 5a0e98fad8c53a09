/* DNS for commands that ask: live, through the resolver that the configuration names, or with --dns from master files
 * (tidegate/zones.h), and then from nowhere else. */
#pragma once

#include "dns/spf_drive.h"
#include "tidegate/cli.h"

struct cli_dns;
/* ERR_*, with words in d. The configuration is c->config, or the usual one if it can be read, or the embedded defaults. */
MUST_CHECK enum err cli_dns_open(const struct cli *c, struct cli_dns **ret, struct diag *d);
void cli_dns_close(struct cli_dns *dns); /* NULL is fine */

/* Runs the machine to its end. ERR_IO: the loop failed; ERR_NOMEM. */
MUST_CHECK enum err cli_dns_run(struct cli_dns *dns, const struct spf_machine *m, struct diag *d);
