/* The map against an array of flags; colliding hashes; growth that fails. */
#include "core/map.h"

#include "core/hash.h"
#include "core/mem.h"

#include "../unit.h"

#define KEYS  2000
#define STEPS 100000

struct entry {
	uint32_t key;
	struct map_node node;
};

static bool same_key(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, const struct entry, node)->key == *(const uint32_t *)key;
}

struct model {
	struct map m;
	struct entry entries[KEYS];
	bool in[KEYS];
	size_t count;
	uint64_t rng;
	uint64_t (*hash)(uint64_t key);
};

/* All keys in few chains, and many hashes equal. */
static uint64_t bad_hash(uint64_t key)
{
	return (key % 7) << 40 | 3;
}

static void check_iteration(struct model *m)
{
	size_t seen = 0;
	bool met[KEYS] = {false};
	MAP_EACH_SAFE (&m->m, it, tmp) {
		uint32_t key = CONTAINER_OF(it, struct entry, node)->key;
		assert_true(m->in[key] && !met[key]);
		met[key] = true;
		seen++;
	}
	assert_int_equal(seen, m->count);
	assert_int_equal(m->m.count, m->count);
}

static void step(struct model *m)
{
	uint32_t key = unit_below(&m->rng, KEYS);
	struct map_node *found = map_find(&m->m, m->hash(key), &key);
	assert_ptr_equal(found, m->in[key] ? &m->entries[key].node : NULL);
	if (found) {
		map_remove(&m->m, found);
		m->count--;
	} else {
		m->entries[key].key = key;
		assert_int_equal(map_insert(&m->m, &m->entries[key].node, m->hash(key)), ERR_OK);
		m->count++;
	}
	m->in[key] = !m->in[key];
}

static void run_model(uint64_t (*hash)(uint64_t), int steps)
{
	static struct model m;
	m = (struct model){.rng = 11, .hash = hash};
	map_init(&m.m, same_key);
	for (int i = 0; i < steps; i++) {
		step(&m);
		if (i % 1000 == 0)
			check_iteration(&m);
	}
	check_iteration(&m);
	map_done(&m.m);
}

static void test_against_model(void **state)
{
	run_model(hash_u64, STEPS);
}

static void test_collisions(void **state)
{
	run_model(bad_hash, STEPS / 20);
}

static void test_empty(void **state)
{
	struct map m;
	uint32_t key = 5;
	map_init(&m, same_key);
	assert_null(map_find(&m, 5, &key));
	assert_null(map_next(&m, NULL));
	map_done(&m);
	map_done(&m);
}

static void test_grows(void **state)
{
	static struct entry e[1000];
	struct map m;
	map_init(&m, same_key);
	for (uint32_t i = 0; i < ARRAY_LEN(e); i++) {
		e[i].key = i;
		assert_int_equal(map_insert(&m, &e[i].node, hash_u64(i)), ERR_OK);
	}
	assert_true(m.bucket_count >= ARRAY_LEN(e));
	map_done(&m);
}

static void test_remove_all_while_iterating(void **state)
{
	static struct entry e[100];
	struct map m;
	map_init(&m, same_key);
	for (uint32_t i = 0; i < ARRAY_LEN(e); i++)
		assert_int_equal(map_insert(&m, &e[i].node, bad_hash(i)), ERR_OK);
	MAP_EACH_SAFE (&m, it, tmp)
		map_remove(&m, it);
	assert_int_equal(m.count, 0);
	assert_null(map_next(&m, NULL));
	map_done(&m);
}

static void test_no_memory(void **state)
{
	static struct entry e[100];
	struct map m;
	map_init(&m, same_key);
	mem_fail_after(0);
	assert_int_equal(map_insert(&m, &e[0].node, 1), ERR_NOMEM);
	assert_int_equal(m.count, 0);
	assert_null(map_next(&m, NULL));
	for (uint32_t i = 0; i < ARRAY_LEN(e);
	     i++) { /* growing fails each time but the first: slower, still right */
		mem_fail_after(i == 0 ? SIZE_MAX : 0);
		e[i].key = i;
		assert_int_equal(map_insert(&m, &e[i].node, hash_u64(i)), ERR_OK);
	}
	mem_fail_after(SIZE_MAX);
	assert_true(m.bucket_count < ARRAY_LEN(e));
	for (uint32_t i = 0; i < ARRAY_LEN(e); i++)
		assert_ptr_equal(map_find(&m, hash_u64(i), &i), &e[i].node);
	map_done(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_collisions),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_remove_all_while_iterating),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
