#include "tidegate/cli_dns.h"

#include "conf/conf.h"
#include "core/mem.h"
#include "dns/resolver.h"
#include "tidegate/zones.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define TIMEOUT_MS 60000u /* of one command; a tree asks more than a check */
#define ANCHOR_MAX 65536u
#define TURN_MS    1000u

struct cli_dns {
	struct zonedb *zones; /* NULL: live */
	struct conf *conf;
	struct loop *loop;
	struct resolver *resolver;
	struct dns_lookup lookup;
};

static enum err load(const struct cli *c, struct conf **ret, struct diag *d)
{
	if (c->config)
		return conf_load(c->config, ret, d);
	return conf_load(access(CLI_CONFIG, R_OK) == 0 ? CLI_CONFIG : NULL, ret, d);
}

static enum err read_anchor(struct slice path, struct buf *out, struct diag *d)
{
	CLEANUP(base_close) int fd = path.len ? open(path.ptr, O_RDONLY | O_CLOEXEC) : -1;
	char chunk[4096];
	ssize_t n = 0;

	if (path.len == 0)
		return ERR_OK;
	if (fd < 0)
		return diag_set_errno(d, errno, "%s", path.ptr);
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_add_mem(out, chunk, (size_t)n);
	if (n < 0)
		return diag_set_errno(d, errno, "%s", path.ptr);
	return out->failed ? diag_set(d, out->failed, "%s: too long", path.ptr) : ERR_OK;
}

static enum err open_resolver(struct cli_dns *dns, struct diag *d)
{
	CLEANUP(buf_done) struct buf anchor;

	buf_init(&anchor, ANCHOR_MAX);
	enum err e = read_anchor(dns->conf->resolver.trust_anchor, &anchor, d);
	if (e)
		return e;
	const struct resolver_options o = {
		.forward = dns->conf->resolver.forward.items,
		.forward_count = dns->conf->resolver.forward.count,
		.timeout_ms = dns->conf->resolver.timeout,
		.trust_anchor = buf_slice(&anchor),
	};
	e = resolver_new(dns->loop, &o, &dns->resolver, d);
	if (!e)
		dns->lookup = resolver_lookup(dns->resolver);
	return e;
}

static enum err open_live(struct cli_dns *dns, const struct cli *c, struct diag *d)
{
	enum err e = load(c, &dns->conf, d);

	if (!e)
		e = loop_epoll_new(&dns->loop, d);
	return e ? e : open_resolver(dns, d);
}

static enum err open_zones(struct cli_dns *dns, const char *path, struct diag *d)
{
	enum err e = zonedb_new(&dns->zones);

	return e ? diag_set(d, e, "no memory") : cli_zones_load(dns->zones, path, d);
}

enum err cli_dns_open(const struct cli *c, struct cli_dns **ret, struct diag *d)
{
	struct cli_dns *dns = NEW(struct cli_dns);

	if (!dns)
		return diag_set(d, ERR_NOMEM, "no memory");
	enum err e = c->dns ? open_zones(dns, c->dns, d) : open_live(dns, c, d);
	if (e) {
		cli_dns_close(dns);
		return e;
	}
	*ret = dns;
	return ERR_OK;
}

void cli_dns_close(struct cli_dns *dns)
{
	if (!dns)
		return;
	zonedb_free(dns->zones);
	resolver_free(dns->resolver);
	if (dns->loop)
		loop_free(dns->loop);
	conf_unref(dns->conf);
	mem_free(dns);
}

static void on_done(void *ctx)
{
	*(bool *)ctx = true;
}

enum err cli_dns_run(struct cli_dns *dns, const struct spf_machine *m, struct diag *d)
{
	const struct spf_drive_options o = {
		.loop = dns->loop, .lookup = &dns->lookup, .timeout_ms = TIMEOUT_MS};
	struct spf_drive *drive;
	bool done = false;

	if (dns->zones) {
		const struct spf_dns table = zonedb_dns(dns->zones);
		spf_drive_now(m, &table);
		return ERR_OK;
	}
	enum err e = spf_drive_start(&o, m, on_done, &done, &drive);

	if (e)
		return diag_set(d, e, "no memory");
	while (!done)
		loop_turn(dns->loop, TURN_MS); /* the drive's own timer bounds it */
	return ERR_OK;
}
