#include "dns/mx.h"

#include "core/mem.h"
#include "dns/name.h"

#include <string.h>

#define IPV4_OCTETS      4u
#define IPV6_OCTETS      16u
#define PREFERENCE_LEN   2u
#define LITERAL_TEXT_MAX 64u
#define QUESTIONS_MAX    (2u * DNS_MX_HOSTS_MAX + 1u)
#define TEXT_MAX         256u

struct host {
	char name[DNS_NAME_MAX + 1];
	uint32_t name_len;
	uint16_t preference;
	uint32_t count4, count6;
	uint8_t addr4[DNS_HOST_ADDR_MAX][IPV4_OCTETS];
	uint8_t addr6[DNS_HOST_ADDR_MAX][IPV6_OCTETS];
};

struct question {
	struct dns_mx *m;
	uint64_t id; /* 0: answered */
	enum dns_type type;
	uint32_t host; /* index; of the address questions */
};

enum state { START, MX, HOSTS, DONE };

struct dns_mx {
	struct dns_mx_options o;
	enum dns_mx_kind kind;
	enum state state;
	dns_mx_fn *done;
	void *ctx;
	struct task begin;
	char *input; /* owned; as given */
	size_t input_len;
	struct buf name; /* canonical */
	struct question questions[QUESTIONS_MAX];
	uint32_t asked, pending;
	struct host hosts[DNS_MX_HOSTS_MAX];
	uint32_t host_count;

	/* what the answers said, all together */
	uint32_t ttl_s;
	bool insecure;
	enum dns_status trouble; /* DNS_OK, or the worst of DNS_TEMPORARY and DNS_BOGUS */
	bool exists;             /* an address question found the name */
	char text[TEXT_MAX];     /* of the trouble */
};

const char *dns_mx_outcome_name(enum dns_mx_outcome o)
{
	static const char *const names[] = {"ok",      "no domain",         "no address",
					    "null MX", "temporary failure", "bogus"};
	ASSERT((size_t)o < ARRAY_LEN(names));
	return names[o];
}

static void set_state(struct dns_mx *m, enum state to)
{
	static const unsigned allowed[] = {[START] = 1u << MX | 1u << HOSTS | 1u << DONE,
					   [MX] = 1u << HOSTS | 1u << DONE,
					   [HOSTS] = 1u << DONE,
					   [DONE] = 0};
	ASSERT(allowed[m->state] & (1u << to));
	m->state = to;
}

static struct slice host_name(const struct host *h)
{
	return slice_of(h->name, h->name_len);
}

/* ---- the end ---- */

static void mx_free(struct dns_mx *m)
{
	task_cancel(&m->begin);
	mem_free(m->input);
	buf_done(&m->name);
	mem_free(m);
}

static void finish(struct dns_mx *m, struct dns_mx_result *r)
{
	set_state(m, DONE);
	r->ttl_s = m->ttl_s == UINT32_MAX ? DNS_TTL_MIN : m->ttl_s;
	r->secure = !m->insecure && m->asked > 0;
	m->done(m->ctx, r);
	mx_free(m);
}

static void finish_without(struct dns_mx *m, enum dns_mx_outcome o, struct slice text)
{
	struct dns_mx_result r = {.outcome = o, .text = text};
	finish(m, &r);
}

static void finish_trouble(struct dns_mx *m)
{
	finish_without(m, m->trouble == DNS_BOGUS ? DNS_MX_BOGUS : DNS_MX_TEMPORARY, slice_str(m->text));
}

static void note_trouble(struct dns_mx *m, enum dns_status s, struct slice name, struct slice text)
{
	struct diag d = {0};
	if (s <= m->trouble)
		return;
	m->trouble = s;
	diag_set(&d, ERR_IO, "%.*s: %.*s", SLICE_ARG(name), SLICE_ARG(text));
	memcpy(m->text, d.text, TEXT_MAX - 1);
}

static void note_answer(struct dns_mx *m, const struct dns_answer *a, struct slice name)
{
	m->ttl_s = MIN(m->ttl_s, a->ttl_s);
	m->insecure |= !a->secure;
	if (a->status == DNS_TEMPORARY || a->status == DNS_BOGUS)
		note_trouble(m, a->status, name, a->text);
}

/* ---- hops ---- */

