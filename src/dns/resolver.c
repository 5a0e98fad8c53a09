#include "dns/resolver.h"

#include "core/hash.h"
#include "core/map.h"
#include "core/mem.h"
#include "evio/net.h"

#include <stdio.h>
#include <string.h>
#include <unbound.h>

#define TIMEOUT_DEFAULT_MS 30000u
#define DNS_CLASS_IN       1
#define DNS_PORT           53
#define RCODE_OK           0

/* The root's key-signing keys of 2017 and 2024, as IANA publishes their digests. */
static const char *const root_anchors[] = {
	". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
	". IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
};

/* A relay asks for many names once and for few names often; the library's defaults are those of a desktop. */
static const struct {
	const char *name, *value;
} settings[] = {
	{"msg-cache-size:", "32m"},
	{"rrset-cache-size:", "64m"},
	{"key-cache-size:", "8m"},
	{"neg-cache-size:", "4m"},
	{"infra-cache-numhosts:", "20000"},
	{"cache-max-ttl:", "86400"},
	{"cache-max-negative-ttl:", "3600"},
	{"outgoing-range:", "2048"},
	{"num-queries-per-thread:", "4096"},
	{"outgoing-num-tcp:", "64"},
	{"edns-buffer-size:", "1232"},
	{"harden-glue:", "yes"},
	{"harden-dnssec-stripped:", "yes"},
	{"qname-minimisation:", "yes"},
	{"prefetch:", "no"},
	{"use-syslog:", "no"},
	/* A forwarder may run on this machine. */
	{"do-not-query-localhost:", "no"},
};

struct query {
	struct map_node node;
	struct resolver *r;
	uint64_t id;
	int async_id;
	dns_answer_fn *done;
	void *ctx;
	struct timer timer;
};

struct resolver {
	struct loop *loop;
	struct ub_ctx *ub; /* owned */
	struct map queries;
	uint64_t next_id, timeout_ms;
	int fd; /* -1: not watched */
};

static bool query_eq(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct query, node)->id == *(const uint64_t *)key;
}

static void query_free(struct query *q)
{
	timer_cancel(&q->timer);
	map_remove(&q->r->queries, &q->node);
	mem_free(q);
}

static void query_answer(struct query *q, const struct dns_answer *a)
{
	dns_answer_fn *done = q->done;
	void *ctx = q->ctx;
	query_free(q);
	done(ctx, a);
}

/* ---- answers ---- */

static enum dns_status status_of(const struct ub_result *r)
{
	if (r->bogus)
		return DNS_BOGUS;
	if (r->nxdomain)
		return DNS_NXDOMAIN;
	if (r->rcode != RCODE_OK)
		return DNS_TEMPORARY;
	return r->havedata ? DNS_OK : DNS_NODATA;
}

static uint32_t ttl_of(const struct ub_result *r, enum dns_status s)
{
	if (s == DNS_TEMPORARY || s == DNS_BOGUS)
		return DNS_TTL_FAILURE;
	uint32_t ttl = r->ttl > 0 ? (uint32_t)r->ttl : 0;
	return MAX(DNS_TTL_MIN, MIN(ttl, DNS_TTL_MAX));
}

static const char *why(const struct ub_result *r, enum dns_status s, char *room, size_t size)
{
	static const char *const rcodes[] = {"no error",     "format error",    "server failure",
					     "no such name", "not implemented", "refused"};
	if (s == DNS_BOGUS && r->why_bogus)
		return r->why_bogus;
	if (s != DNS_TEMPORARY)
		return dns_status_name(s);
	if (r->rcode >= 0 && (size_t)r->rcode < ARRAY_LEN(rcodes))
		return rcodes[r->rcode];
	snprintf(room, size, "response code %d", r->rcode);
	return room;
}

