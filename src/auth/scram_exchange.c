#include "auth/scram_exchange.h"

#include "core/text.h"

#include <openssl/crypto.h>
#include <string.h>

#define BINDING_NAME "tls-exporter"

/* ---- what is kept of the messages ---- */

static bool keep(struct scram_exchange *x, struct slice s, struct slice *ret)
{
	char *at = x->text + x->text_len;
	if (s.len > sizeof(x->text) - x->text_len)
		return false;
	if (s.len)
		memcpy(at, s.ptr, s.len);
	x->text_len += s.len;
	*ret = slice_of(at, s.len);
	return true;
}

/* saslname: "=2C" is a comma, "=3D" an equals sign, no other "=" may stand there. 1 to 255 octets of UTF-8. */
static bool keep_name(struct scram_exchange *x, struct slice coded, struct slice *ret)
{
	char name[SASL_IDENTITY_MAX];
	size_t n = 0;
	for (size_t i = 0; i < coded.len; i++, n++) {
		struct slice escape = slice_sub(coded, i, 3);
		if (n == sizeof(name))
			return false;
		name[n] = coded.ptr[i];
		if (name[n] != '=')
			continue;
		if (!slice_eq_str(escape, "=2C") && !slice_eq_str(escape, "=3D"))
			return false;
		name[n] = slice_eq_str(escape, "=2C") ? ',' : '=';
		i += 2;
	}
	struct slice s = slice_of(name, n);
	return n > 0 && !memchr(name, 0, n) && utf8_valid(s) && keep(x, s, ret);
}

/* ---- client-first-message ---- */

/* gs2-cbind-flag. "y": the client could bind, and thinks that we cannot; if we can somebody cut -PLUS out of our list. */
static bool binding_flag_ok(struct slice flag, const struct scram_terms *t)
{
	if (t->plus)
		return slice_eq_str(flag, "p=" BINDING_NAME) && t->binding.len > 0;
	return slice_eq_str(flag, "n") || (slice_eq_str(flag, "y") && !t->plus_offered);
}

static bool header_ok(struct scram_exchange *x, struct slice flag, struct slice authzid,
		      const struct scram_terms *t)
{
	struct slice prefix = SLICE_LIT("a=");
	if (!binding_flag_ok(flag, t))
		return false;
	if (authzid.len == 0)
		return true;
	return slice_starts(authzid, prefix) && keep_name(x, slice_from(authzid, prefix.len), &x->authzid);
}

static bool nonce_ok(struct slice nonce)
{
	for (size_t i = 0; i < nonce.len; i++)
		if (nonce.ptr[i] < '!' || nonce.ptr[i] > '~' || nonce.ptr[i] == ',')
			return false;
	return nonce.len > 0 && nonce.len <= SCRAM_CLIENT_NONCE_MAX;
}

/* Behind the header: "n=name,r=nonce" and extensions, which are not known and so not wanted. "m=" (mandatory extension)
 * does not begin with "n=" and is refused. */
static bool bare_ok(struct scram_exchange *x, struct slice bare, const struct scram_terms *t)
{
	struct slice rest = bare, name = slice_split(&rest, ','), nonce = slice_split(&rest, ',');
	struct slice ours;
	if (!slice_starts(name, SLICE_LIT("n=")) || !slice_starts(nonce, SLICE_LIT("r=")))
		return false;
	nonce = slice_from(nonce, 2);
	if (!nonce_ok(nonce) || !keep_name(x, slice_from(name, 2), &x->authcid) || !keep(x, bare, &x->bare) ||
	    !keep(x, nonce, &x->nonce) || !keep(x, t->nonce, &ours))
		return false;
	x->nonce.len += ours.len; /* they stand one behind the other */
	return true;
}

enum err scram_first(struct scram_exchange *x, struct slice message, const struct scram_terms *t)
{
	struct slice rest = message, flag, authzid;
	memset(x, 0, sizeof(*x));
	ASSERT(t->binding.len <= sizeof(x->binding) && t->nonce.len > 0);
	flag = slice_split(&rest, ',');
	authzid = slice_split(&rest, ',');
	if (!rest.ptr || !header_ok(x, flag, authzid, t) || !bare_ok(x, rest, t) ||
	    !keep(x, slice_sub(message, 0, message.len - rest.len), &x->gs2))
		return ERR_SYNTAX;
	x->plus = t->plus;
	x->binding_len = t->plus ? t->binding.len : 0;
	if (x->binding_len)
		memcpy(x->binding, t->binding.ptr, x->binding_len);
	return ERR_OK;
}

