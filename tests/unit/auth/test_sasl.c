/* PLAIN (RFC 4616) and LOGIN on decoded messages: what is taken, what is not, and what is asked for. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "auth/sasl.h"

#include <string.h>

struct fixture {
	struct sasl s;
	struct buf challenge;
};

static void begin(struct fixture *f, const char *mechanism)
{
	sasl_init(&f->s, sasl_mechanism_find(slice_str(mechanism)));
	buf_init(&f->challenge, 256);
}

static void end(struct fixture *f)
{
	sasl_done(&f->s);
	buf_done(&f->challenge);
}

static enum sasl_outcome step(struct fixture *f, struct slice message)
{
	buf_clear(&f->challenge);
	return sasl_step(&f->s, true, message, &f->challenge);
}

static enum sasl_outcome plain(struct slice message)
{
	struct fixture f;
	enum sasl_outcome out;

	begin(&f, "PLAIN");
	out = step(&f, message);
	assert_int_equal(f.challenge.len, 0);
	end(&f);
	return out;
}

static void test_mechanisms(void **state)
{
	const struct sasl_mechanism *m = sasl_mechanism_next(NULL);

	assert_string_equal(sasl_mechanism_name(m), "PLAIN");
	m = sasl_mechanism_next(m);
	assert_string_equal(sasl_mechanism_name(m), "LOGIN");
	assert_null(sasl_mechanism_next(m));
	assert_ptr_equal(sasl_mechanism_find(SLICE_LIT("login")), m);
	assert_null(sasl_mechanism_find(SLICE_LIT("CRAM-MD5")));
	assert_null(sasl_mechanism_find(SLICE_LIT("PLAI")));
	assert_null(sasl_mechanism_find(SLICE_EMPTY));
}

static void test_plain_gives_its_three_parts(void **state)
{
	struct fixture f;

	begin(&f, "PLAIN");
	assert_int_equal(step(&f, SLICE_LIT("zid\0houston\0p w")), SASL_CREDENTIALS);
	assert_true(slice_eq_str(f.s.authzid, "zid"));
	assert_true(slice_eq_str(f.s.authcid, "houston"));
	assert_true(slice_eq_str(f.s.password, "p w"));
	end(&f);
}

static void test_credentials_outlive_the_message(void **state)
{
	struct fixture f;
	char message[] = "\0houston\0secret";

	begin(&f, "PLAIN");
	assert_int_equal(step(&f, slice_of(message, sizeof(message) - 1)), SASL_CREDENTIALS);
	memset(message, 'x', sizeof(message));
	assert_true(slice_eq_str(f.s.authcid, "houston"));
	assert_true(slice_eq_str(f.s.password, "secret"));
	end(&f);
	/* ... but not the exchange: nothing of the secret stays in memory. */
	for (size_t i = 0; i < sizeof("houstonsecret") - 1; i++)
		assert_int_equal(f.s.kept[i], 0);
}

static void test_plain_without_initial_response(void **state)
{
	struct fixture f;

	begin(&f, "PLAIN");
	assert_int_equal(sasl_step(&f.s, false, SLICE_EMPTY, &f.challenge), SASL_CHALLENGE);
	assert_int_equal(f.challenge.len, 0);
	assert_int_equal(step(&f, SLICE_LIT("\0a\0b")), SASL_CREDENTIALS);
	end(&f);
}

