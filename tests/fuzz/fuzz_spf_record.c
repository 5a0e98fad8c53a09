/* Any octets as an SPF record: terms cover the text in order, what is read says the same when it is read again, and a
 * valid record expands to something bounded. The first octet chooses between a record, TXT data and an address. */
#include "dns/limits.h"
#include "dns/spf_macro.h"
#include "dns/spf_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expand(const struct spf_term *t)
{
	struct spf_macros m = {.local = SLICE_LIT("a.b-c"),
			       .sender_domain = SLICE_LIT("o.example"),
			       .domain = SLICE_LIT("d.example"),
			       .helo = SLICE_LIT("h\xff"),
			       .ip = {.bits = SPF_BITS6, .octets = {0x20, 0x01}},
			       .now_s = INT64_MIN};
	struct buf out, name;

	buf_init(&out, SPF_EXPANSION_MAX);
	buf_init(&name, 4 * DNS_NAME_MAX);
	spf_macro_expand(t->domain, &m, &out);
	ASSERT(out.len <= SPF_EXPANSION_MAX);
	struct slice cut = spf_target_cut(buf_slice(&out));
	if (spf_target_name(cut, &name))
		ASSERT(cut.len <= DNS_NAME_MAX && name.len >= cut.len);
	else
		ASSERT(name.len == 0);
	buf_done(&out);
	buf_done(&name);
}

static void look_at(struct slice text, const struct spf_term *t, size_t before)
{
	ASSERT(t->span.at >= before && t->span.len > 0 && t->span.at + t->span.len <= text.len);
	ASSERT((t->kind == SPF_BROKEN) == (t->problem != NULL));
	ASSERT(t->bits4 <= SPF_BITS4 && t->bits6 <= SPF_BITS6);
	ASSERT(slice_find(spf_term_text(text, t), ' ') == SLICE_NPOS);
	if (!t->problem)
		expand(t);
}

static void read_record(struct slice text)
{
	struct arena a;
	struct spf_record r;
	size_t end = 0;

	arena_init(&a, 1u << 24);
	if (spf_record_read(&a, text, &r) == ERR_OK) {
		for (size_t i = 0; i < r.count; i++) {
			look_at(text, &r.terms[i], end);
			end = r.terms[i].span.at + r.terms[i].span.len;
			ASSERT(!r.terms[i].problem || r.problem);
		}
	} else {
		ASSERT(!spf_record_is(text) || text.len > SPF_RECORD_MAX);
	}
	arena_done(&a);
}

static void read_net(struct slice text)
{
	struct spf_net n, again;
	struct buf out;

	if (spf_net_parse(text, &n) != ERR_OK)
		return;
	buf_init(&out, 64);
	spf_net_format(&n, &out);
	ASSERT(spf_net_parse(buf_slice(&out), &again) == ERR_OK);
	ASSERT(spf_addr_eq(&n.addr, &again.addr) && n.prefix == again.prefix && spf_net_covers(&n, &again));
	buf_done(&out);
}

static void read_data(struct slice data)
{
	struct buf out;

	buf_init(&out, 65535);
	if (spf_txt_join(data, &out) == ERR_OK)
		ASSERT(out.len <= data.len);
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct slice rest = slice_of(data + 1, size - 1);
	switch (data[0]) {
	case 'n':
		read_net(rest);
		break;
	case 't':
		read_data(rest);
		break;
	default:
		read_record(rest);
		break;
	}
	return 0;
}
