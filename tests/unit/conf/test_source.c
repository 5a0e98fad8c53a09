#include "conf_util.h"

#include "conf/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What libconfuse gets to see. */
static void cleaned(const char *in, const char *out)
{
	struct conf_source s;
	struct diag d = {0};

	conf_source_init(&s);
	if (conf_source_text(&s, slice_str(in), "t.conf", &d) < 0)
		fail_msg("%s", d.text);
	assert_string_equal(buf_cstr(&s.text), out);
	conf_source_done(&s);
}

static void refused(const char *in, const char *words)
{
	struct conf_source s;
	struct diag d = {0};

	conf_source_init(&s);
	assert_true(conf_source_text(&s, slice_str(in), "t.conf", &d) < 0);
	assert_string_equal(d.text, words);
	conf_source_done(&s);
}

static void test_comments(void **state)
{
	cleaned("a = b # c = d\n", "a = b \n\n");
	cleaned("a = b // c", "a = b \n");
	cleaned("a /* x\n y */ = b", "a \n = b\n");
	cleaned("p = /a/b#c", "p = /a/b\n");
	refused("a\n/* b\nc", "t.conf:2: this comment has no end");
}

static void test_strings(void **state)
{
	cleaned("a = \"b \\\" \\\\ # c\"", "a = \"b \\\" \\\\ # c\"\n");
	cleaned("a = 'b \\ \" ${x}'", "a = \"b \\\\ \\\" \\${x}\"\n");
	cleaned("a = \"$ 5\"", "a = \"\\$ 5\"\n");
	cleaned("a = \"\\${x}\"", "a = \"\\${x}\"\n");
	refused("a = \"b", "t.conf:1: a quoted text is not closed on its line");
	refused("\na = 'b\n'", "t.conf:2: a quoted text is not closed on its line");
	refused("a = \"\\x41\"", "t.conf:1: only \\\", \\\\ and \\$ are known behind a backslash");
	refused("a = \"b\tc\"", "t.conf:1: a quoted text holds a control character");
	refused("a = \"${HOME}\"",
		"t.conf:1: environment variables are not expanded; put a text with ${ in single quotes");
	refused("\na = ${HOME}",
		"t.conf:2: environment variables are not expanded; put a text with ${ in single quotes");
	refused("\"a\" = b", "t.conf:1: a key is written without quotes");
	refused("\"a\"/**/ = b", "t.conf:1: a key is written without quotes");
}

static void test_characters(void **state)
{
	cleaned("a=b\r\nc={d , e}\n", "a=b \nc={d , e}\n\n");
	refused("a | b", "t.conf:1: text other than plain words needs quotes, found |");
	refused("a = b;", "t.conf:1: text other than plain words needs quotes, found ;");
	refused("a += b", "t.conf:1: text other than plain words needs quotes, found +");
	refused("a = \xc3\xbc",
		"t.conf:1: an unexpected character; text other than plain words needs quotes");
	refused("a\rb", "t.conf:1: an unexpected character; text other than plain words needs quotes");
}

static void test_nul(void **state)
{
	struct conf_source s;
	struct diag d = {0};

	conf_source_init(&s);
	assert_int_equal(conf_source_text(&s, slice_of("a = \"b\0c\"", 9), "t.conf", &d), ERR_SYNTAX);
	assert_int_equal(conf_source_text(&s, slice_of("a \0", 3), "t.conf", &d), ERR_SYNTAX);
	conf_source_done(&s);
}

static void test_braces(void **state)
{
	refused("a {\n b {\n}\n", "t.conf:2: a brace is opened here or before, and not closed in this file");
	refused("a { }\n}\n", "t.conf:2: a closing brace without an opening one");
	cleaned("a { # }\n }", "a { \n }\n");
}

/* --- includes --------------------------------------------------------------------------------------------- */

static char directory[] = "/tmp/tidegate-test-XXXXXX";

static int make_directory(void **state)
{
	return mkdtemp(directory) ? 0 : -1;
}

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int remove_directory(void **state)
{
	static const char *const names[] = {"top", "inner", "loop", "bad"};
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	return rmdir(directory);
}

