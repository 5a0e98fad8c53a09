/* The control socket: the parent accepts, answers what is its own (status, reload, drain, stop) and hands every other
 * request, with its connection, to the process that owns the answer. */
#include "relay/parent/parent_priv.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef TIDEGATE_VERSION
#define TIDEGATE_VERSION "unknown"
#endif

/* ---- counters from heartbeats ---- */

static bool beat_of(const struct child *c, struct wire_heartbeat *ret)
{
	return c->beat.len && wire_heartbeat_decode(buf_slice(&c->beat), ret) == ERR_OK;
}

/* The sum over all processes of a role. */
static uint64_t counter(const struct parent *p, enum wire_role role, const char *name)
{
	struct wire_heartbeat hb;
	uint64_t sum = 0;
	for (unsigned i = 0; i < p->child_count; i++) {
		const struct child *c = &p->children[i];
		if (c->role != role || !beat_of(c, &hb))
			continue;
		for (uint32_t k = 0; k < hb.count; k++)
			if (slice_eq_str(hb.counters[k].name, name))
				sum += hb.counters[k].value;
	}
	return sum;
}

/* ---- health ---- */

/* "" if all is well. The first trouble found, in the order: processes, what they say, the configuration. */
static bool trouble(const struct parent *p, struct buf *why)
{
	struct wire_heartbeat hb;
	char name[32];
	for (unsigned i = 0; i < p->child_count; i++) {
		const struct child *c = &p->children[i];
		if (c->role == ROLE_SMTPD && p->edge_closed)
			continue; /* as it was asked for: named below */
		if (c->state != CHILD_UP)
			buf_printf(why, "process %s is not running", child_name(c, name));
		else if (child_silent(c))
			buf_printf(why, "process %s does not answer", child_name(c, name));
		else if (beat_of(c, &hb) && hb.trouble.len)
			buf_printf(why, "%s: %.*s", child_name(c, name), SLICE_ARG(hb.trouble));
		if (why->len)
			return true;
	}
	if (p->edge_closed)
		buf_add_str(why, "drained: no new mail is taken");
	else if (p->reload_error[0])
		buf_printf(why, "the last reload was refused: %s", p->reload_error);
	return why->len > 0;
}

static void add_counters(struct ctl_fields *f, const struct parent *p)
{
	static const struct {
		const char *key;
		enum wire_role role;
		const char *name;
	} counters[] = {
		{"servers", ROLE_AUTH, "servers"},
		{"queued", ROLE_QUEUE, "queued"},
		{"pending", ROLE_QUEUE, "pending"},
		{"accepted", ROLE_QUEUE, "accepted"},
		{"refused", ROLE_QUEUE, "refused"},
		{"delivered", ROLE_QUEUE, "delivered"},
		{"deferred", ROLE_QUEUE, "deferred"},
		{"bounced", ROLE_QUEUE, "bounced"},
		{"connections_in", ROLE_SMTPD, "connections"},
		{"connections_out", ROLE_SMTPC, "connections"},
	};
	for (size_t i = 0; i < ARRAY_LEN(counters); i++)
		ctl_add_u64(f, counters[i].key, counter(p, counters[i].role, counters[i].name));
	ctl_add_size(f, "disk_free", counter(p, ROLE_QUEUE, "disk_free"));
	uint64_t full_in = counter(p, ROLE_QUEUE, "disk_full_in");
	if (full_in)
		ctl_add_time(f, "disk_full", loop_wall(p->loop) + (int64_t)full_in * 1000);
}

static void send_relay(struct parent *p, struct ctl_conn *c, struct ctl_fields *f)
{
	CLEANUP(buf_done) struct buf why;
	buf_init(&why, 1024);
	bool bad = trouble(p, &why);
	bool down = p->state != PARENT_RUNNING;
	ctl_add_str(f, "health", down ? "down" : bad ? "degraded" : "ok");
	if (bad)
		ctl_add_text(f, "reason", buf_slice(&why));
	else
		ctl_add_str(f, "reason", down ? "starting or stopping" : NULL);
	ctl_add_str(f, "version", TIDEGATE_VERSION);
	ctl_add_text(f, "hostname", p->res.conf->hostname);
	ctl_add_time(f, "started", p->started_wall_ms);
	ctl_add_u64(f, "epoch", p->res.epoch);
	ctl_add_bool(f, "draining", p->state == PARENT_STOPPING || p->edge_closed);
	add_counters(f, p);
	(void)ctl_conn_row(c, CTL_T_RELAY, f);
	ctl_fields_clear(f);
}

