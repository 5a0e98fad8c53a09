/* tidegated: the relay's daemon. Options, then the parent; or, started by the parent, one of the children. */
#include "conf/conf.h"
#include "core/hash.h"
#include "core/slice.h"
#include "daemon.h"
#include "relay/auth/auth_role.h"
#include "relay/parent/parent.h"
#include "relay/queue/queue_role.h"
#include "relay/resolver/resolver_role.h"
#include "relay/smtpc/smtpc_role.h"
#include "relay/smtpd/smtpd_role.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#ifndef TIDEGATE_VERSION
#define TIDEGATE_VERSION "unknown"
#endif

#define DEFAULT_CONF "/etc/tidegate/tidegated.conf"

struct arguments {
	const char *conf_path;
	const char *child;
	bool foreground, test, version, help;
};

static const char usage[] = "usage: tidegated [-f] [-t] [-c FILE]\n"
			    "  -c FILE  configuration (" DEFAULT_CONF ")\n"
			    "  -f       stay in the foreground\n"
			    "  -t       check the configuration and what it names, then exit\n"
			    "  -V       print the version\n";

static bool parse(int argc, char **argv, struct arguments *ret)
{
	static const struct option longs[] = {{"child", required_argument, NULL, 'C'},
					      {"help", no_argument, NULL, 'h'},
					      {"version", no_argument, NULL, 'V'},
					      {NULL, 0, NULL, 0}};
	*ret = (struct arguments){.conf_path = DEFAULT_CONF};
	for (int c; (c = getopt_long(argc, argv, "c:fthV", longs, NULL)) != -1;) {
		switch (c) {
		case 'c':
			ret->conf_path = optarg;
			break;
		case 'C':
			ret->child = optarg;
			break;
		case 'f':
			ret->foreground = true;
			break;
		case 't':
			ret->test = true;
			break;
		case 'V':
			ret->version = true;
			break;
		case 'h':
			ret->help = true;
			break;
		default:
			return false;
		}
	}
	return optind == argc;
}

static int run_child(const char *name)
{
	static const struct role_ops *const roles[] = {&smtpd_role, &auth_role, &queue_role, &resolver_role,
						       &smtpc_role};
	struct slice rest = slice_str(name);
	struct slice role = slice_split(&rest, '.');
	uint64_t slot;
	if (slice_to_u64(rest, 1000, &slot) == ERR_OK)
		for (size_t i = 0; i < ARRAY_LEN(roles); i++)
			if (slice_eq_str(role, wire_role_name(roles[i]->role)))
				return role_run(roles[i], (uint32_t)slot);
	fprintf(stderr, "tidegated: --child is for the daemon's own use\n");
	return 2;
}

static void on_ready(void *ctx)
{
	int *fd = ctx;
	if (*fd >= 0)
		daemon_ready(*fd);
	*fd = -1;
}

static int complain(const struct diag *d)
{
	fprintf(stderr, "tidegated: %s\n", d->text);
	return 1;
}

/* The usual soft limit is for programs that use select(); a connection each is ours. */
static void raise_descriptors(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	r.rlim_cur = r.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &r); /* children inherit it; too few show as smtpd.exhausted */
}

static int run_parent(const struct arguments *a, struct conf *conf)
{
	struct diag d = {0};
	raise_descriptors();
	int launcher = a->foreground ? -1 : daemon_start();
	if (!a->foreground && launcher < 0) {
		diag_set_errno(&d, errno, "going into the background");
		return complain(&d);
	}
	struct loop *loop = NULL;
	struct parent *parent = NULL;
	struct parent_options o = {.conf_path = a->conf_path,
				   .conf = conf,
				   .foreground = a->foreground,
				   .on_ready = on_ready,
				   .ctx = &launcher};
	uint8_t key[16];
	if (loop_epoll_new(&loop, &d) != ERR_OK)
		return complain(&d);
	loop_random(loop, key, sizeof(key));
	hash_set_key(key);
	if (parent_new(loop, &o, &parent, &d) != ERR_OK) {
		loop_free(loop);
		return complain(&d);
	}
	int status = loop_run(loop) == ERR_OK ? parent_status(parent) : 1;
	parent_free(parent);
	loop_free(loop);
	return status;
}

int main(int argc, char **argv)
{
	struct arguments a;
	struct diag d = {0};
	struct conf *conf = NULL;

	if (!parse(argc, argv, &a)) {
		fputs(usage, stderr);
		return 2;
	}
	if (a.help || a.version) {
		fputs(a.help ? usage : "tidegated " TIDEGATE_VERSION "\n", stdout);
		return 0;
	}
	if (a.child)
		return run_child(a.child);
	if (conf_load(a.conf_path, &conf, &d) != ERR_OK)
		return complain(&d);
	int status = 0;
	if (a.test && conf_check_paths(conf, &d) != ERR_OK)
		status = complain(&d);
	else if (a.test)
		printf("%s: ok\n", a.conf_path);
	else
		status = run_parent(&a, conf);
	conf_unref(conf);
	return status;
}
