#include "conformance.h"

#include "core/mem.h"

/* ---- input ---- */

static void test_octets_arrive_in_order(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	say(&a, "one ");
	say(&a, "two ");
	assert_int_equal(b.reads, 0); /* never inside the call */
	assert_true(heard(&b, "one two "));
	say(&b, "back");
	assert_true(heard(&a, "back"));
	assert_int_equal(stream_unsent(a.s), 0);
	end_done(&a);
	end_done(&b);
}

/* Takes whole lines only, as a line protocol does. */
static size_t read_line(struct end *e, struct slice in)
{
	size_t lf = slice_find(in, '\n');

	if (lf == SLICE_NPOS)
		return 0;
	buf_add(&e->in, slice_sub(in, 0, lf + 1));
	return lf + 1;
}

static void test_unconsumed_input_is_shown_again(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	b.on_read = read_line;
	say(&a, "EH");
	run_for(f, 5);
	assert_int_equal(b.in.len, 0);
	say(&a, "LO x\r\nMAIL");
	assert_true(heard(&b, "EHLO x\r\n"));
	say(&a, " FROM\n");
	assert_true(heard(&b, "EHLO x\r\nMAIL FROM\n"));
	end_done(&a);
	end_done(&b);
}

static void test_pause_and_resume(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	b.take = 0;
	say(&a, "abc");
	run_for(f, 5);
	unsigned reads = b.reads;
	assert_true(reads > 0);
	stream_pause(b.s);
	say(&a, "def");
	run_for(f, 5);
	assert_int_equal(b.reads, reads);
	b.take = SIZE_MAX;
	stream_resume(b.s);
	assert_int_equal(b.reads, reads); /* never inside the call */
	assert_true(heard(&b, "abcdef"));
	end_done(&a);
	end_done(&b);
}

static size_t pause_after_one(struct end *e, struct slice in)
{
	buf_add_char(&e->in, in.ptr[0]);
	stream_pause(e->s);
	return 1;
}

static void test_pause_inside_on_read(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	b.on_read = pause_after_one;
	say(&a, "xyz");
	assert_true(heard(&b, "x"));
	run_for(f, 5);
	assert_int_equal(b.reads, 1);
	for (unsigned i = 2; i <= 3; i++) {
		stream_resume(b.s);
		run_for(f, 5);
		assert_int_equal(b.reads, i);
	}
	assert_true(heard(&b, "xyz"));
	end_done(&a);
	end_done(&b);
}

static bool has_megabyte(void *ctx)
{
	const struct end *e = ctx;
	return e->in.len == 1 << 20;
}

static void test_input_is_kept_up_to_its_limit(void **state)
{
	struct fixture *f = *state;
	struct end a, b;
	size_t total = 20000;
	char *text = mem_alloc(total);

	memset(text, 'x', total);
	connect_ends(f, &a, &b);
	stream_set_limits(b.s, (struct stream_limits){.read_max = 1000});
	b.take = 0;
	assert_int_equal(stream_write(a.s, slice_of(text, total)), ERR_OK);
	run_for(f, 20);
	assert_int_equal(b.shown_max, 1000);
	b.take = 600;
	stream_resume(b.s);
	run_for(f, 20);
	assert_in_range(b.shown_max, 1000, 1000);
	mem_free(text);
	end_done(&a);
	end_done(&b);
}

/* ---- output ---- */

struct pump {
	struct end *e;
	size_t left;
	unsigned agains;
};

static char pattern(size_t i)
{
	return (char)(i * 7 + (i >> 8));
}

static void pump(struct pump *p)
{
	char part[30000];
	size_t total = 1 << 20;

	while (p->left) {
		size_t n = MIN(p->left, sizeof(part)), at = total - p->left;
		for (size_t i = 0; i < n; i++)
			part[i] = pattern(at + i);
		enum err e = stream_write(p->e->s, slice_of(part, n));
		assert_true(e == ERR_OK || e == ERR_AGAIN);
		p->left -= n;
		if (e == ERR_AGAIN) {
			p->agains++;
			return;
		}
	}
}

static struct pump *pumping;

