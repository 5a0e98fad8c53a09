/* Asking the daemon: one request, its rows collected. Private to apps/tidegate. */
#pragma once

#include "tidegate/cli.h"
#include "tidegate/render.h"

struct remote_answer {
	struct render rows;
	enum err status; /* what END said */
	struct buf message;
};

/* CLI_OK: the whole answer has come, whatever its status. Else *d says why. a is initialised in any case. */
enum cli_exit remote_ask(const struct cli *c, struct remote_answer *a, struct diag *d);
/* The same about a file, whose descriptor stays the caller's. It may take long. */
enum cli_exit remote_ask_file(const struct cli *c, int fd, struct remote_answer *a, struct diag *d);
void remote_done(struct remote_answer *a);

/* Complains about a status other than ERR_OK. */
enum cli_exit remote_result(const struct remote_answer *a);
/* Rows as tables or JSON on standard output. */
enum cli_exit remote_show(const struct cli *c, const struct remote_answer *a);
