/* The smtpd process as its surroundings see it: a client on a socket, queue and auth played on channels. */
#include "relay/smtpd/smtpd_role.h"

#include "core/mem.h"
#include "core/text.h"
#include "evio/ipc.h"
#include "evio/stream.h"
#include "evio/tls.h"
#include "mail/edits.h"
#include "record/record.h"
#include "relay/wire/auth.h"
#include "relay/wire/submit.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define TEXT_MAX (4u << 20)
#define WAIT_MS  20000 /* a bound for the slowest machine; every wait ends by its condition */

static const char conf_text[] =
	"hostname = \"relay.example.net\"\n"
	"listener inside { address = {\"127.0.0.1:2525\"} tls = \"none\" auth = \"required\" }\n"
	"listener open { address = {\"127.0.0.1:2526\"} tls = \"none\" auth = \"none\" }\n"
	"listener submission { address = {\"127.0.0.1:2587\"} tls = \"starttls\" }\n"
	"listener smtps { address = {\"127.0.0.1:2465\"} tls = \"implicit\" }\n"
	"listener balanced { address = {\"127.0.0.1:2527\"} tls = \"none\" auth = \"none\" proxy = "
	"{\"127.0.0.0/8\"} "
	"clients = {\"198.51.100.0/24\", \"2001:db8::/32\", \"127.0.0.1\"} }\n"
	"listener balanced_tls { address = {\"127.0.0.1:2466\"} tls = \"implicit\" proxy = {\"127.0.0.1\"} "
	"}\n"
	"listener strangers { address = {\"127.0.0.1:2528\"} tls = \"none\" auth = \"none\" clients = "
	"{\"192.0.2.0/24\"} }\n"
	"listener fronted { address = {\"127.0.0.1:2529\"} tls = \"none\" auth = \"none\" xclient = "
	"{\"127.0.0.1\"} }\n"
	"limit { connections_per_network = 2 }\n";

struct world {
	struct loop *loop;
	struct log *log;
	struct conf *conf;
	void *self;
	struct net_addr address[8]; /* of the listeners, in the order of conf_text */
	struct ipc *queue, *auth;   /* our ends */
	bool drained;
	unsigned roles_lost; /* as bits */

	/* the queue */
	struct buf envelope, content, edits;
	uint64_t id;
	unsigned parts, ends, aborts;
	bool answers, lost;
	struct wire_reply early; /* code 0: none */

	/* auth */
	bool auth_answers, auth_lost;
	const char *auth_client; /* whom it should be told; NULL: 127.0.0.1 */
	unsigned auth_starts, auth_cancels;

	/* the client */
	struct stream *client;
	struct buf heard;
	bool client_open, client_closed, client_tls;
	struct tls_client *tls; /* trusts nobody and asks for nothing */
};

/* ---- the queue ---- */

static void queue_send(struct world *w, uint16_t type, const struct buf *payload)
{
	assert_int_equal(payload->failed, ERR_OK);
	assert_int_equal(ipc_send(w->queue, type, buf_slice(payload), NULL, 0), ERR_OK);
}

static void queue_result(struct world *w, const struct wire_reply *r)
{
	struct buf b;
	buf_init(&b, TEXT_MAX);
	wire_submit_result_encode(&(struct wire_submit_result){.id = w->id, .reply = *r}, &b);
	queue_send(w, WIRE_SUBMIT_RESULT, &b);
	buf_done(&b);
}

static void queue_part(struct world *w, const struct wire_submit_part *p)
{
	struct buf *const parts[] = {&w->envelope, &w->content, &w->edits};
	struct buf b;
	w->parts++;
	w->id = p->id;
	buf_add(parts[p->part], p->data);
	if (p->part != WIRE_PART_CONTENT)
		return;
	if (w->early.code) {
		queue_result(w, &w->early);
		return;
	}
	buf_init(&b, TEXT_MAX);
	wire_submit_credit_encode(&(struct wire_submit_credit){.id = p->id, .octets = (uint32_t)p->data.len},
				  &b);
	queue_send(w, WIRE_SUBMIT_CREDIT, &b);
	buf_done(&b);
}

