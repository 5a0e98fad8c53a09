#include "zone.h"

#include "core/mem.h"
#include "core/text.h"

#include <string.h>

#define CHAIN_MAX 10u
#define DATA_MAX  65535u

static const struct {
	const char *name;
	enum dns_type type;
} types[] = {{"*", 0},       {"A", DNS_A},     {"CNAME", DNS_CNAME}, {"PTR", DNS_PTR},
	     {"MX", DNS_MX}, {"TXT", DNS_TXT}, {"AAAA", DNS_AAAA}};

void zone_clear(struct zone *z)
{
	for (size_t i = 0; i < z->count; i++)
		buf_done(&z->rows[i].data);
	z->count = 0;
	z->asked = 0;
}

void zone_done(struct zone *z)
{
	zone_clear(z);
	mem_free(z->rows);
	*z = (struct zone){0};
}

enum err zone_add(struct zone *z, struct slice name, enum dns_type type, enum dns_status status,
		  struct slice data)
{
	if (name.len > ZONE_NAME_MAX)
		return ERR_SYNTAX;
	if (z->count == z->room) {
		size_t room = z->room ? 2 * z->room : 16;
		struct zone_row *rows = mem_resize(z->rows, room * sizeof(*rows));
		if (!rows)
			return ERR_NOMEM;
		z->rows = rows;
		z->room = room;
	}
	struct zone_row *row = &z->rows[z->count++];
	*row = (struct zone_row){.type = type, .status = status};
	memcpy(row->name, name.ptr, name.len);
	buf_init(&row->data, DATA_MAX);
	buf_add(&row->data, data);
	return row->data.failed;
}

static enum err type_of(struct slice text, enum dns_type *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (!slice_eq_str(text, types[i].name))
			continue;
		*ret = types[i].type;
		return ERR_OK;
	}
	return ERR_SYNTAX;
}

enum err zone_line(struct zone *z, struct slice line)
{
	struct slice rest = line, verb = slice_word(&rest), name = slice_word(&rest);
	CLEANUP(buf_done) struct buf data;
	enum dns_type type;

	buf_init(&data, DATA_MAX);
	enum err e = type_of(slice_word(&rest), &type);
	if (e)
		return e;
	struct slice value = slice_word(&rest);
	if (slice_eq_str(verb, "status"))
		return zone_add(z, name, type, slice_eq_str(value, "temporary") ? DNS_TEMPORARY : DNS_NODATA,
				SLICE_EMPTY);
	e = slice_eq_str(verb, "rr") ? hex_decode(&data, value) : ERR_SYNTAX;
	return e ? e : zone_add(z, name, type, DNS_OK, buf_slice(&data));
}

static void put_name(struct slice name, struct buf *out)
{
	while (name.len > 0 && !slice_eq_str(name, ".")) {
		struct slice label = slice_split(&name, '.');
		buf_add_u8(out, (uint8_t)label.len);
		buf_add(out, label);
	}
	buf_add_u8(out, 0);
}

static void put_addr(struct slice text, struct buf *out)
{
	struct spf_addr a;

	if (spf_addr_parse4(text, &a) != ERR_OK && spf_addr_parse6(text, &a) != ERR_OK)
		ASSERT(false);
	buf_add_mem(out, a.octets, a.bits / 8u);
}

static void put_mx(struct slice text, struct buf *out)
{
	uint64_t preference;
	bool number = slice_to_u64(slice_word(&text), UINT16_MAX, &preference) == ERR_OK;

	ASSERT(number);
	buf_add_u8(out, (uint8_t)(preference >> 8));
	buf_add_u8(out, (uint8_t)preference);
	put_name(slice_word(&text), out);
}

static void put_text(struct slice text, struct buf *out)
{
	do {
		struct slice part = slice_sub(text, 0, UINT8_MAX);
		buf_add_u8(out, (uint8_t)part.len);
		buf_add(out, part);
		text = slice_from(text, part.len);
	} while (text.len > 0);
}

void zone_put(struct zone *z, const char *name, enum dns_type type, const char *value)
{
	struct slice text = slice_str(value);
	CLEANUP(buf_done) struct buf data;
	enum dns_status status = DNS_OK;

	buf_init(&data, DATA_MAX);
	if (slice_eq_str(text, "!temporary"))
		status = DNS_TEMPORARY;
	else if (slice_eq_str(text, "!nodata"))
		status = DNS_NODATA;
	else if (type == DNS_A || type == DNS_AAAA)
		put_addr(text, &data);
	else if (type == DNS_MX)
		put_mx(text, &data);
	else if (type == DNS_PTR)
		put_name(text, &data);
	else if (type == DNS_CNAME)
		buf_add(&data, text);
	else
		put_text(text, &data);
	enum err e = zone_add(z, slice_str(name), type, status, buf_slice(&data));
	ASSERT(e == ERR_OK);
}

/* One link of the chain: true with *ret_next set when there is a CNAME. */
static bool look(struct zone *z, struct slice name, enum dns_type type, struct dns_answer *ret,
		 struct slice *ret_next)
{
	enum dns_status status = DNS_NXDOMAIN;

	*ret = (struct dns_answer){.records = z->records, .ttl_s = DNS_TTL_MIN};
	for (size_t i = 0; i < z->count; i++) {
		const struct zone_row *row = &z->rows[i];
		if (!slice_eq_str(name, row->name))
			continue;
		if (row->status == DNS_OK && row->type == DNS_CNAME && type != DNS_CNAME) {
			*ret_next = buf_slice(&row->data);
			return true;
		}
		if (row->status == DNS_OK && row->type == type && ret->count < DNS_RECORDS_MAX)
			z->records[ret->count++] = buf_slice(&row->data);
		bool mine = row->status != DNS_OK && (row->type == type || row->type == 0);
		if (mine || status == DNS_NXDOMAIN)
			status = mine ? row->status : DNS_NODATA;
	}
	ret->status = ret->count ? DNS_OK : status;
	return false;
}

static void answer(void *self, struct slice name, enum dns_type type, struct dns_answer *ret)
{
	struct zone *z = self;

	z->asked++;
	for (unsigned i = 0; i < CHAIN_MAX; i++)
		if (!look(z, name, type, ret, &name))
			return;
	*ret = (struct dns_answer){.status = DNS_TEMPORARY,
				   .text = SLICE_LIT("a chain of CNAMEs without an end")};
}

struct spf_dns zone_dns(struct zone *z)
{
	return (struct spf_dns){.self = z, .answer = answer};
}
