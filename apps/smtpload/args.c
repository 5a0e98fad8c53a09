#include "load.h"

#include "core/text.h"

#include <getopt.h>
#include <string.h>

const char load_usage[] =
	"usage: smtpload [options] [ADDRESS:PORT]          (127.0.0.1:2525)\n"
	"how much\n"
	"  -n, --count N          messages (1000, or no limit with --seconds)\n"
	"      --seconds N        begins no message after N seconds\n"
	"  -c, --connections N    at the same time (10)\n"
	"  -m, --messages N       per connection, then it is opened anew (0: no limit)\n"
	"      --rate N           messages a second over all connections (0: as many as the server takes)\n"
	"      --sources N        connect from N addresses, 127.0.1.1 upward\n"
	"what\n"
	"  -s, --size N[,N...]    octets of a message, in turn (4K)\n"
	"  -r, --recipients N     per message (1)\n"
	"      --from PATTERN     %d: sequence number (sender@smtpload.invalid)\n"
	"      --to PATTERN       also %r: number of the recipient (user%r@smtpload.invalid)\n"
	"      --helo NAME        (smtpload.invalid)\n"
	"      --run N            number of the run in the header X-Smtpload (random)\n"
	"how\n"
	"      --tls none|starttls|implicit\n"
	"      --ca FILE          trust these certificates instead of the system's\n"
	"      --tls-name NAME    the name in the server's certificate (its address)\n"
	"      --insecure         take any certificate\n"
	"      --auth USER:PASSWORD   AUTH PLAIN\n"
	"      --no-pipelining    one command at a time even if the server offers more\n"
	"      --reconnect        open broken connections again, after 10 ms to 1 s\n"
	"      --timeout N        seconds to wait for a reply (60)\n"
	"results\n"
	"      --acked FILE       append the sequence number of each accepted message at once\n"
	"      --json             the summary as JSON\n"
	"The exit status is 0 if every message was accepted for every recipient.\n";

enum {
	OPT_SECONDS = 256,
	OPT_RATE,
	OPT_SOURCES,
	OPT_FROM,
	OPT_TO,
	OPT_HELO,
	OPT_RUN,
	OPT_TLS,
	OPT_CA,
	OPT_TLS_NAME,
	OPT_INSECURE,
	OPT_AUTH,
	OPT_NOPIPE,
	OPT_RECONNECT,
	OPT_TIMEOUT,
	OPT_ACKED,
	OPT_JSON
};

static const struct option longs[] = {
	{"count", required_argument, NULL, 'n'},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"connections", required_argument, NULL, 'c'},
	{"messages", required_argument, NULL, 'm'},
	{"rate", required_argument, NULL, OPT_RATE},
	{"sources", required_argument, NULL, OPT_SOURCES},
	{"size", required_argument, NULL, 's'},
	{"recipients", required_argument, NULL, 'r'},
	{"from", required_argument, NULL, OPT_FROM},
	{"to", required_argument, NULL, OPT_TO},
	{"helo", required_argument, NULL, OPT_HELO},
	{"run", required_argument, NULL, OPT_RUN},
	{"tls", required_argument, NULL, OPT_TLS},
	{"ca", required_argument, NULL, OPT_CA},
	{"tls-name", required_argument, NULL, OPT_TLS_NAME},
	{"insecure", no_argument, NULL, OPT_INSECURE},
	{"auth", required_argument, NULL, OPT_AUTH},
	{"no-pipelining", no_argument, NULL, OPT_NOPIPE},
	{"reconnect", no_argument, NULL, OPT_RECONNECT},
	{"timeout", required_argument, NULL, OPT_TIMEOUT},
	{"acked", required_argument, NULL, OPT_ACKED},
	{"json", no_argument, NULL, OPT_JSON},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const char *name_of(int c)
{
	for (const struct option *o = longs; o->name; o++)
		if (o->val == c)
			return o->name;
	return "?";
}

/* ---- values ---- */