/* ---- server-first-message ---- */

void scram_challenge(struct scram_exchange *x, const struct scram_verifier *v, struct buf *out)
{
	CLEANUP(buf_done) struct buf b = {0};
	x->verifier = *v;
	buf_init(&b, SCRAM_TEXT_MAX);
	buf_printf(&b, "r=%.*s,s=", SLICE_ARG(x->nonce));
	base64_encode(&b, slice_of(v->salt, v->salt_len));
	buf_printf(&b, ",i=%u", v->iterations);
	if (b.failed || !keep(x, buf_slice(&b), &x->server_first))
		out->failed = ERR_NOMEM;
	else
		buf_add(out, buf_slice(&b));
}

/* ---- client-final-message ---- */

/* "c=" must be the header and, with -PLUS, this channel's data: what a man in the middle cannot have made. */
static enum err check_binding(const struct scram_exchange *x, struct slice coded)
{
	CLEANUP(buf_done) struct buf given = {0}, wanted = {0};
	buf_init(&given, SCRAM_TEXT_MAX);
	buf_init(&wanted, SCRAM_TEXT_MAX);
	if (!slice_starts(coded, SLICE_LIT("c=")) || base64_decode(&given, slice_from(coded, 2)) ||
	    given.failed)
		return ERR_SYNTAX;
	buf_add(&wanted, x->gs2);
	buf_add_mem(&wanted, x->binding, x->binding_len);
	return !wanted.failed && slice_eq(buf_slice(&given), buf_slice(&wanted)) ? ERR_OK : ERR_PERM;
}

static enum err decode_proof(struct slice coded, uint8_t ret[SCRAM_KEY_LEN])
{
	CLEANUP(buf_done) struct buf proof = {0};
	buf_init(&proof, SCRAM_KEY_LEN + 2);
	if (!slice_starts(coded, SLICE_LIT("p=")) || base64_decode(&proof, slice_from(coded, 2)) ||
	    proof.failed || proof.len != SCRAM_KEY_LEN)
		return ERR_SYNTAX;
	memcpy(ret, proof.data, SCRAM_KEY_LEN);
	return ERR_OK;
}

static enum err check_proof(struct scram_exchange *x, struct slice without_proof,
			    const uint8_t proof[SCRAM_KEY_LEN], struct buf *out)
{
	CLEANUP(buf_done) struct buf auth = {0};
	uint8_t signature[SCRAM_KEY_LEN];
	buf_init(&auth, 3 * SCRAM_TEXT_MAX);
	buf_printf(&auth, "%.*s,%.*s,%.*s", SLICE_ARG(x->bare), SLICE_ARG(x->server_first),
		   SLICE_ARG(without_proof));
	if (auth.failed || !scram_prove(&x->verifier, buf_slice(&auth), proof, signature))
		return ERR_PERM;
	buf_add_str(out, "v=");
	base64_encode(out, slice_of(signature, sizeof(signature)));
	return ERR_OK;
}

enum err scram_final(struct scram_exchange *x, struct slice message, struct buf *out)
{
	size_t comma = slice_rfind(message, ',');
	struct slice rest = slice_sub(message, 0, MIN(comma, message.len)), without_proof = rest;
	uint8_t proof[SCRAM_KEY_LEN];
	if (comma == SLICE_NPOS || decode_proof(slice_from(message, comma + 1), proof))
		return ERR_SYNTAX;
	struct slice binding = slice_split(&rest, ','), nonce = slice_split(&rest, ',');
	if (!slice_starts(nonce, SLICE_LIT("r=")))
		return ERR_SYNTAX;
	enum err e = check_binding(x, binding);
	if (!e && !slice_eq(slice_from(nonce, 2), x->nonce))
		e = ERR_PERM;
	return e ? e : check_proof(x, without_proof, proof, out);
}

void scram_exchange_done(struct scram_exchange *x)
{
	OPENSSL_cleanse(x, sizeof(*x));
}
