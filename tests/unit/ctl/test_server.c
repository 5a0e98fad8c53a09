#include "ctl/server.h"

#include "ctl/client.h"
#include "ctl/descriptor.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define TURNS 200 /* of at most 50 ms: a bound, not a wait */

/* A server on a real loop, and what it was told. Clients are plain descriptors. */
struct fixture {
	struct loop *loop;
	struct ctl_server *srv, *owner; /* parent's and owner's side */
	struct ctl_conn *conn;          /* of the last request */
	enum ctl_verb verb;
	unsigned requests, mores, closes;
	bool hand_over;
	int handed; /* -1 or the descriptor taken out */
	int file;   /* -1 or what on_file brought */
	unsigned files;
	struct buf raw;
};

static void on_request(void *ctx, struct ctl_conn *c, const struct ctl_frame *req, struct slice raw)
{
	struct fixture *f = ctx;

	f->requests++;
	f->conn = c;
	f->verb = req->verb;
	if (f->hand_over) {
		f->hand_over = false;
		buf_add(&f->raw, raw);
		f->handed = ctl_conn_release(c);
		f->conn = NULL;
	}
}

static void on_more(void *ctx, struct ctl_conn *c)
{
	((struct fixture *)ctx)->mores++;
}

static void on_close(void *ctx, struct ctl_conn *c)
{
	struct fixture *f = ctx;

	f->closes++;
	f->conn = NULL;
}

static void on_file(void *ctx, struct ctl_conn *c, int fd)
{
	struct fixture *f = ctx;

	assert_ptr_equal(c, f->conn);
	f->files++;
	f->file = fd;
}

static const struct ctl_events events = {on_request, on_more, on_close, on_file};

static int set_up(void **state)
{
	static struct fixture f;

	f = (struct fixture){.handed = -1, .file = -1};
	buf_init(&f.raw, CTL_REQUEST_MAX);
	if (loop_epoll_new(&f.loop, NULL) < 0 || ctl_server_new(f.loop, &events, &f, &f.srv, NULL) < 0 ||
	    ctl_server_new(f.loop, &events, &f, &f.owner, NULL) < 0)
		return -1;
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	ctl_server_free(f->srv);
	ctl_server_free(f->owner);
	loop_free(f->loop);
	buf_done(&f->raw);
	return 0;
}

/* A connected client whose other end the server has accepted. */
static int dial(struct fixture *f)
{
	static const struct stream_events none = {0};
	struct stream *s;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(stream_from_fd(f->loop, fds[0], &none, NULL, &s, NULL), ERR_OK);
	ctl_server_accept(f->srv, s);
	return fds[1];
}

static void turn_until(struct fixture *f, const unsigned *counter, unsigned value)
{
	for (int i = 0; i < TURNS && *counter < value; i++)
		loop_turn(f->loop, 50);
	assert_int_equal(*counter, value);
}

static void put(int fd, struct slice s)
{
	assert_int_equal(write(fd, s.ptr, s.len), s.len);
}

static void ask(int fd, enum ctl_verb verb)
{
	struct buf b;

	buf_init(&b, CTL_REQUEST_MAX);
	assert_int_equal(ctl_encode_request(&b, verb, NULL), ERR_OK);
	put(fd, buf_slice(&b));
	buf_done(&b);
}

/* Everything until the server closes; the last frame must be an END. Returns the rows before it. */
static unsigned read_answer(struct fixture *f, int fd, struct buf *all, struct ctl_frame *ret_end)
{
	size_t pos = 0, used = 0;
	unsigned rows = 0;
	char chunk[4096];

	for (int i = 0; i < TURNS * 100; i++) {
		ssize_t n = read(fd, chunk, sizeof(chunk));
		if (n == 0)
			break;
		if (n > 0)
			buf_add_mem(all, chunk, (size_t)n);
		else
			loop_turn(f->loop, 10);
	}
	for (;; pos += used) {
		assert_int_equal(
			ctl_decode(slice_from(buf_slice(all), pos), CTL_FRAME_MAX, ret_end, &used, NULL),
			ERR_OK);
		if (ret_end->type == CTL_END)
			break;
		rows++;
	}
	assert_int_equal(pos + used, all->len);
	return rows;
}

