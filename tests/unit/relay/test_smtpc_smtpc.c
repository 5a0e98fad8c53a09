/* The smtpc process over real sockets of 127.0.0.1: a queue at one end of a channel, a small SMTP server at the other. */
#include "conf/conf.h"
#include "evio/ipc.h"
#include "evio/stream.h"
#include "record/record.h"
#include "relay/smtpc/smtpc_role.h"
#include "relay/wire/job.h"
#include "relay/wire/sealed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS     10000 /* no step of a test takes longer */
#define RESULTS_MAX 64

/* ---- the server ---- */

struct server {
	struct loop *loop;
	struct listener *listener;
	struct net_addr addr;
	unsigned connections, messages, open;
	const char *greeting, *rcpt, *dot; /* NULL: friendly */
	bool starttls, drop_after_message, hold_dot;
	struct session *held; /* waits with its reply to the final dot */
	struct buf last;      /* the last message, dots and all */
	struct list sessions;
};

struct session {
	struct list_node node;
	struct server *srv;
	struct stream *stream;
	bool data;
};

static void say(struct session *s, const char *text)
{
	(void)stream_write(s->stream, slice_str(text));
}

static void message_end(struct session *s)
{
	s->data = false;
	s->srv->messages++;
	if (s->srv->hold_dot) {
		s->srv->held = s;
		return;
	}
	say(s, s->srv->dot ? s->srv->dot : "250 2.0.0 taken\r\n");
	if (s->srv->drop_after_message)
		stream_close(s->stream, 1000);
}

static void command(struct session *s, struct slice line)
{
	const char *reply = "250 2.0.0 ok\r\n";
	if (slice_istarts(line, SLICE_LIT("EHLO")))
		reply = s->srv->starttls ? "250-test\r\n250-PIPELINING\r\n250 STARTTLS\r\n"
					 : "250-test\r\n250-8BITMIME\r\n250 PIPELINING\r\n";
	else if (slice_istarts(line, SLICE_LIT("RCPT")) && s->srv->rcpt)
		reply = s->srv->rcpt;
	else if (slice_istarts(line, SLICE_LIT("STARTTLS")))
		reply = "220 go\r\n";
	else if (slice_istarts(line, SLICE_LIT("QUIT")))
		reply = "221 bye\r\n";
	if (slice_istarts(line, SLICE_LIT("DATA"))) {
		s->data = true;
		buf_clear(&s->srv->last);
		reply = "354 go\r\n";
	}
	say(s, reply);
}

static size_t on_server_read(void *ctx, struct slice in)
{
	struct session *s = ctx;
	size_t used = 0, end;
	/* A client hello instead of a command: this server cannot speak TLS. */
	if (in.len && in.ptr[0] == 0x16) {
		stream_abort(s->stream);
		return in.len;
	}
	while ((end = slice_find_slice(slice_from(in, used), SLICE_LIT("\r\n"))) != SLICE_NPOS) {
		struct slice line = slice_sub(in, used, end);
		used += end + 2;
		if (!s->data)
			command(s, line);
		else if (slice_eq_str(line, "."))
			message_end(s);
		else
			buf_add(&s->srv->last, slice_of(line.ptr, line.len + 2));
	}
	return used;
}

static void session_free(struct session *s)
{
	list_remove(&s->srv->sessions, &s->node);
	stream_free(s->stream);
	s->srv->open--;
	free(s);
}

static void on_server_close(void *ctx, const struct diag *why)
{
	session_free(ctx);
}

static void on_accept(void *ctx, struct stream *stream)
{
	static const struct stream_events events = {.on_read = on_server_read, .on_close = on_server_close};
	struct server *srv = ctx;
	struct session *s = calloc(1, sizeof(*s));
	s->srv = srv;
	s->stream = stream;
	list_push_back(&srv->sessions, &s->node);
	stream_set_events(stream, &events, s);
	srv->connections++;
	srv->open++;
	say(s, srv->greeting ? srv->greeting : "220 test ESMTP\r\n");
}

