/* SipHash-1-3 and CRC-32C against values of others: CPython's hash of bytes (PYTHONHASHSEED=0 is the zero key), the
 * vectors for the key 00..0f that several libraries carry, RFC 3720 B.4. */
#include "core/hash.h"

#include "../unit.h"

#include <string.h>

static const uint8_t zero_key[16];

static void test_zero_key(void **state)
{
	hash_set_key(zero_key);
	assert_true(hash_slice(S("a")) == 0x407448d2b89b1813);
	assert_true(hash_slice(S("tidegate")) == 0xf975437e4dbb18f9);
	assert_true(hash_slice(S("user@example.org")) == 0x87e67bef4ae5350b);
	assert_true(hash_slice(S("12345678901234567890123")) == 0xd32fbbec607a929a);
}

static void test_counting_key(void **state)
{
	static const struct {
		size_t len;
		uint64_t want;
	} vectors[] = {{0, 0xabac0158050fc4dc}, {1, 0xc9f49bf37d57ca93}, {7, 0xd3927d989bb11140},
		       {8, 0x369095118d299a8e}, {9, 0x25a48eb36c063de4}, {15, 0xd320d86d2a519956},
		       {63, 0x9d199062b7bbb3a8}};
	uint8_t count[64];
	for (size_t i = 0; i < sizeof(count); i++)
		count[i] = (uint8_t)i;
	hash_set_key(count);
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++)
		assert_true(hash_slice(slice_of(count, vectors[i].len)) == vectors[i].want);
	assert_true(hash_slice(slice_of(NULL, 0)) == vectors[0].want);
	uint64_t v;
	memcpy(&v, count, 8);
	assert_true(hash_u64(v) == hash_slice(slice_of(count, 8)));
	hash_set_key(zero_key);
}

static void test_case_folded(void **state)
{
	static const char *const words[] = {"Mail.Example.ORG", "EXAMPLE", "A", "0123456789ABCDEFGHIJ"};
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		struct slice s = slice_str(words[i]);
		char lower[32];
		for (size_t k = 0; k < s.len; k++)
			lower[k] = ascii_lower(s.ptr[k]);
		assert_true(hash_islice(s) == hash_slice(slice_of(lower, s.len)));
		assert_true(hash_islice(s) != hash_slice(s));
	}
	/* Only ASCII letters fold: '@' and '`' differ by the same bit. */
	assert_true(hash_islice(S("@")) != hash_islice(S("`")));
}

static void test_crc_vectors(void **state)
{
	uint8_t v[32];
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, "", 0), 0);
	memset(v, 0, sizeof(v));
	assert_int_equal(crc32c(0, v, sizeof(v)), 0x8a9136aa);
	memset(v, 0xff, sizeof(v));
	assert_int_equal(crc32c(0, v, sizeof(v)), 0x62a8ab43);
	for (size_t i = 0; i < sizeof(v); i++)
		v[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, v, sizeof(v)), 0x46dd794e);
}

/* The definition, bit by bit. */
static uint32_t crc_slow(const uint8_t *p, size_t n)
{
	uint32_t c = UINT32_MAX;
	for (size_t i = 0; i < n; i++) {
		c ^= p[i];
		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
	}
	return ~c;
}

static void test_crc_chains_at_any_place(void **state)
{
	uint8_t v[100];
	uint64_t rng = 1;
	for (size_t i = 0; i < sizeof(v); i++)
		v[i] = (uint8_t)unit_random(&rng);
	for (size_t from = 0; from < 8; from++) {
		uint32_t whole = crc_slow(v + from, sizeof(v) - from);
		for (size_t cut = 0; from + cut <= sizeof(v); cut++)
			assert_int_equal(
				crc32c(crc32c(0, v + from, cut), v + from + cut, sizeof(v) - from - cut),
				whole);
	}
}

/* Numbers of one generation keep their order and distance; generations start at different places of any table. */
static void test_serial(void **state)
{
	for (uint64_t generation = 1; generation < 1000; generation++) {
		uint64_t first = generation << 32;
		assert_true(hash_serial(first + 77) == hash_serial(first) + 77);
		for (uint64_t other = 1; other < generation; other++)
			assert_int_not_equal(hash_serial(first) & 0xfffff, hash_serial(other << 32) & 0xfffff);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serial),
		cmocka_unit_test(test_zero_key),
		cmocka_unit_test(test_counting_key),
		cmocka_unit_test(test_case_folded),
		cmocka_unit_test(test_crc_vectors),
		cmocka_unit_test(test_crc_chains_at_any_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
