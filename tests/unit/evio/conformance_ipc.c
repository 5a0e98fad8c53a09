#include "conformance.h"

#include "core/mem.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* One end of a channel. Frames become text: "type:payload[descriptors' content];". */
struct chan {
	struct fixture *f;
	struct ipc *c; /* owned */
	struct buf log;
	unsigned frames, drains, closes;
	size_t octets;
	struct diag why;
	bool count_only, keep_fds, free_at_frame, free_at_close, pause_at_frame, mirror;
	int kept[2 * IPC_FDS_MAX];
	unsigned nkept;
	const char *wanted; /* chan_has */
};

static void log_descriptor(struct chan *c, int *fd)
{
	char text[32];
	ssize_t n = pread(*fd, text, sizeof(text), 0);

	assert_true(n >= 0);
	buf_printf(&c->log, "[%.*s]", (int)n, text);
	if (c->keep_fds) {
		c->kept[c->nkept++] = *fd;
		*fd = -1;
	}
}

static void on_frame(void *ctx, struct ipc_frame *f)
{
	struct chan *c = ctx;

	c->frames++;
	c->octets += f->payload.len;
	if (!c->count_only) {
		buf_printf(&c->log, "%u:%.*s", f->type, SLICE_ARG(f->payload));
		for (unsigned i = 0; i < f->nfds; i++)
			log_descriptor(c, &f->fds[i]);
		buf_add_char(&c->log, ';');
	}
	if (c->mirror)
		assert_int_equal(ipc_send(c->c, f->type + 1, f->payload, f->fds, f->nfds), ERR_OK);
	if (c->pause_at_frame)
		ipc_pause(c->c, true);
	if (c->free_at_frame) {
		ipc_free(c->c);
		c->c = NULL;
	}
}

static void on_drain(void *ctx)
{
	struct chan *c = ctx;
	c->drains++;
}

static void on_close(void *ctx, const struct diag *why)
{
	struct chan *c = ctx;
	c->closes++;
	c->why = *why;
	if (c->free_at_close) {
		ipc_free(c->c);
		c->c = NULL;
	}
}

static const struct ipc_events events = {on_frame, on_drain, on_close};

static void chan_init(struct chan *c, struct fixture *f, int fd)
{
	*c = (struct chan){.f = f};
	buf_init(&c->log, 1 << 20);
	assert_int_equal(ipc_new(f->loop, fd, &events, c, &c->c, NULL), ERR_OK);
}

static void chan_done(struct chan *c)
{
	assert_true(c->closes <= 1);
	ipc_free(c->c);
	buf_done(&c->log);
}

static void chans(struct fixture *f, struct chan *a, struct chan *b)
{
	int fds[2];

	assert_int_equal(ipc_pair(f->loop, fds, NULL), ERR_OK);
	chan_init(a, f, fds[0]);
	chan_init(b, f, fds[1]);
}

static bool chan_has(void *ctx)
{
	const struct chan *c = ctx;
	return slice_eq_str(buf_slice(&c->log), c->wanted);
}

static bool chan_closed(void *ctx)
{
	const struct chan *c = ctx;
	return c->closes > 0;
}

static bool chan_drained(void *ctx)
{
	const struct chan *c = ctx;
	return c->drains > 0;
}

static void expect(struct chan *c, const char *text)
{
	c->wanted = text;
	if (!run_until(c->f, chan_has, c))
		fail_msg("wanted %s, got %s", text, buf_cstr(&c->log));
}

static void send_text(struct chan *c, uint16_t type, const char *text)
{
	assert_int_equal(ipc_send(c->c, type, slice_str(text), NULL, 0), ERR_OK);
}

/* ---- frames ---- */

static void test_frames_keep_their_order(void **state)
{
	struct fixture *f = *state;
	struct chan a, b;

	chans(f, &a, &b);
	send_text(&a, 1, "one");
	send_text(&a, 65535, "");
	send_text(&a, 3, "three");
	send_text(&b, 4, "back");
	assert_int_equal(ipc_unsent(a.c), 8 + 3 + 8 + 8 + 5);
	assert_int_equal(b.frames, 0);
	expect(&b, "1:one;65535:;3:three;");
	expect(&a, "4:back;");
	assert_int_equal(ipc_unsent(a.c), 0);
	chan_done(&a);
	chan_done(&b);
}

struct count {
	struct chan *c;
	unsigned frames;
};

