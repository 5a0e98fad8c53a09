/* SCRAM-SHA-256 verifiers, measured against the exchange that RFC 7677 section 3 shows. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "auth/scram.h"
#include "core/text.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>

#define SALT_B64 "W22ZaJ0SNY7soEsUEjb6gQ=="
#define NONCE    "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"

/* What both sides sign in the RFC's example. */
static const char auth_message[] =
	"n=user,r=rOprNGfwEbeRWgbNEkqO,r=" NONCE ",s=" SALT_B64 ",i=4096,c=biws,r=" NONCE;

static void decode(const char *b64, uint8_t *p, size_t n)
{
	struct buf out;

	buf_init(&out, 128);
	assert_int_equal(base64_decode(&out, slice_str(b64)), ERR_OK);
	assert_int_equal(out.len, n);
	memcpy(p, out.data, n);
	buf_done(&out);
}

static void sign(const uint8_t key[SCRAM_KEY_LEN], uint8_t ret[SCRAM_KEY_LEN])
{
	unsigned len = SCRAM_KEY_LEN;

	assert_non_null(HMAC(EVP_sha256(), key, SCRAM_KEY_LEN, (const uint8_t *)auth_message,
			     strlen(auth_message), ret, &len));
}

static struct scram_verifier pencil(void)
{
	struct scram_verifier v;
	uint8_t salt[16];

	decode(SALT_B64, salt, sizeof(salt));
	assert_int_equal(scram_make(SLICE_LIT("pencil"), slice_of(salt, sizeof(salt)), 4096, &v, NULL),
			 ERR_OK);
	return v;
}

static void test_keys_are_those_of_the_rfc(void **state)
{
	struct scram_verifier v = pencil();
	uint8_t signature[SCRAM_KEY_LEN], expected[SCRAM_KEY_LEN], proof[SCRAM_KEY_LEN],
		hashed[SCRAM_KEY_LEN];

	sign(v.server_key, signature);
	decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", expected, sizeof(expected));
	assert_memory_equal(signature, expected, sizeof(expected));
	/* ClientKey = ClientProof XOR ClientSignature; its hash is what is stored. */
	decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", proof, sizeof(proof));
	sign(v.stored_key, signature);
	for (size_t i = 0; i < sizeof(proof); i++)
		proof[i] ^= signature[i];
	SHA256(proof, sizeof(proof), hashed);
	assert_memory_equal(hashed, v.stored_key, sizeof(hashed));
}

static void test_text_form_and_back(void **state)
{
	struct scram_verifier v = pencil(), again;
	struct buf text;

	buf_init(&text, AUTH_VERIFIER_MAX);
	scram_format(&v, &text);
	assert_string_equal(buf_cstr(&text),
			    "{SCRAM-SHA-256}4096," SALT_B64 "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
			    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
	assert_int_equal(scram_parse(buf_slice(&text), &again, NULL), ERR_OK);
	assert_memory_equal(&v, &again, sizeof(v));
	buf_done(&text);
}

static void test_only_the_password_matches(void **state)
{
	struct scram_verifier v = pencil();
	char longest[SASL_PASSWORD_MAX + 1];

	memset(longest, 'x', sizeof(longest));
	assert_true(scram_check(&v, SLICE_LIT("pencil")));
	assert_false(scram_check(&v, SLICE_LIT("pencil ")));
	assert_false(scram_check(&v, SLICE_LIT("pencil\0x")));
	assert_false(scram_check(&v, SLICE_LIT("Pencil")));
	assert_false(scram_check(&v, SLICE_EMPTY));
	assert_false(scram_check(&v, slice_of(longest, sizeof(longest))));
	v.stored_key[31] ^= 1;
	assert_false(scram_check(&v, SLICE_LIT("pencil")));
}

static void test_making_knows_its_limits(void **state)
{
	struct scram_verifier v;
	char many[SASL_PASSWORD_MAX + 1] = "";
	struct slice salt = SLICE_LIT("12345678"), password = SLICE_LIT("x");

	assert_int_equal(scram_make(password, slice_sub(salt, 0, 7), 4096, &v, NULL), ERR_RANGE);
	assert_int_equal(scram_make(password, slice_of(many, SCRAM_SALT_MAX + 1), 4096, &v, NULL), ERR_RANGE);
	assert_int_equal(scram_make(password, salt, 4095, &v, NULL), ERR_RANGE);
	assert_int_equal(scram_make(password, salt, SCRAM_ITERATIONS_MAX + 1, &v, NULL), ERR_RANGE);
	assert_int_equal(scram_make(slice_of(many, sizeof(many)), salt, 4096, &v, NULL), ERR_RANGE);
	assert_int_equal(scram_make(password, salt, 4096, &v, NULL), ERR_OK);
}

#define KEY_A "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
#define KEY_B "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static void test_bad_texts(void **state)
{
	static const struct {
		const char *text;
		enum err expected;
	} cases[] = {
		{"", ERR_SYNTAX},
		{"pencil", ERR_SYNTAX},
		{"{SCRAM-SHA-256}", ERR_SYNTAX},
		{"{SCRAM-SHA-1}4096," SALT_B64 "$" KEY_A "," KEY_B, ERR_UNSUPPORTED},
		{"{SCRAM-SHA-256}4096," SALT_B64 "," KEY_A "," KEY_B, ERR_SYNTAX},
		{"{SCRAM-SHA-256}4096$" SALT_B64 "$" KEY_A "," KEY_B, ERR_SYNTAX},
		{"{SCRAM-SHA-256}4096," SALT_B64 "$" KEY_A, ERR_SYNTAX},
		{"{SCRAM-SHA-256}4096," SALT_B64 "$" KEY_A ",", ERR_SYNTAX},
		{"{SCRAM-SHA-256}4096," SALT_B64 "$" KEY_A "," KEY_B ",", ERR_SYNTAX},
		{"{SCRAM-SHA-256}4096," SALT_B64 "$" KEY_A "," SALT_B64, ERR_SYNTAX},
		{"{SCRAM-SHA-256}04096," SALT_B64 "$" KEY_A "," KEY_B, ERR_SYNTAX},
		{"{SCRAM-SHA-256}-1," SALT_B64 "$" KEY_A "," KEY_B, ERR_SYNTAX},
		{"{SCRAM-SHA-256}1," SALT_B64 "$" KEY_A "," KEY_B, ERR_RANGE},
		{"{SCRAM-SHA-256}99999999999999999999," SALT_B64 "$" KEY_A "," KEY_B, ERR_SYNTAX},
		{"{SCRAM-SHA-256}4096,AAAA$" KEY_A "," KEY_B, ERR_RANGE},
		{"{SCRAM-SHA-256}4096,!!!!$" KEY_A "," KEY_B, ERR_SYNTAX},
		{" {SCRAM-SHA-256}4096," SALT_B64 "$" KEY_A "," KEY_B, ERR_SYNTAX},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct scram_verifier v;
		struct diag d;

		assert_int_equal(scram_parse(slice_str(cases[i].text), &v, &d), cases[i].expected);
		assert_int_equal(d.code, cases[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_are_those_of_the_rfc),
		cmocka_unit_test(test_text_form_and_back),
		cmocka_unit_test(test_only_the_password_matches),
		cmocka_unit_test(test_making_knows_its_limits),
		cmocka_unit_test(test_bad_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
