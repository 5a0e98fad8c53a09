#include "dns_script.h"

#include "core/buf.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

struct question {
	struct list_node node;
	uint64_t id;
	char name[256];
	enum dns_type type;
	dns_answer_fn *done;
	void *ctx;
};

static void add_name(struct buf *out, struct slice name)
{
	if (slice_eq_str(name, "."))
		name = SLICE_EMPTY;
	for (struct slice rest = name; rest.len;) {
		struct slice label = slice_split(&rest, '.');
		buf_add_u8(out, (uint8_t)label.len);
		buf_add(out, label);
	}
	buf_add_u8(out, 0);
}

static bool next_record(struct slice *rest, enum dns_type type, struct buf *out)
{
	struct slice word = slice_word(rest);
	uint8_t addr[16];
	char z[64] = "";
	uint64_t preference = 0;
	if (word.len == 0)
		return false;
	memcpy(z, word.ptr, MIN(word.len, sizeof(z) - 1));
	switch (type) {
	case DNS_A:
		ASSERT(inet_pton(AF_INET, z, addr) == 1);
		buf_add_mem(out, addr, 4);
		return true;
	case DNS_AAAA:
		ASSERT(inet_pton(AF_INET6, z, addr) == 1);
		buf_add_mem(out, addr, 16);
		return true;
	default:
		ASSERT(slice_to_u64(word, 65535, &preference) == ERR_OK);
		buf_add_u8(out, (uint8_t)(preference >> 8));
		buf_add_u8(out, (uint8_t)preference);
		add_name(out, slice_word(rest));
		return true;
	}
}

static const struct dns_script_row *find(const struct dns_script *s, const struct question *q)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->rows[i].name, q->name) == 0 && s->rows[i].type == q->type)
			return &s->rows[i];
	return NULL;
}

static void answer(struct dns_script *s, const struct question *q)
{
	static const struct dns_script_row nothing = {.status = DNS_NXDOMAIN, .ttl_s = 60, .records = ""};
	const struct dns_script_row *row = find(s, q);
	struct slice records[DNS_RECORDS_MAX], rest;
	size_t ends[DNS_RECORDS_MAX];
	CLEANUP(buf_done) struct buf data;
	if (!row)
		row = &nothing;
	struct dns_answer a = {.status = row->status,
			       .secure = row->secure,
			       .ttl_s = row->ttl_s,
			       .text = slice_str(dns_status_name(row->status)),
			       .records = records};
	buf_init(&data, 1u << 16);
	rest = slice_str(row->records ? row->records : "");
	while (a.count < DNS_RECORDS_MAX && next_record(&rest, q->type, &data))
		ends[a.count++] = data.len;
	for (uint32_t i = 0, from = 0; i < a.count; from = (uint32_t)ends[i++])
		records[i] = slice_of(data.data + from, ends[i] - from);
	q->done(q->ctx, &a);
}

static void on_turn(void *ctx)
{
	struct dns_script *s = ctx;
	struct list_node *n =
		s->reversed && s->pending.count ? s->pending.head.prev : list_first(&s->pending);
	if (!n)
		return;
	list_remove(&s->pending, n);
	if (s->pending.count)
		task_defer(&s->answer);
	struct question *q = CONTAINER_OF(n, struct question, node);
	answer(s, q);
	free(q);
}

static enum err ask(void *self, struct slice name, enum dns_type type, dns_answer_fn *done, void *ctx,
		    uint64_t *ret_query, struct diag *d)
{
	struct dns_script *s = self;
	s->asked++;
	if (s->fail_after && s->asked >= s->fail_after)
		return diag_set(d, ERR_LIMIT, "too many questions");
	struct question *q = calloc(1, sizeof(*q));
	*q = (struct question){.id = ++s->next_id, .type = type, .done = done, .ctx = ctx};
	memcpy(q->name, name.ptr, name.len);
	list_push_back(&s->pending, &q->node);
	*ret_query = q->id;
	if (!s->silent)
		task_defer(&s->answer);
	return ERR_OK;
}

static void cancel(void *self, uint64_t id)
{
	struct dns_script *s = self;
	LIST_EACH_SAFE (&s->pending, n, next) {
		struct question *q = CONTAINER_OF(n, struct question, node);
		if (q->id != id)
			continue;
		list_remove(&s->pending, n);
		free(q);
		s->cancelled++;
	}
}

void dns_script_init(struct dns_script *s, struct loop *l, const struct dns_script_row *rows, size_t count)
{
	*s = (struct dns_script){.loop = l, .rows = rows, .count = count};
	list_init(&s->pending);
	task_init(&s->answer, l, on_turn, s);
}

void dns_script_done(struct dns_script *s)
{
	ASSERT(s->pending.count == 0); /* every question was answered or cancelled */
	task_cancel(&s->answer);
}

struct dns_lookup dns_script_lookup(struct dns_script *s)
{
	return (struct dns_lookup){.self = s, .ask = ask, .cancel = cancel};
}
