/* One SASL exchange.
 *
 *   WAITING --RESPONSE--> WAITING            a challenge went out
 *   WAITING --credentials--> CHECKING        the worker computes (take_credentials, run_check)
 *   WAITING --remembered or refused--> gone  verdict at once
 *   WAITING --SCRAM, EXTERNAL: proven--> gone, else DELAYED
 *   CHECKING --right--> gone                 verdict (on_checked)
 *   CHECKING --wrong--> DELAYED --timer--> gone
 *   CANCEL or a closed channel: WAITING and DELAYED are gone at once, CHECKING when the worker is done
 *
 * A wrong password, an unknown name and a disabled server take the same way through CHECKING and DELAYED; no failure is
 * answered before the slowest check of late would have been over, so that the time does not tell an imported hash from a
 * name that does not exist. In SCRAM an unknown name has a salt that is always the same. */
#include "relay/auth/auth_priv.h"

#include "core/hash.h"
#include "core/mem.h"
#include "core/text.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
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
	struct verifier verifier; /* of the server, or of nobody */
	bool slow;                /* CHECKING by one of the slow workers */
	uint64_t began;           /* ms: when the check began */
	char nonce[SCRAM_NONCE_LEN + 1], binding[SCRAM_BINDING_MAX], external[SASL_IDENTITY_MAX];
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
	delay = a->slowest > now - x->began ? a->slowest - (now - x->began) : 0;
	delay += throttle_delay(MAX(throttle_level(a->throttle, x->name_key, now),
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

	x->match = verifier_check(&x->verifier, x->sasl.password);
}

/* The credential if it may be used now and is still the one that was checked. */
static const char *judge(const struct exchange *x, struct credential *c)
{
	if (!c)
		return "unknown";
	if (c->disabled)
		return "disabled";
	if (!x->match ||
	    CRYPTO_memcmp(c->verifier.scram.stored_key, x->verifier.scram.stored_key, SCRAM_KEY_LEN) != 0)
		return "password";
	/* Acting for somebody else is nothing that a hosting server may do. */
	if (x->sasl.authzid.len && !slice_eq(x->sasl.authzid, x->sasl.authcid))
		return "authzid";
	return NULL;
}

/* Rises at once, sinks slowly: a hash that was replaced by a cheaper one is forgotten after some hundred checks. */
static void note_duration(struct auth *a, uint64_t ms)
{
	a->slowest = ms > a->slowest ? MIN(ms, AUTH_SLOWEST_MAX) : a->slowest - a->slowest / 256;
}

static void on_checked(struct job *j)
{
	struct exchange *x = CONTAINER_OF(j, struct exchange, job);
	struct auth *a = x->auth;
	struct credential *c = credential_find(&a->table, name_of(x));
	const char *reason = judge(x, c);

	a->checks--;
	a->slow_checks -= x->slow;
	note_duration(a, loop_now(a->env.loop) - x->began);
	if (reason) {
		fail(x, reason);
		return;
	}
	recall_keep(a->recall, &x->verifier.scram, name_of(x), x->sasl.password, loop_now(a->env.loop));
	succeed(x, c);
}

static void submit_check(struct exchange *x)
{
	x->phase = CHECKING;
	x->slow = verifier_is_imported(&x->verifier);
	timer_cancel(&x->timer);
	x->job.run = run_check;
	x->job.done = on_checked;
	struct auth *a = x->auth;
	a->checks++;
	a->slow_checks += x->slow;
	worker_submit(x->slow ? a->slow[a->slow_checks % AUTH_SLOW_WORKERS] : a->worker, &x->job);
}

/* The name is known from here on. NULL: there is no such server. */
static struct credential *take_name(struct exchange *x)
{
	struct slice name = x->sasl.authcid;
	struct credential *c = credential_find(&x->auth->table, name);

	memcpy(x->name, name.ptr, name.len);
	x->name_len = name.len;
	x->name_key = throttle_name_key(name);
	x->verifier = c ? c->verifier : x->auth->nobody;
	x->began = loop_now(x->auth->env.loop);
	return c;
}

static void refuse(struct exchange *x)
{
	x->auth->counters.refused++;
	log_failed(x, "refused");
	finish(x, WIRE_AUTH_LATER);
}

static bool busy(const struct exchange *x)
{
	const struct auth *a = x->auth;

	return a->checks >= AUTH_CHECKS_MAX ||
	       (verifier_is_imported(&x->verifier) && a->slow_checks >= AUTH_SLOW_MAX);
}

static bool unheard(const struct exchange *x)
{
	return throttle_level(x->auth->throttle, x->network_key, x->began) >= THROTTLE_REFUSE;
}

static void take_credentials(struct exchange *x)
{
	struct auth *a = x->auth;
	struct credential *c = take_name(x);

	x->match = recall_knows(a->recall, &x->verifier.scram, name_of(x), x->sasl.password, x->began);
	if (x->match && !judge(x, c)) {
		a->counters.recalled++;
		succeed(x, c);
	} else if (busy(x) || unheard(x)) {
		refuse(x);
	} else {
		submit_check(x);
	}
}

/* ---- SCRAM and EXTERNAL ---- */

/* What stands for the password in the memory of successes: a server that proved itself a while ago is heard even if its
 * network is not. */
#define PROVEN SLICE_LIT("\0proven")

/* A salt that a name keeps, also over restarts, though nobody has it. */
static void make_up_salt(const struct auth *a, struct slice name, struct scram_verifier *v)
{
	uint8_t salt[SHA256_DIGEST_LENGTH];
	unsigned len = sizeof(salt);

	HMAC(EVP_sha256(), a->key, sizeof(a->key), (const uint8_t *)name.ptr, name.len, salt, &len);
	memcpy(v->salt, salt, SCRAM_SALT_DEFAULT);
	v->salt_len = SCRAM_SALT_DEFAULT;
}

static void take_lookup(struct exchange *x)
{
	CLEANUP(buf_done) struct buf challenge = {0};
	struct auth *a = x->auth;
	struct credential *c = take_name(x);

	if (!c || verifier_is_imported(&x->verifier)) {
		x->verifier = a->nobody;
		make_up_salt(a, name_of(x), &x->verifier.scram);
	}
	if (unheard(x) && !recall_knows(a->recall, &x->verifier.scram, name_of(x), PROVEN, x->began)) {
		refuse(x);
		return;
	}
	buf_init(&challenge, WIRE_SASL_MAX);
	sasl_verifier(&x->sasl, &x->verifier.scram, &challenge);
	send_challenge(x, &challenge);
}

static void take_proof(struct exchange *x, bool proven)
{
	struct auth *a = x->auth;
	/* A client's certificate needs no verifier: the server only has to be there. */
	bool external = x->name_len == 0;
	struct credential *c = external ? take_name(x) : credential_find(&a->table, name_of(x));
	const char *reason;

	x->match = proven;
	x->began = loop_now(a->env.loop);
	reason = judge(x, c);
	if (reason) {
		fail(x, reason);
		return;
	}
	if (!external)
		recall_keep(a->recall, &x->verifier.scram, name_of(x), PROVEN, x->began);
	succeed(x, c);
}

static void step(struct exchange *x, bool has_message, struct slice message)
{
	CLEANUP(buf_done) struct buf challenge = {0};

	buf_init(&challenge, WIRE_SASL_MAX);
	enum sasl_outcome out = sasl_step(&x->sasl, has_message, message, &challenge);
	switch (out) {
	case SASL_CHALLENGE:
		send_challenge(x, &challenge);
		break;
	case SASL_CREDENTIALS:
		take_credentials(x);
		break;
	case SASL_LOOKUP:
		take_lookup(x);
		break;
	case SASL_PROVEN:
	case SASL_DISPROVEN:
		take_proof(x, out == SASL_PROVEN);
		break;
	case SASL_MALFORMED:
		x->auth->counters.malformed++;
		log_failed(x, "malformed");
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

static void begin_sasl(struct exchange *x, const struct wire_auth_start *m,
		       const struct sasl_mechanism *mechanism)
{
	CLEANUP(buf_done) struct buf nonce = {0};
	uint8_t random[SCRAM_NONCE_LEN / 4 * 3];
	struct slice external = slice_sub(m->external, 0, sizeof(x->external));

	loop_random(x->auth->env.loop, random, sizeof(random));
	buf_init(&nonce, sizeof(x->nonce));
	base64_encode(&nonce, slice_of(random, sizeof(random)));
	if (!nonce.failed)
		memcpy(x->nonce, nonce.data, SCRAM_NONCE_LEN);
	else /* no memory: an exchange that no client can complete */
		memset(x->nonce, '?', SCRAM_NONCE_LEN);
	memcpy(x->binding, m->binding.ptr, m->binding.len);
	memcpy(x->external, external.ptr, external.len);
	const struct sasl_terms terms = {.binding = slice_of(x->binding, m->binding.len),
					 .external = slice_of(x->external, external.len),
					 .nonce = slice_of(x->nonce, SCRAM_NONCE_LEN)};
	sasl_init(&x->sasl, mechanism, &terms);
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
	begin_sasl(x, m, mechanism);
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
	if (!mechanism || !sasl_mechanism_fits(mechanism, m.binding.len > 0, m.external.len > 0)) {
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
