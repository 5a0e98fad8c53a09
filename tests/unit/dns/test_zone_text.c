#include "dns/zone_text.h"

#include "core/mem.h"
#include "core/text.h"
#include "../unit.h"

#include <string.h>

#define OUT_MAX 65536u

/* Texts that $INCLUDE finds. */
struct file {
	const char *name, *text;
};

static enum err include(void *ctx, struct slice path, const struct zone_source *from, struct slice *ret,
			struct diag *d)
{
	for (const struct file *f = ctx; f && f->name; f++) {
		if (!slice_eq_str(path, f->name))
			continue;
		*ret = slice_str(f->text);
		return ERR_OK;
	}
	return diag_set(d, ERR_NOTFOUND, "%.*s: no such file", SLICE_ARG(path));
}

static void show_tokens(const struct zone_entry *e, struct buf *out)
{
	for (size_t i = 0; i < e->token_count; i++) {
		buf_add_char(out, ' ');
		buf_add(out, zone_text_at(e, e->tokens[i].span));
	}
}

/* "name ttl class type data" of records, "$word data" of directives; white space and comments left out. */
static void show(const struct zone_entry *e, struct buf *out)
{
	static const char *const from[] = {"", "d", "b", "s", "n"};

	if (e->kind == ZONE_BLANK || e->kind == ZONE_END)
		return;
	if (e->kind == ZONE_RECORD)
		buf_printf(out, "%.*s %u%s %u %u", SLICE_ARG(e->name), e->ttl_s, from[e->ttl_from],
			   e->class_code, e->type_code);
	else
		buf_add(out, zone_text_at(e, e->type));
	show_tokens(e, out);
	buf_add_char(out, '\n');
}

/* Reads all; entries of the first text must lie end to end and cover it. */
static enum err read_all(struct slice text, const char *origin, const struct file *files, struct buf *out,
			 struct diag *d)
{
	const struct zone_text_options o = {.file = S("zone"),
					    .text = text,
					    .origin = slice_str(origin),
					    .include = files ? include : NULL,
					    .ctx = (void *)files};
	struct zone_text *z;
	struct zone_entry e = {.kind = ZONE_BLANK};
	size_t end = 0;
	enum err err = zone_text_open(&o, &z, d);

	if (err)
		return err;
	while (!err && e.kind != ZONE_END) {
		err = zone_text_next(z, &e, d);
		if (err)
			break;
		show(&e, out);
		if (e.source->depth > 0)
			continue;
		assert_int_equal(e.span.at, end);
		end += e.span.len;
		assert_true(e.kind == ZONE_END || e.span.len > 0);
	}
	assert_true(err || end == text.len);
	zone_text_close(z);
	return err;
}

static void reads(const char *text, const struct file *files, const char *want)
{
	CLEANUP(buf_done) struct buf out;
	struct diag d = {0};

	buf_init(&out, OUT_MAX);
	enum err e = read_all(slice_str(text), "example.com", files, &out, &d);
	if (e)
		print_error("%s\n", d.text);
	assert_int_equal(e, ERR_OK);
	assert_buf(&out, want);
}

static void fails(const char *text, const struct file *files, enum err code, const char *words)
{
	CLEANUP(buf_done) struct buf out;
	struct diag d = {0};

	buf_init(&out, OUT_MAX);
	enum err e = read_all(slice_str(text), "", files, &out, &d);
	assert_int_equal(e, code);
	assert_int_equal(d.code, code);
	assert_string_equal(d.text, words);
	assert_int_equal(read_all(slice_str(text), "", files, &out, NULL), code);
}

static void test_records(void **state)
{
	reads("@ 300 IN TXT \"v=spf1 -all\"\n", NULL, "example.com 300 1 16 \"v=spf1 -all\"\n");
	reads("www A 192.0.2.1", NULL, "www.example.com 3600n 1 1 192.0.2.1\n");
	reads("WWW.Example.NET. in 1h a 192.0.2.1\r\n\tTXT x\r\n", NULL,
	      "www.example.net 3600 1 1 192.0.2.1\nwww.example.net 3600b 1 16 x\n");
	reads("a IN 5 A 1\nb 5 IN A 2\nc CH TXT x\nd 7 TXT y\n", NULL,
	      "a.example.com 5 1 1 1\nb.example.com 5 1 1 2\nc.example.com 5b 3 16 x\nd.example.com 7 1 16 "
	      "y\n");
	reads("*.x TXT a\n\\* TXT b\na\\.b TYPE16 \\# 2 0161\n", NULL,
	      "\\042.x.example.com 3600n 1 16 a\n\\042.example.com 3600n 1 16 b\n"
	      "a\\046b.example.com 3600n 1 16 \\# 2 0161\n");
	/* a name may look like a class, a TTL or a type */
	reads("in IN A 1\n300 A 2\ntxt txt txt\n", NULL,
	      "in.example.com 3600n 1 1 1\n300.example.com 3600n 1 1 2\ntxt.example.com 3600n 1 16 txt\n");
}

