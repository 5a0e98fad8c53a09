/* smtpload against smtpsink on a simulated loop: what became of every message adds up under refusals, breaks and silence,
 * and the sink saw what the load says. Deterministic; time is virtual.
 */
#include "smtpload/load.h"
#include "smtpsink/sink.h"

#include "core/mem.h"
#include "evio/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
	struct loop *loop;
	struct sink sink;
	struct listener *listener;
	struct load *load;
};

static uint64_t virtual_us(const struct load *l)
{
	return loop_now(l->loop) * 1000;
}

static void on_accept(void *ctx, struct stream *s)
{
	session_start(&((struct world *)ctx)->sink, s);
}

static struct script *script_of(const char *text)
{
	char path[] = "/tmp/tidegate-script-XXXXXX";
	struct script *s = NULL;
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	enum err e = script_load(path, &s, NULL);
	unlink(path);
	assert_int_equal(e, ERR_OK);
	return s;
}

static void open_world(struct world *w, const char *script)
{
	static const struct listener_events events = {.on_accept = on_accept};
	struct sim_options o = {.seed = 1, .chunk_max = 700};
	struct net_addr addr;
	int fd;
	*w = (struct world){0};
	assert_int_equal(loop_sim_new(&o, &w->loop, NULL), ERR_OK);
	w->sink =
		(struct sink){.loop = w->loop,
			      .seen = seen_new(),
			      .o = {.hostname = "sink.invalid", .size = 50u << 20, .connections_max = 1000}};
	list_init(&w->sink.sessions);
	if (script)
		w->sink.o.script = script_of(script);
	assert_int_equal(net_addr_parse(SLICE_LIT("127.0.0.1:2525"), 0, &addr, NULL), ERR_OK);
	assert_int_equal(net_listen(w->loop, &addr, 0, &fd, NULL), ERR_OK);
	assert_int_equal(listener_new(w->loop, fd, &events, w, &w->listener, NULL), ERR_OK);
	w->load = NEW(struct load);
	assert_non_null(w->load);
}

/* Runs a load with these options to its end. */
static void run(struct world *w, int argc, const char **argv)
{
	struct load_options o;
	struct diag d = {0};
	assert_int_equal(load_options_parse(argc, (char **)argv, &o, &d), ERR_OK);
	assert_int_equal(load_init(w->load, &o, w->loop, &d), ERR_OK);
	w->load->clock_us = virtual_us;
	assert_int_equal(load_run(w->load, &d), ERR_OK);
}
#define RUN(w, ...)                                                                                          \
	run((w), (int)ARRAY_LEN(((const char *[]){"smtpload", __VA_ARGS__})),                                \
	    (const char *[]){"smtpload", __VA_ARGS__, NULL})

static void close_world(struct world *w)
{
	load_done(w->load);
	mem_free(w->load);
	sessions_close(&w->sink);
	listener_free(w->listener);
	script_free(w->sink.o.script);
	seen_free(w->sink.seen);
	loop_free(w->loop);
}

/* The second invariant of load.h, and that the sink has no more and no less than it may have. */
static void assert_adds_up(const struct world *w, uint64_t count)
{
	const struct load_counts *n = &w->load->n;
	struct seen_report r = seen_report(w->sink.seen);
	assert_int_equal(n->given, n->accepted + n->refused + n->unanswered + n->aborted);
	assert_int_equal(count, n->given + load_unsent(w->load));
	/* The answer to an unanswered one may have been on its way when the connection broke. */
	assert_true(w->sink.n.messages >= n->accepted);
	assert_true(w->sink.n.messages <= n->accepted + n->unanswered);
	assert_int_equal(r.duplicates, 0);
	assert_true(r.numbered >= n->accepted);
	assert_true(r.numbered <= n->accepted + n->refused + n->unanswered);
}

