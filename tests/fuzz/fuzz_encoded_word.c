/* Any octets as a header value: what comes out is UTF-8 without controls, at most three octets for one, and text without
 * encoded words comes out as it went in. */
#include "core/text.h"
#include "mail/encoded_word.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice value = slice_of(data, size);
	struct buf out;
	buf_init(&out, 3 * size + 1);
	encoded_word_decode(value, &out);
	ASSERT(out.failed == ERR_OK && out.len <= 3 * size);
	ASSERT(utf8_valid(buf_slice(&out)) && !slice_has_control(buf_slice(&out)));
	if (slice_find_slice(value, SLICE_LIT("=?")) == SLICE_NPOS && slice_is_ascii(value) &&
	    !slice_has_control(value))
		ASSERT(slice_eq(buf_slice(&out), value));
	buf_done(&out);
	return 0;
}
