/* Pieces shared by the codecs of this folder: bounded slices, addresses, endings. Private to relay/wire. */
#pragma once

#include "core/buf.h"
#include "core/cursor.h"
#include "evio/net.h"

/* A slice with u32 length of at most `max` octets; a longer one makes the cursor fail. */
struct slice codec_slice(struct cursor *c, size_t max);
/* An octet of at most `max` (enumerations, flags). */
uint8_t codec_u8(struct cursor *c, uint8_t max);
void codec_add_addr(struct buf *out, const struct net_addr *a);
void codec_addr(struct cursor *c, struct net_addr *ret);
