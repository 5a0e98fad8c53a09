#include "relay/auth/auth_role.h"

#include "core/mem.h"
#include "relay/auth/auth_priv.h"
#include "relay/auth/store.h"

/* ---- channels to smtpd ---- */

static void channel_free(struct auth_channel *ch)
{
	exchange_channel_done(ch);
	list_remove(&ch->auth->channels, &ch->node);
	ipc_free(ch->ipc);
	mem_free(ch);
}

static bool take_frame(struct auth_channel *ch, const struct ipc_frame *f)
{
	switch (f->type) {
	case WIRE_AUTH_START:
		return exchange_on_start(ch, f->payload);
	case WIRE_AUTH_RESPONSE:
		return exchange_on_response(ch, f->payload);
	case WIRE_AUTH_CANCEL:
		return exchange_on_cancel(ch, f->payload);
	default:
		return false;
	}
}

static void log_channel(const struct auth_channel *ch, const char *event, const char *why)
{
	struct log_line l = log_begin(ch->auth->env.log, LOG_WARNING, event);

	log_cstr(&l, "peer", wire_role_name(ch->role));
	log_u64(&l, "slot", ch->slot);
	log_cstr(&l, "why", why);
	log_end(&l);
}

static void on_frame(void *ctx, struct ipc_frame *f)
{
	struct auth_channel *ch = ctx;

	if (take_frame(ch, f))
		return;
	log_channel(ch, "channel.broken", "a frame that makes no sense");
	channel_free(ch);
}

static void on_close(void *ctx, const struct diag *why)
{
	channel_free(ctx);
}

static struct auth_channel *find_channel(struct auth *a, enum wire_role role, uint32_t slot)
{
	LIST_EACH_SAFE (&a->channels, it, tmp) {
		struct auth_channel *ch = CONTAINER_OF(it, struct auth_channel, node);

		if (ch->role == role && ch->slot == slot)
			return ch;
	}
	return NULL;
}

static enum err channel_new(struct auth *a, enum wire_role role, uint32_t slot, int fd, struct diag *d)
{
	static const struct ipc_events events = {.on_frame = on_frame, .on_close = on_close};
	struct auth_channel *ch = a->channels.count < AUTH_CHANNELS_MAX ? NEW(struct auth_channel) : NULL;
	enum err e;

	if (!ch) {
		base_close(&fd);
		return diag_set(d, ERR_LIMIT, "no room for another channel");
	}
	ch->auth = a;
	ch->role = role;
	ch->slot = slot;
	exchange_channel_init(ch);
	e = ipc_new(a->env.loop, fd, &events, ch, &ch->ipc, d);
	if (e) {
		mem_free(ch);
		return e;
	}
	list_push_back(&a->channels, &ch->node);
	return ERR_OK;
}

static void role_peer(void *self, enum wire_role role, uint32_t slot, int fd)
{
	struct auth *a = self;
	struct auth_channel *old = find_channel(a, role, slot);
	struct diag d = {0};

	if (old)
		channel_free(old);
	if (channel_new(a, role, slot, fd, &d))
		log_event(a->env.log, LOG_ERROR, "channel.failed", "peer", wire_role_name(role), "why",
			  d.text, NULL);
}

/* ---- life ---- */

static void auth_free(struct auth *a)
{
	struct list_node *n;

	a->stopping = true;
	while ((n = list_first(&a->channels)))
		channel_free(CONTAINER_OF(n, struct auth_channel, node));
	ctl_server_free(a->ctl);
	for (size_t i = 0; i < ARRAY_LEN(a->slow); i++)
		worker_free(a->slow[i]);
	worker_free(a->worker); /* runs what is queued: the last change is saved, orphans are freed */
	servers_stop(a);
	ASSERT(a->exchanges == 0);
	credential_table_done(&a->table);
	conf_unref(a->conf);
	mem_free(a->throttle);
	mem_free(a->recall);
	mem_free(a);
}

/* Passwords of unknown names cost what those of known ones cost, and never match. */
static enum err make_nobody(struct auth *a, struct diag *d)
{
	uint8_t salt[SCRAM_SALT_DEFAULT], password[SCRAM_SALT_DEFAULT];

