/* Imported hashes: which are taken, how they are written down, and that they check. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "auth/verifier.h"

#define BCRYPT "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
#define SHA512                                                                                               \
	"$6$rounds=1000$saltsalt$LAV5VE5Y7w1d73x1mFNspYWUpazfmwv2SoepNXNKJ/otop/Zok96Hr8Q13LEv0DRY/x8v0/"    \
	"crpIjl8NJSAqXV/"
#define YESCRYPT "$y$j75$saltsaltsalt$jyf/lxrpdyAIshWRo1x5DRC6KIE7sNRRtjcomR3PgHA"

static void test_check(void **state)
{
	static const char *const hashes[] = {BCRYPT, SHA512, YESCRYPT};

	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		struct verifier v;
		struct buf text;
		buf_init(&text, 512);
		assert_int_equal(verifier_import(slice_str(hashes[i]), &v, NULL), ERR_OK);
		assert_true(verifier_is_imported(&v));
		verifier_format(&v, &text);
		assert_int_equal(verifier_parse(buf_slice(&text), &v, NULL), ERR_OK);
		assert_string_equal(v.imported, hashes[i]);
		assert_true(verifier_check(&v, SLICE_LIT("secret")));
		assert_false(verifier_check(&v, SLICE_LIT("secreT")));
		assert_false(verifier_check(&v, SLICE_LIT("secret\0")));
		assert_false(verifier_check(&v, SLICE_EMPTY));
		buf_done(&text);
	}
}

static void test_scram(void **state)
{
	struct verifier v = {.imported = ""}, again;
	struct buf text;

	buf_init(&text, 512);
	assert_int_equal(scram_make(SLICE_LIT("secret"), SLICE_LIT("saltsalt"), 4096, &v.scram, NULL),
			 ERR_OK);
	verifier_format(&v, &text);
	assert_int_equal(verifier_import(buf_slice(&text), &again, NULL), ERR_OK);
	assert_false(verifier_is_imported(&again));
	assert_true(verifier_check(&again, SLICE_LIT("secret")));
	assert_false(verifier_check(&again, SLICE_LIT("other")));
	buf_done(&text);
}

static void test_forms(void **state)
{
	static const char *const good[] = {
		BCRYPT "\n",
		"  " BCRYPT,
		"{BLF-CRYPT}" BCRYPT,
		"houston:" SHA512 ":19000:0:99999:7:::",
		"u:{SHA512-CRYPT}" SHA512,
	};
	static const struct {
		const char *text;
		enum err e;
	} bad[] = {
		{"", ERR_UNSUPPORTED},
		{"secret", ERR_UNSUPPORTED},
		{"$1$salt$x", ERR_UNSUPPORTED},
		{"{PLAIN}secret", ERR_UNSUPPORTED},
		{"u:!" BCRYPT ":", ERR_SYNTAX}, /* a locked account stays locked */
		{"u:*:", ERR_SYNTAX},
		{"$2b$04$short", ERR_RANGE},
		{"$2b$31$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", ERR_RANGE},
		{"$6$rounds=999999999$saltsalt$LAV5VE5Y7w1d73x1mFNspYWUpazfmwv2SoepNXNKJ/otop/"
		 "Zok96Hr8Q13LEv0DRY/x8v0/crpIjl8NJSAqXV/",
		 ERR_RANGE},
		{"$y$jFT$saltsaltsalt$jyf/lxrpdyAIshWRo1x5DRC6KIE7sNRRtjcomR3PgHA",
		 ERR_RANGE}, /* gigabytes */
		{"$y$j75$saltsaltsalt$jyf/ lxrpdyAIshWRo1x5DRC6KIE7sNRRtjcomR3PgHA", ERR_SYNTAX},
	};
	struct verifier v;
	struct diag d = {0};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (verifier_import(slice_str(good[i]), &v, &d) != ERR_OK)
			fail_msg("%s: %s", good[i], d.text);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (verifier_import(slice_str(bad[i].text), &v, &d) != bad[i].e)
			fail_msg("row %zu: %s", i, d.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_check), cmocka_unit_test(test_scram),
					   cmocka_unit_test(test_forms)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
