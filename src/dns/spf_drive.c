#include "dns/spf_drive.h"

#include "core/mem.h"

struct spf_drive {
	struct spf_drive_options o;
	struct spf_machine m;
	void (*done)(void *ctx);
	void *ctx;
	struct task begin;
	struct timer timer;
	struct spf_question question;
	uint64_t query; /* 0: none is under way */
	bool late;
};

static enum spf_step step_eval(void *self, const struct dns_answer *answer, struct spf_question *ret)
{
	return spf_eval_step(self, answer, ret);
}

struct spf_machine spf_eval_machine(struct spf_eval *e)
{
	return (struct spf_machine){.self = e, .step = step_eval};
}

void spf_drive_now(const struct spf_machine *m, const struct spf_dns *dns)
{
	struct spf_question q;
	struct dns_answer a;

	for (enum spf_step s = m->step(m->self, NULL, &q); s == SPF_ASK; s = m->step(m->self, &a, &q)) {
		a = (struct dns_answer){.status = DNS_TEMPORARY};
		dns->answer(dns->self, q.name, q.type, &a);
	}
}

static void drive_free(struct spf_drive *d)
{
	task_cancel(&d->begin);
	timer_cancel(&d->timer);
	mem_free(d);
}

static void finish(struct spf_drive *d)
{
	void (*done)(void *) = d->done;
	void *ctx = d->ctx;

	drive_free(d);
	done(ctx);
}

static void on_answer(void *ctx, const struct dns_answer *a);

/* Puts the question. What cannot be asked has its answer at once: false, and *ret is set. `why` is room for its text. */
static bool ask(struct spf_drive *d, struct diag *why, struct dns_answer *ret)
{
	*ret = (struct dns_answer){.status = DNS_NXDOMAIN, .ttl_s = DNS_TTL_MIN};
	if (d->question.name.len > DNS_NAME_MAX)
		return false;
	*ret = (struct dns_answer){
		.status = DNS_TEMPORARY, .ttl_s = DNS_TTL_FAILURE, .text = SLICE_LIT("no answer in time")};
	if (d->late)
		return false;
	if (d->o.lookup->ask(d->o.lookup->self, d->question.name, d->question.type, on_answer, d, &d->query,
			     why) == ERR_OK)
		return true;
	d->query = 0;
	ret->text = slice_str(why->text);
	return false;
}

/* Feeds answers until one has to be waited for. */
static void advance(struct spf_drive *d, const struct dns_answer *answer)
{
	struct dns_answer own;
	struct diag why;

	for (;;) {
		if (d->m.step(d->m.self, answer, &d->question) == SPF_DONE) {
			finish(d);
			return;
		}
		why = (struct diag){0};
		if (ask(d, &why, &own))
			return;
		answer = &own;
	}
}

static void on_answer(void *ctx, const struct dns_answer *a)
{
	struct spf_drive *d = ctx;

	d->query = 0;
	advance(d, a);
}

static void on_begin(void *ctx)
{
	advance(ctx, NULL);
}

static void on_time(void *ctx)
{
	struct spf_drive *d = ctx;
	struct dns_answer a = {
		.status = DNS_TEMPORARY, .ttl_s = DNS_TTL_FAILURE, .text = SLICE_LIT("no answer in time")};

	d->late = true;
	if (!d->query)
		return;
	d->o.lookup->cancel(d->o.lookup->self, d->query);
	on_answer(d, &a);
}

enum err spf_drive_start(const struct spf_drive_options *o, const struct spf_machine *m,
			 void (*done)(void *ctx), void *ctx, struct spf_drive **ret)
{
	struct spf_drive *d = NEW(struct spf_drive);

	if (!d)
		return ERR_NOMEM;
	d->o = *o;
	d->m = *m;
	d->done = done;
	d->ctx = ctx;
	task_init(&d->begin, o->loop, on_begin, d);
	timer_init(&d->timer, o->loop, on_time, d);
	timer_set(&d->timer, o->timeout_ms);
	task_defer(&d->begin);
	*ret = d;
	return ERR_OK;
}

void spf_drive_cancel(struct spf_drive *d)
{
	if (!d)
		return;
	if (d->query)
		d->o.lookup->cancel(d->o.lookup->self, d->query);
	drive_free(d);
}
