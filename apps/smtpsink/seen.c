#include "sink.h"

#include "core/hash.h"
#include "core/mem.h"

struct run {
	struct map_node node;
	uint64_t id;
	uint64_t *bits; /* owned; bit n: sequence number n came */
	uint64_t words;
	uint64_t highest, distinct, duplicates;
};

struct seen {
	struct map runs;
};

static bool run_eq(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct run, node)->id == *(const uint64_t *)key;
}

struct seen *seen_new(void)
{
	struct seen *s = NEW(struct seen);
	if (s)
		map_init(&s->runs, run_eq);
	return s;
}

void seen_free(struct seen *s)
{
	if (!s)
		return;
	MAP_EACH_SAFE (&s->runs, n, tmp) {
		struct run *r = CONTAINER_OF(n, struct run, node);
		map_remove(&s->runs, n);
		mem_free(r->bits);
		mem_free(r);
	}
	map_done(&s->runs);
	mem_free(s);
}

static struct run *run_of(struct seen *s, uint64_t id)
{
	struct map_node *n = map_find(&s->runs, hash_u64(id), &id);
	if (n)
		return CONTAINER_OF(n, struct run, node);
	struct run *r = NEW(struct run);
	if (!r)
		return NULL;
	r->id = id;
	if (map_insert(&s->runs, &r->node, hash_u64(id)) == ERR_OK)
		return r;
	mem_free(r);
	return NULL;
}

static bool grow(struct run *r, uint64_t seq)
{
	uint64_t words = MAX(r->words, 1024u);
	while (words * 64 <= seq)
		words *= 2;
	if (words == r->words)
		return true;
	uint64_t *bits = mem_resize(r->bits, words * sizeof(*bits));
	if (!bits)
		return false;
	for (uint64_t i = r->words; i < words; i++)
		bits[i] = 0;
	r->bits = bits;
	r->words = words;
	return true;
}

void seen_add(struct seen *s, uint64_t run, uint64_t seq)
{
	struct run *r = seq <= SINK_SEQ_MAX ? run_of(s, run) : NULL;
	if (!r || !grow(r, seq))
		return;
	uint64_t bit = 1ull << (seq % 64);
	if (r->bits[seq / 64] & bit)
		r->duplicates++;
	else
		r->distinct++;
	r->bits[seq / 64] |= bit;
	r->highest = MAX(r->highest, seq);
}

struct seen_report seen_report(const struct seen *s)
{
	struct seen_report rep = {0};
	MAP_EACH_SAFE (&s->runs, n, tmp) {
		const struct run *r = CONTAINER_OF(n, struct run, node);
		rep.numbered += r->distinct;
		rep.duplicates += r->duplicates;
		rep.missing += r->highest + 1 - r->distinct;
	}
	return rep;
}
