/* What channels cost, and what they do without memory. Frames are the conformance suite's. */
#include "conformance.h"

#include "core/mem.h"
#include "counting.h"

#include <sys/mman.h>
#include <unistd.h>

static const struct backend epoll = {"epoll", false, 0}, simulated = {"simulated", true, 0};

struct chan {
	struct ipc *c;
	unsigned frames, fds, closes;
};

static void on_frame(void *ctx, struct ipc_frame *f)
{
	struct chan *c = ctx;
	c->frames++;
	c->fds += f->nfds;
}

static void on_close(void *ctx, const struct diag *why)
{
	struct chan *c = ctx;
	c->closes++;
}

static const struct ipc_events events = {.on_frame = on_frame, .on_close = on_close};

static void chans(struct fixture *f, struct chan *a, struct chan *b)
{
	int fds[2];

	*a = *b = (struct chan){0};
	assert_int_equal(ipc_pair(f->loop, fds, NULL), ERR_OK);
	assert_int_equal(ipc_new(f->loop, fds[0], &events, a, &a->c, NULL), ERR_OK);
	assert_int_equal(ipc_new(f->loop, fds[1], &events, b, &b->c, NULL), ERR_OK);
}

static bool hundred(void *ctx)
{
	const struct chan *c = ctx;
	return c->frames == 100;
}

static void test_a_hundred_frames_cost_two_calls(void **state)
{
	struct fixture *f = *state;
	struct chan a, b;

	chans(f, &a, &b);
	struct op_counts *n = counting_start(f->loop);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(ipc_send(a.c, 1, SLICE_LIT("a small payload"), NULL, 0), ERR_OK);
	RUN_UNTIL(f, hundred, &b);
	assert_int_equal(n->sends, 1);
	assert_int_equal(n->receives, 1);
	assert_int_equal(n->updates, 0);
	ipc_free(a.c);
	ipc_free(b.c);
}

/* Each frame with descriptors begins a call, and takes along what follows it. */
static void test_descriptors_cost_a_call_each(void **state)
{
	struct fixture *f = *state;
	struct chan a, b;
	int fd = memfd_create("test", MFD_CLOEXEC);

	chans(f, &a, &b);
	struct op_counts *n = counting_start(f->loop);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(ipc_send(a.c, 1, SLICE_LIT("payload"), &fd, i % 10 == 5), ERR_OK);
	RUN_UNTIL(f, hundred, &b);
	assert_int_equal(b.fds, 10);
	assert_int_equal(n->sends, 11);
	assert_true(n->receives <= 21);
	ipc_free(a.c);
	ipc_free(b.c);
	close(fd);
}

static bool is_over(void *ctx)
{
	const struct chan *c = ctx;
	return c->closes || c->frames == 2;
}

static bool live_a_life(struct fixture *f, size_t fail_after)
{
	struct chan a = {0}, b = {0};
	int fds[2], fd = memfd_create("test", MFD_CLOEXEC);

	assert_int_equal(ipc_pair(f->loop, fds, NULL), ERR_OK);
	mem_fail_after(fail_after);
	enum err ea = ipc_new(f->loop, fds[0], &events, &a, &a.c, NULL);
	enum err eb = ipc_new(f->loop, fds[1], &events, &b, &b.c, NULL);
	enum err e1 = ea ? ea : ipc_send(a.c, 1, SLICE_LIT("x"), &fd, 1);
	enum err e2 = ea ? ea : ipc_send(a.c, 1, SLICE_LIT("y"), NULL, 0);
	if (e1 || e2) { /* a sender gives up then */
		ipc_free(a.c);
		a.c = NULL;
	}
	if (!eb)
		RUN_UNTIL(f, is_over, &b);
	mem_fail_after(SIZE_MAX);
	bool failed = ea || eb || e1 || e2 || b.closes;
	ipc_free(a.c);
	ipc_free(b.c);
	close(fd);
	return failed;
}

static void test_without_memory(void **state)
{
	struct fixture *f = *state;
	size_t n = 0;

	while (live_a_life(f, n)) {
		assert_int_equal(f->loop->ipc_unsent, 0);
		n++;
	}
	assert_in_range(n, 4, 60);
}

#define OVER(back_end, name)                                                                                 \
	{                                                                                                    \
#name, name, suite_setup, suite_teardown, (void *)&(back_end)                                \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVER(epoll, test_a_hundred_frames_cost_two_calls),
		OVER(simulated, test_a_hundred_frames_cost_two_calls),
		OVER(epoll, test_descriptors_cost_a_call_each),
		OVER(simulated, test_descriptors_cost_a_call_each),
		OVER(epoll, test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
