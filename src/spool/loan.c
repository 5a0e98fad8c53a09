/* Descriptors on loan. One file per segment or large message is kept open for reading while somebody borrows it, and
 * some longer. A disk whose descriptors are snapshots (the simulated one) gets a new one when a borrower needs what
 * came later.
 *
 * Files are opened on a worker: a new segment, a new large file, or with spool_read what was closed for want of
 * descriptors or was there before this opening. Only simulated descriptors are made on the loop: they cost no wait.
 */
#include "core/hash.h"
#include "core/mem.h"
#include "spool/store.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define NUMBER_LARGE (1ull << 63) /* with the message's id: numbers of large files */

struct loan_file {
	struct map_node node;
	struct list_node idle; /* in store.idle while nobody borrows it */
	uint64_t number;
	uint64_t covers;         /* octets of the file that the descriptor shows */
	struct segment *segment; /* its seg->loan is this; NULL: large, preview or superseded */
	uint32_t pins;
	int fd; /* owned */
};

static bool same_number(const struct map_node *n, const void *key)
{
	return CONTAINER_OF(n, struct loan_file, node)->number == *(const uint64_t *)key;
}

void loan_init(struct store *s)
{
	map_init(&s->loans, same_number);
	list_init(&s->idle);
}

static struct loan_file *find(const struct store *s, uint64_t number)
{
	struct map_node *n = map_find(&s->loans, hash_u64(number), &number);
	return n ? CONTAINER_OF(n, struct loan_file, node) : NULL;
}

static void file_free(struct store *s, struct loan_file *f)
{
	ASSERT(f->pins == 0);
	if (list_linked(&f->idle))
		list_remove(&s->idle, &f->idle);
	if (f->segment)
		f->segment->loan = NULL;
	map_remove(&s->loans, &f->node);
	base_close(&f->fd);
	mem_free(f);
}

void loan_done(struct store *s)
{
	MAP_EACH_SAFE (&s->loans, n, tmp) {
		struct loan_file *f = CONTAINER_OF(n, struct loan_file, node);
		f->pins = 0; /* the borrowers have descriptors of their own */
		file_free(s, f);
	}
	map_done(&s->loans);
}

/* Owns fd. NULL without memory. */
static struct loan_file *file_new(struct store *s, uint64_t number, int fd)
{
	struct loan_file *f = NEW(struct loan_file);
	if (!f || map_insert(&s->loans, &f->node, hash_u64(number)) != ERR_OK) {
		mem_free(f);
		base_close(&fd);
		return NULL;
	}
	f->number = number;
	f->fd = fd;
	f->covers = UINT64_MAX;
	return f;
}

static void rest(struct store *s, struct loan_file *f)
{
	list_push_back(&s->idle, &f->idle);
	while (s->idle.count > SPOOL_OPEN_FILES)
		file_free(s, CONTAINER_OF(list_first(&s->idle), struct loan_file, idle));
}

static void pin(struct store *s, struct loan_file *f)
{
	if (f->pins++ == 0 && list_linked(&f->idle))
		list_remove(&s->idle, &f->idle);
}

void loan_open_segment(struct store *s, struct segment *seg, int fd)
{
	struct loan_file *f = fd < 0 ? NULL : file_new(s, ++s->next_loan, fd);
	if (!f)
		return;
	f->segment = seg;
	if (s->disk.snapshots)
		f->covers = seg->end;
	seg->loan = f;
	rest(s, f);
}

void loan_open_large(struct store *s, uint64_t id, int fd)
{
	struct loan_file *f = fd < 0 ? NULL : file_new(s, NUMBER_LARGE | id, fd);
	if (f)
		rest(s, f);
}

/* The segment goes, or its descriptor shows too little: what is borrowed stays until it comes back. */
void loan_drop(struct store *s, struct segment *seg)
{
	struct loan_file *f = seg->loan;
	if (!f)
		return;
	f->segment = NULL;
	seg->loan = NULL;
	if (f->pins == 0)
		file_free(s, f);
}

bool loan_lent(const struct segment *seg)
{
	return seg->loan && seg->loan->pins > 0;
}

/* ---- lending ---- */

