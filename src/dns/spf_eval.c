/* Records, terms and the verdict; what compares addresses is in spf_hosts.c. */
#include "core/mem.h"
#include "dns/name.h"
#include "dns/spf_eval_priv.h"

#include <string.h>

/* ---- phases ---- */

static bool asks(enum spf_phase p)
{
	static const unsigned asking = 1u << SPF_AT_RECORD | 1u << SPF_AT_ADDRESSES | 1u << SPF_AT_MX |
				       1u << SPF_AT_MX_HOST | 1u << SPF_AT_PTR | 1u << SPF_AT_PTR_HOST |
				       1u << SPF_AT_EXP_TEXT;
	return asking & 1u << p;
}

void spf_set_phase(struct spf_eval *e, enum spf_phase to)
{
	static const unsigned term_ends = 1u << SPF_AT_TERMS | 1u << SPF_AT_EXP | 1u << SPF_AT_DONE;
	static const unsigned ptr_ends =
		1u << SPF_AT_TERM | 1u << SPF_AT_EXP | 1u << SPF_AT_EXPAND | 1u << SPF_AT_DONE;
	static const unsigned allowed[] = {
		[SPF_AT_START] = 1u << SPF_AT_RECORD | 1u << SPF_AT_DONE,
		[SPF_AT_RECORD] = 1u << SPF_AT_TERMS | 1u << SPF_AT_DONE,
		[SPF_AT_TERMS] = 1u << SPF_AT_TERM | term_ends,
		[SPF_AT_TERM] = 1u << SPF_AT_RECORD | 1u << SPF_AT_ADDRESSES | 1u << SPF_AT_MX |
				1u << SPF_AT_PTR | term_ends,
		[SPF_AT_ADDRESSES] = term_ends,
		[SPF_AT_MX] = 1u << SPF_AT_MX_HOST | term_ends,
		[SPF_AT_MX_HOST] = 1u << SPF_AT_MX_HOST | term_ends,
		[SPF_AT_PTR] = 1u << SPF_AT_PTR_HOST | ptr_ends,
		[SPF_AT_PTR_HOST] = 1u << SPF_AT_PTR_HOST | ptr_ends,
		[SPF_AT_EXP] = 1u << SPF_AT_PTR | 1u << SPF_AT_EXP_TEXT | 1u << SPF_AT_DONE,
		[SPF_AT_EXP_TEXT] = 1u << SPF_AT_EXPAND | 1u << SPF_AT_DONE,
		[SPF_AT_EXPAND] = 1u << SPF_AT_PTR | 1u << SPF_AT_DONE,
		[SPF_AT_DONE] = 0,
	};
	ASSERT(allowed[e->phase] & 1u << to);
	e->phase = to;
}

void spf_ask(struct spf_eval *e, enum dns_type type, enum spf_phase to)
{
	ASSERT(asks(to));
	e->type = type;
	e->verdict.questions++;
	spf_set_phase(e, to);
}

struct spf_frame *spf_top(struct spf_eval *e)
{
	return &e->frames[e->depth];
}

bool spf_is_void(const struct dns_answer *a)
{
	return a->status == DNS_NODATA || a->status == DNS_NXDOMAIN || (a->status == DNS_OK && a->count == 0);
}

bool spf_is_trouble(const struct dns_answer *a)
{
	return a->status == DNS_TEMPORARY || a->status == DNS_BOGUS;
}

/* ---- trace ---- */

static void trace_begin(struct spf_eval *e, struct spf_frame *f)
{
	struct spf_verdict *v = &e->verdict;

	f->trace = SIZE_MAX;
	if (!e->request.trace || !e->trace)
		return;
	if (v->trace_count == SPF_TRACE_MAX) {
		v->trace_cut = true;
		return;
	}
	f->trace = v->trace_count++;
	/* the cost so far, taken from the cost at the end */
	e->trace[f->trace] = (struct spf_trace){.depth = e->depth,
						.domain = f->domain,
						.term = spf_term_text(f->record, &f->term),
						.outcome = SPF_ERROR,
						.lookups = v->lookups,
						.voids = v->voids};
}

static void trace_target(struct spf_eval *e, struct spf_frame *f)
{
	if (f->trace != SIZE_MAX &&
	    arena_dup(&e->arena, buf_slice(&e->name), &e->trace[f->trace].target) != ERR_OK)
		e->trace[f->trace].target = SLICE_EMPTY; /* a trace is worth less than the result */
}