static void add_row(struct fixture *f, uint64_t messages, enum err wanted)
{
	struct ctl_fields fields;

	ctl_fields_init(&fields);
	ctl_add_u64(&fields, "messages", messages);
	ctl_add_null(&fields, "oldest");
	assert_int_equal(ctl_conn_row(f->conn, CTL_T_QUEUE, &fields), wanted);
	ctl_fields_done(&fields);
}

static void test_answer(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	struct ctl_frame end;
	struct buf all;

	buf_init(&all, 1 << 20);
	ask(fd, CTL_QUEUE_STATS);
	turn_until(f, &f->requests, 1);
	assert_int_equal(f->verb, CTL_QUEUE_STATS);
	assert_int_equal(ctl_server_connections(f->srv), 1);
	ctl_conn_set_data(f->conn, f);
	assert_ptr_equal(ctl_conn_data(f->conn), f);
	add_row(f, 1, ERR_OK);
	add_row(f, 2, ERR_OK);
	ctl_conn_end(f->conn, ERR_NOTFOUND, SLICE_LIT("no more"));
	assert_int_equal(read_answer(f, fd, &all, &end), 2);
	assert_int_equal(end.status, ERR_NOTFOUND);
	assert_true(slice_eq_str(end.message, "no more"));
	close(fd);
	turn_until(f, &f->closes, 1);
	assert_int_equal(ctl_server_connections(f->srv), 0);
	buf_done(&all);
}

/* In pieces of one octet. */
static void test_slow_request(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	struct buf b;

	buf_init(&b, CTL_REQUEST_MAX);
	assert_int_equal(ctl_encode_request(&b, CTL_STATUS, NULL), ERR_OK);
	for (size_t i = 0; i < b.len; i++) {
		assert_int_equal(f->requests, 0);
		put(fd, slice_sub(buf_slice(&b), i, 1));
		loop_turn(f->loop, 0);
	}
	turn_until(f, &f->requests, 1);
	ctl_conn_fail(f->conn, NULL);
	close(fd);
	turn_until(f, &f->closes, 1);
	buf_done(&b);
}

static void refused(struct fixture *f, struct slice octets, enum err status, const char *words)
{
	int fd = dial(f);
	struct ctl_frame end;
	struct buf all;

	buf_init(&all, 1 << 20);
	put(fd, octets);
	assert_int_equal(read_answer(f, fd, &all, &end), 0);
	assert_int_equal(end.status, status);
	if (!slice_eq_str(end.message, words))
		fail_msg("%.*s", SLICE_ARG(end.message));
	close(fd);
	buf_done(&all);
}

static void test_bad_requests(void **state)
{
	struct fixture *f = *state;
	struct buf two;

	refused(f, SLICE_LIT("GET / HTTP/1.0\r\n\r\n"), ERR_LIMIT,
		"control protocol: a frame of 542393671 octets is too long");
	refused(f, SLICE_LIT("\6\0\0\0\1\1\x7f\0\0\0"), ERR_UNSUPPORTED,
		"this tidegated does not know the request 127");
	refused(f, SLICE_LIT("\6\0\0\0\1\2\1\0\0\0"), ERR_CORRUPT, "control protocol: not a single request");
	buf_init(&two, CTL_REQUEST_MAX);
	assert_int_equal(ctl_encode_request(&two, CTL_STATUS, NULL), ERR_OK);
	assert_int_equal(ctl_encode_request(&two, CTL_STATUS, NULL), ERR_OK);
	refused(f, buf_slice(&two), ERR_CORRUPT, "control protocol: not a single request");
	buf_done(&two);
	assert_int_equal(f->requests, 0);
	assert_int_equal(f->closes, 0);
}