/* Any port. */
static struct net_addr local_addr(void)
{
	struct net_addr a = {.len = sizeof(a.u.in4)};
	a.u.in4.sin_family = AF_INET;
	a.u.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static void server_start(struct server *srv, struct loop *l)
{
	static const struct listener_events events = {.on_accept = on_accept};
	struct net_addr a = local_addr();
	struct diag d;
	int fd;
	*srv = (struct server){.loop = l};
	list_init(&srv->sessions);
	buf_init(&srv->last, 16u << 20);
	assert_int_equal(net_listen(l, &a, 0, &fd, &d), ERR_OK);
	srv->addr.len = sizeof(srv->addr.u);
	assert_int_equal(getsockname(fd, &srv->addr.u.sa, &srv->addr.len), 0);
	assert_int_equal(listener_new(l, fd, &events, srv, &srv->listener, &d), ERR_OK);
}

static void server_stop(struct server *srv)
{
	struct list_node *n;
	listener_free(srv->listener);
	while ((n = list_first(&srv->sessions)))
		session_free(CONTAINER_OF(n, struct session, node));
	buf_done(&srv->last);
}

/* A port of 127.0.0.1 that refuses: bound, never listening. */
static struct net_addr dead_addr(int *ret_fd)
{
	struct net_addr a = local_addr();
	*ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(*ret_fd, &a.u.sa, a.len), 0);
	assert_int_equal(getsockname(*ret_fd, &a.u.sa, &a.len), 0);
	return a;
}

/* ---- the queue and the process ---- */

struct seen {
	uint64_t job;
	uint32_t ordinal;
	uint8_t state;
	uint16_t code;
	bool unknown, in_flight;
	char text[512], address[64];
};

struct bench {
	struct loop *loop;
	struct log *log;
	struct conf *conf;
	void *smtpc;
	struct ipc *queue;
	struct server srv;
	struct seen results[RESULTS_MAX], reports[RESULTS_MAX];
	unsigned nresults, nreports, ndone, report_ends, drained, lost;
	bool site_failed;
	uint64_t next_job;
};

static void note_result(struct seen *s, struct slice payload)
{
	struct wire_result m;
	struct record_result r;
	assert_int_equal(wire_result_decode(payload, &m), ERR_OK);
	*s = (struct seen){.job = m.job, .ordinal = m.ordinal, .in_flight = m.result.len == 0};
	if (s->in_flight)
		return;
	assert_int_equal(record_result_decode(m.result, &r), ERR_OK);
	assert_int_equal(r.id, m.message);
	assert_int_equal(r.ordinal, m.ordinal);
	s->state = r.state;
	s->code = r.code;
	s->unknown = r.unknown;
	snprintf(s->text, sizeof(s->text), "%.*s", SLICE_ARG(r.text));
	snprintf(s->address, sizeof(s->address), "%.*s", SLICE_ARG(r.address));
}

static void on_queue_frame(void *ctx, struct ipc_frame *f)
{
	struct bench *b = ctx;
	struct wire_job_done done;
	switch (f->type) {
	case WIRE_RESULT:
		assert_true(b->nresults < RESULTS_MAX);
		note_result(&b->results[b->nresults++], f->payload);
		break;
	case WIRE_REPORT:
		assert_int_equal(b->report_ends, 0);
		note_result(&b->reports[b->nreports++], f->payload);
		break;
	case WIRE_REPORT_END:
		b->report_ends++;
		break;
	case WIRE_JOB_DONE:
		assert_int_equal(wire_job_done_decode(f->payload, &done), ERR_OK);
		b->ndone++;
		b->site_failed = done.site_failed;
		break;
	default:
		fail();
	}
}

static void on_queue_close(void *ctx, const struct diag *why)
{
	fail_msg("smtpc closed the channel: %s", why->text);
}

static void send_frame(struct bench *b, enum wire_type type, const struct buf *payload, const int *fd)
{
	assert_int_equal(payload->failed, ERR_OK);
	assert_int_equal(ipc_send(b->queue, type, buf_slice(payload), fd, fd ? 1 : 0), ERR_OK);
}

