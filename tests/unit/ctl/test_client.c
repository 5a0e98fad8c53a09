#include "ctl/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct pair {
	struct ctl_client *client;
	int peer;
};

static struct pair connected(uint64_t timeout_ms)
{
	struct pair p = {0};
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(ctl_client_from_fd(fds[0], timeout_ms, &p.client, NULL), ERR_OK);
	p.peer = fds[1];
	return p;
}

static void disconnect(struct pair *p)
{
	ctl_client_close(p->client);
	base_close(&p->peer);
}

static void put(struct pair *p, struct slice s)
{
	assert_int_equal(write(p->peer, s.ptr, s.len), s.len);
}

static void test_request(void **state)
{
	struct pair p = connected(1000);
	struct ctl_fields f;
	struct ctl_frame frame;
	char octets[256];
	size_t used;

	ctl_fields_init(&f);
	ctl_add_str(&f, "id", "abc");
	assert_int_equal(ctl_client_request(p.client, CTL_QUEUE_SHOW, &f, NULL), ERR_OK);
	ctl_fields_done(&f);
	ssize_t n = read(p.peer, octets, sizeof(octets));
	assert_true(n > 0);
	assert_int_equal(ctl_decode(slice_of(octets, (size_t)n), CTL_REQUEST_MAX, &frame, &used, NULL),
			 ERR_OK);
	assert_int_equal(frame.verb, CTL_QUEUE_SHOW);
	assert_true(slice_eq_str(ctl_get_text(&frame.fields, "id", SLICE_EMPTY), "abc"));
	disconnect(&p);
}

static void test_answer(void **state)
{
	struct pair p = connected(1000);
	struct ctl_fields f;
	struct ctl_frame frame;
	struct buf b;

	buf_init(&b, CTL_FRAME_MAX);
	ctl_fields_init(&f);
	for (unsigned i = 0; i < 3; i++) {
		ctl_fields_clear(&f);
		ctl_add_u64(&f, "messages", i);
		assert_int_equal(ctl_encode_row(&b, CTL_T_QUEUE, &f), ERR_OK);
	}
	assert_int_equal(ctl_encode_end(&b, ERR_OK, SLICE_LIT("bye"), NULL), ERR_OK);
	put(&p, buf_slice(&b));
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(ctl_client_next(p.client, &frame, NULL), ERR_OK);
		assert_int_equal(frame.type, CTL_ROW);
		assert_int_equal(ctl_get_u64(&frame.fields, "messages", 9), i);
	}
	assert_int_equal(ctl_client_next(p.client, &frame, NULL), ERR_OK);
	assert_int_equal(frame.type, CTL_END);
	assert_true(slice_eq_str(frame.message, "bye"));
	ctl_fields_done(&f);
	buf_done(&b);
	disconnect(&p);
}

static void test_cut_off(void **state)
{
	struct pair p = connected(1000);
	struct ctl_frame frame;
	struct diag d = {0};

	put(&p, SLICE_LIT("\x20\0\0"));
	base_close(&p.peer);
	assert_int_equal(ctl_client_next(p.client, &frame, &d), ERR_CLOSED);
	assert_string_equal(d.text, "tidegated closed the connection before the end of its answer");
	disconnect(&p);
}

static void test_silent(void **state)
{
	struct pair p = connected(1);
	struct ctl_frame frame;
	struct diag d = {0};

	assert_int_equal(ctl_client_next(p.client, &frame, &d), ERR_TIMEOUT);
	assert_string_equal(d.text, "tidegated is connected but has not answered in 1 s");
	disconnect(&p);
}

static void test_nonsense(void **state)
{
	struct pair p = connected(1000);
	struct ctl_frame frame;
	struct diag d = {0};
	struct buf b;

	put(&p, SLICE_LIT("HTTP/1.1 400 Bad Request\r\n\r\n"));
	assert_int_equal(ctl_client_next(p.client, &frame, &d), ERR_LIMIT);
	disconnect(&p);
	p = connected(1000);
	buf_init(&b, CTL_FRAME_MAX);
	assert_int_equal(ctl_encode_request(&b, CTL_STATUS, NULL), ERR_OK);
	put(&p, buf_slice(&b));
	assert_int_equal(ctl_client_next(p.client, &frame, &d), ERR_CORRUPT);
	buf_done(&b);
	disconnect(&p);
}

static void test_nobody(void **state)
{
	char path[] = "/tmp/tidegate-test-XXXXXX", words[256];
	struct ctl_client *c = NULL;
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct diag d = {0};
	int fd;

	assert_non_null(mkdtemp(path));
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/s", path);
	assert_int_equal(ctl_client_open(un.sun_path, 0, &c, &d), ERR_CLOSED);
	snprintf(words, sizeof(words),
		 "tidegated does not answer on %s: No such file or directory. Is it running? (systemctl "
		 "status tidegate)",
		 un.sun_path);
	assert_string_equal(d.text, words);
	fd = socket(AF_UNIX, SOCK_STREAM, 0); /* bound, but nobody listens */
	assert_int_equal(bind(fd, (const struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(ctl_client_open(un.sun_path, 0, &c, &d), ERR_CLOSED);
	assert_non_null(strstr(d.text, ": Connection refused. Is it running?"));
	assert_null(c);
	close(fd);
	unlink(un.sun_path);
	rmdir(path);
}

static void test_path(void **state)
{
	char path[200];
	struct ctl_client *c = NULL;
	struct diag d = {0};

	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(ctl_client_open(path, 0, &c, &d), ERR_RANGE);
	assert_int_equal(ctl_client_open("", 0, &c, &d), ERR_RANGE);
	assert_string_equal(d.text, "\"\" cannot be the path of a socket: 1 to 107 octets");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),  cmocka_unit_test(test_answer),
		cmocka_unit_test(test_cut_off),  cmocka_unit_test(test_silent),
		cmocka_unit_test(test_nonsense), cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_path),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