static struct net_addr addr_of(int family, const uint8_t *octets)
{
	struct net_addr a = {0};
	if (family == AF_INET) {
		a.u.in4.sin_family = AF_INET;
		memcpy(&a.u.in4.sin_addr, octets, IPV4_OCTETS);
		a.len = sizeof(a.u.in4);
	} else {
		a.u.in6.sin6_family = AF_INET6;
		memcpy(&a.u.in6.sin6_addr, octets, IPV6_OCTETS);
		a.len = sizeof(a.u.in6);
	}
	return a;
}

static uint32_t add_hops(const struct host *h, struct dns_mx_hop *hops, uint32_t count)
{
	for (uint32_t i = 0; i < DNS_HOST_ADDR_MAX; i++) {
		struct dns_mx_hop hop = {.host = host_name(h), .preference = h->preference};
		if (i < h->count6 && count < DNS_MX_HOPS_MAX) {
			hop.addr = addr_of(AF_INET6, h->addr6[i]);
			hops[count++] = hop;
		}
		if (i < h->count4 && count < DNS_MX_HOPS_MAX) {
			hop.addr = addr_of(AF_INET, h->addr4[i]);
			hops[count++] = hop;
		}
	}
	return count;
}

static void finish_hosts(struct dns_mx *m)
{
	struct dns_mx_hop hops[DNS_MX_HOPS_MAX];
	struct dns_mx_result r = {.outcome = DNS_MX_OK, .hops = hops};
	for (uint32_t i = 0; i < m->host_count; i++)
		r.count = add_hops(&m->hosts[i], hops, r.count);
	if (r.count > 0)
		finish(m, &r);
	else if (m->trouble)
		finish_trouble(m);
	else if (!m->exists && m->kind == DNS_MX_HOST)
		finish_without(m, DNS_MX_NO_DOMAIN, SLICE_LIT("no such host"));
	else
		finish_without(m, DNS_MX_NO_ADDRESS, SLICE_LIT("no mail exchanger has an address"));
}

static void finish_literal(struct dns_mx *m, const struct net_addr *a)
{
	struct dns_mx_hop hop = {.host = SLICE_EMPTY, .addr = *a};
	struct dns_mx_result r = {.outcome = DNS_MX_OK, .count = 1, .hops = &hop};
	m->ttl_s = DNS_TTL_MAX;
	if (m->o.no_ipv6 && a->u.sa.sa_family == AF_INET6)
		finish_without(m, DNS_MX_NO_ADDRESS, SLICE_LIT("IPv6 is switched off"));
	else
		finish(m, &r);
}

/* ---- addresses ---- */

static bool ask(struct dns_mx *m, struct slice name, enum dns_type type, uint32_t host, dns_answer_fn *done)
{
	struct diag d = {0};
	ASSERT(m->asked < QUESTIONS_MAX);
	struct question *q = &m->questions[m->asked];
	*q = (struct question){.m = m, .type = type, .host = host};
	if (m->o.lookup->ask(m->o.lookup->self, name, type, done, q, &q->id, &d) != ERR_OK) {
		note_trouble(m, DNS_TEMPORARY, name, slice_str(d.text));
		return false;
	}
	m->asked++;
	m->pending++;
	return true;
}

static void take_addresses(struct host *h, enum dns_type type, const struct dns_answer *a)
{
	for (uint32_t i = 0; i < a->count; i++) {
		struct slice r = a->records[i];
		if (type == DNS_A && r.len == IPV4_OCTETS && h->count4 < DNS_HOST_ADDR_MAX)
			memcpy(h->addr4[h->count4++], r.ptr, IPV4_OCTETS);
		if (type == DNS_AAAA && r.len == IPV6_OCTETS && h->count6 < DNS_HOST_ADDR_MAX)
			memcpy(h->addr6[h->count6++], r.ptr, IPV6_OCTETS);
	}
}

static void on_address(void *ctx, const struct dns_answer *a)
{
	struct question *q = ctx;
	struct dns_mx *m = q->m;
	struct host *h = &m->hosts[q->host];

	q->id = 0;
	m->pending--;
	note_answer(m, a, host_name(h));
	m->exists |= a->status == DNS_OK || a->status == DNS_NODATA;
	if (a->status == DNS_OK)
		take_addresses(h, q->type, a);
	if (m->pending == 0)
		finish_hosts(m);
}

