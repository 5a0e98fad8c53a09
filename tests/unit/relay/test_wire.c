/* Every message between processes: what is encoded is decoded again; anything shorter, longer or out of range is refused. */
#include "relay/wire/auth.h"
#include "relay/wire/child.h"
#include "relay/wire/job.h"
#include "relay/wire/submit.h"

#include "evio/ipc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct buf out;
static struct arena arena;

static int setup(void **state)
{
	(void)state;
	buf_init(&out, IPC_PAYLOAD_MAX);
	arena_init(&arena, 1 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_done(&out);
	arena_done(&arena);
	return 0;
}

/* Runs `decode` on the payload in full (must succeed), cut at every octet and with one octet more (must fail). */
#define ASSERT_STRICT(decode)                                                                                \
	do {                                                                                                 \
		struct slice whole = buf_slice(&out);                                                        \
		for (size_t cut = 0; cut < whole.len; cut++) {                                               \
			struct slice in = slice_sub(whole, 0, cut);                                          \
			assert_int_not_equal((decode), ERR_OK);                                              \
			arena_reset(&arena);                                                                 \
		}                                                                                            \
		buf_add_u8(&out, 0);                                                                         \
		struct slice in = buf_slice(&out);                                                           \
		assert_int_not_equal((decode), ERR_OK);                                                      \
		out.len--;                                                                                   \
		in = buf_slice(&out);                                                                        \
		arena_reset(&arena);                                                                         \
		assert_int_equal((decode), ERR_OK);                                                          \
	} while (0)

#define ASSERT_SLICE(a, b) assert_true(slice_eq((a), (b)))

static void test_child_messages(void **state)
{
	(void)state;
	struct wire_secrets secrets;
	wire_secrets_encode(&(struct wire_secrets){7, 10, 20, 80}, &out);
	ASSERT_STRICT(wire_secrets_decode(in, &secrets));
	assert_int_equal(secrets.key_len, 20);

	buf_clear(&out);
	struct wire_peer peer;
	wire_peer_encode(&(struct wire_peer){ROLE_SMTPC, 3, 7}, &out);
	ASSERT_STRICT(wire_peer_decode(in, &peer));
	assert_int_equal(peer.role, ROLE_SMTPC);
	assert_int_equal(peer.serial, 7);
	out.data[0] = ROLE_COUNT;
	assert_int_not_equal(wire_peer_decode(buf_slice(&out), &peer), ERR_OK);

	buf_clear(&out);
	struct wire_heartbeat hb = {.trouble = SLICE_LIT("disk"), .count = 2};
	hb.counters[0] = (struct wire_counter){SLICE_LIT("accepted"), 12};
	hb.counters[1] = (struct wire_counter){SLICE_LIT("queued"), UINT64_MAX};
	struct wire_heartbeat got;
	wire_heartbeat_encode(&hb, &out);
	ASSERT_STRICT(wire_heartbeat_decode(in, &got));
	ASSERT_SLICE(got.counters[1].name, SLICE_LIT("queued"));
	assert_true(got.counters[1].value == UINT64_MAX);
}

static void test_heartbeat_count_is_bounded(void **state)
{
	(void)state;
	struct wire_heartbeat got;
	buf_add_slice32(&out, SLICE_EMPTY);
	buf_add_u32(&out, WIRE_COUNTERS_MAX + 1);
	assert_int_equal(wire_heartbeat_decode(buf_slice(&out), &got), ERR_CORRUPT);
}

static void test_auth_messages(void **state)
{
	(void)state;
	struct wire_auth_start s = {.ref = 5,
				    .mechanism = SLICE_LIT("PLAIN"),
				    .has_initial = true,
				    .initial = slice_of("\0a\0b", 4),
				    .client = SLICE_LIT("192.0.2.7"),
				    .tls = true,
				    .binding = SLICE_LIT("bound"),
				    .external = SLICE_LIT("web7.example")};
	struct wire_auth_start got;
	wire_auth_start_encode(&s, &out);
	ASSERT_STRICT(wire_auth_start_decode(in, &got));
	ASSERT_SLICE(got.initial, s.initial);
	assert_true(got.tls && got.has_initial);
	ASSERT_SLICE(got.binding, s.binding);
	ASSERT_SLICE(got.external, s.external);

	buf_clear(&out);
	struct wire_auth_verdict v;
	wire_auth_verdict_encode(&(struct wire_auth_verdict){5, WIRE_AUTH_BAD, SLICE_LIT("houston")}, &out);
	ASSERT_STRICT(wire_auth_verdict_decode(in, &v));
	assert_int_equal(v.outcome, WIRE_AUTH_BAD);
}

static void test_submit_messages(void **state)
{
	(void)state;
	struct wire_submit_part part;
	wire_submit_part_encode(&(struct wire_submit_part){9, WIRE_PART_EDITS, SLICE_LIT("abc")}, &out);
	ASSERT_STRICT(wire_submit_part_decode(in, &part));
	assert_int_equal(part.part, WIRE_PART_EDITS);

	buf_clear(&out);
	struct wire_submit_result r = {.id = 9, .reply = {452, {4, 3, 1}, SLICE_LIT("full")}}, got;
	wire_submit_result_encode(&r, &out);
	ASSERT_STRICT(wire_submit_result_decode(in, &got));
	assert_int_equal(got.reply.code, 452);
	assert_memory_equal(got.reply.enhanced, r.reply.enhanced, 3);
}

static struct wire_hop hop(const char *host, const char *addr)
{
	struct wire_hop h = {.host = slice_str(host), .preference = 10};
	assert_int_equal(net_addr_parse(slice_str(addr), 25, &h.addr, NULL), ERR_OK);
	return h;
}

static void test_job(void **state)
{
	(void)state;
	struct wire_hop hops[] = {hop("mx1.example", "192.0.2.1"), hop("mx2.example", "[2001:db8::1]")};
	struct wire_rcpt rcpts[] = {{0, SLICE_LIT("a@example.org")}, {7, SLICE_LIT("b@example.org")}};
	struct wire_job job = {.job = 1,
			       .message = 2,
			       .site = SLICE_LIT("mx1.example"),
			       .tls = WIRE_TLS_MAY,
			       .helo = SLICE_LIT("relay.example"),
			       .segment = 4,
			       .offset = 5,
			       .length = 6,
			       .edits = SLICE_LIT("xyz"),
			       .hop_count = 2,
			       .hops = hops,
			       .rcpt_count = 2,
			       .rcpts = rcpts};
	struct wire_job got;
	wire_job_encode(&job, &out);
	ASSERT_STRICT(wire_job_decode(in, &arena, &got));
	assert_int_equal(got.rcpts[1].ordinal, 7);
	ASSERT_SLICE(got.hops[1].host, hops[1].host);
	assert_true(net_addr_eq(&got.hops[1].addr, &hops[1].addr));
}

static void test_counts_over_the_limit_are_refused(void **state)
{
	(void)state;
	struct wire_resolved got;
	buf_add_u64(&out, 1);
	buf_add_u8(&out, WIRE_RESOLVE_OK);
	buf_add_u32(&out, 60);
	buf_add_u8(&out, 0);
	buf_add_slice32(&out, SLICE_EMPTY);
	buf_add_u32(&out, WIRE_HOPS_MAX + 1);
	assert_int_equal(wire_resolved_decode(buf_slice(&out), &arena, &got), ERR_CORRUPT);
}

static void test_results(void **state)
{
	(void)state;
	struct wire_result r;
	wire_result_encode(&(struct wire_result){1, 2, 3, SLICE_LIT("payload")}, &out);
	ASSERT_STRICT(wire_result_decode(in, &r));
	assert_int_equal(r.ordinal, 3);

	buf_clear(&out);
	struct wire_job_done done;
	wire_job_done_encode(&(struct wire_job_done){1, true, SLICE_LIT("421 busy")}, &out);
	ASSERT_STRICT(wire_job_done_decode(in, &done));
	assert_true(done.site_failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_child_messages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_heartbeat_count_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_auth_messages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_submit_messages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_job, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counts_over_the_limit_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_results, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