static void queue_frame(void *ctx, struct ipc_frame *f)
{
	struct world *w = ctx;
	struct wire_submit_part part;
	struct wire_submit_ref ref;
	struct wire_reply ok = {250, {2, 0, 0}, SLICE_LIT("Ok: queued")};
	if (f->type == WIRE_SUBMIT_PART) {
		assert_int_equal(wire_submit_part_decode(f->payload, &part), ERR_OK);
		queue_part(w, &part);
		return;
	}
	assert_int_equal(wire_submit_ref_decode(f->payload, &ref), ERR_OK);
	assert_int_equal(ref.id, w->id);
	if (f->type == WIRE_SUBMIT_END) {
		w->ends++;
		if (w->answers)
			queue_result(w, &ok);
	} else {
		assert_int_equal(f->type, WIRE_SUBMIT_ABORT);
		w->aborts++;
	}
}

static void queue_closed(void *ctx, const struct diag *why)
{
	struct world *w = ctx;
	w->lost = true;
}

static void queue_connect(struct world *w, uint64_t first_id)
{
	static const struct ipc_events events = {.on_frame = queue_frame, .on_close = queue_closed};
	struct wire_submit_grant grant = {.first = first_id, .count = WIRE_ID_BLOCK};
	struct wire_reply welcome = {.text = SLICE_EMPTY};
	struct buf b;
	int fds[2];
	buf_init(&b, TEXT_MAX);
	assert_int_equal(ipc_pair(w->loop, fds, NULL), ERR_OK);
	assert_int_equal(ipc_new(w->loop, fds[0], &events, w, &w->queue, NULL), ERR_OK);
	wire_submit_grant_encode(&grant, &b);
	queue_send(w, WIRE_SUBMIT_GRANT, &b);
	buf_clear(&b);
	wire_submit_state_encode(&welcome, &b);
	queue_send(w, WIRE_SUBMIT_STATE, &b);
	buf_done(&b);
	smtpd_role.peer(w->self, ROLE_QUEUE, 0, fds[1]);
}

/* ---- auth: any PLAIN message is good, if it answers at all ---- */

static void auth_challenge(struct world *w, uint64_t ref)
{
	struct buf b;
	buf_init(&b, TEXT_MAX);
	wire_auth_step_encode(&(struct wire_auth_step){.ref = ref, .data = SLICE_EMPTY}, &b);
	assert_int_equal(ipc_send(w->auth, WIRE_AUTH_CHALLENGE, buf_slice(&b), NULL, 0), ERR_OK);
	buf_done(&b);
}

static void auth_frame(void *ctx, struct ipc_frame *f)
{
	struct world *w = ctx;
	struct wire_auth_start start;
	struct buf b;
	if (f->type == WIRE_AUTH_CANCEL)
		w->auth_cancels++;
	if (f->type != WIRE_AUTH_START)
		return;
	assert_int_equal(wire_auth_start_decode(f->payload, &start), ERR_OK);
	assert_true(slice_eq_str(start.mechanism, "PLAIN"));
	assert_true(slice_eq_str(start.client, w->auth_client ? w->auth_client : "127.0.0.1"));
	w->auth_starts++;
	if (!w->auth_answers)
		return;
	if (!start.has_initial) {
		auth_challenge(w, start.ref);
		return;
	}
	struct wire_auth_verdict v = {
		.ref = start.ref, .outcome = WIRE_AUTH_OK, .server = SLICE_LIT("houston")};
	buf_init(&b, TEXT_MAX);
	wire_auth_verdict_encode(&v, &b);
	assert_int_equal(ipc_send(w->auth, WIRE_AUTH_VERDICT, buf_slice(&b), NULL, 0), ERR_OK);
	buf_done(&b);
}

static void auth_closed(void *ctx, const struct diag *why)
{
	struct world *w = ctx;
	w->auth_lost = true;
}