static void ask_hosts(struct dns_mx *m)
{
	set_state(m, HOSTS);
	for (uint32_t i = 0; i < m->host_count; i++) {
		(void)ask(m, host_name(&m->hosts[i]), DNS_A, i, on_address);
		if (!m->o.no_ipv6)
			(void)ask(m, host_name(&m->hosts[i]), DNS_AAAA, i, on_address);
	}
	if (m->pending == 0)
		finish_hosts(m);
}

/* ---- exchanges ---- */

static bool known_host(const struct dns_mx *m, struct slice name)
{
	for (uint32_t i = 0; i < m->host_count; i++)
		if (slice_eq(host_name(&m->hosts[i]), name))
			return true;
	return false;
}

/* Keeps the most preferred DNS_MX_HOSTS_MAX, in order; what is not a host name can have no address. */
static void add_host(struct dns_mx *m, struct slice name, uint16_t preference)
{
	if (!name_is_canonical(name) || known_host(m, name))
		return;
	uint32_t at = m->host_count;
	while (at > 0 && m->hosts[at - 1].preference > preference)
		at--;
	if (at == DNS_MX_HOSTS_MAX)
		return;
	if (m->host_count < DNS_MX_HOSTS_MAX)
		m->host_count++;
	memmove(&m->hosts[at + 1], &m->hosts[at], (m->host_count - 1 - at) * sizeof(m->hosts[0]));
	struct host *h = &m->hosts[at];
	*h = (struct host){.name_len = (uint32_t)name.len, .preference = preference};
	memcpy(h->name, name.ptr, name.len);
}

/* Returns whether it is a null MX. The whole answer is looked at: records come in any order. */
static bool take_exchanges(struct dns_mx *m, const struct dns_answer *a)
{
	bool root = false;
	for (uint32_t i = 0; i < a->count; i++) {
		struct slice r = a->records[i];
		size_t pos = PREFERENCE_LEN;
		CLEANUP(buf_done) struct buf name;
		buf_init(&name, 4 * (DNS_NAME_MAX + 1));
		if (r.len <= PREFERENCE_LEN || name_from_wire(r, &pos, &name) != ERR_OK)
			continue;
		uint16_t preference = (uint16_t)((uint8_t)r.ptr[0] << 8 | (uint8_t)r.ptr[1]);
		if (slice_eq_str(buf_slice(&name), "."))
			root = true;
		else
			add_host(m, buf_slice(&name), preference);
	}
	return root && a->count == 1;
}

static void on_mx(void *ctx, const struct dns_answer *a)
{
	struct question *q = ctx;
	struct dns_mx *m = q->m;

	q->id = 0;
	m->pending--;
	note_answer(m, a, buf_slice(&m->name));
	switch (a->status) {
	case DNS_OK:
		if (take_exchanges(m, a))
			finish_without(m, DNS_MX_NULL, SLICE_LIT("the domain takes no mail (null MX)"));
		else
			ask_hosts(m);
		return;
	case DNS_NODATA:
		add_host(m, buf_slice(&m->name), 0); /* implicit MX, RFC 5321 5.1 */
		ask_hosts(m);
		return;
	case DNS_NXDOMAIN:
		finish_without(m, DNS_MX_NO_DOMAIN, SLICE_LIT("no such domain"));
		return;
	default:
		finish_trouble(m);
		return;
	}
}

/* ---- the beginning ---- */

/* "192.0.2.1", "[192.0.2.1]", "[IPv6:2001:db8::1]", and for hosts "[2001:db8::1]". Nothing else that net_addr_parse
 * understands: no port, no path. */
static bool parse_literal(enum dns_mx_kind kind, struct slice s, struct net_addr *ret)
{
	const struct slice tag = SLICE_LIT("IPv6:");
	bool brackets = s.len > 2 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']';
	if (!brackets && kind == DNS_MX_DOMAIN)
		return false;
	if (brackets)
		s = slice_sub(s, 1, s.len - 2);
	bool tagged = brackets && slice_istarts(s, tag);
	if (tagged)
		s = slice_from(s, tag.len);
	bool ipv6 = tagged || (kind == DNS_MX_HOST && slice_find(s, ':') != SLICE_NPOS);
	for (size_t i = 0; i < s.len; i++)
		if (!strchr(ipv6 ? "0123456789abcdefABCDEF:." : "0123456789.", s.ptr[i]))
			return false;
	CLEANUP(buf_done) struct buf text;
	buf_init(&text, LITERAL_TEXT_MAX);
	buf_printf(&text, ipv6 ? "[%.*s]" : "%.*s", SLICE_ARG(s));
	return !text.failed && net_addr_parse(buf_slice(&text), 0, ret, NULL) == ERR_OK;
}

