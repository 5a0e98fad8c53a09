#include "relay/wire/role.h"

#include "conf/epoch.h"
#include "core/hash.h"
#include "core/mem.h"
#include "evio/ipc.h"
#include "evio/proc.h"
#include "evio/tls.h"
#include "relay/wire/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEARTBEAT_MS 1000
#define SECRETS_MAX  (4u << 20)
#define CA_FILE_MAX  (16u << 20)
#define ANCHOR_MAX   (64u << 10)
static const char *const ca_files[] = {"/etc/ssl/certs/ca-certificates.crt",
				       "/etc/pki/tls/certs/ca-bundle.crt"};

/* COLLECTING (configuration, log, directory) --first other frame: jail, start--> STARTED --GO--> WORKING
 *   --DRAIN--> DRAINING --drained--> exit 0;  anywhere: channel closed --> exit 0 at once, failure --> exit 1 */
enum phase { COLLECTING, STARTED, WORKING, DRAINING };

struct runtime {
	const struct role_ops *ops;
	struct role_env env;
	enum phase phase;
	struct ipc *parent; /* owned */
	struct conf *conf;  /* owned reference */
	struct buf ca;      /* owned; what env.ca_pem shows */
	struct buf anchor;  /* owned; what env.trust_anchor shows */
	struct timer beat;
	void *self;      /* the role's; NULL before STARTED */
	char name[32];   /* "smtpd.0" */
	char root[4096]; /* for the chroot */
	bool has_disk;
	int status;
	uint32_t serial[ROLE_COUNT]; /* of the last channel to a process of this role */
};

/* Roles differ in what their jail allows; see proc.h. */
static struct proc_jail jail_of(enum wire_role role)
{
	struct proc_jail j = {0};
	j.files = role == ROLE_QUEUE || role == ROLE_AUTH;
	j.threads = role == ROLE_QUEUE || role == ROLE_AUTH || role == ROLE_RESOLVER;
	j.network = role == ROLE_SMTPC || role == ROLE_RESOLVER;
	j.accept = role == ROLE_SMTPD;
	return j;
}

static void fail(struct runtime *r, const char *what, const struct diag *d)
{
	if (r->env.log)
		log_event(r->env.log, LOG_ERROR, "process.failed", "what", what, "why", d->text, NULL);
	else
		fprintf(stderr, "tidegated: %s: %s: %s\n", r->name, what, d->text);
	r->status = 1;
	loop_stop(r->env.loop);
}

/* A heartbeat that does not fit now is not worth keeping: the next one comes in a second. */
static void send_or_drop(struct runtime *r, enum wire_type type, const struct buf *payload)
{
	if (r->parent && !payload->failed)
		(void)ipc_send(r->parent, type, buf_slice(payload), NULL, 0);
}

static void on_beat(void *ctx)
{
	struct runtime *r = ctx;
	struct wire_heartbeat hb = {.trouble = SLICE_EMPTY};
	CLEANUP(buf_done) struct buf out;
	buf_init(&out, IPC_PAYLOAD_MAX);
	r->ops->heartbeat(r->self, &hb);
	wire_heartbeat_encode(&hb, &out);
	send_or_drop(r, WIRE_HEARTBEAT, &out);
	timer_set(&r->beat, HEARTBEAT_MS);
}

static void on_drained(void *ctx)
{
	struct runtime *r = ctx;
	loop_stop(r->env.loop);
}

static void on_lost(void *ctx, enum wire_role role)
{
	struct runtime *r = ctx;
	CLEANUP(buf_done) struct buf out;
	buf_init(&out, IPC_PAYLOAD_MAX);
	wire_peer_encode(&(struct wire_peer){.role = role, .serial = r->serial[role]}, &out);
	send_or_drop(r, WIRE_PEER, &out);
}

/* ---- before the jail ---- */

