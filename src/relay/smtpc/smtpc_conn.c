/* One connection: a stream, an engine, the addresses still to be tried. Callbacks set flags; conn_work acts. */
#include "relay/smtpc/smtpc_priv.h"

#include "core/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WRITE_MAX (4 * SMTPC_UNSENT_MAX) /* room for every command group beside the content */

static void wake(struct smtpc_conn *c)
{
	task_defer(&c->work);
}

/* ---- what the engine asks for ---- */

static void act_send(void *ctx, struct slice octets)
{
	struct smtpc_conn *c = ctx;
	enum err e = stream_write(c->stream, octets);
	/* Losing octets would make another message of this one: the connection ends instead. */
	if (e != ERR_OK && e != ERR_AGAIN && e != ERR_CLOSED)
		stream_abort(c->stream);
}

static void act_start_tls(void *ctx)
{
	struct smtpc_conn *c = ctx;
	c->start_tls = true;
	wake(c);
}

static void act_want_content(void *ctx, uint64_t offset, uint64_t max)
{
	struct smtpc_conn *c = ctx;
	c->wants = true;
	c->want_offset = offset;
	c->want_max = max;
	wake(c);
}

static void act_ready(void *ctx)
{
	struct smtpc_conn *c = ctx;
	c->ready = true;
	wake(c);
}

static void act_set_timer(void *ctx, uint64_t delay_ms)
{
	struct smtpc_conn *c = ctx;
	timer_set(&c->timer, delay_ms);
}

static enum record_state state_of(enum client_outcome o)
{
	static const enum record_state map[] = {[CLIENT_DELIVERED] = RECORD_DELIVERED,
						[CLIENT_FAILED] = RECORD_FAILED,
						[CLIENT_DEFERRED] = RECORD_DEFERRED};
	return map[o];
}

static void add_where(const struct smtpc_conn *c, struct record_result *r, struct buf *address)
{
	net_addr_format(&c->addr, address);
	r->host = slice_str(c->host);
	r->address = buf_slice(address);
	r->tls = slice_str(c->tls_text);
}

static void act_result(void *ctx, const struct client_result *cr)
{
	struct smtpc_conn *c = ctx;
	CLEANUP(buf_done) struct buf address;
	struct record_result r = {
		.state = (uint8_t)state_of(cr->outcome), .unknown = cr->unknown, .code = cr->code};
	buf_init(&address, 128);
	memcpy(r.enhanced, cr->enhanced, sizeof(r.enhanced));
	r.text = cr->text;
	add_where(c, &r, &address);
	smtpc_job_result(c->job, cr->rcpt, &r);
}

static void act_job_done(void *ctx)
{
	struct smtpc_conn *c = ctx;
	struct smtpc_job *j = c->job;
	c->job = NULL;
	c->ended = j;
	smtpc_job_done(j);
}

static void act_close(void *ctx, const struct client_end *e)
{
	struct smtpc_conn *c = ctx;
	c->over = true;
	c->end = e->kind;
	c->code = e->code;
	memcpy(c->enhanced, e->enhanced, sizeof(c->enhanced));
	snprintf(c->why, sizeof(c->why), "%.*s", SLICE_ARG(e->text));
	/* A server that says 421 to the first message does not want us now; later ones only end this connection. */
	if (c->ended && e->code == 421 && client_jobs_done(c->client) == 0)
		c->ended->site_failed = true;
	wake(c);
}

static void log_line(const struct smtpc_conn *c, const char *direction, struct slice line)
{
	struct log_line l = log_begin(c->p->env.log, LOG_DEBUG, "smtpc.dialogue");
	log_cstr(&l, "host", c->host);
	log_cstr(&l, "direction", direction);
	log_str(&l, "line", line);
	log_end(&l);
}

static void act_trace(void *ctx, enum client_line kind, struct slice line)
{
	log_line(ctx, kind == CLIENT_LINE_SENT ? "out" : kind == CLIENT_LINE_RECEIVED ? "in" : "event", line);
}

