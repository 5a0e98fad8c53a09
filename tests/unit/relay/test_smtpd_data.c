/* The reader of DATA: canonical content, the one true end, flaws, and that no split of the input changes them. */
#include "relay/smtpd/data.h"

#include "core/buf.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct result {
	struct buf out;
	struct data_reader r;
	size_t left; /* octets behind the end */
};

/* Feeds `in` in pieces of `piece` octets, runs limited to `max`. */
static void feed(struct result *res, struct slice in, size_t piece, size_t max, size_t line_max)
{
	buf_init(&res->out, 1 << 20);
	data_init(&res->r, DATA_DOTS, line_max);
	size_t at = 0;
	while (at < in.len && res->r.state != DATA_END) {
		struct slice part = slice_sub(in, at, piece);
		size_t had = part.len;
		while (part.len > 0 && res->r.state != DATA_END) {
			struct slice run = data_next(&res->r, &part, max);
			assert_true(run.len <= max);
			buf_add(&res->out, run);
		}
		at += had - part.len;
	}
	res->left = in.len - at;
	assert_int_equal(res->out.failed, ERR_OK);
	assert_int_equal(res->r.octets, res->out.len);
}

struct row {
	const char *in, *out;
	bool ends;
	unsigned flaws;
	size_t left;
};

static const struct row rows[] = {
	{".\r\n", "", true, 0, 0},
	{"a\r\n.\r\n", "a\r\n", true, 0, 0},
	{"a\r\n.\r\nMAIL", "a\r\n", true, 0, 4},
	{"..\r\n.\r\n", ".\r\n", true, 0, 0},
	{"...a\r\n.\r\n", "..a\r\n", true, 0, 0},
	{".a\r\n.\r\n", "a\r\n", true, 0, 0},
	{"a.\r\n.\r\n", "a.\r\n", true, 0, 0},
	{"\r\n\r\n.\r\n", "\r\n\r\n", true, 0, 0},
	{"a\r\n..\r\n", "a\r\n.\r\n", false, 0, 0},
	/* the smuggling family: none of these ends */
	{"a\n.\nb\r\n", "a\r\n.\r\nb\r\n", false, DATA_BARE_LF, 0},
	{"a\n.\r\nb\r\n", "a\r\n.\r\nb\r\n", false, DATA_BARE_LF, 0},
	{"a\r\n.\nb\r\n", "a\r\n\r\nb\r\n", false, DATA_BARE_LF, 0},
	{"a\r\n.\rb\r\n", "a\r\n\r\nb\r\n", false, DATA_BARE_CR, 0},
	{"a\r.\rb\r\n", "a\r\n.\r\nb\r\n", false, DATA_BARE_CR, 0},
	{"a\r.\r\nb\r\n", "a\r\n.\r\nb\r\n", false, DATA_BARE_CR, 0},
	{"a\r\n.\r\rb\r\n", "a\r\n\r\n\r\nb\r\n", false, DATA_BARE_CR, 0},
	{"a\r\r\n.b\r\n", "a\r\n\r\nb\r\n", false, DATA_BARE_CR, 0},
	{"a\n\r.\r\nb\r\n", "a\r\n\r\n.\r\nb\r\n", false, DATA_BARE_LF | DATA_BARE_CR, 0},
	{"a\r\n.\r\r\nb\r\n", "a\r\n\r\n\r\nb\r\n", false, DATA_BARE_CR, 0},
	{"a\n..\nb\r\n", "a\r\n..\r\nb\r\n", false, DATA_BARE_LF, 0},
	{"\n.\r\n", "\r\n.\r\n", false, DATA_BARE_LF, 0},
	{"\r.\r\n", "\r\n.\r\n", false, DATA_BARE_CR, 0},
	/* and a real end behind each of them still does */
	{"a\n.\n\r\n.\r\nx", "a\r\n.\r\n\r\n", true, DATA_BARE_LF, 1},
	{"a\r.\r\r\n.\r\nx", "a\r\n.\r\n\r\n", true, DATA_BARE_CR, 1},
	{"12345678\r\n.\r\n", "12345678\r\n", true, 0, 0},
	{"123456789\r\n.\r\n", "123456789\r\n", true, DATA_LONG_LINE, 0},
};

static void check_row(const struct row *row, size_t piece, size_t max)
{
	struct result res;
	feed(&res, slice_str(row->in), piece, max, 8);
	assert_int_equal(res.out.len, strlen(row->out));
	assert_memory_equal(buf_cstr(&res.out), row->out, strlen(row->out));
	assert_int_equal(res.r.state == DATA_END, row->ends);
	assert_int_equal(res.r.flaws, row->flaws);
	if (row->ends)
		assert_int_equal(res.left, row->left);
	buf_done(&res.out);
}

static void test_rows(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t piece = 1; piece <= strlen(rows[i].in); piece++)
			for (size_t max = 2; max < 8; max++)
				check_row(&rows[i], piece, max);
}

/* Every string over the five octets that matter, up to seven long: split octet by octet or not, the result is the
 * same, it is canonical, and it ends exactly if CRLF "." CRLF is there. */
