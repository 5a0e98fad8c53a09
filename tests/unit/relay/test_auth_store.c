/* The credentials file on a disk that fails and loses power: the old file or the new one, never anything else. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "evio/sim.h"
#include "relay/auth/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static const struct verifier verifier = {.scram = {.iterations = 4096, .salt_len = 16}};

static void make_text(struct buf *out, unsigned servers)
{
	struct credential_table t;
	char name[16];

	credential_table_init(&t);
	for (unsigned i = 0; i < servers; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		assert_int_equal(credential_add(&t, slice_str(name), &verifier, 0, NULL, NULL), ERR_OK);
	}
	buf_init(out, AUTH_CREDENTIALS_FILE);
	assert_int_equal(credential_write(&t, out), ERR_OK);
	credential_table_done(&t);
}

/* How many servers the disk holds now. */
static size_t loaded(struct sim_disk *sd)
{
	struct disk disk = sim_disk_disk(sd);
	struct credential_table t;
	struct diag d;
	size_t n;

	credential_table_init(&t);
	assert_int_equal(store_load(&disk, &t, &d), ERR_OK);
	n = credential_count(&t);
	credential_table_done(&t);
	return n;
}

static void test_no_file_is_an_empty_table(void **state)
{
	struct sim_disk *sd = sim_disk_new(1, 1 << 20);

	assert_int_equal(loaded(sd), 0);
	sim_disk_free(sd);
}

static void test_saved_survives_and_cut_leaves_old_or_new(void **state)
{
	struct buf old, new;
	unsigned kept_old = 0, kept_new = 0;

	make_text(&old, 3);
	make_text(&new, 20);
	for (uint64_t cut = 1; cut < 8; cut++) {
		for (uint64_t seed = 0; seed < 60; seed++) {
			struct sim_disk *sd = sim_disk_new(seed, 1 << 20);
			struct disk disk = sim_disk_disk(sd);
			enum err e;
			size_t n;

			assert_int_equal(store_save(&disk, buf_slice(&old), NULL), ERR_OK);
			sim_disk_cut_at(sd, sim_disk_ops(sd) + cut);
			e = store_save(&disk, buf_slice(&new), NULL);
			sim_disk_reboot(sd, seed);
			n = loaded(sd);
			assert_true(n == 3 || n == 20);
			if (e == ERR_OK)
				assert_int_equal(n, 20);
			kept_old += n == 3;
			kept_new += e != ERR_OK && n == 20;
			sim_disk_free(sd);
		}
	}
	assert_true(kept_old > 50);
	assert_true(kept_new > 0); /* the renaming may have reached the disk before the cut was noticed */
	buf_done(&old);
	buf_done(&new);
}

static void test_failures_are_told_and_keep_the_old_file(void **state)
{
	static const struct {
		unsigned kind;
		int errnum;
		enum err expected;
	} cases[] = {
		{SIM_OPEN, EACCES, ERR_PERM},
		{SIM_WRITE, ENOSPC, ERR_NOSPACE},
		{SIM_SYNC, EIO, ERR_IO},
		{SIM_DIR, EIO, ERR_IO},
	};
	struct buf old, new;

	make_text(&old, 3);
	make_text(&new, 20);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sim_disk *sd = sim_disk_new(1, 1 << 20);
		struct disk disk = sim_disk_disk(sd);
		struct diag d;

		assert_int_equal(store_save(&disk, buf_slice(&old), NULL), ERR_OK);
		sim_disk_fail(sd, cases[i].kind, 1, cases[i].errnum, false);
		assert_int_equal(store_save(&disk, buf_slice(&new), &d), cases[i].expected);
		assert_non_null(strstr(d.text, STORE_FILE));
		assert_int_equal(loaded(sd), 3);
		assert_int_equal(store_save(&disk, buf_slice(&new), NULL), ERR_OK);
		assert_int_equal(loaded(sd), 20);
		sim_disk_free(sd);
	}
	buf_done(&old);
	buf_done(&new);
}

static void test_a_damaged_file_is_not_loaded(void **state)
{
	struct sim_disk *sd = sim_disk_new(1, 1 << 20);
	struct disk disk = sim_disk_disk(sd);
	struct credential_table t;
	struct buf text;
	struct diag d;

	make_text(&text, 3);
	assert_int_equal(store_save(&disk, buf_slice(&text), NULL), ERR_OK);
	assert_int_equal(sim_disk_damage(sd, STORE_FILE, 26, 0x80), 0);
	credential_table_init(&t);
	assert_int_equal(store_load(&disk, &t, &d), ERR_SYNTAX);
	assert_int_equal(strncmp(d.text, "credentials:2: ", 15), 0);
	credential_table_done(&t);
	buf_done(&text);
	sim_disk_free(sd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_file_is_an_empty_table),
		cmocka_unit_test(test_saved_survives_and_cut_leaves_old_or_new),
		cmocka_unit_test(test_failures_are_told_and_keep_the_old_file),
		cmocka_unit_test(test_a_damaged_file_is_not_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
