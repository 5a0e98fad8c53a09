/* check_host() over DNS that the input makes up: the first line is the question, the others are answers. However the
 * answers come, the check ends, asks a bounded number of questions, and says the same the second time.
 *
 *	IP SENDER HELO             "-" for an empty one
 *	ANSWER ...                 one for each question, in a circle: "n" NXDOMAIN, "d" no data, "t" time-out, else text: TXT
 *	                           for a TXT question, otherwise records as words (addresses, names)
 */
#include "dns/limits.h"
#include "dns/spf_eval.h"

#include <string.h>

#define LINES_MAX     256u
#define DATA_MAX      20000u
#define QUESTIONS_MAX (SPF_LOOKUPS_MAX * (1u + SPF_NAMES_MAX) + 2u * (1u + SPF_NAMES_MAX) + 16u)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct script {
	struct slice lines[LINES_MAX];
	uint32_t count, next;
	struct buf data;
	struct slice records[DNS_RECORDS_MAX];
};

static void add_name(struct slice name, struct buf *out)
{
	while (name.len > 0) {
		struct slice label = slice_sub(slice_split(&name, '.'), 0, DNS_LABEL_MAX);
		if (label.len == 0)
			break;
		buf_add_u8(out, (uint8_t)label.len);
		buf_add(out, label);
	}
	buf_add_u8(out, 0);
}

static void add_record(struct slice word, enum dns_type type, struct buf *out)
{
	struct spf_addr a;

	if (type == DNS_MX) {
		buf_add_u8(out, 0);
		buf_add_u8(out, (uint8_t)word.ptr[0]);
	}
	if (type == DNS_MX || type == DNS_PTR)
		add_name(word, out);
	else if (spf_addr_parse4(word, &a) == ERR_OK || spf_addr_parse6(word, &a) == ERR_OK)
		buf_add_mem(out, a.octets, a.bits / 8u);
	else
		buf_add(out, word); /* of a wrong length, most often */
}

static void add_text(struct slice text, struct buf *out)
{
	for (; text.len > 0 && out->len < DATA_MAX; text = slice_from(text, UINT8_MAX)) {
		struct slice part = slice_sub(text, 0, UINT8_MAX);
		buf_add_u8(out, (uint8_t)part.len);
		buf_add(out, part);
	}
}

/* TXT: strings of one record; "|" begins the next record. */
static void add_records(struct script *s, struct slice line, enum dns_type type, struct dns_answer *ret)
{
	size_t ends[DNS_RECORDS_MAX], from = 0;

	buf_clear(&s->data);
	for (struct slice rest = line; rest.len > 0 && ret->count < 20;) {
		struct slice word = type == DNS_TXT ? slice_split(&rest, '|') : slice_word(&rest);
		if (type == DNS_TXT)
			add_text(word, &s->data);
		else if (word.len > 0)
			add_record(word, type, &s->data);
		ends[ret->count++] = s->data.len;
	}
	for (uint32_t i = 0; i < ret->count; from = ends[i++])
		s->records[i] = slice_of(s->data.data ? s->data.data + from : "", ends[i] - from);
	ret->status = ret->count ? DNS_OK : DNS_NODATA;
	ret->records = s->records;
}

static void answer(void *self, struct slice name, enum dns_type type, struct dns_answer *ret)
{
	struct script *s = self;
	struct slice line = s->count ? s->lines[s->next % s->count] : SLICE_LIT("n");

	s->next++;
	ASSERT(name.len > 0 && s->next <= QUESTIONS_MAX + SPF_LOOKUPS_COUNTED * (1u + SPF_NAMES_MAX));
	if (slice_eq_str(line, "n"))
		ret->status = DNS_NXDOMAIN;
	else if (slice_eq_str(line, "t"))
		ret->status = DNS_TEMPORARY;
	else if (slice_eq_str(line, "d"))
		ret->status = DNS_NODATA;
	else
		add_records(s, line, type, ret);
}

static struct slice word_of(struct slice *rest)
{
	struct slice word = slice_word(rest);
	return slice_eq_str(word, "-") ? SLICE_EMPTY : word;
}

static void check(struct script *s, struct spf_eval *e, const struct spf_request *r)
{
	struct spf_dns dns = {s, answer};
	struct spf_verdict first;

	s->next = 0;
	first = *spf_eval_run(e, r, &dns);
	ASSERT(first.questions == s->next);
	ASSERT(r->count_on || (first.lookups <= SPF_LOOKUPS_MAX + 1 && first.questions <= QUESTIONS_MAX));
	ASSERT(first.matched.len == 0 || first.matched.at + first.matched.len <= first.record.len);
	ASSERT(first.explanation.len == 0 || first.result == SPF_FAIL);
	s->next = 0;
	const struct spf_verdict *again = spf_eval_run(e, r, &dns);
	ASSERT(again->result == first.result && again->lookups == first.lookups &&
	       again->voids == first.voids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of(data, size), head = slice_split(&rest, '\n');
	struct spf_request r = {.receiver = SLICE_LIT("r.example")};
	struct spf_eval *e = NULL;
	struct script s = {0};

	if (size > DATA_MAX || spf_addr_parse(slice_word(&head), &r.ip) != ERR_OK ||
	    spf_eval_new(&e) != ERR_OK)
		return 0;
	r.sender = word_of(&head);
	r.helo = word_of(&head);
	while (rest.ptr && s.count < LINES_MAX)
		s.lines[s.count++] = slice_split(&rest, '\n');
	buf_init(&s.data, 4 * DATA_MAX);
	check(&s, e, &r);
	r.trace = true;
	check(&s, e, &r);
	r.count_on = true;
	check(&s, e, &r);
	buf_done(&s.data);
	spf_eval_free(e);
	return 0;
}
