#include "relay/queue/transfer_io.h"

#include "core/hash.h"
#include "core/mem.h"
#include "evio/worker.h"

#include <errno.h>
#include <unistd.h>

/* Apart from transfer_io, whose users have jobs of another kind. */
struct transfer_step {
	struct job job;
	struct transfer_io *io;
};

static struct transfer_io *io_of(struct job *j)
{
	return CONTAINER_OF(j, struct transfer_step, job)->io;
}

static bool fail(struct transfer_io *io, enum err status, int errnum)
{
	io->status = status;
	io->errnum = errnum;
	return false;
}

static uint64_t content_at(const struct transfer_io *io)
{
	return io->offset + TRANSFER_HEAD + io->head.meta_len + (io->head.content_len - io->left);
}

static uint64_t frame_end(const struct transfer_io *io)
{
	return io->offset + TRANSFER_HEAD + io->head.meta_len + io->head.content_len;
}

/* ---- writing, on the worker ---- */

static bool put(struct transfer_io *io, const char *p, size_t n, uint64_t offset)
{
	while (n > 0) {
		ssize_t done = pwrite(io->fd, p, n, (off_t)offset);
		if (done < 0 && errno != EINTR)
			return fail(io, ERR_IO, errno);
		size_t step = done > 0 ? (size_t)done : 0;
		p += step;
		n -= step;
		offset += step;
	}
	return true;
}

static bool copy_piece(struct transfer_io *io)
{
	size_t want = (size_t)MIN(io->left, (uint64_t)TRANSFER_PIECE);
	ssize_t n = pread(io->from, io->buffer, want, (off_t)io->from_offset);
	if (n <= 0) {
		io->source = true;
		return fail(io, ERR_IO, n < 0 ? errno : EIO); /* EIO: it is shorter than was said */
	}
	if (!put(io, io->buffer, (size_t)n, content_at(io)))
		return false;
	io->crc = crc32c(io->crc, io->buffer, (size_t)n);
	io->from_offset += (uint64_t)n;
	io->left -= (uint64_t)n;
	return true;
}

static bool put_head(struct transfer_io *io)
{
	char head[TRANSFER_HEAD];
	io->head.meta_crc = crc32c(0, io->meta.data, io->meta.len);
	io->head.content_crc = io->crc;
	transfer_head_encode(&io->head, head);
	return put(io, io->meta.data, io->meta.len, io->offset + TRANSFER_HEAD) &&
	       put(io, head, TRANSFER_HEAD, io->offset);
}

static void run_write(struct job *j)
{
	struct transfer_io *io = io_of(j);
	uint64_t until = io->left - MIN(io->left, (uint64_t)TRANSFER_STEP_MAX);
	bool good = true;
	while (good && io->left > until)
		good = copy_piece(io);
	if (good && io->left == 0 && put_head(io))
		io->offset = frame_end(io);
}

static void run_sync(struct job *j)
{
	struct transfer_io *io = io_of(j);
	if (fdatasync(io->fd) < 0)
		fail(io, ERR_IO, errno);
}

/* ---- reading, on the worker ---- */

static bool get(struct transfer_io *io, char *p, size_t n, uint64_t offset)
{
	while (n > 0) {
		ssize_t got = pread(io->fd, p, n, (off_t)offset);
		if (got == 0)
			return fail(io, ERR_CLOSED, 0);
		if (got < 0 && errno != EINTR)
			return fail(io, ERR_IO, errno);
		size_t step = got > 0 ? (size_t)got : 0;
		p += step;
		n -= step;
		offset += step;
	}
	return true;
}

static bool get_meta(struct transfer_io *io)
{
	buf_clear(&io->meta);
	enum err e = buf_reserve(&io->meta, io->head.meta_len);
	if (e)
		return fail(io, e, 0);
	if (!get(io, io->meta.data, io->head.meta_len, io->offset + TRANSFER_HEAD))
		return false;
	io->meta.len = io->head.meta_len;
	return crc32c(0, io->meta.data, io->meta.len) == io->head.meta_crc || fail(io, ERR_CORRUPT, 0);
}

static void run_read(struct job *j)
{
	struct transfer_io *io = io_of(j);
	char head[TRANSFER_HEAD];
	struct transfer_head next;
	uint64_t at = io->next;
	if (!get(io, head, sizeof(head), at))
		return;
	enum err e = transfer_head_decode(head, &next);
	if (e) {
		fail(io, e, 0);
		return;
	}
	io->head = next;
	io->offset = at;
	io->next = frame_end(io);
	io->left = io->head.content_len;
	io->crc = 0;
	get_meta(io);
}

static void run_piece(struct job *j)
{
	struct transfer_io *io = io_of(j);
	size_t n = (size_t)MIN(io->left, (uint64_t)TRANSFER_PIECE);
	if (!get(io, io->buffer, n, content_at(io)))
		return;
	io->piece = slice_of(io->buffer, n);
	io->crc = crc32c(io->crc, io->buffer, n);
	io->left -= n;
	if (io->left == 0 && io->crc != io->head.content_crc)
		fail(io, ERR_CORRUPT, 0);
}

/* ---- on the loop ---- */

static void on_done(struct job *j)
{
	struct transfer_io *io = io_of(j);
	io->done(io->ctx);
}

static void submit(struct transfer_io *io, void (*run)(struct job *j), void (*done)(void *ctx), void *ctx)
{
	io->status = ERR_OK;
	io->piece = SLICE_EMPTY;
	io->done = done;
	io->ctx = ctx;
	io->step->job = (struct job){.run = run, .done = on_done};
	worker_submit(io->worker, &io->step->job);
}

void transfer_io_frame(struct transfer_io *io, enum transfer_type type, int from, uint64_t offset,
		       uint64_t length)
{
	io->head = (struct transfer_head){
		.type = type, .meta_len = (uint32_t)io->meta.len, .content_len = length};
	io->from = from;
	io->from_offset = offset;
	io->left = length;
	io->crc = 0;
}

void transfer_io_write(struct transfer_io *io, void (*done)(void *ctx), void *ctx)
{
	submit(io, run_write, done, ctx);
}

void transfer_io_sync(struct transfer_io *io, void (*done)(void *ctx), void *ctx)
{
	submit(io, run_sync, done, ctx);
}

void transfer_io_read(struct transfer_io *io, void (*done)(void *ctx), void *ctx)
{
	submit(io, run_read, done, ctx);
}

void transfer_io_piece(struct transfer_io *io, void (*done)(void *ctx), void *ctx)
{
	submit(io, run_piece, done, ctx);
}

static void release(struct transfer_io *io)
{
	mem_free(io->step);
	mem_free(io->buffer);
	buf_done(&io->meta);
	base_close(&io->fd);
	*io = (struct transfer_io){.fd = -1};
}

enum err transfer_io_init(struct transfer_io *io, struct loop *l, int fd)
{
	*io = (struct transfer_io){.fd = fd};
	buf_init(&io->meta, TRANSFER_META_MAX);
	io->buffer = mem_alloc(TRANSFER_PIECE);
	io->step = NEW(struct transfer_step);
	enum err e = io->buffer && io->step ? worker_new(l, "transfer", &io->worker, NULL) : ERR_NOMEM;
	if (e) {
		release(io);
		return e;
	}
	io->step->io = io;
	return ERR_OK;
}

void transfer_io_done(struct transfer_io *io)
{
	if (!io->worker)
		return;
	worker_free(io->worker);
	release(io);
}