/* Options that are one number; `at` lies in struct load_options, 4 or 8 octets wide. */
static const struct number {
	int option;
	uint64_t min, max;
	size_t at, width;
} numbers[] = {
#define NUMBER(option, min, max, field)                                                                      \
	{                                                                                                    \
		option, min, max, offsetof(struct load_options, field),                                      \
			sizeof(((struct load_options *)NULL)->field)                                         \
	}
	NUMBER('n', 1, LOAD_SEQ_MAX, count),
	NUMBER(OPT_SECONDS, 1, LOAD_SECONDS_MAX, seconds),
	NUMBER('c', 1, LOAD_CONNECTIONS_MAX, connections),
	NUMBER('m', 0, LOAD_SEQ_MAX, per_connection),
	NUMBER(OPT_RATE, 0, LOAD_RATE_MAX, rate),
	NUMBER(OPT_SOURCES, 0, LOAD_SOURCES_MAX, sources),
	NUMBER('r', 1, LOAD_RECIPIENTS_MAX, recipients),
	NUMBER(OPT_RUN, 1, INT64_MAX, run),
	NUMBER(OPT_TIMEOUT, 1, LOAD_SECONDS_MAX, timeout_ms),
#undef NUMBER
};

static enum err take_number(struct load_options *o, const struct number *n, struct diag *d)
{
	uint64_t v;
	if (slice_to_u64(slice_str(optarg), n->max, &v) != ERR_OK || v < n->min)
		return diag_set(d, ERR_RANGE, "--%s %s: not a number from %llu to %llu", name_of(n->option),
				optarg, (unsigned long long)n->min, (unsigned long long)n->max);
	uint32_t narrow = (uint32_t)v;
	memcpy((char *)o + n->at, n->width == sizeof(narrow) ? (void *)&narrow : (void *)&v, n->width);
	return ERR_OK;
}

static enum err take_sizes(struct load_options *o, struct diag *d)
{
	struct slice rest = slice_str(optarg);
	for (o->size_count = 0; rest.ptr; o->size_count++) {
		struct slice part = slice_split(&rest, ',');
		uint64_t v;
		if (o->size_count == LOAD_SIZES_MAX)
			return diag_set(d, ERR_LIMIT, "--size: more than %d", LOAD_SIZES_MAX);
		if (text_parse_size(part, &v) != ERR_OK || v > LOAD_SIZE_MAX)
			return diag_set(d, ERR_RANGE, "--size %.*s: not a size of at most 256M",
					SLICE_ARG(part));
		o->sizes[o->size_count] = v;
	}
	return ERR_OK;
}

/* What stands between < and > in a command: no controls, spaces or brackets, and no sign but %d, %r, %%. */
static enum err take_pattern(const char *option, const char **ret, struct diag *d)
{
	if (strlen(optarg) > LOAD_PATTERN_MAX)
		return diag_set(d, ERR_LIMIT, "%s: longer than %d octets", option, LOAD_PATTERN_MAX);
	for (const char *p = optarg; *p; p++) {
		if (*p == '%' && !strchr("dr%", p[1] ? p[1] : '?'))
			return diag_set(d, ERR_SYNTAX, "%s %s: after %% comes d, r or %%", option, optarg);
		if ((unsigned char)*p <= ' ' || strchr("<>\177", *p))
			return diag_set(d, ERR_SYNTAX, "%s %s: not an address", option, optarg);
		p += *p == '%';
	}
	*ret = optarg;
	return ERR_OK;
}

static enum err take_helo(struct load_options *o, struct diag *d)
{
	struct slice name = slice_str(optarg);
	if (name.len == 0 || name.len > 255 || slice_has_control(name) || slice_find(name, ' ') != SLICE_NPOS)
		return diag_set(d, ERR_SYNTAX, "--helo: not a name");
	o->helo = optarg;
	return ERR_OK;
}

static enum err take_tls_name(struct load_options *o, struct diag *d)
{
	size_t len = strlen(optarg);
	if (len == 0 || len > 253)
		return diag_set(d, ERR_SYNTAX, "--tls-name: not a name");
	o->tls_name = optarg;
	return ERR_OK;
}

