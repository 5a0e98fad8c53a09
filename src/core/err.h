/* The failed-operation kind of error: functions return 0 or one of these negative values.
 *
 * Bugs are ASSERT (core/base.h); protocol outcomes are values of their own types and never an enum err.
 */
#pragma once

#include "core/base.h"

enum err {
	ERR_OK = 0,
	ERR_NOMEM = -1,        /* allocation failed */
	ERR_LIMIT = -2,        /* a named limit was reached */
	ERR_SYNTAX = -3,       /* text does not follow its grammar */
	ERR_RANGE = -4,        /* well formed, but outside the allowed values */
	ERR_IO = -5,           /* the system refused a read, write or sync */
	ERR_NOSPACE = -6,      /* disk or quota full */
	ERR_AGAIN = -7,        /* nothing to do now; try when told */
	ERR_CLOSED = -8,       /* the peer or the object is gone */
	ERR_EXISTS = -9,       /* already there */
	ERR_NOTFOUND = -10,    /* not there */
	ERR_PERM = -11,        /* not allowed */
	ERR_TIMEOUT = -12,     /* took longer than its deadline */
	ERR_CORRUPT = -13,     /* stored data fails its checksum or contradicts itself */
	ERR_UNSUPPORTED = -14, /* a version or feature that this build does not know */
	ERR_BUSY = -15,        /* somebody else holds it */
	ERR_CANCELLED = -16,   /* withdrawn by our own side */
};

/* "no memory", "limit reached", ...: a static string for any value, also unknown ones. */
const char *err_name(enum err e);

/* Maps errno to the nearest value; never ERR_OK. */
enum err err_from_errno(int errnum);