static bool has_frames(void *ctx)
{
	const struct count *x = ctx;
	return x->c->frames >= x->frames;
}

static void test_sizes(void **state)
{
	struct fixture *f = *state;
	struct chan a, b;
	char *text = mem_alloc(IPC_PAYLOAD_MAX);
	size_t total = 0;
	struct count x = {&b, 0};

	chans(f, &a, &b);
	b.count_only = true;
	for (size_t n = IPC_PAYLOAD_MAX; n; n /= 3, x.frames++) {
		assert_int_equal(ipc_send(a.c, 7, slice_of(text, n), NULL, 0), ERR_OK);
		total += n;
	}
	RUN_UNTIL(f, has_frames, &x);
	assert_int_equal(b.frames, x.frames);
	assert_int_equal(b.octets, total);
	mem_free(text);
	chan_done(&a);
	chan_done(&b);
}

static void test_flush_sends_now(void **state)
{
	struct fixture *f = *state;
	struct chan a, b;

	chans(f, &a, &b);
	send_text(&a, 1, "x");
	ipc_flush(a.c);
	assert_int_equal(ipc_unsent(a.c), 0);
	expect(&b, "1:x;");
	chan_done(&a);
	chan_done(&b);
}

static void test_pause(void **state)
{
	struct fixture *f = *state;
	struct chan a, b;

	chans(f, &a, &b);
	b.pause_at_frame = true;
	send_text(&a, 1, "a");
	send_text(&a, 2, "b");
	send_text(&a, 3, "c");
	expect(&b, "1:a;");
	run_for(f, 5);
	expect(&b, "1:a;");
	ipc_pause(b.c, false);
	assert_int_equal(b.frames, 1);
	expect(&b, "1:a;2:b;");
	b.pause_at_frame = false;
	ipc_pause(b.c, false);
	expect(&b, "1:a;2:b;3:c;");
	chan_done(&a);
	chan_done(&b);
}

/* ---- descriptors ---- */

