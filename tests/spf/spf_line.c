/* check_host() as a filter for the drivers of the suites and the differential test: zone and questions come as lines,
 * one line goes out for each check.
 *
 *	zone                                 forget all records
 *	rr NAME TYPE HEX, status NAME ...    see zone.h
 *	check IP SENDER HELO RECEIVER NOW    names in hex, "-" for none
 *	--> RESULT LOOKUPS VOIDS QUESTIONS TERM EXPLANATION PROBLEM    the last three in hex, "-" for none
 */
#include "zone.h"

#include "core/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static struct slice hex_word(struct slice *rest, struct buf *room)
{
	struct slice word = slice_word(rest);

	buf_clear(room);
	if (!slice_eq_str(word, "-") && hex_decode(room, word) != ERR_OK)
		fprintf(stderr, "spf_line: not hex: %.*s\n", SLICE_ARG(word));
	return buf_slice(room);
}

static void add_hex(struct buf *out, struct slice s)
{
	buf_add_char(out, ' ');
	if (s.len == 0)
		buf_add_char(out, '-');
	hex_encode(out, s);
}

static void print_verdict(const struct spf_verdict *v)
{
	CLEANUP(buf_done) struct buf out;

	buf_init(&out, 1u << 20);
	buf_printf(&out, "%s %" PRIu32 " %" PRIu32 " %" PRIu32, spf_result_name(v->result), v->lookups,
		   v->voids, v->questions);
	add_hex(&out, v->term);
	add_hex(&out, v->explanation);
	add_hex(&out, v->problem);
	buf_add_char(&out, '\n');
	fwrite(out.data, 1, out.len, stdout);
	fflush(stdout);
}

static enum err check(struct spf_eval *e, struct zone *z, struct slice rest)
{
	CLEANUP(buf_done) struct buf sender, helo, receiver;
	struct spf_request r = {0};
	struct spf_dns dns = zone_dns(z);
	uint64_t now;

	buf_init(&sender, 1u << 16);
	buf_init(&helo, 1u << 16);
	buf_init(&receiver, 1u << 16);
	if (spf_addr_parse(slice_word(&rest), &r.ip) != ERR_OK)
		return ERR_SYNTAX;
	r.sender = hex_word(&rest, &sender);
	r.helo = hex_word(&rest, &helo);
	r.receiver = hex_word(&rest, &receiver);
	if (slice_to_u64(slice_word(&rest), INT64_MAX, &now) != ERR_OK)
		return ERR_SYNTAX;
	r.now_s = (int64_t)now;
	r.trace = true;
	print_verdict(spf_eval_run(e, &r, &dns));
	return ERR_OK;
}

static enum err one_line(struct spf_eval *e, struct zone *z, struct slice line)
{
	struct slice rest = line, verb = slice_word(&rest);

	if (slice_eq_str(verb, "zone")) {
		zone_clear(z);
		return ERR_OK;
	}
	return slice_eq_str(verb, "check") ? check(e, z, rest) : zone_line(z, line);
}

int main(void)
{
	struct spf_eval *e = NULL;
	struct zone z = {0};
	char *line = NULL;
	size_t room = 0;
	enum err err = spf_eval_new(&e);

	for (ssize_t n; !err && (n = getline(&line, &room, stdin)) > 0;) {
		err = one_line(e, &z, slice_trim(slice_of(line, (size_t)n)));
		if (err)
			fprintf(stderr, "spf_line: %s: %s", err_name(err), line);
	}
	free(line);
	zone_done(&z);
	spf_eval_free(e);
	return err ? 1 : 0;
}
