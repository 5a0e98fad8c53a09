#include "daemon.h"

#include "core/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int daemon_start(void)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) != 0)
		return -1;
	pid_t pid = fork();
	if (pid < 0) {
		base_close(&fds[0]);
		base_close(&fds[1]);
		return -1;
	}
	if (pid == 0) {
		base_close(&fds[0]);
		setsid();
		return fds[1];
	}
	base_close(&fds[1]);
	char ok;
	ssize_t n;
	while ((n = read(fds[0], &ok, 1)) < 0 && errno == EINTR)
		;
	_exit(n == 1 ? 0 : 1);
}

void daemon_ready(int fd)
{
	CLEANUP(base_close) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	/* Nobody may be waiting any more; there is nothing to do about it. */
	ssize_t n = write(fd, "1", 1);
	(void)n;
	base_close(&fd);
}