static int file_with(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static unsigned open_descriptors(void)
{
	unsigned n = 0;

	for (int i = 0; i < 1024; i++)
		n += is_open(i);
	return n;
}

static void test_descriptors_come_with_their_frames(void **state)
{
	struct fixture *f = *state;
	struct chan a, b;
	int fds[6];
	char name[2] = "A";

	chans(f, &a, &b);
	for (unsigned i = 0; i < 6; i++, name[0]++)
		fds[i] = file_with(name);
	send_text(&a, 1, "none");
	assert_int_equal(ipc_send(a.c, 2, SLICE_LIT("four"), fds, 4), ERR_OK);
	assert_int_equal(ipc_send(a.c, 3, SLICE_LIT("one"), fds + 4, 1), ERR_OK);
	assert_int_equal(ipc_send(a.c, 4, SLICE_EMPTY, fds + 5, 1), ERR_OK);
	send_text(&a, 5, "none");
	for (unsigned i = 0; i < 6; i++)
		close(fds[i]); /* the channel has its own */
	expect(&b, "1:none;2:four[A][B][C][D];3:one[E];4:[F];5:none;");
	chan_done(&a);
	chan_done(&b);
}

static void test_descriptors_not_taken_are_closed(void **state)
{
	struct fixture *f = *state;
	struct chan a, b;
	int fd = file_with("x");
	unsigned before;

	chans(f, &a, &b);
	before = open_descriptors();
	b.keep_fds = true;
	assert_int_equal(ipc_send(a.c, 1, SLICE_EMPTY, &fd, 1), ERR_OK);
	expect(&b, "1:[x];");
	assert_int_equal(b.nkept, 1);
	assert_true(is_open(b.kept[0]));
	close(b.kept[0]);
	b.keep_fds = false;
	assert_int_equal(ipc_send(a.c, 2, SLICE_EMPTY, &fd, 1), ERR_OK);
	expect(&b, "1:[x];2:[x];");
	run_for(f, 1);
	assert_int_equal(open_descriptors(), before);
	/* Those that never left, and those that nobody read. */
	ipc_pause(b.c, true);
	assert_int_equal(ipc_send(a.c, 3, SLICE_EMPTY, &fd, 1), ERR_OK);
	ipc_flush(a.c);
	assert_int_equal(ipc_send(a.c, 3, SLICE_EMPTY, &fd, 1), ERR_OK);
	chan_done(&a);
	chan_done(&b);
	assert_int_equal(open_descriptors(), before - (f->backend->simulated ? 0 : 2));
	close(fd);
}

/* A connection is handed from one process to another: the back end's own descriptors travel like the kernel's. */
static void test_a_connection_is_passed(void **state)
{
	struct fixture *f = *state;
	struct chan a, b;
	struct end x, y;

	chans(f, &a, &b);
	pair_ends(f, &x, &y);
	int fd = stream_release(y.s);
	assert_true(fd >= 0);
	y.s = NULL;
	assert_int_equal(ipc_send(a.c, 1, SLICE_EMPTY, &fd, 1), ERR_OK);
	f->loop->ops->close(f->loop, fd);
	b.count_only = true;
	say(&x, "for whoever has it");
	b.mirror = true; /* and back again */
	struct count n = {&a, 1};
	a.count_only = true;
	RUN_UNTIL(f, has_frames, &n);
	RUN_UNTIL(f, end_is_closed, &x); /* nobody took it at last, nor read what was said */
	end_done(&x);
	end_done(&y);
	chan_done(&a);
	chan_done(&b);
}

/* ---- what is wrong closes ---- */

static void feed(struct fixture *f, const void *octets, size_t n, const char *frames, enum err code)
{
	struct chan c;
	int fds[2];
	struct iovec iov = {(void *)octets, n};

	assert_int_equal(ipc_pair(f->loop, fds, NULL), ERR_OK);
	chan_init(&c, f, fds[0]);
	assert_int_equal(f->loop->ops->writev(f->loop, fds[1], &iov, 1), n);
	f->loop->ops->close(f->loop, fds[1]);
	RUN_UNTIL(f, chan_closed, &c);
	assert_string_equal(buf_cstr(&c.log), frames);
	assert_int_equal(c.why.code, code);
	assert_int_equal(ipc_send(c.c, 1, SLICE_EMPTY, NULL, 0), ERR_CLOSED);
	run_for(f, 5);
	assert_int_equal(c.closes, 1);
	chan_done(&c);
}

static void test_malformed_frames_close(void **state)
{
	struct fixture *f = *state;

	feed(f, "\1\0\0\0\2\0\0\0x", 9, "2:x;", ERR_CLOSED);      /* right */
	feed(f, "\1\0\0\0\2\0\0\0x\1\0", 11, "2:x;", ERR_CLOSED); /* an end inside a frame */
	feed(f, "\1\0\0\0\2\0\0\1x", 9, "", ERR_CORRUPT);         /* the zero is none */
	feed(f, "\1\0\0\0\2\0\5\0x", 9, "", ERR_CORRUPT);         /* five descriptors */
	feed(f, "\1\0\0\0\2\0\1\0x", 9, "", ERR_CORRUPT);         /* one descriptor that did not come */
	feed(f, "\xf9\xff\0\0\2\0\0\0", 8, "", ERR_CORRUPT);      /* longer than 64 KiB - 8 */
	feed(f, "\xff\xff\xff\xff\2\0\0\0", 8, "", ERR_CORRUPT);
	feed(f, "\1\0\0\0\2\0\0\0x\0\0\0\0\1\0\0\7", 17, "2:x;", ERR_CORRUPT); /* the second one */
}

static void test_descriptors_without_frames_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct chan c;
	int fds[2], file = file_with("x"), many[60];
	unsigned before = open_descriptors();

	for (unsigned i = 0; i < 60; i++)
		many[i] = file;
	assert_int_equal(ipc_pair(f->loop, fds, NULL), ERR_OK);
	chan_init(&c, f, fds[0]);
	for (int i = 0; i < 2; i++) /* octets of one frame's header, with far too many */
		assert_int_equal(f->loop->ops->send_fds(f->loop, fds[1], SLICE_LIT("\1"), many, 60), 1);
	RUN_UNTIL(f, chan_closed, &c);
	assert_int_equal(c.why.code, ERR_CORRUPT);
	chan_done(&c);
	f->loop->ops->close(f->loop, fds[1]);
	assert_int_equal(open_descriptors(), before);
	close(file);
}

static void test_close_is_told_once(void **state)
{
	struct fixture *f = *state;
	struct chan a, b;

	chans(f, &a, &b);
	send_text(&b, 9, "last words");
	ipc_flush(b.c);
	ipc_free(b.c);
	b.c = NULL;
	expect(&a, "9:last words;");
	RUN_UNTIL(f, chan_closed, &a);
	assert_int_equal(a.why.code, ERR_CLOSED);
	assert_int_equal(ipc_send(a.c, 1, SLICE_EMPTY, NULL, 0), ERR_CLOSED);
	run_for(f, 5);
	chan_done(&a);
	chan_done(&b);
}

