/* Destinations: an SMTP server per address that takes everything and remembers it, unless a rule says otherwise.
 *
 * Rules of an address, the newest first; the first that fits is used, xN of them so many times, then it is gone:
 *     PHASE [~TEXT] reply CODE TEXT    answers so
 *     PHASE [~TEXT] drop               closes the connection
 *     PHASE [~TEXT] hang               says nothing any more
 *     dot lose                         takes the message, then closes without an answer
 * PHASE: greeting helo mail rcpt data body dot rset quit; body is in the middle of the content. ~TEXT: only if the
 * command (for body and dot: the content) contains it. Words of an address: up, down (refuses), silent (a black hole),
 * delay TIME (before the answer to the dot), clear (no rules).
 */
#include "relay_world.h"

#include "core/mem.h"
#include "core/text.h"
#include "evio/net.h"

#include <string.h>

#define LINGER_MS 1000

enum action { ACT_REPLY, ACT_DROP, ACT_HANG, ACT_LOSE };

struct rule {
	struct list_node node;
	struct buf phase, text, reply;
	enum action action;
	uint64_t left; /* UINT64_MAX: for ever */
};

struct site {
	struct list_node node;
	struct sites *all;
	struct net_addr addr;
	char text[64];
	struct listener *listener; /* NULL: down */
	struct list rules, conns;
	uint64_t connected, delay_ms;
};

struct conn {
	struct list_node node;
	struct site *site;
	struct stream *stream;
	struct timer later; /* the delayed answer to a dot */
	bool hanging, in_data, body_seen;
	struct buf sender, recipients, data;
	uint32_t recipient_count;
};

/* ---- rules ---- */

static void rule_free(struct site *s, struct rule *r)
{
	list_remove(&s->rules, &r->node);
	buf_done(&r->phase);
	buf_done(&r->text);
	buf_done(&r->reply);
	mem_free(r);
}

static struct rule *rule_for(struct site *s, const char *phase, struct slice about)
{
	LIST_EACH_SAFE (&s->rules, n, tmp) {
		struct rule *r = CONTAINER_OF(n, struct rule, node);
		struct slice text = buf_slice(&r->text);
		if (slice_eq_str(buf_slice(&r->phase), phase) &&
		    (text.len == 0 || slice_find_slice(about, text) != SLICE_NPOS))
			return r;
	}
	return NULL;
}

/* ---- connections ---- */

static void conn_free(struct conn *c)
{
	list_remove(&c->site->conns, &c->node);
	timer_cancel(&c->later);
	stream_free(c->stream);
	buf_done(&c->sender);
	buf_done(&c->recipients);
	buf_done(&c->data);
	mem_free(c);
}

static void say(struct conn *c, struct slice reply)
{
	(void)stream_write(c->stream, reply);
	(void)stream_write(c->stream, SLICE_LIT("\r\n"));
}

static void envelope_clear(struct conn *c)
{
	buf_clear(&c->sender);
	buf_clear(&c->recipients);
	buf_clear(&c->data);
	c->recipient_count = 0;
	c->in_data = c->body_seen = false;
}

static void keep(struct conn *c)
{
	struct delivery *d = NEW(struct delivery);
	need(d);
	*d = (struct delivery){.site = c->site,
			       .time_ms = loop_now(c->site->all->loop),
			       .sender = c->sender,
			       .recipients = c->recipients,
			       .data = c->data,
			       .recipient_count = c->recipient_count};
	buf_init(&c->sender, WORLD_TEXT_MAX);
	buf_init(&c->recipients, WORLD_TEXT_MAX);
	buf_init(&c->data, WORLD_TEXT_MAX);
	list_push_back(&c->site->all->deliveries, &d->node);
}

/* What the rules say about this phase. True: it is dealt with; *ret_refused: with an answer other than 2xx or 3xx. */
static bool ruled(struct conn *c, const char *phase, struct slice about, bool *ret_refused)
{
	struct rule *r = rule_for(c->site, phase, about);
	*ret_refused = r != NULL;
	if (!r)
		return false;
	if (r->action == ACT_REPLY) {
		struct slice reply = buf_slice(&r->reply);
		say(c, reply);
		*ret_refused = reply.len == 0 || reply.ptr[0] > '3';
	} else if (r->action == ACT_HANG) {
		c->hanging = true;
	} else {
		if (r->action == ACT_LOSE)
			keep(c);
		stream_close(c->stream, LINGER_MS);
		c->hanging = true;
	}
	if (r->left != UINT64_MAX && --r->left == 0)
		rule_free(c->site, r);
	return true;
}

static void answer(struct conn *c, const char *phase, struct slice about, const char *standard)
{
	bool refused;
	if (!ruled(c, phase, about, &refused))
		say(c, slice_str(standard));
}

/* ---- content ---- */