static void pump_on(struct end *e, const char *event)
{
	if (strcmp(event, "drain") == 0) {
		assert_true(stream_unsent(e->s) <= (256u << 10) / 2);
		pump(pumping);
	}
}

/* More than all buffers between the two hold: each must wait for the other, and no octet may be lost or doubled. */
static void test_a_megabyte(void **state)
{
	struct fixture *f = *state;
	struct end a, b;
	struct pump p = {.left = 1 << 20};

	pair_ends(f, &a, &b);
	p.e = &a;
	pumping = &p;
	a.on_event = pump_on;
	stream_pause(b.s);
	pump(&p);
	assert_int_equal(p.agains, 1);
	run_for(f, 5);
	assert_true(stream_unsent(a.s) > 0);
	stream_resume(b.s);
	RUN_UNTIL(f, has_megabyte, &b);
	for (size_t i = 0; i < b.in.len; i++)
		assert_int_equal(b.in.data[i], pattern(i));
	end_done(&a);
	end_done(&b);
}

static void test_output_has_a_limit(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	stream_set_limits(a.s, (struct stream_limits){.write_max = 8});
	assert_int_equal(stream_write(a.s, SLICE_LIT("12345678")), ERR_OK);
	assert_int_equal(stream_write(a.s, SLICE_LIT("9")), ERR_AGAIN);
	assert_int_equal(stream_write(a.s, SLICE_LIT("12345678")), ERR_LIMIT);
	assert_int_equal(stream_write(a.s, SLICE_LIT("abcdefg")), ERR_AGAIN);
	assert_int_equal(stream_unsent(a.s), 16);
	RUN_UNTIL(f, end_has_drained, &a);
	assert_true(heard(&b, "123456789abcdefg"));
	assert_int_equal(a.drains, 1);
	end_done(&a);
	end_done(&b);
}

static void test_notify_drain(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	say(&a, "x");
	run_for(f, 5);
	assert_int_equal(a.drains, 0);
	stream_notify_drain(a.s); /* also when nothing is left to send */
	assert_int_equal(a.drains, 0);
	RUN_UNTIL(f, end_has_drained, &a);
	say(&a, "y");
	run_for(f, 5);
	assert_int_equal(a.drains, 1);
	end_done(&a);
	end_done(&b);
}

static void test_flush_writes_now(void **state)
{
	struct fixture *f = *state;
	struct end a, b;
	struct iovec iov[] = {{(void *)"ab", 2}, {(void *)"", 0}, {(void *)"cd", 2}};

	connect_ends(f, &a, &b);
	assert_int_equal(stream_writev(a.s, iov, 3), ERR_OK);
	assert_int_equal(stream_unsent(a.s), 4);
	stream_flush(a.s);
	assert_int_equal(stream_unsent(a.s), 0);
	assert_true(heard(&b, "abcd"));
	end_done(&a);
	end_done(&b);
}

/* ---- ends ---- */

static void answer_eof(struct end *e, const char *event)
{
	if (strcmp(event, "eof") == 0) {
		say(e, "late words");
		stream_close(e->s, 1000);
	}
}

static void test_half_close(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	b.on_event = answer_eof;
	say(&a, "last");
	stream_close(a.s, 5000);
	assert_int_equal(stream_write(a.s, SLICE_LIT("x")), ERR_CLOSED);
	RUN_UNTIL(f, end_is_closed, &a);
	RUN_UNTIL(f, end_is_closed, &b);
	assert_true(heard(&b, "last"));
	assert_int_equal(b.eofs, 1);
	assert_int_equal(a.why.code, ERR_CLOSED);
	assert_int_equal(b.why.code, ERR_CLOSED);
	assert_int_equal(stream_write(b.s, SLICE_LIT("x")), ERR_CLOSED);
	run_for(f, 5);
	assert_int_equal(a.closes, 1);
	end_done(&a);
	end_done(&b);
}

static void test_end_without_on_eof_closes(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	stream_set_events(b.s, &end_events_without_eof, &b);
	say(&a, "last");
	stream_flush(a.s);
	stream_free(a.s);
	a.s = NULL;
	RUN_UNTIL(f, end_is_closed, &b);
	assert_true(heard(&b, "last"));
	assert_int_equal(b.eofs, 0);
	assert_int_equal(b.why.code, ERR_CLOSED);
	end_done(&a);
	end_done(&b);
}

