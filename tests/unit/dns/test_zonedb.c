#include "dns/zonedb.h"

#include "core/mem.h"
#include "core/text.h"
#include "../unit.h"

#include <string.h>

static const char parent[] = "$TTL 300\n"
			     "@ SOA ns hm 2026112301 1 2 3 60\n"
			     "@ NS ns\n@ TXT \"v=spf1 -all\"\n@ TXT other\n@ TXT \"other\"\n"
			     "* TXT wild\n"
			     "sub A 192.0.2.9\nwww.sub A 192.0.2.9\n"
			     "a.b.c A 192.0.2.1\n*.b.c MX 10 mail\n"
			     "alias CNAME a.b.c\nfar CNAME www.other.net.\ngone CNAME nowhere.net.\n"
			     "one CNAME two\ntwo CNAME one\nself CNAME self\n"
			     "*.w CNAME a.b.c\n"
			     "tree DNAME other.net.\n"
			     "odd 5 TXT x\nodd 90000 TXT y\nlong 90000 TXT z\n"
			     "h HINFO a b\n"
			     "cut NS ns.elsewhere.\nglue.cut A 192.0.2.53\n"
			     "x=y A 192.0.2.7\n"
			     "ch CH TXT none\n";
static const char child[] = "@ 60 SOA ns hm 7 1 2 3 4\n@ A 192.0.2.2\nns A 192.0.2.3\n";
static const char other[] = "$ORIGIN other.net.\n@ 60 SOA ns hm 1 1 2 3 4\nwww A 192.0.2.4\n";

static void load(struct zonedb *db, const char *origin, const char *text)
{
	const struct zone_text_options o = {
		.file = slice_str(origin), .text = slice_str(text), .origin = slice_str(origin)};
	struct diag d = {0};

	if (zonedb_load(db, &o, &d) != ERR_OK)
		fail_msg("%s", d.text);
}

static enum err load_fails(struct zonedb *db, const char *origin, const char *text, struct diag *d)
{
	const struct zone_text_options o = {
		.file = S("again"), .text = slice_str(text), .origin = slice_str(origin)};

	return zonedb_load(db, &o, d);
}

static int set_up(void **state)
{
	struct zonedb *db;

	if (zonedb_new(&db) != ERR_OK)
		return -1;
	load(db, "example.com", parent);
	load(db, "sub.example.com", child);
	load(db, "zone", other);
	*state = db;
	return 0;
}

static int tear_down(void **state)
{
	zonedb_free(*state);
	return 0;
}

static void gives(struct zonedb *db, const char *name, enum dns_type type, const char *want)
{
	CLEANUP(buf_done) struct buf out;
	struct dns_answer a;

	buf_init(&out, 4096);
	zonedb_answer(db, slice_str(name), type, &a);
	buf_printf(&out, "%s %u", dns_status_name(a.status), a.ttl_s);
	for (uint32_t i = 0; i < a.count; i++) {
		buf_add_char(&out, ' ');
		hex_encode(&out, a.records[i]);
	}
	if (!slice_eq(buf_slice(&out), slice_str(want)))
		fail_msg("%s %u: got \"%s\", want \"%s\"", name, (unsigned)type, buf_cstr(&out), want);
}

static void test_plain(void **state)
{
	gives(*state, "example.com", DNS_TXT, "ok 300 0b763d73706631202d616c6c 056f74686572");
	gives(*state, "example.com", DNS_NS, "ok 300 026e73076578616d706c6503636f6d00");
	gives(*state, "a.b.c.example.com", DNS_A, "ok 300 c0000201");
	gives(*state, "x\\061y.example.com", DNS_A, "ok 300 c0000207");
	gives(*state, "odd.example.com", DNS_TXT, "ok 5 0178 0179"); /* RFC 2181 5.2 */
	gives(*state, "long.example.com", DNS_TXT, "ok 86400 017a");
	gives(*state, "glue.cut.example.com", DNS_A, "ok 300 c0000235");
}

static void test_absent(void **state)
{
	gives(*state, "example.com", DNS_AAAA, "no data 60");
	gives(*state, "a.b.c.example.com", DNS_TXT, "no data 60");
	gives(*state, "c.example.com", DNS_A, "no data 60"); /* only names below it */
	gives(*state, "b.c.example.com", DNS_A, "no data 60");
	gives(*state, "www.other.net", DNS_TXT, "no data 5");
	gives(*state, "x.other.net", DNS_A, "no such name 5");
	gives(*state, "example.net", DNS_A, "no such name 5");
	gives(*state, "com", DNS_A, "no such name 5");
	gives(*state, ".", DNS_A, "no such name 5");
	gives(*state, "ch.example.com", DNS_TXT, "ok 300 0477696c64"); /* another class: not there */
	gives(*state, "h.example.com", (enum dns_type)13, "temporary failure 0");
	gives(*state, "h.example.com", DNS_A, "no data 60");
}

