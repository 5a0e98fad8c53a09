#include "tidegate/spf_show.h"

#include "core/text.h"
#include "dns/limits.h"
#include "tidegate/cell.h"

#include <inttypes.h>

#define INDENT     2u
#define LABEL      13
#define NETS_SHOWN 8u /* of one term; the JSON has all */

static void add_indent(struct buf *out, uint32_t depth)
{
	for (uint32_t i = 0; i < depth * INDENT; i++)
		buf_add_char(out, ' ');
}

static void add_label(struct buf *out, const char *label)
{
	buf_printf(out, "  %-*s", LABEL, label);
}

static void add_line(struct buf *out, const char *label, struct slice text)
{
	if (text.len == 0)
		return;
	add_label(out, label);
	cell_text(out, text);
	buf_add_char(out, '\n');
}

static const char *plural(uint32_t n)
{
	return n == 1 ? "" : "s";
}

/* ---- a verdict ---- */

static const char *meaning(enum spf_result r)
{
	static const char *const texts[] = {
		[SPF_NONE] = "there is nothing to go by for",
		[SPF_NEUTRAL] = "nothing is said about this sender by",
		[SPF_PASS] = "is authorised by",
		[SPF_FAIL] = "is not authorised, and mail should be refused, says",
		[SPF_SOFTFAIL] = "is probably not authorised, says",
		[SPF_TEMPERROR] = "cannot be judged now; DNS failed for",
		[SPF_PERMERROR] = "cannot be judged: an error in what is published for",
	};
	return texts[r];
}

static void add_trace(const struct spf_verdict *v, struct buf *out)
{
	static const char *const outcomes[] = {"match", "no", "error", "followed"};
	struct slice domain = SLICE_EMPTY;
	uint32_t depth = UINT32_MAX;

	for (size_t i = 0; i < v->trace_count; i++) {
		const struct spf_trace *t = &v->trace[i];
		if (t->depth != depth || !slice_eq(t->domain, domain)) {
			add_indent(out, t->depth);
			cell_text(out, t->domain);
			buf_add_str(out, ":\n");
		}
		domain = t->domain;
		depth = t->depth;
		add_indent(out, depth + 1);
		buf_printf(out, "%-9s", outcomes[t->outcome]);
		cell_text(out, t->term);
		if (t->target.len) {
			buf_add_str(out, "  looks up ");
			cell_text(out, t->target);
		}
		if (t->voids)
			buf_printf(out, " (%" PRIu32 " without a result)", t->voids);
		buf_add_char(out, '\n');
	}
	if (v->trace_cut)
		buf_add_str(out, "... and more\n");
}

static void add_matched(const struct spf_verdict *v, struct buf *out)
{
	if (v->matched.len == 0)
		return;
	add_line(out, "matched", v->term);
	if (slice_eq(v->inner_term, v->term) && slice_eq(v->inner_domain, v->domain))
		return;
	add_label(out, "within it");
	cell_text(out, v->inner_term);
	buf_add_str(out, " of ");
	cell_text(out, v->inner_domain);
	buf_add_char(out, '\n');
}

void spf_show_verdict(const struct spf_subject *s, const struct spf_verdict *v, struct buf *out)
{
	buf_printf(out, "%s: ", spf_result_name(v->result));
	spf_addr_format(&s->ip, out);
	buf_printf(out, " %s ", meaning(v->result));
	cell_text(out, v->domain);
	buf_add_char(out, '\n');
	add_line(out, "because", v->problem);
	add_matched(v, out);
	add_line(out, "record", v->record);
	add_line(out, "sender", s->sender);
	add_line(out, "HELO", s->helo);
	add_label(out, "lookups");
	buf_printf(out, "%" PRIu32 " of %u\n", v->lookups, SPF_LOOKUPS_MAX);
	add_label(out, "voids");
	buf_printf(out, "%" PRIu32 " of %u\n", v->voids, SPF_VOIDS_MAX);
	add_line(out, "explanation", v->explanation);
	if (!s->trace || v->trace_count == 0)
		return;
	buf_add_char(out, '\n');
	add_trace(v, out);
}

/* ---- a tree ---- */

static void add_cost(struct buf *out, uint32_t lookups, uint32_t voids4, uint32_t voids6)
{
	if (lookups)
		buf_printf(out, "%" PRIu32 " lookup%s", lookups, plural(lookups));
	if (voids4 || voids6)
		buf_printf(out, ", without a result: %" PRIu32 " for IPv4, %" PRIu32 " for IPv6", voids4,
			   voids6);
}

