/* A file of queued mail from another relay: its head, and any octets as each kind of meta. What decodes, encodes to the
 * same octets again. */
#include "relay/queue/transfer_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ARENA_MAX (1u << 20)

static void same(struct buf *out, struct slice in)
{
	ASSERT(out->failed == ERR_OK && slice_eq(buf_slice(out), in));
	buf_clear(out);
}

static void try_head(struct slice in)
{
	char octets[TRANSFER_HEAD];
	struct transfer_head h;
	if (in.len >= TRANSFER_HEAD && transfer_head_decode(in.ptr, &h) == ERR_OK) {
		transfer_head_encode(&h, octets);
		ASSERT(slice_eq(slice_of(octets, TRANSFER_HEAD), slice_sub(in, 0, TRANSFER_HEAD)));
	}
}

static void try_metas(struct slice in, struct arena *a, struct buf *out)
{
	struct transfer_begin b;
	struct transfer_message m;
	struct transfer_end e;
	struct diag d = {0};
	if (transfer_begin_decode(in, &b, &d) == ERR_OK) {
		transfer_begin_encode(&b, out);
		same(out, in);
	}
	if (transfer_message_decode(in, a, &m) == ERR_OK) {
		transfer_message_encode(&m, out);
		same(out, in);
	}
	if (transfer_end_decode(in, &e) == ERR_OK) {
		transfer_end_encode(&e, out);
		same(out, in);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);
	uint64_t export;
	struct arena a;
	struct buf out;
	arena_init(&a, ARENA_MAX);
	buf_init(&out, size + 1);
	try_head(in);
	try_metas(in, &a, &out);
	if (transfer_parse(in, &export) == ERR_OK) {
		char text[TRANSFER_TEXT_MAX];
		transfer_format(export, text);
		ASSERT(slice_ieq_str(in, text));
	}
	buf_done(&out);
	arena_done(&a);
	return 0;
}
