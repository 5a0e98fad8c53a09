#include "conf/spell.h"

#include <arpa/inet.h>
#include <string.h>

#define HOSTNAME_MAX   253u
#define LABEL_MAX      63u
#define LOCAL_PART_MAX 64u /* RFC 5321 4.5.3.1.1 */
#define NAME_MAX_      32u
#define PATH_MAX_      1024u
#define UNIX_PATH_MAX  107u /* sun_path without its NUL */
#define WORD_MAX       64u  /* longest word that conf_spell_distance compares */

static bool is_label(struct slice s)
{
	if (s.len == 0 || s.len > LABEL_MAX || s.ptr[0] == '-' || s.ptr[s.len - 1] == '-')
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_alnum(s.ptr[i]) && s.ptr[i] != '-')
			return false;
	return true;
}

enum err conf_spell_hostname(struct slice s)
{
	struct slice rest = s;

	if (s.len == 0 || s.len > HOSTNAME_MAX)
		return ERR_SYNTAX;
	while (rest.ptr)
		if (!is_label(slice_split(&rest, '.')))
			return ERR_SYNTAX;
	return ERR_OK;
}

static bool is_atom(struct slice s) /* RFC 5322 3.2.3 */
{
	static const struct slice special = SLICE_LIT("!#$%&'*+-/=?^_`{|}~");

	for (size_t i = 0; i < s.len; i++)
		if (!ascii_is_alnum(s.ptr[i]) && slice_find(special, s.ptr[i]) == SLICE_NPOS)
			return false;
	return s.len > 0;
}

enum err conf_spell_mailbox(struct slice s)
{
	size_t at = slice_rfind(s, '@');
	struct slice local;

	if (at == SLICE_NPOS || at > LOCAL_PART_MAX)
		return ERR_SYNTAX;
	local = slice_sub(s, 0, at);
	do {
		if (!is_atom(slice_split(&local, '.')))
			return ERR_SYNTAX;
	} while (local.ptr);
	return conf_spell_hostname(slice_from(s, at + 1));
}

enum err conf_spell_path(struct slice s)
{
	struct slice rest = s;

	if (s.len == 0 || s.len > PATH_MAX_ || s.ptr[0] != '/' || slice_has_control(s))
		return ERR_SYNTAX;
	while (rest.ptr)
		if (slice_eq_str(slice_split(&rest, '/'), ".."))
			return ERR_SYNTAX;
	return ERR_OK;
}

enum err conf_spell_name(struct slice s)
{
	if (s.len == 0 || s.len > NAME_MAX_)
		return ERR_SYNTAX;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		if (!ascii_is_digit(c) && !(c >= 'a' && c <= 'z') && c != '-' && c != '_')
			return ERR_SYNTAX;
	}
	return ERR_OK;
}

enum err conf_spell_pattern(struct slice s)
{
	if (slice_eq_str(s, "*"))
		return ERR_OK;
	if (slice_starts(s, SLICE_LIT(".")))
		s = slice_from(s, 1);
	return conf_spell_hostname(s);
}

/* Decimal, 1 to 65535. */
static enum err read_port(struct slice s, uint16_t *ret)
{
	uint64_t port = 0;
	enum err e = slice_to_u64(s, 65535, &port);

	if (e < 0)
		return e;
	if (port == 0)
		return ERR_RANGE;
	*ret = (uint16_t)port;
	return ERR_OK;
}

static bool read_ip(struct slice s, int af, uint8_t ret[16])
{
	char text[INET6_ADDRSTRLEN];

	if (s.len >= sizeof(text) || memchr(s.ptr, '\0', s.len))
		return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	return inet_pton(af, text, ret) == 1;
}

static enum err read_bracketed(struct slice s, struct conf_address *ret)
{
	size_t close = slice_find(s, ']');

	if (close == SLICE_NPOS || !read_ip(slice_sub(s, 1, close - 1), AF_INET6, ret->ip))
		return ERR_SYNTAX;
	ret->family = CONF_IPV6;
	if (close + 1 == s.len)
		return ERR_OK;
	if (s.ptr[close + 1] != ':')
		return ERR_SYNTAX;
	return read_port(slice_from(s, close + 2), &ret->port);
}

static enum err read_ipv4(struct slice s, struct conf_address *ret)
{
	size_t colon = slice_find(s, ':');

	if (!read_ip(slice_sub(s, 0, MIN(colon, s.len)), AF_INET, ret->ip))
		return ERR_SYNTAX;
	ret->family = CONF_IPV4;
	return colon == SLICE_NPOS ? ERR_OK : read_port(slice_from(s, colon + 1), &ret->port);
}

