/* Processes and what the parent does for them in the daemon (src/relay/parent/children.c): the same orders in the same
 * sequence, the same pairs of roles connected, the same stages of a drain. */
#include "relay_world.h"

#include "conf/conf.h"
#include "core/hash.h"
#include "evio/ipc.h"
#include "evio/loop_priv.h"
#include "evio/tls.h"
#include "relay/auth/auth_role.h"
#include "relay/queue/queue_role.h"
#include "relay/resolver/resolver_role.h"
#include "relay/smtpc/smtpc_role.h"
#include "relay/smtpd/smtpd_role.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEYS_SIZE    (16u << 20)
#define SETTLE_MS    10000 /* a killed queue's memory is freed within it, also on a slow disk */
#define DNS_WAITS_MS 20000 /* resolver.timeout's default */
#define MEGABYTE     (1u << 20)

static const struct {
	enum wire_role a, b;
} links[] = {
	{ROLE_SMTPD, ROLE_AUTH},
	{ROLE_SMTPD, ROLE_QUEUE},
	{ROLE_QUEUE, ROLE_RESOLVER},
	{ROLE_QUEUE, ROLE_SMTPC},
};

void world_fail(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("the test bench gives up: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(2);
}

static bool linked(enum wire_role a, enum wire_role b)
{
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		if ((links[i].a == a && links[i].b == b) || (links[i].a == b && links[i].b == a))
			return true;
	return false;
}

/* ---- orders ---- */

static void give_listeners(struct member *m)
{
	struct world *w = m->world;
	for (uint32_t i = 0; m->ops->listener && i < w->conf->nlisteners; i++) {
		int fd = w->loop->ops->dup(w->loop, w->listeners[i]);
		need(fd >= 0);
		m->ops->listener(m->self, i, fd);
	}
}

static void connect_pair(struct member *m, struct member *other)
{
	int fds[2];
	need(ipc_pair(m->world->loop, fds, NULL) == ERR_OK);
	m->lost &= ~(1u << other->ops->role);
	other->lost &= ~(1u << m->ops->role);
	m->ops->peer(m->self, other->ops->role, other->slot, fds[0]);
	other->ops->peer(other->self, m->ops->role, m->slot, fds[1]);
}

static void connect_peers(struct member *m)
{
	struct world *w = m->world;
	for (size_t i = 0; i < w->member_count; i++) {
		struct member *other = &w->members[i];
		if (other != m && other->self && linked(m->ops->role, other->ops->role))
			connect_pair(m, other);
	}
}

static void on_drained(void *ctx)
{
	struct member *m = ctx;
	m->drained = true;
	task_defer(&m->world->drain_step);
}

/* As the parent does it (children_reconnect): a process that died is connected when it starts again. */
static void reconnect(void *ctx)
{
	struct world *w = ctx;
	for (size_t i = 0; i < w->member_count; i++) {
		struct member *m = &w->members[i];
		for (size_t k = 0; k < w->member_count; k++) {
			struct member *other = &w->members[k];
			if (!(m->lost & 1u << other->ops->role) || !m->self || !other->self)
				continue;
			m->lost &= ~(1u << other->ops->role);
			connect_pair(m, other);
		}
	}
}

static void on_lost(void *ctx, enum wire_role role)
{
	struct member *m = ctx;
	m->lost |= 1u << role;
	task_defer(&m->world->reconnect);
}

static struct disk disk_of(struct member *m)
{
	struct world *w = m->world;
	struct sim_disk *sd = m->ops->role == ROLE_QUEUE  ? w->spool
			      : m->ops->role == ROLE_AUTH ? w->keys
							  : NULL;
	if (!sd)
		return (struct disk){.ops = NULL};
	m->shield = shield_new(sd);
	return shield_disk(m->shield);
}

static void open_log(struct member *m)
{
	int fd = dup(m->world->log_fd);
	need(fd >= 0);
	if (!m->log)
		need(log_new(m->world->loop, fd, LOG_SINK_FILE, LOG_INFO, m->name, &m->log, NULL) == ERR_OK);
	else
		log_set_fd(m->log, fd);
}

void member_start(struct member *m)
{
	struct world *w = m->world;
	struct diag d = {0};
	if (m->self)
		world_fail("%s runs already", m->name);
	m->drained = m->draining = false;
	m->lost = 0;
	open_log(m);
	struct role_env env = {.loop = w->loop,
			       .log = m->log,
			       .slot = m->slot,
			       .conf = w->conf,
			       .disk = disk_of(m),
			       .spool_segment = WORLD_SEGMENT,
			       .dns = zone_lookup(w->zone),
			       .drained = on_drained,
			       .lost = on_lost,
			       .ctx = m};
	if (m->ops->start(&env, &m->self, &d) != ERR_OK)
		world_fail("%s does not start: %s", m->name, d.text);
	give_listeners(m);
	connect_peers(m);
	if (m->ops->go)
		m->ops->go(m->self);
}

/* Its disk goes first, so that nothing of its end reaches it; its log goes nowhere. */
void member_kill(struct member *m)
{
	if (!m->self)
		return;
	if (m->shield)
		shield_end(m->shield);
	m->ops->stop(m->self);
	m->self = NULL;
	if (!m->shield)
		return;
	need(m->world->ended_count < ARRAY_LEN(m->world->ended));
	m->world->ended[m->world->ended_count++] = m->shield;
	m->shield = NULL;
}

/* ---- draining ---- */

static unsigned drain_stage(enum wire_role role)
{
	return role == ROLE_SMTPD ? 0 : role == ROLE_QUEUE ? 1 : 2;
}

static unsigned lowest_stage(const struct world *w)
{
	unsigned stage = 3;
	for (size_t i = 0; i < w->member_count; i++)
		if (w->members[i].self)
			stage = MIN(stage, drain_stage(w->members[i].ops->role));
	return stage;
}

static void drain_step(void *ctx)
{
	struct world *w = ctx;
	for (size_t i = 0; i < w->member_count; i++)
		if (w->members[i].self && w->members[i].drained)
			member_kill(&w->members[i]);
	unsigned stage = lowest_stage(w);
	for (size_t i = 0; i < w->member_count; i++) {
		struct member *m = &w->members[i];
		if (!m->self || m->draining || drain_stage(m->ops->role) != stage)
			continue;
		m->draining = true;
		m->ops->drain(m->self);
	}
}

void world_drain(struct world *w)
{
	task_defer(&w->drain_step);
}

/* ---- configuration ---- */

/* Addresses that stay are kept bound; those of listeners that are gone are closed. */
static void bind_listeners(struct world *w)
{
	for (size_t i = 0; i < WORLD_LISTENERS; i++) {
		if (w->listeners[i] >= 0)
			w->loop->ops->close(w->loop, w->listeners[i]);
		w->listeners[i] = -1;
	}
	need(w->conf->nlisteners <= WORLD_LISTENERS);
	for (size_t i = 0; i < w->conf->nlisteners; i++) {
		struct net_addr a;
		struct diag d = {0};
		need(net_addr_parse(w->conf->listeners[i].address.items[0], 0, &a, NULL) == ERR_OK);
		if (net_listen(w->loop, &a, 0600, &w->listeners[i], &d) != ERR_OK)
			world_fail("listener: %s", d.text);
	}
}

enum err world_configure(struct world *w, struct slice text, struct diag *d)
{
	struct conf *conf;
	enum err e = conf_load_text(text, "scenario", &conf, d);
	if (e)
		return e;
	conf_unref(w->conf);
	w->conf = conf;
	w->epoch++;
	return ERR_OK;
}

/* Listeners are the same ones in every epoch of a scenario, so they stay bound. */
void world_reload(struct world *w)
{
	for (size_t i = 0; i < w->member_count; i++) {
		struct member *m = &w->members[i];
		if (!m->self)
			continue;
		m->ops->config(m->self, w->conf, w->epoch);
		give_listeners(m);
	}
}

/* ---- the whole ---- */

static void plan(struct world *w, const struct role_ops *ops, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		need(w->member_count < WORLD_MEMBERS);
		struct member *m = &w->members[w->member_count++];
		*m = (struct member){.world = w, .ops = ops, .slot = i};
		snprintf(m->name, sizeof(m->name), "%s.%u", wire_role_name(ops->role), i);
	}
}

