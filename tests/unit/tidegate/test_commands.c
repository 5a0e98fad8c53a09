/* The program itself, against a control server in this process: exit statuses, words, and what is asked. */
#include "ctl/server.h"

#include "core/text.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TURNS 600 /* of at most 20 ms: a bound, not a wait */

static const char *program; /* from meson */

struct bench {
	char directory[64], socket[96];
	struct loop *loop;
	struct listener *listener;
	struct ctl_server *srv;
	void (*answer)(struct ctl_conn *c, const struct ctl_frame *req);
	struct buf asked; /* "queue.list server=x limit=3" */
	struct buf out, err;
};

/* --- server ----------------------------------------------------------------------------------------------- */

static void note_request(struct bench *b, const struct ctl_frame *req)
{
	struct ctl_field f;

	buf_add_str(&b->asked, ctl_verb_info(req->verb)->name);
	for (size_t pos = 0; ctl_view_next(&req->fields, &pos, &f);) {
		buf_printf(&b->asked, " %.*s=", SLICE_ARG(f.key));
		if (f.kind == CTL_TEXT)
			buf_add(&b->asked, f.v.text);
		else
			buf_printf(&b->asked, "%llu", (unsigned long long)f.v.u64);
	}
}

static void on_request(void *ctx, struct ctl_conn *c, const struct ctl_frame *req, struct slice raw)
{
	struct bench *b = ctx;

	note_request(b, req);
	b->answer(c, req);
}

static void on_accept(void *ctx, struct stream *s)
{
	ctl_server_accept(((struct bench *)ctx)->srv, s);
}

static int set_up(void **state)
{
	static const struct ctl_events events = {.on_request = on_request};
	static const struct listener_events accept_events = {.on_accept = on_accept};
	static struct bench b;
	struct net_addr a;
	char text[128];
	int fd;

	b = (struct bench){.directory = "/tmp/tidegate-test-XXXXXX"};
	buf_init(&b.asked, 4096);
	buf_init(&b.out, 1 << 20);
	buf_init(&b.err, 1 << 20);
	if (!mkdtemp(b.directory))
		return -1;
	snprintf(b.socket, sizeof(b.socket), "%s/control", b.directory);
	snprintf(text, sizeof(text), "unix:%s", b.socket);
	if (loop_epoll_new(&b.loop, NULL) < 0 || net_addr_parse(slice_str(text), 0, &a, NULL) < 0 ||
	    net_listen(b.loop, &a, 0600, &fd, NULL) < 0 ||
	    ctl_server_new(b.loop, &events, &b, &b.srv, NULL) < 0 ||
	    listener_new(b.loop, fd, &accept_events, &b, &b.listener, NULL) < 0)
		return -1;
	*state = &b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	ctl_server_free(b->srv);
	listener_free(b->listener);
	loop_free(b->loop);
	unlink(b->socket);
	buf_done(&b->asked);
	buf_done(&b->out);
	buf_done(&b->err);
	return rmdir(b->directory);
}

/* --- client ----------------------------------------------------------------------------------------------- */

static void collect(int fd, struct buf *out)
{
	char chunk[4096];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_add_mem(out, chunk, (size_t)n);
}

static pid_t start(const struct bench *b, const char *const *args, FILE *out, FILE *err)
{
	const char *argv[16] = {program, "--socket", b->socket};
	size_t n = 3;
	pid_t pid;

	while (*args && n + 1 < ARRAY_LEN(argv))
		argv[n++] = *args++;
	pid = fork();
	if (pid == 0) {
		dup2(fileno(out), STDOUT_FILENO);
		dup2(fileno(err), STDERR_FILENO);
		execv(program, (char *const *)argv);
		_exit(99);
	}
	return pid;
}

