#include "tidegate/zones.h"

#include "core/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 65536u

/* A file that is held in memory while its zone is read. */
struct text {
	struct text *next;
	struct buf path, octets;
};

/* A zone's files. */
struct texts {
	struct text *first; /* owned; the newest first */
	struct slice top;   /* path of the one that is not included */
};

static void texts_done(struct texts *t)
{
	for (struct text *x = t->first, *next; x; x = next) {
		next = x->next;
		buf_done(&x->path);
		buf_done(&x->octets);
		mem_free(x);
	}
	t->first = NULL;
}

static enum err text_new(struct texts *t, struct text **ret, struct diag *d)
{
	struct text *x = NEW(struct text);

	if (!x)
		return diag_set(d, ERR_NOMEM, "no memory");
	buf_init(&x->path, PATH_MAX);
	buf_init(&x->octets, ZONE_TEXT_MAX);
	x->next = t->first;
	t->first = x;
	*ret = x;
	return ERR_OK;
}

/* ---- files ---- */

static enum err read_octets(int fd, const char *path, size_t size, struct buf *out, struct diag *d)
{
	ssize_t n = 1;

	if (size > out->max)
		return diag_set(d, ERR_LIMIT, "%s: longer than %u octets", path, ZONE_TEXT_MAX);
	while (n > 0) {
		/* one more than there should be, to see the end */
		size_t more = MIN(MAX(size - MIN(size, out->len), (size_t)CHUNK), out->max - out->len);
		if (buf_reserve(out, more) != ERR_OK)
			return diag_set(d, ERR_NOMEM, "%s: no memory", path);
		n = read(fd, out->data + out->len, more);
		if (n < 0 && errno != EINTR)
			return diag_set_errno(d, errno, "%s", path);
		out->len += n > 0 ? (size_t)n : 0;
		n = n < 0 ? 1 : n;
	}
	return ERR_OK;
}

static enum err read_file(const char *path, struct buf *out, struct diag *d)
{
	/* not blocking: a pipe is refused below, not waited for */
	CLEANUP(base_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return diag_set_errno(d, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return diag_set(d, ERR_IO, "%s: not a file", path);
	return read_octets(fd, path, (size_t)st.st_size, out, d);
}

/* ---- $INCLUDE ---- */

static struct slice directory_of(struct slice path)
{
	size_t slash = slice_rfind(path, '/');

	return slash == SLICE_NPOS ? SLICE_EMPTY : slice_sub(path, 0, slash + 1);
}

static struct slice path_of(const struct texts *t, const struct zone_source *source)
{
	for (const struct text *x = t->first; x; x = x->next)
		if (x->octets.data == source->text.ptr)
			return buf_slice(&x->path);
	return t->top;
}

static enum err read_in(struct text *x, struct slice directory, struct slice path, struct diag *d)
{
	buf_clear(&x->path);
	if (path.ptr[0] != '/')
		buf_add(&x->path, directory);
	buf_add(&x->path, path);
	const char *z = buf_cstr(&x->path);
	return *z ? read_file(z, &x->octets, d) : diag_set(d, ERR_LIMIT, "a path that is too long");
}

static enum err include(void *ctx, struct slice path, const struct zone_source *from, struct slice *ret,
			struct diag *d)
{
	struct texts *t = ctx;
	struct text *x = NULL;
	struct slice near = directory_of(path_of(t, from));

	if (slice_find(path, '\0') != SLICE_NPOS)
		return diag_set(d, ERR_SYNTAX, "a path with a NUL");
	enum err e = text_new(t, &x, d);
	if (!e)
		e = read_in(x, near, path, d);
	if (e == ERR_NOTFOUND && from->depth > 0)
		e = read_in(x, directory_of(t->top), path, d);
	if (!e)
		*ret = buf_slice(&x->octets);
	return e;
}

/* ---- zones ---- */

static struct slice origin_of(struct slice path)
{
	struct slice name = slice_from(path, directory_of(path).len);

	if (slice_iends(name, SLICE_LIT(".db")))
		name.len -= 3;
	else if (slice_iends(name, SLICE_LIT(".zone")))
		name.len -= 5;
	return name;
}

static enum err load_file(struct zonedb *db, const char *path, struct diag *d)
{
	CLEANUP(texts_done) struct texts t = {.top = slice_str(path)};
	struct text *x = NULL;
	enum err e = text_new(&t, &x, d);

	if (!e)
		e = read_in(x, SLICE_EMPTY, t.top, d);
	if (e)
		return e;
	const struct zone_text_options o = {.file = t.top,
					    .text = buf_slice(&x->octets),
					    .origin = origin_of(t.top),
					    .include = include,
					    .ctx = &t};
	return zonedb_load(db, &o, d);
}

static bool is_master_name(struct slice name)
{
	return slice_iends(name, SLICE_LIT(".db")) || slice_iends(name, SLICE_LIT(".zone"));
}

static int may_be_master(const struct dirent *entry)
{
	struct slice name = slice_str(entry->d_name);

	return name.ptr[0] != '.' && !slice_ends(name, SLICE_LIT("~")) &&
	       !slice_ends(name, SLICE_LIT(".jnl")) && !slice_ends(name, SLICE_LIT(".jbk"));
}

static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The files of a directory, in the order of their names. */
static enum err load_some(struct zonedb *db, const char *directory, struct dirent **entries, int count,
			  size_t *ret_loaded, struct diag *d)
{
	CLEANUP(buf_done) struct buf path;
	bool named = false;
	enum err e = ERR_OK;

	buf_init(&path, PATH_MAX);
	for (int i = 0; i < count; i++)
		named = named || is_master_name(slice_str(entries[i]->d_name));
	for (int i = 0; i < count && !e; i++) {
		if (named && !is_master_name(slice_str(entries[i]->d_name)))
			continue;
		buf_clear(&path);
		buf_printf(&path, "%s/%s", directory, entries[i]->d_name);
		if (!is_file(buf_cstr(&path)))
			continue;
		e = load_file(db, buf_cstr(&path), d);
		*ret_loaded += 1;
	}
	return e;
}

static enum err load_directory(struct zonedb *db, const char *path, struct diag *d)
{
	struct dirent **entries;
	size_t loaded = 0;
	int count = scandir(path, &entries, may_be_master, alphasort);

	if (count < 0)
		return diag_set_errno(d, errno, "%s", path);
	enum err e = load_some(db, path, entries, count, &loaded, d);
	for (int i = 0; i < count; i++)
		free(entries[i]);
	free(entries);
	return e || loaded ? e : diag_set(d, ERR_NOTFOUND, "%s: no master file in it", path);
}

enum err cli_zones_load(struct zonedb *db, const char *path, struct diag *d)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return diag_set_errno(d, errno, "%s", path);
	return S_ISDIR(st.st_mode) ? load_directory(db, path, d) : load_file(db, path, d);
}