static void test_wildcards(void **state)
{
	gives(*state, "q.example.com", DNS_TXT, "ok 300 0477696c64");
	gives(*state, "q.r.example.com", DNS_TXT, "ok 300 0477696c64");
	gives(*state, "q.example.com", DNS_A, "no data 60");
	gives(*state, "\\042.example.com", DNS_TXT, "ok 300 0477696c64");
	gives(*state, "c.example.com", DNS_TXT, "no data 60"); /* exists */
	gives(*state, "q.c.example.com", DNS_TXT,
	      "no such name 60"); /* c, not the zone, encloses it closest */
	gives(*state, "q.b.c.example.com", DNS_MX, "ok 300 000a046d61696c076578616d706c6503636f6d00");
	gives(*state, "q.a.b.c.example.com", DNS_MX, "no such name 60");
	gives(*state, "q.w.example.com", DNS_A, "ok 300 c0000201");    /* a CNAME */
	gives(*state, "q.sub.example.com", DNS_TXT, "no such name 5"); /* another zone */
}

static void test_chains(void **state)
{
	gives(*state, "alias.example.com", DNS_A, "ok 300 c0000201");
	gives(*state, "alias.example.com", DNS_CNAME,
	      "ok 300 01610162016307"
	      "6578616d706c6503636f6d00");
	gives(*state, "alias.example.com", DNS_TXT, "no data 60");
	gives(*state, "far.example.com", DNS_A, "ok 60 c0000204");
	gives(*state, "gone.example.com", DNS_A, "no such name 5");
	gives(*state, "one.example.com", DNS_A, "temporary failure 30");
	gives(*state, "self.example.com", DNS_A, "temporary failure 30");
	gives(*state, "www.tree.example.com", DNS_A, "ok 60 c0000204");
	gives(*state, "x.tree.example.com", DNS_A, "no such name 5");
	gives(*state, "tree.example.com", DNS_A, "no data 60"); /* DNAME is for names below it */
}

static void test_zones(void **state)
{
	struct zonedb *db = *state;

	/* what the parent still has is not seen */
	gives(db, "sub.example.com", DNS_A, "ok 60 c0000202");
	gives(db, "www.sub.example.com", DNS_A, "no such name 5");
	assert_int_equal(zonedb_count(db), 3);
	const struct zonedb_zone *z = zonedb_zone_at(db, 0);
	assert_slice(z->apex, "example.com");
	assert_slice(z->file, "example.com");
	assert_true(z->has_soa);
	assert_int_equal(z->serial, 2026112301);
	assert_slice(zonedb_zone_of(db, S("www.sub.example.com"))->apex, "sub.example.com");
	assert_slice(zonedb_zone_of(db, S("example.com"))->apex, "example.com");
	assert_slice(zonedb_zone_of(db, S("q.other.net"))->apex, "other.net");
	assert_null(zonedb_zone_of(db, S("net")));
	assert_true(zonedb_is_delegated(db, S("cut.example.com")));
	assert_true(zonedb_is_delegated(db, S("a.glue.cut.example.com")));
	assert_false(zonedb_is_delegated(db, S("example.com")));
	assert_false(zonedb_is_delegated(db, S("sub.example.com")));
	assert_false(zonedb_is_delegated(db, S("net")));
	struct zonedb_stat s = zonedb_stat(db);
	assert_int_equal(s.zones, 3);
	assert_true(s.records > 25 && s.names > 20 && s.octets > 1000);
}

static void test_whole_or_not(void **state)
{
	struct zonedb *db = *state;
	struct diag d = {0};
	size_t names = zonedb_stat(db).names;

	assert_int_equal(load_fails(db, "example.com", child, &d), ERR_EXISTS);
	assert_string_equal(d.text, "again: the zone example.com is also in example.com");
	assert_int_equal(load_fails(db, "new.net", "@ 1 SOA a b 1 2 3 4 5\nx A 1\n", &d), ERR_SYNTAX);
	assert_string_equal(d.text, "again:2:5: not an IPv4 address");
	assert_int_equal(load_fails(db, "new.net", "@ A 192.0.2.1\n(\n", &d), ERR_SYNTAX);
	assert_int_equal(load_fails(db, "new.net", "$GENERATE 1-2 a$ A 192.0.2.$\n", &d), ERR_UNSUPPORTED);
	assert_int_equal(load_fails(db, "a..b", "", NULL), ERR_SYNTAX);
	assert_int_equal(zonedb_stat(db).names, names);
	assert_int_equal(zonedb_count(db), 3);
	gives(db, "new.net", DNS_A, "no such name 5");
	load(db, "new.net", "@ 5 SOA a b 1 2 3 4 5\nx A 192.0.2.1\n");
	gives(db, "x.new.net", DNS_A, "ok 5 c0000201");
}

