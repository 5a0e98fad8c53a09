#include "world.h"

#include "core/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TURNS_MAX 20000u

static void copy(char out[64], struct slice s)
{
	snprintf(out, 64, "%.*s", SLICE_ARG(s));
}

static void on_live(void *ctx, const struct spool_live *m)
{
	struct world *w = ctx;
	assert_true(w->live_count < WORLD_LIVE_MAX);
	struct world_live *l = &w->live[w->live_count++];
	assert_true(w->live_count == 1 || l[-1].id < m->id);
	*l = (struct world_live){.id = m->id,
				 .recipients = m->recipients,
				 .held = m->held,
				 .content_length = m->content_length};
	copy(l->envelope, m->envelope);
	copy(l->verdict, m->verdict);
	for (uint32_t i = 0; i < MIN(m->recipients, (uint32_t)WORLD_RCPTS_MAX); i++) {
		l->states[i] = m->states[i];
		copy(l->results[i], m->results[i]);
	}
}

static void on_ready(void *ctx, enum err e, const struct spool_report *r, const struct diag *why)
{
	struct world *w = ctx;
	assert_false(w->ready);
	w->ready = true;
	w->error = e;
	if (r)
		w->report = *r;
	if (why)
		w->why = *why;
}

static void on_health(void *ctx, enum spool_health h, const struct diag *why)
{
	struct world *w = ctx;
	w->health = h;
}

void world_until(struct world *w, const bool *flag)
{
	for (unsigned i = 0; i < TURNS_MAX && !*flag; i++)
		loop_turn(w->loop, 1000);
	assert_true(*flag);
}

void world_turns(struct world *w, unsigned n)
{
	while (n-- > 0)
		loop_turn(w->loop, 10);
}

void world_open(struct world *w)
{
	static const struct spool_events events = {
		.on_live = on_live, .on_ready = on_ready, .on_health = on_health};
	struct diag d = {0};
	w->live_count = 0;
	w->ready = false;
	w->error = ERR_OK;
	w->health = SPOOL_HEALTHY;
	w->report = (struct spool_report){0};
	enum err e = w->disk.ops
			     ? spool_open_segments(w->loop, w->disk, &w->options, &events, w, &w->spool, &d)
			     : spool_open_memory(w->loop, &w->options, &events, w, &w->spool, &d);
	assert_int_equal(e, ERR_OK);
	for (unsigned i = 0; i < TURNS_MAX && !w->ready && w->health == SPOOL_HEALTHY; i++)
		loop_turn(w->loop, 1000);
	assert_true(w->ready || w->health != SPOOL_HEALTHY);
}

static void on_closed(void *ctx)
{
	*(bool *)ctx = true;
}

void world_close(struct world *w)
{
	bool closed = false;
	spool_close(w->spool, on_closed, &closed);
	world_until(w, &closed);
	w->spool = NULL;
}

struct spool_batch *world_message(struct world *w, uint64_t id, uint32_t recipients, struct slice envelope,
				  struct slice content)
{
	struct spool_write *wr;
	struct diag d = {0};
	struct spool_batch *b = spool_batch_new(w->spool);
	assert_non_null(b);
	if (spool_write_begin(w->spool, id, &wr, &d) != ERR_OK) {
		spool_batch_abort(b);
		return NULL;
	}
	while (content.len > 0) {
		struct slice part = slice_sub(content, 0, 10000);
		enum err e = spool_write_append(wr, part);
		if (e && e != ERR_AGAIN)
			goto fail;
		content = slice_from(content, part.len);
	}
	if (spool_write_finish(wr, recipients, envelope, SLICE_LIT("edits")) != ERR_OK)
		goto fail;
	assert_int_equal(spool_batch_message(b, wr, SLICE_LIT("verdict"), false), ERR_OK);
	return b;
fail:
	spool_write_abort(wr);
	spool_batch_abort(b);
	return NULL;
}

static void on_done(void *ctx, enum spool_outcome outcome, const struct diag *why)
{
	struct world_done *d = ctx;
	assert_false(d->done);
	assert_true(outcome == SPOOL_COMMITTED || why);
	*d = (struct world_done){.done = true, .outcome = outcome, .code = why ? why->code : ERR_OK};
}

void world_commit(struct spool_batch *b, struct world_done *d)
{
	*d = (struct world_done){0};
	spool_batch_commit(b, on_done, d);
	assert_false(d->done); /* never inside the call */
}

enum spool_outcome world_wait(struct world *w, struct world_done *d)
{
	world_until(w, &d->done);
	return d->outcome;
}

uint64_t world_put(struct world *w, uint32_t recipients, const char *envelope, struct slice content)
{
	struct world_done d;
	uint64_t id = spool_next_id(w->spool);
	struct spool_batch *b = world_message(w, id, recipients, slice_str(envelope), content);
	assert_non_null(b);
	world_commit(b, &d);
	assert_int_equal(world_wait(w, &d), SPOOL_COMMITTED);
	return id;
}

enum spool_outcome world_result(struct world *w, uint64_t id, uint32_t ordinal, enum spool_state s,
				const char *text)
{
	struct world_done d;
	struct spool_batch *b = spool_batch_new(w->spool);
	assert_int_equal(spool_batch_result(b, id, ordinal, s, slice_str(text)), ERR_OK);
	world_commit(b, &d);
	return world_wait(w, &d);
}

struct reading {
	bool done;
	enum err e;
	char *envelope;
};

static void on_read(void *ctx, enum err e, struct slice envelope, struct slice edits)
{
	struct reading *r = ctx;
	r->done = true;
	r->e = e;
	if (e)
		return;
	copy(r->envelope, envelope);
	assert_true(slice_eq_str(edits, "edits"));
}

enum err world_read(struct world *w, uint64_t id, char envelope[64])
{
	struct reading r = {.envelope = envelope};
	spool_read(w->spool, id, on_read, &r);
	assert_false(r.done);
	world_until(w, &r.done);
	return r.e;
}

void world_check_content(struct world *w, uint64_t id, struct slice content)
{
	struct spool_loan loan;
	struct diag d = {0};
	enum err e = spool_lend(w->spool, id, &loan, &d);
	if (e == ERR_AGAIN) {
		char envelope[64];
		assert_int_equal(world_read(w, id, envelope), ERR_OK);
		e = spool_lend(w->spool, id, &loan, &d);
	}
	assert_int_equal(e, ERR_OK);
	assert_int_equal(loan.length, content.len);
	char *p = mem_alloc(content.len + 1);
	assert_int_equal(pread(loan.fd, p, content.len, (off_t)loan.offset), content.len);
	assert_memory_equal(p, content.ptr, content.len);
	mem_free(p);
	spool_unlend(w->spool, &loan);
}

const struct world_live *world_find(const struct world *w, uint64_t id)
{
	for (size_t i = 0; i < w->live_count; i++)
		if (w->live[i].id == id)
			return &w->live[i];
	return NULL;
}

void world_fill(struct buf *out, uint64_t id, size_t n)
{
	buf_init(out, n + 64);
	while (out->len < n)
		buf_printf(out, "%llx:%zx\r\n", (unsigned long long)id, out->len);
	out->len = n;
}
