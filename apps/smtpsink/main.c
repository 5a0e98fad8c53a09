#include "sink.h"

#include "core/mem.h"
#include "core/text.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define LISTEN_MAX 16
#define PEM_MAX    (1u << 20)

static const char usage[] =
	"usage: smtpsink [options]\n"
	"  -l, --listen ADDR      address:port or unix:/path; up to 16 times (127.0.0.1:2525)\n"
	"  -n, --hostname NAME    in the greeting (sink.invalid)\n"
	"      --store DIR        write N.eml and N.json (envelope) for each message\n"
	"      --digest           print \"XXH3 octets <sender>\" for each message\n"
	"      --script FILE      scripted replies, see smtpsink(1)\n"
	"      --tls-cert FILE    PEM chain; with --tls-key: STARTTLS\n"
	"      --tls-key FILE\n"
	"      --implicit-tls     TLS from the first octet\n"
	"      --no-pipelining, --no-8bitmime, --no-smtputf8\n"
	"      --size N           announce and name SIZE N (50M)\n"
	"      --connections N    more get 421 (10000)\n"
	"      --json             the summary as JSON\n"
	"The summary comes on SIGINT and SIGTERM; SIGUSR1 prints it and goes on.\n";

struct arguments {
	const char *listen[LISTEN_MAX];
	size_t listen_count;
	const char *cert, *key, *script;
	bool json, help;
	struct sink_options o;
};

enum {
	OPT_STORE = 256,
	OPT_DIGEST,
	OPT_SCRIPT,
	OPT_CERT,
	OPT_KEY,
	OPT_IMPLICIT,
	OPT_NOPIPE,
	OPT_NO8,
	OPT_NOUTF8,
	OPT_SIZE,
	OPT_CONN,
	OPT_JSON
};

