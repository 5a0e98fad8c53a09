/* `tidegate server import`: the hash comes by standard input, where neither `ps` nor the shell's history sees it. */
#include "tidegate/cli.h"

#include <stdio.h>
#include <string.h>

#define HASH_MAX 512 /* octets of the line */

enum cli_exit cli_server_import(const struct cli *c)
{
	char line[HASH_MAX + 1];
	struct cli with_hash = *c;

	if (!fgets(line, sizeof(line), stdin)) {
		cli_complain("standard input holds no hash");
		return CLI_USAGE;
	}
	size_t len = strcspn(line, "\r\n");
	if (len == 0 || line[len] == '\0') {
		cli_complain("standard input should hold a hash of at most %d octets and the end of its line",
			     HASH_MAX - 1);
		return CLI_USAGE;
	}
	line[len] = '\0';
	with_hash.hash = line;
	enum cli_exit exit_status = cli_remote(&with_hash);
	explicit_bzero(line, sizeof(line));
	return exit_status;
}