static void connect_queue(struct bench *b)
{
	static const struct ipc_events events = {.on_frame = on_queue_frame, .on_close = on_queue_close};
	int fds[2];
	struct diag d;
	ipc_free(b->queue);
	b->report_ends = b->nreports = 0;
	assert_int_equal(ipc_pair(b->loop, fds, &d), ERR_OK);
	assert_int_equal(ipc_new(b->loop, fds[0], &events, b, &b->queue, &d), ERR_OK);
	smtpc_role.peer(b->smtpc, ROLE_QUEUE, 0, fds[1]);
}

static void lend(struct bench *b, uint64_t segment, struct slice content)
{
	CLEANUP(buf_done) struct buf out;
	CLEANUP(base_close) int fd = sealed_new("content", content);
	assert_true(fd >= 0);
	buf_init(&out, 1000);
	wire_loan_encode(&(struct wire_loan){.segment = segment}, &out);
	send_frame(b, WIRE_LOAN, &out, &fd);
}

static void send_job(struct bench *b, const struct net_addr *addrs, uint32_t count, uint64_t length,
		     enum wire_tls_level tls)
{
	struct wire_hop hops[4];
	const struct wire_rcpt rcpts[2] = {{0, SLICE_LIT("a@example.org")}, {1, SLICE_LIT("b@example.org")}};
	CLEANUP(buf_done) struct buf out;
	for (uint32_t i = 0; i < count; i++)
		hops[i] = (struct wire_hop){.host = SLICE_LIT("mx.example.org"), .addr = addrs[i]};
	struct wire_job j = {.job = ++b->next_job,
			     .message = 77,
			     .site = SLICE_LIT("example.org"),
			     .tls = tls,
			     .helo = SLICE_LIT("relay.example"),
			     .account = SLICE_LIT("houston"),
			     .segment = 1,
			     .length = length,
			     .sender = SLICE_LIT("s@example.net"),
			     .hop_count = count,
			     .hops = hops,
			     .rcpt_count = 2,
			     .rcpts = rcpts};
	buf_init(&out, IPC_PAYLOAD_MAX);
	wire_job_encode(&j, &out);
	send_frame(b, WIRE_JOB, &out, NULL);
}

static void acknowledge(struct bench *b, uint64_t job)
{
	CLEANUP(buf_done) struct buf out;
	buf_init(&out, 100);
	wire_job_ref_encode(&(struct wire_job_ref){.job = job}, &out);
	send_frame(b, WIRE_RESULT_ACK, &out, NULL);
}

static void on_drained(void *ctx)
{
	struct bench *b = ctx;
	b->drained++;
}

static void on_lost(void *ctx, enum wire_role role)
{
	struct bench *b = ctx;
	assert_int_equal(role, ROLE_QUEUE);
	b->lost++;
}

static const char letter[] = "Subject: x\r\n\r\n.hello\r\n";
#define LETTER_LEN (sizeof(letter) - 1)

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct diag d = {0};
	assert_int_equal(loop_epoll_new(&b->loop, &d), ERR_OK);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_int_equal(log_new(b->loop, null, LOG_SINK_FILE, LOG_DEBUG, "test", &b->log, &d), ERR_OK);
	assert_int_equal(conf_load_text(SLICE_LIT("hostname = \"relay.example\"\n"), "test", &b->conf, &d),
			 ERR_OK);
	struct role_env env = {.loop = b->loop,
			       .log = b->log,
			       .conf = b->conf,
			       .ca_pem = SLICE_EMPTY,
			       .drained = on_drained,
			       .lost = on_lost,
			       .ctx = b};
	tls_library_init();
	assert_int_equal(smtpc_role.start(&env, &b->smtpc, &d), ERR_OK);
	server_start(&b->srv, b->loop);
	connect_queue(b);
	lend(b, 1, slice_str(letter));
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;
	smtpc_role.stop(b->smtpc);
	ipc_free(b->queue);
	server_stop(&b->srv);
	conf_unref(b->conf);
	log_free(b->log);
	loop_free(b->loop);
	free(b);
	return 0;
}