static void taken(void *ctx)
{
	struct conn *c = ctx;
	keep(c);
	envelope_clear(c);
	say(c, SLICE_LIT("250 2.0.0 taken"));
}

static void on_dot(struct conn *c)
{
	bool refused;
	c->in_data = false;
	if (ruled(c, "dot", buf_slice(&c->data), &refused)) {
		if (!refused)
			keep(c);
		envelope_clear(c);
	} else if (c->site->delay_ms) {
		timer_set(&c->later, c->site->delay_ms);
	} else {
		taken(c);
	}
}

static void on_content(struct conn *c, struct slice line)
{
	bool refused;
	if (!c->body_seen) {
		c->body_seen = true;
		if (ruled(c, "body", line, &refused))
			return;
	}
	if (slice_eq_str(line, ".")) {
		on_dot(c);
		return;
	}
	buf_add(&c->data, slice_from(line, line.len && line.ptr[0] == '.'));
	buf_add_str(&c->data, "\r\n");
}

/* ---- commands ---- */

static struct slice path_in(struct slice line)
{
	size_t from = slice_find(line, '<');
	struct slice rest = slice_from(line, from == SLICE_NPOS ? line.len : from + 1);
	return slice_sub(rest, 0, slice_find(rest, '>'));
}

static void on_rcpt(struct conn *c, struct slice line)
{
	bool refused = false;
	if (!ruled(c, "rcpt", line, &refused))
		say(c, SLICE_LIT("250 2.1.5 ok"));
	if (refused)
		return;
	buf_add(&c->recipients, path_in(line));
	buf_add_char(&c->recipients, '\n');
	c->recipient_count++;
}

static void on_mail(struct conn *c, struct slice line)
{
	envelope_clear(c);
	buf_add(&c->sender, path_in(line));
	answer(c, "mail", line, "250 2.1.0 ok");
}

static void on_data(struct conn *c, struct slice line)
{
	bool refused = false;
	if (c->recipient_count == 0) {
		say(c, SLICE_LIT("503 5.5.1 no recipients"));
		return;
	}
	if (!ruled(c, "data", line, &refused))
		say(c, SLICE_LIT("354 go on"));
	c->in_data = !refused;
}

static void on_command(struct conn *c, struct slice line)
{
	if (slice_istarts(line, SLICE_LIT("EHLO")) || slice_istarts(line, SLICE_LIT("HELO"))) {
		answer(c, "helo", line, "250-site\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE");
	} else if (slice_istarts(line, SLICE_LIT("MAIL"))) {
		on_mail(c, line);
	} else if (slice_istarts(line, SLICE_LIT("RCPT"))) {
		on_rcpt(c, line);
	} else if (slice_istarts(line, SLICE_LIT("DATA"))) {
		on_data(c, line);
	} else if (slice_istarts(line, SLICE_LIT("RSET"))) {
		envelope_clear(c);
		answer(c, "rset", line, "250 2.0.0 ok");
	} else if (slice_istarts(line, SLICE_LIT("QUIT"))) {
		answer(c, "quit", line, "221 2.0.0 bye");
		stream_close(c->stream, LINGER_MS);
		c->hanging = true;
	} else {
		say(c, SLICE_LIT("500 5.5.1 what?"));
	}
}

static size_t on_read(void *ctx, struct slice in)
{
	struct conn *c = ctx;
	size_t used = 0;
	while (!c->hanging && !timer_active(&c->later)) {
		struct slice rest = slice_from(in, used);
		size_t end = slice_find(rest, '\n');
		if (end == SLICE_NPOS)
			return used;
		struct slice line = slice_sub(rest, 0, end > 0 && rest.ptr[end - 1] == '\r' ? end - 1 : end);
		used += end + 1;
		if (c->in_data)
			on_content(c, line);
		else
			on_command(c, line);
	}
	return c->hanging ? in.len : used;
}

static void on_later(void *ctx)
{
	struct conn *c = ctx;
	taken(c);
	stream_resume(c->stream);
}

static void on_close(void *ctx, const struct diag *why)
{
	conn_free(ctx);
}

static void on_accept(void *ctx, struct stream *stream)
{
	static const struct stream_events events = {.on_read = on_read, .on_close = on_close};
	struct site *s = ctx;
	struct conn *c = NEW(struct conn);
	need(c);
	c->site = s;
	c->stream = stream;
	timer_init(&c->later, s->all->loop, on_later, c);
	buf_init(&c->sender, WORLD_TEXT_MAX);
	buf_init(&c->recipients, WORLD_TEXT_MAX);
	buf_init(&c->data, WORLD_TEXT_MAX);
	list_push_back(&s->conns, &c->node);
	s->connected++;
	stream_set_events(stream, &events, c);
	answer(c, "greeting", SLICE_EMPTY, "220 site ESMTP");
}

