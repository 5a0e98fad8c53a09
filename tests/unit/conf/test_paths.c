#include "conf_util.h"

#include "core/buf.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/tidegate-test-XXXXXX";
static const char *const names[] = {"cert", "key", "password"};

static void path_of(const char *name, char ret[128])
{
	snprintf(ret, 128, "%s/%s", directory, name);
}

static int set_up(void **state)
{
	char path[128];

	if (!mkdtemp(directory))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		path_of(names[i], path);
		FILE *f = fopen(path, "w");
		if (!f)
			return -1;
		fclose(f);
		chmod(path, 0600);
	}
	return 0;
}

static int tear_down(void **state)
{
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		path_of(names[i], path);
		unlink(path);
	}
	return rmdir(directory);
}

/* A good configuration with `more` behind it; %D stands for the directory. */
static struct conf *configured(const char *more)
{
	struct passwd *me = getpwuid(getuid());
	struct buf text;
	struct conf *c;

	buf_init(&text, 8192);
	buf_printf(&text, "user = \"%s\"\ncontrol_socket = \"%s/control\"\n", me ? me->pw_name : "root",
		   directory);
	for (; *more; more++) {
		if (more[0] == '%' && more[1] == 'D') {
			buf_add_str(&text, directory);
			more++;
		} else {
			buf_add_char(&text, *more);
		}
	}
	c = load_ok(buf_cstr(&text));
	buf_done(&text);
	return c;
}

#define GOOD "state_directory = \"%D\"\ntls { certificate = \"%D/cert\" key = \"%D/key\" }\n"

static void test_good(void **state)
{
	struct conf *c = configured(GOOD);
	struct diag d = {0};

	if (conf_check_paths(c, &d) < 0)
		fail_msg("%s", d.text);
	assert_int_equal(conf_check_paths(c, NULL), ERR_OK);
	conf_unref(c);
}

/* `words` follow "t.conf:<line>: ". */
static void refused(const char *more, unsigned line, enum err code, const char *words)
{
	struct conf *c = configured(more);
	struct diag d = {0};
	struct buf wanted;

	buf_init(&wanted, 1024);
	buf_printf(&wanted, "t.conf:%u: ", line);
	for (; *words; words++) {
		if (words[0] == '%') {
			buf_add_str(&wanted, directory);
			words++;
		} else {
			buf_add_char(&wanted, *words);
		}
	}
	assert_int_equal(conf_check_paths(c, &d), code);
	assert_string_equal(d.text, buf_cstr(&wanted));
	buf_done(&wanted);
	conf_unref(c);
}

static void test_missing(void **state)
{
	/* the last part may be missing: tidegated makes it */
	refused("state_directory = \"%D/none/state\"", 3, ERR_NOTFOUND,
		"state_directory: %D/none: No such file or directory");
	refused("state_directory = \"%D/cert\"", 3, ERR_IO, "state_directory: %D/cert: not a directory");
	refused("state_directory = \"%D\"\n\ntls { certificate = \"%D/none\" }", 5, ERR_NOTFOUND,
		"tls.certificate: %D/none: No such file or directory");
	refused("state_directory = \"%D\" tls { certificate = \"%D\" }", 3, ERR_IO,
		"tls.certificate: %D: not a file");
	refused(GOOD "log { sink = file file = \"/nonexistent/log\" }", 5, ERR_NOTFOUND,
		"log.file: /nonexistent: No such file or directory");
	refused(GOOD "resolver {\n trust_anchor = \"%D/none\" }", 6, ERR_NOTFOUND,
		"resolver.trust_anchor: %D/none: No such file or directory");
	refused(GOOD "route \"*\" { via = \"h:25\" tls = verify auth_user = u\n auth_password_file = "
		     "\"%D/none\" }",
		6, ERR_NOTFOUND, "route \"*\": auth_password_file: %D/none: No such file or directory");
}

static void test_secret(void **state)
{
	char path[128];

	path_of("key", path);
	chmod(path, 0644);
	refused(GOOD, 4, ERR_PERM, "tls.key: %D/key: others can read or write it; chmod o-rwx");
	chmod(path, 0600);
}

/* Without a TLS listener nobody needs the certificate. */
static void test_no_tls(void **state)
{
	struct conf *c = configured("state_directory = \"%D\" tls { certificate = \"/none\" }\n"
				    "listener a { address = \"127.0.0.1:25\" tls = none }");

	assert_int_equal(conf_check_paths(c, NULL), ERR_OK);
	conf_unref(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_secret),
		cmocka_unit_test(test_no_tls),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
