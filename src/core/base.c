#include "core/base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void base_bug(const char *file, int line, const char *expr)
{
	fprintf(stderr, "%s:%d: bug: %s\n", file, line, expr);
	abort();
}

void base_close(int *fd)
{
	int saved = errno;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}
