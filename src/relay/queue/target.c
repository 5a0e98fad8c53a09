#include "relay/queue/queue_priv.h"

#include "core/hash.h"
#include "core/mem.h"
#include "mail/address.h"

#include <string.h>

#define TEMPORARY_MS 30000 /* a failed look-up is not asked again sooner */

/* ---- keys ---- */

static bool same_policy(const struct conf_route *a, const struct conf_route *b)
{
	return slice_ieq(a->via, b->via) && a->tls == b->tls && slice_eq(a->auth_user, b->auth_user);
}

/* Routes that share next hop and policy share the key "host:port", so that limits and connections are shared; another
 * policy for the same host is another target: "host:port#pattern". */
static void route_key(const struct conf *conf, const struct conf_route *route, struct buf *out)
{
	buf_add(out, route->via);
	for (size_t i = 0; i < conf->nroutes && &conf->routes[i] != route; i++) {
		if (!slice_ieq(conf->routes[i].via, route->via))
			continue;
		if (!same_policy(&conf->routes[i], route))
			buf_printf(out, "#%.*s", SLICE_ARG(route->pattern));
		return;
	}
}

/* Lower-case domain for "mx", the route's key for fixed ones. Addresses without a domain are the postmaster's. */
static struct slice key_of(struct queue *q, struct slice address, char *room, size_t size)
{
	CLEANUP(buf_done) struct buf text = {.max = SCHED_KEY_MAX};
	struct slice domain = mail_domain_of(address);
	const struct conf_route *route = conf_route_for(q->env.conf, domain);
	if (route && !slice_eq_str(route->via, "mx"))
		route_key(q->env.conf, route, &text);
	else
		buf_add(&text, domain);
	struct slice key = slice_sub(buf_slice(&text), 0, size);
	for (size_t i = 0; i < key.len; i++)
		room[i] = ascii_lower(key.ptr[i]);
	return slice_of(room, key.len);
}

static struct target *find(struct queue *q, struct slice key)
{
	struct map_node *n = map_find(&q->targets, hash_slice(key), &key);
	return n ? CONTAINER_OF(n, struct target, node) : NULL;
}

bool target_ref_eq(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct target, asked)->ref == *(const uint64_t *)key;
}

bool target_fits(struct queue *q, const struct target *t, struct slice address)
{
	char room[SCHED_KEY_MAX];
	return slice_eq(t->key, key_of(q, address, room, sizeof(room)));
}

/* ---- life ---- */

static struct target *target_new(struct queue *q, struct slice key)
{
	struct target *t = mem_alloc(sizeof(*t) + key.len + 1);
	if (!t)
		return NULL;
	t->queue = q;
	t->key = slice_of(t + 1, key.len);
	memcpy(t + 1, key.ptr, key.len);
	arena_init(&t->arena, QUEUE_READ_ARENA);
	list_init(&t->waiting);
	if (sched_site_ref(q->sched, key, &t->site) != ERR_OK) {
		mem_free(t);
		return NULL;
	}
	sched_site_set_limit(q->sched, t->site, (uint32_t)q->env.conf->delivery.connections_per_site);
	if (map_insert(&q->targets, &t->node, hash_slice(t->key)) == ERR_OK)
		return t;
	sched_site_unref(q->sched, t->site);
	mem_free(t);
	return NULL;
}

struct target *target_for(struct queue *q, struct slice address)
{
	char room[SCHED_KEY_MAX];
	struct slice key = key_of(q, address, room, sizeof(room));
	struct target *t = find(q, key);
	if (!t)
		t = target_new(q, key);
	if (t)
		t->refs++;
	return t;
}

static void target_free(struct target *t)
{
	map_remove(&t->queue->targets, &t->node);
	sched_site_unref(t->queue->sched, t->site);
	arena_done(&t->arena);
	mem_free(t);
}

void target_unref(struct target *t)
{
	ASSERT(t->refs > 0);
	if (--t->refs == 0 && t->state != TARGET_ASKED)
		target_free(t);
}

/* ---- answers ---- */

const struct conf_route *target_route(const struct target *t)
{
	const struct conf *c = t->queue->env.conf;
	CLEANUP(buf_done) struct buf text = {.max = SCHED_KEY_MAX};
	for (size_t i = 0; i < c->nroutes; i++) {
		buf_clear(&text);
		route_key(c, &c->routes[i], &text);
		if (!slice_eq_str(c->routes[i].via, "mx") && slice_ieq(buf_slice(&text), t->key))
			return &c->routes[i];
	}
	return conf_route_for(c, t->key);
}

/* "host:port" or "[v6]:port". */
static struct slice split_via(struct slice via, uint16_t *port)
{
	uint64_t v = 25;
	size_t colon = slice_rfind(via, ':');
	struct slice host = slice_sub(via, 0, colon);
	if (slice_to_u64(slice_from(via, colon + 1), 65535, &v) != ERR_OK)
		v = 25;
	*port = (uint16_t)v;
	if (host.len > 1 && host.ptr[0] == '[')
		host = slice_sub(host, 1, host.len - 2);
	return host;
}

static void know(struct target *t, enum wire_resolve_outcome outcome, uint64_t ttl_ms)
{
	if (t->state == TARGET_ASKED)
		map_remove(&t->queue->asked, &t->asked);
	t->state = TARGET_KNOWN;
	t->outcome = outcome;
	t->expires_ms = loop_now(t->queue->env.loop) + ttl_ms;
	t->refs++; /* the jobs that wait may be the last to hold it */
	for (struct list_node *n; (n = list_pop(&t->waiting));)
		job_target_ready(CONTAINER_OF(n, struct job, waiting));
	target_unref(t);
}