static void wait_until(struct bench *b, unsigned *counter, unsigned value)
{
	uint64_t end = loop_now(b->loop) + WAIT_MS;
	while (*counter < value) {
		loop_turn(b->loop, 100);
		assert_true(loop_now(b->loop) < end);
	}
}

static uint64_t counter(struct bench *b, const char *name)
{
	struct wire_heartbeat hb = {.trouble = SLICE_EMPTY};
	smtpc_role.heartbeat(b->smtpc, &hb);
	for (uint32_t i = 0; i < hb.count; i++)
		if (slice_eq_str(hb.counters[i].name, name))
			return hb.counters[i].value;
	fail_msg("no counter %s", name);
	return 0;
}

static unsigned open_connections(struct bench *b)
{
	/* two turns: what is on its way arrives */
	loop_turn(b->loop, 0);
	loop_turn(b->loop, 0);
	return b->srv.open;
}

/* ---- tests ---- */

static void test_delivers_and_reuses(void **state)
{
	struct bench *b = *state;
	for (unsigned i = 1; i <= 3; i++) {
		send_job(b, &b->srv.addr, 1, LETTER_LEN, WIRE_TLS_MAY);
		wait_until(b, &b->ndone, i);
		assert_int_equal(b->nresults, 2 * i);
		acknowledge(b, i);
	}
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(b->results[i].state, RECORD_DELIVERED);
		assert_int_equal(b->results[i].code, 250);
		assert_int_equal(b->results[i].ordinal, i % 2);
		assert_string_equal(b->results[i].text, "taken");
		assert_non_null(strstr(b->results[i].address, "127.0.0.1:"));
	}
	assert_false(b->site_failed);
	assert_int_equal(b->srv.connections, 1);
	assert_int_equal(b->srv.messages, 3);
	assert_string_equal(buf_cstr(&b->srv.last), "Subject: x\r\n\r\n..hello\r\n");
}

static void test_tries_the_next_address(void **state)
{
	struct bench *b = *state;
	CLEANUP(base_close) int dead = -1;
	struct net_addr addrs[2] = {dead_addr(&dead), b->srv.addr};
	send_job(b, addrs, 2, LETTER_LEN, WIRE_TLS_MAY);
	wait_until(b, &b->ndone, 1);
	assert_int_equal(b->results[0].state, RECORD_DELIVERED);
}

static void test_no_address_answers(void **state)
{
	struct bench *b = *state;
	CLEANUP(base_close) int dead = -1;
	struct net_addr addr = dead_addr(&dead);
	send_job(b, &addr, 1, LETTER_LEN, WIRE_TLS_MAY);
	wait_until(b, &b->ndone, 1);
	assert_int_equal(b->nresults, 2);
	assert_int_equal(b->results[0].state, RECORD_DEFERRED);
	assert_false(b->results[0].unknown);
	assert_non_null(strstr(b->results[0].text, "refused"));
	assert_true(b->site_failed);
}

static void test_site_refuses(void **state)
{
	struct bench *b = *state;
	b->srv.greeting = "554 5.7.1 not you\r\n";
	send_job(b, &b->srv.addr, 1, LETTER_LEN, WIRE_TLS_MAY);
	wait_until(b, &b->ndone, 1);
	assert_int_equal(b->results[0].state, RECORD_DEFERRED);
	assert_int_equal(b->results[0].code, 554);
	assert_true(b->site_failed);
}

static void test_421_to_the_first_message_fails_the_site(void **state)
{
	struct bench *b = *state;
	b->srv.rcpt = "421 4.7.0 slow down\r\n";
	send_job(b, &b->srv.addr, 1, LETTER_LEN, WIRE_TLS_MAY);
	wait_until(b, &b->ndone, 1);
	assert_int_equal(b->results[1].state, RECORD_DEFERRED);
	assert_int_equal(b->results[1].code, 421);
	assert_true(b->site_failed);
}

static void test_recipients_are_told_apart(void **state)
{
	struct bench *b = *state;
	b->srv.rcpt = "550 5.1.1 unknown\r\n";
	send_job(b, &b->srv.addr, 1, LETTER_LEN, WIRE_TLS_MAY);
	wait_until(b, &b->ndone, 1);
	assert_int_equal(b->results[0].state, RECORD_FAILED);
	assert_int_equal(b->results[1].state, RECORD_FAILED);
	assert_false(b->site_failed);
}

