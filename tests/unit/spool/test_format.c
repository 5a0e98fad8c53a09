/* Records and headers as octets (FORMAT.md): what is written is read again, what is not right is refused. */
#include "spool/format.h"

#include "core/cursor.h"
#include "spool/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SEED 77

static struct format_segment segment(void)
{
	struct format_segment s = {.sequence = 5,
				   .generation = 6,
				   .node = 7,
				   .created_ms = 8,
				   .last_ms = 9,
				   .kept = FORMAT_KEPT_HEADERS};
	memset(s.secret, 3, sizeof(s.secret));
	return s;
}

static void encode(struct buf *b, const struct format_segment *s)
{
	buf_init(b, FORMAT_SEGMENT_HEADER);
	format_segment_encode(s, b);
	assert_int_equal(b->len, FORMAT_SEGMENT_HEADER);
}

static void test_segment_header(void **state)
{
	CLEANUP(buf_done) struct buf b;
	struct format_segment s = segment(), got;
	struct diag d;
	encode(&b, &s);
	for (size_t copy = 0; copy < 2; copy++) {
		struct slice in = slice_from(buf_slice(&b), copy * FORMAT_HEADER_COPY);
		assert_int_equal(format_segment_decode(in, &got, &d), ERR_OK);
		assert_int_equal(got.sequence, 5);
		assert_int_equal(got.generation, 6);
		assert_int_equal(got.node, 7);
		assert_int_equal(got.created_ms, 8);
		assert_int_equal(got.last_ms, 9);
		assert_int_equal(got.kept, FORMAT_KEPT_HEADERS);
		assert_memory_equal(got.secret, s.secret, sizeof(s.secret));
	}
}

static void test_every_damaged_octet_of_a_header_is_found(void **state)
{
	CLEANUP(buf_done) struct buf b;
	struct format_segment s = segment(), got;
	struct diag d;
	encode(&b, &s);
	for (size_t i = 0; i < 96; i++) {
		b.data[i] ^= 0x40;
		assert_int_equal(format_segment_decode(buf_slice(&b), &got, &d), ERR_CORRUPT);
		b.data[i] ^= 0x40;
	}
	for (size_t n = 0; n < 96; n++)
		assert_int_equal(format_segment_decode(slice_sub(buf_slice(&b), 0, n), &got, &d),
				 ERR_CORRUPT);
}

static void test_seed_depends_on_secret_and_number(void **state)
{
	struct format_segment s = segment();
	uint64_t seed = format_seed(&s);
	s.sequence++;
	assert_int_not_equal(format_seed(&s), seed);
	s.sequence--;
	s.secret[15]++;
	assert_int_not_equal(format_seed(&s), seed);
}

/* A message record with `follows` octets of content behind what is summed. */
static enum err round_trip(const struct format_message *m, uint64_t follows, struct format_message *ret,
			   struct buf *b)
{
	struct format_record r;
	char head[FORMAT_RECORD_HEADER + FORMAT_MESSAGE_HEADER];
	uint64_t summed =
		FORMAT_MESSAGE_HEADER + m->envelope.len + m->edits.len + m->verdict.len + m->head.len;
	buf_init(b, 10000);
	format_header_put(
		&(struct format_header){
			.type = FORMAT_MESSAGE, .id = 12, .length = summed + follows, .summed = summed},
		head);
	format_message_head(m, head + FORMAT_RECORD_HEADER);
	buf_add_mem(b, head, sizeof(head));
	buf_add(b, m->envelope);
	buf_add(b, m->edits);
	buf_add(b, m->verdict);
	buf_add(b, m->head);
	buf_add_zero(b, follows);
	format_place(b->data, 4096, SEED);
	assert_int_equal(format_header_read(buf_slice(b), 4096, &r), ERR_OK);
	assert_true(format_intact(&r, buf_slice(b), SEED));
	assert_false(format_intact(&r, buf_slice(b), SEED + 1));
	return format_message_read(&r, slice_sub(buf_slice(b), FORMAT_RECORD_HEADER, summed), ret);
}

