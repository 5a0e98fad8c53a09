#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "auth_fixture.h"

#include "auth/credential.h"
#include "relay/auth/store.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void on_frame(void *ctx, struct ipc_frame *frame)
{
	struct auth_fixture *f = ctx;
	struct wire_auth_verdict m;
	struct wire_auth_step c;

	if (frame->type == WIRE_AUTH_CHALLENGE) {
		assert_int_equal(wire_auth_step_decode(frame->payload, &c), ERR_OK);
		assert_true(c.data.len < sizeof(f->challenge));
		memset(f->challenge, 0, sizeof(f->challenge));
		memcpy(f->challenge, c.data.ptr, c.data.len);
		f->nchallenges++;
		return;
	}
	assert_int_equal(frame->type, WIRE_AUTH_VERDICT);
	assert_int_equal(wire_auth_verdict_decode(frame->payload, &m), ERR_OK);
	struct fixture_verdict *v = &f->verdicts[f->nverdicts++ % FIXTURE_VERDICTS];
	*v = (struct fixture_verdict){.ref = m.ref, .outcome = m.outcome, .at_ms = loop_now(f->loop)};
	memcpy(v->server, m.server.ptr, m.server.len);
}

static void on_close(void *ctx, const struct diag *why)
{
	struct auth_fixture *f = ctx;

	ipc_free(f->smtpd);
	f->smtpd = NULL;
}

static void on_drained(void *ctx)
{
	struct auth_fixture *f = ctx;

	assert_false(f->drained);
	f->drained = true;
}

static void start(struct auth_fixture *f)
{
	static const struct ipc_events events = {.on_frame = on_frame, .on_close = on_close};
	const struct role_env env = {.loop = f->loop,
				     .log = f->log,
				     .conf = &f->conf,
				     .disk = sim_disk_disk(f->disk),
				     .drained = on_drained,
				     .ctx = f};
	struct diag d = {0};
	int fds[2];

	if (auth_role.start(&env, &f->auth, &d))
		fail_msg("%s", d.text);
	assert_int_equal(ipc_pair(f->loop, fds, NULL), ERR_OK);
	auth_role.peer(f->auth, ROLE_SMTPD, 0, fds[0]);
	assert_int_equal(ipc_new(f->loop, fds[1], &events, f, &f->smtpd, NULL), ERR_OK);
}

static void add_imported(struct credential_table *t)
{
	struct verifier v;

	assert_int_equal(
		verifier_import(SLICE_LIT("$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"), &v,
				NULL),
		ERR_OK);
	assert_int_equal(credential_add(t, SLICE_LIT("panel"), &v, 3000, NULL, NULL), ERR_OK);
}

static void save_servers(struct auth_fixture *f)
{
	struct disk disk = sim_disk_disk(f->disk);
	struct credential_table t;
	struct credential *c;
	struct verifier v = {.imported = ""};
	struct buf text;

	credential_table_init(&t);
	assert_int_equal(scram_make(SLICE_LIT("secret"), SLICE_LIT("saltsalt"), 4096, &v.scram, NULL),
			 ERR_OK);
	assert_int_equal(credential_add(&t, SLICE_LIT("alpha"), &v, 1000, NULL, NULL), ERR_OK);
	assert_int_equal(credential_add(&t, SLICE_LIT("beta"), &v, 2000, &c, NULL), ERR_OK);
	c->disabled = true;
	if (f->imported)
		add_imported(&t);
	buf_init(&text, AUTH_CREDENTIALS_FILE);
	assert_int_equal(credential_write(&t, &text), ERR_OK);
	assert_int_equal(store_save(&disk, buf_slice(&text), NULL), ERR_OK);
	buf_done(&text);
	credential_table_done(&t);
}

static void init(struct auth_fixture *f, bool imported)
{
	static const char *const addresses[] = {"127.0.0.1:587"};
	static struct slice address;
	static struct conf_listener listener = {.tls = CONF_LISTENER_STARTTLS, .auth = CONF_AUTH_REQUIRED};
	const struct sim_options o = {.seed = 1};

	memset(f, 0, sizeof(*f));
	f->imported = imported;
	address = slice_str(addresses[0]);
	listener.name = SLICE_LIT("submission");
	listener.address = (struct conf_texts){&address, 1};
	f->conf = (struct conf){.refs = 1, .hostname = SLICE_LIT("relay.example.net")};
	f->conf.listeners = &listener;
	f->conf.nlisteners = 1;
	f->conf.limit.network_bits_ipv4 = 24;
	f->conf.limit.network_bits_ipv6 = 64;
	f->next_ref = 100;
	assert_int_equal(loop_sim_new(&o, &f->loop, NULL), ERR_OK);
	f->disk = sim_disk_new(1, 1 << 20);
	f->log_fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(log_new(f->loop, dup(f->log_fd), LOG_SINK_FILE, LOG_DEBUG, "auth.0", &f->log, NULL),
			 ERR_OK);
	save_servers(f);
	start(f);
}

