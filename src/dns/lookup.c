#include "dns/lookup.h"

const char *dns_status_name(enum dns_status s)
{
	static const char *const names[] = {"ok", "no data", "no such name", "temporary failure", "bogus"};
	ASSERT((size_t)s < ARRAY_LEN(names));
	return names[s];
}
