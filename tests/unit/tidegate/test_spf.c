/* `tidegate spf` as a program, against a name server in this process. */
#include "dns_server.h"

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

#include "core/buf.h"

#define TURNS 1000 /* of at most 20 ms: a bound, not a wait */
#define ROWS  ARRAY_LEN(rows)

static const char *program; /* from meson */

static const struct dns_server_record rows[] = {
	{"example.com", DNS_TXT, 0, 60, DNS_SERVER_DATA("\53v=spf1 a:h.example.com include:inc.net -all")},
	{"odd.net", DNS_TXT, 0, 60, DNS_SERVER_DATA("\47v=spf1 exists:a:b+%{l}.example.com -all")},
	{"a:b+x=y.example.com", DNS_A, 0, 60, DNS_SERVER_DATA("\177\0\0\2")},
	{"h.example.com", DNS_A, 0, 60, DNS_SERVER_DATA("\300\0\2\1")},
	{"inc.net", DNS_TXT, 0, 60, DNS_SERVER_DATA("\34v=spf1 ip4:192.0.2.0/29 -all")},
};

struct bench {
	char directory[64], config[96], anchor[96];
	struct loop *loop;
	struct dns_server server;
	struct buf out, err;
};

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

static int set_up(void **state)
{
	static struct bench b;
	char text[512];

	b = (struct bench){.directory = "/tmp/tidegate-test-XXXXXX"};
	buf_init(&b.out, 1 << 20);
	buf_init(&b.err, 1 << 20);
	if (!mkdtemp(b.directory) || loop_epoll_new(&b.loop, NULL) < 0)
		return -1;
	dns_server_start(&b.server, b.loop, rows, ROWS);
	snprintf(b.config, sizeof(b.config), "%s/conf", b.directory);
	snprintf(b.anchor, sizeof(b.anchor), "%s/anchor", b.directory);
	write_file(b.anchor, "; nothing is signed here\n");
	snprintf(text, sizeof(text), "resolver {\n forward = {\"127.0.0.1:%u\"}\n trust_anchor = \"%s\"\n}\n",
		 b.server.port, b.anchor);
	write_file(b.config, text);
	*state = &b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	dns_server_stop(&b->server);
	loop_free(b->loop);
	unlink(b->config);
	unlink(b->anchor);
	buf_done(&b->out);
	buf_done(&b->err);
	return rmdir(b->directory);
}

static void collect(FILE *f, struct buf *out)
{
	char chunk[4096];
	ssize_t n;

	buf_clear(out);
	rewind(f);
	while ((n = read(fileno(f), chunk, sizeof(chunk))) > 0)
		buf_add_mem(out, chunk, (size_t)n);
	fclose(f);
}

static pid_t start(const struct bench *b, const char *const *args, FILE *out, FILE *err)
{
	const char *argv[16] = {program, "--config", b->config};
	size_t n = 3;

	while (*args && n + 1 < ARRAY_LEN(argv))
		argv[n++] = *args++;
	pid_t pid = fork();
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
	int status = -1;

	assert_true(out && err);
	pid_t pid = start(b, args, out, err);
	assert_true(pid > 0);
	for (int i = 0; i < TURNS && waitpid(pid, &status, WNOHANG) == 0; i++)
		loop_turn(b->loop, 20);
	if (status == -1) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	collect(out, &b->out);
	collect(err, &b->err);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define RUN(b, ...) run((b), (const char *const[]){__VA_ARGS__, NULL})

static void assert_has(struct buf *b, const char *piece)
{
	if (!strstr(buf_cstr(b), piece))
		fail_msg("\"%s\" is not in \"%s\"", piece, buf_cstr(b));
}

static void test_check(void **state)
{
	struct bench *b = *state;

	assert_int_equal(RUN(b, "spf", "check", "192.0.2.1", "example.com"), 0);
	assert_has(&b->out, "pass: 192.0.2.1 is authorised by example.com\n  matched      a:h.example.com\n");
	assert_int_equal(RUN(b, "spf", "check", "192.0.2.2", "example.com", "--json"), 0);
	assert_has(&b->out, "\"result\": \"pass\"");
	assert_has(&b->out, "\"matched\": \"include:inc.net\"");
	assert_has(&b->out, "\"lookups\": 2");
	assert_has(&b->out, "\"voids\": 0");
	assert_int_equal(RUN(b, "spf", "check", "2001:db8::1", "example.com", "--explain", "--sender",
			     "jo@example.org", "--helo", "x.net"),
			 0);
	assert_has(&b->out, "fail: 2001:db8::1 is not authorised");
	assert_has(&b->out, "  sender       jo@example.org\n  HELO         x.net\n");
	assert_has(&b->out, "voids        1 of 2");
	assert_has(&b->out, "  match    -all\n");
	/* octets that are no letters go through the resolver as they are */
	assert_int_equal(RUN(b, "spf", "check", "192.0.2.1", "odd.net", "--sender", "x=y@odd.net"), 0);
	assert_has(&b->out, "  matched      exists:a:b+%{l}.example.com\n");
	assert_int_equal(RUN(b, "spf", "check", "192.0.2.1", "nowhere.net"), 0);
	assert_has(&b->out, "none: ");
}

static void test_show(void **state)
{
	struct bench *b = *state;

	assert_int_equal(RUN(b, "spf", "show", "example.com"), 0);
	assert_has(&b->out, "example.com: 2 lookups, without a result: 0 for IPv4, 1 for IPv6\n  "
			    "a:h.example.com  192.0.2.1\n");
	assert_has(&b->out, "  192.0.2.0/29  by ip4:192.0.2.0/29 of inc.net\n");
	assert_int_equal(RUN(b, "spf", "show", "example.com", "--json"), 0);
	assert_has(&b->out, "\"leads_to\": {");
	assert_int_equal(RUN(b, "spf", "show", "a..b"), 0);
	assert_has(&b->out, "not a domain name");
}

static void test_usage(void **state)
{
	struct bench *b = *state;

	assert_int_equal(RUN(b, "spf", "check", "192.0.2.1"), 3);
	assert_int_equal(RUN(b, "spf", "check", "192.0.2", "example.com"), 3);
	assert_has(&b->err, "\"192.0.2\" is not an address");
	assert_int_equal(RUN(b, "spf", "show", "example.com", "--sender", "x"), 3);
	assert_int_equal(RUN(b, "spf"), 3);
	unlink(b->anchor);
	assert_int_equal(RUN(b, "spf", "show", "example.com"), 1);
	assert_has(&b->err, "/anchor: No such file");
	unlink(b->config);
	assert_int_equal(RUN(b, "spf", "show", "example.com"), 1);
}

int main(int argc, char **argv)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {TEST(test_check), TEST(test_show), TEST(test_usage)};
	program = argc > 1 ? argv[1] : "tidegate";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
