#include "relay/wire/codec.h"

#include "relay/wire/wire.h"

#include <string.h>

struct slice codec_slice(struct cursor *c, size_t max)
{
	struct slice s = cursor_slice32(c);
	if (s.len <= max)
		return s;
	c->failed = true;
	return SLICE_EMPTY;
}

uint8_t codec_u8(struct cursor *c, uint8_t max)
{
	uint8_t v = cursor_u8(c);
	if (v <= max)
		return v;
	c->failed = true;
	return 0;
}

void codec_add_addr(struct buf *out, const struct net_addr *a)
{
	buf_add_slice32(out, slice_of(&a->u, a->len));
}

void codec_addr(struct cursor *c, struct net_addr *ret)
{
	struct slice s = codec_slice(c, sizeof(ret->u));
	memset(ret, 0, sizeof(*ret));
	if (s.len)
		memcpy(&ret->u, s.ptr, s.len);
	ret->len = (socklen_t)s.len;
}

const char *wire_role_name(enum wire_role r)
{
	static const char *const names[ROLE_COUNT] = {"parent", "smtpd",    "auth",
						      "queue",  "resolver", "smtpc"};
	ASSERT(r < ROLE_COUNT);
	return names[r];
}