static void test_free_inside_callbacks(void **state)
{
	struct fixture *f = *state;
	struct chan a, b;

	chans(f, &a, &b);
	b.free_at_frame = true;
	a.free_at_close = true;
	send_text(&a, 1, "a");
	send_text(&a, 2, "b");
	RUN_UNTIL(f, chan_closed, &a);
	assert_int_equal(b.frames, 1);
	assert_int_equal(b.closes, 0);
	assert_null(a.c);
	chan_done(&a);
	chan_done(&b);
}

/* ---- the cap ---- */

static void fill(struct chan *c)
{
	char *text = mem_alloc(IPC_PAYLOAD_MAX);
	enum err e;
	size_t sent = 0;

	while ((e = ipc_send(c->c, 1, slice_of(text, IPC_PAYLOAD_MAX), NULL, 0)) == ERR_OK)
		sent += IPC_PAYLOAD_MAX + 8;
	assert_int_equal(e, ERR_AGAIN);
	assert_in_range(sent, IPC_UNSENT_MAX - IPC_PAYLOAD_MAX - 8, IPC_UNSENT_MAX);
	assert_int_equal(ipc_unsent(c->c), sent);
	mem_free(text);
}

static void test_unsent_octets_are_capped_for_all(void **state)
{
	struct fixture *f = *state;
	struct chan a, b, c, d;

	chans(f, &a, &b);
	chans(f, &c, &d);
	b.count_only = true;
	ipc_pause(b.c, true);
	fill(&a);
	char *text = mem_alloc(IPC_PAYLOAD_MAX);
	assert_int_equal(ipc_send(c.c, 1, slice_of(text, IPC_PAYLOAD_MAX), NULL, 0), ERR_AGAIN);
	run_for(f, 5);
	assert_int_equal(c.drains, 0);
	if (f->backend->chunk_max != 1) { /* sixteen million turns show nothing more */
		ipc_pause(b.c, false);
		RUN_UNTIL(f, chan_drained, &c);
		RUN_UNTIL(f, chan_drained, &a);
		assert_in_range(f->loop->ipc_unsent, 0, IPC_UNSENT_MAX / 2);
		assert_int_equal(ipc_send(c.c, 1, slice_of(text, IPC_PAYLOAD_MAX), NULL, 0), ERR_OK);
	}
	mem_free(text);
	chan_done(&a);
	chan_done(&b);
	chan_done(&c);
	chan_done(&d);
}

static void test_a_dead_channel_frees_its_share(void **state)
{
	struct fixture *f = *state;
	struct chan a, b, c, d;

	chans(f, &a, &b);
	chans(f, &c, &d);
	ipc_pause(b.c, true);
	fill(&a);
	char *text = mem_alloc(IPC_PAYLOAD_MAX);
	assert_int_equal(ipc_send(c.c, 1, slice_of(text, IPC_PAYLOAD_MAX), NULL, 0), ERR_AGAIN);
	chan_done(&a);
	RUN_UNTIL(f, chan_drained, &c);
	assert_int_equal(ipc_send(c.c, 1, SLICE_LIT("now"), NULL, 0), ERR_OK);
	expect(&d, "1:now;");
	mem_free(text);
	chan_done(&b);
	chan_done(&c);
	chan_done(&d);
}

const struct CMUnitTest ipc_tests[] = {
	cmocka_unit_test(test_frames_keep_their_order),
	cmocka_unit_test(test_sizes),
	cmocka_unit_test(test_flush_sends_now),
	cmocka_unit_test(test_pause),
	cmocka_unit_test(test_descriptors_come_with_their_frames),
	cmocka_unit_test(test_descriptors_not_taken_are_closed),
	cmocka_unit_test(test_a_connection_is_passed),
	cmocka_unit_test(test_malformed_frames_close),
	cmocka_unit_test(test_descriptors_without_frames_are_bounded),
	cmocka_unit_test(test_close_is_told_once),
	cmocka_unit_test(test_free_inside_callbacks),
	cmocka_unit_test(test_unsent_octets_are_capped_for_all),
	cmocka_unit_test(test_a_dead_channel_frees_its_share),
};
const size_t ipc_tests_count = ARRAY_LEN(ipc_tests);
