#include "relay/auth/store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static enum err failed(struct diag *d, ssize_t r, const char *what)
{
	return diag_set_errno(d, (int)-r, "%s: %s", STORE_FILE, what);
}

static enum err read_file(const struct disk *disk, int fd, struct buf *text, struct diag *d)
{
	struct disk_stat st;
	ssize_t r = disk->ops->stat(disk->self, fd, &st);

	if (r < 0)
		return failed(d, r, "stat");
	if (st.size > AUTH_CREDENTIALS_FILE)
		return diag_set(d, ERR_LIMIT, "%s: %llu octets, at most %u", STORE_FILE,
				(unsigned long long)st.size, AUTH_CREDENTIALS_FILE);
	if (buf_reserve(text, (size_t)st.size + 1))
		return diag_set(d, ERR_NOMEM, "%s: no memory", STORE_FILE);
	r = disk->ops->pread(disk->self, fd, text->data, (size_t)st.size, 0);
	if (r < 0)
		return failed(d, r, "read");
	text->len = (size_t)r;
	return ERR_OK;
}

enum err store_load(const struct disk *disk, struct credential_table *t, struct diag *d)
{
	CLEANUP(buf_done) struct buf text = {0};
	int fd = disk->ops->open(disk->self, STORE_FILE, O_RDONLY, 0);
	enum err e;

	if (fd == -ENOENT)
		return ERR_OK;
	if (fd < 0)
		return failed(d, fd, "open");
	buf_init(&text, AUTH_CREDENTIALS_FILE + 1);
	e = read_file(disk, fd, &text, d);
	disk->ops->close(disk->self, fd);
	return e ? e : credential_parse(t, buf_slice(&text), STORE_FILE, d);
}

/* A new file whole and on disk under this name. */
static int write_new(const struct disk *disk, const char *name, struct slice text)
{
	struct iovec iov = {.iov_base = (void *)text.ptr, .iov_len = text.len};
	int fd = disk->ops->open(disk->self, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ssize_t r;

	if (fd < 0)
		return fd;
	r = disk->ops->pwritev(disk->self, fd, &iov, 1, 0);
	if (r >= 0)
		r = disk->ops->fdatasync(disk->self, fd);
	disk->ops->close(disk->self, fd);
	return (int)MIN(r, 0);
}

enum err store_save(const struct disk *disk, struct slice text, struct diag *d)
{
	int r = write_new(disk, STORE_FILE_NEW, text);

	if (r < 0)
		return failed(d, r, "write of the new file");
	r = disk->ops->rename(disk->self, STORE_FILE_NEW, STORE_FILE);
	if (r == 0)
		r = disk->ops->fsync_dir(disk->self, ".");
	return r < 0 ? failed(d, r, "replacing it by the new file") : ERR_OK;
}

/* A file cut short by a crash was not in use yet: it is made anew. */
enum err store_key(const struct disk *disk, const uint8_t fresh[STORE_KEY_LEN], uint8_t ret[STORE_KEY_LEN],
		   struct diag *d)
{
	int fd = disk->ops->open(disk->self, STORE_KEY_FILE, O_RDONLY, 0);
	ssize_t n = fd < 0 ? fd : disk->ops->pread(disk->self, fd, ret, STORE_KEY_LEN, 0);

	if (fd >= 0)
		disk->ops->close(disk->self, fd);
	if (n == STORE_KEY_LEN)
		return ERR_OK;
	if (n < 0 && n != -ENOENT)
		return diag_set_errno(d, (int)-n, "%s", STORE_KEY_FILE);
	n = write_new(disk, STORE_KEY_FILE, slice_of(fresh, STORE_KEY_LEN));
	if (n == 0)
		n = disk->ops->fsync_dir(disk->self, ".");
	if (n < 0)
		return diag_set_errno(d, (int)-n, "%s cannot be written", STORE_KEY_FILE);
	memcpy(ret, fresh, STORE_KEY_LEN);
	return ERR_OK;
}
