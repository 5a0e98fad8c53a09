#include "relay/wire/auth.h"

#include "relay/wire/codec.h"

void wire_auth_start_encode(const struct wire_auth_start *m, struct buf *out)
{
	buf_add_u64(out, m->ref);
	buf_add_slice32(out, m->mechanism);
	buf_add_u8(out, m->has_initial);
	buf_add_slice32(out, m->initial);
	buf_add_slice32(out, m->client);
	buf_add_u8(out, m->tls);
	buf_add_slice32(out, m->binding);
	buf_add_slice32(out, m->external);
}

enum err wire_auth_start_decode(struct slice in, struct wire_auth_start *ret)
{
	struct cursor c = cursor_of(in);
	ret->ref = cursor_u64(&c);
	ret->mechanism = codec_slice(&c, WIRE_NAME_MAX);
	ret->has_initial = codec_u8(&c, 1);
	ret->initial = codec_slice(&c, WIRE_SASL_MAX);
	ret->client = codec_slice(&c, WIRE_NAME_MAX);
	ret->tls = codec_u8(&c, 1);
	ret->binding = codec_slice(&c, WIRE_BINDING_MAX);
	ret->external = codec_slice(&c, WIRE_NAME_MAX);
	return cursor_finish(&c);
}

void wire_auth_step_encode(const struct wire_auth_step *m, struct buf *out)
{
	buf_add_u64(out, m->ref);
	buf_add_slice32(out, m->data);
}

enum err wire_auth_step_decode(struct slice in, struct wire_auth_step *ret)
{
	struct cursor c = cursor_of(in);
	ret->ref = cursor_u64(&c);
	ret->data = codec_slice(&c, WIRE_SASL_MAX);
	return cursor_finish(&c);
}

void wire_auth_cancel_encode(const struct wire_auth_cancel *m, struct buf *out)
{
	buf_add_u64(out, m->ref);
}

enum err wire_auth_cancel_decode(struct slice in, struct wire_auth_cancel *ret)
{
	struct cursor c = cursor_of(in);
	ret->ref = cursor_u64(&c);
	return cursor_finish(&c);
}

void wire_auth_verdict_encode(const struct wire_auth_verdict *m, struct buf *out)
{
	buf_add_u64(out, m->ref);
	buf_add_u8(out, (uint8_t)m->outcome);
	buf_add_slice32(out, m->server);
}

enum err wire_auth_verdict_decode(struct slice in, struct wire_auth_verdict *ret)
{
	struct cursor c = cursor_of(in);
	ret->ref = cursor_u64(&c);
	ret->outcome = (enum wire_auth_outcome)codec_u8(&c, WIRE_AUTH_LATER);
	ret->server = codec_slice(&c, WIRE_SASL_MAX);
	return cursor_finish(&c);
}