static const struct format_message message = {.held = true,
					      .recipients = 2,
					      .time_ms = 3,
					      .content_length = 100,
					      .content_sum = 5,
					      .envelope = SLICE_LIT("envelope"),
					      .edits = SLICE_LIT("edits"),
					      .verdict = SLICE_LIT("verdict")};

static void test_message(void **state)
{
	CLEANUP(buf_done) struct buf b;
	struct format_message got, m = message;
	m.back = 70000;
	assert_int_equal(round_trip(&m, 100, &got, &b), ERR_OK);
	assert_true(got.held && !got.large && !got.cut);
	assert_int_equal(got.recipients, 2);
	assert_int_equal(got.time_ms, 3);
	assert_int_equal(got.back, 70000);
	assert_int_equal(got.content_length, 100);
	assert_int_equal(got.content_sum, 5);
	assert_true(slice_eq(got.envelope, m.envelope) && slice_eq(got.edits, m.edits) &&
		    slice_eq(got.verdict, m.verdict));
	assert_int_equal(got.head.len, 0);
}

static void test_cut_message(void **state)
{
	CLEANUP(buf_done) struct buf b;
	struct format_message got, m = message;
	m.cut = true;
	m.head = SLICE_LIT("Subject: x\r\n\r\n");
	assert_int_equal(round_trip(&m, 0, &got, &b), ERR_OK);
	assert_true(got.cut && slice_eq(got.head, m.head));
	assert_int_equal(got.content_length, 100);
}

static void test_content_must_fit(void **state)
{
	struct format_message got, m = message;
	struct buf b;
	enum err e = round_trip(&m, 99, &got, &b);
	buf_done(&b);
	assert_int_equal(e, ERR_CORRUPT);
	m.large = true;
	e = round_trip(&m, 100, &got, &b);
	buf_done(&b);
	assert_int_equal(e, ERR_CORRUPT);
	m.large = false;
	m.head = SLICE_LIT("what only a cut message has");
	e = round_trip(&m, 100, &got, &b);
	buf_done(&b);
	assert_int_equal(e, ERR_CORRUPT);
	m.cut = true;
	m.content_length = 3; /* less than is left of it */
	e = round_trip(&m, 0, &got, &b);
	buf_done(&b);
	assert_int_equal(e, ERR_CORRUPT);
}

static void test_place_is_part_of_the_checksum(void **state)
{
	CLEANUP(buf_done) struct buf b;
	struct format_record r;
	buf_init(&b, 1000);
	format_add(&b, FORMAT_VERDICT, 9, SLICE_LIT("words"));
	format_place(b.data, 4096, SEED);
	assert_int_equal(format_header_read(buf_slice(&b), 4104, &r), ERR_CORRUPT);
	assert_int_equal(format_header_read(buf_slice(&b), 4096, &r), ERR_OK);
	b.data[FORMAT_RECORD_HEADER] ^= 1;
	assert_false(format_intact(&r, buf_slice(&b), SEED));
}

static void test_zeros_are_the_end(void **state)
{
	static const char zeros[FORMAT_RECORD_HEADER];
	struct format_record r;
	assert_int_equal(format_header_read(slice_of(zeros, sizeof(zeros)), 4096, &r), ERR_NOTFOUND);
	assert_int_equal(format_header_read(slice_of(zeros, sizeof(zeros) - 1), 4096, &r), ERR_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segment_header),
		cmocka_unit_test(test_every_damaged_octet_of_a_header_is_found),
		cmocka_unit_test(test_seed_depends_on_secret_and_number),
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_cut_message),
		cmocka_unit_test(test_content_must_fit),
		cmocka_unit_test(test_place_is_part_of_the_checksum),
		cmocka_unit_test(test_zeros_are_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
