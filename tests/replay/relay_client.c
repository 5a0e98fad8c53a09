/* Submitting clients. A dialogue is said and heard line by line; a batch is spoken by a client of its own that waits for
 * every answer, numbers its messages (X-Number) and remembers those that were answered 250: what a hosting server would
 * now forget, and the relay must not. */
#include "relay_world.h"

#include "core/mem.h"
#include "core/text.h"
#include "evio/net.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_MS   (20 * 60 * 1000)
#define DEFAULT_TO  "127.0.0.1:2525"
#define LINE_OCTETS 78

struct client {
	struct list_node node;
	struct clients *all;
	struct stream *stream;
	struct buf in;
	bool closed;
	char name[32];
};

struct password {
	struct list_node node;
	struct buf server, text;
};

/* ---- connections ---- */

static size_t on_read(void *ctx, struct slice in)
{
	struct client *c = ctx;
	buf_add(&c->in, in);
	return in.len;
}

static void on_close(void *ctx, const struct diag *why)
{
	struct client *c = ctx;
	c->closed = true;
}

static const struct stream_events events = {.on_read = on_read, .on_close = on_close};

static struct client *find(struct clients *all, struct slice name)
{
	LIST_EACH_SAFE (&all->clients, n, tmp) {
		struct client *c = CONTAINER_OF(n, struct client, node);
		if (slice_eq_str(name, c->name))
			return c;
	}
	return NULL;
}

static void client_free(struct client *c)
{
	list_remove(&c->all->clients, &c->node);
	stream_free(c->stream);
	buf_done(&c->in);
	mem_free(c);
}

static struct client *client_new(struct clients *all, struct slice name, struct slice address)
{
	struct client *c = NEW(struct client);
	struct connect_options o = {.limits = {.write_max = WORLD_TEXT_MAX}};
	need(c && name.len < sizeof(c->name));
	c->all = all;
	memcpy(c->name, name.ptr, name.len);
	buf_init(&c->in, WORLD_TEXT_MAX);
	list_push_back(&all->clients, &c->node);
	need(net_addr_parse(address.len ? address : SLICE_LIT(DEFAULT_TO), 2525, &o.remote, NULL) == ERR_OK);
	need(stream_connect(all->loop, &o, &events, c, &c->stream, NULL) == ERR_OK);
	return c;
}

/* One that has not been named yet connects where most do. */
static struct client *client_for(struct clients *all, struct slice name)
{
	struct client *c = find(all, name);
	return c ? c : client_new(all, name, SLICE_EMPTY);
}

void client_connect(struct clients *all, struct slice name, struct slice address)
{
	client_close(all, name);
	client_new(all, name, address);
}

void client_close(struct clients *all, struct slice name)
{
	struct client *c = find(all, name);
	if (c)
		client_free(c);
}

void client_say(struct clients *all, struct slice name, struct slice octets)
{
	struct client *c = client_for(all, name);
	if (!c->closed)
		(void)stream_write(c->stream, octets);
}

/* ---- replies ---- */

/* Octets of the first whole reply; 0: there is none yet. */
static size_t reply_length(const struct client *c)
{
	struct slice in = buf_slice(&c->in);
	for (size_t at = 0, end; (end = slice_find(slice_from(in, at), '\n')) != SLICE_NPOS;) {
		struct slice line = slice_sub(in, at, end);
		at += end + 1;
		if (line.len < 4 || line.ptr[3] != '-')
			return at;
	}
	return 0;
}

static bool heard(void *ctx)
{
	const struct client *c = ctx;
	return c->closed || reply_length(c) > 0;
}

static bool hear(struct client *c, uint64_t ms, struct buf *out)
{
	bool some = sim_run_until(c->all->loop, heard, c, ms);
	size_t n = reply_length(c);
	if (n > 0)
		buf_add(out, slice_sub(buf_slice(&c->in), 0, n));
	else if (c->closed)
		buf_add_str(out, "closed");
	buf_consume(&c->in, n);
	return some;
}

static void note_id(struct clients *all, struct slice reply)
{
	const struct slice mark = SLICE_LIT("queued as ");
	size_t at = slice_find_slice(reply, mark);
	if (at == SLICE_NPOS)
		return;
	struct slice id = slice_trim(slice_from(reply, at + mark.len));
	snprintf(all->last_id, sizeof(all->last_id), "%.*s", SLICE_ARG(id));
}

bool client_hear(struct clients *all, struct slice name, uint64_t ms, struct buf *out)
{
	bool some = hear(client_for(all, name), ms, out);
	note_id(all, buf_slice(out));
	return some;
}

/* ---- passwords ---- */

void clients_password(struct clients *all, struct slice server, struct slice password)
{
	struct password *p = NEW(struct password);
	need(p);
	buf_init(&p->server, 256);
	buf_init(&p->text, 256);
	buf_add(&p->server, server);
	buf_add(&p->text, password);
	list_push_front(&all->passwords, &p->node); /* a rotated one comes before the old one */
}

void clients_plain(struct clients *all, struct slice server, struct buf *out)
{
	LIST_EACH_SAFE (&all->passwords, n, tmp) {
		const struct password *p = CONTAINER_OF(n, struct password, node);
		CLEANUP(buf_done) struct buf plain;
		if (!slice_eq(buf_slice(&p->server), server))
			continue;
		buf_init(&plain, 1024);
		buf_add_char(&plain, '\0');
		buf_add(&plain, server);
		buf_add_char(&plain, '\0');
		buf_add(&plain, buf_slice(&p->text));
		base64_encode(out, buf_slice(&plain));
		return;
	}
	world_fail("no password of server %.*s", SLICE_ARG(server));
}

