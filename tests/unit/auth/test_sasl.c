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

static const struct sasl_terms terms = {.binding = SLICE_LIT("0123456789abcdef0123456789abcdef"),
					.external = SLICE_LIT("web7.example"),
					.nonce = SLICE_LIT("abcdefghijklmnopqrstuvwx")};

static void begin(struct fixture *f, const char *mechanism)
{
	sasl_init(&f->s, sasl_mechanism_find(slice_str(mechanism)), &terms);
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
	static const char *const names[] = {"EXTERNAL", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN",
					    "LOGIN"};
	const struct sasl_mechanism *m = NULL;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		m = sasl_mechanism_next(m);
		assert_string_equal(sasl_mechanism_name(m), names[i]);
	}
	assert_null(sasl_mechanism_next(m));
	assert_false(sasl_mechanism_fits(sasl_mechanism_find(SLICE_LIT("EXTERNAL")), true, false));
	assert_false(sasl_mechanism_fits(sasl_mechanism_find(SLICE_LIT("SCRAM-SHA-256-PLUS")), false, true));
	assert_true(sasl_mechanism_fits(sasl_mechanism_find(SLICE_LIT("SCRAM-SHA-256")), false, false));
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

static enum sasl_outcome external(struct slice message, const char *name)
{
	struct fixture f;
	enum sasl_outcome out;

	begin(&f, "EXTERNAL");
	f.s.terms.external = slice_str(name);
	out = step(&f, message);
	if (out == SASL_PROVEN)
		assert_true(slice_eq_str(f.s.authcid, name) && slice_eq(f.s.authzid, message));
	end(&f);
	return out;
}

static void test_external(void **state)
{
	struct fixture f;

	assert_int_equal(external(SLICE_EMPTY, "web7.example"), SASL_PROVEN);
	assert_int_equal(external(SLICE_LIT("web7.example"), "web7.example"), SASL_PROVEN);
	assert_int_equal(external(SLICE_LIT("other"), "web7.example"), SASL_PROVEN); /* judged by who calls */
	assert_int_equal(external(SLICE_LIT("a\0b"), "web7.example"), SASL_MALFORMED);
	assert_int_equal(external(SLICE_EMPTY, ""), SASL_MALFORMED);
	begin(&f, "EXTERNAL");
	assert_int_equal(sasl_step(&f.s, false, SLICE_EMPTY, &f.challenge), SASL_CHALLENGE);
	assert_int_equal(f.challenge.len, 0);
	end(&f);
}

/* The order of things; the messages themselves are test_scram_exchange's. */
static void test_scram_steps(void **state)
{
	struct scram_verifier v = {.iterations = 4096, .salt_len = 8, .salt = "saltsalt"};
	struct fixture f;

	begin(&f, "SCRAM-SHA-256");
	assert_int_equal(sasl_step(&f.s, false, SLICE_EMPTY, &f.challenge), SASL_CHALLENGE);
	assert_int_equal(step(&f, SLICE_LIT("n,,n=houston,r=abc")), SASL_LOOKUP);
	assert_true(slice_eq_str(f.s.authcid, "houston"));
	sasl_verifier(&f.s, &v, &f.challenge);
	assert_string_equal(buf_cstr(&f.challenge), "r=abcabcdefghijklmnopqrstuvwx,s=c2FsdHNhbHQ=,i=4096");
	assert_int_equal(step(&f, SLICE_LIT("c=biws,r=abcabcdefghijklmnopqrstuvwx,p=dHzbZapWIk4jUhN+"
					    "Ute9ytag9zjfMHgsqmmiz7AndVQ=")),
			 SASL_DISPROVEN);
	end(&f);
	begin(&f, "SCRAM-SHA-256");
	assert_int_equal(step(&f, SLICE_LIT("y,,n=houston,r=abc")), SASL_MALFORMED); /* -PLUS was there */
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_external),
		cmocka_unit_test(test_scram_steps),
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
