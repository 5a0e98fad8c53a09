/* A configuration as octets: the parent sends it to its children in a memfd. Driven by the schema table.
 *
 *     u32 magic "TGCF", u16 version, u16 0, u32 CRC-32C of the schema's names and kinds, u64 epoch number,
 *     values in the order of the schema, u32 CRC-32C of all before it
 *
 * Both ends are the same binary; the CRC of the schema catches the upgrade during which they are not.
 */
#pragma once

#include "conf/conf.h"
#include "core/buf.h"

#define CONF_EPOCH_VERSION 1

/* Appends; out->max should be CONF_EPOCH_MAX or more. ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err conf_epoch_encode(const struct conf *c, uint64_t epoch, struct buf *out);

/* Whole input. ERR_CORRUPT, ERR_UNSUPPORTED (another version or schema), ERR_LIMIT, ERR_NOMEM. *ret is owned:
 * conf_unref. Values are checked as if they had been read from a file. */
MUST_CHECK enum err conf_epoch_decode(struct slice in, struct conf **ret, uint64_t *ret_epoch,
				      struct diag *d);