static void add_nets(const struct spf_branch *b, struct buf *out)
{
	for (size_t i = 0; i < MIN(b->net_count, NETS_SHOWN); i++) {
		buf_add_str(out, i ? ", " : "  ");
		spf_net_format(&b->nets[i], out);
	}
	if (b->net_count > NETS_SHOWN)
		buf_printf(out, ", and %zu more", b->net_count - NETS_SHOWN);
}

static const char *without_record(enum dns_status s)
{
	if (s == DNS_TEMPORARY || s == DNS_BOGUS)
		return ": DNS fails";
	return s == DNS_NXDOMAIN ? ": does not exist" : ": no SPF record";
}

static void add_node(const struct spf_node *n, uint32_t depth, struct buf *out);

static void add_branch(const struct spf_node *n, const struct spf_branch *b, uint32_t depth, struct buf *out)
{
	const struct spf_term *t = b->term;
	bool resolved = t->kind == SPF_A || t->kind == SPF_MX;

	add_indent(out, depth);
	cell_text(out, spf_term_text(n->record.text, t));
	if (t->kind == SPF_BROKEN)
		buf_add_str(out, "  (an error)");
	if (t->kind == SPF_PTR || (spf_term_asks(t) && t->macros))
		buf_add_str(out, "  (depends on the sender)");
	if (resolved)
		add_nets(b, out);
	if (resolved && !t->macros && b->net_count == 0)
		buf_add_str(out, b->trouble ? "  (DNS fails)" : "  (no address)");
	buf_add_char(out, '\n');
	if (b->node)
		add_node(b->node, depth + 1, out);
}

/* As deep as the tree, which has at most SPF_TREE_RECORDS_MAX records. */
static void add_node(const struct spf_node *n, uint32_t depth, struct buf *out)
{
	add_indent(out, depth);
	cell_text(out, n->domain);
	if (n->loop) {
		buf_add_str(out, ": a loop");
	} else if (n->record.text.len == 0) {
		buf_add_str(out, without_record(n->status));
	} else {
		buf_add_str(out, n->lookups ? ": " : ": no lookups");
		add_cost(out, n->lookups, n->voids4, n->voids6);
	}
	buf_add_char(out, '\n');
	for (size_t i = 0; n->branches && i < n->record.count; i++)
		add_branch(n, &n->branches[i], depth + 1, out);
}

/* Whom the record lets send: networks behind terms that pass, through includes that pass. */
static void add_authorised(const struct spf_node *n, struct buf *out)
{
	for (size_t i = 0; n->branches && i < n->record.count; i++) {
		const struct spf_branch *b = &n->branches[i];
		bool passes = b->term->qualifier == SPF_PASS || b->term->kind == SPF_REDIRECT;
		if (b->node && passes)
			add_authorised(b->node, out);
		for (size_t k = 0; passes && k < b->net_count; k++) {
			buf_add_str(out, "  ");
			spf_net_format(&b->nets[k], out);
			buf_add_str(out, "  by ");
			cell_text(out, spf_term_text(n->record.text, b->term));
			buf_add_str(out, " of ");
			cell_text(out, n->domain);
			buf_add_char(out, '\n');
		}
	}
}

static void add_problems(const struct spf_tree *t, struct buf *out)
{
	for (const struct spf_problem *p = spf_tree_problems(t); p; p = p->next) {
		buf_add_str(out, p->fatal ? "  ERROR  " : "  note   ");
		cell_text(out, p->domain);
		if (p->term.len) {
			buf_add_str(out, ": ");
			cell_text(out, p->term);
		}
		buf_add_str(out, ": ");
		cell_text(out, p->text);
		buf_add_char(out, '\n');
	}
}

void spf_show_tree(const struct spf_tree *t, struct slice domain, struct buf *out)
{
	const struct spf_node *root = spf_tree_root(t);

	if (!root) {
		cell_text(out, domain);
		buf_add_str(out, ": not a domain name\n");
		return;
	}
	add_node(root, 0, out);
	if (spf_tree_cut(t))
		buf_add_str(out, "... there is more than is followed here\n");
	size_t before = out->len;
	buf_add_str(out, "\nAuthorised:\n");
	size_t head = out->len;
	add_authorised(root, out);
	if (out->len == head && !out->failed)
		out->len = before;
	if (spf_tree_problems(t))
		buf_add_str(out, "\nProblems:\n");
	add_problems(t, out);
}
