/* The resolver process: questions over its channel, scripted DNS behind it. */
#include "conf/conf.h"
#include "dns_script.h"
#include "dns_server.h"
#include "evio/ipc.h"
#include "relay/resolver/resolver_role.h"
#include "relay/wire/resolve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define WAIT_MS 10000
#define REFS    64

static const struct dns_script_row rows[] = {
	{"x.example", DNS_MX, DNS_OK, true, 300, "10 a.example 10 b.example 10 c.example"},
	{"a.example", DNS_A, DNS_OK, true, 300, "192.0.2.1"},
	{"b.example", DNS_A, DNS_OK, true, 300, "192.0.2.2"},
	{"c.example", DNS_A, DNS_OK, true, 300, "192.0.2.3"},
	{"null.example", DNS_MX, DNS_OK, false, 300, "0 ."},
	{"bogus.example", DNS_MX, DNS_BOGUS, false, 30, ""},
};

struct bench {
	struct loop *loop;
	struct log *log;
	struct conf *conf;
	struct dns_script script;
	struct dns_lookup lookup;
	void *resolver;
	struct ipc *queue;
	struct arena arena;
	struct wire_resolved answers[REFS]; /* by ref; in the arena */
	unsigned got, closed, drained;
};

static void on_frame(void *ctx, struct ipc_frame *f)
{
	struct bench *b = ctx;
	struct wire_resolved m;
	struct slice kept;
	assert_int_equal(f->type, WIRE_RESOLVED);
	assert_int_equal(arena_dup(&b->arena, f->payload, &kept), ERR_OK);
	assert_int_equal(wire_resolved_decode(kept, &b->arena, &m), ERR_OK);
	assert_true(m.ref < REFS);
	b->answers[m.ref] = m;
	b->got++;
}

static void on_close(void *ctx, const struct diag *why)
{
	struct bench *b = ctx;
	b->closed++;
}

static void connect_queue(struct bench *b)
{
	static const struct ipc_events events = {.on_frame = on_frame, .on_close = on_close};
	int fds[2];
	struct diag d;
	ipc_free(b->queue);
	assert_int_equal(ipc_pair(b->loop, fds, &d), ERR_OK);
	assert_int_equal(ipc_new(b->loop, fds[0], &events, b, &b->queue, &d), ERR_OK);
	resolver_role.peer(b->resolver, ROLE_QUEUE, 0, fds[1]);
}

static void on_drained(void *ctx)
{
	struct bench *b = ctx;
	b->drained++;
}

static struct conf *load(const char *text)
{
	struct conf *conf = NULL;
	struct diag d = {0};
	if (conf_load_text(slice_str(text), "test", &conf, &d) != ERR_OK)
		fail_msg("%s", d.text);
	return conf;
}

static void start(struct bench *b, const struct dns_lookup *dns)
{
	struct diag d = {0};
	struct role_env env = {.trust_anchor = SLICE_LIT("; nothing is signed here\n"),
			       .loop = b->loop,
			       .log = b->log,
			       .conf = b->conf,
			       .dns = dns,
			       .drained = on_drained,
			       .ctx = b};
	assert_int_equal(resolver_role.start(&env, &b->resolver, &d), ERR_OK);
	connect_queue(b);
}

static int setup(void **state)
{
	static struct bench b;
	struct diag d = {0};
	b = (struct bench){0};
	assert_int_equal(loop_epoll_new(&b.loop, &d), ERR_OK);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_int_equal(log_new(b.loop, null, LOG_SINK_FILE, LOG_DEBUG, "test", &b.log, &d), ERR_OK);
	b.conf = load("hostname = \"relay.example\"\n");
	arena_init(&b.arena, 1u << 20);
	dns_script_init(&b.script, b.loop, rows, ARRAY_LEN(rows));
	b.lookup = dns_script_lookup(&b.script);
	start(&b, &b.lookup);
	*state = &b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;
	resolver_role.stop(b->resolver);
	dns_script_done(&b->script);
	ipc_free(b->queue);
	arena_done(&b->arena);
	conf_unref(b->conf);
	log_free(b->log);
	loop_free(b->loop);
	return 0;
}

static void ask(struct bench *b, uint64_t ref, enum wire_resolve_kind kind, const char *name)
{
	CLEANUP(buf_done) struct buf out;
	buf_init(&out, 2000);
	wire_resolve_encode(
		&(struct wire_resolve){.ref = ref, .kind = kind, .name = slice_str(name), .port = 2525},
		&out);
	assert_int_equal(ipc_send(b->queue, WIRE_RESOLVE, buf_slice(&out), NULL, 0), ERR_OK);
}

static void wait_until(struct bench *b, unsigned *counter, unsigned value)
{
	uint64_t end = loop_now(b->loop) + WAIT_MS;
	while (*counter < value) {
		loop_turn(b->loop, 100);
		assert_true(loop_now(b->loop) < end);
	}
}

static void test_answers(void **state)
{
	struct bench *b = *state;
	ask(b, 1, WIRE_RESOLVE_MX, "x.example");
	ask(b, 2, WIRE_RESOLVE_MX, "null.example");
	ask(b, 3, WIRE_RESOLVE_MX, "nowhere.example");
	ask(b, 4, WIRE_RESOLVE_MX, "bogus.example");
	ask(b, 5, WIRE_RESOLVE_HOST, "127.0.0.1");
	wait_until(b, &b->got, 5);
	assert_int_equal(b->answers[1].outcome, WIRE_RESOLVE_OK);
	assert_int_equal(b->answers[1].count, 3);
	assert_int_equal(net_addr_port(&b->answers[1].hops[0].addr), 2525);
	assert_int_equal(b->answers[2].outcome, WIRE_RESOLVE_NULL_MX);
	assert_int_equal(b->answers[3].outcome, WIRE_RESOLVE_NO_DOMAIN);
	assert_int_equal(b->answers[4].outcome, WIRE_RESOLVE_TEMPORARY);
	assert_int_equal(b->answers[5].outcome, WIRE_RESOLVE_OK);
	assert_int_equal(net_addr_port(&b->answers[5].hops[0].addr), 2525);
}