static enum err take_tls(struct load_options *o, struct diag *d)
{
	static const char *const names[] = {"none", "starttls", "implicit"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(optarg, names[i]) == 0) {
			o->tls = (enum load_tls)i;
			return ERR_OK;
		}
	return diag_set(d, ERR_SYNTAX, "--tls %s: not none, starttls or implicit", optarg);
}

static enum err take_auth(struct load_options *o, struct diag *d)
{
	if (!strchr(optarg, ':') || strlen(optarg) > 512)
		return diag_set(d, ERR_SYNTAX, "--auth: not USER:PASSWORD of at most 512 octets");
	o->auth = optarg;
	return ERR_OK;
}

static enum err take_option(struct load_options *o, int c, struct diag *d)
{
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (numbers[i].option == c)
			return take_number(o, &numbers[i], d);
	switch (c) {
	case 's':
		return take_sizes(o, d);
	case OPT_FROM:
		return take_pattern("--from", &o->from, d);
	case OPT_TO:
		return take_pattern("--to", &o->to, d);
	case OPT_HELO:
		return take_helo(o, d);
	case OPT_TLS:
		return take_tls(o, d);
	case OPT_AUTH:
		return take_auth(o, d);
	case OPT_CA:
		o->ca_file = optarg;
		return ERR_OK;
	case OPT_TLS_NAME:
		return take_tls_name(o, d);
	case OPT_ACKED:
		o->acked_file = optarg;
		return ERR_OK;
	case OPT_INSECURE:
		o->insecure = true;
		return ERR_OK;
	case OPT_NOPIPE:
		o->no_pipelining = true;
		return ERR_OK;
	case OPT_RECONNECT:
		o->reconnect = true;
		return ERR_OK;
	case OPT_JSON:
		o->json = true;
		return ERR_OK;
	case 'h':
		o->help = true;
		return ERR_OK;
	default:
		return diag_set(d, ERR_SYNTAX, "unknown option or missing value");
	}
}

/* ---- all of them ---- */

static enum err check_together(const struct load_options *o, struct diag *d)
{
	const struct sockaddr *sa = &o->target.u.sa;
	bool loopback = sa->sa_family == AF_INET && ntohl(o->target.u.in4.sin_addr.s_addr) >> 24 == 127;
	if (o->sources && !loopback)
		return diag_set(d, ERR_SYNTAX, "--sources: only to an address in 127.0.0.0/8");
	if (o->tls == LOAD_TLS_NONE && (o->ca_file || o->tls_name || o->insecure))
		return diag_set(d, ERR_SYNTAX, "--ca, --tls-name and --insecure want --tls");
	if (o->tls != LOAD_TLS_NONE && sa->sa_family == AF_UNIX && !o->tls_name && !o->insecure)
		return diag_set(d, ERR_SYNTAX, "TLS over a Unix socket wants --tls-name or --insecure");
	if (o->insecure && o->ca_file)
		return diag_set(d, ERR_SYNTAX, "--insecure does not go with --ca");
	return ERR_OK;
}

enum err load_options_parse(int argc, char **argv, struct load_options *ret, struct diag *d)
{
	*ret = (struct load_options){
		.connections = 10,
		.recipients = 1,
		.sizes = {4096},
		.size_count = 1,
		.from = "sender@smtpload.invalid",
		.to = "user%r@smtpload.invalid",
		.helo = "smtpload.invalid",
		.timeout_ms = 60, /* seconds until all is read */
	};
	enum err e = ERR_OK;
	optind = 0; /* begins anew: tests parse more than once */
	for (int c; !e && (c = getopt_long(argc, argv, ":n:c:m:s:r:h", longs, NULL)) != -1;)
		e = take_option(ret, c, d);
	if (e || ret->help)
		return e;
	if (argc - optind > 1)
		return diag_set(d, ERR_SYNTAX, "more than one address");
	ret->timeout_ms *= 1000;
	if (!ret->count)
		ret->count = ret->seconds ? LOAD_SEQ_MAX : 1000;
	const char *target = optind < argc ? argv[optind] : "127.0.0.1:2525";
	e = net_addr_parse(slice_str(target), 2525, &ret->target, d);
	return e ? e : check_together(ret, d);
}
