/* tidegate: the command line of the relay. Options and the table of commands; the work is in other files. */
#include "core/buf.h"
#include "tidegate/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REMOTE (CLI_JSON | CLI_SOCKET_PATH | CLI_CONFIG_FILE)
#define ASKING (CLI_JSON | CLI_CONFIG_FILE | CLI_DNS) /* asks DNS, and not the daemon */

static const struct command commands[] = {
	{NULL, "status", "", 0, REMOTE, CTL_STATUS, cli_status, "health, processes and counts"},
	{"server", "add", "NAME", 1, REMOTE, CTL_SERVER_ADD, cli_credential,
	 "let a hosting server submit mail; prints its password once"},
	{"server", "list", "", 0, REMOTE, CTL_SERVER_LIST, cli_remote, "hosting servers"},
	{"server", "disable", "NAME", 1, REMOTE, CTL_SERVER_DISABLE, cli_remote,
	 "refuse a server's password"},
	{"server", "enable", "NAME", 1, REMOTE, CTL_SERVER_ENABLE, cli_remote, "accept it again"},
	{"server", "remove", "NAME", 1, REMOTE, CTL_SERVER_REMOVE, cli_remote, "forget a server"},
	{"server", "rotate", "NAME", 1, REMOTE, CTL_SERVER_ROTATE, cli_credential,
	 "give a server a new password"},
	{"server", "import", "NAME", 1, REMOTE, CTL_SERVER_IMPORT, cli_server_import,
	 "let a hosting server submit mail by the hash of its password, read from standard input"},
	{"queue", "list", "", 0, REMOTE | CLI_LIMIT | CLI_FILTERS | CLI_SENDER, CTL_QUEUE_LIST, cli_remote,
	 "messages in the queue"},
	{"queue", "show", "ID", 1, REMOTE, CTL_QUEUE_SHOW, cli_remote,
	 "a message, its recipients and attempts"},
	{"queue", "stats", "", 0, REMOTE, CTL_QUEUE_STATS, cli_remote, "the queue in numbers"},
	{"queue", "export", "FILE", 1, REMOTE | CLI_LIMIT, CTL_QUEUE_EXPORT, cli_export,
	 "give what waits to another relay: writes it to a new file"},
	{"queue", "import", "FILE", 1, REMOTE, CTL_QUEUE_IMPORT, cli_import,
	 "take what another relay exported"},
	{"queue", "acknowledge", "N", 1, REMOTE, CTL_QUEUE_ACKNOWLEDGE, cli_remote,
	 "the other relay has export N: remove it here"},
	{"queue", "refuse", "N", 1, REMOTE, CTL_QUEUE_REFUSE, cli_remote, "never take export N"},
	{"queue", "reclaim", "N", 1, REMOTE, CTL_QUEUE_RECLAIM, cli_remote,
	 "the other relay refused export N: deliver it from here"},
	{"queue", "moves", "", 0, REMOTE, CTL_QUEUE_MOVES, cli_remote, "exports and imports"},
	{"trace", "recent", "", 0, REMOTE | CLI_LIMIT, CTL_TRACE_RECENT, cli_remote, "what happened last"},
	{"trace", "show", "ID", 1, REMOTE, CTL_TRACE_SHOW, cli_remote, "what happened to a message"},
	{"config", "show", "", 0, CLI_CONFIG_FILE | CLI_DEFAULTS | CLI_MAN, 0, cli_config_show,
	 "the configuration, or with --defaults a commented one to start from"},
	{"config", "check", "FILE", 1, 0, 0, cli_config_check, "is a file valid and are its paths usable?"},
	{"spf", "check", "IP DOMAIN", 2, ASKING | CLI_SENDER | CLI_SPF, 0, cli_spf_check,
	 "may this address send mail for a domain?"},
	{"spf", "show", "DOMAIN", 1, ASKING, 0, cli_spf_show,
	 "a domain's SPF: whom it authorises, costs, problems"},
	{NULL, "reload", "", 0, REMOTE, CTL_RELOAD, cli_remote, "read the configuration again"},
	{NULL, "drain", "", 0, REMOTE, CTL_DRAIN, cli_remote, "accept no more mail, go on delivering"},
	{NULL, "stop", "", 0, REMOTE, CTL_STOP, cli_remote, "end tidegated in good order"},
	{NULL, "version", "", 0, 0, 0, cli_version, "the version of this program"},
	{NULL, "help", "", 0, 0, 0, cli_help, "this text"},
};

