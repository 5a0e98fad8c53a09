#include "relay/parent/parent_priv.h"

#include "core/mem.h"
#include "evio/proc.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void set_state(struct parent *p, enum parent_state s)
{
	static const char *const events[] = {"relay.starting", "relay.ready", "relay.stopping",
					     "relay.stopped"};
	static const uint8_t allowed[] = {
		[PARENT_STARTING] = 1 << PARENT_RUNNING | 1 << PARENT_STOPPING,
		[PARENT_RUNNING] = 1 << PARENT_STOPPING,
		[PARENT_STOPPING] = 1 << PARENT_STOPPED,
		[PARENT_STOPPED] = 0,
	};
	ASSERT(allowed[p->state] & 1 << s);
	p->state = s;
	log_event(p->log, LOG_INFO, events[s], "hostname", p->res.conf->hostname.ptr, NULL);
}

void parent_child_ready(struct parent *p)
{
	if (p->state != PARENT_STARTING || !children_all(p, CHILD_UP))
		return;
	set_state(p, PARENT_RUNNING);
	proc_notify("READY=1");
	if (p->o.on_ready)
		p->o.on_ready(p->o.ctx);
}

static void end(struct parent *p)
{
	set_state(p, PARENT_STOPPED);
	loop_stop(p->loop);
}

void parent_child_gone(struct parent *p, struct child *c, bool can_never_start)
{
	if (can_never_start && p->state == PARENT_STARTING) {
		p->status = 1;
		parent_stop(p);
	} else if (p->state == PARENT_STOPPING) {
		children_drain(p);
		if (children_all(p, CHILD_DOWN))
			end(p);
	}
}

static void on_kill_time(void *ctx)
{
	struct parent *p = ctx;
	log_event(p->log, LOG_WARNING, "relay.drain_timeout", "action", "killing what still runs", NULL);
	children_kill(p);
}

void parent_stop(struct parent *p)
{
	if (p->state >= PARENT_STOPPING)
		return;
	set_state(p, PARENT_STOPPING);
	proc_notify("STOPPING=1");
	timer_set(&p->kill, p->res.conf->timeout.drain);
	children_drain(p);
	if (children_all(p, CHILD_DOWN))
		end(p);
}

void parent_drain(struct parent *p)
{
	if (p->state != PARENT_RUNNING || p->edge_closed)
		return;
	p->edge_closed = true;
	log_event(p->log, LOG_INFO, "relay.drained", "action", "no new mail is taken", NULL);
	children_drain_edge(p);
	resources_close_ports(&p->res, NULL); /* or clients would wait in the kernel's queue for a greeting */
}

/* ---- reload ---- */

/* These are read once, at start; a change is told, not half applied. */
static const char *needs_restart(const struct conf *a, const struct conf *b)
{
	if (!slice_eq(a->state_directory, b->state_directory))
		return "state_directory";
	if (!slice_eq(a->control_socket, b->control_socket))
		return "control_socket";
	if (!slice_eq(a->user, b->user))
		return "user";
	if (a->process.smtpd != b->process.smtpd || a->process.smtpc != b->process.smtpc)
		return "process";
	return NULL;
}

static enum err reload(struct parent *p, struct diag *d)
{
	struct conf *conf = NULL;
	struct resources fresh;
	enum err e = conf_load(p->o.conf_path, &conf, d);
	if (e)
		return e;
	const char *key = needs_restart(p->res.conf, conf);
	e = key ? diag_set(d, ERR_UNSUPPORTED, "a new \"%s\" needs a restart", key)
		: resources_open(p, conf, p->res.epoch + 1, &p->res, &fresh, d);
	conf_unref(conf);
	if (e)
		return e;
	struct resources old = p->res;
	p->res = fresh;
	resources_close(&old, &p->res);
	children_send_log(p);
	children_send_epoch(p);
	return ERR_OK;
}

static void notify_reloading(const struct parent *p)
{
	char text[64];
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, (uint64_t)loop_now(p->loop) * 1000);
	proc_notify(text);
}

enum err parent_reload(struct parent *p, struct diag *d)
{
	if (p->state == PARENT_RUNNING)
		notify_reloading(p);
	enum err e = p->state == PARENT_RUNNING ? reload(p, d)
						: diag_set(d, ERR_BUSY, "the relay is starting or stopping");
	if (p->state == PARENT_RUNNING)
		proc_notify("READY=1"); /* refused or not: it serves */
	if (e) {
		snprintf(p->reload_error, sizeof(p->reload_error), "%s", d->text);
		log_event(p->log, LOG_ERROR, "config.refused", "why", d->text, "action",
			  "the old one goes on", NULL);
		return e;
	}
	p->reload_error[0] = '\0';
	log_event(p->log, LOG_INFO, "config.loaded", "file", p->o.conf_path ? p->o.conf_path : "(defaults)",
		  NULL);
	return ERR_OK;
}