static void test_dead_idle_connection_costs_nothing(void **state)
{
	struct bench *b = *state;
	b->srv.drop_after_message = true;
	for (unsigned i = 1; i <= 5; i++) {
		send_job(b, &b->srv.addr, 1, LETTER_LEN, WIRE_TLS_MAY);
		wait_until(b, &b->ndone, i);
		assert_int_equal(b->results[2 * i - 1].state, RECORD_DELIVERED);
	}
	assert_int_equal(b->srv.messages, 5);
	assert_int_equal(b->srv.connections, 5);
}

static void test_broken_tls_goes_on_in_the_clear(void **state)
{
	struct bench *b = *state;
	b->srv.starttls = true;
	send_job(b, &b->srv.addr, 1, LETTER_LEN, WIRE_TLS_MAY);
	wait_until(b, &b->ndone, 1);
	assert_int_equal(b->results[0].state, RECORD_DELIVERED);
	assert_int_equal(b->srv.connections, 2);
	send_job(b, &b->srv.addr, 1, LETTER_LEN, WIRE_TLS_ENCRYPT);
	wait_until(b, &b->ndone, 2);
	assert_int_equal(b->results[2].state, RECORD_DEFERRED);
	assert_int_equal(b->srv.messages, 1);
}

static void test_large_content(void **state)
{
	struct bench *b = *state;
	CLEANUP(buf_done) struct buf big;
	buf_init(&big, 8u << 20);
	for (unsigned i = 0; big.len < 3u << 20; i++)
		buf_printf(&big, "line %u of a large message, long enough to look like one\r\n", i);
	lend(b, 1, buf_slice(&big));
	send_job(b, &b->srv.addr, 1, big.len, WIRE_TLS_MAY);
	wait_until(b, &b->ndone, 1);
	assert_int_equal(b->results[0].state, RECORD_DELIVERED);
	assert_true(slice_eq(buf_slice(&b->srv.last), buf_slice(&big)));
}

static void test_content_shorter_than_told(void **state)
{
	struct bench *b = *state;
	send_job(b, &b->srv.addr, 1, LETTER_LEN + 1, WIRE_TLS_MAY);
	wait_until(b, &b->ndone, 1);
	assert_int_equal(b->results[0].state, RECORD_DEFERRED);
	assert_int_equal(b->srv.messages, 0);
}

static void test_segment_was_not_lent(void **state)
{
	struct bench *b = *state;
	CLEANUP(buf_done) struct buf out;
	buf_init(&out, 100);
	wire_loan_encode(&(struct wire_loan){.segment = 1}, &out);
	send_frame(b, WIRE_UNLOAN, &out, NULL);
	send_job(b, &b->srv.addr, 1, LETTER_LEN, WIRE_TLS_MAY);
	wait_until(b, &b->ndone, 1);
	assert_int_equal(b->results[0].state, RECORD_DEFERRED);
	assert_int_equal(b->srv.connections, 0);
}

/* The queue dies while one job is done but not acknowledged and another waits for the reply to its final dot. */
static void test_new_queue_hears_of_everything(void **state)
{
	struct bench *b = *state;
	send_job(b, &b->srv.addr, 1, LETTER_LEN, WIRE_TLS_MAY);
	wait_until(b, &b->ndone, 1);
	b->srv.hold_dot = true;
	send_job(b, &b->srv.addr, 1, LETTER_LEN, WIRE_TLS_MAY);
	wait_until(b, &b->srv.messages, 2);
	connect_queue(b);
	wait_until(b, &b->report_ends, 1);
	assert_int_equal(b->nreports, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(b->reports[i].in_flight, b->reports[i].job == 2);
		if (b->reports[i].job == 1)
			assert_int_equal(b->reports[i].state, RECORD_DELIVERED);
	}
	wait_until(b, &b->ndone, 2); /* the first one again */
	say(b->srv.held, "250 2.0.0 taken\r\n");
	wait_until(b, &b->ndone, 3);
	assert_int_equal(b->results[b->nresults - 1].job, 2);
	assert_int_equal(b->results[b->nresults - 1].state, RECORD_DELIVERED);
	/* acknowledged jobs are not reported again */
	acknowledge(b, 1);
	acknowledge(b, 2);
	uint64_t end = loop_now(b->loop) + WAIT_MS;
	while (counter(b, "smtpc_jobs") > 0) {
		loop_turn(b->loop, 100);
		assert_true(loop_now(b->loop) < end);
	}
	connect_queue(b);
	wait_until(b, &b->report_ends, 1);
	assert_int_equal(b->nreports, 0);
	assert_int_equal(b->lost, 0); /* replaced, which is nothing to tell */
	ipc_free(b->queue);
	b->queue = NULL;
	wait_until(b, &b->lost, 1);
}

