/* `tidegate queue export FILE` and `import FILE`: this program opens the file, the daemon reads or writes it. */
#include "tidegate/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The words of the daemon say what comes next. */
static enum cli_exit show(const struct cli *c, const struct remote_answer *a)
{
	enum cli_exit e = remote_show(c, a);

	if (e == CLI_OK && !c->json)
		printf("\n%.*s\n", SLICE_ARG(buf_slice(&a->message)));
	return e;
}

static enum cli_exit ask(const struct cli *c, int fd, bool *ret_done)
{
	struct remote_answer a;
	struct diag d = {0};
	struct ctl_field f;
	enum cli_exit e = remote_ask_file(c, fd, &a, &d);

	*ret_done =
		e != CLI_OK || render_first(&a.rows, CTL_T_MOVE, "export", &f); /* perhaps, or certainly */
	if (e != CLI_OK)
		cli_complain("%s. `tidegate queue moves` tells how far it came", d.text);
	else
		e = remote_result(&a);
	if (e == CLI_OK)
		e = show(c, &a);
	remote_done(&a);
	return e;
}

/* Also the name is on disk before anybody relies on the file. */
static bool sync_directory(const char *file)
{
	char path[4096];
	size_t n = strlen(file);

	if (n >= sizeof(path))
		return false;
	memcpy(path, file, n + 1);
	int fd CLEANUP(base_close) = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && fsync(fd) == 0;
}

enum cli_exit cli_export(const struct cli *c)
{
	const char *file = c->args[0];
	bool done;
	int fd CLEANUP(base_close) = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || !sync_directory(file)) {
		cli_complain("%s: %s", file, strerror(errno));
		if (fd >= 0)
			unlink(file);
		return CLI_FAILED;
	}
	enum cli_exit e = ask(c, fd, &done);
	if (!done)
		unlink(file);
	return e;
}

enum cli_exit cli_import(const struct cli *c)
{
	const char *file = c->args[0];
	bool done;
	int fd CLEANUP(base_close) = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		cli_complain("%s: %s", file, strerror(errno));
		return CLI_FAILED;
	}
	return ask(c, fd, &done);
}