static void auth_connect(struct world *w)
{
	static const struct ipc_events events = {.on_frame = auth_frame, .on_close = auth_closed};
	int fds[2];
	assert_int_equal(ipc_pair(w->loop, fds, NULL), ERR_OK);
	assert_int_equal(ipc_new(w->loop, fds[0], &events, w, &w->auth, NULL), ERR_OK);
	smtpd_role.peer(w->self, ROLE_AUTH, 0, fds[1]);
}

/* ---- the client ---- */

static size_t client_read(void *ctx, struct slice in)
{
	struct world *w = ctx;
	buf_add(&w->heard, in);
	return in.len;
}

static void client_close(void *ctx, const struct diag *why)
{
	struct world *w = ctx;
	w->client_closed = true;
}

static void client_on_open(void *ctx)
{
	struct world *w = ctx;
	w->client_open = true;
}

static void client_on_tls(void *ctx, const struct tls_info *info)
{
	struct world *w = ctx;
	w->client_tls = true;
}

static const struct stream_events client_events = {
	.on_open = client_on_open, .on_read = client_read, .on_tls = client_on_tls, .on_close = client_close};

static void client_connect(struct world *w, unsigned listener)
{
	struct connect_options o = {.remote = w->address[listener]};
	buf_clear(&w->heard);
	w->client_open = w->client_closed = w->client_tls = false;
	assert_int_equal(stream_connect(w->loop, &o, &client_events, w, &w->client, NULL), ERR_OK);
}

static void client_gone(struct world *w)
{
	stream_free(w->client);
	w->client = NULL;
}

static void say(struct world *w, const char *text)
{
	assert_int_equal(stream_write(w->client, slice_str(text)), ERR_OK);
}

#define WAIT_FOR(w, condition)                                                                               \
	do {                                                                                                 \
		uint64_t end = loop_now((w)->loop) + WAIT_MS;                                                \
		while (!(condition) && loop_now((w)->loop) < end)                                            \
			loop_turn((w)->loop, 100);                                                           \
		assert_true(condition);                                                                      \
	} while (0)

static bool heard(const struct world *w, const char *text)
{
	return slice_find_slice(buf_slice(&w->heard), slice_str(text)) != SLICE_NPOS;
}

/* ---- the world ---- */

static void on_drained(void *ctx)
{
	struct world *w = ctx;
	w->drained = true;
}

static void on_lost(void *ctx, enum wire_role role)
{
	struct world *w = ctx;
	w->roles_lost |= 1u << role;
}

static void listen_on(struct world *w, unsigned index)
{
	struct net_addr any;
	int fd;
	assert_int_equal(net_addr_parse(SLICE_LIT("127.0.0.1:1"), 0, &any, NULL), ERR_OK);
	net_addr_set_port(&any, 0); /* any free one */
	assert_int_equal(net_listen(w->loop, &any, 0, &fd, NULL), ERR_OK);
	w->address[index].len = sizeof(w->address[index].u);
	assert_int_equal(getsockname(fd, &w->address[index].u.sa, &w->address[index].len), 0);
	smtpd_role.listener(w->self, index, fd);
}

static int world_new(void **state)
{
	struct world *w = NEW(struct world);
	struct diag d = {0};
	w->answers = w->auth_answers = true;
	buf_init(&w->envelope, TEXT_MAX);
	buf_init(&w->content, TEXT_MAX);
	buf_init(&w->edits, TEXT_MAX);
	buf_init(&w->heard, TEXT_MAX);
	assert_int_equal(loop_epoll_new(&w->loop, &d), ERR_OK);
	assert_int_equal(log_new(w->loop, 2, LOG_SINK_STDERR, LOG_ERROR, "smtpd.0", &w->log, &d), ERR_OK);
	enum err e = conf_load_text(slice_str(conf_text), "test", &w->conf, &d);
	if (e)
		fail_msg("%s", d.text);
	struct role_env env = {.loop = w->loop,
			       .log = w->log,
			       .conf = w->conf,
			       .drained = on_drained,
			       .lost = on_lost,
			       .ctx = w};
	assert_int_equal(smtpd_role.start(&env, &w->self, &d), ERR_OK);
	queue_connect(w, 1ull << 32);
	auth_connect(w);
	for (unsigned i = 0; i < ARRAY_LEN(w->address); i++)
		listen_on(w, i);
	*state = w;
	return 0;
}