/* A fixed route to an IP address needs no resolver. */
static bool known_literally(struct target *t, struct slice host, uint16_t port)
{
	struct net_addr addr;
	if (net_addr_parse(host, port, &addr, NULL) != ERR_OK || addr.u.sa.sa_family == AF_UNIX)
		return false;
	net_addr_set_port(&addr, port);
	struct wire_hop *hop = arena_alloc(&t->arena, sizeof(*hop));
	if (!hop)
		return false;
	*hop = (struct wire_hop){.host = SLICE_EMPTY, .addr = addr};
	t->hops = hop;
	t->hop_count = 1;
	return true;
}

static void ask(struct target *t)
{
	struct queue *q = t->queue;
	const struct conf_route *route = target_route(t);
	bool mx = !route || slice_eq_str(route->via, "mx");
	struct wire_resolve ask = {.ref = ++q->next_ref,
				   .kind = WIRE_RESOLVE_MX,
				   .name = t->key,
				   .port = (uint16_t)q->env.conf->delivery.port};
	arena_reset(&t->arena);
	t->hop_count = 0;
	t->text = SLICE_EMPTY;
	if (!mx) {
		ask.kind = WIRE_RESOLVE_HOST;
		ask.name = split_via(route->via, &ask.port);
		if (known_literally(t, ask.name, ask.port)) {
			know(t, WIRE_RESOLVE_OK, UINT32_MAX);
			return;
		}
	}
	buf_clear(&q->scratch);
	wire_resolve_encode(&ask, &q->scratch);
	if (q->scratch.failed || !q->resolver ||
	    ipc_send(q->resolver, WIRE_RESOLVE, buf_slice(&q->scratch), NULL, 0) != ERR_OK) {
		t->text = SLICE_LIT("the resolver does not answer");
		know(t, WIRE_RESOLVE_TEMPORARY, 1000);
		return;
	}
	t->ref = ask.ref;
	if (map_insert(&q->asked, &t->asked, hash_u64(t->ref)) == ERR_OK)
		t->state = TARGET_ASKED;
	else
		know(t, WIRE_RESOLVE_TEMPORARY, 1000);
}

void target_want(struct target *t, struct job *j)
{
	if (t->state == TARGET_KNOWN && loop_now(t->queue->env.loop) < t->expires_ms) {
		job_target_ready(j);
		return;
	}
	list_push_back(&t->waiting, &j->waiting);
	if (t->state != TARGET_ASKED)
		ask(t);
}

static struct target *by_ref(struct queue *q, uint64_t ref)
{
	struct map_node *n = map_find(&q->asked, hash_u64(ref), &ref);
	return n ? CONTAINER_OF(n, struct target, asked) : NULL;
}

static void take_answer(struct target *t, const struct wire_resolved *m)
{
	enum wire_resolve_outcome outcome = m->outcome;
	struct wire_hop *hops = arena_alloc(&t->arena, m->count * sizeof(*hops));
	enum err e = hops ? arena_dup(&t->arena, m->text, &t->text) : ERR_LIMIT;
	for (uint32_t i = 0; !e && i < m->count; i++) {
		hops[i] = m->hops[i];
		e = arena_dup(&t->arena, m->hops[i].host, &hops[i].host);
	}
	if (e)
		outcome = WIRE_RESOLVE_TEMPORARY;
	t->hops = hops;
	t->hop_count = e ? 0 : m->count;
	uint64_t ttl = (uint64_t)m->ttl_s * 1000;
	if (outcome == WIRE_RESOLVE_TEMPORARY)
		ttl = MIN(MAX(ttl, 1000), (uint64_t)TEMPORARY_MS);
	know(t, outcome, ttl);
}

static void on_resolver_frame(void *ctx, struct ipc_frame *f)
{
	struct queue *q = ctx;
	CLEANUP(arena_done) struct arena a;
	struct wire_resolved m;
	arena_init(&a, QUEUE_READ_ARENA);
	if (f->type != WIRE_RESOLVED || wire_resolved_decode(f->payload, &a, &m) != ERR_OK) {
		queue_channel_failed(q, ROLE_RESOLVER, 0);
		return;
	}
	struct target *t = by_ref(q, m.ref);
	if (t)
		take_answer(t, &m);
}

static void on_resolver_close(void *ctx, const struct diag *why)
{
	queue_channel_failed(ctx, ROLE_RESOLVER, 0);
}

/* Questions that the old resolver took with it are asked again. */
enum err resolver_open(struct queue *q, int fd, struct diag *d)
{
	static const struct ipc_events events = {.on_frame = on_resolver_frame,
						 .on_close = on_resolver_close};
	ipc_free(q->resolver);
	q->resolver = NULL;
	enum err e = ipc_new(q->env.loop, fd, &events, q, &q->resolver, d);
	MAP_EACH_SAFE (&q->targets, n, tmp) {
		struct target *t = CONTAINER_OF(n, struct target, node);
		if (t->state == TARGET_ASKED) {
			t->refs++;
			map_remove(&q->asked, &t->asked);
			t->state = TARGET_UNKNOWN;
			ask(t);
			target_unref(t);
		}
	}
	return e;
}

void targets_forget_answers(struct queue *q)
{
	MAP_EACH_SAFE (&q->targets, n, tmp) {
		struct target *t = CONTAINER_OF(n, struct target, node);
		if (t->state == TARGET_KNOWN)
			t->state = TARGET_UNKNOWN;
	}
}

void targets_free(struct queue *q)
{
	MAP_EACH_SAFE (&q->targets, n, tmp) {
		target_free(CONTAINER_OF(n, struct target, node));
	}
	map_done(&q->targets);
	map_done(&q->asked);
}
