/* Scripted DNS. A name that was not given does not exist. Answers take ANSWER_MS; "timeout" takes as long as the
 * resolver waits and is then a temporary failure, as libunbound's lookup does it (dns/resolver.h). */
#include "relay_world.h"

#include "core/mem.h"
#include "evio/net.h"

#include <string.h>

#define ANSWER_MS   5
#define TTL_DEFAULT 300

enum kind { KIND_RECORDS, KIND_NULL, KIND_NXDOMAIN, KIND_NODATA, KIND_SERVFAIL, KIND_TIMEOUT };

struct entry {
	struct list_node node;
	enum kind kind;
	char name[256];
	struct buf mx, a; /* words */
};

struct zone {
	struct loop *loop;
	uint64_t timeout_ms, next, asked;
	uint32_t ttl_s;
	struct list entries, questions;
	struct dns_lookup lookup;
};

struct question {
	struct list_node node;
	struct zone *zone;
	uint64_t id;
	enum dns_type type;
	char name[256];
	dns_answer_fn *done;
	void *ctx;
	struct timer timer;
};

static struct entry *find(struct zone *z, const char *name)
{
	LIST_EACH_SAFE (&z->entries, n, tmp) {
		struct entry *e = CONTAINER_OF(n, struct entry, node);
		if (strcmp(e->name, name) == 0)
			return e;
	}
	return NULL;
}

/* ---- records as on the wire ---- */

static void add_name(struct buf *out, struct slice name)
{
	while (name.len) {
		struct slice label = slice_split(&name, '.');
		buf_add_u8(out, (uint8_t)label.len);
		buf_add(out, label);
	}
	buf_add_u8(out, 0);
}

static uint32_t add_mx(struct slice hosts, struct buf *out, size_t *ends)
{
	uint32_t count = 0;
	for (struct slice host; (host = slice_word(&hosts)).len && count < DNS_RECORDS_MAX; count++) {
		buf_add_u8(out, 0);
		buf_add_u8(out, (uint8_t)(10 * (count + 1)));
		add_name(out, host);
		ends[count] = out->len;
	}
	return count;
}

static uint32_t add_a(struct slice addresses, struct buf *out, size_t *ends)
{
	uint32_t count = 0;
	for (struct slice word; (word = slice_word(&addresses)).len && count < DNS_RECORDS_MAX; count++) {
		struct net_addr a;
		need(net_addr_parse(word, 0, &a, NULL) == ERR_OK && a.u.sa.sa_family == AF_INET);
		buf_add_mem(out, &a.u.in4.sin_addr, 4);
		ends[count] = out->len;
	}
	return count;
}

static uint32_t add_null(struct buf *out, size_t *ends)
{
	buf_add_zero(out, 3);
	ends[0] = out->len;
	return 1;
}

static enum dns_status fill(const struct entry *e, enum dns_type type, struct buf *out, size_t *ends,
			    uint32_t *count)
{
	*count = 0;
	if (!e || e->kind == KIND_NXDOMAIN)
		return DNS_NXDOMAIN;
	if (e->kind == KIND_SERVFAIL || e->kind == KIND_TIMEOUT)
		return DNS_TEMPORARY;
	if (e->kind == KIND_NULL && type == DNS_MX)
		*count = add_null(out, ends);
	else if (type == DNS_MX)
		*count = add_mx(buf_slice(&e->mx), out, ends);
	else if (type == DNS_A)
		*count = add_a(buf_slice(&e->a), out, ends);
	return *count ? DNS_OK : DNS_NODATA;
}

/* ---- questions ---- */

static void question_free(struct question *q)
{
	timer_cancel(&q->timer);
	list_remove(&q->zone->questions, &q->node);
	mem_free(q);
}

