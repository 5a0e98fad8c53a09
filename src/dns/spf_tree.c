#include "dns/spf_tree.h"

#include "core/mem.h"
#include "dns/name.h"
#include "dns/spf_macro.h"
#include "dns/spf_tree_priv.h"

#include <string.h>

#define TXT_MAX        65535u
#define NAME_TEXT_MAX  (4u * DNS_NAME_MAX)
#define PREFERENCE_LEN 2u
#define BITS_PER_OCTET 8u

enum err spf_tree_new(struct spf_tree **ret)
{
	struct spf_tree *t = NEW(struct spf_tree);

	if (!t)
		return ERR_NOMEM;
	arena_init(&t->arena, SPF_TREE_MEMORY_MAX);
	buf_init(&t->name, NAME_TEXT_MAX);
	buf_init(&t->text, TXT_MAX);
	*ret = t;
	return ERR_OK;
}

void spf_tree_free(struct spf_tree *t)
{
	if (!t)
		return;
	arena_done(&t->arena);
	buf_done(&t->name);
	buf_done(&t->text);
	mem_free(t);
}

static void *get(struct spf_tree *t, size_t n)
{
	void *p = arena_alloc(&t->arena, n);
	t->no_memory |= !p;
	return p;
}

static bool copy(struct spf_tree *t, struct slice s, struct slice *ret)
{
	if (arena_dup(&t->arena, s, ret) == ERR_OK)
		return true;
	t->no_memory = true;
	return false;
}

/* ---- questions ---- */

/* About t->name. */
static void add_job(struct spf_tree *t, struct spf_node *node, struct spf_branch *branch, enum dns_type type)
{
	struct spf_job *j;

	if (t->questions == SPF_TREE_QUESTIONS_MAX) {
		t->cut = true;
		return;
	}
	j = get(t, sizeof(*j));
	if (!j || !copy(t, buf_slice(&t->name), &j->name))
		return;
	t->questions++;
	j->node = node;
	j->branch = branch;
	j->type = type;
	if (t->last)
		t->last->next = j;
	else
		t->first = j;
	t->last = j;
}

static void add_address_jobs(struct spf_tree *t, struct spf_node *node, struct spf_branch *b)
{
	add_job(t, node, b, DNS_A);
	add_job(t, node, b, DNS_AAAA);
}

/* Sets t->name and *ret (in the arena) to what the term is about; false: it has macros, or no name comes of it. */
static bool target_of(struct spf_tree *t, const struct spf_node *node, const struct spf_term *term,
		      struct slice *ret)
{
	struct spf_macros none = {0};

	if (term->macros)
		return false;
	buf_clear(&t->text);
	buf_clear(&t->name);
	spf_macro_expand(term->domain, &none, &t->text);
	struct slice s = term->domain.len ? spf_target_cut(buf_slice(&t->text)) : node->domain;
	return !t->text.failed && spf_target_name(s, &t->name) && copy(t, s, ret);
}

/* ---- nodes ---- */

static bool stands_above(const struct spf_node *n, struct slice domain)
{
	for (; n; n = n->parent)
		if (slice_ieq(n->domain, domain))
			return true;
	return false;
}

static struct spf_node *add_node(struct spf_tree *t, struct spf_node *parent, struct spf_branch *b,
				 struct slice domain)
{
	struct spf_node *n = get(t, sizeof(*n));

	if (!n)
		return NULL;
	n->domain = domain;
	n->parent = parent;
	n->status = DNS_NODATA;
	n->loop = stands_above(parent, domain);
	if (b)
		b->node = n;
	if (n->loop)
		return n;
	if (t->records == SPF_TREE_RECORDS_MAX) {
		t->cut = true;
		return n;
	}
	t->records++;
	add_job(t, n, NULL, DNS_TXT);
	return n;
}

static void add_nets(struct spf_tree *t, struct spf_branch *b, const struct spf_net *nets, size_t count)
{
	struct spf_net *all = count ? get(t, (b->net_count + count) * sizeof(*all)) : NULL;

	if (!all)
		return;
	if (b->net_count)
		memcpy(all, b->nets, b->net_count * sizeof(*all));
	memcpy(all + b->net_count, nets, count * sizeof(*all));
	b->nets = all;
	b->net_count += count;
}

static void open_branch(struct spf_tree *t, struct spf_node *node, struct spf_branch *b)
{
	const struct spf_term *term = b->term;
	struct spf_net net = {term->addr, term->kind == SPF_IP4 ? term->bits4 : term->bits6};
	struct slice target;

	if (term->kind == SPF_IP4 || term->kind == SPF_IP6)
		add_nets(t, b, &net, 1);
	if (!spf_term_asks(term) || term->kind == SPF_PTR || !target_of(t, node, term, &target))
		return;
	if (term->kind == SPF_INCLUDE || term->kind == SPF_REDIRECT)
		(void)add_node(t, node, b, target);
	else if (term->kind == SPF_A)
		add_address_jobs(t, node, b);
	else
		add_job(t, node, b, term->kind == SPF_MX ? DNS_MX : DNS_A);
}

/* Terms behind `all`, and a redirect beside it, are never evaluated. */
static bool is_reached(const struct spf_record *r, const struct spf_term *term)
{
	return !r->all || (term <= r->all && term->kind != SPF_REDIRECT);
}