static enum err read_top(struct conf_source *s, struct diag *d)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/top", directory);
	conf_source_init(s);
	return conf_source_file(s, path, d);
}

static void assert_where(const struct conf_source *s, unsigned text_line, const char *name, unsigned line)
{
	const char *file;
	unsigned got;

	conf_source_where(s, text_line, &file, &got);
	assert_string_equal(strrchr(file, '/') + 1, name);
	assert_int_equal(got, line);
}

static void test_include(void **state)
{
	struct conf_source s;
	struct diag d = {0};

	write_file("top", "a = 1\ninclude( 'inner' ) b = 2\nc = 3\n");
	write_file("inner", "# first\nx = y\n");
	assert_int_equal(read_top(&s, &d), ERR_OK);
	assert_string_equal(buf_cstr(&s.text), "a = 1\n\n\nx = y\n\n b = 2\nc = 3\n\n");
	assert_where(&s, 1, "top", 1);
	assert_where(&s, 2, "top", 2);
	assert_where(&s, 3, "inner", 1);
	assert_where(&s, 4, "inner", 2);
	assert_where(&s, 6, "top", 2);
	assert_where(&s, 7, "top", 3);
	conf_source_done(&s);
}

/* In the words @ stands for the directory. */
static void refused_top(const char *top, enum err code, const char *words)
{
	struct conf_source s;
	struct diag d = {0};
	struct buf wanted;

	buf_init(&wanted, 1024);
	for (; *words; words++) {
		if (*words == '@')
			buf_add_str(&wanted, directory);
		else
			buf_add_char(&wanted, *words);
	}
	write_file("top", top);
	assert_int_equal(read_top(&s, &d), code);
	assert_string_equal(d.text, buf_cstr(&wanted));
	assert_true(s.nfiles <= CONF_INCLUDE_DEPTH);
	buf_done(&wanted);
	conf_source_done(&s);
}

static void test_bad_include(void **state)
{
	write_file("loop", "include(\"loop\")\n");
	write_file("bad", "ok = 1\nx = ;\n");
	refused_top("\ninclude(\"none\")", ERR_NOTFOUND, "@/top:2: @/none: No such file or directory");
	refused_top("include(\"/\")", ERR_IO, "@/top:1: /: not a regular file");
	refused_top("include(\"loop\")", ERR_LIMIT, "@/loop:1: files include each other too deeply: @/loop");
	refused_top("include(\"bad\")", ERR_SYNTAX,
		    "@/bad:2: text other than plain words needs quotes, found ;");
	refused_top("include = 3", ERR_SYNTAX, "@/top:1: an include is written include(\"file\")");
	refused_top("include(file)", ERR_SYNTAX, "@/top:1: an include is written include(\"file\")");
	refused_top("include(\"\")", ERR_SYNTAX, "@/top:1: an include is written include(\"file\")");
}

static void test_too_many(void **state)
{
	struct conf_source s;
	struct diag d = {0};
	char top[CONF_INCLUDES_MAX * 20 + 1];
	size_t n = 0;

	for (unsigned i = 0; i < CONF_INCLUDES_MAX; i++)
		n += (size_t)snprintf(top + n, sizeof(top) - n, "include('inner')\n");
	write_file("top", top);
	assert_int_equal(read_top(&s, &d), ERR_LIMIT);
	conf_source_done(&s);
}

static void test_large(void **state)
{
	struct conf_source s;
	struct diag d = {0};
	char path[128];

	write_file("top", "a = 1\n");
	snprintf(path, sizeof(path), "%s/top", directory);
	assert_int_equal(truncate(path, CONF_FILE_MAX + 1), 0);
	assert_int_equal(read_top(&s, &d), ERR_LIMIT);
	conf_source_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comments),    cmocka_unit_test(test_strings),
		cmocka_unit_test(test_characters),  cmocka_unit_test(test_nul),
		cmocka_unit_test(test_braces),      cmocka_unit_test(test_include),
		cmocka_unit_test(test_bad_include), cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_large),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
