#include "core/err.h"

#include <errno.h>

const char *err_name(enum err e)
{
	static const char *const names[] = {
		[-ERR_OK] = "ok",
		[-ERR_NOMEM] = "no memory",
		[-ERR_LIMIT] = "limit reached",
		[-ERR_SYNTAX] = "syntax error",
		[-ERR_RANGE] = "out of range",
		[-ERR_IO] = "input/output error",
		[-ERR_NOSPACE] = "no space left",
		[-ERR_AGAIN] = "not now",
		[-ERR_CLOSED] = "closed",
		[-ERR_EXISTS] = "exists already",
		[-ERR_NOTFOUND] = "not found",
		[-ERR_PERM] = "not allowed",
		[-ERR_TIMEOUT] = "timed out",
		[-ERR_CORRUPT] = "corrupt",
		[-ERR_UNSUPPORTED] = "not supported",
		[-ERR_BUSY] = "in use",
		[-ERR_CANCELLED] = "cancelled",
	};
	int code = (int)e; /* any value may come, also one that cannot be negated */
	return code <= 0 && code > -(int)ARRAY_LEN(names) ? names[-code] : "unknown error";
}

enum err err_from_errno(int errnum)
{
	switch (errnum) {
	case ENOMEM:
	case ENOBUFS:
		return ERR_NOMEM;
	case EMFILE:
	case ENFILE:
	case E2BIG:
	case EMSGSIZE:
		return ERR_LIMIT;
	case ENOSPC:
	case EDQUOT:
		return ERR_NOSPACE;
	case EAGAIN:
		return ERR_AGAIN;
	case EPIPE:
	case ECONNRESET:
	case ECONNREFUSED:
	case ENOTCONN:
	case ESHUTDOWN:
		return ERR_CLOSED;
	case EEXIST:
		return ERR_EXISTS;
	case ENOENT:
		return ERR_NOTFOUND;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_PERM;
	case ETIMEDOUT:
		return ERR_TIMEOUT;
	case EADDRINUSE:
	case EBUSY:
		return ERR_BUSY;
	case EINVAL:
	case ERANGE:
		return ERR_RANGE;
	case ENOSYS:
	case EOPNOTSUPP:
	case EPROTONOSUPPORT:
	case EAFNOSUPPORT:
		return ERR_UNSUPPORTED;
	case ECANCELED:
		return ERR_CANCELLED;
	default:
		return ERR_IO;
	}
}
