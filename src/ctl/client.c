#include "ctl/client.h"

#include "core/mem.h"
#include "ctl/descriptor.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define READ_CHUNK 16384u

struct ctl_client {
	int fd;
	uint64_t timeout_ms;
	struct buf in; /* octets received */
	size_t used;   /* of `in`: the frame given out last */
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

enum err ctl_client_from_fd(int fd, uint64_t timeout_ms, struct ctl_client **ret, struct diag *d)
{
	struct ctl_client *c = NEW(struct ctl_client);

	if (!c) {
		base_close(&fd);
		return diag_set(d, ERR_NOMEM, "no memory for the control connection");
	}
	c->fd = fd;
	c->timeout_ms = timeout_ms ? timeout_ms : CTL_CLIENT_MS;
	buf_init(&c->in, CTL_FRAME_MAX + READ_CHUNK);
	*ret = c;
	return ERR_OK;
}

static enum err explain_connect(const char *path, int errnum, struct diag *d)
{
	if (errnum == EACCES || errnum == EPERM)
		return diag_set(d, ERR_PERM, "no permission to talk to tidegated on %s. Try as root", path);
	diag_set(d, ERR_CLOSED,
		 "tidegated does not answer on %s: %s. Is it running? (systemctl status tidegate)", path,
		 strerror(errnum));
	return ERR_CLOSED;
}

enum err ctl_client_open(const char *path, uint64_t timeout_ms, struct ctl_client **ret, struct diag *d)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct slice p = slice_str(path);
	int fd, rc;

	if (p.len == 0 || p.len >= sizeof(to.sun_path))
		return diag_set(d, ERR_RANGE, "\"%.200s\" cannot be the path of a socket: 1 to %zu octets",
				path, sizeof(to.sun_path) - 1);
	memcpy(to.sun_path, p.ptr, p.len);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return diag_set_errno(d, errno, "no socket to talk to tidegated");
	do
		rc = connect(fd, (const struct sockaddr *)&to, sizeof(to));
	while (rc < 0 && errno == EINTR);
	if (rc < 0) {
		enum err e = explain_connect(path, errno, d);
		base_close(&fd);
		return e;
	}
	return ctl_client_from_fd(fd, timeout_ms, ret, d);
}

/* Waits until fd is ready. ERR_TIMEOUT, ERR_IO. */
static enum err wait_ready(struct ctl_client *c, short events, struct diag *d)
{
	uint64_t deadline = now_ms() + c->timeout_ms;

	for (;;) {
		struct pollfd p = {.fd = c->fd, .events = events};
		uint64_t now = now_ms();
		int rc = now < deadline ? poll(&p, 1, (int)MIN(deadline - now, (uint64_t)INT32_MAX)) : 0;
		if (rc > 0)
			return ERR_OK;
		if (rc == 0)
			return diag_set(d, ERR_TIMEOUT,
					"tidegated is connected but has not answered in %llu s",
					(unsigned long long)(c->timeout_ms + 999) / 1000);
		if (errno != EINTR)
			return diag_set_errno(d, errno, "waiting for tidegated");
	}
}

static enum err send_all(struct ctl_client *c, struct slice data, struct diag *d)
{
	while (data.len > 0) {
		enum err e = wait_ready(c, POLLOUT, d);
		if (e < 0)
			return e;
		ssize_t n = send(c->fd, data.ptr, data.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return diag_set_errno(d, errno, "sending to tidegated");
		data = slice_from(data, n > 0 ? (size_t)n : 0);
	}
	return ERR_OK;
}

enum err ctl_client_request(struct ctl_client *c, enum ctl_verb verb, const struct ctl_fields *f,
			    struct diag *d)
{
	struct buf frame CLEANUP(buf_done) = {0};
	enum err e;

	buf_init(&frame, CTL_REQUEST_MAX);
	e = ctl_encode_request(&frame, verb, f);
	if (e < 0)
		return diag_set(d, e, "the request is too long: %u octets at most", CTL_REQUEST_MAX);
	return send_all(c, buf_slice(&frame), d);
}

static enum err receive_more(struct ctl_client *c, struct diag *d)
{
	char chunk[READ_CHUNK];
	ssize_t n;
	enum err e = wait_ready(c, POLLIN, d);

	if (e < 0)
		return e;
	n = recv(c->fd, chunk, sizeof(chunk), MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return diag_set(d, ERR_CLOSED,
				"tidegated closed the connection before the end of its answer");
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return diag_set_errno(d, errno, "receiving from tidegated");
	if (n > 0)
		buf_add_mem(&c->in, chunk, (size_t)n);
	return c->in.failed ? diag_set(d, c->in.failed, "no memory for the answer") : ERR_OK;
}

enum err ctl_client_next(struct ctl_client *c, struct ctl_frame *ret, struct diag *d)
{
	struct ctl_frame frame;
	enum err e;

	buf_consume(&c->in, c->used);
	c->used = 0;
	while ((e = ctl_decode(buf_slice(&c->in), CTL_FRAME_MAX, &frame, &c->used, d)) == ERR_AGAIN) {
		e = receive_more(c, d);
		if (e < 0)
			return e;
	}
	if (e < 0)
		return e;
	if (frame.type == CTL_REQUEST)
		return diag_set(d, ERR_CORRUPT, "control protocol: a request where an answer was expected");
	*ret = frame;
	return ERR_OK;
}

enum err ctl_client_file(struct ctl_client *c, int fd, struct diag *d)
{
	return ctl_descriptor_send(c->fd, fd, d);
}

void ctl_client_close(struct ctl_client *c)
{
	if (!c)
		return;
	base_close(&c->fd);
	buf_done(&c->in);
	mem_free(c);
}
