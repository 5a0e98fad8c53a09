/* Records there and back, and every way to break one. */
#include "record/record.h"

#include "record/limits.h"

#include "../unit.h"

#include <string.h>

static struct record_recipient recipients[] = {
	{.address = {"bob@dest.example", 16}, .orcpt = {"rfc822;b@d", 10}, .notify = 3},
	{.address = {"postmaster", 10}, .orcpt = {"", 0}, .notify = 0},
};
static const struct record_message message = {
	.id = 0x200000001ull,
	.time_ms = 1795450801000,
	.server = {"houston", 7},
	.account = {"houston", 7},
	.auth_param = {"<>", 2},
	.listener = {"submission", 10},
	.client = {"192.0.2.7", 9},
	.helo = {"web1", 4},
	.protocol = {"ESMTPSA", 7},
	.tls = {"TLSv1.3 X", 9},
	.sender = {"", 0},
	.envid = {"e1", 2},
	.ret = 2,
	.body = RECORD_BODY_BINARYMIME,
	.smtputf8 = true,
	.size = UINT64_MAX,
	.recipient_count = 2,
	.recipients = recipients,
};
static const struct record_result result = {
	.id = 7,
	.ordinal = 3,
	.attempt = 2,
	.time_ms = -1,
	.duration_ms = 1500,
	.state = RECORD_DEFERRED,
	.unknown = true,
	.code = 450,
	.enhanced = {4, 2, 255},
	.text = {"come again later", 16},
	.host = {"mx.dest.example", 15},
	.address = {"192.0.2.1:25", 12},
	.tls = {"", 0},
	.next_try_ms = 1795450861000,
};

static void test_message(void **state)
{
	CLEANUP(buf_done) struct buf out;
	CLEANUP(arena_done) struct arena a;
	struct record_message back;
	buf_init(&out, 4096);
	arena_init(&a, 65536);
	record_message_encode(&message, &out);
	assert_int_equal(record_message_decode(buf_slice(&out), &a, &back), ERR_OK);
	assert_true(back.id == message.id && back.time_ms == message.time_ms && back.size == message.size);
	assert_slice(back.server, "houston");
	assert_slice(back.auth_param, "<>");
	assert_slice(back.listener, "submission");
	assert_slice(back.client, "192.0.2.7");
	assert_slice(back.helo, "web1");
	assert_slice(back.protocol, "ESMTPSA");
	assert_slice(back.tls, "TLSv1.3 X");
	assert_slice(back.sender, "");
	assert_slice(back.envid, "e1");
	assert_int_equal(back.ret, 2);
	assert_int_equal(back.body, RECORD_BODY_BINARYMIME);
	assert_true(back.smtputf8);
	assert_int_equal(back.recipient_count, 2);
	assert_slice(back.recipients[0].address, "bob@dest.example");
	assert_slice(back.recipients[0].orcpt, "rfc822;b@d");
	assert_int_equal(back.recipients[0].notify, 3);
	assert_slice(back.recipients[1].address, "postmaster");
}

static void test_result(void **state)
{
	CLEANUP(buf_done) struct buf out;
	struct record_result back;
	buf_init(&out, 4096);
	record_result_encode(&result, &out);
	assert_int_equal(record_result_decode(buf_slice(&out), &back), ERR_OK);
	assert_true(back.id == 7 && back.ordinal == 3 && back.attempt == 2 && back.time_ms == -1);
	assert_true(back.duration_ms == 1500 && back.state == RECORD_DEFERRED && back.unknown &&
		    back.code == 450);
	assert_memory_equal(back.enhanced, result.enhanced, 3);
	assert_slice(back.text, "come again later");
	assert_slice(back.host, "mx.dest.example");
	assert_slice(back.address, "192.0.2.1:25");
	assert_slice(back.tls, "");
	assert_true(back.next_try_ms == result.next_try_ms);
}

static void test_verdict(void **state)
{
	CLEANUP(buf_done) struct buf out;
	struct record_verdict v = {.id = 9,
				   .time_ms = 5,
				   .kind = RECORD_VERDICT_HOLD,
				   .reason = SLICE_LIT("too many")},
			      back;
	buf_init(&out, 4096);
	record_verdict_encode(&v, &out);
	assert_int_equal(record_verdict_decode(buf_slice(&out), &back), ERR_OK);
	assert_true(back.id == 9 && back.time_ms == 5 && back.kind == RECORD_VERDICT_HOLD);
	assert_slice(back.reason, "too many");
	out.data[2 + 16] = RECORD_VERDICT_REFUSED + 1;
	assert_int_equal(record_verdict_decode(buf_slice(&out), &back), ERR_CORRUPT);
}

/* Cut anywhere, with an octet more, of another kind, of a newer version. */
static void test_broken(void **state)
{
	CLEANUP(buf_done) struct buf out;
	CLEANUP(arena_done) struct arena a;
	struct record_message m;
	struct record_result r;
	buf_init(&out, 4096);
	arena_init(&a, 65536);
	record_message_encode(&message, &out);
	struct slice whole = buf_slice(&out);
	for (size_t n = 0; n < whole.len; n++)
		assert_int_equal(record_message_decode(slice_sub(whole, 0, n), &a, &m), ERR_CORRUPT);
	assert_int_equal(record_result_decode(whole, &r), ERR_CORRUPT);
	buf_add_u8(&out, 0);
	assert_int_equal(record_message_decode(buf_slice(&out), &a, &m), ERR_CORRUPT);
	out.data[0] = RECORD_VERSION + 1;
	assert_int_equal(record_message_decode(buf_slice(&out), &a, &m), ERR_UNSUPPORTED);
}

/* A count that cannot be true allocates nothing. */
static void test_recipient_count(void **state)
{
	CLEANUP(buf_done) struct buf out;
	CLEANUP(arena_done) struct arena a;
	struct record_message m = message, back;
	m.recipient_count = 0;
	buf_init(&out, 4096);
	arena_init(&a, 1);
	record_message_encode(&m, &out);
	memset(out.data + out.len - 4, 0x7f, 4);
	assert_int_equal(record_message_decode(buf_slice(&out), &a, &back), ERR_CORRUPT);
}

static void test_ids(void **state)
{
	char text[RECORD_ID_TEXT_MAX];
	uint64_t seed = 1, id, back;
	for (int i = 0; i < 1000; i++) {
		id = unit_random(&seed) >> unit_below(&seed, 64);
		record_id_format(id, text);
		assert_int_equal(record_id_parse(slice_str(text), &back), ERR_OK);
		assert_true(back == id);
	}
	assert_int_equal(record_id_parse(S("2-1F3a"), &back), ERR_OK);
	assert_true(back == 0x200001f3aull);
	static const char *const bad[] = {"",      "-",   "1",           "1-",   "-1",
					  "1-2-3", "g-1", "123456789-1", "1- 2", "0x1-2"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(record_id_parse(slice_str(bad[i]), &back), ERR_SYNTAX);
}

static void test_states(void **state)
{
	assert_string_equal(record_state_name(RECORD_DEFERRED), "deferred");
	assert_string_equal(record_state_name((enum record_state)99), "unknown");
	assert_false(record_state_final(RECORD_QUEUED) || record_state_final(RECORD_DEFERRED));
	assert_true(record_state_final(RECORD_DELIVERED) && record_state_final(RECORD_FAILED) &&
		    record_state_final(RECORD_REMOVED));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message),         cmocka_unit_test(test_result),
		cmocka_unit_test(test_verdict),         cmocka_unit_test(test_broken),
		cmocka_unit_test(test_recipient_count), cmocka_unit_test(test_ids),
		cmocka_unit_test(test_states),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
