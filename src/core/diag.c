#include "core/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void mark_cut(struct diag *d)
{
	memcpy(d->text + sizeof(d->text) - 4, "...", 4);
}

/* Formats at `at`; returns the new end. */
ATTR_PRINTF(3, 0) static size_t put(struct diag *d, size_t at, const char *fmt, va_list ap)
{
	int n = vsnprintf(d->text + at, sizeof(d->text) - at, fmt, ap);
	if (n >= 0 && (size_t)n < sizeof(d->text) - at)
		return at + (size_t)n;
	mark_cut(d);
	return sizeof(d->text) - 1;
}

enum err diag_set(struct diag *d, enum err code, const char *fmt, ...)
{
	va_list ap;
	if (!d)
		return code;
	d->code = code;
	va_start(ap, fmt);
	put(d, 0, fmt, ap);
	va_end(ap);
	return code;
}

enum err diag_set_errno(struct diag *d, int errnum, const char *fmt, ...)
{
	enum err code = err_from_errno(errnum);
	va_list ap;
	if (!d)
		return code;
	d->code = code;
	va_start(ap, fmt);
	size_t at = put(d, 0, fmt, ap);
	va_end(ap);
	if (snprintf(d->text + at, sizeof(d->text) - at, ": %s", strerror(errnum)) >=
	    (int)(sizeof(d->text) - at))
		mark_cut(d);
	return code;
}

enum err diag_prefix(struct diag *d, const char *fmt, ...)
{
	struct diag old;
	va_list ap;
	if (!d)
		return ERR_IO; /* never ERR_OK: this is the way a failure takes */
	old = *d;
	va_start(ap, fmt);
	size_t at = put(d, 0, fmt, ap);
	va_end(ap);
	if (snprintf(d->text + at, sizeof(d->text) - at, ": %s", old.text) >= (int)(sizeof(d->text) - at))
		mark_cut(d);
	return d->code;
}
