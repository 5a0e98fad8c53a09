/* Life and start of an evaluation, and runs over DNS that answers at once. */
#include "core/mem.h"
#include "dns/name.h"
#include "dns/spf_eval_priv.h"

#include <string.h>

#define TXT_MAX 65535u /* octets of a record's data */

enum err spf_eval_new(struct spf_eval **ret)
{
	struct spf_eval *e = NEW(struct spf_eval);

	if (!e)
		return ERR_NOMEM;
	arena_init(&e->arena, SPF_MEMORY_MAX);
	buf_init(&e->name, SPF_NAME_TEXT_MAX);
	buf_init(&e->text, TXT_MAX);
	buf_init(&e->expanded, SPF_EXPANSION_MAX);
	buf_init(&e->scratch, SPF_NAME_TEXT_MAX);
	buf_init(&e->problem, SPF_PROBLEM_MAX);
	e->phase = SPF_AT_DONE;
	*ret = e;
	return ERR_OK;
}

void spf_eval_free(struct spf_eval *e)
{
	if (!e)
		return;
	arena_done(&e->arena);
	buf_done(&e->name);
	buf_done(&e->text);
	buf_done(&e->expanded);
	buf_done(&e->scratch);
	buf_done(&e->problem);
	mem_free(e->trace);
	mem_free(e);
}

/* Copies a domain or HELO name; U-labels become A-labels (RFC 8616 4). What cannot be converted stays as it is. */
static enum err copy_name(struct spf_eval *e, struct slice s, struct slice *ret)
{
	buf_clear(&e->scratch);
	if (!slice_is_ascii(s) && name_canonical(s, &e->scratch, NULL) == ERR_OK)
		s = buf_slice(&e->scratch);
	return arena_dup(&e->arena, s, ret);
}

/* 4.3: what cannot be a domain in mail has no record, and is not asked for. An address literal is none either. */
static bool may_be_domain(struct slice s)
{
	if (s.len == 0 || s.ptr[0] == '[')
		return false;
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] <= ' ' || (unsigned char)s.ptr[i] >= 0x7f)
			return false;
	return true;
}

static void drop_last_dot(struct slice *s)
{
	if (slice_ends(*s, SLICE_LIT(".")))
		s->len--;
}

/* The sender's parts; without a sender postmaster@helo (2.4), without a local part postmaster (4.3). */
static enum err copy_request(struct spf_eval *e, const struct spf_request *r)
{
	struct spf_macros *m = &e->macros;
	size_t at = slice_rfind(r->sender, '@');
	struct slice local = at == SLICE_NPOS ? SLICE_EMPTY : slice_sub(r->sender, 0, at);
	struct slice domain = at == SLICE_NPOS ? r->sender : slice_from(r->sender, at + 1);

	if (r->sender.len == 0)
		domain = r->helo;
	enum err err = arena_dup(&e->arena, local.len ? local : SLICE_LIT("postmaster"), &m->local);
	if (!err)
		err = copy_name(e, r->helo, &m->helo);
	if (!err)
		err = copy_name(e, domain, &m->sender_domain);
	if (!err)
		err = copy_name(e, r->domain.len ? r->domain : domain, &m->domain);
	if (!err)
		err = arena_dup(&e->arena, r->receiver, &m->receiver);
	drop_last_dot(&m->domain);
	drop_last_dot(&m->sender_domain);
	return err;
}

static bool is_too_long(const struct spf_request *r)
{
	return r->sender.len > SPF_INPUT_MAX || r->helo.len > SPF_INPUT_MAX ||
	       r->domain.len > SPF_INPUT_MAX || r->receiver.len > SPF_INPUT_MAX;
}

static void forget(struct spf_eval *e, const struct spf_request *r)
{
	arena_reset(&e->arena);
	e->request = *r;
	e->request.ip = spf_addr_unmap(r->ip);
	e->macros = (struct spf_macros){.ip = e->request.ip, .now_s = r->now_s};
	e->phase = SPF_AT_START;
	e->depth = 0;
	e->frames[0] = (struct spf_frame){.trace = SIZE_MAX};
	e->ptr_state = SPF_PTR_UNKNOWN;
	e->ptr = (struct spf_hosts){0};
	e->ptr_voids = 0;
	e->exp_text = SLICE_EMPTY;
	e->verdict = (struct spf_verdict){0};
}

void spf_eval_start(struct spf_eval *e, const struct spf_request *r)
{
	ASSERT(r->ip.bits == SPF_BITS4 || r->ip.bits == SPF_BITS6);
	forget(e, r);
	if (r->trace && !e->trace)
		e->trace = mem_alloc(SPF_TRACE_MAX * sizeof(*e->trace));
	if (is_too_long(r)) {
		spf_end(e, SPF_NONE, "a name longer than %u octets", SPF_INPUT_MAX);
		return;
	}
	if (copy_request(e, r) != ERR_OK || (r->trace && !e->trace)) {
		spf_end(e, SPF_TEMPERROR, "no memory");
		return;
	}
	e->local_is_ascii = slice_is_ascii(e->macros.local);
	e->verdict.domain = e->macros.domain;
	if (!may_be_domain(e->macros.domain))
		spf_end(e, SPF_NONE, "\"%.*s\" is not a domain name", SLICE_ARG(e->macros.domain));
}

const struct spf_verdict *spf_eval_run(struct spf_eval *e, const struct spf_request *r,
				       const struct spf_dns *dns)
{
	struct spf_question q;
	struct dns_answer a;

	spf_eval_start(e, r);
	for (enum spf_step s = spf_eval_step(e, NULL, &q); s == SPF_ASK; s = spf_eval_step(e, &a, &q)) {
		a = (struct dns_answer){.status = DNS_TEMPORARY};
		dns->answer(dns->self, q.name, q.type, &a);
	}
	return spf_eval_verdict(e);
}

void spf_eval_worst(struct spf_eval *e, const struct spf_request *r, const struct spf_addr *clients,
		    size_t count, const struct spf_dns *dns, struct spf_cost *ret)
{
	struct spf_cost worst = {0};
	struct spf_request one = *r;

	one.count_on = one.no_explanation = true;
	one.trace = false;
	for (size_t i = 0; i < count; i++) {
		one.ip = clients[i];
		const struct spf_verdict *v = spf_eval_run(e, &one, dns);
		if (i == 0 || v->lookups > worst.lookups) {
			worst.lookups = v->lookups;
			worst.lookups_of = one.ip;
		}
		if (i == 0 || v->voids > worst.voids) {
			worst.voids = v->voids;
			worst.voids_of = one.ip;
		}
	}
	*ret = worst;
}
