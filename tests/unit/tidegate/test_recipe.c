#include "tidegate/recipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct recipe starttls = {SLICE_LIT("houston"), SLICE_LIT("aB3$^'x"),
				       SLICE_LIT("relay.example.net"), 587, false};
static const struct recipe implicit = {SLICE_LIT("houston"), SLICE_LIT("secret"),
				       SLICE_LIT("relay.example.net"), 465, true};

static void quoted(void (*quote)(struct buf *, struct slice), const char *in, const char *out)
{
	struct buf b;

	buf_init(&b, 256);
	quote(&b, slice_str(in));
	assert_string_equal(buf_cstr(&b), out);
	buf_done(&b);
}

static void test_quoting(void **state)
{
	quoted(recipe_shell_quote, "a b", "'a b'");
	quoted(recipe_shell_quote, "a'b$`", "'a'\\''b$`'");
	quoted(recipe_exim_quote, "plain", "plain");
	quoted(recipe_exim_quote, "a^b:c$d\\e", "a^^b::c\\$d\\\\e");
}

static void has(void (*make)(const struct recipe *, struct buf *), const struct recipe *r, const char *piece,
		bool wanted)
{
	struct buf b;

	buf_init(&b, 65536);
	make(r, &b);
	assert_int_equal(b.failed, ERR_OK);
	if ((strstr(buf_cstr(&b), piece) != NULL) != wanted)
		fail_msg("%s\n%s", piece, buf_cstr(&b));
	buf_done(&b);
}

static void test_exim(void **state)
{
	static const char *const pieces[] = {
		"    tidegate:\n      driver = manualroute\n      domains = ! +local_domains\n"
		"      transport = tidegate_smtp\n      route_list = * relay.example.net\n",
		"    tidegate_smtp:\n      driver = smtp\n      port = 587\n",
		"      hosts_require_tls = *\n      hosts_require_auth = *\n      tls_verify_certificates = "
		"system\n"
		"      tls_verify_hosts = *\n",
		"      client_condition = ${if and {{eq{$host}{relay.example.net}}{def:tls_out_cipher}}}\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		has(recipe_exim_debian, &starttls, pieces[i], true);
		has(recipe_exim_cpanel, &starttls, pieces[i], true);
	}
	has(recipe_exim_debian, &starttls,
	    "install -m 0400 -o Debian-exim /dev/null /etc/exim4/tidegate.password\n", true);
	has(recipe_exim_debian, &starttls, "printf '%s\\n' 'aB3$^^'\\''x' > /etc/exim4/tidegate.password\n",
	    true);
	has(recipe_exim_debian, &starttls,
	    "client_send = ^houston^${readfile{/etc/exim4/tidegate.password}{}}\n", true);
	has(recipe_exim_debian, &starttls, "smtps", false);
	has(recipe_exim_cpanel, &implicit, "      port = 465\n      protocol = smtps\n", true);
	has(recipe_exim_cpanel, &implicit, "-o mailnull ", true);
	has(recipe_exim_cpanel, &implicit,
	    "client_send = ^houston^${readfile{/etc/exim.tidegate.password}{}}\n", true);
}

static void test_postfix(void **state)
{
	has(recipe_postfix, &starttls,
	    "'[relay.example.net]:587 houston:aB3$^'\\''x' > /etc/postfix/tidegate_password\n", true);
	has(recipe_postfix, &starttls, "postconf -e 'relayhost = [relay.example.net]:587' \\\n", true);
	has(recipe_postfix, &starttls, "smtp_tls_security_level = secure", true);
	has(recipe_postfix, &starttls, "wrappermode", false);
	has(recipe_postfix, &implicit, "'smtp_tls_wrappermode = yes'", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quoting),
		cmocka_unit_test(test_exim),
		cmocka_unit_test(test_postfix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
