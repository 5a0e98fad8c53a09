/* The credentials file in the keys directory. Both calls may block: at start, or on the worker. */
#pragma once

#include "auth/credential.h"
#include "evio/disk.h"

#define STORE_FILE     "credentials"
#define STORE_KEY_FILE "key" /* 32 random octets, made at the first start */
#define STORE_KEY_LEN  32
#define STORE_FILE_NEW "credentials.new" /* what a crash while saving leaves; overwritten by the next save */

/* Fills an empty table. No file yet is an empty table. Errors name the file, and the line where there is one. */
MUST_CHECK enum err store_load(const struct disk *disk, struct credential_table *t, struct diag *d);
/* Replaces the file: once this returns ERR_OK the text survives a power cut; before, the old file does. */
MUST_CHECK enum err store_save(const struct disk *disk, struct slice text, struct diag *d);
/* The key of this relay: read, or put there if it is not yet. `fresh` is what it becomes then. */
MUST_CHECK enum err store_key(const struct disk *disk, const uint8_t fresh[STORE_KEY_LEN],
			      uint8_t ret[STORE_KEY_LEN], struct diag *d);