static void test_layout(void **state)
{
	reads("; nothing\n\n \t \n@ TXT ( a ; one\n  \"b;(\" ; two)\n\n) ; three\n( ) ;x\n", NULL,
	      "example.com 3600n 1 16 a \"b;(\"\n");
	reads("@ TXT \"a\\\"b\"\"c\"d\\ e\\;f;g\n", NULL,
	      "example.com 3600n 1 16 \"a\\\"b\" \"c\" d\\ e\\;f\n");
	reads("( @\nTXT\n(a b)c)\n", NULL, "example.com 3600n 1 16 a b c\n");
	reads("@ TXT \"\"\n  TXT x\n( )\n  TXT y", NULL,
	      "example.com 3600n 1 16 \"\"\nexample.com 3600n 1 16 x\nexample.com 3600n 1 16 y\n");
	reads("", NULL, "");
	reads(";", NULL, "");
	reads("\r\n;a\r b\r\n", NULL, "");
	reads("@ TXT \xc3\xa4 \"\x01\xff\"\n", NULL, "example.com 3600n 1 16 \xc3\xa4 \"\x01\xff\"\n");
}

static void test_directives(void **state)
{
	reads("$TTL 1d\n$ORIGIN sub\n@ A 1\n$origin other.net.\nx 5 A 2\ny A 3\n$TTL 60 ; c\nz A 4\n", NULL,
	      "$TTL 1d\n$ORIGIN sub\nsub.example.com 86400d 1 1 1\n$origin other.net.\nx.other.net 5 1 1 2\n"
	      "y.other.net 86400d 1 1 3\n$TTL 60\nz.other.net 60d 1 1 4\n");
	reads("$GENERATE 1-3 h$ A 192.0.2.$\n", NULL, "$GENERATE 1-3 h$ A 192.0.2.$\n");
	/* $ORIGIN changes no owner that is not written */
	reads("a A 1\n$ORIGIN b.\n A 2\n", NULL,
	      "a.example.com 3600n 1 1 1\n$ORIGIN b.\na.example.com 3600n 1 1 2\n");
}

static void test_ttl_of_soa(void **state)
{
	reads("@ SOA a b 1 2 3 4 5m\n@ A 1\nx 9 A 2\ny A 3\n", NULL,
	      "example.com 300s 1 6 a b 1 2 3 4 5m\nexample.com 300d 1 1 1\nx.example.com 9 1 1 2\n"
	      "y.example.com 300d 1 1 3\n");
	reads("@ 8 SOA a b 1 2 3 4 5\n@ A 1\n", NULL,
	      "example.com 8 1 6 a b 1 2 3 4 5\nexample.com 8b 1 1 1\n");
}

