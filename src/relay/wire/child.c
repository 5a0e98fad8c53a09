#include "relay/wire/child.h"

#include "relay/wire/codec.h"

void wire_config_encode(const struct wire_config *m, struct buf *out)
{
	buf_add_u64(out, m->epoch);
}

enum err wire_config_decode(struct slice in, struct wire_config *ret)
{
	struct cursor c = cursor_of(in);
	*ret = (struct wire_config){.epoch = cursor_u64(&c)};
	return cursor_finish(&c);
}

void wire_secrets_encode(const struct wire_secrets *m, struct buf *out)
{
	buf_add_u64(out, m->epoch);
	buf_add_u32(out, m->certificate_len);
	buf_add_u32(out, m->key_len);
	buf_add_u32(out, m->ticket_len);
}

enum err wire_secrets_decode(struct slice in, struct wire_secrets *ret)
{
	struct cursor c = cursor_of(in);
	ret->epoch = cursor_u64(&c);
	ret->certificate_len = cursor_u32(&c);
	ret->key_len = cursor_u32(&c);
	ret->ticket_len = cursor_u32(&c);
	return cursor_finish(&c);
}

void wire_listener_encode(const struct wire_listener *m, struct buf *out)
{
	buf_add_u64(out, m->epoch);
	buf_add_u32(out, m->listener);
}

enum err wire_listener_decode(struct slice in, struct wire_listener *ret)
{
	struct cursor c = cursor_of(in);
	ret->epoch = cursor_u64(&c);
	ret->listener = cursor_u32(&c);
	return cursor_finish(&c);
}

void wire_peer_encode(const struct wire_peer *m, struct buf *out)
{
	buf_add_u8(out, (uint8_t)m->role);
	buf_add_u32(out, m->slot);
	buf_add_u32(out, m->serial);
}

enum err wire_peer_decode(struct slice in, struct wire_peer *ret)
{
	struct cursor c = cursor_of(in);
	ret->role = (enum wire_role)codec_u8(&c, ROLE_COUNT - 1);
	ret->slot = cursor_u32(&c);
	ret->serial = cursor_u32(&c);
	return cursor_finish(&c);
}

void wire_log_encode(const struct wire_log *m, struct buf *out)
{
	buf_add_u8(out, m->sink);
	buf_add_u8(out, m->level);
}

enum err wire_log_decode(struct slice in, struct wire_log *ret)
{
	struct cursor c = cursor_of(in);
	ret->sink = cursor_u8(&c);
	ret->level = cursor_u8(&c);
	return cursor_finish(&c);
}

void wire_dir_encode(const struct wire_dir *m, struct buf *out)
{
	buf_add_slice32(out, m->path);
}

enum err wire_dir_decode(struct slice in, struct wire_dir *ret)
{
	struct cursor c = cursor_of(in);
	ret->path = codec_slice(&c, 4096);
	return cursor_finish(&c);
}

void wire_ready_encode(const struct wire_ready *m, struct buf *out)
{
	buf_add_slice32(out, m->missing);
}

enum err wire_ready_decode(struct slice in, struct wire_ready *ret)
{
	struct cursor c = cursor_of(in);
	ret->missing = codec_slice(&c, WIRE_TEXT_MAX);
	return cursor_finish(&c);
}

void wire_heartbeat_encode(const struct wire_heartbeat *m, struct buf *out)
{
	ASSERT(m->count <= WIRE_COUNTERS_MAX);
	buf_add_slice32(out, m->trouble);
	buf_add_u32(out, m->count);
	for (uint32_t i = 0; i < m->count; i++) {
		buf_add_slice32(out, m->counters[i].name);
		buf_add_u64(out, m->counters[i].value);
	}
}

enum err wire_heartbeat_decode(struct slice in, struct wire_heartbeat *ret)
{
	struct cursor c = cursor_of(in);
	ret->trouble = codec_slice(&c, WIRE_TEXT_MAX);
	ret->count = cursor_u32(&c);
	if (ret->count > WIRE_COUNTERS_MAX)
		return ERR_CORRUPT;
	for (uint32_t i = 0; i < ret->count; i++) {
		ret->counters[i].name = codec_slice(&c, WIRE_NAME_MAX);
		ret->counters[i].value = cursor_u64(&c);
	}
	return cursor_finish(&c);
}