static const struct client_actions actions = {
	.send = act_send,
	.start_tls = act_start_tls,
	.want_content = act_want_content,
	.ready = act_ready,
	.result = act_result,
	.job_done = act_job_done,
	.close = act_close,
	.set_timer = act_set_timer,
	.trace = act_trace,
};

/* ---- what the stream tells ---- */

static void on_open(void *ctx)
{
	struct smtpc_conn *c = ctx;
	const struct conf_timeout *t = &c->p->conf->timeout;
	const struct client_options o = {
		.helo = c->pool->helo,
		.tls = c->no_tls ? WIRE_TLS_NONE : c->pool->tls,
		.auth_user = c->pool->auth_user,
		.auth_password = c->pool->auth_password,
		.timeouts = {t->greeting, t->reply, t->data_start, t->data_block, t->data_end, t->quit,
			     t->handshake, c->p->conf->delivery.idle},
	};
	c->client = client_new(&o, &actions, c);
	if (c->client)
		client_start(c->client);
	else
		stream_abort(c->stream);
}

static size_t on_read(void *ctx, struct slice in)
{
	struct smtpc_conn *c = ctx;
	return c->client ? client_input(c->client, in) : 0;
}

static void on_drain(void *ctx)
{
	wake(ctx);
}

static void on_tls(void *ctx, const struct tls_info *info)
{
	struct smtpc_conn *c = ctx;
	c->p->tls_sessions++;
	snprintf(c->tls_text, sizeof(c->tls_text), "%s %s", info->version, info->cipher);
	client_tls(c->client, info);
}

static void fail_attempt(struct smtpc_conn *c, const char *why, const uint8_t enhanced[3])
{
	c->over = true;
	c->end = CLIENT_END_LOST;
	c->code = 0;
	memcpy(c->enhanced, enhanced, sizeof(c->enhanced));
	snprintf(c->why, sizeof(c->why), "%s", why);
	wake(c);
}

static void on_close(void *ctx, const struct diag *why)
{
	struct smtpc_conn *c = ctx;
	if (!c->client)
		fail_attempt(c, why->text, (const uint8_t[]){4, 4, 1});
	else if (client_state(c->client) == CLIENT_HANDSHAKE)
		client_tls_failed(c->client, slice_str(why->text));
	else
		client_lost(c->client, slice_str(why->text));
}

static const struct stream_events events = {
	.on_open = on_open,
	.on_read = on_read,
	.on_drain = on_drain,
	.on_tls = on_tls,
	.on_close = on_close,
};

static void leave_idle(struct smtpc_conn *c)
{
	if (!list_linked(&c->idle))
		return;
	list_remove(&c->pool->idle, &c->idle);
	c->p->idle--;
}

static void on_timer(void *ctx)
{
	struct smtpc_conn *c = ctx;
	if (!c->client || c->over)
		return;
	if (client_state(c->client) == CLIENT_IDLE && c->job)
		return; /* `work` is about to begin it */
	leave_idle(c);
	client_timeout(c->client);
}

/* ---- attempts ---- */

static void close_attempt(struct smtpc_conn *c)
{
	timer_cancel(&c->timer);
	stream_free(c->stream);
	client_free(c->client);
	c->stream = NULL;
	c->client = NULL;
	c->over = c->ready = c->wants = c->start_tls = false;
	c->ended = NULL;
	c->tls_text[0] = '\0';
}

static bool usable(const struct smtpc_conn *c, const struct net_addr *a)
{
	return c->p->conf->delivery.ipv6 || a->u.sa.sa_family != AF_INET6;
}

/* Source addresses take turns within the family of the destination. */
static struct net_addr source_for(struct smtpc_conn *c, const struct net_addr *remote)
{
	const struct conf_texts *texts = &c->p->conf->delivery.source;
	for (size_t i = 0; i < texts->count; i++) {
		struct net_addr a;
		struct slice text = texts->items[c->p->next_source++ % texts->count];
		if (net_addr_parse(text, 0, &a, NULL) == ERR_OK && a.u.sa.sa_family == remote->u.sa.sa_family)
			return a;
	}
	return (struct net_addr){.len = 0};
}