static void trace_end(struct spf_eval *e, struct spf_frame *f, enum spf_outcome o, enum spf_result r)
{
	if (f->trace == SIZE_MAX)
		return;
	struct spf_trace *t = &e->trace[f->trace];
	t->outcome = o;
	t->result = r;
	t->lookups = e->verdict.lookups - t->lookups;
	t->voids = e->verdict.voids - t->voids;
	f->trace = SIZE_MAX;
}

/* ---- ends ---- */

void spf_end(struct spf_eval *e, enum spf_result r, const char *fmt, ...)
{
	va_list ap;

	if (e->phase == SPF_AT_DONE)
		return;
	struct spf_frame *f = spf_top(e);
	buf_clear(&e->problem);
	va_start(ap, fmt);
	buf_vprintf(&e->problem, fmt, ap);
	va_end(ap);
	e->verdict.result = r;
	e->verdict.problem =
		e->problem.failed ? SLICE_LIT("the reason is too long to be told") : buf_slice(&e->problem);
	e->verdict.inner_domain = f->domain;
	e->verdict.inner_term = f->term.span.len ? spf_term_text(f->record, &f->term) : SLICE_EMPTY;
	for (uint32_t i = 0; i <= e->depth; i++)
		trace_end(e, &e->frames[i], SPF_ERROR, r);
	spf_set_phase(e, SPF_AT_DONE);
}

static void end_no_memory(struct spf_eval *e)
{
	spf_end(e, SPF_TEMPERROR, "no memory");
}

/* The first record, or where it redirected to, has decided. */
static void decide(struct spf_eval *e, enum spf_result r)
{
	struct spf_frame *f = spf_top(e);

	ASSERT(e->depth == 0);
	e->verdict.result = r;
	spf_set_phase(e,
		      r == SPF_FAIL && f->has_exp && !e->request.no_explanation ? SPF_AT_EXP : SPF_AT_DONE);
}

/* An include ends: RFC 7208 5.2's table. */
static void leave(struct spf_eval *e, enum spf_result r)
{
	if (e->depth == 0) {
		decide(e, r);
		return;
	}
	e->depth--;
	struct spf_frame *f = spf_top(e);
	ASSERT(f->term.kind == SPF_INCLUDE);
	trace_end(e, f, r == SPF_PASS ? SPF_MATCH : SPF_NO_MATCH, r);
	if (r == SPF_PASS)
		spf_match(e);
	else
		spf_no_match(e);
}

void spf_match(struct spf_eval *e)
{
	struct spf_frame *f = spf_top(e);
	enum spf_result r = f->term.qualifier;

	trace_end(e, f, SPF_MATCH, r);
	if (f->term.kind != SPF_INCLUDE) {
		e->verdict.inner_domain = f->domain;
		e->verdict.inner_term = spf_term_text(f->record, &f->term);
	}
	if (e->depth == 0) {
		e->verdict.matched = f->term.span;
		e->verdict.term = spf_term_text(f->record, &f->term);
	}
	leave(e, r);
}

void spf_no_match(struct spf_eval *e)
{
	trace_end(e, spf_top(e), SPF_NO_MATCH, SPF_NONE);
	spf_set_phase(e, SPF_AT_TERMS);
}

bool spf_count_voids(struct spf_eval *e, uint32_t n)
{
	e->verdict.voids += n;
	if (e->verdict.voids <= SPF_VOIDS_MAX || e->request.count_on)
		return true;
	spf_end(e, SPF_PERMERROR, "more than %u lookups found nothing", SPF_VOIDS_MAX);
	return false;
}

static bool count_lookup(struct spf_eval *e, struct spf_frame *f)
{
	uint32_t max = e->request.count_on ? SPF_LOOKUPS_COUNTED : SPF_LOOKUPS_MAX;

	if (f->counted)
		return true;
	f->counted = true;
	if (++e->verdict.lookups <= max)
		return true;
	spf_end(e, SPF_PERMERROR, "more than %u terms that look something up", max);
	return false;
}

/* ---- records ---- */

/* The record of `domain` (borrowed from the arena, without last dot) is asked for in the top frame. 4.3: a domain that
 * is none, or has one label only, has no record. */
static bool ask_record(struct spf_eval *e, struct slice domain)
{
	buf_clear(&e->name);
	if (slice_find(domain, '.') == SLICE_NPOS || !spf_target_name(domain, &e->name))
		return false;
	bool redirected = e->phase != SPF_AT_START && spf_top(e)->redirected;
	*spf_top(e) = (struct spf_frame){.domain = domain, .redirected = redirected, .trace = SIZE_MAX};
	spf_ask(e, DNS_TXT, SPF_AT_RECORD);
	return true;
}

