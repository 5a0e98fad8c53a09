#include "tidegate/recipe.h"

void recipe_shell_quote(struct buf *out, struct slice text)
{
	buf_add_char(out, '\'');
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '\'')
			buf_add_str(out, "'\\''");
		else
			buf_add_char(out, text.ptr[i]);
	}
	buf_add_char(out, '\'');
}

void recipe_exim_quote(struct buf *out, struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (c == '^' || c == ':')
			buf_add_char(out, c);
		else if (c == '$' || c == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, c);
	}
}

/* --- Exim ------------------------------------------------------------------------------------------------- */

/* The password file holds the text behind the second "^" of client_send: read after the list is split and the
 * string is expanded, so only "^" keeps its meaning in it. */
static void exim_password_file(const struct recipe *r, const char *path, const char *owner, struct buf *out)
{
	struct buf text CLEANUP(buf_done) = {0};

	buf_init(&text, 4096);
	for (size_t i = 0; i < r->password.len; i++) {
		if (r->password.ptr[i] == '^')
			buf_add_char(&text, '^');
		buf_add_char(&text, r->password.ptr[i]);
	}
	buf_printf(out, "    install -m 0400 -o %s /dev/null %s\n", owner, path);
	buf_add_str(out, "    printf '%s\\n' ");
	recipe_shell_quote(out, buf_slice(&text));
	buf_printf(out, " > %s\n", path);
}

static void exim_router(const struct recipe *r, struct buf *out)
{
	buf_add_str(out, "    tidegate:\n"
			 "      driver = manualroute\n"
			 "      domains = ! +local_domains\n"
			 "      transport = tidegate_smtp\n");
	buf_printf(out, "      route_list = * %.*s\n", SLICE_ARG(r->hostname));
	buf_add_str(out, "      host_find_failed = defer\n"
			 "      no_more\n");
}

static void exim_transport(const struct recipe *r, struct buf *out)
{
	buf_add_str(out, "    tidegate_smtp:\n"
			 "      driver = smtp\n");
	buf_printf(out, "      port = %u\n", r->port);
	if (r->implicit_tls)
		buf_add_str(out, "      protocol = smtps\n");
	buf_printf(out, "      tls_sni = %.*s\n", SLICE_ARG(r->hostname));
	buf_add_str(out, "      hosts_require_tls = *\n"
			 "      hosts_require_auth = *\n"
			 "      tls_verify_certificates = system\n"
			 "      tls_verify_hosts = *\n"
			 "      tls_verify_cert_hostnames = *\n");
}

/* Only for this relay, so that Exim's other client authenticators stay as they are. */
static void exim_authenticator(const struct recipe *r, const char *path, struct buf *out)
{
	buf_add_str(out, "    tidegate_plain:\n"
			 "      driver = plaintext\n"
			 "      public_name = PLAIN\n");
	buf_printf(out, "      client_condition = ${if and {{eq{$host}{%.*s}}{def:tls_out_cipher}}}\n",
		   SLICE_ARG(r->hostname));
	buf_add_str(out, "      client_send = ^");
	recipe_exim_quote(out, r->name);
	buf_printf(out, "^${readfile{%s}{}}\n", path);
}

void recipe_exim_debian(const struct recipe *r, struct buf *out)
{
	static const char path[] = "/etc/exim4/tidegate.password";

	buf_add_str(out,
		    "The password, readable by Exim only (customers can read Exim's configuration):\n\n");
	exim_password_file(r, path, "Debian-exim", out);
	buf_add_str(out,
		    "\nIn the routers, before any that delivers to other hosts. With split configuration\n"
		    "/etc/exim4/conf.d/router/150_tidegate, else in /etc/exim4/exim4.conf.template:\n\n");
	exim_router(r, out);
	buf_add_str(out, "\nIn the transports (conf.d/transport/20_tidegate):\n\n");
	exim_transport(r, out);
	buf_add_str(out, "\nIn the authenticators (conf.d/auth/10_tidegate):\n\n");
	exim_authenticator(r, path, out);
	buf_add_str(out, "\nThen:\n\n    update-exim4.conf && systemctl reload exim4\n");
}

void recipe_exim_cpanel(const struct recipe *r, struct buf *out)
{
	static const char path[] = "/etc/exim.tidegate.password";

	buf_add_str(out,
		    "The password, readable by Exim only (customers can read Exim's configuration):\n\n");
	exim_password_file(r, path, "mailnull", out);
	buf_add_str(out, "\nIn WHM, Exim Configuration Manager, Advanced Editor. Section POSTMAILCOUNT, so "
			 "that cPanel's\n"
			 "own limits still count:\n\n");
	exim_router(r, out);
	buf_add_str(out, "\nSection TRANSPORTSTART:\n\n");
	exim_transport(r, out);
	buf_add_str(out, "\nSection AUTH:\n\n");
	exim_authenticator(r, path, out);
	buf_add_str(out, "\nThen save; WHM checks the configuration and restarts Exim.\n");
}

/* --- Postfix ---------------------------------------------------------------------------------------------- */

void recipe_postfix(const struct recipe *r, struct buf *out)
{
	struct buf entry CLEANUP(buf_done) = {0};

	buf_init(&entry, 4096);
	buf_printf(&entry, "[%.*s]:%u %.*s:%.*s", SLICE_ARG(r->hostname), r->port, SLICE_ARG(r->name),
		   SLICE_ARG(r->password));
	buf_add_str(out, "    install -m 0600 /dev/null /etc/postfix/tidegate_password\n"
			 "    printf '%s\\n' ");
	recipe_shell_quote(out, buf_slice(&entry));
	buf_add_str(out, " > /etc/postfix/tidegate_password\n"
			 "    postmap hash:/etc/postfix/tidegate_password\n");
	buf_printf(out, "    postconf -e 'relayhost = [%.*s]:%u' \\\n", SLICE_ARG(r->hostname), r->port);
	buf_add_str(out, "      'smtp_tls_security_level = secure' \\\n");
	if (r->implicit_tls)
		buf_add_str(out, "      'smtp_tls_wrappermode = yes' \\\n");
	buf_add_str(out, "      'smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt' \\\n"
			 "      'smtp_sasl_auth_enable = yes' \\\n"
			 "      'smtp_sasl_tls_security_options = noanonymous' \\\n"
			 "      'smtp_sasl_password_maps = hash:/etc/postfix/tidegate_password'\n"
			 "    postfix reload\n"
			 "\nOn Debian the package libsasl2-modules is needed; elsewhere the CA file may have "
			 "another name.\n");
}
