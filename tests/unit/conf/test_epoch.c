#include "conf_util.h"

#include "conf/epoch.h"
#include "conf/show.h"
#include "core/hash.h"

#include <string.h>

static const char text[] = "hostname = a.example\n"
			   "listener x { address = {\"0.0.0.0:25\", \"[::]:25\"} bare_newline = reject }\n"
			   "listener y { address = \"unix:/y\" auth = none tls = none }\n"
			   "route \"b.example\" { via = \"h:25\" tls = none }\n"
			   "route \"*\" { via = mx }\n"
			   "retry { schedule = {\"1500ms\", \"90s\"} }\n"
			   "delivery { source = {\"192.0.2.1\", \"2001:db8::1\"} ipv6 = false idle = 0s }\n";

static struct buf encoded(const struct conf *c, uint64_t epoch)
{
	struct buf b;

	buf_init(&b, CONF_EPOCH_MAX);
	assert_int_equal(conf_epoch_encode(c, epoch, &b), ERR_OK);
	return b;
}

static void same(const struct conf *a, const struct conf *b)
{
	struct buf x, y;

	buf_init(&x, 1 << 20);
	buf_init(&y, 1 << 20);
	conf_show(a, &x);
	conf_show(b, &y);
	assert_string_equal(buf_cstr(&x), buf_cstr(&y));
	buf_done(&x);
	buf_done(&y);
}

static void test_round_trip(void **state)
{
	struct conf *c = load_ok(text), *copy = NULL;
	struct buf b = encoded(c, 77);
	uint64_t epoch = 0;

	assert_int_equal(conf_epoch_decode(buf_slice(&b), &copy, &epoch, NULL), ERR_OK);
	assert_int_equal(epoch, 77);
	same(c, copy);
	assert_int_equal(copy->nlisteners, 2);
	assert_slice(copy->listeners[1].name, "y");
	assert_int_equal(copy->retry.schedule.items[0], 1500);
	conf_unref(c);
	conf_unref(copy);
	buf_done(&b);
}

static void refused(struct slice in, enum err code)
{
	struct conf *c = NULL;
	uint64_t epoch = 5;

	assert_int_equal(conf_epoch_decode(in, &c, &epoch, NULL), code);
	assert_null(c);
	assert_int_equal(epoch, 5);
}

static void refuse_any(struct slice in)
{
	struct conf *c = NULL;
	uint64_t epoch = 5;

	assert_true(conf_epoch_decode(in, &c, &epoch, NULL) < 0);
	assert_null(c);
}

static void test_cut_and_flipped(void **state)
{
	struct conf *c = load_ok(text);
	struct buf b = encoded(c, 1);

	for (size_t n = 0; n < b.len; n++)
		refuse_any(slice_of(b.data, n));
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= 0x10;
		refuse_any(buf_slice(&b));
		b.data[i] ^= 0x10;
	}
	conf_unref(c);
	buf_done(&b);
}

/* As somebody would who may write to the channel: the checksum is right again. */
static void seal(struct buf *b)
{
	uint32_t crc = crc32c(0, b->data, b->len - 4);

	for (unsigned i = 0; i < 4; i++)
		b->data[b->len - 4 + i] = (char)(crc >> (8 * i));
}

static void test_versions(void **state)
{
	struct conf *c = load_ok(text);
	struct buf b = encoded(c, 1);

	b.data[4]++;
	seal(&b);
	refused(buf_slice(&b), ERR_UNSUPPORTED);
	b.data[4]--;
	b.data[8]++;
	seal(&b);
	refused(buf_slice(&b), ERR_UNSUPPORTED);
	b.data[8]--;
	b.data[6] = 1;
	seal(&b);
	refused(buf_slice(&b), ERR_CORRUPT);
	conf_unref(c);
	buf_done(&b);
}

static void test_values_are_checked(void **state)
{
	struct conf *c = load_ok(text), *bad = NULL;
	struct buf b = encoded(c, 1);
	struct diag d = {0};
	uint64_t epoch;
	char *name = memmem(b.data, b.len, "a.example", 9);

	assert_non_null(name);
	memcpy(name, "a_example", 9);
	seal(&b);
	assert_int_equal(conf_epoch_decode(buf_slice(&b), &bad, &epoch, &d), ERR_SYNTAX);
	assert_string_equal(d.text, "configuration epoch: hostname: \"a_example\" is not a host name, as in "
				    "\"relay.example.net\"");
	conf_unref(c);
	buf_done(&b);
}

static void test_trailing(void **state)
{
	struct conf *c = load_ok(text);
	struct buf b = encoded(c, 1);

	buf_add_zero(&b, 3);
	seal(&b);
	refused(buf_slice(&b), ERR_CORRUPT);
	conf_unref(c);
	buf_done(&b);
}

static void test_no_room(void **state)
{
	struct conf *c = load_ok(text);
	struct buf b;

	buf_init(&b, 100);
	assert_int_equal(conf_epoch_encode(c, 1, &b), ERR_LIMIT);
	conf_unref(c);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_cut_and_flipped),
		cmocka_unit_test(test_versions),   cmocka_unit_test(test_values_are_checked),
		cmocka_unit_test(test_trailing),   cmocka_unit_test(test_no_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