static bool has_no_memory(const struct spf_eval *e)
{
	return e->expanded.failed == ERR_NOMEM || e->name.failed == ERR_NOMEM ||
	       e->scratch.failed == ERR_NOMEM;
}

/* Nothing there: none for the domain itself, permerror for include= and redirect= (5.2, 6.1). */
static void end_without_record(struct spf_eval *e, struct slice domain, const char *why)
{
	bool first = e->depth == 0 && !spf_top(e)->redirected;

	if (has_no_memory(e))
		end_no_memory(e);
	else
		spf_end(e, first ? SPF_NONE : SPF_PERMERROR, "%.*s %s", SLICE_ARG(domain), why);
}

/* Looks for the one record in the answer; false: the check is over. 4.5: two are an error. */
static bool select_record(struct spf_eval *e, const struct dns_answer *a, struct slice *ret)
{
	struct spf_frame *f = spf_top(e);
	unsigned found = 0;

	for (uint32_t i = 0; i < a->count; i++) {
		buf_clear(&e->text);
		enum err err = spf_txt_join(a->records[i], &e->text);
		if (err == ERR_NOMEM || err == ERR_LIMIT) {
			end_no_memory(e);
			return false;
		}
		if (err || !spf_record_is(buf_slice(&e->text)))
			continue;
		if (++found > 1) {
			spf_end(e, SPF_PERMERROR, "%.*s has more than one SPF record", SLICE_ARG(f->domain));
			return false;
		}
		if (e->text.len > SPF_RECORD_MAX) {
			spf_end(e, SPF_PERMERROR, "the record of %.*s is longer than %u octets",
				SLICE_ARG(f->domain), SPF_RECORD_MAX);
			return false;
		}
		if (arena_dup(&e->arena, buf_slice(&e->text), ret) != ERR_OK) {
			end_no_memory(e);
			return false;
		}
	}
	if (found == 0)
		end_without_record(e, f->domain, "has no SPF record");
	return found == 1;
}

static void end_syntax(struct spf_eval *e, const struct spf_term *t, const char *why)
{
	struct spf_frame *f = spf_top(e);

	f->term = *t;
	spf_end(e, SPF_PERMERROR, "%.*s: \"%.*s\": %s", SLICE_ARG(f->domain),
		SLICE_ARG(slice_sub(spf_term_text(f->record, t), 0, SPF_PROBLEM_MAX / 4)), why);
}

/* All terms are read before any is evaluated (4.6). */
static void check_record(struct spf_eval *e)
{
	struct spf_frame *f = spf_top(e);
	struct spf_term t;
	size_t pos = 0;

	while (spf_term_next(f->record, &pos, &t)) {
		bool again = (t.kind == SPF_REDIRECT && f->has_redirect) || (t.kind == SPF_EXP && f->has_exp);
		if (t.problem || again) {
			end_syntax(e, &t, t.problem ? t.problem : "a modifier that may be there once only");
			return;
		}
		if (t.kind == SPF_REDIRECT) {
			f->has_redirect = true;
			f->redirect = t;
		} else if (t.kind == SPF_EXP) {
			f->has_exp = true;
			f->exp = t;
		}
	}
	if (e->depth == 0) {
		e->verdict.domain = f->domain;
		e->verdict.record = f->record;
	}
	spf_set_phase(e, SPF_AT_TERMS);
}

static void on_record(struct spf_eval *e, const struct dns_answer *a)
{
	struct spf_frame *f = spf_top(e);
	bool first = e->depth == 0 && !f->redirected;

	if (spf_is_trouble(a)) {
		spf_end(e, SPF_TEMPERROR, "%.*s: %.*s", SLICE_ARG(f->domain), SLICE_ARG(a->text));
		return;
	}
	if (spf_is_void(a)) {
		if (first || spf_count_voids(e, 1))
			end_without_record(e, f->domain,
					   a->status == DNS_NXDOMAIN ? "does not exist"
								     : "has no SPF record");
		return;
	}
	if (select_record(e, a, &f->record))
		check_record(e);
}

/* ---- terms ---- */

