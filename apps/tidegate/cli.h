/* What all commands of tidegate share: options, output, exit statuses. Private to apps/tidegate. */
#pragma once

#include "core/diag.h"
#include "core/slice.h"
#include "ctl/schema.h"

#define CLI_CONFIG "/etc/tidegate/tidegated.conf"
#define CLI_SOCKET "/run/tidegate/control"

/* Exit statuses; those of `status` are what Nagios plugins and keepalived checks use. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,      /* the request was refused; status: degraded */
	CLI_UNREACHABLE = 2, /* no answer; status: down */
	CLI_USAGE = 3,
};

struct command;

struct cli {
	const struct command *command;
	char *const *args; /* command->nargs of them; borrowed from main */
	bool json, defaults, manual, explain;
	const char *socket;                              /* NULL: from the configuration */
	const char *config;                              /* NULL: CLI_CONFIG if it is there */
	const char *server, *sender, *recipient, *state; /* filters; NULL: none */
	const char *hash;                                /* server import; NULL: none */
	const char *helo;                                /* NULL: none */
	const char *dns; /* answers come from these master files; NULL: live */
	uint64_t limit;  /* 0: not given */
};

struct command {
	const char *group; /* "queue"; NULL: a command of one word */
	const char *word;
	const char *args; /* for the usage: "NAME", "" */
	unsigned nargs;
	unsigned options;   /* bits of enum cli_option that mean something here */
	enum ctl_verb verb; /* 0: done without the daemon */
	enum cli_exit (*run)(const struct cli *c);
	const char *help;
};

enum cli_option {
	CLI_JSON = 1,
	CLI_SOCKET_PATH = 2,
	CLI_CONFIG_FILE = 4,
	CLI_LIMIT = 8,
	CLI_FILTERS = 16,
	CLI_DEFAULTS = 32,
	CLI_MAN = 64,
	CLI_SENDER = 128,
	CLI_SPF = 256, /* --helo, --explain */
	CLI_DNS = 512,
};

/* "tidegate: ..." on standard error. */
void cli_complain(const char *fmt, ...) ATTR_PRINTF(1, 2);
/* To standard output; false if it could not be written (disk full, closed pipe), which is complained about. */
MUST_CHECK bool cli_print(struct slice text);

enum cli_exit cli_remote(const struct cli *c); /* asks and shows: most commands */
enum cli_exit cli_status(const struct cli *c);
enum cli_exit cli_credential(const struct cli *c); /* server add, server rotate */
enum cli_exit cli_server_import(const struct cli *c);
enum cli_exit cli_export(const struct cli *c); /* queue export, queue import: about a file */
enum cli_exit cli_import(const struct cli *c);
enum cli_exit cli_config_show(const struct cli *c);
enum cli_exit cli_config_check(const struct cli *c);
enum cli_exit cli_spf_check(const struct cli *c);
enum cli_exit cli_spf_show(const struct cli *c);
enum cli_exit cli_version(const struct cli *c);
enum cli_exit cli_help(const struct cli *c);