static void test_joins_and_caches(void **state)
{
	struct bench *b = *state;
	for (uint64_t ref = 0; ref < 10; ref++)
		ask(b, ref, WIRE_RESOLVE_MX, ref % 2 ? "x.example" : "X.EXAMPLE");
	wait_until(b, &b->got, 10);
	unsigned asked = b->script.asked;
	assert_int_equal(asked, 7); /* MX, and two address types of three hosts */
	unsigned first[256] = {0};
	for (unsigned round = 0; round < 6; round++) {
		for (uint64_t ref = 0; ref < 30; ref++)
			ask(b, ref, WIRE_RESOLVE_MX, "x.example");
		b->got = 0;
		wait_until(b, &b->got, 30);
		for (uint64_t ref = 0; ref < 30; ref++)
			first[(unsigned char)b->answers[ref].hops[0].host.ptr[0]]++;
	}
	assert_int_equal(b->script.asked, asked);
	assert_true(b->answers[0].ttl_s <= 300);
	/* equal hosts share the first place, also from the cache (180 draws; chance of a false alarm is below 1e-9) */
	assert_true(first['a'] > 20 && first['b'] > 20 && first['c'] > 20);
}

static void test_queue_comes_back(void **state)
{
	struct bench *b = *state;
	b->script.silent = true;
	ask(b, 1, WIRE_RESOLVE_MX, "x.example");
	uint64_t end = loop_now(b->loop) + WAIT_MS;
	while (b->script.asked == 0 && loop_now(b->loop) < end)
		loop_turn(b->loop, 100);
	connect_queue(b); /* the flight goes on, its question is forgotten */
	ask(b, 2, WIRE_RESOLVE_MX, "x.example");
	loop_turn(b->loop, 0);
	loop_turn(b->loop, 0);
	b->script.silent = false;
	task_defer(&b->script.answer);
	wait_until(b, &b->got, 1);
	assert_int_equal(b->answers[2].count, 3);
	assert_int_equal(b->answers[1].count, 0);
}

static void test_bad_frame_closes(void **state)
{
	struct bench *b = *state;
	assert_int_equal(ipc_send(b->queue, WIRE_RESOLVE, SLICE_LIT("x"), NULL, 0), ERR_OK);
	wait_until(b, &b->closed, 1);
}

static void test_drains(void **state)
{
	struct bench *b = *state;
	b->script.silent = true;
	ask(b, 1, WIRE_RESOLVE_MX, "null.example");
	uint64_t end = loop_now(b->loop) + WAIT_MS;
	while (b->script.asked == 0 && loop_now(b->loop) < end)
		loop_turn(b->loop, 100);
	resolver_role.drain(b->resolver);
	assert_int_equal(b->drained, 0);
	b->script.silent = false;
	task_defer(&b->script.answer);
	wait_until(b, &b->drained, 1);
	wait_until(b, &b->got, 1);
	ask(b, 2, WIRE_RESOLVE_MX, "x.example");
	wait_until(b, &b->got, 2);
	assert_int_equal(b->answers[2].outcome, WIRE_RESOLVE_TEMPORARY);
}

/* The name server of the old configuration never answers; the new one does, also to what was asked before. */
static void test_reload_replaces_the_resolver(void **state)
{
	static const struct dns_server_record mute[] = {
		{"x.zone", DNS_MX, DNS_SERVER_SILENT, 60, NULL, 0},
	};
	static const struct dns_server_record good[] = {
		{"x.zone", DNS_MX, DNS_SERVER_OK, 60, DNS_SERVER_DATA("\0\12\xc0\x0c")},
		{"x.zone", DNS_A, DNS_SERVER_OK, 60, DNS_SERVER_DATA("\300\0\2\1")},
	};
	struct bench *b = *state;
	struct dns_server servers[2];
	char text[200];
	resolver_role.stop(b->resolver);
	dns_server_start(&servers[0], b->loop, mute, ARRAY_LEN(mute));
	dns_server_start(&servers[1], b->loop, good, ARRAY_LEN(good));
	struct conf *confs[2];
	for (int i = 0; i < 2; i++) {
		snprintf(text, sizeof(text),
			 "hostname = \"relay.example\"\nresolver { forward = {\"127.0.0.1:%u\"} }\n",
			 servers[i].port);
		confs[i] = load(text);
	}
	conf_unref(b->conf);
	b->conf = confs[0];
	start(b, NULL);
	ask(b, 1, WIRE_RESOLVE_MX, "x.zone");
	wait_until(b, &servers[0].questions, 1);
	resolver_role.config(b->resolver, confs[1], 2);
	wait_until(b, &b->got, 1);
	assert_int_equal(b->answers[1].outcome, WIRE_RESOLVE_OK);
	assert_true(slice_eq_str(b->answers[1].hops[0].host, "x.zone"));
	conf_unref(confs[1]);
	for (int i = 0; i < 2; i++)
		dns_server_stop(&servers[i]);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answers),
		TEST(test_joins_and_caches),
		TEST(test_queue_comes_back),
		TEST(test_bad_frame_closes),
		TEST(test_reload_replaces_the_resolver),
		TEST(test_drains),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
