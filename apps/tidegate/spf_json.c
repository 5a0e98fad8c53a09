/* The JSON side of spf_show.h. A value that could not be made (no memory) makes jansson's setters fail, which `ok`
 * collects. */
#include "tidegate/json.h"
#include "tidegate/spf_show.h"

static bool set_text(json_t *o, const char *key, struct slice s)
{
	return json_object_set_new(o, key, s.len ? json_text(s) : json_null()) == 0;
}

static bool set_number(json_t *o, const char *key, uint32_t n)
{
	return json_object_set_new(o, key, json_integer(n)) == 0;
}

static bool set_flag(json_t *o, const char *key, bool flag)
{
	return json_object_set_new(o, key, json_boolean(flag)) == 0;
}

/* Drops what is not whole, so that callers see NULL instead. */
static json_t *whole(json_t *o, bool ok)
{
	if (ok)
		return o;
	json_decref(o);
	return NULL;
}

static json_t *addr_value(const struct spf_addr *a)
{
	CLEANUP(buf_done) struct buf text;

	buf_init(&text, 64);
	spf_addr_format(a, &text);
	return text.failed ? NULL : json_text(buf_slice(&text));
}

static json_t *net_value(const struct spf_net *n)
{
	CLEANUP(buf_done) struct buf text;

	buf_init(&text, 64);
	spf_net_format(n, &text);
	return text.failed ? NULL : json_text(buf_slice(&text));
}

/* ---- a verdict ---- */

static const char *outcome_name(enum spf_outcome o)
{
	static const char *const names[] = {"match", "no match", "error", "followed"};
	ASSERT((size_t)o < ARRAY_LEN(names));
	return names[o];
}

static json_t *trace_value(const struct spf_trace *t)
{
	json_t *o = json_object();
	bool ok = o && set_number(o, "depth", t->depth) && set_text(o, "domain", t->domain) &&
		  set_text(o, "term", t->term) && set_text(o, "target", t->target) &&
		  json_object_set_new(o, "outcome", json_string(outcome_name(t->outcome))) == 0 &&
		  json_object_set_new(o, "result", json_string(spf_result_name(t->result))) == 0 &&
		  set_number(o, "lookups", t->lookups) && set_number(o, "voids", t->voids);
	return whole(o, ok);
}

static json_t *traces_value(const struct spf_verdict *v)
{
	json_t *array = json_array();
	bool ok = array != NULL;

	for (size_t i = 0; ok && i < v->trace_count; i++)
		ok = json_array_append_new(array, trace_value(&v->trace[i])) == 0;
	return whole(array, ok);
}

enum err spf_json_verdict(const struct spf_subject *s, const struct spf_verdict *v, struct buf *out)
{
	json_t *o = json_object();
	bool ok = o && json_object_set_new(o, "result", json_string(spf_result_name(v->result))) == 0 &&
		  set_text(o, "matched", v->matched.len ? v->term : SLICE_EMPTY) &&
		  set_number(o, "lookups", v->lookups) && set_number(o, "voids", v->voids) &&
		  set_text(o, "explanation", v->explanation) && set_text(o, "problem", v->problem) &&
		  json_object_set_new(o, "ip", addr_value(&s->ip)) == 0 && set_text(o, "sender", s->sender) &&
		  set_text(o, "helo", s->helo) && set_text(o, "domain", v->domain) &&
		  set_text(o, "record", v->record) && set_text(o, "inner_domain", v->inner_domain) &&
		  set_text(o, "inner_matched", v->inner_term) && set_number(o, "questions", v->questions);
	if (ok && s->trace)
		ok = json_object_set_new(o, "trace", traces_value(v)) == 0;
	return json_write(whole(o, ok), out);
}

/* ---- a tree ---- */

static json_t *node_value(const struct spf_node *n);

static json_t *nets_value(const struct spf_branch *b)
{
	json_t *array = json_array();
	bool ok = array != NULL;

	for (size_t i = 0; ok && i < b->net_count; i++)
		ok = json_array_append_new(array, net_value(&b->nets[i])) == 0;
	return whole(array, ok);
}

static json_t *branch_value(const struct spf_node *n, const struct spf_branch *b)
{
	const struct spf_term *t = b->term;
	json_t *o = json_object();
	bool ok = o && set_text(o, "term", spf_term_text(n->record.text, t)) &&
		  json_object_set_new(o, "kind", json_string(spf_kind_name(t->kind))) == 0 &&
		  json_object_set_new(o, "networks", nets_value(b)) == 0 &&
		  set_number(o, "voids4", b->voids4) && set_number(o, "voids6", b->voids6);
	if (ok && b->node)
		ok = json_object_set_new(o, "leads_to", node_value(b->node)) == 0;
	return whole(o, ok);
}

static json_t *branches_value(const struct spf_node *n)
{
	json_t *array = json_array();
	bool ok = array != NULL;

	for (size_t i = 0; ok && n->branches && i < n->record.count; i++)
		ok = json_array_append_new(array, branch_value(n, &n->branches[i])) == 0;
	return whole(array, ok);
}

/* As deep as the tree, which has at most SPF_TREE_RECORDS_MAX records. */
static json_t *node_value(const struct spf_node *n)
{
	json_t *o = json_object();
	bool ok = o && set_text(o, "domain", n->domain) && set_text(o, "record", n->record.text) &&
		  set_number(o, "lookups", n->lookups) && set_number(o, "voids4", n->voids4) &&
		  set_number(o, "voids6", n->voids6) &&
		  json_object_set_new(o, "terms", branches_value(n)) == 0;
	return whole(o, ok);
}

static json_t *problems_value(const struct spf_tree *t)
{
	json_t *array = json_array();
	bool ok = array != NULL;

	for (const struct spf_problem *p = spf_tree_problems(t); ok && p; p = p->next) {
		json_t *o = json_object();
		bool good = o && set_flag(o, "fatal", p->fatal) && set_text(o, "domain", p->domain) &&
			    set_text(o, "term", p->term) && set_text(o, "text", p->text);
		ok = json_array_append_new(array, whole(o, good)) == 0;
	}
	return whole(array, ok);
}

enum err spf_json_tree(const struct spf_tree *t, struct slice domain, struct buf *out)
{
	const struct spf_node *root = spf_tree_root(t);
	json_t *o = json_object();
	bool ok = o && set_text(o, "domain", root ? root->domain : domain) &&
		  json_object_set_new(o, "spf", root ? node_value(root) : json_null()) == 0 &&
		  json_object_set_new(o, "problems", problems_value(t)) == 0 &&
		  set_flag(o, "cut", spf_tree_cut(t));
	return json_write(whole(o, ok), out);
}
