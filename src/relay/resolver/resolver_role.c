/* A question is answered from the cache, joins a flight for the same name, or starts one. Flights outlive the queue
 * process that asked: their answer warms the cache for its successor. */
#include "relay/resolver/resolver_role.h"

#include "core/hash.h"
#include "core/mem.h"
#include "dns/resolver.h"
#include "evio/ipc.h"
#include "relay/resolver/cache.h"
#include "relay/resolver/limits.h"
#include "relay/wire/resolve.h"

#include <string.h>

struct process {
	struct role_env env;
	struct conf *conf;         /* owned reference */
	struct resolver *resolver; /* owned; NULL: env.dns is used */
	struct dns_lookup lookup;
	struct ipc *queue; /* owned; NULL: gone */
	struct cache cache;
	struct map flights;
	uint32_t waiters;
	bool draining;
	uint64_t asked, hits, joined, failures;
};

/* One name being resolved. */
struct flight {
	struct map_node node;
	struct process *p;
	struct dns_mx *mx;
	enum dns_mx_kind kind;
	char *name; /* owned */
	size_t name_len;
	struct list waiters;
};

struct waiter {
	struct list_node node;
	uint64_t ref;
	uint16_t port;
};

struct flight_key {
	enum dns_mx_kind kind;
	struct slice name;
};

static struct slice flight_name(const struct flight *f)
{
	return slice_of(f->name, f->name_len);
}

static bool flight_eq(const struct map_node *n, const void *key)
{
	const struct flight *f = CONTAINER_OF(n, struct flight, node);
	const struct flight_key *k = key;
	return f->kind == k->kind && slice_ieq(flight_name(f), k->name);
}

/* ---- answers ---- */

static enum wire_resolve_outcome outcome_of(enum dns_mx_outcome o)
{
	static const enum wire_resolve_outcome map[] = {
		[DNS_MX_OK] = WIRE_RESOLVE_OK,
		[DNS_MX_NO_DOMAIN] = WIRE_RESOLVE_NO_DOMAIN,
		[DNS_MX_NO_ADDRESS] = WIRE_RESOLVE_NO_ADDRESS,
		[DNS_MX_NULL] = WIRE_RESOLVE_NULL_MX,
		[DNS_MX_TEMPORARY] = WIRE_RESOLVE_TEMPORARY,
		[DNS_MX_BOGUS] = WIRE_RESOLVE_TEMPORARY,
	};
	return map[o];
}

/* The order of equal hosts is drawn anew for each answer, not for each look-up: that is what spreads the load. */
static uint32_t fill_hops(struct process *p, const struct dns_mx_result *r, uint16_t port,
			  struct wire_hop *out)
{
	struct dns_mx_hop hops[DNS_MX_HOPS_MAX];
	uint32_t count = MIN(r->count, (uint32_t)MIN(DNS_MX_HOPS_MAX, WIRE_HOPS_MAX));
	uint64_t seed;
	if (count)
		memcpy(hops, r->hops, count * sizeof(hops[0]));
	loop_random(p->env.loop, &seed, sizeof(seed));
	dns_mx_shuffle(hops, count, seed);
	for (uint32_t i = 0; i < count; i++) {
		out[i] = (struct wire_hop){hops[i].host, hops[i].addr, hops[i].preference};
		net_addr_set_port(&out[i].addr, port);
	}
	return count;
}

static void answer(struct process *p, const struct waiter *w, const struct dns_mx_result *r, uint32_t ttl_s)
{
	struct wire_hop hops[WIRE_HOPS_MAX];
	struct wire_resolved m = {.ref = w->ref,
				  .outcome = outcome_of(r->outcome),
				  .ttl_s = ttl_s,
				  .secure = r->secure,
				  .hops = hops};
	CLEANUP(buf_done) struct buf out;
	m.text = slice_sub(r->text, 0, WIRE_TEXT_MAX);
	m.count = fill_hops(p, r, w->port, hops);
	p->failures += m.outcome == WIRE_RESOLVE_TEMPORARY;
	buf_init(&out, RESOLVER_ANSWER_MAX);
	wire_resolved_encode(&m, &out);
	/* A channel that is full has a queue behind it that is stuck: it asks again after its own time-out. */
	if (p->queue && !out.failed)
		(void)ipc_send(p->queue, WIRE_RESOLVED, buf_slice(&out), NULL, 0);
}

static void answer_temporary(struct process *p, const struct waiter *w, struct slice why)
{
	struct dns_mx_result r = {.outcome = DNS_MX_TEMPORARY, .text = why};
	answer(p, w, &r, DNS_TTL_MIN);
}

/* ---- flights ---- */

static void flight_free(struct flight *f)
{
	struct list_node *n;
	while ((n = list_pop(&f->waiters))) {
		mem_free(CONTAINER_OF(n, struct waiter, node));
		f->p->waiters--;
	}
	map_remove(&f->p->flights, &f->node);
	mem_free(f->name);
	mem_free(f);
}