static int world_free(void **state)
{
	struct world *w = *state;
	stream_free(w->client);
	tls_client_free(w->tls);
	smtpd_role.stop(w->self);
	ipc_free(w->queue);
	ipc_free(w->auth);
	conf_unref(w->conf);
	log_free(w->log);
	loop_free(w->loop);
	buf_done(&w->envelope);
	buf_done(&w->content);
	buf_done(&w->edits);
	buf_done(&w->heard);
	mem_free(w);
	return 0;
}

#define OPENING  "EHLO client.example.com\r\nAUTH PLAIN AGhvdXN0b24Ac2VjcmV0\r\n"
#define ENVELOPE "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\n"

/* ---- tests ---- */

static void test_a_mail_goes_through(void **state)
{
	struct world *w = *state;
	struct record_message m;
	struct arena a;
	uint64_t length;
	client_connect(w, 0);
	say(w, OPENING ENVELOPE "DATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n");
	WAIT_FOR(w, w->client_closed);
	assert_true(heard(w, "235 2.7.0") && heard(w, "250 2.0.0 Ok: queued\r\n") && heard(w, "221 2.0.0"));
	assert_int_equal(w->ends, 1);
	assert_true(slice_eq_str(buf_slice(&w->content), "Subject: x\r\n\r\n.dot\r\n"));
	arena_init(&a, TEXT_MAX);
	assert_int_equal(record_message_decode(buf_slice(&w->envelope), &a, &m), ERR_OK);
	assert_int_equal(m.id, w->id);
	assert_int_equal(m.size, w->content.len);
	assert_int_equal(m.recipient_count, 2);
	assert_true(slice_eq_str(m.sender, "a@example.com"));
	assert_true(slice_eq_str(m.recipients[1].address, "c@example.org"));
	assert_true(slice_eq_str(m.server, "houston"));
	assert_true(slice_eq_str(m.listener, "inside"));
	assert_true(slice_eq_str(m.protocol, "ESMTPA"));
	assert_int_equal(edits_check(buf_slice(&w->edits), w->content.len, &length), ERR_OK);
	arena_done(&a);
}

/* A mail far larger than the window: credit keeps it going, and every octet arrives. */
static void test_large_mail(void **state)
{
	struct world *w = *state;
	struct buf line;
	size_t lines = 30000;
	buf_init(&line, 128);
	client_connect(w, 1);
	say(w, "EHLO c.example\r\n" ENVELOPE "DATA\r\nSubject: x\r\n\r\n");
	for (size_t i = 0; i < lines; i++) {
		buf_clear(&line);
		buf_printf(&line, "%06zu 34567890123456789012345678901234567890\r\n", i);
		while (stream_unsent(w->client) > 100000)
			loop_turn(w->loop, 100);
		assert_int_not_equal(stream_write(w->client, buf_slice(&line)), ERR_LIMIT);
	}
	while (stream_unsent(w->client) > 100000)
		loop_turn(w->loop, 100);
	say(w, ".\r\n");
	WAIT_FOR(w, heard(w, "250 2.0.0 Ok: queued\r\n"));
	assert_int_equal(w->content.len, 14 + lines * line.len);
	assert_memory_equal(w->content.data + w->content.len - line.len, line.data, line.len);
	buf_done(&line);
}

