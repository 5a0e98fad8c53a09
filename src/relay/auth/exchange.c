/* One SASL exchange.
 *
 *   WAITING --RESPONSE--> WAITING            a challenge went out
 *   WAITING --credentials--> CHECKING        the worker computes (take_credentials, run_check)
 *   WAITING --remembered or refused--> gone  verdict at once
 *   CHECKING --right--> gone                 verdict (on_checked)
 *   CHECKING --wrong--> DELAYED --timer--> gone
 *   CANCEL or a closed channel: WAITING and DELAYED are gone at once, CHECKING when the worker is done
 *
 * A wrong password, an unknown name and a disabled server take the same way through CHECKING and DELAYED. */
#include "relay/auth/auth_priv.h"

#include "core/hash.h"
#include "core/mem.h"

#include <openssl/crypto.h>
#include <string.h>

enum phase { WAITING, CHECKING, DELAYED };

struct exchange {
	struct map_node node; /* in channel->exchanges while channel is set */
	uint64_t ref;
	struct auth *auth;
	struct auth_channel *channel; /* NULL: nobody waits for the verdict */
	enum phase phase;
	struct sasl sasl;
	struct timer timer; /* WAITING: deadline, DELAYED: verdict */
	struct job job;
	struct scram_verifier verifier; /* of the server, or of nobody */
	bool match;                     /* set by the worker */
	uint64_t name_key, network_key; /* for the throttle */
	char name[SASL_IDENTITY_MAX];   /* as the client gave it */
	size_t name_len;
	char client[48]; /* IP address as text */
};

static bool same_ref(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct exchange, node)->ref == *(const uint64_t *)key;
}

static struct exchange *find(const struct auth_channel *ch, uint64_t ref)
{
	struct map_node *n = map_find(&ch->exchanges, hash_u64(ref), &ref);

	return n ? CONTAINER_OF(n, struct exchange, node) : NULL;
}

static struct slice name_of(const struct exchange *x)
{
	return slice_of(x->name, x->name_len);
}

/* ---- answers ---- */

static void send_frame(struct auth_channel *ch, uint16_t type, const struct buf *payload)
{
	/* Only a process that reads nothing any more fills its channel; it will be restarted. */
	if (payload->failed || ipc_send(ch->ipc, type, buf_slice(payload), NULL, 0) != ERR_OK)
		ch->auth->counters.unsent++;
}

static void send_verdict(struct auth_channel *ch, uint64_t ref, enum wire_auth_outcome outcome,
			 struct slice server)
{
	const struct wire_auth_verdict m = {.ref = ref, .outcome = outcome, .server = server};
	CLEANUP(buf_done) struct buf out = {0};

	buf_init(&out, IPC_PAYLOAD_MAX);
	wire_auth_verdict_encode(&m, &out);
	send_frame(ch, WIRE_AUTH_VERDICT, &out);
}

static void send_challenge(struct exchange *x, const struct buf *challenge)
{
	const struct wire_auth_step m = {.ref = x->ref, .data = buf_slice(challenge)};
	CLEANUP(buf_done) struct buf out = {0};

	buf_init(&out, IPC_PAYLOAD_MAX);
	wire_auth_step_encode(&m, &out);
	send_frame(x->channel, WIRE_AUTH_CHALLENGE, &out);
	timer_set(&x->timer, AUTH_EXCHANGE_MS);
}

static void detach(struct exchange *x)
{
	if (x->channel)
		map_remove(&x->channel->exchanges, &x->node);
	x->channel = NULL;
}

static void exchange_free(struct exchange *x)
{
	struct auth *a = x->auth;

	detach(x);
	timer_cancel(&x->timer);
	sasl_done(&x->sasl);
	mem_free(x);
	a->exchanges--;
	auth_check_drained(a);
}

static void finish(struct exchange *x, enum wire_auth_outcome outcome)
{
	if (x->channel)
		send_verdict(x->channel, x->ref, outcome, name_of(x));
	exchange_free(x);
}

/* ---- what became of it ---- */

