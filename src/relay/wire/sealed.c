#include "relay/wire/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_all(int fd, struct slice data)
{
	while (data.len) {
		ssize_t n = write(fd, data.ptr, data.len);
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			data = slice_from(data, (size_t)n);
	}
	return true;
}

int sealed_new(const char *name, struct slice data)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -1;
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
	if (write_all(fd, data) && fcntl(fd, F_ADD_SEALS, seals) == 0)
		return fd;
	base_close(&fd);
	return -1;
}

enum err sealed_read(int fd, struct buf *out, struct diag *d)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return diag_set_errno(d, errno, "passed memory");
	size_t size = (size_t)st.st_size;
	if (buf_reserve(out, size) != ERR_OK)
		return diag_set(d, ERR_LIMIT, "passed memory has %zu octets, %zu are allowed", size,
				out->max);
	for (size_t done = 0; done < size;) {
		ssize_t n = pread(fd, out->data + out->len, size - done, (off_t)done);
		if (n <= 0)
			return diag_set_errno(d, n < 0 ? errno : EIO, "reading passed memory");
		out->len += (size_t)n;
		done += (size_t)n;
	}
	return ERR_OK;
}