/* The peer neither reads nor closes: only the deadline ends it. */
static void test_linger_ends(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	stream_pause(b.s);
	say(&a, "x");
	uint64_t before = loop_now(f->loop);
	stream_close(a.s, 20);
	RUN_UNTIL(f, end_is_closed, &a);
	assert_true(loop_now(f->loop) >= before + 20);
	assert_int_equal(a.why.code, ERR_CLOSED);
	stream_resume(b.s);
	assert_true(heard(&b, "x"));
	end_done(&a);
	end_done(&b);
}

static void test_close_without_linger_still_sends(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	say(&a, "421 bye");
	stream_close(a.s, 0);
	RUN_UNTIL(f, end_is_closed, &a);
	assert_true(heard(&b, "421 bye"));
	end_done(&a);
	end_done(&b);
}

static void test_abort_is_told_once_and_later(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	say(&a, "never sent");
	stream_abort(a.s);
	stream_abort(a.s);
	stream_close(a.s, 10);
	stream_pause(a.s);
	stream_resume(a.s);
	stream_flush(a.s);
	assert_int_equal(a.closes, 0);
	assert_int_equal(stream_write(a.s, SLICE_LIT("x")), ERR_CLOSED);
	RUN_UNTIL(f, end_is_closed, &a);
	RUN_UNTIL(f, end_has_eof, &b);
	assert_int_equal(b.in.len, 0);
	run_for(f, 5);
	assert_int_equal(a.closes, 1);
	end_done(&a);
	end_done(&b);
}

/* It closes with unread input: the other side hears of it as a loss, not as an end. */
static void test_reset(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	stream_pause(b.s);
	say(&a, "unread");
	run_for(f, 5);
	stream_free(b.s);
	b.s = NULL;
	RUN_UNTIL(f, end_is_closed, &a);
	assert_int_equal(a.why.code, ERR_CLOSED);
	assert_int_equal(a.eofs, 0);
	end_done(&a);
	end_done(&b);
}

/* A server that refuses in the middle of what we send: why it did must not be lost. */
static void test_last_words_of_a_peer_are_read(void **state)
{
	struct fixture *f = *state;
	struct end a, b;
	char *text = mem_alloc(1 << 20);

	connect_ends(f, &a, &b);
	stream_set_limits(a.s, (struct stream_limits){.write_max = 2 << 20});
	stream_pause(b.s);
	assert_int_equal(stream_write(a.s, slice_of(text, 1 << 20)), ERR_OK);
	stream_pause(a.s);
	run_for(f, 5);
	say(&b, "554 no\r\n");
	run_for(f, 5);
	stream_resume(a.s);
	stream_free(b.s); /* with unread input */
	b.s = NULL;
	RUN_UNTIL(f, end_is_closed, &a);
	assert_true(heard(&a, "554 no\r\n"));
	assert_int_equal(a.why.code, ERR_CLOSED);
	mem_free(text);
	end_done(&a);
	end_done(&b);
}

/* ---- freeing inside callbacks ---- */

static size_t free_in_read(struct end *e, struct slice in)
{
	stream_free(e->s);
	e->s = NULL;
	buf_add(&e->in, in); /* still there for this call */
	return in.len;
}

static void free_in_event(struct end *e, const char *event)
{
	stream_free(e->s);
	e->s = NULL;
}

static void test_free_inside_on_read(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	b.on_read = free_in_read;
	say(&a, "x");
	RUN_UNTIL(f, end_has_eof, &a);
	assert_int_equal(b.reads, 1);
	assert_int_equal(b.closes, 0);
	end_done(&a);
	end_done(&b);
}