static struct loan_file *of_segment(struct store *s, struct segment *seg, uint64_t needed)
{
	char name[STORE_NAME_MAX];
	if (seg->loan && seg->loan->covers >= needed)
		return seg->loan;
	if (!s->disk.snapshots)
		return NULL;
	loan_drop(s, seg);
	store_name_segment(name, seg->sequence);
	loan_open_segment(s, seg, s->disk.ops->reopen_readonly(s->disk.self, name));
	return seg->loan;
}

static struct loan_file *of_large(struct store *s, uint64_t id)
{
	char name[STORE_NAME_MAX];
	if (!find(s, NUMBER_LARGE | id) && s->disk.snapshots) {
		store_name_large(name, id);
		loan_open_large(s, id, s->disk.ops->reopen_readonly(s->disk.self, name));
	}
	return find(s, NUMBER_LARGE | id);
}

static int preview_fd(const struct chunk_list *l)
{
	int fd = memfd_create("spool", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	for (const struct chunk *c = l->first; c && fd >= 0; c = c->next)
		if (write(fd, c->octets, c->used) != (ssize_t)c->used)
			base_close(&fd);
	return fd;
}

/* Before the commit the content is nowhere but in memory; while the commit worker has it nobody may write it, but all
 * may read. */
static struct loan_file *of_write(struct store *s, struct spool_write *w)
{
	if (w->large)
		return of_large(s, w->id);
	if (!w->preview) {
		int fd = preview_fd(&w->content);
		w->preview = fd < 0 ? NULL : file_new(s, ++s->next_loan, fd);
	}
	return w->preview;
}

void loan_discard_preview(struct spool_write *w)
{
	struct loan_file *f = w->preview;
	w->preview = NULL;
	if (f && f->pins == 0)
		file_free(store_of(w->spool), f);
}

bool loan_ready(struct spool *sp, const struct spool_entry *e)
{
	const struct store *s = store_of(sp);
	return s->disk.snapshots ||
	       (e->large ? find(s, NUMBER_LARGE | e->id) != NULL : e->home->loan != NULL);
}

void loan_found(struct store *s, const struct spool_entry *e, int fd)
{
	s->loan_missing = fd < 0 ? e->id : 0;
	if (fd < 0)
		return;
	if (loan_ready(&s->spool, e))
		base_close(&fd);
	else if (e->large)
		loan_open_large(s, e->id, fd);
	else
		loan_open_segment(s, e->home, fd);
}

static enum err lend(struct store *s, struct loan_file *f, struct spool_loan *ret, struct diag *d)
{
	if (!f && (s->disk.snapshots || s->loan_missing == ret->message))
		return diag_set(d, ERR_IO, "the content of a message cannot be opened");
	if (!f)
		return diag_set(d, ERR_AGAIN, "the content of a message is not open; spool_read opens it");
	pin(s, f);
	ret->segment = f->number;
	ret->fd = f->fd;
	return ERR_OK;
}

static enum err lend_write(struct store *s, uint64_t id, struct spool_loan *ret, struct diag *d)
{
	struct spool_write *w = spool_find_write(&s->spool, id);
	if (!w || w->state == WRITE_OPEN)
		return diag_set(d, ERR_NOTFOUND, "no such message in the spool");
	*ret = (struct spool_loan){.message = id, .length = w->content_length};
	return lend(s, of_write(s, w), ret, d);
}

enum err loan_lend(struct spool *sp, uint64_t id, struct spool_loan *ret, struct diag *d)
{
	struct store *s = store_of(sp);
	const struct spool_entry *e = spool_index_find(&sp->index, id);
	if (!e)
		return lend_write(s, id, ret, d);
	*ret = (struct spool_loan){.message = id, .length = e->content_length};
	if (e->large)
		return lend(s, of_large(s, id), ret, d);
	ret->offset = 8ull * e->offset8 + FORMAT_RECORD_HEADER + e->summed;
	return lend(s, of_segment(s, e->home, ret->offset + ret->length), ret, d);
}

void loan_unlend(struct spool *sp, const struct spool_loan *loan)
{
	struct store *s = store_of(sp);
	struct loan_file *f = find(s, loan->segment);
	ASSERT(f && f->pins > 0);
	if (--f->pins > 0)
		return;
	const struct spool_write *w = spool_find_write(sp, loan->message);
	if (f->segment || f->number & NUMBER_LARGE)
		rest(s, f);
	else if (!w || w->preview != f)
		file_free(s, f);
}
