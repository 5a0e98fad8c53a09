/* What a tree costs and what is wrong with it. */
#include "dns/spf_tree_priv.h"

#define TEXT_MAX 512u

static void add(struct spf_tree *t, bool fatal, const struct spf_node *n, const struct spf_term *term,
		const char *fmt, ...) ATTR_PRINTF(5, 6);

static void add(struct spf_tree *t, bool fatal, const struct spf_node *n, const struct spf_term *term,
		const char *fmt, ...)
{
	struct spf_problem *p = arena_alloc(&t->arena, sizeof(*p));
	CLEANUP(buf_done) struct buf text;
	va_list ap;

	buf_init(&text, TEXT_MAX);
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	if (!p || text.failed || arena_dup(&t->arena, buf_slice(&text), &p->text) != ERR_OK) {
		t->no_memory = true;
		return;
	}
	p->fatal = fatal;
	p->domain = n->domain;
	p->term = term ? spf_term_text(n->record.text, term) : SLICE_EMPTY;
	if (fatal) {
		*t->fatal_end = p;
		t->fatal_end = &p->next;
	} else {
		*t->others_end = p;
		t->others_end = &p->next;
	}
}

/* ---- costs ---- */

/* A term that is never evaluated costs nothing. */
static bool counts(const struct spf_record *r, const struct spf_term *term)
{
	return spf_term_asks(term) && (!r->all || (term < r->all && term->kind != SPF_REDIRECT));
}

/* No deeper than SPF_TREE_RECORDS_MAX: each level is a record. */
static void add_costs(struct spf_node *n)
{
	for (size_t i = 0; n->branches && i < n->record.count; i++) {
		struct spf_branch *b = &n->branches[i];
		if (!counts(&n->record, b->term))
			continue;
		n->lookups++;
		n->voids4 += b->voids4;
		n->voids6 += b->voids6;
		if (!b->node)
			continue;
		add_costs(b->node);
		n->lookups += b->node->lookups;
		n->voids4 += b->node->voids4;
		n->voids6 += b->node->voids6;
	}
}

/* ---- problems ---- */

static void judge_hosts(struct spf_tree *t, const struct spf_node *n, const struct spf_branch *b)
{
	const struct spf_term *term = b->term;

	if (term->kind == SPF_PTR)
		add(t, false, n, term,
		    "ptr is slow and unreliable; RFC 7208 says that it should not be used");
	if (term->kind == SPF_MX && b->hosts > SPF_NAMES_MAX)
		add(t, true, n, term, "there are %u MX records; more than %u are an error", b->hosts,
		    SPF_NAMES_MAX);
	else if (b->trouble)
		add(t, false, n, term, "DNS fails for a name that it needs");
	else if ((term->kind == SPF_A || term->kind == SPF_MX) && b->net_count == 0 &&
		 b->voids4 + b->voids6 > 0)
		add(t, false, n, term,
		    "there is no address behind it, and that counts as a lookup without a result");
	else if (term->kind == SPF_EXISTS && b->voids4 > 0)
		add(t, false, n, term, "the name does not exist");
}

static void judge_networks(struct spf_tree *t, const struct spf_node *n, const struct spf_branch *b)
{
	const struct spf_term *term = b->term;

	if (term->qualifier != SPF_PASS || (term->kind != SPF_IP4 && term->kind != SPF_IP6))
		return;
	if (b->net_count && b->nets[0].prefix == 0)
		add(t, false, n, term, "the whole internet is authorised");
	else if (term->kind == SPF_IP4 && term->bits4 < 8)
		add(t, false, n, term, "a very large network is authorised");
}

static void judge_follow(struct spf_tree *t, const struct spf_node *n, const struct spf_branch *b)
{
	const struct spf_node *to = b->node;

	if (b->term->macros)
		add(t, false, n, b->term, "which record it leads to depends on the sender");
	else if (!to)
		add(t, true, n, b->term, "no domain name comes of it");
	else if (to->loop)
		add(t, true, n, b->term, "a loop: %.*s leads to itself", SLICE_ARG(to->domain));
	else if (to->status == DNS_TEMPORARY || to->status == DNS_BOGUS)
		add(t, false, n, b->term, "DNS fails for %.*s: a temporary error for receivers",
		    SLICE_ARG(to->domain));
	else if (to->status == DNS_NXDOMAIN)
		add(t, true, n, b->term, "%.*s does not exist", SLICE_ARG(to->domain));
	else if (to->record.text.len == 0 && !t->cut)
		add(t, true, n, b->term, "%.*s has no SPF record", SLICE_ARG(to->domain));
}

