/* Lists of networks: who may connect, whose PROXY header or XCLIENT is believed. */
#include "relay/smtpd/smtpd_priv.h"

static bool in_network(struct slice network, const struct net_addr *a)
{
	struct slice length = network, ip = slice_split(&length, '/');
	struct net_addr prefix;
	struct diag why = {0};
	uint64_t bits = 0;
	if (slice_eq_str(network, "unix"))
		return a->u.sa.sa_family == AF_UNIX;
	if (net_addr_parse(ip, 0, &prefix, &why) != ERR_OK)
		return false;
	if (!length.ptr)
		return net_addr_eq_ip(a, &prefix);
	return slice_to_u64(length, 128, &bits) == ERR_OK && net_addr_in_prefix(a, &prefix, (unsigned)bits);
}

bool smtpd_peer_listed(const struct conf_texts *networks, const struct net_addr *a)
{
	for (size_t i = 0; i < networks->count; i++)
		if (in_network(networks->items[i], a))
			return true;
	return false;
}
