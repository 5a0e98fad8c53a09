/* Log lines: their form, that no value forges a line, that nothing blocks, and that losses are told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "evio/log.h"
#include "evio/sim.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define WALL 1763914801123 /* 2025-11-23T16:20:01.123Z */

struct fixture {
	struct loop *loop;
	struct log *log;
	int fd; /* ours, to read what was written */
	char text[4 * LOG_LINE_MAX];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sim_options o = {.seed = 1, .wall_ms = WALL};

	assert_non_null(f);
	assert_int_equal(loop_sim_new(&o, &f->loop, NULL), ERR_OK);
	f->fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(log_new(f->loop, dup(f->fd), LOG_SINK_FILE, LOG_INFO, "smtpd.0", &f->log, NULL),
			 ERR_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	log_free(f->log);
	loop_free(f->loop);
	close(f->fd);
	free(f);
	return 0;
}

static const char *written(struct fixture *f)
{
	ssize_t n = pread(f->fd, f->text, sizeof(f->text) - 1, 0);

	assert_true(n >= 0);
	f->text[n] = '\0';
	return f->text;
}

static void test_form_of_a_line(void **state)
{
	struct fixture *f = *state;
	struct log_line l = log_begin(f->log, LOG_WARNING, "auth.failed");

	log_cstr(&l, "server", "houston");
	log_u64(&l, "count", UINT64_MAX);
	log_i64(&l, "offset", -5);
	log_end(&l);
	assert_string_equal(written(f),
			    "2025-11-23T16:20:01.123Z level=warning proc=smtpd.0 event=auth.failed "
			    "server=houston count=18446744073709551615 offset=-5\n");
}

static void test_below_the_level_nothing_happens(void **state)
{
	struct fixture *f = *state;

	log_event(f->log, LOG_DEBUG, "x", "key", "value", NULL);
	assert_string_equal(written(f), "");
	log_set_level(f->log, LOG_DEBUG);
	log_event(f->log, LOG_DEBUG, "x", "key", "value", NULL);
	assert_non_null(strstr(written(f), "level=debug proc=smtpd.0 event=x key=value\n"));
}

static void test_no_value_forges_a_line(void **state)
{
	struct fixture *f = *state;
	struct log_line l = log_begin(f->log, LOG_INFO, "x");

	log_str(&l, "helo", SLICE_LIT("a\r\n2025-11-23T16:20:01.123Z level=info event=forged \x1b[2J\0end"));
	log_end(&l);
	written(f);
	assert_ptr_equal(strchr(f->text, '\n'), f->text + strlen(f->text) - 1);
	assert_null(strchr(f->text, '\r'));
	assert_null(strchr(f->text, '\x1b'));
}

static void test_long_values_are_cut_and_marked(void **state)
{
	struct fixture *f = *state;
	struct log_line l = log_begin(f->log, LOG_INFO, "x");
	char big[3000];

	memset(big, 'a', sizeof(big));
	log_str(&l, "a", slice_of(big, LOG_VALUE_MAX));
	log_str(&l, "b", slice_of(big, sizeof(big)));
	log_end(&l);
	written(f);
	assert_null(strstr(strstr(f->text, " a="), "... b="));
	assert_non_null(strstr(f->text, "aaa...\n"));
	assert_true(strlen(f->text) < 2 * LOG_VALUE_MAX + 200);
}

static void test_a_line_never_exceeds_its_maximum(void **state)
{
	struct fixture *f = *state;
	struct log_line l = log_begin(f->log, LOG_INFO, "x");
	char hostile[LOG_VALUE_MAX];

	memset(hostile, '\x01', sizeof(hostile)); /* four octets each once escaped */
	for (int i = 0; i < 20; i++)
		log_str(&l, "v", slice_of(hostile, sizeof(hostile)));
	log_end(&l);
	written(f);
	assert_in_range(strlen(f->text), LOG_LINE_MAX / 2, LOG_LINE_MAX);
	assert_ptr_equal(strchr(f->text, '\n'), f->text + strlen(f->text) - 1);
}

static void test_cut_does_not_split_a_character(void **state)
{
	struct fixture *f = *state;
	struct log_line l = log_begin(f->log, LOG_INFO, "x");
	char umlauts[LOG_VALUE_MAX + 1];

	umlauts[0] = 'a';
	for (size_t i = 1; i + 1 < sizeof(umlauts); i += 2)
		memcpy(umlauts + i, "\xC3\xA4", 2);
	log_str(&l, "v", slice_of(umlauts, sizeof(umlauts)));
	log_end(&l);
	assert_null(strstr(written(f), "\\x"));
	assert_non_null(strstr(f->text, "\xC3\xA4..."));
}

static void test_full_pipe_loses_lines_and_says_so(void **state)
{
	struct fixture *f = *state;
	int p[2];
	unsigned sent = 0;
	ssize_t n, total = 0;
	char lost[40];

	assert_int_equal(pipe(p), 0); /* blocking on purpose: the log must not rely on O_NONBLOCK */
	log_set_fd(f->log, p[1]);
	for (; sent < 3000; sent++)
		log_event(f->log, LOG_INFO, "filler", "text", "some words to fill the pipe with", NULL);
	/* One line came too late for each that was not read; nothing hung. */
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	while ((n = read(p[0], f->text, sizeof(f->text))) > 0)
		for (ssize_t i = 0; i < n; i++)
			total += f->text[i] == '\n';
	assert_in_range(total, 100, 2999);
	log_event(f->log, LOG_INFO, "after", NULL);
	n = read(p[0], f->text, sizeof(f->text) - 1);
	assert_true(n > 0);
	f->text[n] = '\0';
	snprintf(lost, sizeof(lost), "event=after lost=%u\n", sent - (unsigned)total);
	assert_non_null(strstr(f->text, lost));
	log_event(f->log, LOG_INFO, "later", NULL);
	n = read(p[0], f->text, sizeof(f->text) - 1);
	f->text[n] = '\0';
	assert_null(strstr(f->text, "lost="));
	close(p[0]);
}

static void test_syslog_framing(void **state)
{
	struct fixture *f = *state;
	struct log *lg;
	char got[512] = "", month[4] = "";
	unsigned priority, day, h, m, s;
	long pid;
	int sv[2], at = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv), 0);
	assert_int_equal(log_new(f->loop, sv[0], LOG_SINK_SYSLOG, LOG_INFO, "queue", &lg, NULL), ERR_OK);
	log_event(lg, LOG_ERROR, "spool.full", "free", "0", NULL);
	assert_true(recv(sv[1], got, sizeof(got) - 1, MSG_DONTWAIT) > 0);
	assert_int_equal(sscanf(got, "<%u>%3s %u %u:%u:%u tidegated[%ld]: %n", &priority, month, &day, &h, &m,
				&s, &pid, &at),
			 7);
	assert_int_equal(priority, 2 * 8 + 3);
	assert_int_equal(pid, getpid());
	assert_int_equal(strlen(month), 3);
	assert_string_equal(got + at, "level=error proc=queue event=spool.full free=0");
	log_free(lg);
	close(sv[1]);
}

static void test_dead_syslog_counts(void **state)
{
	struct fixture *f = *state;
	struct log *lg;
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv), 0);
	close(sv[1]);
	assert_int_equal(log_new(f->loop, sv[0], LOG_SINK_SYSLOG, LOG_INFO, "queue", &lg, NULL), ERR_OK);
	log_event(lg, LOG_INFO, "one", NULL);
	log_event(lg, LOG_INFO, "two", NULL);
	log_set_fd(lg, dup(f->fd));
	log_event(lg, LOG_INFO, "three", NULL);
	assert_non_null(strstr(written(f), "event=three lost=2"));
	log_free(lg);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_form_of_a_line),
		TEST(test_below_the_level_nothing_happens),
		TEST(test_no_value_forges_a_line),
		TEST(test_long_values_are_cut_and_marked),
		TEST(test_a_line_never_exceeds_its_maximum),
		TEST(test_cut_does_not_split_a_character),
		TEST(test_full_pipe_loses_lines_and_says_so),
		TEST(test_syslog_framing),
		TEST(test_dead_syslog_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