static void read_ca_file(struct runtime *r)
{
	for (size_t i = 0; i < ARRAY_LEN(ca_files); i++) {
		CLEANUP(base_close) int fd = open(ca_files[i], O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		for (ssize_t n = 1; n > 0 && buf_reserve(&r->ca, 65536) == ERR_OK;) {
			n = read(fd, r->ca.data + r->ca.len, 65536);
			r->ca.len += n > 0 ? (size_t)n : 0;
		}
		break;
	}
	r->env.ca_pem = buf_slice(&r->ca);
}

static enum err read_trust_anchor(struct runtime *r, struct diag *d)
{
	struct slice path = r->conf->resolver.trust_anchor;
	if (r->ops->role != ROLE_RESOLVER || path.len == 0)
		return ERR_OK;
	CLEANUP(base_close) int fd = open(path.ptr, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return diag_set_errno(d, errno, "resolver.trust_anchor %s", path.ptr);
	for (ssize_t n = 1; n > 0 && buf_reserve(&r->anchor, 4096) == ERR_OK;) {
		n = read(fd, r->anchor.data + r->anchor.len, 4096);
		r->anchor.len += n > 0 ? (size_t)n : 0;
	}
	buf_add_char(&r->anchor,
		     '\n'); /* an empty file is not the same as none: it says that nothing is validated */
	r->env.trust_anchor = buf_slice(&r->anchor);
	return ERR_OK;
}

static enum err enter_jail(struct runtime *r, struct diag *d)
{
	static const enum proc_seccomp modes[] = {
		[CONF_SECCOMP_LOG] = PROC_SECCOMP_LOG,
		[CONF_SECCOMP_KILL] = PROC_SECCOMP_KILL,
		[CONF_SECCOMP_OFF] = PROC_SECCOMP_OFF,
	};
	struct proc_jail j = jail_of(r->ops->role);
	const char *missing = "";
	bool root = geteuid() == 0;

	j.seccomp = modes[r->conf->process.seccomp];
	j.user = root ? r->conf->user.ptr : NULL;
	j.root = r->root[0] ? r->root : NULL; /* without root rights it still bounds Landlock */
	enum err e = proc_jail(&j, &missing, d);
	if (e)
		return e;
	CLEANUP(buf_done) struct buf out;
	buf_init(&out, IPC_PAYLOAD_MAX);
	wire_ready_encode(&(struct wire_ready){.missing = slice_str(missing)}, &out);
	send_or_drop(r, WIRE_READY, &out);
	return ERR_OK;
}

static enum err start(struct runtime *r, struct diag *d)
{
	if (!r->conf || !r->env.log)
		return diag_set(d, ERR_CORRUPT, "no configuration before the first order");
	tls_library_init();
	if (r->ops->role == ROLE_SMTPC)
		read_ca_file(r);
	enum err e = read_trust_anchor(r, d);
	if (!e)
		e = enter_jail(r, d);
	if (e)
		return e;
	e = r->ops->start(&r->env, &r->self, d);
	if (!e)
		r->phase = STARTED;
	return e;
}

/* ---- frames from the parent ---- */

static enum err take_config(struct runtime *r, struct ipc_frame *f, struct diag *d)
{
	struct wire_config m;
	if (f->nfds != 1 || wire_config_decode(f->payload, &m) != ERR_OK)
		return diag_set(d, ERR_CORRUPT, "bad CONFIG frame");
	CLEANUP(buf_done) struct buf text;
	buf_init(&text, CONF_EPOCH_MAX);
	struct conf *conf = NULL;
	uint64_t epoch;
	enum err e = sealed_read(f->fds[0], &text, d);
	if (!e)
		e = conf_epoch_decode(buf_slice(&text), &conf, &epoch, d);
	if (e)
		return e;
	struct conf *old = r->conf;
	r->conf = r->env.conf = conf;
	if (r->self)
		r->ops->config(r->self, conf, m.epoch);
	conf_unref(old);
	return ERR_OK;
}

static enum err take_log(struct runtime *r, struct ipc_frame *f, struct diag *d)
{
	struct wire_log m;
	if (f->nfds != 1 || wire_log_decode(f->payload, &m) != ERR_OK)
		return diag_set(d, ERR_CORRUPT, "bad LOG frame");
	int fd = f->fds[0];
	f->fds[0] = -1;
	if (!r->env.log)
		return log_new(r->env.loop, fd, (enum log_sink)m.sink, (enum log_level)m.level, r->name,
			       &r->env.log, d);
	log_set_fd(r->env.log, fd);
	log_set_level(r->env.log, (enum log_level)m.level);
	return ERR_OK;
}

static enum err take_dir(struct runtime *r, struct ipc_frame *f, struct diag *d)
{
	struct wire_dir m;
	if (wire_dir_decode(f->payload, &m) != ERR_OK || m.path.len >= sizeof(r->root) || r->has_disk)
		return diag_set(d, ERR_CORRUPT, "bad DIR frame");
	memcpy(r->root, m.path.ptr, m.path.len);
	r->root[m.path.len] = '\0';
	if (f->nfds == 0)
		return ERR_OK;
	int fd = f->fds[0];
	f->fds[0] = -1;
	enum err e = disk_real_new(fd, &r->env.disk, d);
	r->has_disk = e == ERR_OK;
	return e;
}

static enum err take_secrets(struct runtime *r, struct ipc_frame *f, struct diag *d)
{
	struct wire_secrets m;
	if (f->nfds != 1 || wire_secrets_decode(f->payload, &m) != ERR_OK || !r->ops->secrets)
		return diag_set(d, ERR_CORRUPT, "bad SECRETS frame");
	CLEANUP(buf_done) struct buf text;
	buf_init(&text, SECRETS_MAX);
	enum err e = sealed_read(f->fds[0], &text, d);
	if (e)
		return e;
	struct slice all = buf_slice(&text), cert = slice_sub(all, 0, m.certificate_len);
	struct slice key = slice_sub(all, cert.len, m.key_len);
	struct slice ticket = slice_sub(all, cert.len + key.len, m.ticket_len);
	e = r->ops->secrets(r->self, cert, key, ticket, d);
	explicit_bzero(text.data, text.len);
	return e;
}

static enum err take_listener(struct runtime *r, struct ipc_frame *f, struct diag *d)
{
	struct wire_listener m;
	if (f->nfds != 1 || wire_listener_decode(f->payload, &m) != ERR_OK || !r->ops->listener)
		return diag_set(d, ERR_CORRUPT, "bad LISTENER frame");
	r->ops->listener(r->self, m.listener, f->fds[0]);
	f->fds[0] = -1;
	return ERR_OK;
}

static enum err take_peer(struct runtime *r, struct ipc_frame *f, struct diag *d)
{
	struct wire_peer m;
	if (f->nfds != 1 || wire_peer_decode(f->payload, &m) != ERR_OK)
		return diag_set(d, ERR_CORRUPT, "bad PEER frame");
	r->serial[m.role] = m.serial;
	r->ops->peer(r->self, m.role, m.slot, f->fds[0]);
	f->fds[0] = -1;
	return ERR_OK;
}

static enum err take_control(struct runtime *r, struct ipc_frame *f, struct diag *d)
{
	if (f->nfds != 1 || !r->ops->control)
		return diag_set(d, ERR_CORRUPT, "bad CONTROL frame");
	r->ops->control(r->self, f->fds[0], f->payload);
	f->fds[0] = -1;
	return ERR_OK;
}

static enum err take_go(struct runtime *r)
{
	r->phase = WORKING;
	if (r->ops->go)
		r->ops->go(r->self);
	on_beat(r);
	return ERR_OK;
}

static enum err take(struct runtime *r, struct ipc_frame *f, struct diag *d)
{
	switch (f->type) {
	case WIRE_CONFIG:
		return take_config(r, f, d);
	case WIRE_LOG:
		return take_log(r, f, d);
	case WIRE_DIR:
		return take_dir(r, f, d);
	default:
		break;
	}
	enum err e = r->phase == COLLECTING ? start(r, d) : ERR_OK;
	if (e)
		return e;
	switch (f->type) {
	case WIRE_SECRETS:
		return take_secrets(r, f, d);
	case WIRE_LISTENER:
		return take_listener(r, f, d);
	case WIRE_PEER:
		return take_peer(r, f, d);
	case WIRE_CONTROL:
		return take_control(r, f, d);
	case WIRE_GO:
		return take_go(r);
	case WIRE_DRAIN:
		r->phase = DRAINING;
		r->ops->drain(r->self);
		return ERR_OK;
	default:
		return diag_set(d, ERR_UNSUPPORTED, "unknown order %u from the parent", f->type);
	}
}

static void on_frame(void *ctx, struct ipc_frame *f)
{
	struct runtime *r = ctx;
	struct diag d = {0};
	if (r->status == 0 && take(r, f, &d) != ERR_OK)
		fail(r, "order from the parent", &d);
}

static void on_parent_close(void *ctx, const struct diag *why)
{
	struct runtime *r = ctx;
	ipc_free(r->parent);
	r->parent = NULL;
	loop_stop(r->env.loop);
}

static void runtime_done(struct runtime *r)
{
	if (r->self)
		r->ops->stop(r->self);
	timer_cancel(&r->beat);
	ipc_free(r->parent);
	if (r->has_disk)
		disk_real_free(&r->env.disk);
	conf_unref(r->conf);
	log_free(r->env.log);
	buf_done(&r->ca);
	buf_done(&r->anchor);
	loop_free(r->env.loop);
}

int role_run(const struct role_ops *ops, uint32_t slot)
{
	static const struct ipc_events events = {.on_frame = on_frame, .on_close = on_parent_close};
	struct runtime r = {.ops = ops,
			    .env = {.slot = slot,
				    .drained = on_drained,
				    .lost = on_lost,
				    .ca_pem = SLICE_EMPTY,
				    .trust_anchor = SLICE_EMPTY}};
	struct diag d = {0};
	uint8_t key[16];

	r.env.ctx = &r;
	snprintf(r.name, sizeof(r.name), "%s.%u", wire_role_name(ops->role), slot);
	buf_init(&r.ca, CA_FILE_MAX);
	buf_init(&r.anchor, ANCHOR_MAX);
	signal(SIGPIPE, SIG_IGN);
	/* A terminal's Ctrl-C or a service manager's SIGTERM reaches every process; the parent alone decides in which
	 * order they finish. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (loop_epoll_new(&r.env.loop, &d) != ERR_OK) {
		fprintf(stderr, "tidegated: %s: %s\n", r.name, d.text);
		return 1;
	}
	loop_random(r.env.loop, key, sizeof(key));
	hash_set_key(key);
	timer_init(&r.beat, r.env.loop, on_beat, &r);
	if (ipc_new(r.env.loop, PROC_FD_BASE, &events, &r, &r.parent, &d) != ERR_OK)
		fail(&r, "channel to the parent", &d);
	else if (loop_run(r.env.loop) != ERR_OK)
		r.status = 1;
	runtime_done(&r);
	return r.status;
}