static void test_all_accepted(void **state)
{
	struct world w;
	open_world(&w, NULL);
	RUN(&w, "-n", "500", "-c", "7", "-s", "300,2000,70K", "-r", "3");
	assert_adds_up(&w, 500);
	assert_true(load_succeeded(w.load));
	assert_int_equal(w.load->n.accepted, 500);
	assert_int_equal(w.load->n.codes[250], 500);
	assert_int_equal(w.sink.n.recipients, 1500);
	assert_int_equal(w.sink.n.octets, w.load->n.octets);
	assert_int_equal(w.load->n.broken, 0);
	close_world(&w);
}

/* A group of commands larger than what a stream takes by default. */
static void test_many_recipients(void **state)
{
	struct world w;
	open_world(&w, NULL);
	RUN(&w, "-n", "3", "-c", "1", "-r", "10000", "--to",
	    "a-long-local-part-so-that-the-group-is-large-%r@a-long-domain-part-so-that-the-group-is-large."
	    "example");
	assert_adds_up(&w, 3);
	assert_true(load_succeeded(w.load));
	assert_int_equal(w.sink.n.recipients, 30000);
	close_world(&w);
}

static void test_one_command_at_a_time(void **state)
{
	struct world w;
	open_world(&w, NULL);
	RUN(&w, "-n", "100", "-c", "3", "--no-pipelining", "-r", "2");
	assert_adds_up(&w, 100);
	assert_true(load_succeeded(w.load));
	/* MAIL, RCPT, RCPT, DATA and the content wait for one answer each: 2 ms a round trip. */
	assert_int_equal(w.load->message.min, 10000);
	close_world(&w);
}

/* With the next envelope behind each content a message costs one round trip. */
static void test_pipelining_saves_round_trips(void **state)
{
	struct world w;
	open_world(&w, NULL);
	RUN(&w, "-n", "100", "-c", "1", "-s", "400");
	assert_adds_up(&w, 100);
	assert_int_equal(w.load->message.min, 2000);
	assert_true(latency_percentile(&w.load->message, 98) < 2020); /* the first takes two */
	assert_int_equal(w.load->message.max, 4000);
	close_world(&w);
}

static void test_server_without_pipelining(void **state)
{
	struct world w;
	open_world(&w, NULL);
	w.sink.o.no_pipelining = true;
	RUN(&w, "-n", "20", "-c", "1");
	assert_adds_up(&w, 20);
	assert_int_equal(w.load->message.min, 8000);
	close_world(&w);
}

static void test_messages_per_connection(void **state)
{
	struct world w;
	open_world(&w, NULL);
	RUN(&w, "-n", "90", "-c", "3", "-m", "5");
	assert_adds_up(&w, 90);
	assert_true(load_succeeded(w.load));
	assert_true(w.sink.n.connections >= 18 && w.sink.n.connections <= 21);
	assert_int_equal(w.load->n.broken, 0);
	close_world(&w);
}

static const char refusing[] = "mail sender3@* 451 4.3.0 Later\n"
			       "mail sender4@* 553 5.1.8 No\n"
			       "rcpt user1.5@* 550 5.1.1 No\n"
			       "rcpt *.6@b 550 5.1.1 No\n"
			       "data sender7@* 554 5.0.0 No\n"
			       "dot sender8@* 554 5.7.1 No\n";

static void check_refusals(const char *how)
{
	struct world w;
	open_world(&w, refusing);
	RUN(&w, "-n", "40", "-c", "2", "-r", "2", "--from", "sender%d@a", "--to", "user%r.%d@b", how);
	assert_adds_up(&w, 40);
	assert_false(load_succeeded(w.load));
	assert_int_equal(w.load->n.refused, 5);
	assert_int_equal(w.load->n.accepted, 35);
	assert_int_equal(w.load->n.codes[451], 1);
	assert_int_equal(w.load->n.codes[553], 1);
	assert_int_equal(w.load->n.codes[550], 1);
	assert_int_equal(w.load->n.codes[554], 2);
	assert_int_equal(w.load->n.rcpt_codes[550], 3);
	assert_int_equal(w.load->n.rcpt_refused, 1);
	assert_int_equal(w.load->n.broken, 0);
	close_world(&w);
}