static void on_resolved(void *ctx, const struct dns_mx_result *r)
{
	struct flight *f = ctx;
	struct process *p = f->p;
	cache_put(&p->cache, f->kind, flight_name(f), r, loop_now(p->env.loop));
	LIST_EACH_SAFE (&f->waiters, n, next)
		answer(p, CONTAINER_OF(n, struct waiter, node), r, r->ttl_s);
	flight_free(f);
	if (p->draining && p->flights.count == 0)
		p->env.drained(p->env.ctx);
}

static enum err flight_start(struct flight *f)
{
	const struct dns_mx_options o = {
		.loop = f->p->env.loop, .lookup = &f->p->lookup, .no_ipv6 = !f->p->conf->delivery.ipv6};
	return dns_mx_start(&o, f->kind, flight_name(f), on_resolved, f, &f->mx);
}

static void flight_give_up(struct flight *f)
{
	LIST_EACH_SAFE (&f->waiters, n, next) {
		answer_temporary(f->p, CONTAINER_OF(n, struct waiter, node), SLICE_LIT("out of memory"));
	}
	flight_free(f);
}

static struct flight *flight_new(struct process *p, const struct flight_key *k)
{
	struct flight *f = NEW(struct flight);
	if (!f)
		return NULL;
	*f = (struct flight){
		.p = p, .kind = k->kind, .name = mem_alloc(k->name.len + 1), .name_len = k->name.len};
	list_init(&f->waiters);
	if (!f->name)
		goto fail;
	if (k->name.len)
		memcpy(f->name, k->name.ptr, k->name.len);
	if (map_insert(&p->flights, &f->node, hash_islice(k->name)) != ERR_OK)
		goto fail;
	if (flight_start(f) == ERR_OK)
		return f;
	map_remove(&p->flights, &f->node);
fail:
	mem_free(f->name);
	mem_free(f);
	return NULL;
}

static struct flight *flight_join(struct process *p, const struct flight_key *k)
{
	struct map_node *n = map_find(&p->flights, hash_islice(k->name), k);
	if (n) {
		p->joined++;
		return CONTAINER_OF(n, struct flight, node);
	}
	return p->flights.count < RESOLVER_FLIGHTS_MAX ? flight_new(p, k) : NULL;
}

/* ---- questions ---- */

static bool answer_from_cache(struct process *p, const struct flight_key *k, const struct waiter *w)
{
	uint64_t now = loop_now(p->env.loop);
	const struct cache_entry *e = cache_find(&p->cache, k->kind, k->name, now);
	if (!e)
		return false;
	p->hits++;
	answer(p, w, &e->result, (uint32_t)((e->expires - now + 999) / 1000));
	return true;
}

static void resolve(struct process *p, const struct wire_resolve *m)
{
	struct flight_key k = {m->kind == WIRE_RESOLVE_HOST ? DNS_MX_HOST : DNS_MX_DOMAIN, m->name};
	struct waiter here = {.ref = m->ref, .port = m->port};
	p->asked++;
	if (answer_from_cache(p, &k, &here))
		return;
	if (p->draining || p->waiters >= RESOLVER_WAITERS_MAX) {
		answer_temporary(p, &here, SLICE_LIT("the resolver is busy"));
		return;
	}
	struct waiter *w = NEW(struct waiter);
	struct flight *f = w ? flight_join(p, &k) : NULL;
	if (!f) {
		mem_free(w);
		answer_temporary(p, &here, SLICE_LIT("the resolver is busy"));
		return;
	}
	*w = here;
	list_push_back(&f->waiters, &w->node);
	p->waiters++;
}

static void on_frame(void *ctx, struct ipc_frame *f)
{
	struct process *p = ctx;
	struct wire_resolve m;
	if (f->type == WIRE_RESOLVE && wire_resolve_decode(f->payload, &m) == ERR_OK) {
		resolve(p, &m);
		return;
	}
	log_event(p->env.log, LOG_ERROR, "resolver.bad_frame", "from", "queue", NULL);
	ipc_free(p->queue);
	p->queue = NULL;
}

/* Nobody waits any more; the flights go on for the cache's sake. */
static void on_queue_close(void *ctx, const struct diag *why)
{
	struct process *p = ctx;
	ipc_free(p->queue);
	p->queue = NULL;
	MAP_EACH_SAFE (&p->flights, n, next) {
		struct flight *f = CONTAINER_OF(n, struct flight, node);
		struct list_node *w;
		while ((w = list_pop(&f->waiters))) {
			mem_free(CONTAINER_OF(w, struct waiter, node));
			p->waiters--;
		}
	}
}

/* ---- the role ---- */