static void test_early_refusal_frees_the_place_at_the_queue(void **state)
{
	struct world *w = *state;
	w->early = (struct wire_reply){452, {4, 3, 1}, SLICE_LIT("The disk is full")};
	client_connect(w, 1);
	say(w, "EHLO c.example\r\n" ENVELOPE "DATA\r\nSubject: x\r\n\r\n");
	WAIT_FOR(w, w->aborts == 1);
	say(w, "the rest\r\n.\r\nNOOP\r\n");
	WAIT_FOR(w, heard(w, "452 4.3.1 The disk is full\r\n250 2.0.0 Ok\r\n"));
	assert_int_equal(w->ends, 0);
}

static void test_client_leaves_in_data(void **state)
{
	struct world *w = *state;
	client_connect(w, 1);
	say(w, "EHLO c.example\r\n" ENVELOPE "DATA\r\nSubject: x\r\n\r\n");
	WAIT_FOR(w, w->parts > 0);
	client_gone(w);
	WAIT_FOR(w, w->aborts == 1);
	assert_int_equal(w->ends, 0);
}

/* A restarted queue: 451 for the mail that was under way, then everything works again. */
static void test_queue_is_lost_and_comes_back(void **state)
{
	struct world *w = *state;
	w->answers = false;
	client_connect(w, 1);
	say(w, "EHLO c.example\r\n" ENVELOPE "DATA\r\nSubject: x\r\n\r\n.\r\n");
	WAIT_FOR(w, w->ends == 1);
	ipc_free(w->queue);
	w->queue = NULL;
	WAIT_FOR(w, heard(w, "451 4.3.0 "));
	say(w, ENVELOPE);
	WAIT_FOR(w, heard(w, "451 4.3.0 The queue is not available"));
	w->answers = true;
	queue_connect(w, 2ull << 32);
	buf_clear(&w->envelope);
	WAIT_FOR(w, loop_turn(w->loop, 0) == false);
	say(w, ENVELOPE "DATA\r\n.\r\n");
	WAIT_FOR(w, heard(w, "250 2.0.0 Ok: queued\r\n"));
	assert_int_equal(w->id >> 32, 2);
	assert_int_equal(w->roles_lost, 1u << ROLE_QUEUE);
}

static void test_auth_is_lost(void **state)
{
	struct world *w = *state;
	w->auth_answers = false;
	client_connect(w, 0);
	say(w, OPENING "NOOP\r\n");
	WAIT_FOR(w, w->auth_starts == 1);
	ipc_free(w->auth);
	w->auth = NULL;
	WAIT_FOR(w, heard(w, "454 4.7.0 ") && heard(w, "250 2.0.0 Ok\r\n"));
	say(w, "AUTH PLAIN AGhvdXN0b24Ac2VjcmV0\r\nRSET\r\n"); /* nobody to ask */
	WAIT_FOR(w,
		 slice_ends(buf_slice(&w->heard), SLICE_LIT("454 4.7.0 Authentication is not possible at the "
							    "moment, try again later\r\n250 2.0.0 Ok\r\n")));
	w->auth_answers = true;
	auth_connect(w);
	say(w, "AUTH PLAIN AGhvdXN0b24Ac2VjcmV0\r\n");
	WAIT_FOR(w, heard(w, "235 2.7.0"));
	assert_int_equal(w->roles_lost, 1u << ROLE_AUTH);
}

static void test_client_leaves_in_auth(void **state)
{
	struct world *w = *state;
	client_connect(w, 0);
	say(w, "EHLO c.example\r\nAUTH PLAIN\r\n");
	WAIT_FOR(w, heard(w, "334 \r\n"));
	client_gone(w);
	WAIT_FOR(w, w->auth_cancels == 1);
}

static void test_connections_per_network(void **state)
{
	struct world *w = *state;
	struct stream *first, *second;
	client_connect(w, 0);
	first = w->client;
	WAIT_FOR(w, heard(w, "220 "));
	client_connect(w, 0);
	second = w->client;
	WAIT_FOR(w, heard(w, "220 "));
	client_connect(w, 0);
	WAIT_FOR(w, heard(w, "421 4.3.2 ") && w->client_closed);
	client_gone(w);
	stream_free(first);
	/* the place is free as soon as smtpd has seen the end */
	bool in = false;
	for (int i = 0; i < 100 && !in; i++) {
		client_connect(w, 0);
		WAIT_FOR(w, heard(w, "220 ") || heard(w, "421 "));
		in = heard(w, "220 ");
		if (!in)
			client_gone(w);
	}
	assert_true(in);
	stream_free(second);
}

