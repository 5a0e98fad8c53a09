/* Lists of edits against a plain model that works on the text itself; broken lists. */
#include "mail/edits.h"

#include "../unit.h"

/* What the pieces amount to. */
static void apply(struct slice encoded, struct slice content, struct buf *out)
{
	struct edits_iter it;
	struct edits_piece p;
	uint64_t before = 0;
	edits_iter_init(&it, encoded, content.len);
	while (edits_next(&it, &p)) {
		if (p.literal) {
			assert_true(p.text.len > 0);
			buf_add(out, p.text);
			continue;
		}
		assert_true(p.len > 0 && p.offset >= before && p.offset + p.len <= content.len);
		before = p.offset + p.len;
		buf_add(out, slice_sub(content, p.offset, p.len));
	}
}

static void encode(const struct edits *e, struct buf *out)
{
	buf_clear(out);
	edits_encode(e, out);
	assert_int_equal(out->failed, ERR_OK);
}

static void test_by_hand(void **state)
{
	CLEANUP(edits_done) struct edits e;
	CLEANUP(buf_done) struct buf list, out;
	uint64_t length = 0;
	edits_init(&e);
	buf_init(&list, EDITS_ENCODED_MAX);
	buf_init(&out, 100);
	edits_insert(&e, 0, S("<"));
	edits_insert(&e, 0, S("["));
	edits_delete(&e, 0, 2);
	edits_insert(&e, 2, S("-"));
	edits_delete(&e, 4, 1);
	edits_insert(&e, 6, S("]>"));
	encode(&e, &list);
	assert_int_equal(edits_check(buf_slice(&list), 6, &length), ERR_OK);
	apply(buf_slice(&list), S("abcdef"), &out);
	assert_buf(&out, "<[-cdf]>");
	assert_int_equal(length, out.len);
}

/* Random lists: the pieces equal what a model makes that edits from the end, where positions do not move. */
static void test_against_a_model(void **state)
{
	uint64_t seed = 7;
	for (int round = 0; round < 3000; round++) {
		CLEANUP(edits_done) struct edits e;
		CLEANUP(buf_done) struct buf list, out, model;
		char content[64];
		uint64_t at = 0, length;
		size_t n = unit_below(&seed, sizeof(content));
		edits_init(&e);
		buf_init(&list, EDITS_ENCODED_MAX);
		buf_init(&out, 4096);
		buf_init(&model, 4096);
		for (size_t i = 0; i < n; i++)
			content[i] = (char)('a' + i % 26);
		for (unsigned ops = unit_below(&seed, 10); ops > 0 && at <= n; ops--) {
			uint64_t next = at + unit_below(&seed, (uint32_t)(n - at + 1));
			buf_add(&model, slice_of(content + at, next - at));
			at = next;
			if (unit_below(&seed, 2)) {
				edits_insert(&e, at, S("XY"));
				buf_add_str(&model, "XY");
			} else {
				uint64_t len = unit_below(&seed, (uint32_t)(n - at + 1));
				edits_delete(&e, at, len);
				at += len;
			}
		}
		buf_add(&model, slice_of(content + at, n - at));
		encode(&e, &list);
		assert_int_equal(edits_check(buf_slice(&list), n, &length), ERR_OK);
		apply(buf_slice(&list), slice_of(content, n), &out);
		assert_true(slice_eq(buf_slice(&out), buf_slice(&model)));
		assert_int_equal(length, out.len);
	}
}

static void test_order_is_kept(void **state)
{
	CLEANUP(edits_done) struct edits e;
	CLEANUP(buf_done) struct buf out;
	edits_init(&e);
	buf_init(&out, 100);
	edits_delete(&e, 5, 5);
	edits_insert(&e, 9, S("inside what is gone"));
	assert_int_equal(e.failed, ERR_RANGE);
	edits_encode(&e, &out);
	assert_int_equal(out.failed, ERR_RANGE);
	assert_int_equal(out.len, 0);
}

static void test_limits(void **state)
{
	CLEANUP(edits_done) struct edits many, long_text, far;
	edits_init(&many);
	for (unsigned i = 0; i <= EDITS_OPS_MAX; i++)
		edits_delete(&many, 2 * i, 1);
	assert_int_equal(many.failed, ERR_LIMIT);
	assert_true(many.encoded.len <= EDITS_ENCODED_MAX);
	edits_init(&long_text);
	edits_insert(&long_text, 0, slice_of(long_text.encoded.data, 0));
	assert_int_equal(long_text.count, 0); /* an empty insert is none */
	edits_init(&far);
	edits_delete(&far, UINT64_MAX - 1, 3);
	assert_int_equal(far.failed, ERR_RANGE);
}

/* Every list cut short, and single octets changed: refused, or still within the content. */
static void test_broken_lists(void **state)
{
	CLEANUP(edits_done) struct edits e;
	CLEANUP(buf_done) struct buf list;
	uint64_t length;
	edits_init(&e);
	buf_init(&list, EDITS_ENCODED_MAX);
	edits_insert(&e, 1, S("abc"));
	edits_delete(&e, 2, 3);
	encode(&e, &list);
	assert_int_equal(edits_check(buf_slice(&list), 4, &length), ERR_CORRUPT); /* the content is shorter */
	for (size_t n = 1; n < list.len; n++)
		if (n != 1 + 8 + 4 + 3)
			assert_int_equal(edits_check(slice_sub(buf_slice(&list), 0, n), 10, &length),
					 ERR_CORRUPT);
	for (size_t i = 0; i < list.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			CLEANUP(buf_done) struct buf out;
			char content[10] = "0123456789";
			buf_init(&out, 4096);
			list.data[i] = (char)(list.data[i] ^ 1 << bit);
			if (edits_check(buf_slice(&list), sizeof(content), &length) == ERR_OK) {
				apply(buf_slice(&list), slice_of(content, sizeof(content)), &out);
				assert_int_equal(out.len, length);
			}
			list.data[i] = (char)(list.data[i] ^ 1 << bit);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_hand),       cmocka_unit_test(test_against_a_model),
		cmocka_unit_test(test_order_is_kept), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_broken_lists),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
