/* The same as tests/spf/spf_bench.c with libspf2 (1.2, BSD-2-Clause or LGPL) and its own zone in memory. Built by bench/spf
 * where libspf2-dev is installed.
 *
 *	zone lines: "rr NAME TYPE TEXT", check lines: "check IP SENDER HELO", all as plain text
 */
#include <netinet/in.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/nameser.h>
#include <spf2/spf.h>
#include <spf2/spf_dns_zone.h>

#define CHECKS_MAX 64
#define ROUND      64

struct check {
	char ip[64], sender[256], helo[256];
};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static SPF_result_t run(SPF_server_t *server, const struct check *c)
{
	SPF_request_t *request = SPF_request_new(server);
	SPF_response_t *response = NULL;
	SPF_result_t result = SPF_RESULT_INVALID;

	if (strchr(c->ip, ':'))
		SPF_request_set_ipv6_str(request, c->ip);
	else
		SPF_request_set_ipv4_str(request, c->ip);
	SPF_request_set_helo_dom(request, c->helo);
	SPF_request_set_env_from(request, c->sender);
	SPF_request_query_mailfrom(request, &response);
	if (response)
		result = SPF_response_result(response);
	SPF_response_free(response);
	SPF_request_free(request);
	return result;
}

static ns_type type_of(const char *name)
{
	return !strcmp(name, "A")      ? ns_t_a
	       : !strcmp(name, "AAAA") ? ns_t_aaaa
	       : !strcmp(name, "MX")   ? ns_t_mx
				       : ns_t_txt;
}

int main(int argc, char **argv)
{
	static struct check checks[CHECKS_MAX];
	char line[4096], name[256], type[16];
	int count = 0, at = 0;
	SPF_dns_server_t *zone = SPF_dns_zone_new(NULL, "zone", 0);
	SPF_server_t *server = SPF_server_new_dns(zone, 0);
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 1, start, spent;
	unsigned long done = 0;

	SPF_server_set_rec_dom(server, "relay.example");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "rr %255s %15s %n", name, type, &at) == 2)
			SPF_dns_zone_add_str(zone, name, type_of(type), NETDB_SUCCESS, line + at);
		else if (count < CHECKS_MAX && sscanf(line, "check %63s %255s %255s", checks[count].ip,
						      checks[count].sender, checks[count].helo) == 3)
			count++;
	}
	for (int i = 0; i < count; i++)
		printf("%s ", SPF_strresult(run(server, &checks[i])));
	start = now();
	do {
		for (int k = 0; k < ROUND; k++)
			for (int i = 0; i < count; i++)
				(void)run(server, &checks[i]);
		done += (unsigned long)ROUND * (unsigned long)count;
		spent = now() - start;
	} while (spent < seconds);
	printf("\n%lu %f\n", done, spent);
	return 0;
}