/* ---- signals and watching ---- */

static void reopen_logs(struct parent *p)
{
	struct diag d = {0};
	int fd = resources_log_fd(p->res.conf, &d);
	if (fd < 0) {
		log_event(p->log, LOG_ERROR, "log.reopen_failed", "why", d.text, NULL);
		return;
	}
	log_set_fd(p->log, fd);
	children_send_log(p);
	log_event(p->log, LOG_INFO, "log.reopened", NULL);
}

static void on_signal(void *ctx, int signo)
{
	struct parent *p = ctx;
	struct diag d = {0};
	switch (signo) {
	case SIGCHLD:
		children_reap(p);
		break;
	case SIGHUP:
		if (parent_reload(p, &d) != ERR_OK)
			return; /* logged there; the old configuration goes on */
		break;
	case SIGUSR1:
		reopen_logs(p);
		break;
	default:
		if (p->state == PARENT_STOPPING)
			children_kill(p); /* asked twice: now */
		parent_stop(p);
		break;
	}
}

static void on_watch(void *ctx)
{
	struct parent *p = ctx;
	children_watch(p);
	timer_set(&p->watch, WATCH_MS);
}

static enum err take_signals(struct parent *p)
{
	static const int signals[] = {SIGCHLD, SIGHUP, SIGUSR1, SIGTERM, SIGINT};
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		enum err e = loop_signal(p->loop, signals[i], on_signal, p);
		if (e)
			return e;
	}
	signal(SIGPIPE, SIG_IGN);
	return ERR_OK;
}

/* ---- making ---- */

static enum err open_log(struct parent *p, struct diag *d)
{
	static const enum log_sink sinks[] = {
		[CONF_LOG_STDERR] = LOG_SINK_STDERR,
		[CONF_LOG_FILE] = LOG_SINK_FILE,
		[CONF_LOG_SYSLOG] = LOG_SINK_SYSLOG,
	};
	int fd = resources_log_fd(p->o.conf, d);
	if (fd < 0)
		return d ? d->code : ERR_IO;
	return log_new(p->loop, fd, sinks[p->o.conf->log.sink], LOG_INFO, "parent", &p->log, d);
}

static enum err start_children(struct parent *p, struct diag *d)
{
	children_plan(p);
	for (unsigned i = 0; i < p->child_count; i++) {
		enum err e = child_start(&p->children[i], d);
		if (e)
			return e;
	}
	return ERR_OK;
}

enum err parent_new(struct loop *l, const struct parent_options *o, struct parent **ret, struct diag *d)
{
	struct parent *p = NEW(struct parent);
	if (!p)
		return diag_set(d, ERR_NOMEM, "no memory to start");
	p->loop = l;
	p->o = *o;
	p->started_wall_ms = loop_wall(l);
	p->res.conf_fd = p->res.secrets_fd = p->res.passwords_fd = -1;
	p->inherited_count = MIN(proc_listen_fds(), 64u);
	timer_init(&p->watch, l, on_watch, p);
	timer_init(&p->kill, l, on_kill_time, p);
	loop_random(l, p->ticket_key, sizeof(p->ticket_key));
	enum err e = open_log(p, d);
	if (!e)
		e = resources_open(p, o->conf, 1, NULL, &p->res, d);
	if (!e)
		e = control_open(p, d);
	if (!e)
		e = take_signals(p);
	if (!e)
		e = start_children(p, d);
	if (e) {
		children_kill(p);
		parent_free(p);
		return e;
	}
	timer_set(&p->watch, WATCH_MS);
	*ret = p;
	return ERR_OK;
}

int parent_status(const struct parent *p)
{
	return p->status;
}

void parent_free(struct parent *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->child_count; i++) {
		ipc_free(p->children[i].channel);
		timer_cancel(&p->children[i].restart);
		buf_done(&p->children[i].beat);
	}
	timer_cancel(&p->watch);
	timer_cancel(&p->kill);
	control_close(p);
	resources_close(&p->res, NULL);
	log_free(p->log);
	explicit_bzero(p->ticket_key, sizeof(p->ticket_key));
	mem_free(p);
}