/* Runs the program to its end while the server answers; gives its exit status. */
static int run(struct bench *b, const char *const *args)
{
	FILE *out = tmpfile(), *err = tmpfile();
	pid_t pid;
	int status = -1;

	assert_true(out && err);
	buf_clear(&b->asked);
	buf_clear(&b->out);
	buf_clear(&b->err);
	pid = start(b, args, out, err);
	assert_true(pid > 0);
	for (int i = 0; i < TURNS && waitpid(pid, &status, WNOHANG) == 0; i++)
		loop_turn(b->loop, 20);
	if (status == -1) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	rewind(out);
	rewind(err);
	collect(fileno(out), &b->out);
	collect(fileno(err), &b->err);
	fclose(out);
	fclose(err);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define RUN(b, ...) run((b), (const char *const[]){__VA_ARGS__, NULL})

static void assert_has(struct buf *b, const char *piece)
{
	if (!strstr(buf_cstr(b), piece))
		fail_msg("\"%s\" is not in \"%s\"", piece, buf_cstr(b));
}

/* --- tests ------------------------------------------------------------------------------------------------ */

static void answer_health(struct ctl_conn *c, const char *health)
{
	struct ctl_fields f;

	ctl_fields_init(&f);
	ctl_add_str(&f, "health", health);
	ctl_add_str(&f, "reason", strcmp(health, "ok") == 0 ? NULL : "smtpc.1 is not running");
	ctl_add_u64(&f, "queued", 12);
	ctl_add_u64(&f, "accepted", 5);
	assert_int_equal(ctl_conn_row(c, CTL_T_RELAY, &f), ERR_OK);
	ctl_conn_end(c, ERR_OK, SLICE_EMPTY);
	ctl_fields_done(&f);
}

static void answer_ok(struct ctl_conn *c, const struct ctl_frame *req)
{
	answer_health(c, "ok");
}

static void answer_degraded(struct ctl_conn *c, const struct ctl_frame *req)
{
	answer_health(c, "degraded");
}

static void answer_down(struct ctl_conn *c, const struct ctl_frame *req)
{
	answer_health(c, "down");
}

static void test_status(void **state)
{
	struct bench *b = *state;

	b->answer = answer_ok;
	assert_int_equal(RUN(b, "status"), 0);
	assert_string_equal(buf_cstr(&b->asked), "status");
	assert_has(&b->out,
		   "OK - 12 messages queued, 5 accepted, 0 refused, 0 recipients delivered, 0 bounced\n\n");
	b->answer = answer_degraded;
	assert_int_equal(RUN(b, "status"), 1);
	assert_has(&b->out, "DEGRADED - 12 messages queued");
	assert_has(&b->out, " bounced: smtpc.1 is not running\n");
	assert_int_equal(RUN(b, "status", "--json"), 1);
	assert_has(&b->out, "\"health\": \"degraded\"");
	b->answer = answer_down;
	assert_int_equal(RUN(b, "status"), 2);
}

static void answer_refuse(struct ctl_conn *c, const struct ctl_frame *req)
{
	ctl_conn_end(c, ERR_NOTFOUND, SLICE_LIT("there is no server \"x\"\n\x1b[31m"));
}

static void test_refused(void **state)
{
	struct bench *b = *state;

	b->answer = answer_refuse;
	assert_int_equal(RUN(b, "server", "remove", "x"), 1);
	assert_string_equal(buf_cstr(&b->asked), "server.remove name=x");
	assert_string_equal(buf_cstr(&b->err), "tidegate: there is no server \"x\"\\n\\x1b[31m\n");
	assert_int_equal(b->out.len, 0);
	assert_int_equal(RUN(b, "status"), 2);
}

static void answer_empty(struct ctl_conn *c, const struct ctl_frame *req)
{
	ctl_conn_end(c, ERR_OK, SLICE_EMPTY);
}

static void test_arguments(void **state)
{
	struct bench *b = *state;

	b->answer = answer_empty;
	assert_int_equal(RUN(b, "queue", "list", "--limit", "3", "--server", "houston", "--state=deferred",
			     "--sender", "a@b", "--recipient", "@c"),
			 0);
	assert_string_equal(buf_cstr(&b->asked),
			    "queue.list limit=3 server=houston sender=a@b recipient=@c state=deferred");
	assert_string_equal(buf_cstr(&b->out), "no messages\n");
	assert_int_equal(RUN(b, "queue", "show", "A1", "--json"), 0);
	assert_string_equal(buf_cstr(&b->asked), "queue.show id=A1");
	assert_has(&b->out, "\"attempts\": []");
	assert_int_equal(RUN(b, "trace", "show", "A1"), 0);
	assert_string_equal(buf_cstr(&b->asked), "trace.show id=A1");
	assert_int_equal(RUN(b, "reload"), 0);
	assert_string_equal(buf_cstr(&b->out), "done\n");
}

static void answer_credential(struct ctl_conn *c, const struct ctl_frame *req)
{
	struct ctl_fields f;

	ctl_fields_init(&f);
	ctl_add_text(&f, "name", ctl_get_text(&req->fields, "name", SLICE_EMPTY));
	ctl_add_str(&f, "password", "s3cret");
	ctl_add_str(&f, "hostname", "relay.example.net");
	if (req->verb == CTL_SERVER_ADD)
		ctl_add_u64(&f, "port", 2587);
	ctl_add_str(&f, "tls", "starttls");
	assert_int_equal(ctl_conn_row(c, CTL_T_CREDENTIAL, &f), ERR_OK);
	ctl_conn_end(c, ERR_OK, SLICE_EMPTY);
	ctl_fields_done(&f);
}

static void test_credential(void **state)
{
	struct bench *b = *state;

	b->answer = answer_credential;
	assert_int_equal(RUN(b, "server", "add", "houston"), 0);
	assert_string_equal(buf_cstr(&b->asked), "server.add name=houston");
	assert_has(&b->out,
		   "houston may submit mail now. The password is shown this once only:\n\n    s3cret\n");
	assert_has(&b->out, "      port = 2587\n");
	assert_has(&b->out, "relayhost = [relay.example.net]:2587");
	assert_int_equal(RUN(b, "server", "rotate", "houston"), 0);
	assert_has(&b->out, "houston has a new password; the old one is no longer valid.");
	assert_has(&b->out, "The relay has no listener with TLS and authentication");
	assert_int_equal(RUN(b, "server", "add", "houston", "--json"), 0);
	assert_has(&b->out, "\"password\": \"s3cret\"");
	b->answer = answer_empty;
	assert_int_equal(RUN(b, "server", "add", "houston"), 1);
	assert_has(&b->err, "gave no credential");
}

static void answer_foreign(struct ctl_conn *c, const struct ctl_frame *req)
{
	struct ctl_fields f;

	ctl_fields_init(&f);
	assert_int_equal(ctl_conn_row(c, CTL_T_SERVER, &f), ERR_OK);
	ctl_conn_end(c, ERR_OK, SLICE_EMPTY);
	ctl_fields_done(&f);
}

static void test_foreign_table(void **state)
{
	struct bench *b = *state;

	b->answer = answer_foreign;
	assert_int_equal(RUN(b, "queue", "stats"), 2);
	assert_has(&b->err, "the answer of tidegated cannot be shown");
}

static void test_nobody(void **state)
{
	struct bench *b = *state;

	assert_int_equal(RUN(b, "--socket", "/nonexistent/control", "queue", "list"), 2);
	assert_string_equal(buf_cstr(&b->err), "tidegate: tidegated does not answer on /nonexistent/control: "
					       "No such file or directory. Is it "
					       "running? (systemctl status tidegate)\n");
	assert_int_equal(RUN(b, "--socket", "/nonexistent/control", "status", "--json"), 2);
	assert_has(&b->out, "\"health\": \"down\"");
}

static void test_usage(void **state)
{
	struct bench *b = *state;

	assert_int_equal(RUN(b, NULL), 3);
	assert_int_equal(RUN(b, "nothing"), 3);
	assert_has(&b->err, "there is no command \"nothing\"");
	assert_int_equal(RUN(b, "queue"), 3);
	assert_has(&b->err, "\"queue\" needs a second word");
	assert_int_equal(RUN(b, "queue", "nothing"), 3);
	assert_int_equal(RUN(b, "server", "add"), 3);
	assert_int_equal(RUN(b, "server", "add", "a", "b"), 3);
	assert_int_equal(RUN(b, "status", "--limit", "3"), 3);
	assert_int_equal(RUN(b, "queue", "list", "--limit", "0"), 3);
	assert_int_equal(RUN(b, "queue", "list", "--limit"), 3);
	assert_int_equal(RUN(b, "queue", "list", "--nothing"), 3);
	assert_int_equal(RUN(b, "--help"), 0);
	assert_has(&b->out, "Usage: tidegate COMMAND");
	assert_int_equal(b->asked.len, 0);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_status),        TEST(test_refused), TEST(test_arguments), TEST(test_credential),
		TEST(test_foreign_table), TEST(test_nobody),  TEST(test_usage),
	};
	if (argc != 2)
		return 2;
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
