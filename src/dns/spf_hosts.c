/* The mechanisms that compare the client with addresses in DNS: a, exists, mx, ptr, and the macro %{p}. */
#include "dns/name.h"
#include "dns/spf_eval_priv.h"

#include <string.h>

#define PREFERENCE_LEN 2u
#define BITS_PER_OCTET 8u
#define OCTETS4        4u
#define OCTETS6        16u

static enum dns_type address_type(const struct spf_eval *e)
{
	return e->request.ip.bits == SPF_BITS4 ? DNS_A : DNS_AAAA;
}

void spf_ask_addresses(struct spf_eval *e, enum spf_phase to)
{
	spf_ask(e, address_type(e), to);
}

/* Does any address of the answer share its first `prefix` bits with the client's? */
static bool holds_client(const struct spf_eval *e, const struct dns_answer *a, uint8_t prefix)
{
	const struct spf_addr *ip = &e->request.ip;

	for (uint32_t i = 0; a->status == DNS_OK && i < a->count; i++) {
		struct spf_addr x = {.bits = ip->bits};
		if (a->records[i].len != ip->bits / BITS_PER_OCTET)
			continue;
		memcpy(x.octets, a->records[i].ptr, a->records[i].len);
		if (spf_addr_match(ip, &x, prefix))
			return true;
	}
	return false;
}

static uint8_t prefix_of(const struct spf_eval *e, const struct spf_term *t)
{
	return e->request.ip.bits == SPF_BITS4 ? t->bits4 : t->bits6;
}

/* The answer of a term's own question, judged; false: the check is over. */
static bool take_answer(struct spf_eval *e, const struct dns_answer *a)
{
	if (spf_is_trouble(a)) {
		spf_end(e, SPF_TEMPERROR, "%.*s: %.*s", SLICE_ARG(buf_slice(&e->name)), SLICE_ARG(a->text));
		return false;
	}
	return !spf_is_void(a) || spf_count_voids(e, 1);
}

void spf_on_addresses(struct spf_eval *e, const struct dns_answer *a)
{
	struct spf_frame *f = spf_top(e);

	if (!take_answer(e, a))
		return;
	bool match =
		f->term.kind == SPF_EXISTS ? !spf_is_void(a) : holds_client(e, a, prefix_of(e, &f->term));
	if (match)
		spf_match(e);
	else
		spf_no_match(e);
}

/* ---- names in answers ---- */

/* Sets e->name to a host name from wire octets; false: it is none (malformed, the root). ERR_NOMEM ends the check. */
static bool name_of(struct spf_eval *e, struct slice wire, size_t pos)
{
	buf_clear(&e->name);
	enum err err = name_from_wire(wire, &pos, &e->name);
	if (err == ERR_NOMEM)
		spf_end(e, SPF_TEMPERROR, "no memory");
	return err == ERR_OK && !slice_eq_str(buf_slice(&e->name), ".");
}

/* Keeps e->name behind all of the same or a smaller preference. False: no memory, the check is over. */
static bool add_host(struct spf_eval *e, struct spf_hosts *hosts, uint16_t preference)
{
	struct spf_host h = {.preference = preference};
	uint32_t at = hosts->count;

	ASSERT(hosts->count < SPF_NAMES_MAX);
	if (arena_dup(&e->arena, buf_slice(&e->name), &h.name) != ERR_OK) {
		spf_end(e, SPF_TEMPERROR, "no memory");
		return false;
	}
	for (; at > 0 && hosts->at[at - 1].preference > preference; at--)
		hosts->at[at] = hosts->at[at - 1];
	hosts->at[at] = h;
	hosts->count++;
	return true;
}

/* Asks for the addresses of the next host; false: there is none left. */
static bool ask_host(struct spf_eval *e, struct spf_hosts *hosts, enum spf_phase to)
{
	if (hosts->next == hosts->count)
		return false;
	buf_clear(&e->name);
	buf_add(&e->name, hosts->at[hosts->next++].name);
	spf_ask_addresses(e, to);
	return true;
}

/* ---- mx ---- */

static void next_mx_host(struct spf_eval *e)
{
	if (ask_host(e, &e->mx, SPF_AT_MX_HOST))
		return;
	if (e->mx_match)
		spf_match(e);
	else
		spf_no_match(e);
}