static void test_drain(void **state)
{
	struct world *w = *state;
	w->answers = false;
	client_connect(w, 1);
	say(w, "EHLO c.example\r\n" ENVELOPE "DATA\r\nSubject: x\r\n\r\n.\r\n");
	WAIT_FOR(w, w->ends == 1);
	smtpd_role.drain(w->self);
	assert_false(w->drained);
	queue_result(w, &(struct wire_reply){250, {2, 0, 0}, SLICE_LIT("Ok: queued")});
	WAIT_FOR(w, heard(w, "250 2.0.0 Ok: queued\r\n421 4.3.2 ") && w->client_closed);
	client_gone(w);
	WAIT_FOR(w, w->drained);
}

static void test_drain_of_an_idle_process(void **state)
{
	struct world *w = *state;
	smtpd_role.drain(w->self);
	WAIT_FOR(w, w->drained);
}

/* ---- TLS ---- */

static X509 *self_signed(EVP_PKEY *key)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"relay.example.net", -1,
				   -1, 0);
	X509_set_issuer_name(x, name);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	return x;
}

static struct slice pem_of(BIO *b)
{
	char *p;
	long n = BIO_get_mem_data(b, &p);
	return slice_of(p, (size_t)n);
}

static void give_certificate(struct world *w)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = self_signed(key);
	BIO *cert_pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_mem());
	struct diag d = {0};
	PEM_write_bio_X509(cert_pem, x);
	PEM_write_bio_PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL);
	enum err e = smtpd_role.secrets(w->self, pem_of(cert_pem), pem_of(key_pem), SLICE_EMPTY, &d);
	if (e)
		fail_msg("%s", d.text);
	BIO_free(cert_pem);
	BIO_free(key_pem);
	X509_free(x);
	EVP_PKEY_free(key);
	struct tls_client_options o = {.no_system_store = true};
	assert_int_equal(tls_client_new(&o, &w->tls, &d), ERR_OK);
}

static void client_start_tls(struct world *w)
{
	struct tls_peer peer = {.name = SLICE_EMPTY};
	WAIT_FOR(w, w->client_open);
	buf_clear(&w->heard);
	assert_int_equal(stream_tls_connect(w->client, w->tls, &peer, WAIT_MS, NULL), ERR_OK);
	WAIT_FOR(w, w->client_tls);
}

/* Commands pipelined behind STARTTLS in the same packet are never executed, before or after the handshake. */
static void test_starttls_injection(void **state)
{
	struct world *w = *state;
	give_certificate(w);
	client_connect(w, 2);
	say(w, "EHLO c.example\r\nSTARTTLS\r\nNOOP\r\nEHLO evil.example\r\n");
	WAIT_FOR(w, heard(w, "220 2.0.0 Go ahead\r\n"));
	assert_true(slice_ends(buf_slice(&w->heard), SLICE_LIT("220 2.0.0 Go ahead\r\n")));
	client_start_tls(w);
	say(w, "VRFY x\r\n" ENVELOPE OPENING ENVELOPE "DATA\r\n.\r\nQUIT\r\n");
	WAIT_FOR(w, heard(w, "221 2.0.0"));
	assert_true(slice_starts(buf_slice(&w->heard),
				 SLICE_LIT("252 2.5.2 Cannot verify, but will take mail for it "
					   "and try to deliver\r\n503 5.5.1 Send EHLO")));
	assert_true(heard(w, "250 2.0.0 Ok: queued\r\n"));
	assert_false(heard(w, "STARTTLS"));
}