static void check_any(const char *in, size_t n)
{
	char framed[16] = "\r\n";
	struct result whole, split;
	memcpy(framed + 2, in, n);
	bool ends = slice_find_slice(slice_of(framed, n + 2), SLICE_LIT("\r\n.\r\n")) != SLICE_NPOS;
	feed(&whole, slice_of(in, n), n, SIZE_MAX, 100);
	feed(&split, slice_of(in, n), 1, 2, 100);
	assert_int_equal(whole.r.state == DATA_END, ends);
	assert_true(slice_eq(buf_slice(&whole.out), buf_slice(&split.out)));
	assert_int_equal(whole.r.flaws, split.r.flaws);
	assert_int_equal(whole.r.state, split.r.state);
	assert_int_equal(whole.r.lines, split.r.lines);
	for (size_t i = 0; i < whole.out.len; i++) {
		char c = whole.out.data[i];
		assert_true(c != '\n' || (i > 0 && whole.out.data[i - 1] == '\r'));
		assert_true(c != '\r' || (i + 1 < whole.out.len && whole.out.data[i + 1] == '\n'));
	}
	buf_done(&whole.out);
	buf_done(&split.out);
}

static void test_every_short_string(void **state)
{
	static const char octets[] = "\r\n.a";
	for (size_t n = 1; n <= 7; n++) {
		for (size_t code = 0; code < (size_t)1 << 2 * n; code++) {
			char in[8];
			for (size_t i = 0; i < n; i++)
				in[i] = octets[code >> 2 * i & 3];
			check_any(in, n);
		}
	}
}

static void test_nul(void **state)
{
	struct result res;
	feed(&res, SLICE_LIT("a\0b\r\n.\r\n"), 100, SIZE_MAX, 100);
	assert_int_equal(res.r.flaws, DATA_NUL);
	assert_int_equal(res.r.state, DATA_END);
	buf_done(&res.out);
}

/* The common case is handed through without a copy: one run from one input. */
static void test_long_runs_are_borrowed(void **state)
{
	static const char text[] = "one\r\ntwo\r\n\r\nthree\r\n";
	struct data_reader r;
	struct slice in = slice_str(text);
	data_init(&r, DATA_DOTS, 100);
	struct slice run = data_next(&r, &in, SIZE_MAX);
	assert_ptr_equal(run.ptr, text);
	assert_int_equal(run.len, sizeof(text) - 1);
	assert_int_equal(in.len, 0);
	assert_int_equal(r.lines, 4);
}

/* ---- chunks ---- */

/* What chunked content should become, by the plainest means. */
static void canonical(struct slice in, struct buf *out)
{
	for (size_t i = 0; i < in.len; i++) {
		if (in.ptr[i] != '\r' && in.ptr[i] != '\n') {
			buf_add_char(out, in.ptr[i]);
			continue;
		}
		buf_add_str(out, "\r\n");
		i += in.ptr[i] == '\r' && i + 1 < in.len && in.ptr[i + 1] == '\n';
	}
	if (in.len && !slice_ends(buf_slice(out), SLICE_LIT("\r\n")))
		buf_add_str(out, "\r\n");
}

static void check_chunks(struct slice in, size_t piece, const struct buf *wanted)
{
	struct data_reader r;
	struct buf out;
	buf_init(&out, 256);
	data_init(&r, DATA_CHUNKS, 100);
	for (size_t at = 0; at < in.len; at += piece)
		for (struct slice part = slice_sub(in, at, piece); part.len > 0;)
			buf_add(&out, data_next(&r, &part, 2));
	buf_add(&out, data_finish(&r));
	assert_true(slice_eq(buf_slice(&out), buf_slice(wanted)));
	assert_int_equal(r.octets, out.len);
	assert_int_equal(r.state, DATA_END);
	buf_done(&out);
}

/* All strings of up to six out of CR, LF, dot and a letter, in every split by equal pieces. */
static void test_every_short_chunk(void **state)
{
	static const char letters[4] = {'\r', '\n', '.', 'a'};
	for (size_t len = 0; len <= 6; len++) {
		for (unsigned n = 0; n < 1u << (2 * len); n++) {
			char text[6];
			struct buf wanted;
			for (size_t i = 0; i < len; i++)
				text[i] = letters[(n >> (2 * i)) & 3];
			buf_init(&wanted, 256);
			canonical(slice_of(text, len), &wanted);
			for (size_t piece = 1; piece <= MAX(len, 1); piece++)
				check_chunks(slice_of(text, len), piece, &wanted);
			buf_done(&wanted);
		}
	}
}

static void test_binary_chunks_are_untouched(void **state)
{
	static const char text[] = ".\r\n.\r\n\n\r\0z";
	struct data_reader r;
	struct slice in = slice_of(text, sizeof(text) - 1);
	data_init(&r, DATA_BINARY, 3);
	assert_true(slice_eq(data_next(&r, &in, SIZE_MAX), slice_of(text, sizeof(text) - 1)));
	assert_int_equal(data_finish(&r).len, 0);
	assert_int_equal(r.flaws, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_every_short_string),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_long_runs_are_borrowed),
		cmocka_unit_test(test_every_short_chunk),
		cmocka_unit_test(test_binary_chunks_are_untouched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