static const char options_help[] =
	"\nOptions:\n"
	"  --json              answer as JSON with stable names\n"
	"  --socket PATH       control socket (default: that of the configuration, else " CLI_SOCKET ")\n"
	"  --config FILE       configuration (default: " CLI_CONFIG ")\n"
	"  --limit N           rows of a listing at most\n"
	"  --server, --sender, --recipient, --state VALUE\n"
	"                      queue list: only such messages\n"
	"  --sender ADDRESS, --helo NAME\n"
	"                      spf check: of the mail (default: postmaster@DOMAIN, DOMAIN)\n"
	"  --dns PATH          spf: ask this master file, or a directory of them, and nobody else\n"
	"  --explain           spf check: show each term that was evaluated\n"
	"\nExit status: 0 done, 1 refused or failed, 2 tidegated does not answer, 3 wrong usage.\n"
	"status: 0 ok, 1 degraded, 2 down. See tidegate(1).\n";

/* --- output ----------------------------------------------------------------------------------------------- */

void cli_complain(const char *fmt, ...)
{
	va_list ap;

	fputs("tidegate: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

bool cli_print(struct slice text)
{
	if (fwrite(text.ptr, 1, text.len, stdout) == text.len && fflush(stdout) == 0)
		return true;
	cli_complain("cannot write the output: %s", strerror(errno));
	return false;
}

enum cli_exit cli_version(const struct cli *c)
{
	return cli_print(slice_str("tidegate " TIDEGATE_VERSION "\n")) ? CLI_OK : CLI_FAILED;
}

static void add_usage(const struct command *cmd, struct buf *out)
{
	buf_printf(out, "%s%s%s%s%s", cmd->group ? cmd->group : "", cmd->group ? " " : "", cmd->word,
		   *cmd->args ? " " : "", cmd->args);
}

enum cli_exit cli_help(const struct cli *c)
{
	struct buf out CLEANUP(buf_done) = {0}, usage CLEANUP(buf_done) = {0};

	buf_init(&out, 16384);
	buf_init(&usage, 256);
	buf_add_str(&out, "Usage: tidegate COMMAND [ARGUMENT] [OPTIONS]\n\nCommands:\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		buf_clear(&usage);
		add_usage(&commands[i], &usage);
		buf_printf(&out, "  %-22s%s\n", buf_cstr(&usage), commands[i].help);
	}
	buf_add_str(&out, options_help);
	return cli_print(buf_slice(&out)) ? CLI_OK : CLI_FAILED;
}

/* --- the command line ------------------------------------------------------------------------------------- */

enum option_key {
	KEY_JSON = 256,
	KEY_SOCKET,
	KEY_CONFIG,
	KEY_LIMIT,
	KEY_SERVER,
	KEY_SENDER,
	KEY_RECIPIENT,
	KEY_STATE,
	KEY_DEFAULTS,
	KEY_MAN,
	KEY_HELO,
	KEY_EXPLAIN,
	KEY_DNS,
	KEY_HELP,
	KEY_VERSION
};

static const struct option long_options[] = {
	{"json", no_argument, NULL, KEY_JSON},
	{"socket", required_argument, NULL, KEY_SOCKET},
	{"config", required_argument, NULL, KEY_CONFIG},
	{"limit", required_argument, NULL, KEY_LIMIT},
	{"server", required_argument, NULL, KEY_SERVER},
	{"sender", required_argument, NULL, KEY_SENDER},
	{"recipient", required_argument, NULL, KEY_RECIPIENT},
	{"state", required_argument, NULL, KEY_STATE},
	{"defaults", no_argument, NULL, KEY_DEFAULTS},
	{"man", no_argument, NULL, KEY_MAN},
	{"helo", required_argument, NULL, KEY_HELO},
	{"explain", no_argument, NULL, KEY_EXPLAIN},
	{"dns", required_argument, NULL, KEY_DNS},
	{"help", no_argument, NULL, KEY_HELP},
	{"version", no_argument, NULL, KEY_VERSION},
	{NULL, 0, NULL, 0},
};

static enum cli_exit usage(const char *fmt, ...) ATTR_PRINTF(1, 2);
static enum cli_exit usage(const char *fmt, ...)
{
	va_list ap;

	fputs("tidegate: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("; see `tidegate help`\n", stderr);
	return CLI_USAGE;
}

static const struct command *find_command(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (!commands[i].group && strcmp(commands[i].word, word) == 0)
			return &commands[i];
	return NULL;
}

static enum cli_exit take_text(const char **ret, unsigned *given, enum cli_option bit)
{
	*ret = optarg;
	*given |= bit;
	return CLI_OK;
}

static enum cli_exit take_limit(struct cli *c, unsigned *given)
{
	*given |= CLI_LIMIT;
	if (slice_to_u64(slice_str(optarg), 1000000000, &c->limit) < 0 || c->limit == 0)
		return usage("--limit needs a number from 1, not \"%s\"", optarg);
	return CLI_OK;
}

static enum cli_exit take_option(struct cli *c, int key, unsigned *given)
{
	switch (key) {
	case KEY_JSON:
		c->json = true;
		*given |= CLI_JSON;
		return CLI_OK;
	case KEY_SOCKET:
		return take_text(&c->socket, given, CLI_SOCKET_PATH);
	case KEY_CONFIG:
		return take_text(&c->config, given, CLI_CONFIG_FILE);
	case KEY_LIMIT:
		return take_limit(c, given);
	case KEY_SERVER:
		return take_text(&c->server, given, CLI_FILTERS);
	case KEY_SENDER:
		return take_text(&c->sender, given, CLI_SENDER);
	case KEY_HELO:
		return take_text(&c->helo, given, CLI_SPF);
	case KEY_DNS:
		return take_text(&c->dns, given, CLI_DNS);
	case KEY_EXPLAIN:
		c->explain = true;
		*given |= CLI_SPF;
		return CLI_OK;
	case KEY_RECIPIENT:
		return take_text(&c->recipient, given, CLI_FILTERS);
	case KEY_STATE:
		return take_text(&c->state, given, CLI_FILTERS);
	case KEY_DEFAULTS:
		c->defaults = true;
		*given |= CLI_DEFAULTS;
		return CLI_OK;
	case KEY_MAN:
		c->manual = true;
		*given |= CLI_MAN;
		return CLI_OK;
	case KEY_HELP:
		c->command = find_command("help");
		return CLI_OK;
	case KEY_VERSION:
		c->command = find_command("version");
		return CLI_OK;
	default:
		return usage(
			"unknown option, or an option without its value"); /* getopt has no better words */
	}
}

static bool group_exists(const char *word)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (commands[i].group && strcmp(commands[i].group, word) == 0)
			return true;
	return false;
}

/* Finds the command in the n words; *ret_used of them name it. */
static enum cli_exit choose(struct cli *c, int n, char *const *words, int *ret_used)
{
	if (n == 0)
		return usage("no command given");
	c->command = find_command(words[0]);
	*ret_used = 1;
	if (c->command)
		return CLI_OK;
	if (!group_exists(words[0]))
		return usage("there is no command \"%s\"", words[0]);
	if (n == 1)
		return usage("\"%s\" needs a second word", words[0]);
	for (size_t i = 0; i < ARRAY_LEN(commands) && !c->command; i++)
		if (commands[i].group && strcmp(commands[i].group, words[0]) == 0 &&
		    strcmp(commands[i].word, words[1]) == 0)
			c->command = &commands[i];
	*ret_used = 2;
	return c->command ? CLI_OK : usage("there is no command \"%s %s\"", words[0], words[1]);
}

static enum cli_exit parse(struct cli *c, int argc, char **argv)
{
	unsigned given = 0;
	int key, used = 0;
	enum cli_exit e;

	opterr = 0;
	while ((key = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		e = take_option(c, key == 'h' ? KEY_HELP : key, &given);
		if (e != CLI_OK)
			return e;
	}
	if (c->command) /* --help, --version */
		return CLI_OK;
	e = choose(c, argc - optind, argv + optind, &used);
	if (e != CLI_OK)
		return e;
	if (given & ~c->command->options)
		return usage("an option that `%s` does not know", c->command->word);
	if (argc - optind - used != (int)c->command->nargs)
		return usage("`%s` needs %s", c->command->word,
			     c->command->nargs ? c->command->args : "no argument");
	c->args = argv + optind + used;
	return CLI_OK;
}

int main(int argc, char **argv)
{
	struct cli c = {0};
	enum cli_exit e = parse(&c, argc, argv);

	return e == CLI_OK ? (int)c.command->run(&c) : (int)e;
}