static void on_result(void *ctx, int err, struct ub_result *r)
{
	struct query *q = ctx;
	struct slice records[DNS_RECORDS_MAX];
	char room[32];

	if (err || !r) {
		struct dns_answer a = {.status = DNS_TEMPORARY,
				       .ttl_s = DNS_TTL_FAILURE,
				       .text = slice_str(ub_strerror(err))};
		ub_resolve_free(r);
		query_answer(q, &a);
		return;
	}
	struct dns_answer a = {.status = status_of(r), .secure = r->secure, .records = records};
	a.ttl_s = ttl_of(r, a.status);
	a.text = slice_str(why(r, a.status, room, sizeof(room)));
	while (a.status == DNS_OK && a.count < DNS_RECORDS_MAX && r->data[a.count]) {
		records[a.count] = slice_of(r->data[a.count], (size_t)MAX(r->len[a.count], 0));
		a.count++;
	}
	query_answer(q, &a);
	ub_resolve_free(r);
}

static void on_timeout(void *ctx)
{
	struct query *q = ctx;
	struct dns_answer a = {
		.status = DNS_TEMPORARY, .ttl_s = DNS_TTL_FAILURE, .text = SLICE_LIT("no answer in time")};
	(void)ub_cancel(q->r->ub, q->async_id);
	query_answer(q, &a);
}

static void on_readable(void *ctx)
{
	struct resolver *r = ctx;
	/* Failing here means that the library is out of memory; the questions' own timers answer then. */
	(void)ub_process(r->ub);
}

/* ---- questions ---- */

static enum err ask(void *self, struct slice name, enum dns_type type, dns_answer_fn *done, void *ctx,
		    uint64_t *ret_query, struct diag *d)
{
	struct resolver *r = self;
	char z[DNS_NAME_MAX + 1];
	ASSERT(name.len <= DNS_NAME_MAX);
	memcpy(z, name.ptr, name.len);
	z[name.len] = '\0';
	if (r->queries.count >= DNS_QUERIES_MAX)
		return diag_set(d, ERR_LIMIT, "%u DNS questions are under way", DNS_QUERIES_MAX);
	struct query *q = NEW(struct query);
	if (!q)
		return diag_set(d, ERR_NOMEM, "no memory for a DNS question");
	*q = (struct query){.r = r, .id = ++r->next_id, .done = done, .ctx = ctx};
	timer_init(&q->timer, r->loop, on_timeout, q);
	if (map_insert(&r->queries, &q->node, hash_u64(q->id)) != ERR_OK) {
		mem_free(q);
		return diag_set(d, ERR_NOMEM, "no memory for a DNS question");
	}
	/* The name is looked up as it stands: a library's search list must never touch it. It is absolute for libunbound
	 * with and without the dot. */
	int rc = ub_resolve_async(r->ub, z, type, DNS_CLASS_IN, q, on_result, &q->async_id);
	if (rc) {
		query_free(q);
		return diag_set(d, ERR_IO, "DNS question failed: %s", ub_strerror(rc));
	}
	timer_set(&q->timer, r->timeout_ms);
	*ret_query = q->id;
	return ERR_OK;
}

static void cancel(void *self, uint64_t id)
{
	struct resolver *r = self;
	struct map_node *n = map_find(&r->queries, hash_u64(id), &id);
	if (!n)
		return;
	struct query *q = CONTAINER_OF(n, struct query, node);
	(void)ub_cancel(r->ub, q->async_id);
	query_free(q);
}

struct dns_lookup resolver_lookup(struct resolver *r)
{
	return (struct dns_lookup){.self = r, .ask = ask, .cancel = cancel};
}

uint32_t resolver_pending(const struct resolver *r)
{
	return (uint32_t)r->queries.count;
}

/* ---- life ---- */

static enum err check(int rc, const char *what, struct diag *d)
{
	return rc ? diag_set(d, ERR_RANGE, "libunbound: %s: %s", what, ub_strerror(rc)) : ERR_OK;
}

static enum err set(struct ub_ctx *ub, const char *name, const char *value, struct diag *d)
{
	return check(ub_ctx_set_option(ub, name, value), name, d);
}

