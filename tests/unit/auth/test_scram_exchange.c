/* SCRAM-SHA-256 message by message: the example of RFC 7677, channel binding, and what must not get through. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "auth/scram_exchange.h"
#include "scram_client.h"

#define CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define BINDING      "0123456789abcdef0123456789abcdef"

static struct scram_verifier pencil(void)
{
	struct scram_verifier v;
	struct buf salt;
	buf_init(&salt, 64);
	assert_int_equal(base64_decode(&salt, SLICE_LIT("W22ZaJ0SNY7soEsUEjb6gQ==")), ERR_OK);
	assert_int_equal(scram_make(SLICE_LIT("pencil"), buf_slice(&salt), 4096, &v, NULL), ERR_OK);
	buf_done(&salt);
	return v;
}

/* RFC 7677 section 3. */
static void test_example(void **state)
{
	const struct scram_terms terms = {.nonce = SLICE_LIT(SERVER_NONCE)};
	struct scram_verifier v = pencil();
	struct scram_exchange x;
	struct buf out;

	buf_init(&out, 4096);
	assert_int_equal(scram_first(&x, SLICE_LIT("n,,n=user,r=" CLIENT_NONCE), &terms), ERR_OK);
	assert_true(slice_eq_str(x.authcid, "user"));
	scram_challenge(&x, &v, &out);
	assert_string_equal(buf_cstr(&out),
			    "r=" CLIENT_NONCE SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
	buf_clear(&out);
	assert_int_equal(scram_final(&x,
				     SLICE_LIT("c=biws,r=" CLIENT_NONCE SERVER_NONCE
					       ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="),
				     &out),
			 ERR_OK);
	assert_string_equal(buf_cstr(&out), "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
	scram_exchange_done(&x);
	buf_done(&out);
}

/* What becomes of an exchange with this first message, password and "c=". */
static enum err play(const struct scram_terms *terms, const char *first, const char *password,
		     struct slice binding)
{
	struct scram_verifier v = pencil();
	struct scram_exchange x;
	struct buf message, out;
	enum err e = scram_first(&x, slice_str(first), terms);

	if (e)
		return e;
	buf_init(&message, 4096);
	buf_init(&out, 4096);
	scram_challenge(&x, &v, &out);
	buf_clear(&out);
	scram_client_final(x.bare, x.server_first, password, binding, &message);
	e = scram_final(&x, buf_slice(&message), &out);
	assert_true((e == ERR_OK) == (out.len > 0));
	buf_done(&message);
	buf_done(&out);
	return e;
}

static void test_password(void **state)
{
	const struct scram_terms t = {.nonce = SLICE_LIT(SERVER_NONCE)};

	assert_int_equal(play(&t, "n,,n=user,r=abc", "pencil", SLICE_LIT("n,,")), ERR_OK);
	assert_int_equal(play(&t, "n,,n=user,r=abc", "pencils", SLICE_LIT("n,,")), ERR_PERM);
	assert_int_equal(play(&t, "n,a=other,n=user,r=abc", "pencil", SLICE_LIT("n,a=other,")), ERR_OK);
	assert_int_equal(play(&t, "n,a=other,n=user,r=abc", "pencil", SLICE_LIT("n,,")), ERR_PERM);
	assert_int_equal(play(&t, "n,,n=user,r=abc,x=extension", "pencil", SLICE_LIT("n,,")), ERR_OK);
	assert_int_equal(play(&t, "y,,n=user,r=abc", "pencil", SLICE_LIT("y,,")), ERR_OK);
}

static void test_binding(void **state)
{
	const struct scram_terms plus = {.plus = true,
					 .plus_offered = true,
					 .binding = SLICE_LIT(BINDING),
					 .nonce = SLICE_LIT(SERVER_NONCE)};
	struct scram_terms plain = plus;
	const char *bound = "p=tls-exporter,,n=user,r=abc";

	assert_int_equal(play(&plus, bound, "pencil", SLICE_LIT("p=tls-exporter,," BINDING)), ERR_OK);
	/* the same password over somebody else's channel */
	assert_int_equal(
		play(&plus, bound, "pencil", SLICE_LIT("p=tls-exporter,,X123456789abcdef0123456789abcdef")),
		ERR_PERM);
	assert_int_equal(play(&plus, bound, "pencil", SLICE_LIT("p=tls-exporter,,")), ERR_PERM);
	assert_int_equal(play(&plus, bound, "pencil", SLICE_LIT("n,,")), ERR_PERM);
	/* another kind of binding, none with -PLUS, one without -PLUS */
	assert_int_equal(play(&plus, "p=tls-unique,,n=user,r=abc", "pencil", SLICE_EMPTY), ERR_SYNTAX);
	assert_int_equal(play(&plus, "n,,n=user,r=abc", "pencil", SLICE_EMPTY), ERR_SYNTAX);
	plain.plus = false;
	assert_int_equal(play(&plain, bound, "pencil", SLICE_EMPTY), ERR_SYNTAX);
	assert_int_equal(play(&plain, "n,,n=user,r=abc", "pencil", SLICE_LIT("n,,")), ERR_OK);
	/* "I could have bound, but you did not offer it": somebody cut our offer down */
	assert_int_equal(play(&plain, "y,,n=user,r=abc", "pencil", SLICE_LIT("y,,")), ERR_SYNTAX);
}

static void test_malformed_first(void **state)
{
	static const char *const bad[] = {
		"",
		"n",
		"n,",
		"n,,",
		"n,,n=user",
		"n,,n=user,",
		"n,,n=user,r=",
		"n,,n=,r=abc",
		"n,,m=x,n=user,r=abc",
		"n,,r=abc,n=user",
		"n,x=other,n=user,r=abc",
		"n,a=,n=user,r=abc",
		"n,,n=us=er,r=abc",
		"n,,n=us=2cer,r=abc",
		"n,,n=user,r=a bc",
		"n,,n=user,r=\x80",
		"n,,n=\xff,r=abc",
		"x,,n=user,r=abc",
		"p=,,n=user,r=abc",
	};
	const struct scram_terms t = {.nonce = SLICE_LIT(SERVER_NONCE)};
	struct scram_exchange x;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (scram_first(&x, slice_str(bad[i]), &t) != ERR_SYNTAX)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(scram_first(&x, SLICE_LIT("n,a=a=2Cb,n=x=3Dy=2Cz,r=abc"), &t), ERR_OK);
	assert_true(slice_eq_str(x.authcid, "x=y,z"));
	assert_true(slice_eq_str(x.authzid, "a,b"));
}

static void test_limits(void **state)
{
	const struct scram_terms t = {.nonce = SLICE_LIT(SERVER_NONCE)};
	struct scram_exchange x;
	struct buf b;

	buf_init(&b, 10000);
	buf_add_str(&b, "n,,n=");
	for (unsigned i = 0; i < SASL_IDENTITY_MAX; i++)
		buf_add_str(&b, "=3D");
	buf_add_str(&b, ",r=");
	for (unsigned i = 0; i < SCRAM_CLIENT_NONCE_MAX; i++)
		buf_add_char(&b, 'n');
	assert_int_equal(scram_first(&x, buf_slice(&b), &t), ERR_OK);
	assert_int_equal(x.authcid.len, SASL_IDENTITY_MAX);
	buf_add_char(&b, 'n');
	assert_int_equal(scram_first(&x, buf_slice(&b), &t), ERR_SYNTAX);
	buf_clear(&b);
	buf_add_str(&b, "n,,n=u,r=n,x=");
	while (b.len < SCRAM_TEXT_MAX)
		buf_add_char(&b, 'x');
	assert_int_equal(scram_first(&x, buf_slice(&b), &t), ERR_SYNTAX);
	buf_done(&b);
}

static void test_malformed_final(void **state)
{
	static const struct {
		const char *text;
		enum err e;
	} rows[] = {
		{"", ERR_SYNTAX},
		{"c=biws,r=abc" SERVER_NONCE, ERR_SYNTAX},
		{"c=biws,r=abc" SERVER_NONCE ",p=", ERR_SYNTAX},
		{"c=biws,r=abc" SERVER_NONCE ",p=AAAA", ERR_SYNTAX},
		{"c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", ERR_SYNTAX},
		{"r=abc" SERVER_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", ERR_SYNTAX},
		{"c=bi*s,r=abc" SERVER_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", ERR_SYNTAX},
		{"c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", ERR_PERM},
		{"c=biws,r=abc" SERVER_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", ERR_PERM},
	};
	const struct scram_terms t = {.nonce = SLICE_LIT(SERVER_NONCE)};
	struct scram_verifier v = pencil();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scram_exchange x;
		struct buf out;
		buf_init(&out, 4096);
		assert_int_equal(scram_first(&x, SLICE_LIT("n,,n=user,r=abc"), &t), ERR_OK);
		scram_challenge(&x, &v, &out);
		buf_clear(&out);
		if (scram_final(&x, slice_str(rows[i].text), &out) != rows[i].e)
			fail_msg("row %zu", i);
		assert_int_equal(out.len, 0);
		buf_done(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_example),         cmocka_unit_test(test_password),
		cmocka_unit_test(test_binding),         cmocka_unit_test(test_malformed_first),
		cmocka_unit_test(test_malformed_final), cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
