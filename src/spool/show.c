/* Opening, second half: each live message is read and shown, a slice per turn, so that a million of them neither fill the
 * memory nor stop the loop; then a segment of a new generation is made, and the spool is open.
 */
#include "core/mem.h"
#include "spool/recover.h"

#include <errno.h>
#include <fcntl.h>

/* ---- showing what is live, slice by slice ---- */

static int fd_of(struct recovery *r, const struct segment *seg)
{
	const struct disk *d = recover_disk(r);
	char name[STORE_NAME_MAX];
	if (r->fd_of == seg)
		return r->fd;
	if (r->fd >= 0)
		d->ops->close(d->self, r->fd);
	store_name_segment(name, seg->sequence);
	r->fd = d->ops->open(d->self, name, O_RDONLY, 0);
	r->fd_of = r->fd >= 0 ? seg : NULL;
	return r->fd;
}

static enum err load_record(struct recovery *r, const struct segment *seg, uint32_t offset8,
			    struct format_record *ret, struct slice *ret_summed)
{
	int fd = seg ? fd_of(r, seg) : -ENOENT;
	if (fd < 0)
		return err_from_errno(-fd);
	enum err e = read_record(*recover_disk(r), fd, seg->seed, 8ull * offset8, &r->record, ret);
	if (!e)
		*ret_summed = slice_sub(buf_slice(&r->record), FORMAT_RECORD_HEADER, ret->summed);
	return e;
}

static size_t keep_text(struct recovery *r, struct slice s)
{
	size_t at = r->text.len;
	buf_add(&r->text, s);
	return at;
}

static bool result_add(struct recovery *r, struct span s)
{
	if (r->result_count == r->result_cap) {
		size_t cap = r->result_cap ? r->result_cap * 2 : 1024;
		struct span *more = mem_resize(r->results, cap * sizeof(*more));
		if (!more)
			return false;
		r->results = more;
		r->result_cap = cap;
	}
	r->results[r->result_count++] = s;
	return true;
}

/* A result whose words cannot be read is an empty one: the state is known from the index. */
static struct span load_result(struct recovery *r, const struct spool_entry *e, uint32_t ordinal)
{
	const struct spool_entry_rcpt *rc = &e->rcpt[ordinal];
	struct format_record rec;
	struct format_result res;
	struct slice summed;
	if (!rc->offset8)
		return (struct span){0};
	const struct segment *seg = recover_segment(r, e->home->sequence + rc->segment);
	if (load_record(r, seg, rc->offset8, &rec, &summed) != ERR_OK || rec.type != FORMAT_RESULT ||
	    rec.id != e->id || format_result_read(summed, &res) != ERR_OK)
		return (struct span){0};
	return (struct span){keep_text(r, res.payload), res.payload.len};
}

static void load_verdict(struct recovery *r, const struct spool_entry *e, struct shown *sh)
{
	struct format_record rec;
	struct slice summed;
	const struct segment *seg = recover_segment(r, e->home->sequence + e->verdict_segment);
	if (!e->verdict_offset8 || load_record(r, seg, e->verdict_offset8, &rec, &summed) != ERR_OK ||
	    rec.type != FORMAT_VERDICT || rec.id != e->id)
		return;
	sh->verdict = keep_text(r, summed);
	sh->verdict_len = summed.len;
}

static enum err load_message(struct recovery *r, struct spool_entry *e, struct shown *sh)
{
	struct format_record rec;
	struct format_message m;
	struct slice summed;
	enum err err = load_record(r, e->home, e->offset8, &rec, &summed);
	if (!err && (rec.type != FORMAT_MESSAGE || rec.id != e->id))
		err = ERR_CORRUPT;
	if (!err)
		err = format_message_read(&rec, summed, &m);
	if (!err && m.recipients != e->recipients)
		err = ERR_CORRUPT;
	if (err)
		return err;
	e->summed = (uint32_t)rec.summed;
	e->content_length = m.content_length;
	e->large = m.large;
	sh->time_ms = m.time_ms;
	sh->envelope = keep_text(r, m.envelope);
	sh->envelope_len = m.envelope.len;
	sh->verdict = keep_text(r, m.verdict);
	sh->verdict_len = m.verdict.len;
	return ERR_OK;
}

static void load_shown(struct recovery *r, struct shown *sh, uint64_t id)
{
	struct spool_entry *e = spool_index_find(&r->store->spool.index, id);
	*sh = (struct shown){.id = id, .results = r->result_count};
	sh->failed = load_message(r, e, sh);
	if (sh->failed)
		return;
	load_verdict(r, e, sh);
	for (uint32_t i = 0; i < e->recipients; i++)
		if (!result_add(r, load_result(r, e, i)))
			recover_fail_memory(r);
	if (r->text.failed)
		recover_fail_memory(r);
}