static void start_all(struct world *w)
{
	for (size_t i = 0; i < w->member_count; i++)
		member_start(&w->members[i]);
}

void world_start(struct world *w, uint32_t smtpd, uint32_t smtpc)
{
	bind_listeners(w);
	if (w->spool_size)
		w->spool = sim_disk_new(1, w->spool_size);
	need(w->spool || !w->spool_size);
	plan(w, &queue_role, 1);
	plan(w, &auth_role, 1);
	plan(w, &resolver_role, 1);
	plan(w, &smtpc_role, smtpc);
	plan(w, &smtpd_role, smtpd);
	start_all(w);
	w->started = true;
}

struct member *world_member(struct world *w, struct slice name)
{
	for (size_t i = 0; i < w->member_count; i++)
		if (slice_eq_str(name, w->members[i].name))
			return &w->members[i];
	world_fail("no such process: %.*s", SLICE_ARG(name));
}

void world_power_off(struct world *w)
{
	for (size_t i = 0; i < w->member_count; i++)
		member_kill(&w->members[i]);
}

void world_boot(struct world *w, uint64_t seed)
{
	sim_run_for(w->loop, SETTLE_MS); /* what the killed ones held is freed before their disk comes back */
	if (w->spool)
		sim_disk_reboot(w->spool, seed);
	sim_disk_reboot(w->keys, seed + 1);
	start_all(w);
}

