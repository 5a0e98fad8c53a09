#include "conf/conf.h"

#include "conf/check.h"
#include "conf/spell.h"
#include "core/mem.h"

struct conf *conf_new(void)
{
	struct conf *c = NEW(struct conf);

	if (!c)
		return NULL;
	c->refs = 1;
	arena_init(&c->arena, CONF_ARENA_MAX);
	return c;
}

void conf_ref(struct conf *c)
{
	ASSERT(c->refs > 0);
	c->refs++;
}

void conf_unref(struct conf *c)
{
	if (!c)
		return;
	ASSERT(c->refs > 0);
	if (--c->refs > 0)
		return;
	arena_done(&c->arena);
	mem_free(c);
}

const struct conf_origin *conf_origin(const struct conf *c, const void *value)
{
	for (size_t i = 0; i < c->norigins; i++)
		if (c->origins[i].value == value)
			return &c->origins[i];
	return NULL;
}

/* How much of the domain a pattern pins down; 0: it does not match. */
static size_t match_length(struct slice pattern, struct slice domain)
{
	if (slice_eq_str(pattern, "*"))
		return 1;
	if (!slice_starts(pattern, SLICE_LIT(".")))
		return slice_ieq(pattern, domain) ? SIZE_MAX : 0;
	if (domain.len > pattern.len && slice_iends(domain, pattern))
		return 1 + pattern.len;
	return 0;
}

const struct conf_route *conf_route_for(const struct conf *c, struct slice domain)
{
	const struct conf_route *best = NULL;
	size_t best_length = 0;

	for (size_t i = 0; i < c->nroutes; i++) {
		size_t length = match_length(c->routes[i].pattern, domain);
		if (length > best_length) {
			best_length = length;
			best = &c->routes[i];
		}
	}
	return best;
}

/* The first TCP port of a listener, 0 if it has Unix sockets only. */
static uint16_t first_port(const struct conf_listener *l)
{
	struct conf_address a;

	for (size_t i = 0; i < l->address.count; i++)
		if (conf_spell_address(l->address.items[i], &a) == ERR_OK && a.family != CONF_UNIX)
			return a.port;
	return 0;
}

static const struct conf_listener *find_submission(const struct conf *c, enum conf_listener_tls tls,
						   uint16_t *ret_port)
{
	for (size_t i = 0; i < c->nlisteners; i++) {
		const struct conf_listener *l = &c->listeners[i];
		uint16_t port = first_port(l);
		if (l->auth == CONF_AUTH_REQUIRED && l->tls == tls && port != 0) {
			*ret_port = port;
			return l;
		}
	}
	return NULL;
}

const struct conf_listener *conf_submission(const struct conf *c, uint16_t *ret_port)
{
	const struct conf_listener *l = find_submission(c, CONF_LISTENER_STARTTLS, ret_port);

	return l ? l : find_submission(c, CONF_LISTENER_IMPLICIT, ret_port);
}