static void test_refusals_pipelined(void **state)
{
	check_refusals("--reconnect");
}

static void test_refusals_one_at_a_time(void **state)
{
	check_refusals("--no-pipelining");
}

/* One refused recipient is enough for the exit status. */
static void test_a_refused_recipient_is_no_success(void **state)
{
	struct world w;
	open_world(&w, "rcpt user1@* 550 5.1.1 No\n");
	RUN(&w, "-n", "1", "-r", "2");
	assert_int_equal(w.load->n.accepted, 1);
	assert_false(load_succeeded(w.load));
	close_world(&w);
}

static void test_breaks_and_reconnects(void **state)
{
	struct world w;
	open_world(&w, "connect first 3 421 4.3.2 Busy\n"
		       "mail sender5@* drop\n"
		       "data sender9@* drop\n"
		       "dot sender13@* drop\n"
		       "dot sender17@* 421 4.7.0 Bye\n");
	RUN(&w, "-n", "60", "-c", "2", "--from", "sender%d@a", "--reconnect");
	assert_adds_up(&w, 60);
	assert_int_equal(load_unsent(w.load), 0);
	assert_int_equal(w.load->n.refused, 1);
	assert_int_equal(w.load->n.codes[421], 1);
	assert_int_equal(w.load->n.session_codes[421], 3);
	/* 5 and 9 went out behind the content of others, were handed back, and broke the next connection too. */
	assert_int_equal(w.load->n.aborted, 2);
	/* 13, and those others if their answers were still on their way. */
	assert_true(w.load->n.unanswered >= 1 && w.load->n.unanswered <= 3);
	close_world(&w);
}

static void test_breaks_without_reconnect(void **state)
{
	struct world w;
	open_world(&w, "dot sender13@* drop\n");
	RUN(&w, "-n", "60", "-c", "1", "--from", "sender%d@a");
	assert_adds_up(&w, 60);
	assert_int_equal(w.load->n.accepted, 13);
	assert_int_equal(w.load->n.unanswered, 1);
	assert_int_equal(load_unsent(w.load), 46); /* 14 was sent ahead and is handed back */
	assert_false(load_succeeded(w.load));
	close_world(&w);
}

/* A server that always breaks: the run ends by the time-out, in virtual seconds. */
static void test_never_up(void **state)
{
	struct world w;
	open_world(&w, "ehlo * drop\n");
	RUN(&w, "-n", "10", "--reconnect", "--timeout", "5");
	assert_adds_up(&w, 10);
	assert_int_equal(load_unsent(w.load), 10);
	assert_true(loop_now(w.loop) >= 5000 && loop_now(w.loop) < 10000);
	close_world(&w);
}

static void test_silence(void **state)
{
	struct world w;
	open_world(&w, "dot * hang\n");
	RUN(&w, "-n", "5", "-c", "2", "--timeout", "3");
	assert_adds_up(&w, 5);
	assert_int_equal(w.load->n.unanswered, 2);
	assert_true(loop_now(w.loop) < 10000);
	close_world(&w);
}

static void test_starttls_not_offered(void **state)
{
	struct world w;
	open_world(&w, NULL);
	RUN(&w, "-n", "5", "--tls", "starttls", "--insecure");
	assert_adds_up(&w, 5);
	assert_int_equal(w.load->n.given, 0);
	assert_non_null(strstr(w.load->trouble.text, "STARTTLS"));
	close_world(&w);
}

static void test_auth_refused(void **state)
{
	struct world w;
	open_world(&w, NULL);
	RUN(&w, "-n", "5", "-c", "2", "--auth", "a:b");
	assert_adds_up(&w, 5);
	assert_int_equal(w.load->n.session_codes[500], 2);
	close_world(&w);
}