/* More octets after the request: the connection ends, the owner hears of it. */
static void test_talkative(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	ask(fd, CTL_STATUS);
	turn_until(f, &f->requests, 1);
	put(fd, SLICE_LIT("x"));
	turn_until(f, &f->closes, 1);
	close(fd);
}

static void test_client_leaves(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	ask(fd, CTL_STATUS);
	turn_until(f, &f->requests, 1);
	close(fd);
	turn_until(f, &f->closes, 1);
	assert_int_equal(ctl_server_connections(f->srv), 0);
	fd = dial(f); /* and one that never asks */
	close(fd);
	for (int i = 0; i < TURNS && ctl_server_connections(f->srv) > 0; i++)
		loop_turn(f->loop, 50);
	assert_int_equal(ctl_server_connections(f->srv), 0);
	assert_int_equal(f->closes, 1);
}

static void test_hand_over(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	struct ctl_frame end;
	struct buf all;

	buf_init(&all, 1 << 20);
	f->hand_over = true;
	ask(fd, CTL_QUEUE_LIST);
	turn_until(f, &f->requests, 1);
	assert_true(f->handed >= 0);
	assert_int_equal(ctl_server_connections(f->srv), 0);
	assert_int_equal(f->closes, 0);
	assert_int_equal(ctl_server_adopt(f->owner, f->handed, buf_slice(&f->raw), NULL), ERR_OK);
	assert_int_equal(f->requests, 1); /* never inside the call */
	turn_until(f, &f->requests, 2);
	assert_int_equal(f->verb, CTL_QUEUE_LIST);
	ctl_conn_end(f->conn, ERR_OK, SLICE_LIT("from the owner"));
	assert_int_equal(read_answer(f, fd, &all, &end), 0);
	assert_true(slice_eq_str(end.message, "from the owner"));
	close(fd);
	turn_until(f, &f->closes, 1);
	buf_done(&all);
}

static void test_bad_hand_over(void **state)
{
	struct fixture *f = *state;
	struct diag d = {0};
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(ctl_server_adopt(f->owner, fds[0], SLICE_LIT("\6\0\0"), &d), ERR_CORRUPT);
	char c;
	assert_int_equal(read(fds[1], &c, 1), 0); /* it was closed */
	close(fds[1]);
}

/* A reader that does not read: ERR_AGAIN, then ERR_LIMIT or more of it, and on_more when it goes on. */
static void test_slow_reader(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	struct ctl_frame end;
	struct ctl_fields fields;
	static char text[60000];
	struct buf all;
	enum err e = ERR_OK;
	unsigned rows = 0;

	memset(text, 'a', sizeof(text));
	buf_init(&all, 16 << 20);
	ask(fd, CTL_QUEUE_LIST);
	turn_until(f, &f->requests, 1);
	ctl_fields_init(&fields);
	ctl_add_text(&fields, "sender", slice_of(text, sizeof(text)));
	while (e == ERR_OK && rows < 200) {
		e = ctl_conn_row(f->conn, CTL_T_MESSAGE, &fields);
		rows++;
		loop_turn(f->loop, 0);
	}
	assert_int_equal(e, ERR_AGAIN);
	assert_int_equal(f->mores, 0);
	while (f->mores == 0 && all.len < (16u << 20) - sizeof(text)) {
		ssize_t n = read(fd, text, sizeof(text));
		if (n > 0)
			buf_add_mem(&all, text, (size_t)n);
		loop_turn(f->loop, 10);
	}
	assert_int_equal(f->mores, 1);
	ctl_conn_end(f->conn, ERR_OK, SLICE_EMPTY);
	assert_int_equal(read_answer(f, fd, &all, &end), rows);
	close(fd);
	turn_until(f, &f->closes, 1);
	ctl_fields_done(&fields);
	buf_done(&all);
}

/* ---- files ---- */