static void test_plain_refuses_what_is_not_its_grammar(void **state)
{
	char big[SASL_MESSAGE_MAX + 1];

	assert_int_equal(plain(SLICE_LIT("\0a\0b")), SASL_CREDENTIALS);
	assert_int_equal(plain(SLICE_EMPTY), SASL_MALFORMED);
	assert_int_equal(plain(SLICE_LIT("a")), SASL_MALFORMED);
	assert_int_equal(plain(SLICE_LIT("a\0b")), SASL_MALFORMED);
	assert_int_equal(plain(SLICE_LIT("\0\0")), SASL_MALFORMED);
	assert_int_equal(plain(SLICE_LIT("\0a\0")), SASL_MALFORMED);
	assert_int_equal(plain(SLICE_LIT("\0\0b")), SASL_MALFORMED);
	assert_int_equal(plain(SLICE_LIT("\0a\0b\0")), SASL_MALFORMED);
	assert_int_equal(plain(SLICE_LIT("\0a\0b\0c")), SASL_MALFORMED);
	assert_int_equal(plain(SLICE_LIT("\0\xff\0b")), SASL_MALFORMED);
	assert_int_equal(plain(SLICE_LIT("\xc0\x80\0a\0b")), SASL_MALFORMED);
	memset(big, 'a', sizeof(big));
	big[0] = '\0';
	big[1 + SASL_IDENTITY_MAX] = '\0';
	assert_int_equal(plain(slice_of(big, 2 + SASL_IDENTITY_MAX + SASL_PASSWORD_MAX)), SASL_CREDENTIALS);
	assert_int_equal(plain(slice_of(big, 3 + SASL_IDENTITY_MAX + SASL_PASSWORD_MAX)), SASL_MALFORMED);
	assert_int_equal(plain(slice_of(big, sizeof(big))), SASL_MALFORMED);
	big[1 + SASL_IDENTITY_MAX] = 'a';
	big[2 + SASL_IDENTITY_MAX] = '\0';
	assert_int_equal(plain(slice_of(big, 10 + SASL_IDENTITY_MAX)), SASL_MALFORMED);
}

static void test_login_asks_twice(void **state)
{
	struct fixture f;

	begin(&f, "LOGIN");
	assert_int_equal(sasl_step(&f.s, false, SLICE_EMPTY, &f.challenge), SASL_CHALLENGE);
	assert_string_equal(buf_cstr(&f.challenge), "Username:");
	assert_int_equal(step(&f, SLICE_LIT("houston")), SASL_CHALLENGE);
	assert_string_equal(buf_cstr(&f.challenge), "Password:");
	assert_int_equal(step(&f, SLICE_LIT("secret")), SASL_CREDENTIALS);
	assert_int_equal(f.s.authzid.len, 0);
	assert_true(slice_eq_str(f.s.authcid, "houston"));
	assert_true(slice_eq_str(f.s.password, "secret"));
	end(&f);
}

static void test_login_with_initial_response(void **state)
{
	struct fixture f;

	begin(&f, "LOGIN");
	assert_int_equal(step(&f, SLICE_LIT("houston")), SASL_CHALLENGE);
	assert_string_equal(buf_cstr(&f.challenge), "Password:");
	assert_int_equal(step(&f, SLICE_LIT("secret")), SASL_CREDENTIALS);
	end(&f);
}

static void test_login_refuses(void **state)
{
	struct fixture f;

	begin(&f, "LOGIN");
	assert_int_equal(step(&f, SLICE_EMPTY), SASL_MALFORMED);
	end(&f);
	begin(&f, "LOGIN");
	assert_int_equal(step(&f, SLICE_LIT("a\0b")), SASL_MALFORMED);
	end(&f);
	begin(&f, "LOGIN");
	assert_int_equal(step(&f, SLICE_LIT("a")), SASL_CHALLENGE);
	assert_int_equal(step(&f, SLICE_EMPTY), SASL_MALFORMED);
	end(&f);
	/* A second message must be there, be it empty. */
	begin(&f, "LOGIN");
	assert_int_equal(step(&f, SLICE_LIT("a")), SASL_CHALLENGE);
	assert_int_equal(sasl_step(&f.s, false, SLICE_EMPTY, &f.challenge), SASL_MALFORMED);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mechanisms),
		cmocka_unit_test(test_plain_gives_its_three_parts),
		cmocka_unit_test(test_credentials_outlive_the_message),
		cmocka_unit_test(test_plain_without_initial_response),
		cmocka_unit_test(test_plain_refuses_what_is_not_its_grammar),
		cmocka_unit_test(test_login_asks_twice),
		cmocka_unit_test(test_login_with_initial_response),
		cmocka_unit_test(test_login_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
