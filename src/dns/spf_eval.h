/* check_host() of RFC 7208: may this client send mail in the name of this domain? A machine without I/O.
 *
 *	struct spf_question q;
 *	spf_eval_start(e, &request);
 *	for (enum spf_step s = spf_eval_step(e, NULL, &q); s == SPF_ASK; s = spf_eval_step(e, answer, &q))
 *		answer = what DNS says about q;
 *	use spf_eval_verdict(e);
 *
 * spf_eval_run does that over a table that answers at once; dns/spf_check.h over struct dns_lookup.
 *
 *   START --> RECORD --one record--> TERMS --include--> RECORD (one deeper)
 *                    \--none, two--> done   --a, exists--> ADDRESSES --> TERMS
 *                                           --mx--> MX --> MX_HOST ... --> TERMS
 *                                           --ptr, %{p}--> PTR --> PTR_HOST ... --> TERMS (or EXP)
 *                                           --redirect--> RECORD (same depth)
 *                                           --fail at the top, exp=--> EXP --> EXP_TEXT --> done
 *
 * Limits (4.6.4): ten terms that ask, two void lookups, ten names of MX (more: permerror) and of PTR (more: ignored).
 * Every question of a term that finds nothing is a void lookup, also those for the names of MX and PTR; the first one
 * for the domain itself and those for exp= are not. As 5.4 and 5.5 say, all names of an MX or PTR answer are looked
 * up before any is compared. Memory and lengths: limits.h; a limit hit is permerror, want of memory is temperror.
 */
#pragma once

#include "dns/lookup.h"
#include "dns/spf_record.h"

struct spf_request {
	struct spf_addr ip;
	struct slice sender; /* MAIL FROM without <>; empty: postmaster@helo is checked (2.4) */
	struct slice helo;   /* as said; may be anything */
	struct slice
		domain; /* checked instead of the sender's domain; empty: the sender's. For HELO give an empty
				  sender. */
	struct slice receiver; /* %{r}; empty: "unknown" */
	int64_t now_s;         /* %{t}: wall clock */
	bool no_explanation;   /* do not ask for exp= */
	bool trace;            /* keep what was evaluated */
	bool count_on; /* count lookups and voids on behind their limits (to SPF_LOOKUPS_COUNTED), for costs. The
			  result is then not that of RFC 7208. */
};

struct spf_question {
	struct slice
		name; /* as name_from_wire writes it: lower case, no last dot, other octets than letters, digits,
			      '-' and '_' as \DDD; borrowed until the next call */
	enum dns_type type;
};

enum spf_outcome {
	SPF_MATCH,
	SPF_NO_MATCH,
	SPF_ERROR,   /* the check ended here */
	SPF_FOLLOWED /* a redirect that was taken */
};

struct spf_trace {
	uint32_t depth;      /* 0: the first record and where it redirects to; 1: an include of it; ... */
	struct slice domain; /* whose record */
	struct slice term;   /* as written */
	struct slice target; /* what was looked up, macros expanded; empty: nothing */
	enum spf_outcome outcome;
	enum spf_result result;  /* of include: what the included record said; of a match: the qualifier */
	uint32_t lookups, voids; /* that it cost, included ones too */
};

/* Everything is borrowed from the evaluation, until its next start. */
struct spf_verdict {
	enum spf_result result;
	struct slice domain;     /* whose record decided: the checked domain, or where it redirects to */
	struct slice record;     /* its text; empty: none */
	struct spf_span matched; /* the term of it that matched; len 0: none did */
	struct slice term;       /* that term as text */
	struct slice inner_domain,
		inner_term; /* the innermost match when `term` is an include; else as above */
	struct slice
		explanation; /* of fail; empty: none is given. From the domain owner and the sender: not to be
				     trusted, may hold any octet. */
	struct slice problem;    /* in words, of none, temperror and permerror */
	uint32_t lookups, voids; /* counted as the limits count them */
	uint32_t questions;      /* asked in all */
	size_t trace_count;
	const struct spf_trace *trace;
	bool trace_cut; /* SPF_TRACE_MAX was reached */
};

enum spf_step { SPF_ASK, SPF_DONE };

struct spf_eval;
/* One may serve any number of evaluations, one after the other. ERR_NOMEM. */
MUST_CHECK enum err spf_eval_new(struct spf_eval **ret);
void spf_eval_free(struct spf_eval *e); /* NULL is fine */

/* Copies what it needs of r; an evaluation under way is dropped. */
void spf_eval_start(struct spf_eval *e, const struct spf_request *r);
/* `answer` to the last question, NULL on the first call. Borrowed for the call. */
enum spf_step spf_eval_step(struct spf_eval *e, const struct dns_answer *answer, struct spf_question *ret);
const struct spf_verdict *spf_eval_verdict(const struct spf_eval *e); /* after SPF_DONE */

/* DNS that answers at once: a zone in memory, a script. `ret` and what it points to stay valid until the next call. */
struct spf_dns {
	void *self;
	void (*answer)(void *self, struct slice name, enum dns_type type, struct dns_answer *ret);
};
const struct spf_verdict *spf_eval_run(struct spf_eval *e, const struct spf_request *r,
				       const struct spf_dns *dns);

struct spf_cost {
	uint32_t lookups, voids;              /* the largest, each for itself */
	struct spf_addr lookups_of, voids_of; /* for these clients */
};
/* The worst over some clients (of both families), everything else as in r, counted on behind the limits. A client
 * that no term names walks through all of a record. */
void spf_eval_worst(struct spf_eval *e, const struct spf_request *r, const struct spf_addr *clients,
		    size_t count, const struct spf_dns *dns, struct spf_cost *ret);