static void test_include(void **state)
{
	static const struct file files[] = {
		{"a", "x A 1\n$INCLUDE b\n A 3\n$ORIGIN n.\n$TTL 7\nq A 4\n"},
		{"b", "@ A 2"},
		{"blank", " A 5\n"},
		{"loop", "$INCLUDE loop\n"},
		{"twice", "$INCLUDE leaf\n$INCLUDE leaf\n"},
		{"bad", "@ A 1\n@ XY 1\n"},
		{"leaf", ";\n"},
		{NULL, NULL},
	};

	reads("@ A 0\n$INCLUDE a sub\n A 9\ny A 8\n", files,
	      "example.com 3600n 1 1 0\n$INCLUDE a sub\nx.sub.example.com 3600n 1 1 1\n$INCLUDE b\n"
	      "sub.example.com 3600n 1 1 2\nx.sub.example.com 3600n 1 1 3\n$ORIGIN n.\n$TTL 7\nq.n 7d 1 1 4\n"
	      "example.com 7d 1 1 9\ny.example.com 7d 1 1 8\n");
	reads("o A 0\n$INCLUDE \"blank\"", files,
	      "o.example.com 3600n 1 1 0\n$INCLUDE \"blank\"\no.example.com 3600n 1 1 5\n");
	reads("$INCLUDE nowhere\n", NULL, "$INCLUDE nowhere\n"); /* not followed */
	fails("$TTL 1\n$INCLUDE nowhere\n", files, ERR_NOTFOUND, "zone:2:10: nowhere: no such file");
	fails("$INCLUDE bad x.\n", files, ERR_SYNTAX, "bad:2:3: \"XY\" is not a type");
	fails("$INCLUDE loop\n", files, ERR_LIMIT, "loop:1:10: $INCLUDE within $INCLUDE, more than 10 deep");
	fails("$INCLUDE\n", files, ERR_SYNTAX, "zone:1:1: a directive without its value");
	fails("$INCLUDE \"\"\n", files, ERR_SYNTAX, "zone:1:10: not the name of a file");
	fails("$INCLUDE a b. c\n", files, ERR_SYNTAX, "zone:1:15: one word too many");
}

static void test_includes_in_all(void **state)
{
	static const struct file files[] = {{"leaf", ";\n"}, {NULL, NULL}};
	CLEANUP(buf_done) struct buf text, out;
	struct diag d = {0};

	buf_init(&text, OUT_MAX);
	buf_init(&out, OUT_MAX);
	for (unsigned i = 0; i <= ZONE_INCLUDES_MAX; i++)
		buf_add_str(&text, "$INCLUDE leaf\n");
	assert_int_equal(read_all(buf_slice(&text), "", files, &out, &d), ERR_LIMIT);
	assert_string_equal(d.text, "zone:1001:10: more than 1000 $INCLUDE");
}

static void test_errors(void **state)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{" A 1\n", "zone:1:1: the first record has no name"},
		{"@ A 1\n", "zone:1:1: \"@\" is relative, and there is no $ORIGIN"},
		{"a. A 1\nb A 1\n", "zone:2:1: \"b\" is relative, and there is no $ORIGIN"},
		{"a..b. A 1\n", "zone:1:1: \"a..b.\" is not a name"},
		{"a.\n", "zone:1:1: a record without a type"},
		{"a. 5 IN\n", "zone:1:1: a record without a type"},
		{"a. 5 6 A 1\n", "zone:1:6: \"6\" is not a type"},
		{"a. IN CH A 1\n", "zone:1:7: \"CH\" is not a type"},
		{"a. \"A\" 1\n", "zone:1:4: \"\"A\"\" is not a type"},
		{"\n\na. A (\n;)\n 1\n", "zone:3:6: \"(\" without \")\""},
		{"a. A 1)\n", "zone:1:7: \")\" without \"(\""},
		{"a. TXT \"x\n\"", "zone:1:8: a quoted string without its end on the same line"},
		{"a. TXT \"x\r\n\"", "zone:1:8: a quoted string without its end on the same line"},
		{"a. TXT \"x", "zone:1:8: a quoted string without its end on the same line"},
		{"a. TXT x\\\n", "zone:1:9: a backslash at the end of a line"},
		{"a. TXT \"x\\\r\n\"", "zone:1:10: a backslash at the end of a line"},
		{"a. TXT x\\", "zone:1:9: a backslash at the end of a line"},
		{"a. TXT x\\299", "zone:1:9: a backslash with a digit wants three, up to 255"},
		{"a. TXT x\ry\n", "zone:1:9: a carriage return without a line feed"},
		{"a. TXT x\fy\n", "zone:1:9: a control octet"},
		{"$TTL x\n", "zone:1:6: not a time to live"},
		{"$TTL\n", "zone:1:1: a directive without its value"},
		{"$TTL 5 6\n", "zone:1:8: one word too many"},
		{"$ORIGIN x\n", "zone:1:9: \"x\" is relative, and there is no $ORIGIN"},
		{"$FOO x\n", "zone:1:1: an unknown directive"},
		{"$GENERATE 1-3 h$\n", "zone:1:1: a directive without its value"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		fails(rows[i].text, NULL, ERR_SYNTAX, rows[i].words);
}