static void judge_all(struct spf_tree *t, const struct spf_node *n)
{
	const struct spf_record *r = &n->record;

	if (!r->all)
		return;
	const struct spf_term *end = r->terms + r->count;
	if (r->all->qualifier == SPF_PASS)
		add(t, false, n, r->all, "everybody is authorised");
	if (r->all->qualifier == SPF_NEUTRAL)
		add(t, false, n, r->all, "nothing is said about senders that are not named");
	if (r->redirect)
		add(t, false, n, r->redirect, "it has no effect beside all");
	for (const struct spf_term *x = r->all + 1; x < end; x++)
		if (!spf_term_is_modifier(x) && !x->problem)
			add(t, false, n, x, "it stands behind all and is never reached");
}

static bool is_version(const struct spf_term *term)
{
	return term->kind == SPF_UNKNOWN && slice_ieq_str(term->name, "v");
}

static void judge_terms(struct spf_tree *t, const struct spf_node *n)
{
	const struct spf_record *r = &n->record;

	for (size_t i = 0; n->branches && i < r->count; i++) {
		const struct spf_branch *b = &n->branches[i];
		if (b->term->problem)
			add(t, true, n, b->term, "%s", b->term->problem);
		if (is_version(b->term))
			add(t, false, n, b->term, "a second version: two records were joined?");
		judge_networks(t, n, b);
		if (!counts(r, b->term))
			continue;
		judge_hosts(t, n, b);
		if (b->term->kind == SPF_INCLUDE || b->term->kind == SPF_REDIRECT)
			judge_follow(t, n, b);
	}
}

static void judge_record(struct spf_tree *t, const struct spf_node *n)
{
	const struct spf_record *r = &n->record;

	if (n->several)
		add(t, true, n, NULL, "there is more than one SPF record");
	if (r->text.len == 0)
		return;
	if (r->problem && !r->terms)
		add(t, true, n, NULL, "%s", r->problem);
	else if (r->problem && slice_starts(slice_str(r->problem), SLICE_LIT("a second ")))
		add(t, true, n, NULL, "%s", r->problem); /* each of the two alone is well formed */
	if (r->text.len > SPF_LENGTH_ADVISED)
		add(t, false, n, NULL, "%zu octets long; over %u may not fit into an answer", r->text.len,
		    SPF_LENGTH_ADVISED);
	judge_terms(t, n);
	judge_all(t, n);
}

static void judge_below(struct spf_tree *t, const struct spf_node *n)
{
	judge_record(t, n);
	for (size_t i = 0; n->branches && i < n->record.count; i++)
		if (n->branches[i].node)
			judge_below(t, n->branches[i].node);
}

static void judge_root(struct spf_tree *t, const struct spf_node *n)
{
	if (n->status == DNS_NXDOMAIN)
		add(t, false, n, NULL, "the domain does not exist");
	else if (n->status == DNS_TEMPORARY || n->status == DNS_BOGUS)
		add(t, false, n, NULL, "DNS fails for the domain: a temporary error for receivers");
	else if (n->record.text.len == 0)
		add(t, false, n, NULL, "there is no SPF record");
	else if (!n->record.all && !n->record.redirect && n->record.terms)
		add(t, false, n, NULL,
		    "it ends without all: nothing is said about senders that are not named");
	if (n->lookups > SPF_LOOKUPS_MAX)
		add(t, true, n, NULL, "it takes %u lookups; receivers stop at %u", n->lookups,
		    SPF_LOOKUPS_MAX);
	if (MAX(n->voids4, n->voids6) > SPF_VOIDS_MAX)
		add(t, true, n, NULL, "%u lookups find nothing; receivers stop at %u",
		    MAX(n->voids4, n->voids6), SPF_VOIDS_MAX);
}

void spf_judge(struct spf_tree *t)
{
	if (t->root && !t->no_memory) {
		add_costs(t->root);
		judge_root(t, t->root);
		judge_below(t, t->root);
	}
	*t->fatal_end = t->others; /* one list, the fatal ones first */
}