static void open_node(struct spf_tree *t, struct spf_node *n)
{
	n->branches = get(t, n->record.count * sizeof(*n->branches));
	for (size_t i = 0; n->branches && i < n->record.count; i++) {
		n->branches[i].term = &n->record.terms[i];
		if (is_reached(&n->record, &n->record.terms[i]))
			open_branch(t, n, &n->branches[i]);
	}
}

/* ---- answers ---- */

static bool is_void(const struct dns_answer *a)
{
	return a->status == DNS_NODATA || a->status == DNS_NXDOMAIN || (a->status == DNS_OK && a->count == 0);
}

static void on_record(struct spf_tree *t, struct spf_node *n, const struct dns_answer *a)
{
	struct slice text = SLICE_EMPTY;
	unsigned found = 0;

	n->status = a->status;
	n->voids4 = n->voids6 = n->parent && is_void(a); /* of the term that leads here */
	for (uint32_t i = 0; a->status == DNS_OK && i < a->count; i++) {
		buf_clear(&t->text);
		if (spf_txt_join(a->records[i], &t->text) != ERR_OK || !spf_record_is(buf_slice(&t->text)))
			continue;
		if (found++ == 0 && !copy(t, buf_slice(&t->text), &text))
			return;
	}
	n->several = found > 1;
	if (found == 0)
		return;
	enum err e = spf_record_read(&t->arena, text, &n->record);
	if (e == ERR_OK)
		open_node(t, n);
	else
		n->record =
			(struct spf_record){.text = text, .problem = "a record that is too long to be read"};
}

static void take_addresses(struct spf_tree *t, const struct spf_job *j, const struct dns_answer *a)
{
	bool v4 = j->type == DNS_A;
	struct spf_net nets[DNS_RECORDS_MAX];
	size_t count = 0;

	for (uint32_t i = 0; a->status == DNS_OK && i < MIN(a->count, DNS_RECORDS_MAX); i++) {
		struct spf_net n = {.addr.bits = v4 ? SPF_BITS4 : SPF_BITS6,
				    .prefix = v4 ? j->branch->term->bits4 : j->branch->term->bits6};
		if (a->records[i].len != n.addr.bits / BITS_PER_OCTET)
			continue;
		memcpy(n.addr.octets, a->records[i].ptr, a->records[i].len);
		nets[count++] = n;
	}
	add_nets(t, j->branch, nets, count);
}

static void take_exchanges(struct spf_tree *t, const struct spf_job *j, const struct dns_answer *a)
{
	j->branch->hosts = a->status == DNS_OK ? a->count : 0;
	if (j->branch->hosts > SPF_NAMES_MAX)
		return;
	for (uint32_t i = 0; i < j->branch->hosts; i++) {
		size_t pos = PREFERENCE_LEN;
		buf_clear(&t->name);
		if (a->records[i].len > PREFERENCE_LEN &&
		    name_from_wire(a->records[i], &pos, &t->name) == ERR_OK &&
		    !slice_eq_str(buf_slice(&t->name), "."))
			add_address_jobs(t, j->node, j->branch);
	}
}

static void on_branch(struct spf_tree *t, const struct spf_job *j, const struct dns_answer *a)
{
	struct spf_branch *b = j->branch;
	bool nothing = is_void(a), exists = b->term->kind == SPF_EXISTS;

	b->trouble |= a->status == DNS_TEMPORARY || a->status == DNS_BOGUS;
	b->voids4 += nothing && j->type != DNS_AAAA;
	b->voids6 += nothing && (j->type != DNS_A || exists);
	if (j->type == DNS_MX)
		take_exchanges(t, j, a);
	else if (!exists)
		take_addresses(t, j, a);
}

/* ---- the machine ---- */

void spf_tree_start(struct spf_tree *t, struct slice domain)
{
	struct buf name = t->name, text = t->text;
	struct arena arena = t->arena;
	struct slice canonical;

	arena_reset(&arena);
	*t = (struct spf_tree){.arena = arena, .name = name, .text = text};
	t->fatal_end = &t->fatal;
	t->others_end = &t->others;
	buf_clear(&t->name);
	if (name_canonical(domain, &t->name, NULL) == ERR_OK && copy(t, buf_slice(&t->name), &canonical))
		t->root = add_node(t, NULL, NULL, canonical);
}

enum spf_step spf_tree_step(struct spf_tree *t, const struct dns_answer *answer, struct spf_question *ret)
{
	if (t->started && t->first) {
		struct spf_job *j = t->first;
		if (j->branch)
			on_branch(t, j, answer);
		else
			on_record(t, j->node, answer);
		t->first = j->next;
		if (!t->first)
			t->last = NULL;
	}
	t->started = true;
	if (!t->first || t->no_memory) {
		t->first = t->last = NULL;
		spf_judge(t);
		return SPF_DONE;
	}
	*ret = (struct spf_question){.name = t->first->name, .type = t->first->type};
	return SPF_ASK;
}

const struct spf_node *spf_tree_root(const struct spf_tree *t)
{
	return t->no_memory ? NULL : t->root;
}

const struct spf_problem *spf_tree_problems(const struct spf_tree *t)
{
	return t->fatal;
}

bool spf_tree_cut(const struct spf_tree *t)
{
	return t->cut;
}
