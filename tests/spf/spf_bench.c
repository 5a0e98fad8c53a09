/* Evaluations per second over DNS in memory, for bench/spf: lines as spf_line reads them come in on standard input, then
 * all checks are repeated for so many seconds of processor time.
 *
 *	spf_bench SECONDS --> "RESULT RESULT ..." of the checks, then EVALUATIONS SECONDS
 */
#include "zone.h"

#include "core/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CHECKS_MAX 64u
#define TEXT_MAX   512u
#define ROUND      64u /* evaluations of all checks between two looks at the clock */
#define NS_OF_A_S  1000000000.0

struct checks {
	struct spf_request r[CHECKS_MAX];
	char text[CHECKS_MAX][2][TEXT_MAX];
	size_t count;
};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / NS_OF_A_S;
}

static struct slice keep(struct slice hex, char *room)
{
	CLEANUP(buf_done) struct buf b;

	buf_init(&b, TEXT_MAX);
	if (hex_decode(&b, hex) != ERR_OK)
		return SLICE_EMPTY;
	for (size_t i = 0; i < b.len; i++)
		room[i] = b.data[i];
	return slice_of(room, b.len);
}

static enum err add_check(struct checks *c, struct slice rest)
{
	if (c->count == CHECKS_MAX)
		return ERR_LIMIT;
	struct spf_request *r = &c->r[c->count];
	if (spf_addr_parse(slice_word(&rest), &r->ip) != ERR_OK)
		return ERR_SYNTAX;
	r->sender = keep(slice_word(&rest), c->text[c->count][0]);
	r->helo = keep(slice_word(&rest), c->text[c->count][1]);
	c->count++;
	return ERR_OK;
}

static enum err read_lines(struct zone *z, struct checks *c)
{
	char *line = NULL;
	size_t room = 0;
	enum err e = ERR_OK;

	for (ssize_t n; !e && (n = getline(&line, &room, stdin)) > 0;) {
		struct slice s = slice_trim(slice_of(line, (size_t)n)), rest = s;
		struct slice verb = slice_word(&rest);
		if (slice_eq_str(verb, "check"))
			e = add_check(c, rest);
		else if (!slice_eq_str(verb, "zone"))
			e = zone_line(z, s);
	}
	free(line);
	return e;
}

static void measure(struct spf_eval *e, const struct checks *c, const struct spf_dns *dns, double seconds)
{
	uint64_t count = 0;
	double start, spent;

	for (size_t i = 0; i < c->count; i++)
		printf("%s ", spf_result_name(spf_eval_run(e, &c->r[i], dns)->result));
	start = now();
	do {
		for (unsigned k = 0; k < ROUND; k++)
			for (size_t i = 0; i < c->count; i++)
				(void)spf_eval_run(e, &c->r[i], dns);
		count += ROUND * c->count;
		spent = now() - start;
	} while (spent < seconds);
	printf("\n%" PRIu64 " %f\n", count, spent);
}

int main(int argc, char **argv)
{
	static struct checks c;
	struct spf_eval *e = NULL;
	struct zone z = {0};
	struct spf_dns dns = zone_dns(&z);
	enum err err = spf_eval_new(&e);

	if (!err)
		err = read_lines(&z, &c);
	if (!err)
		measure(e, &c, &dns, argc > 1 ? strtod(argv[1], NULL) : 1);
	else
		fprintf(stderr, "spf_bench: %s\n", err_name(err));
	zone_done(&z);
	spf_eval_free(e);
	return err ? 1 : 0;
}
