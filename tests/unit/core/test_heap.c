/* The heap against an array that is searched: inserts, removals, updates, ties in order of insertion. */
#include "core/heap.h"

#include "core/mem.h"

#include "../unit.h"

#define NODES 300
#define STEPS 20000

struct model {
	struct heap h;
	struct heap_node nodes[NODES];
	uint64_t key[NODES], order[NODES]; /* order 0: not in the heap */
	uint64_t next_order, rng;
};

static struct heap_node *model_min(struct model *m)
{
	size_t best = NODES;
	for (size_t i = 0; i < NODES; i++) {
		if (!m->order[i])
			continue;
		if (best == NODES || m->key[i] < m->key[best] ||
		    (m->key[i] == m->key[best] && m->order[i] < m->order[best]))
			best = i;
	}
	return best == NODES ? NULL : &m->nodes[best];
}

static void step(struct model *m)
{
	size_t i = unit_below(&m->rng, NODES);
	uint64_t key = unit_below(&m->rng, 40); /* few, so that many are equal */
	if (!m->order[i]) {
		assert_int_equal(heap_insert(&m->h, &m->nodes[i], key), ERR_OK);
	} else if (unit_below(&m->rng, 2)) {
		heap_update(&m->h, &m->nodes[i], key);
	} else {
		heap_remove(&m->h, &m->nodes[i]);
		assert_int_equal(m->nodes[i].index, 0);
		m->order[i] = 0;
		return;
	}
	m->key[i] = key;
	m->order[i] = ++m->next_order;
}

static void drain(struct model *m)
{
	struct heap_node *n;
	while ((n = model_min(m))) {
		assert_ptr_equal(heap_min(&m->h), n);
		heap_remove(&m->h, n);
		m->order[n - m->nodes] = 0;
	}
	assert_null(heap_min(&m->h));
	assert_int_equal(m->h.count, 0);
}

static void test_against_model(void **state)
{
	struct model m = {.rng = 7};
	heap_init(&m.h);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < STEPS; i++) {
			step(&m);
			assert_ptr_equal(heap_min(&m.h), model_min(&m));
		}
		drain(&m);
	}
	heap_done(&m.h);
}

static void test_extreme_keys(void **state)
{
	struct heap h;
	struct heap_node a = {0}, b = {0}, c = {0};
	heap_init(&h);
	assert_null(heap_min(&h));
	assert_int_equal(heap_insert(&h, &a, UINT64_MAX), ERR_OK);
	assert_int_equal(heap_insert(&h, &b, 0), ERR_OK);
	assert_int_equal(heap_insert(&h, &c, 1ull << 63), ERR_OK);
	assert_ptr_equal(heap_min(&h), &b);
	heap_remove(&h, &b);
	assert_ptr_equal(heap_min(&h), &c);
	heap_remove(&h, &c);
	assert_ptr_equal(heap_min(&h), &a);
	heap_done(&h);
}

static void test_no_memory(void **state)
{
	static struct heap_node nodes[1000];
	struct heap h;
	size_t refused = 0;
	heap_init(&h);
	for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
		mem_fail_after(0);
		enum err e = heap_insert(&h, &nodes[i], 1000 - i);
		mem_fail_after(SIZE_MAX);
		if (e == ERR_OK)
			continue;
		refused++;
		assert_int_equal(e, ERR_NOMEM);
		assert_int_equal(nodes[i].index, 0);
		assert_int_equal(h.count, i);
		assert_int_equal(heap_insert(&h, &nodes[i], 1000 - i), ERR_OK);
	}
	assert_in_range(refused, 1, 10);
	for (size_t i = ARRAY_LEN(nodes); i-- > 0;) {
		assert_ptr_equal(heap_min(&h), &nodes[i]);
		heap_remove(&h, &nodes[i]);
	}
	heap_done(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_extreme_keys),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
