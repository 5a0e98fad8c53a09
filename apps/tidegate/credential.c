/* `tidegate server add` and `rotate`: a new password, and what to paste on the hosting server. */
#include "tidegate/recipe.h"
#include "tidegate/remote.h"

static struct slice text_of(const struct remote_answer *a, const char *key)
{
	struct ctl_field f;

	return render_first(&a->rows, CTL_T_CREDENTIAL, key, &f) && f.kind == CTL_TEXT ? f.v.text
										       : SLICE_EMPTY;
}

static struct recipe recipe_of(const struct remote_answer *a)
{
	struct ctl_field f;
	struct recipe r = {.name = text_of(a, "name"),
			   .password = text_of(a, "password"),
			   .hostname = text_of(a, "hostname"),
			   .implicit_tls = slice_eq_str(text_of(a, "tls"), "implicit")};

	if (render_first(&a->rows, CTL_T_CREDENTIAL, "port", &f) && f.kind == CTL_U64 &&
	    f.v.u64 <= UINT16_MAX)
		r.port = (uint16_t)f.v.u64;
	return r;
}

static void add_heading(struct buf *out, const char *text)
{
	buf_printf(out, "\n--- %s ---\n\n", text);
}

static void explain(const struct cli *c, const struct recipe *r, struct buf *out)
{
	bool rotated = c->command->verb == CTL_SERVER_ROTATE;

	buf_printf(out, "%.*s %s. The password is shown this once only:\n\n    %.*s\n", SLICE_ARG(r->name),
		   rotated ? "has a new password; the old one is no longer valid" : "may submit mail now",
		   SLICE_ARG(r->password));
	if (r->port == 0) {
		buf_add_str(out, "\nThe relay has no listener with TLS and authentication: hosting servers "
				 "cannot reach it.\n"
				 "Add one to the configuration; see tidegated.conf(5).\n");
		return;
	}
	add_heading(out, "Exim 4 on Debian and Ubuntu");
	recipe_exim_debian(r, out);
	add_heading(out, "Exim 4 under cPanel");
	recipe_exim_cpanel(r, out);
	add_heading(out, "Postfix");
	recipe_postfix(r, out);
}

static enum cli_exit show(const struct cli *c, const struct remote_answer *a)
{
	struct buf out CLEANUP(buf_done) = {0};
	struct recipe r = recipe_of(a);

	if (c->json)
		return remote_show(c, a);
	if (r.name.len == 0 || r.password.len == 0) {
		cli_complain("tidegated gave no credential; use `tidegate server rotate` for a new password");
		return CLI_FAILED;
	}
	buf_init(&out, 65536);
	explain(c, &r, &out);
	return cli_print(buf_slice(&out)) ? CLI_OK : CLI_FAILED;
}

enum cli_exit cli_credential(const struct cli *c)
{
	struct remote_answer a;
	struct diag d = {0};
	enum cli_exit exit_status = remote_ask(c, &a, &d);

	if (exit_status != CLI_OK)
		cli_complain("%s", d.text);
	else
		exit_status = remote_result(&a);
	if (exit_status == CLI_OK)
		exit_status = show(c, &a);
	remote_done(&a);
	return exit_status;
}
