#include "auth/sasl.h"

#include "core/text.h"

#include <openssl/crypto.h>
#include <string.h>

struct sasl_mechanism {
	const char *name;
	bool binding, external; /* what it needs of the transport */
	enum sasl_outcome (*step)(struct sasl *s, bool has_message, struct slice message,
				  struct buf *challenge);
};

/* Copies into s->kept: the credentials must outlive the message. Identities and passwords are checked before,
 * so that the sum fits. */
static struct slice keep(struct sasl *s, struct slice text)
{
	char *at = s->kept + s->kept_len;

	ASSERT(text.len <= sizeof(s->kept) - s->kept_len);
	if (text.len)
		memcpy(at, text.ptr, text.len);
	s->kept_len += text.len;
	return slice_of(at, text.len);
}

/* RFC 4616 section 2: SAFE is UTF-8 without NUL; an identity has 1 to 255 octets. */
static bool identity_ok(struct slice id)
{
	return id.len >= 1 && id.len <= SASL_IDENTITY_MAX && slice_find(id, '\0') == SLICE_NPOS &&
	       utf8_valid(id);
}

static bool password_ok(struct slice password)
{
	return password.len >= 1 && password.len <= SASL_PASSWORD_MAX &&
	       slice_find(password, '\0') == SLICE_NPOS && utf8_valid(password);
}

/* RFC 4616 section 2: message = [authzid] NUL authcid NUL passwd. */
static enum sasl_outcome plain_step(struct sasl *s, bool has_message, struct slice message,
				    struct buf *challenge)
{
	struct slice rest = message, authzid, authcid;

	if (!has_message)
		return SASL_CHALLENGE; /* an empty one: the client speaks first */
	authzid = slice_split(&rest, '\0');
	authcid = slice_split(&rest, '\0');
	/* rest.ptr is NULL unless there were two NULs; a third one makes the password bad. */
	if (!rest.ptr || !identity_ok(authcid) || !password_ok(rest))
		return SASL_MALFORMED;
	if (authzid.len && !identity_ok(authzid))
		return SASL_MALFORMED;
	s->authzid = keep(s, authzid);
	s->authcid = keep(s, authcid);
	s->password = keep(s, rest);
	return SASL_CREDENTIALS;
}

/* LOGIN has no RFC (draft-murchison-sasl-login-00 describes it): two prompts, two answers. Clients take the
 * prompts by position, and some send the name as an initial response. */
static enum sasl_outcome login_step(struct sasl *s, bool has_message, struct slice message,
				    struct buf *challenge)
{
	if (!has_message) {
		buf_add_str(challenge, "Username:");
		return SASL_CHALLENGE;
	}
	if (s->state == SASL_START) {
		if (!identity_ok(message))
			return SASL_MALFORMED;
		s->authcid = keep(s, message);
		s->state = SASL_WAIT_PASSWORD;
		buf_add_str(challenge, "Password:");
		return SASL_CHALLENGE;
	}
	if (!password_ok(message))
		return SASL_MALFORMED;
	s->password = keep(s, message);
	return SASL_CREDENTIALS;
}

/* ---- SCRAM ---- */

static enum sasl_outcome scram_begin(struct sasl *s, struct slice message)
{
	struct scram_terms t = {.plus = s->mechanism->binding,
				.plus_offered = s->terms.binding.len > 0,
				.binding = s->terms.binding,
				.nonce = s->terms.nonce};

	if (scram_first(&s->scram, message, &t))
		return SASL_MALFORMED;
	s->authzid = s->scram.authzid;
	s->authcid = s->scram.authcid;
	s->state = SASL_WAIT_VERIFIER;
	return SASL_LOOKUP;
}