static bool start_attempt(struct smtpc_conn *c, const struct wire_hop *hop)
{
	const struct connect_options o = {
		.remote = hop->addr,
		.local = source_for(c, &hop->addr),
		.timeout_ms = c->p->conf->timeout.connect,
		.limits = {.write_max = WRITE_MAX},
	};
	struct diag d = {0};
	c->addr = hop->addr;
	snprintf(c->host, sizeof(c->host), "%.*s", SLICE_ARG(hop->host));
	c->p->connects++;
	if (stream_connect(c->p->env.loop, &o, &events, c, &c->stream, &d) == ERR_OK)
		return true;
	memcpy(c->enhanced, (const uint8_t[]){4, 4, 1}, sizeof(c->enhanced));
	snprintf(c->why, sizeof(c->why), "%s", d.text);
	c->code = 0;
	return false;
}

/* No address is left. What the last one said stands for the site. The connection goes when its `work` comes: this may be
 * inside the call that opens it. */
static void give_up(struct smtpc_conn *c)
{
	struct smtpc_job *j = c->job;
	CLEANUP(buf_done) struct buf address;
	struct record_result r = {.state = RECORD_DEFERRED, .code = c->code, .text = slice_str(c->why)};
	buf_init(&address, 128);
	memcpy(r.enhanced, c->enhanced, sizeof(r.enhanced));
	add_where(c, &r, &address);
	c->job = NULL;
	j->site_failed = true;
	smtpc_job_defer_all(j, &r);
	c->over = true;
	wake(c);
}

static void next_attempt(struct smtpc_conn *c)
{
	for (; c->hop < c->job->w.hop_count; c->hop++) {
		const struct wire_hop *hop = &c->job->w.hops[c->hop];
		if (usable(c, &hop->addr) && start_attempt(c, hop))
			return;
	}
	give_up(c);
}

static void log_failed_attempt(struct smtpc_conn *c)
{
	CLEANUP(buf_done) struct buf address;
	buf_init(&address, 128);
	net_addr_format(&c->addr, &address);
	c->p->connect_failures++;
	log_event(c->p->env.log, LOG_INFO, "smtpc.attempt_failed", "host", c->host, "address",
		  buf_cstr(&address), "why", c->why, NULL);
}

/* The session is over. With a job left it either never began, or the server had dropped the idle connection. */
static void attempt_over(struct smtpc_conn *c)
{
	bool served = c->client && client_jobs_done(c->client) > 0;
	bool handshake = c->end == CLIENT_END_TLS;
	close_attempt(c);
	if (!c->job) {
		smtpc_conn_free(c);
		return;
	}
	if (served) {
		c->hop = 0;
		c->no_tls = false;
	} else {
		log_failed_attempt(c);
		/* Opportunistic TLS protects from listeners only; a broken one is no reason to hold mail back. */
		if (handshake && c->pool->tls == WIRE_TLS_MAY && !c->no_tls) {
			c->no_tls = true;
		} else {
			c->no_tls = false;
			c->hop++;
		}
	}
	next_attempt(c);
}

/* ---- jobs ---- */

static void run_job(struct smtpc_conn *c)
{
	const struct wire_job *w = &c->job->w;
	c->ready = false;
	c->cjob = (struct client_job){.sender = w->sender,
				      .rcpts = w->rcpts,
				      .rcpt_count = w->rcpt_count,
				      .length = w->length,
				      .edits = w->edits,
				      .body = w->body,
				      .smtputf8 = w->smtputf8};
	client_job(c->client, &c->cjob);
}

static void go_idle(struct smtpc_conn *c)
{
	struct smtpc *p = c->p;
	uint64_t max = p->conf->delivery.messages_per_connection;
	bool worn = max && client_jobs_done(c->client) >= max;
	c->ready = false;
	/* A route without TLS for this address only must not stay in the pool for those that could have it. */
	bool keep = !worn && !c->no_tls && !p->draining && p->starved.count == 0 &&
		    c->pool->idle.count < SMTPC_SITE_IDLE_MAX;
	if (!keep) {
		client_quit(c->client);
		return;
	}
	list_push_back(&c->pool->idle, &c->idle);
	p->idle++;
}

