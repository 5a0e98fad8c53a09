/* A check over DNS that answers later: answers, failures to ask, the time limit, cancelling, names that cannot be asked. */
#include "../unit.h"

#include "core/mem.h"
#include "dns/spf_drive.h"
#include "zone.h"

#include <string.h>

#define TURNS 200u

/* struct dns_lookup over a zone: an answer comes one turn later, one at a time, or never. */
struct later {
	struct loop *loop;
	struct zone zone;
	struct task task;
	char name[DNS_NAME_MAX + 1];
	size_t name_len;
	enum dns_type type;
	dns_answer_fn *done;
	void *ctx;
	uint64_t id;
	unsigned asked, cancelled, silent_from, fail_at; /* by number of the question, from 1; 0: never */
};

static void answer(void *ctx)
{
	struct later *l = ctx;
	struct spf_dns dns = zone_dns(&l->zone);
	struct dns_answer a;

	dns.answer(dns.self, slice_of(l->name, l->name_len), l->type, &a);
	l->id = 0;
	l->done(l->ctx, &a);
}

static enum err ask(void *self, struct slice name, enum dns_type type, dns_answer_fn *done, void *ctx,
		    uint64_t *ret_query, struct diag *d)
{
	struct later *l = self;

	assert_true(name.len <= DNS_NAME_MAX && l->id == 0); /* one at a time */
	if (++l->asked == l->fail_at)
		return diag_set(d, ERR_LIMIT, "too busy");
	memcpy(l->name, name.ptr, name.len);
	l->name_len = name.len;
	l->type = type;
	l->done = done;
	l->ctx = ctx;
	*ret_query = l->id = l->asked;
	if (!l->silent_from || l->asked < l->silent_from)
		task_defer(&l->task);
	return ERR_OK;
}

static void cancel(void *self, uint64_t query)
{
	struct later *l = self;

	assert_int_equal(query, l->id);
	l->id = 0;
	l->cancelled++;
	task_cancel(&l->task);
}

struct bench {
	struct later l;
	struct dns_lookup lookup;
	struct spf_drive_options o;
	struct spf_eval *e;
	struct spf_request r;
	unsigned done;
};

static int set_up(void **state)
{
	struct bench *b = NEW(struct bench);

	assert_int_equal(loop_epoll_new(&b->l.loop, NULL), ERR_OK);
	task_init(&b->l.task, b->l.loop, answer, &b->l);
	b->lookup = (struct dns_lookup){&b->l, ask, cancel};
	b->o = (struct spf_drive_options){b->l.loop, &b->lookup, 60000};
	assert_int_equal(spf_eval_new(&b->e), ERR_OK);
	b->r = (struct spf_request){.sender = S("jo@example.com"), .helo = S("h.example")};
	assert_int_equal(spf_addr_parse(S("192.0.2.1"), &b->r.ip), ERR_OK);
	zone_put(&b->l.zone, "example.com", DNS_TXT, "v=spf1 a:x.example mx -all");
	zone_put(&b->l.zone, "x.example", DNS_A, "192.0.2.7");
	zone_put(&b->l.zone, "example.com", DNS_MX, "10 x.example");
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	spf_eval_free(b->e);
	zone_done(&b->l.zone);
	loop_free(b->l.loop);
	mem_free(b);
	return 0;
}

static void on_done(void *ctx)
{
	((struct bench *)ctx)->done++;
}

static const struct spf_verdict *run(struct bench *b)
{
	struct spf_machine m = spf_eval_machine(b->e);
	struct spf_drive *d;

	spf_eval_start(b->e, &b->r);
	b->done = 0;
	assert_int_equal(spf_drive_start(&b->o, &m, on_done, b, &d), ERR_OK);
	assert_int_equal(b->done, 0); /* never inside the call */
	for (unsigned i = 0; i < TURNS && !b->done; i++)
		loop_turn(b->l.loop, 100);
	assert_int_equal(b->done, 1);
	return spf_eval_verdict(b->e);
}

static void test_answers(void **state)
{
	struct bench *b = *state;
	const struct spf_verdict *v = run(b);

	assert_int_equal(v->result, SPF_FAIL);
	assert_int_equal(v->questions, 4);
	assert_int_equal(b->l.asked, 4);
}

static void test_nothing_to_ask(void **state)
{
	struct bench *b = *state;

	b->r.sender = S("jo@com");
	assert_int_equal(run(b)->result, SPF_NONE);
	assert_int_equal(b->l.asked, 0);
}

static void test_ask_fails(void **state)
{
	struct bench *b = *state;

	b->l.fail_at = 2;
	const struct spf_verdict *v = run(b);
	assert_int_equal(v->result, SPF_TEMPERROR);
	assert_slice(v->problem, "x.example: too busy");
}

static void test_time(void **state)
{
	struct bench *b = *state;

	zone_clear(&b->l.zone);
	zone_put(&b->l.zone, "example.com", DNS_TXT, "v=spf1 ptr a:x.example -all");
	b->l.silent_from = 2;
	b->o.timeout_ms = 30;
	const struct spf_verdict *v = run(b);
	assert_int_equal(v->result, SPF_TEMPERROR); /* ptr: no match; then a, which is not asked any more */
	assert_slice(v->problem, "x.example: no answer in time");
	assert_int_equal(b->l.asked, 2);
	assert_int_equal(b->l.cancelled, 1);
}

static void test_long_name(void **state)
{
	struct bench *b = *state;

	zone_clear(&b->l.zone);
	/* 240 octets, but more than DNS_NAME_MAX when each is escaped */
	zone_put(&b->l.zone, "example.com", DNS_TXT,
		 "v=spf1 a:%{l}.%{l}.%{l}.%{l}.example.com ip4:192.0.2.1 -all");
	b->r.sender = S("++++++++++++++++++++++++++++++++++++++++++++++++++++++++++@example.com");
	const struct spf_verdict *v = run(b);
	assert_int_equal(v->result, SPF_PASS);
	assert_int_equal(v->voids, 1);
	assert_int_equal(b->l.asked, 1);
}

static void test_cancel(void **state)
{
	struct bench *b = *state;
	struct spf_machine m = spf_eval_machine(b->e);
	struct spf_drive *d;

	spf_drive_cancel(NULL);
	spf_eval_start(b->e, &b->r);
	assert_int_equal(spf_drive_start(&b->o, &m, on_done, b, &d), ERR_OK);
	spf_drive_cancel(d); /* before it asked */
	assert_int_equal(spf_drive_start(&b->o, &m, on_done, b, &d), ERR_OK);
	b->l.silent_from = 1;
	for (unsigned i = 0; i < TURNS && b->l.asked == 0; i++)
		loop_turn(b->l.loop, 10);
	spf_drive_cancel(d);
	assert_int_equal(b->l.cancelled, 1);
	loop_turn(b->l.loop, 0);
	assert_int_equal(b->done, 0);
}

static void test_at_once(void **state)
{
	struct bench *b = *state;
	struct spf_machine m = spf_eval_machine(b->e);
	struct spf_dns dns = zone_dns(&b->l.zone);

	spf_eval_start(b->e, &b->r);
	spf_drive_now(&m, &dns);
	assert_int_equal(spf_eval_verdict(b->e)->result, SPF_FAIL);
	struct spf_drive *d;
	mem_fail_after(0);
	assert_int_equal(spf_drive_start(&b->o, &m, on_done, b, &d), ERR_NOMEM);
	mem_fail_after(SIZE_MAX);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_answers),   TEST(test_nothing_to_ask), TEST(test_ask_fails), TEST(test_time),
		TEST(test_long_name), TEST(test_cancel),         TEST(test_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
