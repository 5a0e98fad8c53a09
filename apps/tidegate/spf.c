/* `tidegate spf`: what receivers say about a sender, and a domain's record as a whole. Asks DNS, not the daemon. */
#include "tidegate/cli.h"
#include "tidegate/cli_dns.h"
#include "tidegate/spf_show.h"

#include <time.h>

#define OUTPUT_MAX (16u * 1024 * 1024)
#define SENDER_MAX (SPF_INPUT_MAX + 16u)

static enum cli_exit fail(enum err e, const struct diag *d)
{
	cli_complain("%s", d->text[0] ? d->text : err_name(e));
	return CLI_FAILED;
}

static enum cli_exit print(enum err e, const struct buf *out)
{
	struct diag d = {0};

	if (!e)
		e = out->failed;
	if (e)
		return fail(e, &d);
	return cli_print(buf_slice(out)) ? CLI_OK : CLI_FAILED;
}

/* ---- spf check ---- */

/* HELO is the domain unless it is given, the sender postmaster of it. */
static enum err make_request(const struct cli *c, struct spf_request *r, struct buf *sender, struct diag *d)
{
	struct slice domain = slice_str(c->args[1]);

	if (spf_addr_parse(slice_str(c->args[0]), &r->ip) != ERR_OK)
		return diag_set(d, ERR_SYNTAX, "\"%s\" is not an address", c->args[0]);
	if (c->sender)
		buf_add_str(sender, c->sender);
	else
		buf_printf(sender, "postmaster@%s", c->args[1]);
	if (sender->failed || domain.len > SPF_INPUT_MAX)
		return diag_set(d, ERR_LIMIT, "a name longer than %u octets", SPF_INPUT_MAX);
	r->sender = buf_slice(sender);
	r->domain = domain;
	r->helo = c->helo ? slice_str(c->helo) : domain;
	r->now_s = (int64_t)time(NULL);
	r->trace = c->explain;
	return ERR_OK;
}

static enum err evaluate(const struct cli *c, const struct spf_request *r, struct spf_eval *e, struct diag *d)
{
	struct cli_dns *dns = NULL;
	enum err err = cli_dns_open(c, &dns, d);

	if (err)
		return err;
	spf_eval_start(e, r);
	struct spf_machine m = spf_eval_machine(e);
	err = cli_dns_run(dns, &m, d);
	cli_dns_close(dns);
	return err;
}

static enum cli_exit show_verdict(const struct cli *c, const struct spf_request *r,
				  const struct spf_verdict *v)
{
	const struct spf_subject s = {.ip = r->ip, .sender = r->sender, .helo = r->helo, .trace = c->explain};
	CLEANUP(buf_done) struct buf out;
	enum err e = ERR_OK;

	buf_init(&out, OUTPUT_MAX);
	if (c->json)
		e = spf_json_verdict(&s, v, &out);
	else
		spf_show_verdict(&s, v, &out);
	return print(e, &out);
}

enum cli_exit cli_spf_check(const struct cli *c)
{
	CLEANUP(buf_done) struct buf sender;
	struct spf_request r = {0};
	struct spf_eval *e = NULL;
	struct diag d = {0};
	enum cli_exit rc;

	buf_init(&sender, SENDER_MAX);
	enum err err = make_request(c, &r, &sender, &d);
	if (err) {
		(void)fail(err, &d);
		return CLI_USAGE;
	}
	err = spf_eval_new(&e);
	if (!err)
		err = evaluate(c, &r, e, &d);
	rc = err ? fail(err, &d) : show_verdict(c, &r, spf_eval_verdict(e));
	spf_eval_free(e);
	return rc;
}

/* ---- spf show ---- */

static enum spf_step step_tree(void *self, const struct dns_answer *answer, struct spf_question *ret)
{
	return spf_tree_step(self, answer, ret);
}

static enum err walk(const struct cli *c, struct slice domain, struct spf_tree *t, struct diag *d)
{
	const struct spf_machine m = {.self = t, .step = step_tree};
	struct cli_dns *dns = NULL;
	enum err e = cli_dns_open(c, &dns, d);

	if (e)
		return e;
	spf_tree_start(t, domain);
	e = cli_dns_run(dns, &m, d);
	cli_dns_close(dns);
	return e;
}

static enum cli_exit show_tree(const struct cli *c, struct slice domain, const struct spf_tree *t)
{
	CLEANUP(buf_done) struct buf out;
	enum err e = ERR_OK;

	buf_init(&out, OUTPUT_MAX);
	if (c->json)
		e = spf_json_tree(t, domain, &out);
	else
		spf_show_tree(t, domain, &out);
	return print(e, &out);
}

enum cli_exit cli_spf_show(const struct cli *c)
{
	struct slice domain = slice_str(c->args[0]);
	struct spf_tree *t = NULL;
	struct diag d = {0};
	enum err e = spf_tree_new(&t);

	if (!e)
		e = walk(c, domain, t, &d);
	enum cli_exit rc = e ? fail(e, &d) : show_tree(c, domain, t);
	spf_tree_free(t);
	return rc;
}
