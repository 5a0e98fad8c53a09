#include "conf/check.h"

#include "conf/spell.h"
#include "core/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

/* Reports about the value at `member`, with its place in front. Returns ERR_RANGE. */
static enum err ATTR_PRINTF(4, 5)
	complain(const struct conf *c, const void *member, struct diag *d, const char *fmt, ...)
{
	const struct conf_origin *o = conf_origin(c, member);
	struct buf text CLEANUP(buf_done) = {0};
	va_list ap;

	buf_init(&text, 1024);
	if (o)
		buf_printf(&text, "%.*s:%u: ", SLICE_ARG(o->file), o->line);
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	return diag_set(d, ERR_RANGE, "%s", buf_cstr(&text));
}

/* --- derived values --------------------------------------------------------------------------------------- */

static enum err derive_hostname(struct conf *c, struct diag *d)
{
	char name[256];

	if (c->hostname.len > 0)
		return ERR_OK;
	if (gethostname(name, sizeof(name) - 1) < 0)
		return diag_set_errno(d, errno, "hostname: not set, and the system does not tell its own");
	name[sizeof(name) - 1] = '\0';
	if (conf_spell_hostname(slice_str(name)) < 0)
		return diag_set(d, ERR_RANGE, "hostname: not set, and the system's \"%s\" is not a host name",
				name);
	return arena_dup(&c->arena, slice_str(name), &c->hostname);
}

static enum err derive_postmaster(struct conf *c)
{
	struct buf text CLEANUP(buf_done) = {0};

	if (c->postmaster.len > 0)
		return ERR_OK;
	buf_init(&text, 512);
	buf_add_str(&text, "postmaster@");
	buf_add(&text, c->hostname);
	return text.failed ? text.failed : arena_dup(&c->arena, buf_slice(&text), &c->postmaster);
}

enum err conf_derive(struct conf *c, struct diag *d)
{
	enum err e = derive_hostname(c, d);

	if (e == ERR_OK)
		e = derive_postmaster(c);
	if (e == ERR_OK && c->delivery.helo_name.len == 0)
		c->delivery.helo_name = c->hostname;
	return e;
}

/* --- listeners -------------------------------------------------------------------------------------------- */

static bool all_private(const struct conf_texts *addresses)
{
	struct conf_address a;

	for (size_t i = 0; i < addresses->count; i++)
		if (conf_spell_address(addresses->items[i], &a) < 0 || !conf_address_is_private(&a))
			return false;
	return true;
}

static bool has_text(const struct conf_texts *list, size_t n, struct slice item)
{
	for (size_t i = 0; i < n; i++)
		if (slice_eq(list->items[i], item))
			return true;
	return false;
}

/* Each address once, in this listener and those before it. */
static enum err check_addresses(const struct conf *c, size_t index, struct diag *d)
{
	const struct conf_listener *l = &c->listeners[index];

	for (size_t i = 0; i < l->address.count; i++) {
		bool twice = has_text(&l->address, i, l->address.items[i]);
		for (size_t k = 0; k < index; k++)
			twice = twice || has_text(&c->listeners[k].address, c->listeners[k].address.count,
						  l->address.items[i]);
		if (twice)
			return complain(c, &l->address, d,
					"listener \"%.*s\": address: \"%.*s\" is given twice",
					SLICE_ARG(l->name), SLICE_ARG(l->address.items[i]));
	}
	return ERR_OK;
}

/* Is it bounded to whom this listener answers? A prefix of no length bounds nothing. */
static bool knows_its_clients(const struct conf_listener *l)
{
	for (size_t i = 0; i < l->clients.count; i++) {
		struct conf_address a;
		unsigned bits;
		if (conf_spell_network(l->clients.items[i], &a, &bits) < 0 ||
		    (bits == 0 && a.family != CONF_UNIX))
			return false;
	}
	return l->clients.count > 0;
}

/* The names alone: which of them a channel allows is found out there. */
static enum err check_mechanisms(const struct conf *c, const struct conf_listener *l, struct diag *d)
{
	static const char *const known[] = {"EXTERNAL", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN",
					    "LOGIN"};
	struct slice rest = l->mechanisms, word;

	while ((word = slice_word(&rest)).len) {
		size_t i = 0;
		while (i < ARRAY_LEN(known) && !slice_eq_str(word, known[i]))
			i++;
		if (i == ARRAY_LEN(known))
			return complain(c, &l->mechanisms, d,
					"listener \"%.*s\": mechanisms: \"%.*s\" is none of EXTERNAL, "
					"SCRAM-SHA-256-PLUS, SCRAM-SHA-256, PLAIN, LOGIN",
					SLICE_ARG(l->name), SLICE_ARG(word));
	}
	if (l->auth == CONF_AUTH_REQUIRED && slice_trim(l->mechanisms).len == 0)
		return complain(c, &l->mechanisms, d,
				"listener \"%.*s\": mechanisms: none, and auth is required",
				SLICE_ARG(l->name));
	return ERR_OK;
}

