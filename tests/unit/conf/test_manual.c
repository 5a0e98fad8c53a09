#include "conf_util.h"

#include "conf/schema.h"
#include "conf/show.h"

#include <stdio.h>
#include <string.h>

static struct buf manual(void)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	conf_show_manual(&b);
	assert_int_equal(b.failed, ERR_OK);
	return b;
}

/* Every key of the schema has an entry, in the part of its section. */
static void test_complete(void **state)
{
	struct buf b = manual();
	const char *at = buf_cstr(&b);
	char item[128];

	for (size_t i = 0; i < conf_schema_count; i++) {
		const struct conf_section *s = &conf_schema[i];
		snprintf(item, sizeof(item), "\n.Ss %s", *s->name ? s->name : "Outside of sections\n");
		at = strstr(at, item);
		assert_non_null(at);
		for (size_t k = 0; k < s->nfields; k++) {
			snprintf(item, sizeof(item), "\n.It Ic %s No", s->fields[k].key);
			at = strstr(at, item);
			assert_non_null(at);
		}
	}
	buf_done(&b);
}

/* A line that begins with a dot is a request, and only requests that we mean may stand there. */
static void test_requests(void **state)
{
	static const char *const known[] = {".\\\"", ".Dd ", ".Dt ", ".Os ", ".Sh ", ".Nm ", ".Nd ",
					    ".Bd ",  ".Ed",  ".Pp",  ".Bl ", ".El",  ".It ", ".Qq ",
					    ".Li ",  ".Ic ", ".Ss ", ".Pa ", ".Xr ", ".br"};
	struct buf b = manual();

	for (struct slice rest = buf_slice(&b); rest.ptr;) {
		struct slice line = slice_split(&rest, '\n');
		bool ok = line.len == 0 || (line.ptr[0] != '.' && line.ptr[0] != '\'');
		for (size_t i = 0; !ok && i < ARRAY_LEN(known); i++)
			ok = slice_starts(line, slice_str(known[i]));
		if (!ok)
			fail_msg("%.*s", SLICE_ARG(line));
	}
	buf_done(&b);
}

static void test_entry(void **state)
{
	struct buf b = manual();

	assert_non_null(strstr(buf_cstr(&b),
			       ".It Ic recipients No = Ar \"value\"\n"
			       "Recipients of one message.\nRFC 5321 asks for at least 100.\n"
			       ".br\nType: number, 100 to 50000.\nDefault: 500.\nExample: 1000.\n"
			       "Since 0.1.\n"));
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complete),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_entry),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