/* ---- sites ---- */

static void up(struct site *s)
{
	static const struct listener_events events = {.on_accept = on_accept};
	int fd;
	if (s->listener)
		return;
	need(net_listen(s->all->loop, &s->addr, 0, &fd, NULL) == ERR_OK);
	need(listener_new(s->all->loop, fd, &events, s, &s->listener, NULL) == ERR_OK);
}

static void down(struct site *s)
{
	listener_free(s->listener);
	s->listener = NULL;
	LIST_EACH_SAFE (&s->conns, n, tmp) {
		conn_free(CONTAINER_OF(n, struct conn, node));
	}
}

struct site *site_find(struct sites *all, struct slice address)
{
	LIST_EACH_SAFE (&all->sites, n, tmp) {
		struct site *s = CONTAINER_OF(n, struct site, node);
		if (slice_eq_str(address, s->text))
			return s;
	}
	return NULL;
}

static struct site *site_for(struct sites *all, struct slice address)
{
	struct site *s = site_find(all, address);
	if (s)
		return s;
	s = NEW(struct site);
	need(s && address.len < sizeof(s->text));
	s->all = all;
	memcpy(s->text, address.ptr, address.len);
	list_init(&s->rules);
	list_init(&s->conns);
	if (net_addr_parse(address, 25, &s->addr, NULL) != ERR_OK)
		world_fail("not an address: %.*s", SLICE_ARG(address));
	list_push_back(&all->sites, &s->node);
	up(s);
	return s;
}

static void clear(struct site *s)
{
	s->delay_ms = 0;
	LIST_EACH_SAFE (&s->rules, n, tmp) {
		rule_free(s, CONTAINER_OF(n, struct rule, node));
	}
}

/* "reply 450 4.2.0 later x2": the count is the last word. */
static uint64_t take_count(struct slice *what)
{
	uint64_t n = UINT64_MAX;
	size_t blank = slice_rfind(*what, ' ');
	struct slice last = slice_from(*what, blank == SLICE_NPOS ? 0 : blank + 1);
	if (last.len > 1 && last.ptr[0] == 'x' && slice_to_u64(slice_from(last, 1), UINT32_MAX, &n) == ERR_OK)
		*what = slice_trim(slice_sub(*what, 0, what->len - last.len));
	return n;
}

static bool add_rule(struct site *s, struct slice phase, struct slice what)
{
	static const char *const actions[] = {"reply", "drop", "hang", "lose"};
	struct rule *r = NEW(struct rule);
	need(r);
	r->left = take_count(&what);
	buf_init(&r->phase, 64);
	buf_init(&r->text, 4096);
	buf_init(&r->reply, 4096);
	buf_add(&r->phase, phase);
	list_push_front(&s->rules, &r->node);
	struct slice word = slice_word(&what);
	if (slice_starts(word, SLICE_LIT("~"))) {
		buf_add(&r->text, slice_from(word, 1));
		word = slice_word(&what);
	}
	buf_add(&r->reply, slice_trim(what));
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		r->action = (enum action)i;
		if (slice_eq_str(word, actions[i]))
			return true;
	}
	rule_free(s, r);
	return false;
}

bool site_script(struct sites *all, struct slice address, struct slice what)
{
	struct site *s = site_for(all, address);
	struct slice verb = slice_word(&what);
	bool silent = slice_eq_str(verb, "silent");
	if (silent || slice_eq_str(verb, "up"))
		sim_blackhole(all->loop, &s->addr, silent);
	if (slice_eq_str(verb, "up"))
		up(s);
	else if (slice_eq_str(verb, "down"))
		down(s);
	else if (slice_eq_str(verb, "clear"))
		clear(s);
	else if (slice_eq_str(verb, "delay"))
		return text_parse_duration(slice_trim(what), &s->delay_ms) == ERR_OK;
	else if (!silent)
		return add_rule(s, verb, slice_trim(what));
	return true;
}

uint64_t site_connections(const struct site *s)
{
	return s->conns.count;
}

uint64_t site_connected(const struct site *s)
{
	return s->connected;
}

void sites_init(struct sites *s, struct loop *l)
{
	s->loop = l;
	list_init(&s->sites);
	list_init(&s->deliveries);
}

void sites_done(struct sites *all)
{
	LIST_EACH_SAFE (&all->sites, n, tmp) {
		struct site *s = CONTAINER_OF(n, struct site, node);
		down(s);
		clear(s);
		list_remove(&all->sites, n);
		mem_free(s);
	}
	for (struct list_node *n; (n = list_pop(&all->deliveries));) {
		struct delivery *d = CONTAINER_OF(n, struct delivery, node);
		buf_done(&d->sender);
		buf_done(&d->recipients);
		buf_done(&d->data);
		mem_free(d);
	}
}
