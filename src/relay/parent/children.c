#include "relay/parent/parent_priv.h"

#include "core/mem.h"
#include "evio/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Who talks to whom; each pair of running processes with such roles shares one channel. */
static const struct {
	enum wire_role a, b;
} links[] = {
	{ROLE_SMTPD, ROLE_AUTH},
	{ROLE_SMTPD, ROLE_QUEUE},
	{ROLE_QUEUE, ROLE_RESOLVER},
	{ROLE_QUEUE, ROLE_SMTPC},
};

const char *child_name(const struct child *c, char out[32])
{
	snprintf(out, 32, "%s.%u", wire_role_name(c->role), c->slot);
	return out;
}

static void log_child(struct child *c, enum log_level level, const char *event, const char *key,
		      const char *value)
{
	char name[32];
	struct log_line l = log_begin(c->parent->log, level, event);
	log_cstr(&l, "process", child_name(c, name));
	log_u64(&l, "pid", (uint64_t)c->pid);
	if (key)
		log_cstr(&l, key, value);
	log_end(&l);
}

/* ---- orders ---- */

static enum err child_send(struct child *c, enum wire_type type, const struct buf *payload, int fd)
{
	if (!c->channel || (payload && payload->failed))
		return ERR_CLOSED;
	return ipc_send(c->channel, (uint16_t)type, payload ? buf_slice(payload) : SLICE_EMPTY, &fd, fd >= 0);
}

static enum err send_config(struct child *c)
{
	CLEANUP(buf_done) struct buf out;
	buf_init(&out, IPC_PAYLOAD_MAX);
	wire_config_encode(&(struct wire_config){.epoch = c->parent->res.epoch}, &out);
	return child_send(c, WIRE_CONFIG, &out, c->parent->res.conf_fd);
}

static enum err send_log(struct child *c)
{
	static const uint8_t sinks[] = {
		[CONF_LOG_STDERR] = LOG_SINK_STDERR,
		[CONF_LOG_FILE] = LOG_SINK_FILE,
		[CONF_LOG_SYSLOG] = LOG_SINK_SYSLOG,
	};
	static const uint8_t levels[] = {
		[CONF_LOG_ERROR] = LOG_ERROR,
		[CONF_LOG_WARNING] = LOG_WARNING,
		[CONF_LOG_INFO] = LOG_INFO,
		[CONF_LOG_DEBUG] = LOG_DEBUG,
	};
	const struct conf_log *cl = &c->parent->res.conf->log;
	CLEANUP(base_close) int fd = resources_log_fd(c->parent->res.conf, NULL);
	CLEANUP(buf_done) struct buf out;
	buf_init(&out, IPC_PAYLOAD_MAX);
	wire_log_encode(&(struct wire_log){.sink = sinks[cl->sink], .level = levels[cl->level]}, &out);
	return fd < 0 ? ERR_IO : child_send(c, WIRE_LOG, &out, fd);
}

