#include "ctl/descriptor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define ROOM 4 /* descriptors: one is right, more are seen and closed */

enum err ctl_descriptor_send(int sock, int fd, struct diag *d)
{
	_Alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {0};
	char octet = 0;
	struct iovec iov = {.iov_base = &octet, .iov_len = 1};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	ssize_t n;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	do
		n = sendmsg(sock, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == 1 ? ERR_OK : diag_set_errno(d, errno, "handing over the file");
}

/* Takes the first descriptor and closes any other. Returns how many there were. */
static unsigned take(struct msghdr *m, int *ret)
{
	unsigned count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (count++ == 0)
				*ret = fd;
			else
				base_close(&fd);
		}
	}
	return count;
}

enum err ctl_descriptor_receive(int sock, int *ret, struct diag *d)
{
	_Alignas(struct cmsghdr) char space[CMSG_SPACE(ROOM * sizeof(int))];
	char octet;
	struct iovec iov = {.iov_base = &octet, .iov_len = 1};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)};
	int fd = -1;
	ssize_t n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return ERR_AGAIN;
	if (n < 0)
		return diag_set_errno(d, errno, "receiving a file");
	if (n == 0)
		return diag_set(d, ERR_CLOSED, "the other side is gone");
	if (take(&m, &fd) != 1 || m.msg_flags & MSG_CTRUNC) {
		base_close(&fd);
		return diag_set(d, ERR_CORRUPT, "control protocol: not one descriptor");
	}
	*ret = fd;
	return ERR_OK;
}