enum err conf_spell_address(struct slice s, struct conf_address *ret)
{
	static const struct slice unix_prefix = SLICE_LIT("unix:");
	struct conf_address a = {.family = CONF_IPV6};
	enum err e = ERR_OK;

	if (s.len == 0)
		return ERR_SYNTAX;
	if (slice_starts(s, unix_prefix)) {
		a.family = CONF_UNIX;
		a.path = slice_from(s, unix_prefix.len);
		e = a.path.len > UNIX_PATH_MAX ? ERR_SYNTAX : conf_spell_path(a.path);
	} else if (s.ptr[0] == '[') {
		e = read_bracketed(s, &a);
	} else if (!read_ip(s, AF_INET6, a.ip)) {
		e = read_ipv4(s, &a);
	}
	if (e < 0)
		return e;
	*ret = a;
	return ERR_OK;
}

enum err conf_spell_destination(struct slice s)
{
	struct conf_address a;
	size_t colon = slice_rfind(s, ':');
	uint16_t port;
	enum err e;

	if (slice_eq_str(s, "mx"))
		return ERR_OK;
	if (conf_spell_address(s, &a) == ERR_OK)
		return a.family != CONF_UNIX && a.port != 0 ? ERR_OK : ERR_SYNTAX;
	if (colon == SLICE_NPOS)
		return ERR_SYNTAX;
	e = conf_spell_hostname(slice_sub(s, 0, colon));
	return e < 0 ? e : read_port(slice_from(s, colon + 1), &port);
}

static bool rest_is_zero(const uint8_t *ip, size_t len, unsigned bits)
{
	for (size_t i = bits / 8; i < len; i++)
		if (ip[i] & (i == bits / 8 ? 0xffu >> (bits % 8) : 0xffu))
			return false;
	return true;
}

enum err conf_spell_network(struct slice s, struct conf_address *ret, unsigned *ret_bits)
{
	struct slice length = s, ip = slice_split(&length, '/');
	struct conf_address a = {.family = CONF_UNIX};
	uint64_t bits = 0;

	if (slice_eq_str(s, "unix")) {
		*ret = a;
		*ret_bits = 0;
		return ERR_OK;
	}
	if (conf_spell_address(ip, &a) < 0 || a.family == CONF_UNIX || a.port != 0)
		return ERR_SYNTAX;
	unsigned all = a.family == CONF_IPV4 ? 32 : 128;
	if (!length.ptr)
		bits = all;
	else if (slice_to_u64(length, all, &bits) < 0)
		return ERR_SYNTAX;
	if (!rest_is_zero(a.ip, all / 8, (unsigned)bits))
		return ERR_SYNTAX;
	*ret = a;
	*ret_bits = (unsigned)bits;
	return ERR_OK;
}

static bool is_private_ipv4(const uint8_t ip[4])
{
	return ip[0] == 127 || ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
	       (ip[0] == 192 && ip[1] == 168) || (ip[0] == 169 && ip[1] == 254);
}

bool conf_address_is_private(const struct conf_address *a)
{
	static const uint8_t loopback[16] = {[15] = 1};
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (a->family == CONF_UNIX)
		return true;
	if (a->family == CONF_IPV4)
		return is_private_ipv4(a->ip);
	if (memcmp(a->ip, mapped, sizeof(mapped)) == 0)
		return is_private_ipv4(a->ip + sizeof(mapped));
	return memcmp(a->ip, loopback, sizeof(loopback)) == 0 || (a->ip[0] & 0xfe) == 0xfc ||
	       (a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80);
}

/* Optimal string alignment (Damerau-Levenshtein without edits inside a swap), three rows. */
unsigned conf_spell_distance(struct slice a, struct slice b, unsigned max)
{
	unsigned rows[3][WORD_MAX + 1];
	unsigned *before = rows[0], *last = rows[1], *now = rows[2];

	if (a.len > WORD_MAX || b.len > WORD_MAX)
		return max + 1;
	for (unsigned k = 0; k <= b.len; k++)
		last[k] = k;
	for (unsigned i = 1; i <= a.len; i++) {
		now[0] = i;
		for (unsigned k = 1; k <= b.len; k++) {
			unsigned edit = last[k - 1] + (a.ptr[i - 1] != b.ptr[k - 1]);
			now[k] = MIN(edit, MIN(last[k], now[k - 1]) + 1);
			if (i > 1 && k > 1 && a.ptr[i - 1] == b.ptr[k - 2] && a.ptr[i - 2] == b.ptr[k - 1])
				now[k] = MIN(now[k], before[k - 2] + 1);
		}
		unsigned *spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return MIN(last[b.len], max + 1);
}