void fixture_init(struct auth_fixture *f)
{
	init(f, false);
}

void fixture_init_imported(struct auth_fixture *f)
{
	init(f, true);
}

static void stop(struct auth_fixture *f)
{
	auth_role.stop(f->auth);
	ipc_free(f->smtpd);
	f->smtpd = NULL;
	assert_int_equal(f->conf.refs, 1);
}

void fixture_done(struct auth_fixture *f)
{
	stop(f);
	log_free(f->log);
	close(f->log_fd);
	loop_free(f->loop);
	sim_disk_free(f->disk);
}

void fixture_restart(struct auth_fixture *f, uint64_t seed)
{
	stop(f);
	sim_disk_reboot(f->disk, seed);
	start(f);
}

static void send_frame(struct auth_fixture *f, enum wire_type type, struct buf *payload)
{
	assert_int_equal(payload->failed, ERR_OK);
	assert_int_equal(ipc_send(f->smtpd, (uint16_t)type, buf_slice(payload), NULL, 0), ERR_OK);
	buf_done(payload);
}

uint64_t fixture_start(struct auth_fixture *f, const char *mechanism, const char *client, const void *initial,
		       size_t len)
{
	const struct wire_auth_start m = {.ref = f->next_ref++,
					  .mechanism = slice_str(mechanism),
					  .has_initial = initial != NULL,
					  .initial = slice_of(initial ? initial : "", len),
					  .client = slice_str(client),
					  .tls = true,
					  .binding = f->binding,
					  .external = f->external};
	struct buf out;

	buf_init(&out, IPC_PAYLOAD_MAX);
	wire_auth_start_encode(&m, &out);
	send_frame(f, WIRE_AUTH_START, &out);
	return m.ref;
}

void fixture_respond(struct auth_fixture *f, uint64_t ref, const char *text)
{
	const struct wire_auth_step m = {.ref = ref, .data = slice_str(text)};
	struct buf out;

	buf_init(&out, IPC_PAYLOAD_MAX);
	wire_auth_step_encode(&m, &out);
	send_frame(f, WIRE_AUTH_RESPONSE, &out);
}

void fixture_cancel(struct auth_fixture *f, uint64_t ref)
{
	struct buf out;

	buf_init(&out, IPC_PAYLOAD_MAX);
	wire_auth_cancel_encode(&(struct wire_auth_cancel){.ref = ref}, &out);
	send_frame(f, WIRE_AUTH_CANCEL, &out);
}

const struct fixture_verdict *fixture_verdict(struct auth_fixture *f, uint64_t ref)
{
	uint64_t until = loop_now(f->loop) + 60000;

	do {
		for (unsigned i = 0; i < MIN(f->nverdicts, FIXTURE_VERDICTS); i++)
			if (f->verdicts[i].ref == ref)
				return &f->verdicts[i];
		loop_turn(f->loop, 100);
	} while (loop_now(f->loop) < until);
	fail_msg("no verdict on %llu", (unsigned long long)ref);
	return NULL;
}

enum wire_auth_outcome fixture_plain(struct auth_fixture *f, const char *client, const char *name,
				     const char *password)
{
	struct buf message;
	uint64_t ref;

	buf_init(&message, 4096);
	buf_add_char(&message, '\0');
	buf_add_str(&message, name);
	buf_add_char(&message, '\0');
	buf_add_str(&message, password);
	ref = fixture_start(f, "PLAIN", client, message.data, message.len);
	buf_done(&message);
	return fixture_verdict(f, ref)->outcome;
}

void fixture_run(struct auth_fixture *f, uint64_t ms)
{
	sim_run_for(f->loop, ms);
}

uint64_t fixture_counter(struct auth_fixture *f, const char *name)
{
	struct wire_heartbeat hb = {0};

	auth_role.heartbeat(f->auth, &hb);
	for (uint32_t i = 0; i < hb.count; i++)
		if (slice_eq_str(hb.counters[i].name, name))
			return hb.counters[i].value;
	fail_msg("no counter %s", name);
	return 0;
}

bool fixture_logged(struct auth_fixture *f, const char *text)
{
	static char all[1 << 16];
	ssize_t n = pread(f->log_fd, all, sizeof(all) - 1, 0);

	assert_true(n >= 0);
	all[n] = '\0';
	return strstr(all, text) != NULL;
}
