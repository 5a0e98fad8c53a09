/* A list of edits from a record that may be damaged. Input: u16 octets of content, then the list. What passes the check gives
 * pieces in order, within the content, of the length that was told. */
#include "mail/edits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(slice_of(data, size));
	uint64_t content = cursor_u16(&c), length, total = 0, end = 0;
	struct slice list = c.failed ? SLICE_EMPTY : slice_of(data + 2, size - 2);
	struct edits_iter it;
	struct edits_piece p;
	if (edits_check(list, content, &length) != ERR_OK)
		return 0;
	edits_iter_init(&it, list, content);
	for (uint32_t n = 0; edits_next(&it, &p); n++) {
		ASSERT(n <= 2 * EDITS_OPS_MAX);
		if (p.literal) {
			ASSERT(p.text.len > 0 && p.text.ptr >= list.ptr &&
			       p.text.ptr + p.text.len <= list.ptr + list.len);
			total += p.text.len;
			continue;
		}
		ASSERT(p.len > 0 && p.offset >= end && p.len <= content - p.offset);
		end = p.offset + p.len;
		total += p.len;
	}
	ASSERT(total == length);
	return 0;
}