static void test_lost_behind_the_final_dot(void **state)
{
	struct bench *b = *state;
	b->srv.hold_dot = true;
	send_job(b, &b->srv.addr, 1, LETTER_LEN, WIRE_TLS_MAY);
	wait_until(b, &b->srv.messages, 1);
	stream_abort(b->srv.held->stream);
	wait_until(b, &b->ndone, 1);
	assert_int_equal(b->results[0].state, RECORD_DEFERRED);
	assert_true(b->results[0].unknown);
	assert_false(b->site_failed);
}

static void test_connections_are_bounded(void **state)
{
	struct bench *b = *state;
	b->conf->delivery.connections = 2;
	for (unsigned i = 0; i < 10; i++)
		send_job(b, &b->srv.addr, 1, LETTER_LEN, i % 2 ? WIRE_TLS_MAY : WIRE_TLS_NONE);
	uint64_t end = loop_now(b->loop) + WAIT_MS;
	while (b->ndone < 10) {
		loop_turn(b->loop, 100);
		assert_true(b->srv.open <= 3); /* the server may see an end a turn later than it happened */
		assert_true(loop_now(b->loop) < end);
	}
	assert_int_equal(b->srv.messages, 10);
}

static void test_worn_connections_end(void **state)
{
	struct bench *b = *state;
	b->conf->delivery.messages_per_connection = 2;
	for (unsigned i = 1; i <= 4; i++) {
		send_job(b, &b->srv.addr, 1, LETTER_LEN, WIRE_TLS_MAY);
		wait_until(b, &b->ndone, i);
	}
	assert_int_equal(b->srv.connections, 2);
}

static void test_drains(void **state)
{
	struct bench *b = *state;
	b->srv.hold_dot = true;
	send_job(b, &b->srv.addr, 1, LETTER_LEN, WIRE_TLS_MAY);
	wait_until(b, &b->srv.messages, 1);
	smtpc_role.drain(b->smtpc);
	assert_int_equal(b->drained, 0);
	say(b->srv.held, "250 2.0.0 taken\r\n");
	wait_until(b, &b->ndone, 1);
	assert_int_equal(b->drained, 0); /* the queue does not have it for sure */
	acknowledge(b, 1);
	wait_until(b, &b->drained, 1);
	uint64_t end = loop_now(b->loop) + WAIT_MS;
	while (open_connections(b) > 0)
		assert_true(loop_now(b->loop) < end);
	assert_int_equal(b->drained, 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_delivers_and_reuses),
		TEST(test_tries_the_next_address),
		TEST(test_no_address_answers),
		TEST(test_site_refuses),
		TEST(test_421_to_the_first_message_fails_the_site),
		TEST(test_recipients_are_told_apart),
		TEST(test_dead_idle_connection_costs_nothing),
		TEST(test_broken_tls_goes_on_in_the_clear),
		TEST(test_large_content),
		TEST(test_content_shorter_than_told),
		TEST(test_segment_was_not_lent),
		TEST(test_new_queue_hears_of_everything),
		TEST(test_lost_behind_the_final_dot),
		TEST(test_connections_are_bounded),
		TEST(test_worn_connections_end),
		TEST(test_drains),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