static enum err add_forwarder(struct ub_ctx *ub, struct slice text, struct diag *d)
{
	struct net_addr a;
	enum err e = net_addr_parse(text, DNS_PORT, &a, d);
	if (e)
		return e;
	CLEANUP(buf_done) struct buf z;
	buf_init(&z, 128);
	net_addr_format_ip(&a, &z);
	buf_printf(&z, "@%u", net_addr_port(&a));
	return check(ub_ctx_set_fwd(ub, buf_cstr(&z)), buf_cstr(&z), d);
}

static enum err add_anchors(struct ub_ctx *ub, struct slice text, struct diag *d)
{
	enum err e = ERR_OK;
	if (text.len == 0) {
		for (size_t i = 0; i < ARRAY_LEN(root_anchors) && !e; i++)
			e = check(ub_ctx_add_ta(ub, root_anchors[i]), "root trust anchor", d);
		return e;
	}
	while (text.ptr && !e) {
		struct slice line = slice_trim(slice_split(&text, '\n'));
		CLEANUP(buf_done) struct buf z;
		buf_init(&z, 4096);
		buf_add(&z, line);
		if (line.len > 0 && line.ptr[0] != ';')
			e = check(ub_ctx_add_ta(ub, buf_cstr(&z)), "trust anchor", d);
	}
	return e;
}

/* Touching local zones makes the library read all options now, so that a bad one is an error of the start and not of the
 * first question. libunbound denies "test." by itself (RFC 6761 6.2); a forwarder may well have such zones. */
static enum err finalize(struct ub_ctx *ub, bool forwarding, struct diag *d)
{
	const char *zone = forwarding ? "test." : "no-such-zone.invalid.";
	return check(ub_ctx_zone_remove(ub, zone), "options", d);
}

static enum err configure(struct ub_ctx *ub, const struct resolver_options *o, struct diag *d)
{
	/* It would write to standard error, in lines of its own form. */
	enum err e = check(ub_ctx_debugout(ub, NULL), "log", d);
	if (!e)
		e = check(ub_ctx_async(ub, 1), "threads", d);
	for (size_t i = 0; i < ARRAY_LEN(settings) && !e; i++)
		e = set(ub, settings[i].name, settings[i].value, d);
	if (!e && o->no_ipv6)
		e = set(ub, "do-ip6:", "no", d);
	if (!e)
		e = add_anchors(ub, o->trust_anchor, d);
	for (size_t i = 0; i < o->forward_count && !e; i++)
		e = add_forwarder(ub, o->forward[i], d);
	return e ? e : finalize(ub, o->forward_count > 0, d);
}

enum err resolver_new(struct loop *l, const struct resolver_options *o, struct resolver **ret, struct diag *d)
{
	struct resolver *r = NEW(struct resolver);
	if (!r)
		return diag_set(d, ERR_NOMEM, "no memory for the resolver");
	r->loop = l;
	r->fd = -1;
	r->timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_DEFAULT_MS;
	map_init(&r->queries, query_eq);
	r->ub = ub_ctx_create();
	enum err e = r->ub ? configure(r->ub, o, d) : diag_set(d, ERR_NOMEM, "libunbound gave no context");
	if (!e) {
		r->fd = ub_fd(r->ub);
		e = loop_watch_readable(l, r->fd, on_readable, r);
	}
	if (e) {
		resolver_free(r);
		return e;
	}
	*ret = r;
	return ERR_OK;
}

void resolver_free(struct resolver *r)
{
	if (!r)
		return;
	MAP_EACH_SAFE (&r->queries, n, next)
		query_free(CONTAINER_OF(n, struct query, node));
	if (r->fd >= 0 && loop_watch_readable(r->loop, r->fd, NULL, NULL) != ERR_OK)
		r->fd = -1; /* it was not watched: resolver_new failed */
	if (r->ub)
		ub_ctx_delete(r->ub);
	map_done(&r->queries);
	mem_free(r);
}