/* ---- batches ---- */

struct speaker {
	struct client *client;
	const struct batch *batch;
	struct buf reply, text;
};

/* Says text and hears one reply; its code, 0 when the connection is gone. */
static unsigned exchange(struct speaker *s, struct slice text)
{
	if (!s->client->closed)
		(void)stream_write(s->client->stream, text);
	buf_clear(&s->reply);
	if (!hear(s->client, ANSWER_MS, &s->reply))
		return 0;
	uint64_t code = 0;
	if (slice_to_u64(slice_sub(buf_slice(&s->reply), 0, 3), 999, &code) != ERR_OK)
		return 0;
	return (unsigned)code;
}

static unsigned say_line(struct speaker *s, const char *before, struct slice arg, const char *after)
{
	buf_clear(&s->text);
	buf_printf(&s->text, "%s%.*s%s\r\n", before, SLICE_ARG(arg), after);
	return exchange(s, buf_slice(&s->text));
}

static unsigned open_session(struct speaker *s, struct clients *all)
{
	const struct batch *b = s->batch;
	struct slice to = b->port.len ? b->port
			  : b->as.len ? SLICE_LIT("127.0.0.1:2587")
				      : SLICE_LIT(DEFAULT_TO);
	s->client = client_new(all, SLICE_LIT("(batch)"), to);
	unsigned code = exchange(s, SLICE_EMPTY);
	if (code == 220)
		code = say_line(s, "EHLO client.example.net", SLICE_EMPTY, "");
	if (code != 250 || !b->as.len)
		return code;
	CLEANUP(buf_done) struct buf plain;
	buf_init(&plain, 1024);
	clients_plain(all, b->as, &plain);
	return say_line(s, "AUTH PLAIN ", buf_slice(&plain), "") == 235 ? 250 : 0;
}

/* The numbers tell the lines apart, so that a piece in the wrong place shows. */
static void add_body(struct buf *out, uint64_t number, uint64_t size)
{
	for (uint64_t line = 0, end = out->len + size; out->len < end; line++) {
		size_t from = out->len;
		buf_printf(out, "%" PRIu64 ".%" PRIu64 " ", number, line);
		while (out->len - from < LINE_OCTETS)
			buf_add_char(out, (char)('a' + (out->len + line) % 26));
		buf_add_str(out, "\r\n");
	}
}

static unsigned say_recipients(struct speaker *s, struct buf *recipients)
{
	struct slice rest = s->batch->to;
	unsigned code = 0;
	while (rest.ptr) {
		struct slice one = slice_split(&rest, ',');
		code = say_line(s, "RCPT TO:<", one, ">");
		if (code != 250)
			return code;
		buf_add(recipients, one);
		buf_add_char(recipients, '\n');
	}
	return code;
}

static unsigned say_message(struct speaker *s, uint64_t number, struct buf *recipients)
{
	const struct batch *b = s->batch;
	unsigned code = say_line(s, "MAIL FROM:<", b->from, ">");
	if (code == 250)
		code = say_recipients(s, recipients);
	if (code == 250)
		code = say_line(s, "DATA", SLICE_EMPTY, "");
	if (code != 354)
		return code;
	buf_clear(&s->text);
	buf_printf(&s->text, "X-Number: %" PRIu64 "\r\nSubject: %.*s\r\n\r\n", number, SLICE_ARG(b->subject));
	add_body(&s->text, number, b->size);
	buf_add_str(&s->text, ".\r\n");
	return exchange(s, buf_slice(&s->text));
}

static bool one_message(struct speaker *s, struct clients *all)
{
	struct ack *a = NEW(struct ack);
	need(a);
	a->number = ++all->next_number;
	buf_init(&a->recipients, WORLD_TEXT_MAX);
	if (say_message(s, a->number, &a->recipients) == 250) {
		note_id(all, buf_slice(&s->reply));
		list_push_back(&all->acks, &a->node);
		return true;
	}
	all->refused++;
	buf_done(&a->recipients);
	mem_free(a);
	return false;
}

static void end_session(struct speaker *s)
{
	if (s->client)
		client_free(s->client);
	s->client = NULL;
}

uint64_t clients_submit(struct clients *all, const struct batch *b)
{
	struct speaker s = {.batch = b};
	uint64_t accepted = 0;
	buf_init(&s.reply, WORLD_TEXT_MAX);
	buf_init(&s.text, WORLD_TEXT_MAX);
	for (uint64_t i = 0; i < b->count; i++) {
		if (b->per_connection && i % b->per_connection == 0)
			end_session(&s);
		bool open = s.client || open_session(&s, all) == 250;
		if (open && one_message(&s, all)) {
			accepted++;
			continue;
		}
		all->refused += !open;
		end_session(&s);
	}
	end_session(&s);
	buf_done(&s.reply);
	buf_done(&s.text);
	return accepted;
}

/* ---- life ---- */

void clients_init(struct clients *c, struct loop *l)
{
	c->loop = l;
	list_init(&c->clients);
	list_init(&c->acks);
	list_init(&c->passwords);
}

void clients_done(struct clients *all)
{
	LIST_EACH_SAFE (&all->clients, n, tmp) {
		client_free(CONTAINER_OF(n, struct client, node));
	}
	for (struct list_node *n; (n = list_pop(&all->acks));) {
		struct ack *a = CONTAINER_OF(n, struct ack, node);
		buf_done(&a->recipients);
		mem_free(a);
	}
	for (struct list_node *n; (n = list_pop(&all->passwords));) {
		struct password *p = CONTAINER_OF(n, struct password, node);
		buf_done(&p->server);
		buf_done(&p->text);
		mem_free(p);
	}
}