static void test_free_inside_other_callbacks(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b); /* on_drain */
	a.on_event = free_in_event;
	say(&a, "x");
	stream_notify_drain(a.s);
	RUN_UNTIL(f, end_has_drained, &a);
	assert_int_equal(a.closes, 0);
	assert_null(a.s);
	b.on_event = free_in_event; /* on_eof */
	RUN_UNTIL(f, end_has_eof, &b);
	assert_null(b.s);
	end_done(&a);
	end_done(&b);
	connect_ends(f, &a, &b); /* on_close */
	a.on_event = free_in_event;
	stream_abort(a.s);
	RUN_UNTIL(f, end_is_closed, &a);
	assert_null(a.s);
	end_done(&a);
	end_done(&b);
}

static size_t free_other(struct end *e, struct slice in)
{
	stream_free(e->other->s);
	e->other->s = NULL;
	return in.len;
}

/* Both ends are ready in the same turn, and the one that comes first frees the other. */
static void test_free_somebody_else(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	a.on_read = b.on_read = free_other;
	say(&a, "x");
	say(&b, "y");
	run_for(f, 5);
	assert_int_equal(a.reads + b.reads, 1);
	assert_true(!a.s != !b.s);
	end_done(&a);
	end_done(&b);
}

static size_t close_in_read(struct end *e, struct slice in)
{
	if (in.len < 6)
		return 0;
	say(e, "221 bye\r\n");
	stream_close(e->s, 1000);
	buf_add(&e->in, in); /* still there for this call */
	return 4;
}

static void test_close_inside_on_read(void **state)
{
	struct fixture *f = *state;
	struct end a, b;

	connect_ends(f, &a, &b);
	b.on_read = close_in_read;
	say(&a, "QUIT\r\n");
	assert_true(heard(&a, "221 bye\r\n"));
	RUN_UNTIL(f, end_has_eof, &a);
	assert_true(heard(&b, "QUIT\r\n"));
	stream_close(a.s, 1000);
	RUN_UNTIL(f, end_is_closed, &b);
	end_done(&a);
	end_done(&b);
}

/* ---- handing over ---- */

static void test_release(void **state)
{
	struct fixture *f = *state;
	struct end a, b, c;

	connect_ends(f, &a, &b);
	say(&b, "x");
	assert_int_equal(stream_release(b.s), -1); /* unsent */
	assert_true(heard(&a, "x"));
	b.take = 0;
	say(&a, "y");
	run_for(f, 5);
	assert_int_equal(stream_release(b.s), -1); /* unconsumed */
	b.take = SIZE_MAX;
	stream_resume(b.s);
	assert_true(heard(&b, "y"));
	int fd = stream_release(b.s);
	assert_true(fd >= 0);
	b.s = NULL;
	say(&a, "for the next owner");
	run_for(f, 5);
	assert_int_equal(b.closes + b.eofs, 0);
	end_init(&c, f);
	assert_int_equal(stream_from_fd(f->loop, fd, &end_events, &c, &c.s, NULL), ERR_OK);
	assert_true(heard(&c, "for the next owner"));
	end_done(&a);
	end_done(&b);
	end_done(&c);
}

const struct CMUnitTest stream_tests[] = {
	cmocka_unit_test(test_octets_arrive_in_order),
	cmocka_unit_test(test_unconsumed_input_is_shown_again),
	cmocka_unit_test(test_pause_and_resume),
	cmocka_unit_test(test_pause_inside_on_read),
	cmocka_unit_test(test_input_is_kept_up_to_its_limit),
	cmocka_unit_test(test_a_megabyte),
	cmocka_unit_test(test_output_has_a_limit),
	cmocka_unit_test(test_notify_drain),
	cmocka_unit_test(test_flush_writes_now),
	cmocka_unit_test(test_half_close),
	cmocka_unit_test(test_end_without_on_eof_closes),
	cmocka_unit_test(test_linger_ends),
	cmocka_unit_test(test_close_without_linger_still_sends),
	cmocka_unit_test(test_abort_is_told_once_and_later),
	cmocka_unit_test(test_reset),
	cmocka_unit_test(test_last_words_of_a_peer_are_read),
	cmocka_unit_test(test_free_inside_on_read),
	cmocka_unit_test(test_free_inside_other_callbacks),
	cmocka_unit_test(test_free_somebody_else),
	cmocka_unit_test(test_close_inside_on_read),
	cmocka_unit_test(test_release),
};
const size_t stream_tests_count = ARRAY_LEN(stream_tests);