static void next_term(struct spf_eval *e)
{
	struct spf_frame *f = spf_top(e);

	do {
		if (!spf_term_next(f->record, &f->pos, &f->term)) {
			/* Behind the last mechanism: redirect, else neutral (4.7). With an `all` nobody comes here, so
			 * that a redirect beside it has no effect (6.1). */
			f->term = (struct spf_term){.kind = SPF_UNKNOWN};
			if (!f->has_redirect) {
				leave(e, SPF_NEUTRAL);
				return;
			}
			f->term = f->redirect;
			break;
		}
	} while (spf_term_is_modifier(&f->term));
	f->counted = f->validated = false;
	trace_begin(e, f);
	spf_set_phase(e, SPF_AT_TERM);
}

static void expand(struct spf_eval *e, struct slice text)
{
	e->macros.domain = spf_top(e)->domain;
	if (spf_macro_uses(text, 'p'))
		e->macros.validated = spf_validated_name(e, e->macros.domain);
	buf_clear(&e->expanded);
	spf_macro_expand(text, &e->macros, &e->expanded);
}

/* Expands a domain-spec; *ret is the name as text, borrowed from e->expanded, and e->name as it is asked for. False: no
 * name comes of it. RFC 8616 4: a local part that is not ASCII makes terms with %{l} or %{s} match nothing. */
static bool target_of(struct spf_eval *e, struct slice spec, struct slice *ret)
{
	struct spf_frame *f = spf_top(e);

	buf_clear(&e->name);
	if (spec.len == 0) {
		*ret = f->domain;
		return spf_target_name(*ret, &e->name);
	}
	if (!e->local_is_ascii && (spf_macro_uses(spec, 'l') || spf_macro_uses(spec, 's')))
		return false;
	expand(e, spec);
	if (e->expanded.failed)
		return false;
	*ret = spf_target_cut(buf_slice(&e->expanded));
	return spf_target_name(*ret, &e->name);
}

static void enter(struct spf_eval *e, struct slice target)
{
	struct slice domain;

	if (arena_dup(&e->arena, target, &domain) != ERR_OK) {
		end_no_memory(e);
		return;
	}
	if (e->depth == SPF_DEPTH_MAX) {
		spf_end(e, SPF_PERMERROR, "includes more than %u deep", SPF_DEPTH_MAX);
		return;
	}
	e->depth++;
	*spf_top(e) = (struct spf_frame){.domain = domain, .trace = SIZE_MAX};
	if (!ask_record(e, domain))
		end_without_record(e, domain, "is not a domain name");
}

static void redirect(struct spf_eval *e, struct slice target)
{
	struct spf_frame *f = spf_top(e);
	struct slice domain;

	if (arena_dup(&e->arena, target, &domain) != ERR_OK) {
		end_no_memory(e);
		return;
	}
	trace_end(e, f, SPF_FOLLOWED, SPF_NONE);
	f->redirected = true;
	if (!ask_record(e, domain))
		end_without_record(e, domain, "is not a domain name");
}

static void compare_names(struct spf_eval *e)
{
	if (spf_ptr_matches(e, buf_slice(&e->name)))
		spf_match(e);
	else
		spf_no_match(e);
}

static void ask_term(struct spf_eval *e, struct slice target)
{
	struct spf_frame *f = spf_top(e);

	trace_target(e, f);
	switch (f->term.kind) {
	case SPF_INCLUDE:
		enter(e, target);
		return;
	case SPF_REDIRECT:
		redirect(e, target);
		return;
	case SPF_A:
		spf_ask_addresses(e, SPF_AT_ADDRESSES);
		return;
	case SPF_EXISTS:
		spf_ask(e, DNS_A, SPF_AT_ADDRESSES);
		return;
	case SPF_MX:
		spf_ask(e, DNS_MX, SPF_AT_MX);
		return;
	default:
		compare_names(e);
		return;
	}
}

/* A target that cannot be asked for: nobody matches it (4.8 leaves that open), but a record cannot come of it. */
static void without_target(struct spf_eval *e)
{
	struct spf_frame *f = spf_top(e);

	if (has_no_memory(e))
		end_no_memory(e);
	else if (f->term.kind == SPF_INCLUDE || f->term.kind == SPF_REDIRECT)
		end_syntax(e, &f->term, "no domain name comes of it");
	else
		spf_no_match(e);
}

static void look_up(struct spf_eval *e)
{
	struct spf_frame *f = spf_top(e);
	struct slice target;

	if (!count_lookup(e, f))
		return;
	bool names = f->term.kind == SPF_PTR || spf_macro_uses(f->term.domain, 'p');
	if (names && e->ptr_state == SPF_PTR_UNKNOWN) {
		spf_start_ptr(e);
		return;
	}
	/* An earlier term had them looked up: what that cost is this term's cost too. */
	if (names && !f->validated && !spf_count_voids(e, e->ptr_voids))
		return;
	if (target_of(e, f->term.domain, &target))
		ask_term(e, target);
	else
		without_target(e);
}