	loop_random(a->env.loop, salt, sizeof(salt));
	loop_random(a->env.loop, password, sizeof(password));
	return scram_make(slice_of(password, sizeof(password)), slice_of(salt, sizeof(salt)),
			  SCRAM_ITERATIONS_DEFAULT, &a->nobody.scram, d);
}

static enum err open_key(struct auth *a, struct diag *d)
{
	uint8_t fresh[STORE_KEY_LEN];

	loop_random(a->env.loop, fresh, sizeof(fresh));
	return store_key(&a->env.disk, fresh, a->key, d);
}

static enum err open_parts(struct auth *a, struct diag *d)
{
	enum err e = make_nobody(a, d);

	loop_random(a->env.loop, a->recall->key, sizeof(a->recall->key));
	if (!e)
		e = store_load(&a->env.disk, &a->table, d);
	if (!e)
		e = open_key(a, d);
	if (!e)
		e = worker_new(a->env.loop, "auth-worker", &a->worker, d);
	for (size_t i = 0; !e && i < ARRAY_LEN(a->slow); i++)
		e = worker_new(a->env.loop, "auth-slow", &a->slow[i], d);
	if (!e)
		e = ctl_server_new(a->env.loop, &servers_events, a, &a->ctl, d);
	return e;
}

static enum err role_start(const struct role_env *env, void **ret_self, struct diag *d)
{
	struct auth *a = NEW(struct auth);
	enum err e;

	if (!a)
		return diag_set(d, ERR_NOMEM, "no memory for the auth process");
	a->env = *env;
	a->conf = env->conf;
	conf_ref(a->conf);
	credential_table_init(&a->table);
	list_init(&a->channels);
	list_init(&a->changes);
	list_init(&a->listings);
	a->throttle = NEW(struct throttle);
	a->recall = NEW(struct recall);
	e = a->throttle && a->recall ? open_parts(a, d)
				     : diag_set(d, ERR_NOMEM, "no memory for the tables of the auth process");
	if (e) {
		auth_free(a);
		return e;
	}
	*ret_self = a;
	return ERR_OK;
}

static void role_config(void *self, struct conf *conf, uint64_t epoch)
{
	struct auth *a = self;

	conf_ref(conf);
	conf_unref(a->conf);
	a->conf = conf;
}

static void role_control(void *self, int fd, struct slice request)
{
	struct auth *a = self;
	struct diag d = {0};

	if (ctl_server_adopt(a->ctl, fd, request, &d))
		log_event(a->env.log, LOG_WARNING, "control.failed", "why", d.text, NULL);
}

static void add_counter(struct wire_heartbeat *hb, const char *name, uint64_t value)
{
	ASSERT(hb->count < WIRE_COUNTERS_MAX);
	hb->counters[hb->count++] = (struct wire_counter){slice_str(name), value};
}

static void role_heartbeat(void *self, struct wire_heartbeat *hb)
{
	const struct auth *a = self;

	hb->trouble = SLICE_EMPTY;
	add_counter(hb, "servers", credential_count(&a->table));
	add_counter(hb, "auth_ok", a->counters.successes);
	add_counter(hb, "auth_recalled", a->counters.recalled);
	add_counter(hb, "auth_failed", a->counters.failures);
	add_counter(hb, "auth_refused", a->counters.refused);
	add_counter(hb, "auth_malformed", a->counters.malformed);
	add_counter(hb, "auth_unsent", a->counters.unsent);
	add_counter(hb, "auth_running", a->exchanges);
}

void auth_check_drained(struct auth *a)
{
	if (!a->draining || a->drained || a->stopping || a->exchanges > 0 || a->changes.count > 0)
		return;
	a->drained = true;
	a->env.drained(a->env.ctx);
}

static void role_drain(void *self)
{
	struct auth *a = self;

	a->draining = true;
	auth_check_drained(a);
}

static void role_stop(void *self)
{
	auth_free(self);
}

const struct role_ops auth_role = {
	.role = ROLE_AUTH,
	.start = role_start,
	.peer = role_peer,
	.config = role_config,
	.control = role_control,
	.heartbeat = role_heartbeat,
	.drain = role_drain,
	.stop = role_stop,
};