static void on_timer(void *ctx)
{
	struct question *q = ctx;
	struct slice records[DNS_RECORDS_MAX];
	size_t ends[DNS_RECORDS_MAX], from = 0;
	CLEANUP(buf_done) struct buf data;
	buf_init(&data, 65536);
	struct dns_answer a = {.ttl_s = q->zone->ttl_s, .records = records};
	a.status = fill(find(q->zone, q->name), q->type, &data, ends, &a.count);
	for (uint32_t i = 0; i < a.count; i++) {
		records[i] = slice_sub(buf_slice(&data), from, ends[i] - from);
		from = ends[i];
	}
	if (a.status == DNS_TEMPORARY) {
		a.ttl_s = DNS_TTL_FAILURE;
		a.text = SLICE_LIT("no server answered");
	}
	dns_answer_fn *done = q->done;
	void *done_ctx = q->ctx;
	question_free(q);
	done(done_ctx, &a);
}

static enum err ask(void *self, struct slice name, enum dns_type type, dns_answer_fn *done, void *ctx,
		    uint64_t *ret_query, struct diag *d)
{
	struct zone *z = self;
	struct question *q = NEW(struct question);
	need(q && name.len < sizeof(q->name));
	*q = (struct question){.zone = z, .id = ++z->next, .type = type, .done = done, .ctx = ctx};
	memcpy(q->name, name.ptr, name.len);
	z->asked++;
	list_push_back(&z->questions, &q->node);
	timer_init(&q->timer, z->loop, on_timer, q);
	const struct entry *e = find(z, q->name);
	timer_set(&q->timer, e && e->kind == KIND_TIMEOUT ? z->timeout_ms : ANSWER_MS);
	*ret_query = q->id;
	return ERR_OK;
}

static void cancel(void *self, uint64_t query)
{
	struct zone *z = self;
	LIST_EACH_SAFE (&z->questions, n, tmp) {
		struct question *q = CONTAINER_OF(n, struct question, node);
		if (q->id == query)
			question_free(q);
	}
}

/* ---- the zone ---- */

static struct entry *entry_for(struct zone *z, struct slice name)
{
	char key[256];
	need(name.len < sizeof(key));
	memcpy(key, name.ptr, name.len);
	key[name.len] = '\0';
	struct entry *e = find(z, key);
	if (e)
		return e;
	e = NEW(struct entry);
	need(e);
	memcpy(e->name, key, sizeof(key));
	buf_init(&e->mx, 65536);
	buf_init(&e->a, 65536);
	list_push_back(&z->entries, &e->node);
	return e;
}

bool zone_set(struct zone *z, struct slice name, struct slice what)
{
	static const char *const kinds[] = {"", "null", "nxdomain", "nodata", "servfail", "timeout"};
	struct slice verb = slice_word(&what);
	struct entry *e = entry_for(z, name);
	bool mx = slice_eq_str(verb, "mx");
	if (mx || slice_eq_str(verb, "a")) {
		struct buf *list = mx ? &e->mx : &e->a;
		e->kind = KIND_RECORDS;
		buf_clear(list);
		buf_add(list, what);
		return true;
	}
	for (size_t i = 1; i < ARRAY_LEN(kinds); i++) {
		if (!slice_eq_str(verb, kinds[i]))
			continue;
		e->kind = (enum kind)i;
		return true;
	}
	return false;
}

void zone_set_ttl(struct zone *z, uint32_t seconds)
{
	z->ttl_s = seconds;
}

const struct dns_lookup *zone_lookup(const struct zone *z)
{
	return &z->lookup;
}

uint64_t zone_questions(const struct zone *z)
{
	return z->asked;
}

struct zone *zone_new(struct loop *l, uint64_t timeout_ms)
{
	struct zone *z = NEW(struct zone);
	need(z);
	*z = (struct zone){.loop = l, .timeout_ms = timeout_ms, .ttl_s = TTL_DEFAULT};
	z->lookup = (struct dns_lookup){.self = z, .ask = ask, .cancel = cancel};
	list_init(&z->entries);
	list_init(&z->questions);
	return z;
}

void zone_free(struct zone *z)
{
	LIST_EACH_SAFE (&z->questions, n, tmp) {
		question_free(CONTAINER_OF(n, struct question, node));
	}
	for (struct list_node *n; (n = list_pop(&z->entries));) {
		struct entry *e = CONTAINER_OF(n, struct entry, node);
		buf_done(&e->mx);
		buf_done(&e->a);
		mem_free(e);
	}
	mem_free(z);
}
