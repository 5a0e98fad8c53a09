#include "tidegate/zones.h"

#include "../unit.h"
#include "core/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 16u

struct bench {
	char directory[64];
	char made[FILES_MAX][128]; /* files and directories in it, in the order of making */
	size_t count;
	struct zonedb *db;
	struct diag d;
};

static const char *path_in(struct bench *b, const char *name)
{
	assert_true(b->count < FILES_MAX);
	CLEANUP(buf_done) struct buf path;
	buf_init(&path, sizeof(b->made[0]));
	buf_printf(&path, "%s/%s", b->directory, name);
	memcpy(b->made[b->count], buf_cstr(&path), path.len + 1);
	return b->made[b->count++];
}

static const char *put(struct bench *b, const char *name, const char *text)
{
	const char *path = path_in(b, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
	return path;
}

static int set_up(void **state)
{
	static struct bench b;

	b = (struct bench){.directory = "/tmp/tidegate-test-XXXXXX"};
	*state = &b;
	return !mkdtemp(b.directory) || zonedb_new(&b.db) != ERR_OK ? -1 : 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	while (b->count > 0)
		remove(b->made[--b->count]);
	zonedb_free(b->db);
	return rmdir(b->directory);
}

static void load(struct bench *b, const char *path)
{
	if (cli_zones_load(b->db, path, &b->d) != ERR_OK)
		fail_msg("%s", b->d.text);
}

static bool has(struct bench *b, const char *name)
{
	struct dns_answer a;

	zonedb_answer(b->db, slice_str(name), DNS_A, &a);
	return a.status == DNS_OK;
}

static void test_file(void **state)
{
	struct bench *b = *state;

	load(b, put(b, "a.example.db", "@ A 192.0.2.1\n"));
	load(b, put(b, "b.example.ZONE", "x A 192.0.2.1\n"));
	load(b, put(b, "c.example", "x A 192.0.2.1\n"));
	assert_true(has(b, "a.example") && has(b, "x.b.example") && has(b, "x.c.example"));
	assert_int_equal(zonedb_count(b->db), 3);
}

static void test_directory(void **state)
{
	struct bench *b = *state;

	assert_int_equal(cli_zones_load(b->db, b->directory, &b->d), ERR_NOTFOUND);
	assert_non_null(strstr(b->d.text, ": no master file in it"));
	assert_int_equal(mkdir(path_in(b, "below.db"), 0700), 0);
	put(b, ".hidden", "(");
	put(b, "x~", "(");
	put(b, "x.jnl", "(");
	put(b, "one.example", "@ A 192.0.2.1\n");
	assert_int_equal(cli_zones_load(b->db, b->directory, &b->d), ERR_NOTFOUND); /* below.db is none */
	remove(b->made[0]);
	load(b, b->directory);
	assert_true(has(b, "one.example"));
	put(b, "two.example.db", "@ A 192.0.2.1\n");
	put(b, "readme", "This is no zone.\n");
	load(b, b->directory);
	assert_true(has(b, "two.example"));
}

static void test_include(void **state)
{
	struct bench *b = *state;

	assert_int_equal(mkdir(path_in(b, "sub"), 0700), 0);
	const char *top = put(b, "a.example.db", "$INCLUDE sub/one s\n@ A 192.0.2.1\n");
	put(b, "sub/one", "$INCLUDE two\n$INCLUDE three\none A 192.0.2.1\n");
	put(b, "sub/two", "two A 192.0.2.1\n");
	put(b, "three", "three A 192.0.2.1\n"); /* beside the first file */
	load(b, top);
	assert_true(has(b, "a.example") && has(b, "one.s.a.example") && has(b, "two.s.a.example") &&
		    has(b, "three.s.a.example"));
}

static void test_failures(void **state)
{
	struct bench *b = *state;

	assert_int_equal(cli_zones_load(b->db, "/nonexistent/x", &b->d), ERR_NOTFOUND);
	assert_string_equal(b->d.text, "/nonexistent/x: No such file or directory");
	assert_int_equal(cli_zones_load(b->db, put(b, "bad.db", "@ A x\n"), &b->d), ERR_SYNTAX);
	assert_non_null(strstr(b->d.text, "/bad.db:1:5: not an IPv4 address"));
	assert_int_equal(mkfifo(path_in(b, "fifo.db"), 0600), 0);
	assert_int_equal(cli_zones_load(b->db, b->made[b->count - 1], &b->d), ERR_IO);
	assert_non_null(strstr(b->d.text, ": not a file"));
	assert_int_equal(cli_zones_load(b->db, put(b, "i.db", "@ A 192.0.2.1\n$INCLUDE none\n"), &b->d),
			 ERR_NOTFOUND);
	assert_non_null(strstr(b->d.text, "/i.db:2:10: "));
	assert_non_null(strstr(b->d.text, "/none: No such file"));
	assert_int_equal(cli_zones_load(b->db, put(b, "n.db", "$INCLUDE a\\000b\n"), &b->d), ERR_SYNTAX);
	assert_int_equal(zonedb_stat(b->db).records, 0);
}

static void test_no_memory(void **state)
{
	struct bench *b = *state;
	enum err e = ERR_NOMEM;

	put(b, "one", "x A 192.0.2.1\n");
	const char *top = put(b, "a.example.db", "$INCLUDE one s\n");
	for (size_t n = 0; e; n++) {
		mem_fail_after(n);
		e = cli_zones_load(b->db, top, &b->d);
		mem_fail_after(SIZE_MAX);
		assert_true(e == ERR_OK || e == ERR_NOMEM || e == ERR_LIMIT);
		assert_true(n < 50);
		if (e) {
			zonedb_free(b->db);
			assert_int_equal(zonedb_new(&b->db), ERR_OK);
		}
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {TEST(test_file), TEST(test_directory), TEST(test_include),
					   TEST(test_failures), TEST(test_no_memory)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