static void read_question(struct fixture *f, int fd)
{
	struct ctl_frame frame;
	char octets[64];
	size_t used;
	ssize_t n = -1;

	for (int i = 0; i < TURNS && n < 0; i++) {
		loop_turn(f->loop, 10);
		n = read(fd, octets, sizeof(octets));
	}
	assert_true(n > 0);
	assert_int_equal(ctl_decode(slice_of(octets, (size_t)n), CTL_FRAME_MAX, &frame, &used, NULL), ERR_OK);
	assert_int_equal(frame.type, CTL_FILE);
	assert_int_equal(used, n);
}

/* Asked for by the owner, after the connection was handed over: that is how it is used. */
static void test_file(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f), pipe_fds[2];
	struct ctl_frame end;
	struct buf all;
	char c;

	buf_init(&all, 4096);
	f->hand_over = true;
	ask(fd, CTL_QUEUE_STATS);
	turn_until(f, &f->requests, 1);
	assert_int_equal(ctl_server_adopt(f->owner, f->handed, buf_slice(&f->raw), NULL), ERR_OK);
	turn_until(f, &f->requests, 2);
	ctl_conn_ask_file(f->conn);
	read_question(f, fd);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(ctl_descriptor_send(fd, pipe_fds[1], NULL), ERR_OK);
	close(pipe_fds[1]);
	turn_until(f, &f->files, 1);
	put(f->file, SLICE_LIT("x"));
	assert_int_equal(read(pipe_fds[0], &c, 1), 1); /* it is that file */
	close(f->file);
	close(pipe_fds[0]);
	add_row(f, 1, ERR_OK);
	ctl_conn_end(f->conn, ERR_OK, SLICE_EMPTY);
	assert_int_equal(read_answer(f, fd, &all, &end), 1);
	close(fd);
	turn_until(f, &f->closes, 1);
	buf_done(&all);
}

/* Octets without a descriptor, or nothing at all but the end. */
static void test_file_not_given(void **state)
{
	struct fixture *f = *state;

	for (unsigned round = 1; round <= 2; round++) {
		int fd = dial(f);
		ask(fd, CTL_QUEUE_STATS);
		turn_until(f, &f->requests, round);
		ctl_conn_ask_file(f->conn);
		read_question(f, fd);
		if (round == 1)
			put(fd, SLICE_LIT("x"));
		else
			close(fd);
		turn_until(f, &f->closes, round);
		assert_int_equal(f->files, 0);
		assert_int_equal(ctl_server_connections(f->srv), 0);
		if (round == 1)
			close(fd);
	}
}

/* The server goes away while it waits. */
static void test_file_never(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);

	ask(fd, CTL_QUEUE_STATS);
	turn_until(f, &f->requests, 1);
	ctl_conn_ask_file(f->conn);
	read_question(f, fd);
	ctl_server_free(f->srv);
	f->srv = NULL;
	char c;
	assert_int_equal(read(fd, &c, 1), 0);
	assert_int_equal(f->closes, 0);
	close(fd);
}

static void test_busy(void **state)
{
	struct fixture *f = *state;
	int fds[CTL_CONNECTIONS], fd;
	struct ctl_frame end;
	struct buf all;

	buf_init(&all, 1 << 20);
	for (unsigned i = 0; i < CTL_CONNECTIONS; i++)
		fds[i] = dial(f);
	fd = dial(f);
	assert_int_equal(read_answer(f, fd, &all, &end), 0);
	assert_int_equal(end.status, ERR_BUSY);
	close(fd);
	for (unsigned i = 0; i < CTL_CONNECTIONS; i++)
		close(fds[i]);
	buf_done(&all);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_answer),        TEST(test_slow_request),   TEST(test_bad_requests),
		TEST(test_talkative),     TEST(test_client_leaves),  TEST(test_hand_over),
		TEST(test_bad_hand_over), TEST(test_slow_reader),    TEST(test_busy),
		TEST(test_file),          TEST(test_file_not_given), TEST(test_file_never),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