static void peer(void *self, enum wire_role role, uint32_t slot, int fd)
{
	static const struct ipc_events events = {.on_frame = on_frame, .on_close = on_queue_close};
	struct process *p = self;
	struct diag d = {0};
	if (p->queue)
		on_queue_close(p, NULL);
	if (ipc_new(p->env.loop, fd, &events, p, &p->queue, &d) != ERR_OK)
		log_event(p->env.log, LOG_ERROR, "resolver.channel_failed", "why", d.text, NULL);
}

static enum err make_resolver(struct process *p, struct resolver **ret, struct diag *d)
{
	const struct resolver_options o = {
		.forward = p->conf->resolver.forward.items,
		.forward_count = p->conf->resolver.forward.count,
		.timeout_ms = p->conf->resolver.timeout,
		.trust_anchor = p->env.trust_anchor,
	};
	return resolver_new(p->env.loop, &o, ret, d);
}

static bool same_resolver(const struct conf_resolver *a, const struct conf_resolver *b)
{
	bool same = a->timeout == b->timeout && a->forward.count == b->forward.count;
	for (size_t i = 0; same && i < a->forward.count; i++)
		same = slice_eq(a->forward.items[i], b->forward.items[i]);
	return same;
}

/* What is under way is asked again, of the new one; what the old one said is forgotten. */
static void replace_resolver(struct process *p)
{
	struct diag d = {0};
	struct resolver *fresh;
	if (make_resolver(p, &fresh, &d) != ERR_OK) {
		log_event(p->env.log, LOG_ERROR, "resolver.not_replaced", "why", d.text, NULL);
		return;
	}
	MAP_EACH_SAFE (&p->flights, n, next) {
		struct flight *f = CONTAINER_OF(n, struct flight, node);
		dns_mx_cancel(f->mx);
		f->mx = NULL;
	}
	resolver_free(p->resolver);
	p->resolver = fresh;
	p->lookup = resolver_lookup(fresh);
	cache_done(&p->cache);
	cache_init(&p->cache, RESOLVER_CACHE_MAX);
	MAP_EACH_SAFE (&p->flights, n, next) {
		struct flight *f = CONTAINER_OF(n, struct flight, node);
		if (flight_start(f) != ERR_OK)
			flight_give_up(f);
	}
}

/* The trust anchor stays that of the start: its file is out of reach now. */
static void config(void *self, struct conf *conf, uint64_t epoch)
{
	struct process *p = self;
	struct conf *old = p->conf;
	bool same = same_resolver(&old->resolver, &conf->resolver);
	conf_ref(conf);
	p->conf = conf;
	if (!same && !p->env.dns)
		replace_resolver(p);
	conf_unref(old);
}

static void stop(void *self)
{
	struct process *p = self;
	MAP_EACH_SAFE (&p->flights, n, next) {
		struct flight *f = CONTAINER_OF(n, struct flight, node);
		dns_mx_cancel(f->mx);
		flight_free(f);
	}
	ipc_free(p->queue);
	resolver_free(p->resolver);
	cache_done(&p->cache);
	map_done(&p->flights);
	conf_unref(p->conf);
	mem_free(p);
}

static enum err start(const struct role_env *env, void **ret_self, struct diag *d)
{
	struct process *p = NEW(struct process);
	if (!p)
		return diag_set(d, ERR_NOMEM, "no memory for the resolver");
	p->env = *env;
	p->conf = env->conf;
	conf_ref(p->conf);
	cache_init(&p->cache, RESOLVER_CACHE_MAX);
	map_init(&p->flights, flight_eq);
	if (env->dns)
		p->lookup = *env->dns;
	enum err e = env->dns ? ERR_OK : make_resolver(p, &p->resolver, d);
	if (e) {
		stop(p);
		return e;
	}
	if (p->resolver)
		p->lookup = resolver_lookup(p->resolver);
	*ret_self = p;
	return ERR_OK;
}

static void heartbeat(void *self, struct wire_heartbeat *hb)
{
	const struct process *p = self;
	const struct wire_counter counters[] = {
		{SLICE_LIT("dns_questions"), p->asked},
		{SLICE_LIT("dns_cache_hits"), p->hits},
		{SLICE_LIT("dns_joined"), p->joined},
		{SLICE_LIT("dns_failures"), p->failures},
		{SLICE_LIT("dns_in_flight"), p->flights.count},
		{SLICE_LIT("dns_cached"), p->cache.order.count},
	};
	for (size_t i = 0; i < ARRAY_LEN(counters) && hb->count < WIRE_COUNTERS_MAX; i++)
		hb->counters[hb->count++] = counters[i];
}

static void drain(void *self)
{
	struct process *p = self;
	if (p->draining)
		return;
	p->draining = true;
	if (p->flights.count == 0)
		p->env.drained(p->env.ctx);
}

const struct role_ops resolver_role = {
	.role = ROLE_RESOLVER,
	.start = start,
	.peer = peer,
	.config = config,
	.heartbeat = heartbeat,
	.drain = drain,
	.stop = stop,
};
