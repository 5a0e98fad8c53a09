/* The index, written at the end of each segment that is sealed: complete, or what changed since the checkpoint before.
 * A complete one is due when the changes written since the last one weigh as much as it did; so recovery reads at most
 * twice the index, and writing checkpoints costs at most as much again as the changes themselves.
 */
#include "core/mem.h"
#include "spool/store.h"

struct sealing {
	struct job job;
	struct store *store;
	struct segment *segment;
	struct buf data; /* checkpoint and seal, placed; empty: the segment stays without */
	bool complete;
	uint64_t sequence;
	int errnum;
};

/* ---- building, on the loop ---- */

static struct format_place place_of(uint64_t sequence, uint32_t offset8)
{
	return offset8 ? (struct format_place){.sequence = sequence, .offset8 = offset8}
		       : (struct format_place){0};
}

static void add_entry(struct buf *out, struct spool_entry *e)
{
	uint64_t home = e->home->sequence;
	struct format_entry f = {.id = e->id,
				 .home = place_of(home, e->offset8),
				 .verdict = place_of(home + e->verdict_segment, e->verdict_offset8),
				 .recipients = e->recipients,
				 .held = e->held};
	format_entry_add(out, &f);
	for (uint32_t i = 0; i < e->recipients; i++)
		format_rcpt_add(out, e->rcpt[i].state,
				place_of(home + e->rcpt[i].segment, e->rcpt[i].offset8));
	e->checkpointed = true;
}

static uint64_t add_all(struct store *s, struct buf *out)
{
	MAP_EACH_SAFE (&s->spool.index.entries, n, tmp) {
		add_entry(out, CONTAINER_OF(n, struct spool_entry, node));
	}
	return s->spool.index.entries.count;
}

static uint64_t add_changed(struct store *s, struct buf *out)
{
	LIST_EACH_SAFE (&s->spool.index.changed, n, tmp) {
		add_entry(out, CONTAINER_OF(n, struct spool_entry, changed));
	}
	return s->spool.index.changed.count;
}

static bool complete_due(const struct store *s)
{
	return !s->checkpoint || s->complete_wanted || s->gone.failed || s->chain >= SPOOL_CHECKPOINT_CHAIN ||
	       s->chain_octets >= s->base_octets;
}

static void build_payload(struct store *s, bool complete, struct buf *out)
{
	struct format_checkpoint c = {.previous = complete ? 0 : s->checkpoint};
	size_t at = out->len;
	format_checkpoint_add(out, &c);
	c.entries = complete ? add_all(s, out) : add_changed(s, out);
	c.gone = complete ? 0 : s->gone.len / 8;
	if (!complete)
		buf_add(out, buf_slice(&s->gone));
	if (!out->failed) {
		struct buf head = {.data = out->data + at,
				   .cap = FORMAT_CHECKPOINT_HEADER,
				   .max = FORMAT_CHECKPOINT_HEADER};
		format_checkpoint_add(&head, &c);
	}
	buf_clear(&s->gone);
	while (list_pop(&s->spool.index.changed)) {
	}
}

/* Checkpoint and seal at the segment's end. The header stands before a payload that is built in place. */
static void build(struct store *s, struct sealing *se)
{
	struct segment *seg = se->segment;
	buf_add_zero(&se->data, FORMAT_RECORD_HEADER);
	build_payload(s, se->complete, &se->data);
	uint64_t length = se->data.len - FORMAT_RECORD_HEADER;
	buf_add_zero(&se->data, format_padded(length) - length);
	size_t seal_at = se->data.len;
	format_add(&se->data, FORMAT_SEAL, seg->end, SLICE_EMPTY);
	if (se->data.failed)
		return;
	format_header_put(
		&(struct format_header){
			.type = FORMAT_CHECKPOINT, .id = 0, .length = length, .summed = length},
		se->data.data);
	format_place(se->data.data, seg->end, seg->seed);
	format_place(se->data.data + seal_at, seg->end + seal_at, seg->seed);
}

static void account(struct store *s, const struct sealing *se)
{
	s->checkpoint = se->data.failed ? 0 : se->segment->sequence;
	s->chain = se->complete ? 0 : s->chain + 1;
	s->chain_octets = se->complete ? 0 : s->chain_octets + se->data.len;
	if (se->complete) {
		s->base_octets = se->data.len;
		s->complete_wanted = false;
	}
}

/* ---- writing, on the bulk worker ---- */

static int write_seal(const struct sealing *se)
{
	const struct disk *d = &se->store->disk;
	const struct segment *seg = se->segment;
	struct iovec iov = {se->data.data, se->data.len};
	ssize_t n = d->ops->pwritev(d->self, seg->fd, &iov, 1, seg->end);
	int r = n < 0 ? (int)-n : 0;
	/* The seal is found at the end of the file; zeros that were written ahead go back to the disk. */
	if (!r)
		r = -d->ops->truncate(d->self, seg->fd, seg->end + se->data.len);
	if (!r)
		r = -d->ops->fdatasync(d->self, seg->fd);
	return r;
}

static void run_sealing(struct job *j)
{
	struct sealing *se = CONTAINER_OF(j, struct sealing, job);
	const struct disk *d = &se->store->disk;
	if (!se->data.failed)
		se->errnum = write_seal(se);
	d->ops->close(d->self, se->segment->fd);
	se->segment->fd = -1;
}

static void sealing_done(struct job *j)
{
	struct sealing *se = CONTAINER_OF(j, struct sealing, job);
	struct store *s = se->store;
	store_bulk_done(s);
	se->segment->users--;
	if (se->errnum || se->data.failed) {
		s->checkpoint = 0; /* nothing may build on it */
	} else {
		se->segment->sealed = true;
		se->segment->allocated = se->segment->end + se->data.len;
		if (se->complete)
			s->base = se->sequence;
	}
	buf_done(&se->data);
	mem_free(se);
	keep_look(s);
	store_check_closed(s);
}

void checkpoint_seal(struct store *s, struct segment *seg)
{
	struct sealing *se = NEW(struct sealing);
	if (!se) { /* the next one is complete; this segment is read whole by a recovery that needs it */
		s->checkpoint = 0;
		store_check_closed(s);
		return;
	}
	*se = (struct sealing){
		.store = s, .segment = seg, .sequence = seg->sequence, .complete = complete_due(s)};
	buf_init(&se->data, SPOOL_CHECKPOINT_MAX);
	build(s, se);
	account(s, se);
	seg->users++;
	se->job = (struct job){.run = run_sealing, .done = sealing_done};
	store_bulk(s, &se->job);
}
