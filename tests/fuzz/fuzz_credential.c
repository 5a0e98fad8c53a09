/* Any text as a credentials file: refused with "file:line: why", or accepted and then written back with the same
 * lines. */
#include "auth/credential.h"

#include "core/mem.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The lines may come back in another order, but none longer, shorter or fewer. */
static void write_back(const struct credential_table *t, size_t size)
{
	struct credential_table again;
	struct buf first, second;

	buf_init(&first, AUTH_CREDENTIALS_FILE);
	buf_init(&second, AUTH_CREDENTIALS_FILE);
	credential_table_init(&again);
	ASSERT(credential_write(t, &first) == ERR_OK);
	ASSERT(first.len == size);
	ASSERT(credential_parse(&again, buf_slice(&first), "again", NULL) == ERR_OK);
	ASSERT(credential_count(&again) == credential_count(t));
	ASSERT(credential_write(&again, &second) == ERR_OK);
	ASSERT(slice_eq(buf_slice(&first), buf_slice(&second)));
	credential_table_done(&again);
	buf_done(&first);
	buf_done(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct credential_table t;
	struct diag d = {0};

	credential_table_init(&t);
	if (credential_parse(&t, slice_of(data, size), "file", &d) == ERR_OK) {
		write_back(&t, size);
	} else {
		ASSERT(strncmp(d.text, "file:", 5) == 0);
		ASSERT(credential_count(&t) == 0);
	}
	credential_table_done(&t);
	return 0;
}
