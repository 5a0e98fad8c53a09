/* The credentials file: written and read back, and every damage named with its line. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "auth/credential.h"
#include "core/mem.h"

#include <stdio.h>
#include <string.h>

#define HEAD "tidegate-credentials 1\n"
#define V                                                                                                    \
	"{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"         \
	"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define TIMES "created=2026-11-23T16:20:01Z rotated=2027-02-28T23:59:59Z"

static enum err parse(const char *text, struct diag *d)
{
	struct credential_table t;
	enum err e;

	credential_table_init(&t);
	e = credential_parse(&t, slice_str(text), "credentials", d);
	if (e)
		assert_int_equal(credential_count(&t), 0);
	credential_table_done(&t);
	return e;
}

static void test_written_and_read_back(void **state)
{
	static const char text[] = HEAD "alpha " V " " TIMES "\nbeta " V " " TIMES " disabled\n";
	struct credential_table t;
	struct credential *c;
	struct buf again;

	credential_table_init(&t);
	assert_int_equal(credential_parse(&t, slice_str(text), "f", NULL), ERR_OK);
	assert_int_equal(credential_count(&t), 2);
	c = credential_find(&t, SLICE_LIT("beta"));
	assert_true(c->disabled);
	assert_int_equal(c->created_ms, 1795450801000);
	assert_int_equal(c->rotated_ms, 1803859199000);
	assert_true(verifier_check(&c->verifier, SLICE_LIT("pencil")));
	buf_init(&again, AUTH_CREDENTIALS_FILE);
	assert_int_equal(credential_write(&t, &again), ERR_OK);
	assert_string_equal(buf_cstr(&again), text);
	buf_done(&again);
	credential_table_done(&t);
}

static void test_milliseconds_are_dropped_not_kept_half(void **state)
{
	struct credential_table t;
	struct credential *c;
	struct buf text;

	credential_table_init(&t);
	buf_init(&text, 4096);
	assert_int_equal(credential_add(&t, SLICE_LIT("a"),
					&(struct verifier){.scram = {.iterations = 4096, .salt_len = 8}},
					1795450801999, &c, NULL),
			 ERR_OK);
	assert_int_equal(credential_write(&t, &text), ERR_OK);
	assert_non_null(strstr(buf_cstr(&text), " created=2026-11-23T16:20:01Z "));
	buf_done(&text);
	credential_table_done(&t);
}

static void test_empty_file_forms(void **state)
{
	struct diag d;

	assert_int_equal(parse(HEAD, &d), ERR_OK);
	assert_int_equal(parse("", &d), ERR_SYNTAX);
	assert_int_equal(parse("tidegate-credentials 1", &d), ERR_SYNTAX); /* cut off */
	assert_int_equal(parse("tidegate-credentials 2\n", &d), ERR_UNSUPPORTED);
	assert_int_equal(parse("houston\n", &d), ERR_SYNTAX);
}

static void test_damage_is_named_with_its_line(void **state)
{
	static const struct {
		const char *line;
		enum err expected;
	} cases[] = {
		{"\n", ERR_SYNTAX},
		{"# remark\n", ERR_SYNTAX},
		{"b " V " " TIMES, ERR_SYNTAX},
		{"b " V " " TIMES "\r\n", ERR_SYNTAX},
		{"b " V " " TIMES " \n", ERR_SYNTAX},
		{"b " V " " TIMES " enabled\n", ERR_SYNTAX},
		{"b " V " " TIMES " disabled disabled\n", ERR_SYNTAX},
		{" b " V " " TIMES "\n", ERR_SYNTAX},
		{"b  " V " " TIMES "\n", ERR_SYNTAX},
		{"b\t" V " " TIMES "\n", ERR_SYNTAX},
		{"B " V " " TIMES "\n", ERR_RANGE},
		{"a " V " " TIMES "\n", ERR_EXISTS},
		{"b {CRYPT}x " TIMES "\n", ERR_UNSUPPORTED},
		{"b pencil " TIMES "\n", ERR_SYNTAX},
		{"b " V "\n", ERR_SYNTAX},
		{"b " V " created=2026-11-23T16:20:01Z\n", ERR_SYNTAX},
		{"b " V " rotated=2026-11-23T16:20:01Z created=2026-11-23T16:20:01Z\n", ERR_SYNTAX},
		{"b " V " created=2026-02-30T16:20:01Z rotated=2026-11-23T16:20:01Z\n", ERR_SYNTAX},
		{"b " V " created=2026-11-23T24:20:01Z rotated=2026-11-23T16:20:01Z\n", ERR_SYNTAX},
		{"b " V " created=2026-11-23 16:20:01Z rotated=2026-11-23T16:20:01Z\n", ERR_SYNTAX},
		{"b " V " created=1969-12-31T23:59:59Z rotated=2026-11-23T16:20:01Z\n", ERR_SYNTAX},
	};
	char text[1024];
	struct diag d;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		snprintf(text, sizeof(text), HEAD "a " V " " TIMES "\n%s", cases[i].line);
		assert_int_equal(parse(text, &d), cases[i].expected);
		assert_int_equal(strncmp(d.text, "credentials:3: ", 15), 0);
		/* The error comes back also when nobody wants words. */
		assert_int_equal(parse(text, NULL), cases[i].expected);
	}
}

static void test_long_lines_and_files(void **state)
{
	char line[AUTH_CREDENTIALS_LINE + 64], *big;
	struct credential_table t;
	struct diag d;

	snprintf(line, sizeof(line), HEAD "%0*d\n", AUTH_CREDENTIALS_LINE + 1, 0);
	assert_int_equal(parse(line, &d), ERR_LIMIT);
	big = mem_alloc(AUTH_CREDENTIALS_FILE + 1);
	credential_table_init(&t);
	assert_int_equal(credential_parse(&t, slice_of(big, AUTH_CREDENTIALS_FILE + 1), "f", &d), ERR_LIMIT);
	credential_table_done(&t);
	mem_free(big);
}

/* As many servers as there may be fit into the file that is read. */
static void test_the_largest_table_fits_its_file(void **state)
{
	struct credential_table t, again;
	struct verifier v = {.scram = {.iterations = SCRAM_ITERATIONS_MAX, .salt_len = SCRAM_SALT_DEFAULT}};
	struct buf text;
	char name[AUTH_NAME_MAX + 1];

	credential_table_init(&t);
	credential_table_init(&again);
	for (unsigned i = 0; i < AUTH_CREDENTIALS_MAX; i++) {
		struct credential *c;

		snprintf(name, sizeof(name), "%0*u", AUTH_NAME_MAX, i);
		assert_int_equal(credential_add(&t, slice_str(name), &v, 0, &c, NULL), ERR_OK);
		c->disabled = true;
	}
	buf_init(&text, AUTH_CREDENTIALS_FILE);
	assert_int_equal(credential_write(&t, &text), ERR_OK);
	assert_int_equal(credential_parse(&again, buf_slice(&text), "f", NULL), ERR_OK);
	assert_int_equal(credential_count(&again), AUTH_CREDENTIALS_MAX);
	buf_done(&text);
	credential_table_done(&t);
	credential_table_done(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written_and_read_back),
		cmocka_unit_test(test_milliseconds_are_dropped_not_kept_half),
		cmocka_unit_test(test_empty_file_forms),
		cmocka_unit_test(test_damage_is_named_with_its_line),
		cmocka_unit_test(test_long_lines_and_files),
		cmocka_unit_test(test_the_largest_table_fits_its_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