uint64_t world_running(const struct world *w)
{
	uint64_t n = 0;
	for (size_t i = 0; i < w->member_count; i++)
		n += w->members[i].self != NULL;
	return n;
}

uint64_t world_counter(const struct world *w, enum wire_role role, struct slice name)
{
	uint64_t sum = 0;
	bool known = false;
	for (size_t i = 0; i < w->member_count; i++) {
		const struct member *m = &w->members[i];
		struct wire_heartbeat hb = {.trouble = SLICE_EMPTY};
		if (!m->self || m->ops->role != role)
			continue;
		m->ops->heartbeat(m->self, &hb);
		for (uint32_t k = 0; k < hb.count; k++) {
			bool same = slice_eq(hb.counters[k].name, name);
			sum += same ? hb.counters[k].value : 0;
			known |= same;
		}
	}
	if (!known && world_running(w) > 0)
		world_fail("no counter %.*s of a running %s", SLICE_ARG(name), wire_role_name(role));
	return sum;
}

bool world_trouble(const struct world *w, struct buf *out)
{
	for (size_t i = 0; i < w->member_count; i++) {
		const struct member *m = &w->members[i];
		struct wire_heartbeat hb = {.trouble = SLICE_EMPTY};
		if (!m->self)
			continue;
		m->ops->heartbeat(m->self, &hb);
		if (hb.trouble.len)
			buf_printf(out, "%s: %.*s\n", m->name, SLICE_ARG(hb.trouble));
	}
	return out->len > 0;
}

void world_log(const struct world *w, struct buf *out)
{
	off_t size = lseek(w->log_fd, 0, SEEK_CUR);
	need(size >= 0 && buf_reserve(out, (size_t)size) == ERR_OK);
	need(pread(w->log_fd, out->data + out->len, (size_t)size, 0) == size);
	out->len += (size_t)size;
}

void world_init(struct world *w, uint64_t seed)
{
	static const uint8_t key[16] = "the same order";
	const struct sim_options o = {.seed = seed};
	*w = (struct world){.log_fd = memfd_create("log", MFD_CLOEXEC)};
	hash_set_key(key);
	tls_library_init();
	need(w->log_fd >= 0 && loop_sim_new(&o, &w->loop, NULL) == ERR_OK);
	for (size_t i = 0; i < WORLD_LISTENERS; i++)
		w->listeners[i] = -1;
	w->spool_size = (uint64_t)256 * MEGABYTE;
	w->keys = sim_disk_new(2, KEYS_SIZE);
	need(w->keys);
	w->zone = zone_new(w->loop, DNS_WAITS_MS);
	sites_init(&w->sites, w->loop);
	clients_init(&w->clients, w->loop);
	buf_init(&w->rows, WORLD_TEXT_MAX);
	task_init(&w->drain_step, w->loop, drain_step, w);
	task_init(&w->reconnect, w->loop, reconnect, w);
}

void world_done(struct world *w)
{
	task_cancel(&w->drain_step);
	task_cancel(&w->reconnect);
	world_power_off(w);
	clients_done(&w->clients);
	sites_done(&w->sites);
	sim_run_for(w->loop, SETTLE_MS);
	task_cancel(&w->drain_step);
	task_cancel(&w->reconnect);
	for (size_t i = 0; i < w->member_count; i++)
		log_free(w->members[i].log);
	for (size_t i = 0; i < w->ended_count; i++)
		shield_free(w->ended[i]);
	for (size_t i = 0; i < WORLD_LISTENERS; i++)
		if (w->listeners[i] >= 0)
			w->loop->ops->close(w->loop, w->listeners[i]);
	zone_free(w->zone);
	sim_disk_free(w->spool);
	sim_disk_free(w->keys);
	conf_unref(w->conf);
	buf_done(&w->rows);
	close(w->log_fd);
	loop_free(w->loop);
}