static void test_implicit_tls(void **state)
{
	struct world *w = *state;
	give_certificate(w);
	client_connect(w, 3);
	client_start_tls(w);
	WAIT_FOR(w, heard(w, "220 relay.example.net"));
	say(w, OPENING ENVELOPE "DATA\r\nSubject: x\r\n.\r\nQUIT\r\n");
	WAIT_FOR(w, heard(w, "221 2.0.0"));
	assert_true(heard(w, "235 2.7.0") && heard(w, "250 2.0.0 Ok: queued\r\n"));
}

/* Without a certificate STARTTLS is not announced, and the implicit port closes at once. */
static void test_no_certificate(void **state)
{
	struct world *w = *state;
	client_connect(w, 2);
	say(w, "EHLO c.example\r\nSTARTTLS\r\n");
	WAIT_FOR(w, heard(w, "454 4.7.0"));
	assert_false(heard(w, "250-STARTTLS"));
	client_gone(w);
	client_connect(w, 3);
	WAIT_FOR(w, w->client_closed);
	assert_int_equal(w->heard.len, 0);
}

/* ---- who connects ---- */

static void expect_client(struct world *w, const char *wanted)
{
	struct record_message m;
	struct arena a;
	arena_init(&a, TEXT_MAX);
	assert_int_equal(record_message_decode(buf_slice(&w->envelope), &a, &m), ERR_OK);
	assert_true(slice_eq_str(m.client, wanted));
	arena_done(&a);
	buf_clear(&w->envelope);
}

#define SHORT_MAIL "EHLO c.example\r\n" ENVELOPE "DATA\r\nSubject: x\r\n.\r\nQUIT\r\n"

static void test_proxy_names_the_client(void **state)
{
	struct world *w = *state;
	client_connect(w, 4);
	say(w, "PROXY TCP4 198.51.100.9 192.0.2.1 1024 25\r\n" SHORT_MAIL);
	WAIT_FOR(w, w->client_closed);
	assert_true(heard(w, "250 2.0.0 Ok: queued\r\n"));
	expect_client(w, "198.51.100.9");
	client_gone(w);
	client_connect(w, 4);
	say(w, "PROXY UNKNOWN\r\n" SHORT_MAIL);
	WAIT_FOR(w, w->client_closed);
	expect_client(w, "127.0.0.1");
}

/* The list of clients, and the limit per network, are about the client, not about the balancer. */
static void test_proxy_and_limits(void **state)
{
	struct world *w = *state;
	struct stream *first, *second;
	client_connect(w, 4);
	say(w, "PROXY TCP4 203.0.113.9 192.0.2.1 1024 25\r\n");
	WAIT_FOR(w, w->client_closed);
	assert_true(heard(w, "554 5.7.1 Your address"));
	client_gone(w);
	client_connect(w, 4);
	say(w, "PROXY TCP4 198.51.100.9 192.0.2.1 1 25\r\n");
	WAIT_FOR(w, heard(w, "220 "));
	first = w->client;
	client_connect(w, 4);
	say(w, "PROXY TCP4 198.51.100.9 192.0.2.1 2 25\r\n");
	WAIT_FOR(w, heard(w, "220 "));
	second = w->client;
	client_connect(w, 4);
	say(w, "PROXY TCP4 198.51.100.9 192.0.2.1 3 25\r\n");
	WAIT_FOR(w, heard(w, "421 4.3.2 Too many connections"));
	client_gone(w);
	client_connect(w, 4);
	say(w, "PROXY TCP4 198.51.100.10 192.0.2.1 3 25\r\n");
	WAIT_FOR(w, heard(w, "220 "));
	stream_free(first);
	stream_free(second);
}

