/* Failed logins, counted by keys that attackers choose (names, networks): a table of fixed size. Pure.
 *
 * A key's level is its number of failures, less one for every THROTTLE_FORGET_MS. Keys share sets of
 * THROTTLE_WAYS places; a new key takes the place with the lowest level, so that whoever floods the table with new
 * keys pushes out other new keys, not those that fail most. Keys are keyed hashes (core/hash.h): sets cannot be
 * aimed at.
 *
 * Wrong passwords are answered late, and past THROTTLE_REFUSE a network is not listened to, unless the password is
 * one that is remembered as good (recall.h): a stranger must not be able to lock out a server that shares the
 * network. By name failures only delay: else anybody could lock out any server.
 */
#pragma once

#include "core/slice.h"
#include "evio/net.h"
#include "relay/auth/limits.h"

struct throttle_place {
	uint64_t key; /* 0: free */
	uint64_t at;  /* ms: when `level` was true */
	uint32_t level;
};

struct throttle {
	struct throttle_place places[THROTTLE_SETS][THROTTLE_WAYS];
};

uint64_t throttle_name_key(struct slice name);
/* The network an address belongs to; IPv4-mapped IPv6 counts as IPv4. Unix sockets are one network. */
uint64_t throttle_network_key(const struct net_addr *a, unsigned bits_ipv4, unsigned bits_ipv6);

unsigned throttle_level(const struct throttle *t, uint64_t key, uint64_t now_ms);
void throttle_count(struct throttle *t, uint64_t key, uint64_t now_ms); /* one failure more */
uint64_t throttle_delay(unsigned level);                                /* ms */