static void send_process(struct ctl_conn *c, const struct child *ch, struct ctl_fields *f)
{
	static const char *const states[] = {"waiting", "starting", "running", "stopping"};
	ctl_add_str(f, "role", wire_role_name(ch->role));
	ctl_add_u64(f, "number", ch->slot);
	ctl_add_u64(f, "pid", (uint64_t)ch->pid);
	ctl_add_str(f, "state", states[ch->state]);
	ctl_add_str(f, "version", TIDEGATE_VERSION);
	ctl_add_u64(f, "epoch", ch->parent->res.epoch);
	ctl_add_time(f, "started", ch->started_wall_ms);
	ctl_add_u64(f, "restarts", ch->restarts);
	ctl_add_str(f, "last_exit", ch->last_exit[0] ? ch->last_exit : NULL);
	ctl_add_str(f, "missing", ch->missing[0] ? ch->missing : NULL);
	(void)ctl_conn_row(c, CTL_T_PROCESS, f);
	ctl_fields_clear(f);
}

static void answer_status(struct parent *p, struct ctl_conn *c)
{
	CLEANUP(ctl_fields_done) struct ctl_fields f;
	ctl_fields_init(&f);
	send_relay(p, c, &f);
	for (unsigned i = 0; i < p->child_count; i++)
		send_process(c, &p->children[i], &f);
	ctl_conn_end(c, ERR_OK, SLICE_EMPTY);
}

/* ---- requests ---- */

static void hand_over(struct parent *p, struct ctl_conn *c, enum wire_role role, struct slice raw)
{
	struct child *owner = children_find(p, role);
	if (!owner || !owner->channel || owner->state != CHILD_UP) {
		ctl_conn_end(c, ERR_BUSY,
			     SLICE_LIT("the process that answers this is not running; try again soon"));
		return;
	}
	CLEANUP(buf_done) struct buf request; /* raw goes with the connection */
	buf_init(&request, CTL_REQUEST_MAX);
	buf_add(&request, raw);
	CLEANUP(base_close) int fd = ctl_conn_release(c);
	if (fd >= 0 && !request.failed) /* if this is lost, the client sees the connection end */
		(void)ipc_send(owner->channel, WIRE_CONTROL, buf_slice(&request), &fd, 1);
}

static void on_request(void *ctx, struct ctl_conn *c, const struct ctl_frame *req, struct slice raw)
{
	struct parent *p = ctx;
	const struct ctl_verb_info *info = ctl_verb_info(req->verb);
	struct diag d = {0};
	if (info->changes)
		log_event(p->log, LOG_INFO, "control.request", "verb", info->name, NULL);
	if (info->owner != CTL_OWNER_PARENT) {
		hand_over(p, c, info->owner == CTL_OWNER_AUTH ? ROLE_AUTH : ROLE_QUEUE, raw);
		return;
	}
	switch (req->verb) {
	case CTL_STATUS:
		answer_status(p, c);
		break;
	case CTL_RELOAD:
		if (parent_reload(p, &d) == ERR_OK)
			ctl_conn_end(c, ERR_OK, SLICE_LIT("the configuration was read and is in force"));
		else
			ctl_conn_fail(c, &d);
		break;
	case CTL_DRAIN:
		parent_drain(p);
		ctl_conn_end(c, ERR_OK,
			     SLICE_LIT("no new mail is taken; what is queued is still delivered (tidegate "
				       "stop ends the relay)"));
		break;
	default:
		ctl_conn_end(c, ERR_OK, SLICE_LIT("the relay finishes what is under way and stops"));
		parent_stop(p);
		break;
	}
}

/* ---- the socket ---- */

static void on_accept(void *ctx, struct stream *s)
{
	struct parent *p = ctx;
	ctl_server_accept(p->ctl, s);
}

/* Missing directories of the path above it are made one level deep: /run/tidegate. */
static void make_socket_directory(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *slash = strrchr(path, '/');
	if (!slash || slash == path || (size_t)(slash - path) >= sizeof(dir))
		return;
	memcpy(dir, path, (size_t)(slash - path));
	dir[slash - path] = '\0';
	mkdir(dir, 0755); /* if it fails, listening says why */
}

enum err control_open(struct parent *p, struct diag *d)
{
	static const struct ctl_events events = {.on_request = on_request};
	static const struct listener_events accepting = {.on_accept = on_accept};
	CLEANUP(buf_done) struct buf text;
	struct net_addr addr;
	int fd;
	buf_init(&text, 256);
	buf_printf(&text, "unix:%s", p->res.conf->control_socket.ptr);
	make_socket_directory(p->res.conf->control_socket.ptr);
	enum err e = net_addr_parse(buf_slice(&text), 0, &addr, d);
	if (!e)
		e = net_listen(p->loop, &addr, 0600, &fd, d);
	if (e)
		return diag_prefix(d, "control_socket");
	e = ctl_server_new(p->loop, &events, p, &p->ctl, d);
	if (e) {
		base_close(&fd);
		return e;
	}
	return listener_new(p->loop, fd, &accepting, p, &p->control, d);
}

void control_close(struct parent *p)
{
	listener_free(p->control);
	ctl_server_free(p->ctl);
	if (p->control)
		unlink(p->res.conf->control_socket.ptr);
	p->control = NULL;
	p->ctl = NULL;
}
