/* What a scenario can count. */
#include "relay_play.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_words(struct slice line, struct slice words)
{
	for (struct slice word; (word = slice_word(&words)).len;)
		if (slice_find_slice(line, word) == SLICE_NPOS)
			return false;
	return true;
}

uint64_t count_lines(struct slice text, struct slice words)
{
	uint64_t n = 0;
	while (text.ptr && text.len)
		n += has_words(slice_split(&text, '\n'), words);
	return n;
}

static uint64_t log_lines(struct play *p, struct slice words)
{
	CLEANUP(buf_done) struct buf log;
	buf_init(&log, WORLD_TEXT_MAX);
	world_log(&p->w, &log);
	return count_lines(buf_slice(&log), words);
}

static uint64_t got(struct play *p, const struct site *site, struct slice text)
{
	uint64_t n = 0;
	LIST_EACH_SAFE (&p->w.sites.deliveries, it, tmp) {
		const struct delivery *d = CONTAINER_OF(it, struct delivery, node);
		if (d->site != site)
			continue;
		n += slice_find_slice(buf_slice(&d->data), text) != SLICE_NPOS ||
		     slice_find_slice(buf_slice(&d->sender), text) != SLICE_NPOS ||
		     slice_find_slice(buf_slice(&d->recipients), text) != SLICE_NPOS;
	}
	return n;
}

static struct site *site_of(struct play *p, struct slice address)
{
	struct site *s = site_find(&p->w.sites, address);
	if (!s)
		world_fail("%s:%u: no site %.*s", p->file, p->line, SLICE_ARG(address));
	return s;
}

static uint64_t site_metric(struct play *p, struct slice rest)
{
	struct site *s = site_of(p, slice_word(&rest));
	struct slice what = slice_word(&rest);
	if (slice_eq_str(what, "got"))
		return got(p, s, slice_trim(rest));
	if (slice_eq_str(what, "open"))
		return site_connections(s);
	if (slice_eq_str(what, "connections"))
		return site_connected(s);
	complain(p, "unknown about a site", SLICE_EMPTY, what);
	return 0;
}

static uint64_t delivered(struct play *p)
{
	uint64_t n = 0;
	LIST_EACH_SAFE (&p->w.sites.deliveries, it, tmp)
		n += CONTAINER_OF(it, struct delivery, node)->recipient_count;
	return n;
}

static uint64_t apart(struct play *p, struct slice rest)
{
	struct site *s = site_of(p, slice_word(&rest));
	struct slice a = slice_word(&rest), b = slice_word(&rest);
	uint64_t x = got(p, s, a), y = got(p, s, b);
	return x > y ? x - y : y - x;
}

/* A message's number and one of its recipients. */
struct pair {
	uint64_t number;
	struct slice recipient;
};

static int pair_order(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return slice_cmp(x->recipient, y->recipient);
}

static void add_pairs(struct buf *out, uint64_t n, struct slice recipients)
{
	while (recipients.ptr && recipients.len) {
		struct pair one = {n, slice_split(&recipients, '\n')};
		buf_add_mem(out, &one, sizeof(one));
	}
}

static bool number_of(struct slice data, uint64_t *ret)
{
	const struct slice mark = SLICE_LIT("X-Number: ");
	size_t at = slice_find_slice(data, mark);
	if (at == SLICE_NPOS)
		return false;
	struct slice rest = slice_from(data, at + mark.len);
	return slice_to_u64(slice_sub(rest, 0, slice_find(rest, '\r')), UINT64_MAX, ret) == ERR_OK;
}

/* Sorted. */
static size_t delivered_pairs(struct play *p, struct buf *out)
{
	LIST_EACH_SAFE (&p->w.sites.deliveries, it, tmp) {
		const struct delivery *d = CONTAINER_OF(it, struct delivery, node);
		uint64_t n;
		if (number_of(buf_slice(&d->data), &n))
			add_pairs(out, n, buf_slice(&d->recipients));
	}
	need(!out->failed);
	size_t count = out->len / sizeof(struct pair);
	if (count)
		qsort(out->data, count, sizeof(struct pair), pair_order);
	return count;
}

static uint64_t twice(struct play *p)
{
	CLEANUP(buf_done) struct buf all;
	uint64_t n = 0;
	buf_init(&all, WORLD_TEXT_MAX);
	size_t count = delivered_pairs(p, &all);
	const struct pair *pairs = (const struct pair *)(void *)all.data;
	for (size_t i = 1; i < count; i++)
		n += pair_order(&pairs[i - 1], &pairs[i]) == 0;
	return n;
}

static void acknowledged_pairs(struct play *p, struct buf *out)
{
	LIST_EACH_SAFE (&p->w.clients.acks, it, tmp) {
		const struct ack *a = CONTAINER_OF(it, struct ack, node);
		add_pairs(out, a->number, buf_slice(&a->recipients));
	}
	need(!out->failed);
}

static uint64_t acknowledged(struct play *p)
{
	CLEANUP(buf_done) struct buf all;
	buf_init(&all, WORLD_TEXT_MAX);
	acknowledged_pairs(p, &all);
	return all.len / sizeof(struct pair);
}

static uint64_t lost(struct play *p)
{
	CLEANUP(buf_done) struct buf had, promised;
	uint64_t n = 0;
	buf_init(&had, WORLD_TEXT_MAX);
	buf_init(&promised, WORLD_TEXT_MAX);
	size_t count = delivered_pairs(p, &had);
	acknowledged_pairs(p, &promised);
	const struct pair *want = (const struct pair *)(void *)promised.data;
	for (size_t i = 0; i < promised.len / sizeof(*want); i++)
		n += count == 0 || !bsearch(&want[i], had.data, count, sizeof(*want), pair_order);
	return n;
}

static uint64_t trouble(struct play *p, struct slice text)
{
	CLEANUP(buf_done) struct buf all;
	buf_init(&all, WORLD_TEXT_MAX);
	world_trouble(&p->w, &all);
	return count_lines(buf_slice(&all), text);
}

static uint64_t counter(struct play *p, struct slice name)
{
	struct slice role = slice_split(&name, '.');
	for (enum wire_role r = ROLE_SMTPD; r < ROLE_COUNT; r++)
		if (slice_eq_str(role, wire_role_name(r)))
			return world_counter(&p->w, r, name);
	complain(p, "unknown metric", SLICE_EMPTY, role);
	return 0;
}

uint64_t metric(struct play *p, struct slice what)
{
	struct slice rest = what, name = slice_word(&rest);
	static const struct {
		const char *name;
		uint64_t (*get)(struct play *p);
	} plain[] = {
		{"delivered", delivered}, {"acknowledged", acknowledged}, {"lost", lost}, {"twice", twice}};
	static const struct {
		const char *name;
		uint64_t (*get)(struct play *p, struct slice rest);
	} with_words[] = {{"log", log_lines}, {"site", site_metric}, {"apart", apart}, {"trouble", trouble}};
	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		if (slice_eq_str(name, plain[i].name))
			return plain[i].get(p);
	for (size_t i = 0; i < ARRAY_LEN(with_words); i++)
		if (slice_eq_str(name, with_words[i].name))
			return with_words[i].get(p, slice_trim(rest));
	if (slice_eq_str(name, "row"))
		return count_lines(buf_slice(&p->w.rows), rest);
	if (slice_eq_str(name, "refused"))
		return p->w.clients.refused;
	if (slice_eq_str(name, "running"))
		return world_running(&p->w);
	if (slice_eq_str(name, "questions"))
		return zone_questions(p->w.zone);
	return counter(p, name);
}
