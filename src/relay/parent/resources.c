#include "relay/parent/parent_priv.h"

#include "conf/epoch.h"
#include "core/mem.h"
#include "evio/proc.h"
#include "relay/wire/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEM_MAX (1u << 20)

/* ---- directories ---- */

void resources_root(const struct conf *conf, enum wire_role role, struct buf *out)
{
	const char *name = role == ROLE_QUEUE ? "spool" : role == ROLE_AUTH ? "keys" : "empty";
	buf_printf(out, "%s/%s", conf->state_directory.ptr, name);
}

static enum err make_directory(const char *path, unsigned mode, const struct passwd *owner, struct diag *d)
{
	struct stat st;
	if (mkdir(path, mode) != 0 && errno != EEXIST)
		return diag_set_errno(d, errno, "directory %s cannot be made", path);
	if (stat(path, &st) != 0)
		return diag_set_errno(d, errno, "directory %s", path);
	if (!S_ISDIR(st.st_mode))
		return diag_set(d, ERR_SYNTAX, "%s is not a directory", path);
	if (owner && st.st_uid != owner->pw_uid && chown(path, owner->pw_uid, owner->pw_gid) != 0)
		return diag_set_errno(d, errno, "directory %s cannot be given to user %s", path,
				      owner->pw_name);
	return ERR_OK;
}

enum err resources_directories(const struct conf *conf, struct diag *d)
{
	const struct passwd *user = geteuid() == 0 ? getpwnam(conf->user.ptr) : NULL;
	if (geteuid() == 0 && !user)
		return diag_set(d, ERR_NOTFOUND, "user \"%s\" does not exist (user = ...)", conf->user.ptr);
	enum err e = make_directory(conf->state_directory.ptr, 0711, NULL, d);
	for (enum wire_role r = ROLE_SMTPD; !e && r < ROLE_COUNT; r++) {
		CLEANUP(buf_done) struct buf path;
		buf_init(&path, 4096);
		resources_root(conf, r, &path);
		bool own = r == ROLE_QUEUE || r == ROLE_AUTH;
		e = make_directory(buf_cstr(&path), own ? 0700 : 0555, own ? user : NULL, d);
	}
	return e;
}

/* ---- log ---- */

static int open_syslog(struct diag *d)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	diag_set_errno(d, errno, "log { sink = \"syslog\" }: /dev/log");
	base_close(&fd);
	return -1;
}

