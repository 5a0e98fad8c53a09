/* The credentials file in the keys directory. Both calls may block: at start, or on the worker. */
#pragma once

#include "auth/credential.h"
#include "evio/disk.h"

#define STORE_FILE     "credentials"
#define STORE_FILE_NEW "credentials.new" /* what a crash while saving leaves; overwritten by the next save */

/* Fills an empty table. No file yet is an empty table. Errors name the file, and the line where there is one. */
MUST_CHECK enum err store_load(const struct disk *disk, struct credential_table *t, struct diag *d);
/* Replaces the file: once this returns ERR_OK the text survives a power cut; before, the old file does. */
MUST_CHECK enum err store_save(const struct disk *disk, struct slice text, struct diag *d);
