/* The inside of an evaluation, shared by spf_eval.c (records, terms, verdict) and spf_hosts.c (addresses, MX, PTR). */
#pragma once

#include "core/arena.h"
#include "dns/spf_eval.h"
#include "dns/spf_macro.h"

#define SPF_NAME_TEXT_MAX (4u * DNS_NAME_MAX) /* octets of a name in which every octet is escaped */
#define SPF_PROBLEM_MAX   512u

enum spf_phase {
	SPF_AT_START,
	SPF_AT_RECORD, /* asked for TXT of the top frame's domain */
	SPF_AT_TERMS,  /* goes to the next term */
	SPF_AT_TERM,   /* evaluates the frame's term */
	SPF_AT_ADDRESSES,
	SPF_AT_MX,
	SPF_AT_MX_HOST,
	SPF_AT_PTR,
	SPF_AT_PTR_HOST,
	SPF_AT_EXP,      /* expands the name in exp= */
	SPF_AT_EXP_TEXT, /* asked for TXT of it */
	SPF_AT_EXPAND,   /* expands the explanation */
	SPF_AT_DONE,
};

/* A record under evaluation: the first one, or an include within the one below. A redirect replaces its frame. */
struct spf_frame {
	struct slice domain; /* in the arena, case as written, no last dot */
	struct slice record; /* in the arena */
	size_t pos;          /* in the record: behind the current term */
	struct spf_term term, redirect, exp;
	bool has_redirect, has_exp, redirected;
	bool counted;   /* the current term: its lookup is */
	bool validated; /* the current term: it had the client's names looked up itself */
	size_t trace;   /* the current term's entry; SIZE_MAX: none */
};

struct spf_host {
	struct slice name; /* in the arena, as name_from_wire writes it */
	uint16_t preference;
	bool valid; /* of PTR: its addresses hold the client */
};

struct spf_hosts {
	uint32_t count, next;
	struct spf_host at[SPF_NAMES_MAX];
};

enum spf_ptr_state { SPF_PTR_UNKNOWN, SPF_PTR_RUNNING, SPF_PTR_KNOWN };

struct spf_eval {
	struct arena arena; /* of one evaluation */
	struct spf_request request;
	struct spf_macros macros;
	bool local_is_ascii;
	enum spf_phase phase;
	struct spf_frame frames[SPF_DEPTH_MAX + 1];
	uint32_t depth;

	struct buf name; /* of the question, as name_from_wire writes it */
	struct buf text; /* of a TXT record, its strings joined */
	struct buf expanded;
	struct buf scratch; /* a name to compare with */
	enum dns_type type;

	struct spf_hosts mx;
	bool mx_match;

	/* the client's own names, looked up once */
	enum spf_ptr_state ptr_state;
	enum spf_phase ptr_return;
	struct spf_hosts ptr;
	uint32_t ptr_voids;

	struct slice exp_text; /* the explanation before its macros are expanded; in the arena */
	struct buf problem;
	struct spf_trace *trace; /* owned; SPF_TRACE_MAX entries, or NULL */
	struct spf_verdict verdict;
};

struct spf_frame *spf_top(struct spf_eval *e);
void spf_set_phase(struct spf_eval *e, enum spf_phase to);
void spf_ask(struct spf_eval *e, enum dns_type type, enum spf_phase to); /* about e->name */

/* How a term ends. After each of them the phase is TERMS, EXP or DONE. */
void spf_match(struct spf_eval *e);
void spf_no_match(struct spf_eval *e);
void spf_end(struct spf_eval *e, enum spf_result r, const char *fmt, ...)
	ATTR_PRINTF(3, 4); /* the whole check */

/* Counts void lookups; false: that was too many and the check is over. */
MUST_CHECK bool spf_count_voids(struct spf_eval *e, uint32_t n);
bool spf_is_void(const struct dns_answer *a);
bool spf_is_trouble(const struct dns_answer *a);

/* ---- spf_hosts.c ---- */
void spf_ask_addresses(struct spf_eval *e, enum spf_phase to);
void spf_on_addresses(struct spf_eval *e, const struct dns_answer *a); /* of a, exists */
void spf_on_mx(struct spf_eval *e, const struct dns_answer *a);
void spf_on_mx_host(struct spf_eval *e, const struct dns_answer *a);
void spf_start_ptr(struct spf_eval *e); /* comes back to the phase it was called in */
void spf_on_ptr(struct spf_eval *e, const struct dns_answer *a);
void spf_on_ptr_host(struct spf_eval *e, const struct dns_answer *a);
bool spf_ptr_matches(const struct spf_eval *e, struct slice target); /* target: as name_from_wire writes it */
struct slice spf_validated_name(struct spf_eval *e, struct slice domain); /* %{p}; empty: none */