int resources_log_fd(const struct conf *conf, struct diag *d)
{
	int fd = -1;
	if (conf->log.sink == CONF_LOG_SYSLOG)
		return open_syslog(d);
	if (conf->log.sink == CONF_LOG_STDERR)
		fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = open(conf->log.file.ptr, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
	if (fd < 0)
		diag_set_errno(d, errno, "log { file = \"%s\" }", conf->log.file.ptr);
	return fd;
}

/* ---- certificate and key ---- */

static enum err read_file(const char *path, struct buf *out, struct diag *d)
{
	CLEANUP(base_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return diag_set_errno(d, errno, "%s", path);
	for (;;) {
		if (buf_reserve(out, 4096) != ERR_OK)
			return diag_set(d, ERR_LIMIT, "%s is larger than %zu octets", path, out->max);
		ssize_t n = read(fd, out->data + out->len, 4096);
		if (n < 0)
			return diag_set_errno(d, errno, "%s", path);
		if (n == 0)
			return ERR_OK;
		out->len += (size_t)n;
	}
}

static bool wants_tls(const struct conf *conf)
{
	for (size_t i = 0; i < conf->nlisteners; i++)
		if (conf->listeners[i].tls != CONF_LISTENER_NONE)
			return true;
	return false;
}

/* Reads both files and proves that they fit together before any child gets them. */
static enum err open_secrets(struct parent *p, struct resources *r, struct diag *d)
{
	if (!wants_tls(r->conf))
		return ERR_OK;
	enum err e = read_file(r->conf->tls.certificate.ptr, &r->certificate, d);
	if (e)
		return diag_prefix(d, "tls { certificate }");
	e = read_file(r->conf->tls.key.ptr, &r->key, d);
	if (e)
		return diag_prefix(d, "tls { key }");
	struct tls_server *tls = NULL;
	struct tls_server_options o = {.certificate_pem = buf_slice(&r->certificate),
				       .key_pem = buf_slice(&r->key)};
	e = tls_server_new(&o, &tls, d);
	if (e)
		return diag_prefix(d, "tls { certificate = \"%s\" key = \"%s\" }",
				   r->conf->tls.certificate.ptr, r->conf->tls.key.ptr);
	tls_server_unref(tls);

	CLEANUP(buf_done) struct buf all;
	buf_init(&all, 2 * PEM_MAX + sizeof(p->ticket_key));
	buf_add(&all, buf_slice(&r->certificate));
	buf_add(&all, buf_slice(&r->key));
	buf_add_mem(&all, p->ticket_key, sizeof(p->ticket_key));
	r->secrets_fd = all.failed ? -1 : sealed_new("tidegate-secrets", buf_slice(&all));
	if (all.data)
		if (all.data)
		explicit_bzero(all.data, all.len);
	return r->secrets_fd >= 0 ? ERR_OK : diag_set_errno(d, errno, "memory for the keys");
}

/* ---- passwords towards the next hops ---- */

/* One password a route, in the order of the configuration (empty: none), as slices with u32 length. */
static enum err open_passwords(struct resources *r, struct diag *d)
{
	CLEANUP(buf_done) struct buf all = {.max = PEM_MAX}, one = {.max = 4096};
	enum err e = ERR_OK;
	for (size_t i = 0; !e && i < r->conf->nroutes; i++) {
		const struct conf_route *route = &r->conf->routes[i];
		buf_clear(&one);
		if (route->auth_password_file.len)
			e = read_file(route->auth_password_file.ptr, &one, d);
		if (e)
			return diag_prefix(d, "route \"%s\" { auth_password_file }", route->pattern.ptr);
		buf_add_slice32(&all, slice_trim(buf_slice(&one)));
	}
	r->passwords_len = (uint32_t)all.len;
	r->passwords_fd = all.failed ? -1 : sealed_new("tidegate-passwords", buf_slice(&all));
	explicit_bzero(all.data, all.len);
	if (one.data)
		explicit_bzero(one.data, one.cap);
	return r->passwords_fd >= 0 ? ERR_OK : diag_set_errno(d, errno, "memory for the passwords");
}

/* ---- ports ---- */

static int reuse_bound(const struct resources *old, const struct net_addr *a)
{
	for (size_t i = 0; old && i < old->bound_count; i++)
		if (net_addr_eq(&old->bound[i].addr, a))
			return old->bound[i].fd;
	return -1;
}

/* A socket that the service manager bound for us (socket activation, sd_listen_fds(3)). */
static int take_inherited(struct parent *p, const struct net_addr *a)
{
	for (unsigned i = 0; i < p->inherited_count; i++) {
		struct net_addr bound = {.len = sizeof(bound.u)};
		int fd = PROC_FD_BASE + (int)i;
		if (p->inherited_taken & 1ull << i || getsockname(fd, &bound.u.sa, &bound.len) != 0)
			continue;
		if (!net_addr_eq(&bound, a) || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
			continue;
		p->inherited_taken |= 1ull << i;
		return fd;
	}
	return -1;
}

static enum err bind_one(struct parent *p, struct resources *r, const struct resources *old,
			 uint32_t listener, struct slice text, struct diag *d)
{
	const struct conf_listener *cl = &r->conf->listeners[listener];
	struct bound *b = &r->bound[r->bound_count];
	*b = (struct bound){.listener = listener, .fd = -1};
	enum err e = net_addr_parse(text, cl->tls == CONF_LISTENER_IMPLICIT ? 465 : 587, &b->addr, d);
	if (!e)
		b->fd = reuse_bound(old, &b->addr);
	if (!e && b->fd < 0)
		b->fd = take_inherited(p, &b->addr);
	if (!e && b->fd < 0)
		e = net_listen(p->loop, &b->addr, 0666, &b->fd, d);
	if (e)
		return diag_prefix(d, "listener %s", cl->name.ptr);
	r->bound_count++;
	return ERR_OK;
}

static enum err open_ports(struct parent *p, struct resources *r, const struct resources *old, struct diag *d)
{
	size_t count = 0;
	for (size_t i = 0; i < r->conf->nlisteners; i++)
		count += r->conf->listeners[i].address.count;
	r->bound = mem_alloc(MAX(count, 1) * sizeof(*r->bound));
	if (!r->bound)
		return diag_set(d, ERR_NOMEM, "no memory for %zu listeners", count);
	for (uint32_t i = 0; i < r->conf->nlisteners; i++) {
		const struct conf_texts *addrs = &r->conf->listeners[i].address;
		for (size_t k = 0; k < addrs->count; k++) {
			enum err e = bind_one(p, r, old, i, addrs->items[k], d);
			if (e)
				return e;
		}
	}
	return ERR_OK;
}

/* ---- all together ---- */

static enum err open_epoch(struct resources *r, struct diag *d)
{
	CLEANUP(buf_done) struct buf out;
	buf_init(&out, CONF_EPOCH_MAX);
	enum err e = conf_epoch_encode(r->conf, r->epoch, &out);
	if (e)
		return diag_set(d, e, "the configuration is too large");
	r->conf_fd = sealed_new("tidegate-conf", buf_slice(&out));
	return r->conf_fd >= 0 ? ERR_OK : diag_set_errno(d, errno, "memory for the configuration");
}

enum err resources_open(struct parent *p, struct conf *conf, uint64_t epoch, const struct resources *old,
			struct resources *ret, struct diag *d)
{
	struct resources r = {
		.conf = conf, .epoch = epoch, .conf_fd = -1, .secrets_fd = -1, .passwords_fd = -1};
	conf_ref(conf);
	buf_init(&r.certificate, PEM_MAX);
	buf_init(&r.key, PEM_MAX);
	enum err e = resources_directories(conf, d);
	if (!e)
		e = open_secrets(p, &r, d);
	if (!e)
		e = open_passwords(&r, d);
	if (!e)
		e = open_epoch(&r, d);
	if (!e)
		e = open_ports(p, &r, old, d);
	if (e)
		resources_close(&r, old);
	else
		*ret = r;
	return e;
}

static bool shares(const struct resources *keep, int fd)
{
	for (size_t i = 0; keep && i < keep->bound_count; i++)
		if (keep->bound[i].fd == fd)
			return true;
	return false;
}

void resources_close_ports(struct resources *r, const struct resources *keep)
{
	for (size_t i = 0; i < r->bound_count; i++) {
		const struct net_addr *a = &r->bound[i].addr;
		if (shares(keep, r->bound[i].fd))
			continue;
		base_close(&r->bound[i].fd);
		if (a->u.sa.sa_family == AF_UNIX)
			unlink(a->u.un.sun_path);
	}
	r->bound_count = 0;
}

void resources_close(struct resources *r, const struct resources *keep)
{
	resources_close_ports(r, keep);
	mem_free(r->bound);
	base_close(&r->conf_fd);
	base_close(&r->secrets_fd);
	base_close(&r->passwords_fd);
	buf_done(&r->certificate);
	if (r->key.data)
		explicit_bzero(r->key.data, r->key.len);
	buf_done(&r->key);
	conf_unref(r->conf);
	*r = (struct resources){.conf_fd = -1, .secrets_fd = -1, .passwords_fd = -1};
}
