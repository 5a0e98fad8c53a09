/* Any octets as each kind of record. What decodes, encodes to the same octets again: there is one form of every record. */
#include "core/arena.h"
#include "record/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ARENA_MAX (1u << 20)

static void same(struct buf *out, struct slice in)
{
	ASSERT(out->failed == ERR_OK && slice_eq(buf_slice(out), in));
	buf_clear(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);
	struct record_message m;
	struct record_verdict v;
	struct record_result r;
	struct arena a;
	struct buf out;
	arena_init(&a, ARENA_MAX);
	buf_init(&out, size + 1);
	if (record_message_decode(in, &a, &m) == ERR_OK) {
		record_message_encode(&m, &out);
		same(&out, in);
	}
	if (record_verdict_decode(in, &v) == ERR_OK) {
		record_verdict_encode(&v, &out);
		same(&out, in);
	}
	if (record_result_decode(in, &r) == ERR_OK) {
		record_result_encode(&r, &out);
		same(&out, in);
	}
	buf_done(&out);
	arena_done(&a);
	return 0;
}
