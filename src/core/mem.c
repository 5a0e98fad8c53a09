#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

/* The one mutable global of the house: the test's countdown. Per thread, so that the helpers' allocations do not
 * disturb the thread under test. */
static __thread size_t fail_after = SIZE_MAX;

void mem_fail_after(size_t n)
{
	fail_after = n;
}

static bool fails(void)
{
	if (__builtin_expect(fail_after == SIZE_MAX, 1))
		return false;
	if (fail_after > 0) {
		fail_after--;
		return false;
	}
	fail_after = SIZE_MAX;
	return true;
}

void *mem_alloc(size_t n)
{
	return fails() ? NULL : calloc(1, n ? n : 1);
}

void *mem_resize(void *p, size_t n)
{
	return fails() ? NULL : realloc(p, n ? n : 1);
}

void mem_free(void *p)
{
	free(p);
}

char *mem_strdup(const char *z)
{
	return !z || fails() ? NULL : strdup(z);
}