static void test_limits(void **state)
{
	CLEANUP(buf_done) struct buf text, out;
	struct diag d = {0};

	buf_init(&text, OUT_MAX);
	buf_init(&out, OUT_MAX);
	buf_add_str(&text, "a. TXT");
	for (unsigned i = 2; i < ZONE_TOKENS_MAX; i++)
		buf_add_str(&text, " x");
	assert_int_equal(read_all(buf_slice(&text), "", NULL, &out, &d), ERR_OK);
	buf_add_str(&text, " x");
	assert_int_equal(read_all(buf_slice(&text), "", NULL, &out, &d), ERR_LIMIT);
	assert_string_equal(d.text, "zone:1:8196: too many words in one record");
	assert_int_equal(read_all(slice_of("", (size_t)ZONE_TEXT_MAX + 1), "", NULL, &out, &d), ERR_LIMIT);
	assert_int_equal(read_all(S(""), "a..b", NULL, &out, &d), ERR_SYNTAX);
	assert_int_equal(read_all(S("a\0b. TXT x\n"), "", NULL, &out, &d), ERR_SYNTAX);
	assert_string_equal(d.text, "zone:1:2: a control octet");
}

/* Every span names what it says. */
static void test_spans(void **state)
{
	const struct zone_text_options o = {
		.file = S("z"),
		.text = S("\n;c\nWww \t 1h  IN\tTXT ( \"a\\059\\\"\"\n b\\032 ) ; end\n"),
		.origin = S("e.")};
	struct zone_text *z;
	struct zone_entry e;
	CLEANUP(buf_done) struct buf out;

	buf_init(&out, 64);
	assert_int_equal(zone_text_open(&o, &z, NULL), ERR_OK);
	do
		assert_int_equal(zone_text_next(z, &e, NULL), ERR_OK);
	while (e.kind == ZONE_BLANK);
	assert_int_equal(e.line, 3);
	assert_slice(zone_text_at(&e, e.owner), "Www");
	assert_slice(zone_text_at(&e, e.ttl), "1h");
	assert_slice(zone_text_at(&e, e.class), "IN");
	assert_slice(zone_text_at(&e, e.type), "TXT");
	assert_int_equal(e.token_count, 2);
	assert_true(e.tokens[0].quoted && !e.tokens[1].quoted);
	assert_slice(zone_text_at(&e, e.tokens[0].span), "\"a\\059\\\"\"");
	assert_slice(zone_text_at(&e, e.tokens[1].span), "b\\032");
	assert_int_equal(zone_text_octets(&e, &e.tokens[0], &out), ERR_OK);
	assert_int_equal(zone_text_octets(&e, &e.tokens[1], &out), ERR_OK);
	assert_buf(&out, "a;\"b ");
	assert_true(slice_eq(e.wire, S("\3Www\1e\0")));
	assert_true(slice_eq(e.origin, S("\1e\0")));
	assert_int_equal(zone_text_next(z, &e, NULL), ERR_OK);
	assert_int_equal(e.kind, ZONE_END);
	assert_int_equal(zone_text_next(z, &e, NULL), ERR_OK);
	assert_int_equal(e.kind, ZONE_END);
	zone_text_close(z);
}

static void test_no_memory(void **state)
{
	static const struct file files[] = {{"a", "x A 1\n"}, {NULL, NULL}};
	enum err e = ERR_NOMEM;

	for (size_t n = 0; e; n++) {
		CLEANUP(buf_done) struct buf out;
		buf_init(&out, OUT_MAX);
		assert_int_equal(buf_reserve(&out, 4096), ERR_OK);
		mem_fail_after(n);
		e = read_all(S("$INCLUDE a b.\n@ A 1\n"), "e", files, &out, NULL);
		mem_fail_after(SIZE_MAX);
		assert_true(e == ERR_OK || e == ERR_NOMEM);
		assert_true(n < 50);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),    cmocka_unit_test(test_layout),
		cmocka_unit_test(test_directives), cmocka_unit_test(test_ttl_of_soa),
		cmocka_unit_test(test_include),    cmocka_unit_test(test_includes_in_all),
		cmocka_unit_test(test_errors),     cmocka_unit_test(test_limits),
		cmocka_unit_test(test_spans),      cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
