/* PROXY headers from a balancer gone mad: a beginning never says more than the whole, and what is used is there. */
#include "relay/smtpd/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);
	struct net_addr whole = {.len = 0}, part = {.len = 0};
	size_t used = 0, part_used = 0;
	enum proxy_result result = proxy_parse(in, &whole, &used);
	ASSERT((result != PROXY_OK && result != PROXY_LOCAL) || (used > 0 && used <= size));
	ASSERT(result != PROXY_OK || whole.u.sa.sa_family == AF_INET || whole.u.sa.sa_family == AF_INET6);
	for (size_t n = 0; n < size && n < 600; n++) {
		enum proxy_result early = proxy_parse(slice_sub(in, 0, n), &part, &part_used);
		ASSERT(early == PROXY_MORE || early == result);
		ASSERT(early != PROXY_OK || (part_used == used && net_addr_eq(&part, &whole)));
	}
	return 0;
}
