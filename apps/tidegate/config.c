/* `tidegate config`: done here, without the daemon. */
#include "conf/conf.h"
#include "conf/show.h"
#include "tidegate/cli.h"

#include <errno.h>
#include <unistd.h>

#define SHOW_MAX (4u * 1024 * 1024)

/* The file that is named, else the usual one if it is there, else the embedded defaults. */
static enum err load(const struct cli *c, struct conf **ret, struct diag *d)
{
	if (c->config)
		return conf_load(c->config, ret, d);
	if (access(CLI_CONFIG, F_OK) < 0 && errno == ENOENT)
		return conf_load(NULL, ret, d);
	return conf_load(CLI_CONFIG, ret, d);
}

static enum err render(const struct cli *c, struct buf *out, struct diag *d)
{
	struct conf *conf;
	enum err e;

	if (c->manual) {
		conf_show_manual(out);
	} else if (c->defaults) {
		conf_show_defaults(out);
	} else {
		e = load(c, &conf, d);
		if (e < 0)
			return e;
		conf_show(conf, out);
		conf_unref(conf);
	}
	return out->failed ? diag_set(d, out->failed, "the configuration is too large to be shown") : ERR_OK;
}

enum cli_exit cli_config_show(const struct cli *c)
{
	struct buf out CLEANUP(buf_done) = {0};
	struct diag d = {0};

	buf_init(&out, SHOW_MAX);
	if (render(c, &out, &d) < 0) {
		cli_complain("%s", d.text);
		return CLI_FAILED;
	}
	return cli_print(buf_slice(&out)) ? CLI_OK : CLI_FAILED;
}

enum cli_exit cli_config_check(const struct cli *c)
{
	struct buf out CLEANUP(buf_done) = {0};
	struct conf *conf = NULL;
	struct diag d = {0};
	enum err e = conf_load(c->args[0], &conf, &d);

	if (e == ERR_OK)
		e = conf_check_paths(conf, &d);
	conf_unref(conf);
	if (e < 0) {
		cli_complain("%s", d.text);
		return CLI_FAILED;
	}
	buf_init(&out, 8192);
	buf_printf(&out, "%s: ok\n", c->args[0]);
	return cli_print(buf_slice(&out)) ? CLI_OK : CLI_FAILED;
}