static enum sasl_outcome scram_end(struct sasl *s, struct slice message, struct buf *challenge)
{
	switch (scram_final(&s->scram, message, challenge)) {
	case ERR_OK:
		s->state = SASL_WAIT_EMPTY;
		return SASL_CHALLENGE;
	case ERR_PERM:
		return SASL_DISPROVEN;
	default:
		return SASL_MALFORMED;
	}
}

static enum sasl_outcome scram_step(struct sasl *s, bool has_message, struct slice message,
				    struct buf *challenge)
{
	if (!has_message)
		return SASL_CHALLENGE; /* an empty one: the client speaks first */
	if (s->state == SASL_START)
		return scram_begin(s, message);
	if (s->state == SASL_WAIT_PROOF)
		return scram_end(s, message, challenge);
	ASSERT(s->state == SASL_WAIT_EMPTY);
	return message.len == 0 ? SASL_PROVEN : SASL_MALFORMED;
}

void sasl_verifier(struct sasl *s, const struct scram_verifier *v, struct buf *challenge)
{
	ASSERT(s->state == SASL_WAIT_VERIFIER);
	scram_challenge(&s->scram, v, challenge);
	s->state = SASL_WAIT_PROOF;
}

/* RFC 4422 appendix A: the message is whom to act as, empty: whom the transport proved. */
static enum sasl_outcome external_step(struct sasl *s, bool has_message, struct slice message,
				       struct buf *challenge)
{
	if (!has_message)
		return SASL_CHALLENGE;
	if (!identity_ok(s->terms.external) || (message.len && !identity_ok(message)))
		return SASL_MALFORMED;
	s->authcid = keep(s, s->terms.external);
	s->authzid = keep(s, message);
	return SASL_PROVEN;
}

/* In order of preference. */
static const struct sasl_mechanism mechanisms[] = {
	{"EXTERNAL", false, true, external_step},    {"SCRAM-SHA-256-PLUS", true, false, scram_step},
	{"SCRAM-SHA-256", false, false, scram_step}, {"PLAIN", false, false, plain_step},
	{"LOGIN", false, false, login_step},
};

bool sasl_mechanism_fits(const struct sasl_mechanism *m, bool binding, bool external)
{
	return (!m->binding || binding) && (!m->external || external);
}

const struct sasl_mechanism *sasl_mechanism_next(const struct sasl_mechanism *m)
{
	const struct sasl_mechanism *next = m ? m + 1 : mechanisms;

	return next < mechanisms + ARRAY_LEN(mechanisms) ? next : NULL;
}

const struct sasl_mechanism *sasl_mechanism_find(struct slice name)
{
	const struct sasl_mechanism *m = NULL;

	while ((m = sasl_mechanism_next(m)))
		if (slice_ieq_str(name, m->name))
			break;
	return m;
}

const char *sasl_mechanism_name(const struct sasl_mechanism *m)
{
	return m->name;
}

void sasl_init(struct sasl *s, const struct sasl_mechanism *m, const struct sasl_terms *terms)
{
	memset(s, 0, offsetof(struct sasl, kept));
	s->terms = *terms;
	s->kept_len = 0;
	s->mechanism = m;
}

void sasl_done(struct sasl *s)
{
	OPENSSL_cleanse(s->kept, s->kept_len);
	s->kept_len = 0;
	scram_exchange_done(&s->scram);
	s->authzid = s->authcid = s->password = SLICE_EMPTY;
	s->state = SASL_DONE;
}

enum sasl_outcome sasl_step(struct sasl *s, bool has_message, struct slice message, struct buf *challenge)
{
	enum sasl_outcome out;

	ASSERT(s->state != SASL_DONE);
	/* Only the first message may be missing; a later one that is empty is still a message. */
	if (message.len > SASL_MESSAGE_MAX || (!has_message && s->state != SASL_START))
		out = SASL_MALFORMED;
	else
		out = s->mechanism->step(s, has_message, message, challenge);
	if (out != SASL_CHALLENGE && out != SASL_LOOKUP)
		s->state = SASL_DONE;
	return out;
}