static void begin(void *ctx)
{
	struct dns_mx *m = ctx;
	struct slice input = slice_of(m->input, m->input_len);
	struct net_addr a;
	struct diag d = {0};

	if (parse_literal(m->kind, input, &a)) {
		finish_literal(m, &a);
	} else if (name_canonical(input, &m->name, &d) != ERR_OK) {
		if (d.code == ERR_NOMEM)
			finish_without(m, DNS_MX_TEMPORARY, slice_str(d.text));
		else
			finish_without(m, DNS_MX_NO_DOMAIN, slice_str(d.text));
	} else if (m->kind == DNS_MX_HOST) {
		add_host(m, buf_slice(&m->name), 0);
		ask_hosts(m);
	} else if (ask(m, buf_slice(&m->name), DNS_MX, 0, on_mx)) {
		set_state(m, MX);
	} else {
		finish_trouble(m);
	}
}

enum err dns_mx_start(const struct dns_mx_options *o, enum dns_mx_kind kind, struct slice name,
		      dns_mx_fn *done, void *ctx, struct dns_mx **ret)
{
	struct dns_mx *m = NEW(struct dns_mx);
	if (!m)
		return ERR_NOMEM;
	m->o = *o;
	m->kind = kind;
	m->done = done;
	m->ctx = ctx;
	m->ttl_s = UINT32_MAX;
	m->input_len = MIN(name.len, DNS_INPUT_MAX + 1); /* more is too long anyway */
	m->input = mem_alloc(m->input_len + 1);
	buf_init(&m->name, DNS_NAME_MAX + 1);
	task_init(&m->begin, o->loop, begin, m);
	if (!m->input) {
		mx_free(m);
		return ERR_NOMEM;
	}
	if (m->input_len)
		memcpy(m->input, name.ptr, m->input_len);
	task_defer(&m->begin);
	*ret = m;
	return ERR_OK;
}

void dns_mx_cancel(struct dns_mx *m)
{
	if (!m)
		return;
	for (uint32_t i = 0; i < m->asked; i++)
		if (m->questions[i].id)
			m->o.lookup->cancel(m->o.lookup->self, m->questions[i].id);
	mx_free(m);
}

/* ---- order ---- */

static uint64_t draw(uint64_t *seed)
{
	uint64_t x = *seed += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	return x ^ (x >> 31);
}

/* Length of the run of hops of the same host at `from`. */
static uint32_t host_run(const struct dns_mx_hop *hops, uint32_t from, uint32_t end)
{
	uint32_t n = 1;
	while (from + n < end && hops[from + n].preference == hops[from].preference &&
	       slice_eq(hops[from + n].host, hops[from].host))
		n++;
	return n;
}

static void reverse(struct dns_mx_hop *hops, uint32_t n)
{
	for (uint32_t i = 0; i < n / 2; i++) {
		struct dns_mx_hop t = hops[i];
		hops[i] = hops[n - 1 - i];
		hops[n - 1 - i] = t;
	}
}

/* Moves the run [at, at + n) to the front of what begins at `from`, by three reversals. */
static void to_front(struct dns_mx_hop *hops, uint32_t from, uint32_t at, uint32_t n)
{
	reverse(hops + from, at - from);
	reverse(hops + at, n);
	reverse(hops + from, at - from + n);
}

/* Of the hosts in [from, end), one chosen by chance goes first; returns its length. Reservoir sampling: each of k
 * hosts replaces the choice with chance 1/k. */
static uint32_t choose_host(struct dns_mx_hop *hops, uint32_t from, uint32_t end, uint64_t *seed)
{
	uint32_t chosen = from, chosen_n = 0, hosts = 0;
	for (uint32_t at = from; at < end;) {
		uint32_t n = host_run(hops, at, end);
		if (draw(seed) % ++hosts == 0) {
			chosen = at;
			chosen_n = n;
		}
		at += n;
	}
	to_front(hops, from, chosen, chosen_n);
	return chosen_n;
}

void dns_mx_shuffle(struct dns_mx_hop *hops, uint32_t count, uint64_t seed)
{
	for (uint32_t from = 0; from < count;) {
		uint32_t end = from;
		while (end < count && hops[end].preference == hops[from].preference)
			end++;
		while (from < end)
			from += choose_host(hops, from, end, &seed);
	}
}