static const struct option longs[] = {
	{"listen", required_argument, NULL, 'l'},
	{"hostname", required_argument, NULL, 'n'},
	{"store", required_argument, NULL, OPT_STORE},
	{"digest", no_argument, NULL, OPT_DIGEST},
	{"script", required_argument, NULL, OPT_SCRIPT},
	{"tls-cert", required_argument, NULL, OPT_CERT},
	{"tls-key", required_argument, NULL, OPT_KEY},
	{"implicit-tls", no_argument, NULL, OPT_IMPLICIT},
	{"no-pipelining", no_argument, NULL, OPT_NOPIPE},
	{"no-8bitmime", no_argument, NULL, OPT_NO8},
	{"no-smtputf8", no_argument, NULL, OPT_NOUTF8},
	{"size", required_argument, NULL, OPT_SIZE},
	{"connections", required_argument, NULL, OPT_CONN},
	{"json", no_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static bool take_option(struct arguments *a, int c)
{
	uint64_t v;
	switch (c) {
	case 'l':
		if (a->listen_count == LISTEN_MAX)
			return false;
		a->listen[a->listen_count++] = optarg;
		return true;
	case 'n':
		a->o.hostname = optarg;
		return true;
	case OPT_STORE:
		a->o.store_dir = optarg;
		return true;
	case OPT_DIGEST:
		return a->o.digest = true;
	case OPT_SCRIPT:
		a->script = optarg;
		return true;
	case OPT_CERT:
		a->cert = optarg;
		return true;
	case OPT_KEY:
		a->key = optarg;
		return true;
	case OPT_IMPLICIT:
		return a->o.implicit_tls = true;
	case OPT_NOPIPE:
		return a->o.no_pipelining = true;
	case OPT_NO8:
		return a->o.no_8bitmime = true;
	case OPT_NOUTF8:
		return a->o.no_smtputf8 = true;
	case OPT_SIZE:
		return text_parse_size(slice_str(optarg), &a->o.size) == ERR_OK;
	case OPT_CONN:
		if (slice_to_u64(slice_str(optarg), 1000000, &v) != ERR_OK)
			return false;
		a->o.connections_max = (uint32_t)v;
		return true;
	case OPT_JSON:
		return a->json = true;
	case 'h':
		return a->help = true;
	default:
		return false;
	}
}

static bool parse(int argc, char **argv, struct arguments *ret)
{
	*ret = (struct arguments){
		.o = {.hostname = "sink.invalid", .size = 50u << 20, .connections_max = 10000}};
	for (int c; (c = getopt_long(argc, argv, "l:n:h", longs, NULL)) != -1;)
		if (!take_option(ret, c))
			return false;
	if (ret->listen_count == 0)
		ret->listen[ret->listen_count++] = "127.0.0.1:2525";
	return optind == argc && !ret->cert == !ret->key && (!ret->o.implicit_tls || ret->cert);
}

/* ---- summary ---- */

/* User and system time of this process. */
static uint64_t cpu_us(void)
{
	struct rusage r;
	if (getrusage(RUSAGE_SELF, &r) != 0)
		return 0;
	return (uint64_t)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static void summary(const struct sink *k, bool json)
{
	struct seen_report r = seen_report(k->seen);
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{"messages", k->n.messages},
		{"recipients", k->n.recipients},
		{"octets", k->n.octets},
		{"connections", k->n.connections},
		{"tls", k->n.tls},
		{"refused", k->n.refused},
		{"dropped", k->n.dropped},
		{"numbered", r.numbered},
		{"duplicates", r.duplicates},
		{"missing", r.missing},
		{"cpu_us", cpu_us()},
	};
	json_t *o = json_object();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_object_set_new(o, rows[i].name, json_integer((json_int_t)rows[i].value));
		if (!json)
			printf("%-12s %llu\n", rows[i].name, (unsigned long long)rows[i].value);
	}
	char *text = json_dumps(o, JSON_COMPACT);
	if (json && text)
		puts(text);
	free(text);
	json_decref(o);
	fflush(stdout);
}

struct program {
	struct sink sink;
	bool json;
};

static void on_signal(void *ctx, int signo)
{
	struct program *p = ctx;
	if (signo == SIGUSR1)
		summary(&p->sink, p->json);
	else
		loop_stop(p->sink.loop);
}

/* ---- start ---- */

static enum err load_file(const char *path, struct buf *out, struct diag *d)
{
	FILE *f = fopen(path, "re");
	char part[4096];
	if (!f)
		return diag_set_errno(d, errno, "%s", path);
	for (size_t n; (n = fread(part, 1, sizeof(part), f)) > 0;)
		buf_add_mem(out, part, n);
	fclose(f);
	return out->failed ? diag_set(d, out->failed, "%s: larger than 1M", path) : ERR_OK;
}

static enum err load_tls(const struct arguments *a, struct tls_server **ret, struct diag *d)
{
	CLEANUP(buf_done) struct buf cert = {.max = 1 << 20}, key = {.max = 1 << 20};
	if (!a->cert)
		return ERR_OK;
	tls_library_init();
	enum err e = load_file(a->cert, &cert, d);
	if (!e)
		e = load_file(a->key, &key, d);
	struct tls_server_options o = {.certificate_pem = buf_slice(&cert), .key_pem = buf_slice(&key)};
	return e ? e : tls_server_new(&o, ret, d);
}

static void on_accept(void *ctx, struct stream *s)
{
	session_start(&((struct program *)ctx)->sink, s);
}

static enum err listen_on(struct program *p, const char *text, struct listener **ret, struct diag *d)
{
	static const struct listener_events events = {.on_accept = on_accept};
	CLEANUP(buf_done) struct buf name = {.max = 256};
	struct net_addr addr;
	int fd;
	enum err e = net_addr_parse(slice_str(text), 2525, &addr, d);
	if (!e)
		e = net_listen(p->sink.loop, &addr, 0666, &fd, d);
	if (!e)
		e = listener_new(p->sink.loop, fd, &events, p, ret, d);
	if (e)
		return e;
	net_addr_format(&addr, &name);
	printf("smtpsink: listening on %s\n", buf_cstr(&name));
	return ERR_OK;
}

static enum err run(struct program *p, const struct arguments *a, struct diag *d)
{
	struct listener *listeners[LISTEN_MAX] = {NULL};
	enum err e = ERR_OK;
	for (size_t i = 0; !e && i < a->listen_count; i++)
		e = listen_on(p, a->listen[i], &listeners[i], d);
	static const int signals[] = {SIGINT, SIGTERM, SIGUSR1};
	for (size_t i = 0; !e && i < ARRAY_LEN(signals); i++)
		e = loop_signal(p->sink.loop, signals[i], on_signal, p);
	fflush(stdout);
	if (!e) {
		e = loop_run(p->sink.loop);
		summary(&p->sink, p->json);
	}
	sessions_close(&p->sink);
	for (size_t i = 0; i < LISTEN_MAX; i++)
		if (listeners[i])
			listener_free(listeners[i]);
	return e;
}

int main(int argc, char **argv)
{
	struct arguments a;
	struct diag d = {0};
	if (!parse(argc, argv, &a)) {
		fputs(usage, stderr);
		return 2;
	}
	if (a.help) {
		fputs(usage, stdout);
		return 0;
	}
	struct program p = {.sink = {.o = a.o, .seen = seen_new()}, .json = a.json};
	list_init(&p.sink.sessions);
	signal(SIGPIPE, SIG_IGN);
	enum err e = p.sink.seen ? loop_epoll_new(&p.sink.loop, &d) : ERR_NOMEM;
	if (!e && a.script)
		e = script_load(a.script, &p.sink.o.script, &d);
	if (!e)
		e = load_tls(&a, &p.sink.o.tls, &d);
	if (!e)
		e = run(&p, &a, &d);
	if (e)
		fprintf(stderr, "smtpsink: %s\n", d.text[0] ? d.text : err_name(e));
	if (p.sink.o.tls)
		tls_server_unref(p.sink.o.tls);
	script_free(p.sink.o.script);
	seen_free(p.sink.seen);
	if (p.sink.loop)
		loop_free(p.sink.loop);
	return e ? 1 : 0;
}
