/* What a broken or taken-over process can write into a channel.
 *
 * Input: u8 the longest piece that arrives at once (0: whole), u8 seed, then writes: u8 descriptors (0-7), u16 length
 * (little endian), octets. The frames that come out are compared with those of a plain reader of the same octets; with
 * descriptors in play only their upper bound is known. Afterwards no descriptor may be left. */
#include "core/cursor.h"
#include "core/hash.h"
#include "evio/ipc.h"
#include "evio/sim_priv.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 200000
#define FDS_MAX   7

struct run {
	struct loop *loop;
	struct ipc *c;
	struct buf octets; /* everything written */
	size_t frames;
	uint64_t digest;
	bool closed, fds_used;
	enum err why;
};

static uint64_t mix(uint64_t digest, uint16_t type, struct slice payload)
{
	uint8_t t[2] = {(uint8_t)type, (uint8_t)(type >> 8)};
	uint32_t crc = crc32c((uint32_t)digest, t, sizeof(t));

	return ((digest << 7) | (digest >> 57)) ^ crc32c(crc, payload.ptr, payload.len) ^ payload.len;
}

static void on_frame(void *ctx, struct ipc_frame *f)
{
	struct run *r = ctx;

	ASSERT(!r->closed && f->nfds <= IPC_FDS_MAX && f->payload.len <= IPC_PAYLOAD_MAX);
	r->frames++;
	r->digest = mix(r->digest, f->type, f->payload);
	for (unsigned i = 0; i < f->nfds; i++)
		ASSERT(f->fds[i] >= 0);
	if (f->nfds) { /* one is taken, the others are left to the channel */
		r->loop->ops->close(r->loop, f->fds[0]);
		f->fds[0] = -1;
	}
}

static void on_close(void *ctx, const struct diag *why)
{
	struct run *r = ctx;

	ASSERT(!r->closed);
	r->closed = true;
	r->why = why->code;
}

/* The same by the book: how many frames, and whether they end well. */
static void check(const struct run *r)
{
	struct slice rest = buf_slice(&r->octets);
	uint64_t digest = 0;
	size_t frames = 0;
	bool broken = false;

	while (!broken) {
		struct cursor c = cursor_of(rest);
		uint32_t len = cursor_u32(&c);
		uint16_t type = cursor_u16(&c);
		unsigned nfds = cursor_u8(&c), zero = cursor_u8(&c);
		if (c.failed)
			break;
		broken = len > IPC_PAYLOAD_MAX || nfds > IPC_FDS_MAX || zero != 0;
		struct slice payload = cursor_bytes(&c, broken ? 0 : len);
		if (broken || c.failed)
			break;
		broken = nfds > 0 && !r->fds_used;
		if (broken)
			break;
		digest = mix(digest, type, payload);
		frames++;
		rest = slice_from(rest, c.pos);
	}
	ASSERT(r->frames <= frames);
	if (!r->fds_used)
		ASSERT(r->frames == frames && r->digest == digest &&
		       r->why == (broken ? ERR_CORRUPT : ERR_CLOSED));
}

static void write_all(struct run *r, int fd, struct slice s, const int *fds, unsigned nfds)
{
	while (!r->closed) {
		ssize_t n = s.len ? r->loop->ops->send_fds(r->loop, fd, s, fds, nfds) : 0;
		if (n == -EAGAIN) {
			sim_run_for(r->loop, 0);
			continue;
		}
		if (n < 0)
			return;
		s = slice_from(s, (size_t)n);
		nfds = 0;
		if (s.len == 0)
			return;
	}
}

static void feed(struct run *r, struct cursor *c, int fd, int passed)
{
	int fds[FDS_MAX];

	for (unsigned i = 0; i < FDS_MAX; i++)
		fds[i] = passed;
	while (cursor_left(c) >= 3 && !r->closed) {
		unsigned nfds = cursor_u8(c) % (FDS_MAX + 1);
		size_t len = cursor_u16(c);
		len = MIN(len, cursor_left(c));
		struct slice s = cursor_bytes(c, len);
		r->fds_used |= nfds > 0 && len > 0;
		buf_add(&r->octets, s);
		write_all(r, fd, s, fds, nfds);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ipc_events events = {.on_frame = on_frame, .on_close = on_close};
	struct cursor c = cursor_of(slice_of(data, MIN(size, INPUT_MAX)));
	struct sim_options o = {.chunk_max = cursor_u8(&c), .seed = cursor_u8(&c)};
	struct run r = {.closed = false};
	int fds[2], passed[2];

	if (loop_sim_new(&o, &r.loop, NULL) != ERR_OK)
		return 0;
	buf_init(&r.octets, INPUT_MAX);
	ASSERT(ipc_pair(r.loop, fds, NULL) == ERR_OK && ipc_pair(r.loop, passed, NULL) == ERR_OK);
	ASSERT(ipc_new(r.loop, fds[0], &events, &r, &r.c, NULL) == ERR_OK);
	feed(&r, &c, fds[1], passed[0]);
	r.loop->ops->close(r.loop, fds[1]);
	sim_run_for(r.loop, 10);
	ASSERT(r.closed);
	check(&r);
	ipc_free(r.c);
	ASSERT(sim_self(r.loop)->net.open == 2); /* passed */
	loop_free(r.loop);
	buf_done(&r.octets);
	return 0;
}
