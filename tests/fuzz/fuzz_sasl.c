/* Any sequence of client messages through the SASL mechanisms. First octet: bit 1 says that there
 * is an initial response, the bits above choose the mechanism; then messages, each one octet of length and that many octets (255: all that is
 * left). */
#include "auth/sasl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice next_message(const uint8_t **p, size_t *left)
{
	size_t n = *left ? (*p)[0] : 0;
	struct slice message;

	if (*left == 0)
		return SLICE_EMPTY;
	++*p;
	--*left;
	n = n == 255 ? *left : MIN(n, *left);
	message = slice_of(*p, n);
	*p += n;
	*left -= n;
	return message;
}

static const struct sasl_terms terms = {.binding = SLICE_LIT("0123456789abcdef0123456789abcdef"),
					.external = SLICE_LIT("web7.example"),
					.nonce = SLICE_LIT("abcdefghijklmnopqrstuvwx")};
static const struct scram_verifier verifier = {.iterations = 4096, .salt_len = 8};

static void check_name(const struct sasl *s)
{
	ASSERT(s->authcid.len >= 1 && s->authcid.len <= SASL_IDENTITY_MAX);
	ASSERT(s->authzid.len <= SASL_IDENTITY_MAX);
	ASSERT(slice_find(s->authcid, '\0') == SLICE_NPOS);
}

static void check_credentials(const struct sasl *s)
{
	check_name(s);
	ASSERT(s->password.len >= 1 && s->password.len <= SASL_PASSWORD_MAX);
	ASSERT(slice_find(s->password, '\0') == SLICE_NPOS);
	ASSERT(s->authcid.ptr >= s->kept && s->authcid.ptr + s->authcid.len <= s->kept + s->kept_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct sasl_mechanism *m = sasl_mechanism_next(NULL);
	enum sasl_outcome out = SASL_CHALLENGE;
	struct buf challenge;
	struct sasl s;
	bool has_message;

	if (size == 0)
		return 0;
	has_message = data[0] & 2;
	for (unsigned i = data[0] >> 2; i % 5; i--)
		m = sasl_mechanism_next(m);
	sasl_init(&s, m, &terms);
	data++;
	size--;
	buf_init(&challenge, 1024);
	/* A mechanism that goes on asking for ever would hang here. */
	for (unsigned steps = 0; out == SASL_CHALLENGE; steps++) {
		struct slice message = has_message ? next_message(&data, &size) : SLICE_EMPTY;

		ASSERT(steps < 5);
		buf_clear(&challenge);
		out = sasl_step(&s, has_message, message, &challenge);
		ASSERT(challenge.failed == ERR_OK);
		ASSERT(out == SASL_CHALLENGE || challenge.len == 0);
		if (out == SASL_LOOKUP) {
			check_name(&s);
			sasl_verifier(&s, &verifier, &challenge);
			out = SASL_CHALLENGE;
		}
		has_message = true;
	}
	if (out == SASL_CREDENTIALS)
		check_credentials(&s);
	sasl_done(&s);
	buf_done(&challenge);
	return 0;
}