static void test_no_proxy_header(void **state)
{
	struct world *w = *state;
	client_connect(w, 4);
	say(w, "EHLO c.example\r\n");
	WAIT_FOR(w, w->client_closed);
	assert_int_equal(w->heard.len, 0);
	client_gone(w);
	client_connect(w, 4);
	WAIT_FOR(w, w->client_open);
	client_gone(w); /* leaves without a word */
	client_connect(w, 4);
	say(w, "PROXY TCP4 198.51.100.9 192.0");
	WAIT_FOR(w, w->client_open);
	smtpd_role.drain(w->self);
	WAIT_FOR(w, w->client_closed && w->drained);
}

static void test_proxy_before_implicit_tls(void **state)
{
	struct world *w = *state;
	give_certificate(w);
	w->auth_client = "2001:db8::9";
	client_connect(w, 5);
	say(w, "PROXY TCP6 2001:db8::9 2001:db8::1 1 465\r\n");
	client_start_tls(w);
	WAIT_FOR(w, heard(w, "220 relay.example.net"));
	say(w, OPENING "QUIT\r\n");
	WAIT_FOR(w, heard(w, "221 2.0.0"));
	assert_true(heard(w, "235 2.7.0"));
}

static void test_strangers(void **state)
{
	struct world *w = *state;
	client_connect(w, 6);
	WAIT_FOR(w, w->client_closed);
	assert_true(heard(w, "554 5.7.1 Your address may not connect here\r\n"));
}

/* A mail proxy speaks for many: the limit per network is not about it. */
static void test_xclient(void **state)
{
	struct world *w = *state;
	struct stream *more[2];
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		client_connect(w, 7);
		WAIT_FOR(w, heard(w, "220 "));
		more[i] = w->client;
	}
	client_connect(w, 7);
	say(w, "EHLO front.example\r\nXCLIENT ADDR=198.51.100.77\r\n" SHORT_MAIL);
	WAIT_FOR(w, w->client_closed);
	assert_true(heard(w, "250-XCLIENT ADDR") && heard(w, "250 2.0.0 Ok: queued\r\n"));
	expect_client(w, "198.51.100.77");
	for (size_t i = 0; i < ARRAY_LEN(more); i++)
		stream_free(more[i]);
}

/* A handshake that is none ends the connection and nothing else. */
static void test_broken_handshake(void **state)
{
	struct world *w = *state;
	struct wire_heartbeat hb = {.trouble = SLICE_EMPTY};
	give_certificate(w);
	client_connect(w, 3);
	say(w, "EHLO in the clear\r\nand more of it\r\n");
	WAIT_FOR(w, w->client_closed);
	smtpd_role.heartbeat(w->self, &hb);
	assert_int_equal(hb.counters[0].value, 0);
}

static void test_heartbeat(void **state)
{
	struct world *w = *state;
	struct wire_heartbeat hb = {.trouble = SLICE_EMPTY};
	client_connect(w, 0);
	WAIT_FOR(w, heard(w, "220 "));
	smtpd_role.heartbeat(w->self, &hb);
	assert_int_equal(hb.trouble.len, 0);
	assert_true(slice_eq_str(hb.counters[0].name, "sessions"));
	assert_int_equal(hb.counters[0].value, 1);
}

int main(void)
{
#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_new, world_free)
	const struct CMUnitTest tests[] = {
		WORLD(test_a_mail_goes_through),
		WORLD(test_large_mail),
		WORLD(test_early_refusal_frees_the_place_at_the_queue),
		WORLD(test_client_leaves_in_data),
		WORLD(test_queue_is_lost_and_comes_back),
		WORLD(test_auth_is_lost),
		WORLD(test_client_leaves_in_auth),
		WORLD(test_connections_per_network),
		WORLD(test_drain),
		WORLD(test_drain_of_an_idle_process),
		WORLD(test_starttls_injection),
		WORLD(test_implicit_tls),
		WORLD(test_proxy_names_the_client),
		WORLD(test_proxy_and_limits),
		WORLD(test_no_proxy_header),
		WORLD(test_proxy_before_implicit_tls),
		WORLD(test_strangers),
		WORLD(test_xclient),
		WORLD(test_no_certificate),
		WORLD(test_broken_handshake),
		WORLD(test_heartbeat),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