static void evaluate_term(struct spf_eval *e)
{
	const struct spf_term *t = &spf_top(e)->term;
	bool match;

	switch (t->kind) {
	case SPF_ALL:
		match = true;
		break;
	case SPF_IP4:
		match = spf_addr_match(&e->request.ip, &t->addr, t->bits4);
		break;
	case SPF_IP6: /* an IPv4 client is never of its family, mapped or not */
		match = spf_addr_match(&e->request.ip, &t->addr, t->bits6);
		break;
	default:
		look_up(e);
		return;
	}
	if (match)
		spf_match(e);
	else
		spf_no_match(e);
}

/* ---- exp= ---- */

/* 6.2: whatever goes wrong here, the result stands and there is no explanation. */
static void ask_explanation(struct spf_eval *e)
{
	struct slice spec = spf_top(e)->exp.domain, target;

	if (e->ptr_state == SPF_PTR_UNKNOWN && spf_macro_uses(spec, 'p'))
		spf_start_ptr(e);
	else if (target_of(e, spec, &target))
		spf_ask(e, DNS_TXT, SPF_AT_EXP_TEXT);
	else
		spf_set_phase(e, SPF_AT_DONE);
}

static void on_explanation(struct spf_eval *e, const struct dns_answer *a)
{
	buf_clear(&e->text);
	if (a->status != DNS_OK || a->count != 1 || spf_txt_join(a->records[0], &e->text) != ERR_OK ||
	    spf_macro_problem(buf_slice(&e->text), SPF_IN_EXPLANATION) ||
	    arena_dup(&e->arena, buf_slice(&e->text), &e->exp_text) != ERR_OK) {
		spf_set_phase(e, SPF_AT_DONE);
		return;
	}
	spf_set_phase(e, SPF_AT_EXPAND);
}

static void expand_explanation(struct spf_eval *e)
{
	if (e->ptr_state == SPF_PTR_UNKNOWN && spf_macro_uses(e->exp_text, 'p')) {
		spf_start_ptr(e);
		return;
	}
	expand(e, e->exp_text);
	if (!e->expanded.failed)
		e->verdict.explanation = buf_slice(&e->expanded);
	spf_set_phase(e, SPF_AT_DONE);
}

/* ---- the machine ---- */

static void run(struct spf_eval *e)
{
	while (e->phase != SPF_AT_DONE && !asks(e->phase)) {
		switch (e->phase) {
		case SPF_AT_START:
			if (!ask_record(e, e->macros.domain))
				end_without_record(e, e->macros.domain, "is not a domain name");
			break;
		case SPF_AT_TERMS:
			next_term(e);
			break;
		case SPF_AT_TERM:
			evaluate_term(e);
			break;
		case SPF_AT_EXP:
			ask_explanation(e);
			break;
		default:
			ASSERT(e->phase == SPF_AT_EXPAND);
			expand_explanation(e);
			break;
		}
	}
}

static void take(struct spf_eval *e, const struct dns_answer *a)
{
	static void (*const takers[])(struct spf_eval *, const struct dns_answer *) = {
		[SPF_AT_RECORD] = on_record,
		[SPF_AT_ADDRESSES] = spf_on_addresses,
		[SPF_AT_MX] = spf_on_mx,
		[SPF_AT_MX_HOST] = spf_on_mx_host,
		[SPF_AT_PTR] = spf_on_ptr,
		[SPF_AT_PTR_HOST] = spf_on_ptr_host,
		[SPF_AT_EXP_TEXT] = on_explanation,
	};
	ASSERT(a && asks(e->phase));
	takers[e->phase](e, a);
}

enum spf_step spf_eval_step(struct spf_eval *e, const struct dns_answer *answer, struct spf_question *ret)
{
	if (e->phase == SPF_AT_DONE)
		return SPF_DONE;
	if (e->phase != SPF_AT_START)
		take(e, answer);
	run(e);
	if (e->phase == SPF_AT_DONE) {
		e->verdict.trace = e->trace;
		return SPF_DONE;
	}
	*ret = (struct spf_question){.name = buf_slice(&e->name), .type = e->type};
	return SPF_ASK;
}

const struct spf_verdict *spf_eval_verdict(const struct spf_eval *e)
{
	ASSERT(e->phase == SPF_AT_DONE);
	return &e->verdict;
}