void spf_on_mx(struct spf_eval *e, const struct dns_answer *a)
{
	e->mx = (struct spf_hosts){0};
	e->mx_match = false;
	if (!take_answer(e, a))
		return;
	uint32_t count = a->status == DNS_OK ? a->count : 0;
	if (count > SPF_NAMES_MAX) {
		spf_end(e, SPF_PERMERROR, "%.*s has more than %u MX records", SLICE_ARG(buf_slice(&e->name)),
			SPF_NAMES_MAX);
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct slice r = a->records[i];
		if (r.len <= PREFERENCE_LEN || !name_of(e, r, PREFERENCE_LEN))
			continue; /* also the null MX of RFC 7505 */
		if (!add_host(e, &e->mx, (uint16_t)((uint8_t)r.ptr[0] << 8 | (uint8_t)r.ptr[1])))
			return;
	}
	if (e->phase != SPF_AT_DONE)
		next_mx_host(e);
}

void spf_on_mx_host(struct spf_eval *e, const struct dns_answer *a)
{
	if (!take_answer(e, a))
		return;
	e->mx_match |= holds_client(e, a, prefix_of(e, &spf_top(e)->term));
	next_mx_host(e);
}

/* ---- ptr ---- */

static void add_reverse_name(const struct spf_addr *ip, struct buf *out)
{
	static const char hex[] = "0123456789abcdef";

	if (ip->bits == SPF_BITS4) {
		for (unsigned i = OCTETS4; i > 0; i--)
			buf_printf(out, "%u.", ip->octets[i - 1]);
		buf_add_str(out, "in-addr.arpa");
		return;
	}
	for (unsigned i = OCTETS6; i > 0; i--)
		buf_printf(out, "%c.%c.", hex[ip->octets[i - 1] & 0xf], hex[ip->octets[i - 1] >> 4]);
	buf_add_str(out, "ip6.arpa");
}

void spf_start_ptr(struct spf_eval *e)
{
	ASSERT(e->ptr_state == SPF_PTR_UNKNOWN);
	e->ptr_state = SPF_PTR_RUNNING;
	e->ptr_return = e->phase;
	spf_top(e)->validated = true;
	buf_clear(&e->name);
	add_reverse_name(&e->request.ip, &e->name);
	spf_ask(e, DNS_PTR, SPF_AT_PTR);
}

/* Void lookups count for a term, not for exp=, which is looked at when the result stands. */
static bool count_ptr_void(struct spf_eval *e, const struct dns_answer *a)
{
	if (!spf_is_void(a))
		return true;
	e->ptr_voids++;
	return e->ptr_return != SPF_AT_TERM || spf_count_voids(e, 1);
}

static void next_ptr_host(struct spf_eval *e)
{
	if (ask_host(e, &e->ptr, SPF_AT_PTR_HOST))
		return;
	e->ptr_state = SPF_PTR_KNOWN;
	spf_set_phase(e, e->ptr_return);
}

/* RFC 7208 5.5: an error here means no names, and one with a name means that this name is left out. */
void spf_on_ptr(struct spf_eval *e, const struct dns_answer *a)
{
	if (!count_ptr_void(e, a))
		return;
	uint32_t count = a->status == DNS_OK ? MIN(a->count, SPF_NAMES_MAX) : 0;
	for (uint32_t i = 0; i < count; i++)
		if (name_of(e, a->records[i], 0) && !add_host(e, &e->ptr, 0))
			return;
	if (e->phase != SPF_AT_DONE)
		next_ptr_host(e);
}

void spf_on_ptr_host(struct spf_eval *e, const struct dns_answer *a)
{
	if (!count_ptr_void(e, a))
		return;
	ASSERT(e->ptr.next > 0);
	e->ptr.at[e->ptr.next - 1].valid = holds_client(e, a, e->request.ip.bits);
	next_ptr_host(e);
}

static bool is_below(struct slice name, struct slice domain)
{
	return name.len > domain.len && slice_ends(name, domain) &&
	       name.ptr[name.len - domain.len - 1] == '.';
}

bool spf_ptr_matches(const struct spf_eval *e, struct slice target)
{
	for (uint32_t i = 0; i < e->ptr.count; i++) {
		const struct spf_host *h = &e->ptr.at[i];
		if (h->valid && (slice_eq(h->name, target) || is_below(h->name, target)))
			return true;
	}
	return false;
}

/* RFC 7208 7.3: the domain itself, else a name below it, else any. */
struct slice spf_validated_name(struct spf_eval *e, struct slice domain)
{
	struct slice best = SLICE_EMPTY, name;
	int rank = 0;

	buf_clear(&e->scratch);
	name = spf_target_name(domain, &e->scratch) ? buf_slice(&e->scratch) : SLICE_EMPTY;
	for (uint32_t i = 0; i < e->ptr.count; i++) {
		const struct spf_host *h = &e->ptr.at[i];
		int r = slice_eq(h->name, name) ? 3 : is_below(h->name, name) ? 2 : 1;
		if (h->valid && r > rank) {
			rank = r;
			best = h->name;
		}
	}
	return best;
}