static void take_next(struct smtpc_conn *c)
{
	uint64_t max = c->p->conf->delivery.messages_per_connection;
	bool worn = max && client_jobs_done(c->client) >= max;
	if (!c->job && !worn)
		c->job = smtpc_pool_next(c->pool);
	if (c->job)
		run_job(c);
	else
		go_idle(c);
}

/* ---- content ---- */

static void feed_content(struct smtpc_conn *c)
{
	struct smtpc_job *j = c->job;
	if (stream_unsent(c->stream) > SMTPC_UNSENT_MAX) {
		stream_notify_drain(c->stream);
		return;
	}
	c->wants = false;
	size_t max = (size_t)MIN(c->want_max, SMTPC_CHUNK);
	ssize_t n = pread(j->loan->fd, c->p->chunk, max, (off_t)(j->w.offset + c->want_offset));
	if (n > 0)
		client_content(c->client, slice_of(c->p->chunk, (size_t)n));
	else if (n < 0 && errno == EINTR)
		c->wants = true;
	else
		client_content_failed(c->client, n == 0 ? SLICE_LIT("the stored content is too short")
							: slice_str(strerror(errno)));
	if (c->wants)
		wake(c);
}

static void begin_tls(struct smtpc_conn *c)
{
	struct diag d = {0};
	const struct tls_peer peer = {.name = slice_str(c->host),
				      .require_verified = c->pool->tls == WIRE_TLS_VERIFY};
	c->start_tls = false;
	if (stream_tls_connect(c->stream, c->p->tls, &peer, c->p->conf->timeout.handshake, &d) != ERR_OK)
		client_tls_failed(c->client, slice_str(d.text));
}

/* ---- the turn ---- */

static void conn_work(void *ctx)
{
	struct smtpc_conn *c = ctx;
	if (c->start_tls && !c->over)
		begin_tls(c);
	if (c->wants && !c->over)
		feed_content(c);
	if (c->ready && !c->over) {
		c->ended = NULL;
		take_next(c);
	}
	if (c->over) {
		leave_idle(c);
		attempt_over(c);
	}
}

enum err smtpc_conn_open(struct smtpc_pool *pool, struct smtpc_job *j)
{
	struct smtpc_conn *c = NEW(struct smtpc_conn);
	if (!c)
		return ERR_NOMEM;
	c->p = pool->p;
	c->pool = pool;
	c->job = j;
	pool->refs++;
	pool->conns++;
	c->p->conns++;
	list_push_back(&c->p->all, &c->all);
	timer_init(&c->timer, c->p->env.loop, on_timer, c);
	task_init(&c->work, c->p->env.loop, conn_work, c);
	snprintf(c->why, sizeof(c->why), "no usable address");
	memcpy(c->enhanced, (const uint8_t[]){4, 4, 4}, sizeof(c->enhanced));
	next_attempt(c);
	return ERR_OK;
}

void smtpc_conn_give(struct smtpc_conn *c, struct smtpc_job *j)
{
	ASSERT(!c->job);
	c->job = j;
	c->ready = true; /* it is IDLE, unless it ends before `work` runs: then the job is tried anew */
	wake(c);
}

void smtpc_conn_quit(struct smtpc_conn *c)
{
	leave_idle(c);
	if (!c->over && client_state(c->client) == CLIENT_IDLE)
		client_quit(c->client);
}

void smtpc_conn_free(struct smtpc_conn *c)
{
	struct smtpc *p = c->p;
	close_attempt(c);
	leave_idle(c);
	task_cancel(&c->work);
	list_remove(&p->all, &c->all);
	c->pool->conns--;
	p->conns--;
	smtpc_pool_unref(c->pool);
	mem_free(c);
	if (!p->drained)
		smtpc_pool_starving(p);
	smtpc_check_drained(p);
}