static void log_failed(const struct exchange *x, const char *reason)
{
	/* The names of event and fields are an interface: log watchers block addresses by them. */
	struct log_line l = log_begin(x->auth->env.log, LOG_WARNING, "auth.failed");

	log_str(&l, "server", name_of(x));
	log_cstr(&l, "peer", x->client);
	log_cstr(&l, "mechanism", sasl_mechanism_name(x->sasl.mechanism));
	log_cstr(&l, "reason", reason);
	log_end(&l);
}

static void succeed(struct exchange *x, struct credential *c)
{
	struct auth *a = x->auth;

	c->successes++;
	c->last_used_ms = loop_wall(a->env.loop);
	memcpy(c->last_address, x->client, sizeof(c->last_address));
	a->counters.successes++;
	finish(x, WIRE_AUTH_OK);
}

/* Counted whether or not somebody still waits for the verdict: hanging up early gains nothing. */
static void fail(struct exchange *x, const char *reason)
{
	struct auth *a = x->auth;
	struct credential *c = credential_find(&a->table, name_of(x));
	uint64_t now = loop_now(a->env.loop), delay;

	a->counters.failures++;
	if (c)
		c->failures++;
	log_failed(x, reason);
	throttle_count(a->throttle, x->name_key, now);
	throttle_count(a->throttle, x->network_key, now);
	delay = throttle_delay(MAX(throttle_level(a->throttle, x->name_key, now),
				   throttle_level(a->throttle, x->network_key, now)));
	if (!x->channel || delay == 0) {
		finish(x, WIRE_AUTH_BAD);
		return;
	}
	x->phase = DELAYED;
	timer_set(&x->timer, delay);
}

static void on_timer(void *ctx)
{
	struct exchange *x = ctx;

	ASSERT(x->phase != CHECKING);
	finish(x, x->phase == DELAYED ? WIRE_AUTH_BAD : WIRE_AUTH_LATER);
}

/* ---- the password ---- */

static void run_check(struct job *j)
{
	struct exchange *x = CONTAINER_OF(j, struct exchange, job);

	x->match = scram_check(&x->verifier, x->sasl.password);
}

/* The credential if it may be used now and is still the one that was checked. */
static const char *judge(const struct exchange *x, struct credential *c)
{
	if (!c)
		return "unknown";
	if (c->disabled)
		return "disabled";
	if (!x->match || CRYPTO_memcmp(c->verifier.stored_key, x->verifier.stored_key, SCRAM_KEY_LEN) != 0)
		return "password";
	/* Acting for somebody else is nothing that a hosting server may do. */
	if (x->sasl.authzid.len && !slice_eq(x->sasl.authzid, x->sasl.authcid))
		return "authzid";
	return NULL;
}

static void on_checked(struct job *j)
{
	struct exchange *x = CONTAINER_OF(j, struct exchange, job);
	struct auth *a = x->auth;
	struct credential *c = credential_find(&a->table, name_of(x));
	const char *reason = judge(x, c);

	a->checks--;
	if (reason) {
		fail(x, reason);
		return;
	}
	recall_keep(a->recall, &x->verifier, name_of(x), x->sasl.password, loop_now(a->env.loop));
	succeed(x, c);
}

static void submit_check(struct exchange *x)
{
	x->phase = CHECKING;
	timer_cancel(&x->timer);
	x->job.run = run_check;
	x->job.done = on_checked;
	x->auth->checks++;
	worker_submit(x->auth->worker, &x->job);
}

static void take_credentials(struct exchange *x)
{
	struct auth *a = x->auth;
	struct slice name = x->sasl.authcid;
	uint64_t now = loop_now(a->env.loop);
	struct credential *c = credential_find(&a->table, name);

	memcpy(x->name, name.ptr, name.len);
	x->name_len = name.len;
	x->name_key = throttle_name_key(name);
	x->verifier = c ? c->verifier : a->nobody;
	x->match = recall_knows(a->recall, &x->verifier, name, x->sasl.password, now);
	if (x->match && !judge(x, c)) {
		a->counters.recalled++;
		succeed(x, c);
		return;
	}
	if (a->checks >= AUTH_CHECKS_MAX ||
	    throttle_level(a->throttle, x->network_key, now) >= THROTTLE_REFUSE) {
		a->counters.refused++;
		log_failed(x, "refused");
		finish(x, WIRE_AUTH_LATER);
		return;
	}
	submit_check(x);
}