/* Texts without a SOA, and what lies outside of the zones of a text. */
static void test_strays(void **state)
{
	struct zonedb *db = *state;

	load(db, "world", "a.test. A 192.0.2.1\n*.b.test. A 192.0.2.2\nwww.other.net. A 192.0.2.66\n");
	assert_int_equal(zonedb_count(db), 3);
	gives(db, "a.test", DNS_A, "ok 3600 c0000201");
	gives(db, "test", DNS_A, "no data 5");
	gives(db, "x.b.test", DNS_A, "ok 3600 c0000202");
	gives(db, "x.test", DNS_A, "no such name 5");
	gives(db, "www.other.net", DNS_A, "ok 60 c0000204"); /* covered by a zone */
	load(db, "plain.net", "@ A 192.0.2.1\nelse.test. A 192.0.2.5\n");
	load(db, "plain.net", "x A 192.0.2.2\n");
	assert_int_equal(zonedb_count(db), 4);
	assert_false(zonedb_zone_of(db, S("plain.net"))->has_soa);
	gives(db, "plain.net", DNS_A, "ok 3600 c0000201");
	gives(db, "x.plain.net", DNS_A, "ok 3600 c0000202");
	gives(db, "else.test", DNS_A, "ok 3600 c0000205");
	load(db, "plain.net", "@ 9 SOA a b 1 2 3 4 5\ny A 192.0.2.3\n");
	assert_true(zonedb_zone_of(db, S("plain.net"))->has_soa);
	gives(db, "x.plain.net", DNS_A, "ok 3600 c0000202");
	gives(db, "y.plain.net", DNS_A, "ok 9 c0000203");
}

static void test_several_zones(void **state)
{
	struct zonedb *db = *state;

	load(db, "",
	     "one.test. 9 SOA a.x. b. 1 2 3 4 5\nw.two.one.test. A 192.0.2.1\n"
	     "two.one.test. 9 SOA a.x. b. 1 2 3 4 5\n*.one.test. A 192.0.2.2\n");
	assert_int_equal(zonedb_count(db), 5);
	gives(db, "w.two.one.test", DNS_A, "ok 9 c0000201");
	gives(db, "v.two.one.test", DNS_A, "no such name 5");
	gives(db, "v.one.test", DNS_A, "ok 9 c0000202");
	load(db, "", ". 9 SOA a.x. b. 1 2 3 4 50\n*. A 192.0.2.3\nnet. A 192.0.2.4\n");
	gives(db, ".", DNS_A, "no data 9");
	gives(db, "net", DNS_A, "ok 9 c0000204");
	gives(db, "anything.else", DNS_A, "ok 9 c0000203");
	gives(db, "x.net", DNS_A, "no such name 9");
}

static void test_many_records(void **state)
{
	CLEANUP(buf_done) struct buf text;
	struct zonedb *db = *state;
	struct dns_answer a;

	buf_init(&text, 1 << 20);
	for (unsigned i = 0; i < 2 * ZONEDB_COMPARED_MAX; i++)
		buf_printf(&text, "m TXT %u\n", i);
	load(db, "many.net", buf_cstr(&text));
	zonedb_answer(db, S("m.many.net"), DNS_TXT, &a);
	assert_int_equal(a.count, DNS_RECORDS_MAX);
}

static void test_evaluation(void **state)
{
	struct spf_dns dns = zonedb_dns(*state);
	struct dns_answer a;

	dns.answer(dns.self, S("example.com"), DNS_TXT, &a);
	assert_int_equal(a.status, DNS_OK);
	assert_int_equal(a.count, 2);
}

static void test_no_memory(void **state)
{
	const struct zone_text_options o = {
		.file = S("z"), .text = slice_str(parent), .origin = S("example.com")};
	enum err e = ERR_NOMEM;

	for (size_t n = 0; e; n++) {
		struct zonedb *db = NULL;
		mem_fail_after(n);
		e = zonedb_new(&db);
		if (!e)
			e = zonedb_load(db, &o, NULL);
		mem_fail_after(SIZE_MAX);
		assert_true(e == ERR_OK || e == ERR_NOMEM);
		zonedb_free(db);
		assert_true(n < 200);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_plain),
		TEST(test_absent),
		TEST(test_wildcards),
		TEST(test_chains),
		TEST(test_zones),
		TEST(test_whole_or_not),
		TEST(test_strays),
		TEST(test_several_zones),
		TEST(test_many_records),
		TEST(test_evaluation),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