static void run_slice(struct job *j)
{
	struct recovery *r = CONTAINER_OF(j, struct recovery, job);
	buf_clear(&r->text);
	r->result_count = 0;
	for (size_t i = 0; i < SPOOL_LIVE_SLICE && r->next + i < r->ids.count && !r->failed; i++)
		load_shown(r, &r->slice[i], r->ids.items[r->next + i]);
}

static struct slice text_at(const struct recovery *r, size_t at, size_t len)
{
	return slice_of(r->text.data + at, len);
}

static void show_live(struct recovery *r, const struct shown *sh, const struct spool_entry *e)
{
	struct spool *sp = &r->store->spool;
	uint8_t *states = mem_alloc(e->recipients);
	struct slice *results = mem_alloc(e->recipients * sizeof(*results));
	for (uint32_t i = 0; states && results && i < e->recipients; i++) {
		const struct span *s = &r->results[sh->results + i];
		states[i] = (uint8_t)e->rcpt[i].state;
		results[i] = text_at(r, s->at, s->len);
	}
	struct spool_live m = {.id = e->id,
			       .time_ms = sh->time_ms,
			       .recipients = e->recipients,
			       .states = states,
			       .results = results,
			       .envelope = text_at(r, sh->envelope, sh->envelope_len),
			       .verdict = text_at(r, sh->verdict, sh->verdict_len),
			       .held = e->held,
			       .content_length = e->content_length};
	if (!states || !results)
		recover_fail_memory(r);
	else
		sp->events.on_live(sp->ctx, &m);
	mem_free(states);
	mem_free(results);
}

static void show_slice(struct recovery *r)
{
	for (size_t i = 0; i < SPOOL_LIVE_SLICE && r->next < r->ids.count && !r->failed; i++, r->next++) {
		const struct shown *sh = &r->slice[i];
		struct spool_entry *e = spool_index_find(&r->store->spool.index, sh->id);
		if (!sh->failed) {
			show_live(r, sh, e);
			continue;
		}
		/* It stays in its segment for who wants to look; nothing can be delivered from it. */
		r->report.damaged++;
		recover_forget(r->store, e);
	}
}

/* ---- the end ---- */

void recover_free(struct recovery *r)
{
	if (!r)
		return;
	if (r->fd >= 0)
		recover_disk(r)->ops->close(recover_disk(r)->self, r->fd);
	mem_free(r->sequences.items);
	mem_free(r->larges.items);
	mem_free(r->ids.items);
	mem_free(r->segments);
	mem_free(r->results);
	buf_done(&r->text);
	buf_done(&r->record);
	mem_free(r);
}

static void give_up(struct store *s)
{
	struct recovery *r = s->recovery;
	s->recovery = NULL;
	if (!s->spool.closing)
		s->spool.events.on_ready(s->spool.ctx, r->failed, NULL, &r->why);
	recover_free(r);
	store_check_closed(s);
}

void recover_ready(struct store *s)
{
	struct recovery *r = s->recovery;
	ASSERT(r && !s->opened);
	s->recovery = NULL;
	s->opened = s->spool.ready = true;
	r->report.generation = s->spool.generation;
	r->report.live = s->spool.index.entries.count;
	r->report.took_ms = loop_now(s->spool.loop) - r->began_ms;
	s->spool.events.on_ready(s->spool.ctx, ERR_OK, &r->report, NULL);
	/* Openings that do not end well leave segments without a checkpoint: the next one shall not read them all. */
	s->complete_wanted = r->tails > SPOOL_TAILS_MAX;
	recover_free(r);
	if (s->complete_wanted && !s->spool.closing)
		commit_retire(s);
	timer_set(&s->tick, 0);
}

static void slice_done(struct job *j);

static void next_slice(struct recovery *r)
{
	struct store *s = r->store;
	if (r->failed || s->spool.closing) {
		give_up(s);
	} else if (r->next < r->ids.count) {
		r->job = (struct job){.run = run_slice, .done = slice_done};
		store_bulk(s, &r->job);
	} else {
		s->spool.generation++;
		s->recovered = true;
		segment_make(s, false); /* recover_ready when it is there */
	}
}

static void slice_done(struct job *j)
{
	struct recovery *r = CONTAINER_OF(j, struct recovery, job);
	store_bulk_done(r->store);
	if (!r->failed && !r->store->spool.closing)
		show_slice(r);
	next_slice(r);
}

void show_start(struct recovery *r)
{
	next_slice(r);
}