static enum err send_dir(struct child *c)
{
	CLEANUP(buf_done) struct buf path, out;
	CLEANUP(base_close) int fd = -1;
	buf_init(&path, 4096);
	buf_init(&out, IPC_PAYLOAD_MAX);
	resources_root(c->parent->res.conf, c->role, &path);
	if (c->role == ROLE_QUEUE || c->role == ROLE_AUTH) {
		fd = open(buf_cstr(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return ERR_IO;
	}
	wire_dir_encode(&(struct wire_dir){.path = buf_slice(&path)}, &out);
	return child_send(c, WIRE_DIR, &out, fd);
}

static enum err send_secrets(struct child *c)
{
	const struct resources *r = &c->parent->res;
	struct wire_secrets m = {.epoch = r->epoch};
	int fd = -1;
	if (c->role == ROLE_SMTPD) {
		m.certificate_len = (uint32_t)r->certificate.len;
		m.key_len = (uint32_t)r->key.len;
		m.ticket_len = sizeof(c->parent->ticket_key);
		fd = r->secrets_fd;
	} else if (c->role == ROLE_QUEUE) {
		m.key_len = r->passwords_len;
		fd = r->passwords_fd;
	}
	if (fd < 0)
		return ERR_OK;
	CLEANUP(buf_done) struct buf out;
	buf_init(&out, IPC_PAYLOAD_MAX);
	wire_secrets_encode(&m, &out);
	return child_send(c, WIRE_SECRETS, &out, fd);
}

static enum err send_listeners(struct child *c)
{
	const struct resources *r = &c->parent->res;
	enum err e = ERR_OK;
	for (size_t i = 0; c->role == ROLE_SMTPD && !e && i < r->bound_count; i++) {
		CLEANUP(buf_done) struct buf out;
		buf_init(&out, IPC_PAYLOAD_MAX);
		wire_listener_encode(
			&(struct wire_listener){.epoch = r->epoch, .listener = r->bound[i].listener}, &out);
		e = child_send(c, WIRE_LISTENER, &out, r->bound[i].fd);
	}
	return e;
}

static enum err send_peer(struct child *to, const struct child *about, int fd)
{
	uint32_t serial = to->serial[about->role] = to->parent->channels;
	CLEANUP(buf_done) struct buf out;
	buf_init(&out, IPC_PAYLOAD_MAX);
	wire_peer_encode(&(struct wire_peer){.role = about->role, .slot = about->slot, .serial = serial},
			 &out);
	return child_send(to, WIRE_PEER, &out, fd);
}

static bool linked(enum wire_role a, enum wire_role b)
{
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		if ((links[i].a == a && links[i].b == b) || (links[i].a == b && links[i].b == a))
			return true;
	return false;
}

/* Gives both the ends of a new channel, which replaces the one they may have. */
static enum err connect_pair(struct child *a, struct child *b, struct diag *d)
{
	int fds[2];
	enum err e = ipc_pair(a->parent->loop, fds, d);
	if (e)
		return e;
	a->parent->channels++;
	a->lost &= ~(1u << b->role);
	b->lost &= ~(1u << a->role);
	e = send_peer(a, b, fds[0]);
	if (!e)
		e = send_peer(b, a, fds[1]);
	base_close(&fds[0]);
	base_close(&fds[1]);
	return e ? diag_set(d, e, "connecting the processes") : ERR_OK;
}

/* Connects c with every running process that it talks to. */
static enum err connect_peers(struct child *c, struct diag *d)
{
	struct parent *p = c->parent;
	enum err e = ERR_OK;
	for (unsigned i = 0; !e && i < p->child_count; i++) {
		struct child *other = &p->children[i];
		if (other != c && other->channel && linked(c->role, other->role))
			e = connect_pair(c, other, d);
	}
	return e;
}

/* A channel that broke between two living processes. When one of them died, its start has made the new channel. */
void children_reconnect(struct parent *p)
{
	for (unsigned i = 0; i < p->child_count; i++)
		for (unsigned role = 0; p->children[i].lost >> role; role++) {
			struct child *c = &p->children[i], *other = children_find(p, (enum wire_role)role);
			struct diag d = {0};
			if (!(c->lost & 1u << role) || c->state != CHILD_UP || other->state != CHILD_UP)
				continue;
			log_child(c, LOG_WARNING, "process.reconnected", "to", wire_role_name(other->role));
			if (connect_pair(c, other, &d) != ERR_OK)
				log_child(c, LOG_ERROR, "process.reconnect_failed", "why", d.text);
		}
}

void children_send_epoch(struct parent *p)
{
	for (unsigned i = 0; i < p->child_count; i++) {
		struct child *c = &p->children[i];
		if (!c->channel)
			continue;
		enum err e = send_config(c);
		if (!e)
			e = send_secrets(c);
		if (!e)
			e = send_listeners(c);
		if (e)
			log_child(c, LOG_ERROR, "process.epoch_failed", "why", err_name(e));
	}
}

void children_send_log(struct parent *p)
{
	for (unsigned i = 0; i < p->child_count; i++) {
		struct child *c = &p->children[i];
		if (c->channel && send_log(c) != ERR_OK)
			log_child(c, LOG_ERROR, "process.log_failed", NULL, NULL);
	}
}

/* ---- what children say ---- */

static void on_ready(struct child *c, struct slice payload)
{
	struct wire_ready m;
	if (wire_ready_decode(payload, &m) != ERR_OK)
		return;
	snprintf(c->missing, sizeof(c->missing), "%.*s", SLICE_ARG(m.missing));
	c->state = CHILD_UP;
	c->ever_ready = true;
	if (m.missing.len)
		log_child(c, LOG_WARNING, "process.ready", "missing_protection", c->missing);
	else
		log_child(c, LOG_INFO, "process.ready", NULL, NULL);
	parent_child_ready(c->parent);
}

static void on_lost(struct child *c, struct slice payload)
{
	struct wire_peer m;
	if (wire_peer_decode(payload, &m) == ERR_OK && linked(c->role, m.role) &&
	    m.serial == c->serial[m.role])
		c->lost |= 1u << m.role;
}

static void on_frame(void *ctx, struct ipc_frame *f)
{
	struct child *c = ctx;
	if (child_silent(c))
		log_child(c, LOG_INFO, "process.answers_again", NULL, NULL);
	c->quiet = 0;
	if (f->type == WIRE_READY) {
		on_ready(c, f->payload);
	} else if (f->type == WIRE_HEARTBEAT) {
		buf_clear(&c->beat);
		buf_add(&c->beat, f->payload);
	} else if (f->type == WIRE_PEER) {
		on_lost(c, f->payload);
	}
}

/* The process ends too; its death is handled when it is reaped. */
static void on_close(void *ctx, const struct diag *why)
{
	struct child *c = ctx;
	ipc_free(c->channel);
	c->channel = NULL;
}

/* ---- life ---- */

static enum err give_orders(struct child *c, struct diag *d)
{
	enum err e = send_config(c);
	if (!e)
		e = send_log(c);
	if (!e)
		e = send_dir(c);
	if (!e)
		e = send_secrets(c);
	if (!e)
		e = send_listeners(c);
	if (!e)
		e = connect_peers(c, d);
	if (!e)
		e = child_send(c, WIRE_GO, NULL, -1);
	return e ? diag_set(d, e, "first orders") : ERR_OK;
}

enum err child_start(struct child *c, struct diag *d)
{
	static const struct ipc_events events = {.on_frame = on_frame, .on_close = on_close};
	struct parent *p = c->parent;
	char name[32];
	const char *argv[] = {"tidegated", "--child", child_name(c, name), NULL};
	int fds[2];

	enum err e = ipc_pair(p->loop, fds, d);
	if (e)
		return e;
	struct proc_start ps = {.exe = "/proc/self/exe", .argv = argv, .fds = &fds[1], .nfds = 1};
	e = proc_start(&ps, &c->pid, d);
	base_close(&fds[1]);
	if (e) {
		base_close(&fds[0]);
		c->pid = 0;
		return e;
	}
	c->state = CHILD_STARTING;
	c->quiet = 0;
	c->hung = false;
	c->lost = 0;
	c->started_ms = loop_now(p->loop);
	c->started_wall_ms = loop_wall(p->loop);
	buf_clear(&c->beat);
	e = ipc_new(p->loop, fds[0], &events, c, &c->channel, d);
	if (!e)
		e = give_orders(c, d);
	if (e)
		kill(c->pid, SIGKILL);
	return e;
}

static void on_restart(void *ctx)
{
	struct child *c = ctx;
	struct diag d = {0};
	if (child_start(c, &d) == ERR_OK)
		return;
	log_child(c, LOG_ERROR, "process.start_failed", "why", d.text);
	if (c->pid == 0) /* else its death is reaped and leads here again */
		timer_set(&c->restart, c->backoff_ms);
}

static void describe_end(int status, char out[64])
{
	if (WIFSIGNALED(status))
		snprintf(out, 64, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(out, 64, "exited with status %d", WEXITSTATUS(status));
}

static void on_death(struct child *c, int status)
{
	struct parent *p = c->parent;
	bool stopping = p->state == PARENT_STOPPING;
	char *how = c->last_exit;

	if (c->hung)
		snprintf(how, sizeof(c->last_exit), "killed: no sign of life for %u s",
			 HUNG_TICKS * WATCH_MS / 1000);
	else
		describe_end(status, how);
	log_child(c, stopping && status == 0 ? LOG_INFO : LOG_ERROR, "process.ended", "how", how);
	ipc_free(c->channel);
	c->channel = NULL;
	c->pid = 0;
	bool never = !c->ever_ready && WIFEXITED(status) && WEXITSTATUS(status) == 1;
	if (loop_now(p->loop) - c->started_ms > BACKOFF_RESET_MS)
		c->backoff_ms = 0;
	c->backoff_ms = c->backoff_ms ? MIN(c->backoff_ms * 2, BACKOFF_MAX_MS) : BACKOFF_FIRST_MS;
	c->state = CHILD_DOWN;
	bool wanted = c->role != ROLE_SMTPD || !p->edge_closed;
	if (!stopping && !never && wanted) {
		c->restarts++;
		timer_set(&c->restart, c->backoff_ms);
	}
	parent_child_gone(p, c, never);
}

void children_reap(struct parent *p)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
		for (unsigned i = 0; i < p->child_count; i++)
			if (p->children[i].pid == pid) {
				on_death(&p->children[i], status);
				break;
			}
}

/* ---- children that hang ---- */

bool child_silent(const struct child *c)
{
	return c->quiet >= SILENT_TICKS;
}

/* Whether a debugger holds it. */
static bool traced(pid_t pid)
{
	char path[32], text[4096];
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	CLEANUP(base_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	struct slice rest = slice_of(text, n > 0 ? (size_t)n : 0);
	while (rest.len) {
		struct slice line = slice_split(&rest, '\n');
		if (slice_starts(line, SLICE_LIT("TracerPid:")))
			return !slice_ends(line, SLICE_LIT("\t0"));
	}
	return false;
}

/* Heartbeats come from the loop of a child, which never waits for the disk, the network or a peer: a child without them
 * does no work for anybody, whatever its role. What it acknowledged is safe, as after any other death. */
static void watch_child(struct child *c)
{
	c->quiet++;
	if (c->quiet == SILENT_TICKS)
		log_child(c, LOG_ERROR, "process.silent", NULL, NULL);
	if (c->quiet < HUNG_TICKS || c->hung || traced(c->pid))
		return;
	log_child(c, LOG_ERROR, "process.hung", "action", "killing it; it starts again");
	c->hung = true;
	kill(c->pid, SIGKILL);
}

void children_watch(struct parent *p)
{
	for (unsigned i = 0; i < p->child_count; i++) /* while the relay stops, timeout.drain bounds it */
		if (p->children[i].pid && p->state != PARENT_STOPPING)
			watch_child(&p->children[i]);
	children_reconnect(p);
}

static void plan(struct parent *p, enum wire_role role, uint64_t count)
{
	for (uint64_t i = 0; i < count && p->child_count < CHILDREN_MAX; i++) {
		struct child *c = &p->children[p->child_count++];
		*c = (struct child){.parent = p, .role = role, .slot = (uint32_t)i};
		buf_init(&c->beat, IPC_PAYLOAD_MAX);
		timer_init(&c->restart, p->loop, on_restart, c);
	}
}

void children_plan(struct parent *p)
{
	long cores = MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);
	const struct conf_process *cp = &p->res.conf->process;
	plan(p, ROLE_QUEUE, 1);
	plan(p, ROLE_AUTH, 1);
	plan(p, ROLE_RESOLVER, 1);
	plan(p, ROLE_SMTPC, cp->smtpc ? cp->smtpc : (uint64_t)cores);
	plan(p, ROLE_SMTPD, cp->smtpd ? cp->smtpd : (uint64_t)cores);
}

/* In what order processes finish: the edge, so that nothing new comes in; the queue, which waits for jobs under way;
 * then those that served them. */
static unsigned drain_stage(enum wire_role role)
{
	return role == ROLE_SMTPD ? 0 : role == ROLE_QUEUE ? 1 : 2;
}

static void drain_child(struct child *c)
{
	c->state = CHILD_DRAINING;
	if (child_send(c, WIRE_DRAIN, NULL, -1) != ERR_OK)
		kill(c->pid, SIGKILL);
}

/* Called again at each death: the next stage begins when the one before is gone. */
void children_drain(struct parent *p)
{
	unsigned stage = 2;
	for (unsigned i = 0; i < p->child_count; i++) {
		timer_cancel(&p->children[i].restart);
		if (p->children[i].pid)
			stage = MIN(stage, drain_stage(p->children[i].role));
	}
	for (unsigned i = 0; i < p->child_count; i++) {
		struct child *c = &p->children[i];
		if (!c->pid || c->state == CHILD_DRAINING || drain_stage(c->role) != stage)
			continue;
		drain_child(c);
	}
}

void children_drain_edge(struct parent *p)
{
	for (unsigned i = 0; i < p->child_count; i++) {
		struct child *c = &p->children[i];
		if (c->role != ROLE_SMTPD)
			continue;
		timer_cancel(&c->restart);
		if (c->pid && c->state != CHILD_DRAINING)
			drain_child(c);
	}
}

void children_kill(struct parent *p)
{
	for (unsigned i = 0; i < p->child_count; i++)
		if (p->children[i].pid > 0)
			kill(p->children[i].pid, SIGKILL);
}

bool children_all(const struct parent *p, enum child_state s)
{
	for (unsigned i = 0; i < p->child_count; i++)
		if (p->children[i].state != s)
			return false;
	return true;
}

struct child *children_find(struct parent *p, enum wire_role role)
{
	for (unsigned i = 0; i < p->child_count; i++)
		if (p->children[i].role == role)
			return &p->children[i];
	return NULL;
}