/* Open loop: message n begins at n / rate seconds, however fast the server is. */
static void test_rate(void **state)
{
	struct world w;
	open_world(&w, NULL);
	RUN(&w, "-n", "200", "-c", "4", "--rate", "100");
	assert_adds_up(&w, 200);
	assert_true(load_succeeded(w.load));
	assert_int_equal(w.load->lag.count, 200);
	assert_true(w.load->last_reply_us - w.load->started_us >= 1990000);
	assert_true(w.load->last_reply_us - w.load->started_us < 2100000);
	close_world(&w);
}

/* More than one connection can send: lag grows, nothing is skipped. */
static void test_rate_out_of_reach(void **state)
{
	struct world w;
	open_world(&w, NULL);
	RUN(&w, "-n", "2000", "-c", "1", "--rate", "100000", "-s", "400");
	assert_adds_up(&w, 2000);
	assert_true(load_succeeded(w.load));
	assert_true(w.load->lag.max > 1000000);
	close_world(&w);
}

static void test_seconds(void **state)
{
	struct world w;
	open_world(&w, NULL);
	RUN(&w, "--seconds", "3", "-c", "2", "--rate", "50");
	assert_true(load_succeeded(w.load));
	assert_int_equal(load_unsent(w.load), 0);
	assert_true(w.load->n.accepted >= 149 && w.load->n.accepted <= 151);
	assert_int_equal(w.sink.n.messages, w.load->n.accepted);
	close_world(&w);
}

/* Connections that the server has not even greeted do not make a run longer than it was asked to be. */
static void test_seconds_without_greeting(void **state)
{
	struct world w;
	open_world(&w, "ehlo * hang\n");
	RUN(&w, "--seconds", "3", "-c", "5", "--timeout", "60");
	assert_int_equal(w.load->n.given, 0);
	assert_in_range(loop_now(w.loop), 3000, 4500);
	close_world(&w);
}

static void test_acknowledged_numbers(void **state)
{
	char path[] = "/tmp/tidegate-acked-XXXXXX", text[4096];
	bool there[40] = {false};
	int fd = mkstemp(path);
	struct world w;
	open_world(&w, "dot sender8@* 554 5.7.1 No\nrcpt * 250 2.1.5 Fine\n");
	RUN(&w, "-n", "40", "-c", "3", "--from", "sender%d@a", "--acked", path);
	assert_adds_up(&w, 40);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	unlink(path);
	assert_true(n > 0);
	struct slice rest = slice_of(text, (size_t)n);
	for (struct slice line = slice_split(&rest, '\n'); line.len; line = slice_split(&rest, '\n')) {
		uint64_t seq;
		assert_int_equal(slice_to_u64(line, 39, &seq), ERR_OK);
		assert_false(there[seq]);
		there[seq] = true;
	}
	for (size_t i = 0; i < 40; i++)
		assert_true(there[i] == (i != 8));
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_accepted),
		cmocka_unit_test(test_many_recipients),
		cmocka_unit_test(test_one_command_at_a_time),
		cmocka_unit_test(test_pipelining_saves_round_trips),
		cmocka_unit_test(test_server_without_pipelining),
		cmocka_unit_test(test_messages_per_connection),
		cmocka_unit_test(test_refusals_pipelined),
		cmocka_unit_test(test_refusals_one_at_a_time),
		cmocka_unit_test(test_a_refused_recipient_is_no_success),
		cmocka_unit_test(test_breaks_and_reconnects),
		cmocka_unit_test(test_breaks_without_reconnect),
		cmocka_unit_test(test_never_up),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_starttls_not_offered),
		cmocka_unit_test(test_auth_refused),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_rate_out_of_reach),
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_seconds_without_greeting),
		cmocka_unit_test(test_acknowledged_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