static enum err check_listener(const struct conf *c, size_t index, struct diag *d)
{
	const struct conf_listener *l = &c->listeners[index];

	if (l->auth == CONF_AUTH_NONE && !all_private(&l->address) && !knows_its_clients(l))
		return complain(c, &l->auth, d,
				"listener \"%.*s\": auth = \"none\" on an address that others can reach "
				"makes an open "
				"relay; it is possible on loopback, private and Unix addresses, or with "
				"clients",
				SLICE_ARG(l->name));
	if (l->tls == CONF_LISTENER_NONE && l->auth == CONF_AUTH_REQUIRED && !all_private(&l->address))
		return complain(c, &l->tls, d,
				"listener \"%.*s\": tls = \"none\" would show passwords to the network; it "
				"is possible on "
				"loopback, private and Unix addresses",
				SLICE_ARG(l->name));
	enum err e = check_mechanisms(c, l, d);
	return e ? e : check_addresses(c, index, d);
}

static enum err check_certificate(const struct conf *c, struct diag *d)
{
	for (size_t i = 0; i < c->nlisteners; i++) {
		if (c->listeners[i].tls == CONF_LISTENER_NONE)
			continue;
		if (c->tls.certificate.len == 0)
			return complain(c, &c->tls.certificate, d,
					"tls.certificate: listener \"%.*s\" needs one",
					SLICE_ARG(c->listeners[i].name));
		if (c->tls.key.len == 0)
			return complain(c, &c->tls.key, d, "tls.key: listener \"%.*s\" needs one",
					SLICE_ARG(c->listeners[i].name));
	}
	return ERR_OK;
}

/* --- routes ----------------------------------------------------------------------------------------------- */

static enum err check_route(const struct conf *c, const struct conf_route *r, struct diag *d)
{
	bool safe = r->tls == CONF_ROUTE_TLS_ENCRYPT || r->tls == CONF_ROUTE_TLS_VERIFY;

	if ((r->auth_user.len > 0) != (r->auth_password_file.len > 0))
		return complain(c, r->auth_user.len ? &r->auth_user : &r->auth_password_file, d,
				"route \"%.*s\": auth_user and auth_password_file go together",
				SLICE_ARG(r->pattern));
	if (r->auth_user.len > 0 && slice_eq_str(r->via, "mx"))
		return complain(c, &r->auth_user, d, "route \"%.*s\": auth_user needs via = \"host:port\"",
				SLICE_ARG(r->pattern));
	if (r->auth_user.len > 0 && !safe)
		return complain(c, &r->auth_user, d,
				"route \"%.*s\": auth_user needs tls = \"encrypt\" or \"verify\", so that "
				"the password is "
				"not shown to the network",
				SLICE_ARG(r->pattern));
	return ERR_OK;
}

/* libconfuse refuses equal titles; titles that differ in case only come here. */
static enum err check_patterns(const struct conf *c, size_t index, struct diag *d)
{
	const struct conf_route *r = &c->routes[index];

	for (size_t i = 0; i < index; i++)
		if (slice_eq(c->routes[i].pattern, r->pattern))
			return complain(c, &r->pattern, d, "route \"%.*s\" is given twice",
					SLICE_ARG(r->pattern));
	return ERR_OK;
}

/* --- the rest --------------------------------------------------------------------------------------------- */

static enum err check_values(const struct conf *c, struct diag *d)
{
	if (c->retention.body > c->retention.headers)
		return complain(c, &c->retention.body, d,
				"retention.body: must not be longer than retention.headers");
	if (c->retention.headers > c->retention.index)
		return complain(c, &c->retention.headers, d,
				"retention.headers: must not be longer than retention.index");
	if (c->retry.expire_null > c->retry.expire)
		return complain(c, &c->retry.expire_null, d,
				"retry.expire_null: must not be longer than retry.expire");
	if (c->limit.header_size > c->limit.message_size)
		return complain(c, &c->limit.header_size, d,
				"limit.header_size: must not be larger than limit.message_size");
	if (c->log.sink == CONF_LOG_FILE && c->log.file.len == 0)
		return complain(c, &c->log.sink, d, "log.sink: \"file\" needs log.file");
	return ERR_OK;
}

enum err conf_check(const struct conf *c, struct diag *d)
{
	enum err e = check_values(c, d);

	for (size_t i = 0; e == ERR_OK && i < c->nlisteners; i++)
		e = check_listener(c, i, d);
	for (size_t i = 0; e == ERR_OK && i < c->nroutes; i++) {
		e = check_route(c, &c->routes[i], d);
		if (e == ERR_OK)
			e = check_patterns(c, i, d);
	}
	return e == ERR_OK ? check_certificate(c, d) : e;
}
