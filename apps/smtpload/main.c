#include "load.h"

#include "core/mem.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* One descriptor per connection, and a few. */
static void raise_descriptors(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	r.rlim_cur = r.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &r); /* too few show as failed connections */
}

static void on_signal(void *ctx, int signo)
{
	load_stop(ctx);
}

static enum err run(const struct load_options *o, struct loop *loop, bool *ret_succeeded, struct diag *d)
{
	struct load *load = NEW(struct load);
	if (!load)
		return ERR_NOMEM;
	enum err e = load_init(load, o, loop, d);
	load->terminal = isatty(STDERR_FILENO);
	if (!e)
		e = loop_signal(loop, SIGINT, on_signal, load);
	if (!e)
		e = loop_signal(loop, SIGTERM, on_signal, load);
	if (!e)
		e = load_run(load, d);
	if (!e) {
		report_summary(load);
		*ret_succeeded = load_succeeded(load);
	}
	load_done(load);
	mem_free(load);
	return e;
}

int main(int argc, char **argv)
{
	struct load_options o;
	struct diag d = {0};
	struct loop *loop = NULL;
	bool succeeded = false;
	if (load_options_parse(argc, argv, &o, &d) != ERR_OK) {
		fprintf(stderr, "smtpload: %s\n%s", d.text, load_usage);
		return 2;
	}
	if (o.help) {
		fputs(load_usage, stdout);
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	raise_descriptors();
	enum err e = loop_epoll_new(&loop, &d);
	if (!e)
		e = run(&o, loop, &succeeded, &d);
	if (e)
		fprintf(stderr, "smtpload: %s\n", d.text[0] ? d.text : err_name(e));
	if (loop)
		loop_free(loop);
	return e ? 2 : succeeded ? 0 : 1;
}
