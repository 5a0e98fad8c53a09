/* Are the things that a configuration names there and usable? Asked by `tidegated -t` and before a reload. */
#include "conf/conf.h"

#include "core/buf.h"

#include <errno.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

/* The diag's text behind "file:line: key: ". Returns the diag's code. */
static enum err at(const struct conf *c, const void *member, const char *key, struct diag *d)
{
	const struct conf_origin *o = conf_origin(c, member);

	diag_prefix(d, "%s", key);
	return o ? diag_prefix(d, "%.*s:%u", SLICE_ARG(o->file), o->line) : d->code;
}

/* A regular file that this process can read. */
static enum err check_file(struct slice path, struct diag *d)
{
	struct stat st;

	if (stat(path.ptr, &st) < 0)
		return diag_set_errno(d, errno, "%s", path.ptr);
	if (!S_ISREG(st.st_mode))
		return diag_set(d, ERR_IO, "%s: not a file", path.ptr);
	if (access(path.ptr, R_OK) < 0)
		return diag_set_errno(d, errno, "%s", path.ptr);
	return ERR_OK;
}

/* Also one that nobody else can read. */
static enum err check_secret(struct slice path, struct diag *d)
{
	struct stat st;
	enum err e = check_file(path, d);

	if (e < 0)
		return e;
	if (stat(path.ptr, &st) == 0 && (st.st_mode & (S_IROTH | S_IWOTH)))
		return diag_set(d, ERR_PERM, "%s: others can read or write it; chmod o-rwx", path.ptr);
	return ERR_OK;
}

static enum err check_directory(const char *path, struct diag *d)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return diag_set_errno(d, errno, "%s", path);
	if (!S_ISDIR(st.st_mode))
		return diag_set(d, ERR_IO, "%s: not a directory", path);
	if (access(path, W_OK | X_OK) < 0)
		return diag_set_errno(d, errno, "%s", path);
	return ERR_OK;
}

/* The directory in which a file or socket is to be made. */
static enum err check_parent(struct slice path, struct diag *d)
{
	struct buf parent CLEANUP(buf_done) = {0};
	size_t slash = slice_rfind(path, '/');

	buf_init(&parent, CONF_VALUE_MAX);
	buf_add(&parent, slice_sub(path, 0, slash == 0 ? 1 : slash));
	return check_directory(buf_cstr(&parent), d);
}

/* tidegated makes it if only the last part is missing. */
static enum err check_state(struct slice path, struct diag *d)
{
	struct stat st;

	if (stat(path.ptr, &st) < 0 && errno == ENOENT)
		return check_parent(path, d);
	return check_directory(path.ptr, d);
}

static enum err check_user(struct slice name, struct diag *d)
{
	if (geteuid() != 0)
		return ERR_OK; /* not used then */
	errno = 0;
	if (!getpwnam(name.ptr))
		return diag_set(d, ERR_NOTFOUND, "there is no user \"%s\"", name.ptr);
	return ERR_OK;
}

static bool wants_tls(const struct conf *c)
{
	for (size_t i = 0; i < c->nlisteners; i++)
		if (c->listeners[i].tls != CONF_LISTENER_NONE)
			return true;
	return false;
}

static enum err check_tls(const struct conf *c, struct diag *d)
{
	if (!wants_tls(c))
		return ERR_OK;
	if (check_file(c->tls.certificate, d) < 0)
		return at(c, &c->tls.certificate, "tls.certificate", d);
	if (check_secret(c->tls.key, d) < 0)
		return at(c, &c->tls.key, "tls.key", d);
	return ERR_OK;
}

static enum err check_routes(const struct conf *c, struct diag *d)
{
	for (size_t i = 0; i < c->nroutes; i++) {
		const struct conf_route *r = &c->routes[i];
		if (r->auth_password_file.len > 0 && check_secret(r->auth_password_file, d) < 0) {
			diag_prefix(d, "auth_password_file");
			diag_prefix(d, "route \"%s\"", r->pattern.ptr);
			const struct conf_origin *o = conf_origin(c, &r->auth_password_file);
			return o ? diag_prefix(d, "%.*s:%u", SLICE_ARG(o->file), o->line) : d->code;
		}
	}
	return ERR_OK;
}

enum err conf_check_paths(const struct conf *c, struct diag *ret)
{
	struct diag local, *d = ret ? ret : &local;

	if (check_user(c->user, d) < 0)
		return at(c, &c->user, "user", d);
	if (check_state(c->state_directory, d) < 0)
		return at(c, &c->state_directory, "state_directory", d);
	if (check_parent(c->control_socket, d) < 0)
		return at(c, &c->control_socket, "control_socket", d);
	if (check_tls(c, d) < 0)
		return d->code;
	if (c->log.sink == CONF_LOG_FILE && check_parent(c->log.file, d) < 0)
		return at(c, &c->log.file, "log.file", d);
	if (c->resolver.trust_anchor.len > 0 && check_file(c->resolver.trust_anchor, d) < 0)
		return at(c, &c->resolver.trust_anchor, "resolver.trust_anchor", d);
	return check_routes(c, d);
}