static void step(struct exchange *x, bool has_message, struct slice message)
{
	CLEANUP(buf_done) struct buf challenge = {0};

	buf_init(&challenge, WIRE_SASL_MAX);
	switch (sasl_step(&x->sasl, has_message, message, &challenge)) {
	case SASL_CHALLENGE:
		send_challenge(x, &challenge);
		break;
	case SASL_CREDENTIALS:
		take_credentials(x);
		break;
	case SASL_MALFORMED:
		x->auth->counters.malformed++;
		finish(x, WIRE_AUTH_MALFORMED);
		break;
	}
}

/* ---- frames ---- */

static uint64_t network_of(const struct auth *a, struct slice client)
{
	struct net_addr addr;

	/* An address that cannot be read is counted too, in a network of its own. */
	if (net_addr_parse(client, 0, &addr, NULL))
		addr.len = 0;
	return throttle_network_key(&addr, (unsigned)a->conf->limit.network_bits_ipv4,
				    (unsigned)a->conf->limit.network_bits_ipv6);
}

static struct exchange *exchange_new(struct auth_channel *ch, const struct wire_auth_start *m,
				     const struct sasl_mechanism *mechanism)
{
	struct auth *a = ch->auth;
	struct slice client = slice_sub(m->client, 0, sizeof(((struct exchange *)0)->client) - 1);
	struct exchange *x = a->exchanges < AUTH_EXCHANGES_MAX ? NEW(struct exchange) : NULL;

	if (!x)
		return NULL;
	x->ref = m->ref;
	if (map_insert(&ch->exchanges, &x->node, hash_u64(x->ref))) {
		mem_free(x);
		return NULL;
	}
	a->exchanges++;
	x->auth = a;
	x->channel = ch;
	sasl_init(&x->sasl, mechanism);
	timer_init(&x->timer, a->env.loop, on_timer, x);
	x->network_key = network_of(a, m->client);
	memcpy(x->client, client.ptr, client.len);
	return x;
}

bool exchange_on_start(struct auth_channel *ch, struct slice payload)
{
	const struct sasl_mechanism *mechanism;
	struct wire_auth_start m;
	struct exchange *x;

	if (wire_auth_start_decode(payload, &m) || find(ch, m.ref))
		return false;
	mechanism = sasl_mechanism_find(m.mechanism);
	if (!mechanism) {
		send_verdict(ch, m.ref, WIRE_AUTH_MECHANISM, SLICE_EMPTY);
		return true;
	}
	x = ch->auth->draining ? NULL : exchange_new(ch, &m, mechanism);
	if (x) {
		step(x, m.has_initial, m.initial);
		return true;
	}
	ch->auth->counters.refused++;
	send_verdict(ch, m.ref, WIRE_AUTH_LATER, SLICE_EMPTY);
	return true;
}

bool exchange_on_response(struct auth_channel *ch, struct slice payload)
{
	struct wire_auth_step m;
	struct exchange *x;

	if (wire_auth_step_decode(payload, &m))
		return false;
	x = find(ch, m.ref);
	/* Unknown: our deadline and the client's answer crossed. Not waiting: two answers to one challenge. */
	if (x && x->phase != WAITING)
		return false;
	if (x)
		step(x, true, m.data);
	return true;
}

static void abandon(struct exchange *x)
{
	if (x->phase == CHECKING)
		detach(x); /* the worker has it; on_checked frees it */
	else
		exchange_free(x);
}

bool exchange_on_cancel(struct auth_channel *ch, struct slice payload)
{
	struct wire_auth_cancel m;
	struct exchange *x;

	if (wire_auth_cancel_decode(payload, &m))
		return false;
	x = find(ch, m.ref);
	if (x)
		abandon(x);
	return true;
}

void exchange_channel_init(struct auth_channel *ch)
{
	map_init(&ch->exchanges, same_ref);
}

void exchange_channel_done(struct auth_channel *ch)
{
	MAP_EACH_SAFE (&ch->exchanges, it, tmp) {
		abandon(CONTAINER_OF(it, struct exchange, node));
	}
	map_done(&ch->exchanges);
}
