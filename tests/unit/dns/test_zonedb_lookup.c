#include "dns/zonedb_lookup.h"

#include "../unit.h"

struct seen {
	unsigned count;
	enum dns_status status;
	uint32_t records;
};

static void on_answer(void *ctx, const struct dns_answer *a)
{
	struct seen *s = ctx;

	s->count++;
	s->status = a->status;
	s->records = a->count;
}

struct bench {
	struct loop *loop;
	struct zonedb *db;
	struct zonedb_lookup *lookup;
	struct dns_lookup table;
};

static int set_up(void **state)
{
	static struct bench b;
	const struct zone_text_options o = {
		.file = S("z"), .text = S("@ A 192.0.2.1\n@ A 192.0.2.2\n"), .origin = S("example.com")};

	if (loop_epoll_new(&b.loop, NULL) != ERR_OK || zonedb_new(&b.db) != ERR_OK ||
	    zonedb_load(b.db, &o, NULL) != ERR_OK || zonedb_lookup_new(b.loop, b.db, &b.lookup) != ERR_OK)
		return -1;
	b.table = zonedb_lookup_table(b.lookup);
	*state = &b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	zonedb_lookup_free(b->lookup);
	zonedb_free(b->db);
	loop_free(b->loop);
	return 0;
}

static void test_answers(void **state)
{
	struct bench *b = *state;
	struct seen one = {0}, two = {0};
	uint64_t q = 0;

	assert_int_equal(b->table.ask(b->table.self, S("example.com"), DNS_A, on_answer, &one, &q, NULL),
			 ERR_OK);
	assert_true(q != 0);
	assert_int_equal(b->table.ask(b->table.self, S("x.net"), DNS_A, on_answer, &two, &q, NULL), ERR_OK);
	assert_int_equal(one.count, 0); /* never inside the call */
	loop_turn(b->loop, 0);
	assert_int_equal(one.count, 1);
	assert_int_equal(one.status, DNS_OK);
	assert_int_equal(one.records, 2);
	assert_int_equal(two.count, 1);
	assert_int_equal(two.status, DNS_NXDOMAIN);
}

static void test_cancel(void **state)
{
	struct bench *b = *state;
	struct seen s[3] = {0};
	uint64_t q[3];

	for (int i = 0; i < 3; i++)
		assert_int_equal(
			b->table.ask(b->table.self, S("example.com"), DNS_A, on_answer, &s[i], &q[i], NULL),
			ERR_OK);
	b->table.cancel(b->table.self, q[1]);
	b->table.cancel(b->table.self, q[1]);
	loop_turn(b->loop, 0);
	assert_int_equal(s[0].count, 1);
	assert_int_equal(s[1].count, 0);
	assert_int_equal(s[2].count, 1);
	/* under way when it is freed */
	assert_int_equal(b->table.ask(b->table.self, S("example.com"), DNS_A, on_answer, &s[1], &q[1], NULL),
			 ERR_OK);
	zonedb_lookup_free(b->lookup);
	b->lookup = NULL;
	loop_turn(b->loop, 0);
	assert_int_equal(s[1].count, 0);
}

static void test_limit(void **state)
{
	struct bench *b = *state;
	struct seen s = {0};
	uint64_t q;

	for (unsigned i = 0; i < DNS_QUERIES_MAX; i++)
		assert_int_equal(b->table.ask(b->table.self, S("a"), DNS_A, on_answer, &s, &q, NULL), ERR_OK);
	assert_int_equal(b->table.ask(b->table.self, S("a"), DNS_A, on_answer, &s, &q, NULL), ERR_LIMIT);
	loop_turn(b->loop, 0);
	assert_int_equal(s.count, DNS_QUERIES_MAX);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {TEST(test_answers), TEST(test_cancel), TEST(test_limit)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
