/* Submission duties: what is put in front of a mail, what is taken out, which mails are refused. */
#include "smtpd_fake.h"

#include "core/mem.h"
#include "mail/header.h"
#include "relay/smtpd/limits.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The mail as it leaves: content with the edits applied. */
static void outgoing(const struct fake *f, struct buf *out)
{
	struct edits_iter it;
	struct edits_piece p;
	uint64_t length;
	buf_init(out, 1 << 20);
	assert_int_equal(edits_check(buf_slice(&f->edits), f->content.len, &length), ERR_OK);
	edits_iter_init(&it, buf_slice(&f->edits), f->content.len);
	while (edits_next(&it, &p))
		buf_add(out, p.literal ? p.text : slice_sub(buf_slice(&f->content), p.offset, p.len));
	assert_int_equal(out->len, length);
}

static void submit(struct fake *f, const char *content)
{
	fake_init_clear(f);
	fake_start(f);
	fake_say(f, "EHLO client.example.com\r\nAUTH PLAIN AGhvdXN0b24Ac2VjcmV0\r\n"
		    "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n");
	assert_string_equal(fake_codes(f), "220 250 235 250 250 354 ");
	fake_say(f, content);
	fake_say(f, ".\r\n");
}

static unsigned count(const struct buf *mail, const char *name)
{
	struct header_iter it = header_iter_of(buf_slice(mail));
	unsigned n = 0;
	for (struct header_field f; header_next(&it, &f);)
		n += slice_ieq_str(f.name, name);
	return n;
}

static bool holds(const struct buf *mail, const char *text)
{
	return slice_find_slice(buf_slice(mail), slice_str(text)) != SLICE_NPOS;
}

static void test_missing_fields_are_added(void **state)
{
	struct fake f;
	struct buf out;
	submit(&f, "Subject: x\r\n\r\nbody\r\n");
	assert_string_equal(fake_codes(&f), "250 ");
	outgoing(&f, &out);
	assert_true(slice_starts(buf_slice(&out), SLICE_LIT("Received: from client.example.com ")));
	assert_int_equal(count(&out, "Date"), 1);
	assert_int_equal(count(&out, "Message-ID"), 1);
	assert_true(holds(&out, "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n") ||
		    holds(&out, "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n"));
	assert_true(holds(&out, "@relay.example.net>\r\n"));
	assert_true(holds(&out, "192.0.2.7"));
	assert_true(holds(&out, "ESMTPA"));
	assert_true(holds(&out, "houston"));
	assert_true(slice_ends(buf_slice(&out), SLICE_LIT("Subject: x\r\n\r\nbody\r\n")));
	buf_done(&out);
	fake_done(&f);
}

static void test_present_fields_are_kept(void **state)
{
	struct fake f;
	struct buf out;
	submit(&f, "date: Mon, 1 Dec 2025 10:00:00 +0100\r\nMESSAGE-ID: <own@example.com>\r\n\r\n");
	outgoing(&f, &out);
	assert_int_equal(count(&out, "Date"), 1);
	assert_int_equal(count(&out, "Message-ID"), 1);
	assert_true(holds(&out, "<own@example.com>"));
	buf_done(&out);
	fake_done(&f);
}

static void test_private_fields_are_removed(void **state)
{
	struct fake f;
	struct buf out;
	submit(&f, "Return-Path: <x@example.com>\r\nTo: b@example.org\r\nbcc: one@example.org,\r\n"
		   "\ttwo@example.org\r\nSubject: s\r\nResent-Bcc: three@example.org\r\nBcc:\r\n\r\n"
		   "Bcc: in the body\r\n");
	outgoing(&f, &out);
	assert_int_equal(count(&out, "Bcc"), 0);
	assert_int_equal(count(&out, "Resent-Bcc"), 0);
	assert_int_equal(count(&out, "Return-Path"), 0);
	assert_false(holds(&out, "one@") || holds(&out, "two@") || holds(&out, "three@"));
	assert_true(holds(&out, "To: b@example.org\r\nSubject: s\r\n\r\nBcc: in the body\r\n"));
	assert_true(holds(&f.content, "two@example.org")); /* what is stored is untouched */
	buf_done(&out);
	fake_done(&f);
}

static void test_body_without_header(void **state)
{
	struct fake f;
	struct buf out;
	submit(&f, "Hello there\r\nBcc: not a field here\r\n");
	assert_string_equal(fake_codes(&f), "250 ");
	outgoing(&f, &out);
	assert_true(holds(&out, "\r\n\r\nHello there\r\nBcc: not a field here\r\n"));
	buf_done(&out);
	fake_done(&f);

	submit(&f, "\r\njust a body\r\n");
	outgoing(&f, &out);
	assert_true(holds(&out, ">\r\n\r\njust a body\r\n"));
	buf_done(&out);
	fake_done(&f);

	submit(&f, ""); /* no octet at all */
	assert_string_equal(fake_codes(&f), "250 ");
	outgoing(&f, &out);
	assert_int_equal(count(&out, "Received"), 1);
	buf_done(&out);
	fake_done(&f);
}

static void test_mbox_line_is_removed(void **state)
{
	struct fake f;
	struct buf out;
	submit(&f, "From a@example.com Mon Nov 23 2026\r\nSubject: s\r\nBcc: x@example.org\r\n\r\nbody\r\n");
	outgoing(&f, &out);
	assert_false(holds(&out, "From a@example.com"));
	assert_int_equal(count(&out, "Subject"), 1);
	assert_int_equal(count(&out, "Bcc"), 0);
	buf_done(&out);
	fake_done(&f);
}

static void repeat(struct buf *b, const char *text, unsigned n)
{
	buf_init(b, 1 << 20);
	for (unsigned i = 0; i < n; i++)
		buf_add_str(b, text);
	buf_add_str(b, "\r\n");
}

static void try_repeated(const char *field, unsigned n, const char *codes)
{
	struct fake f;
	struct buf text;
	fake_init_clear(&f);
	f.conf.limit.header_size = 1 << 20;
	f.conf.limit.received_hops = 20;
	fake_start(&f);
	fake_say(&f, "EHLO client.example.com\r\nAUTH PLAIN AGhvdXN0b24Ac2VjcmV0\r\n"
		     "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n");
	(void)fake_codes(&f);
	repeat(&text, field, n);
	fake_feed(&f, buf_slice(&text));
	fake_say(&f, ".\r\n");
	assert_string_equal(fake_codes(&f), codes);
	assert_int_equal(f.ended, codes[0] == '2');
	buf_done(&text);
	fake_done(&f);
}

static void test_loops(void **state)
{
	try_repeated("Received: by other.example with ESMTP\r\n", 20, "250 ");
	try_repeated("Received: by other.example with ESMTP\r\n", 21, "554 ");
	try_repeated("Received: from x\r\n\tby relay.example.net (Tidegate)\r\n", SMTPD_OWN_HOPS_MAX, "250 ");
	try_repeated("Received: from x\r\n\tby relay.example.net (Tidegate)\r\n", SMTPD_OWN_HOPS_MAX + 1,
		     "554 ");
	try_repeated("Received: from relay.example.net by x.example\r\n", SMTPD_OWN_HOPS_MAX + 1, "250 ");
}

/* More fields than are looked at could hide a Bcc. */
static void test_too_many_fields(void **state)
{
	try_repeated("X: y\r\n", HEADER_FIELDS_MAX - 1, "250 ");
	try_repeated("X: y\r\n", HEADER_FIELDS_MAX, "552 ");
	try_repeated("Bcc: y\r\n", HEADER_FIELDS_MAX - 1, "552 ");
}

static void test_no_memory(void **state)
{
	for (size_t n = 0; n < 20; n++) {
		struct fake f;
		submit(&f, "Subject: x\r\n"); /* warms nothing up: each round is a session of its own */
		fake_say(&f,
			 "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: x\r\n");
		(void)fake_codes(&f);
		mem_fail_after(n);
		fake_say(&f, ".\r\n");
		mem_fail_after(SIZE_MAX);
		const char *codes = fake_codes(&f);
		assert_true(!strcmp(codes, "250 ") || !strcmp(codes, "451 ") || !strcmp(codes, "452 "));
		fake_done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing_fields_are_added),
		cmocka_unit_test(test_present_fields_are_kept),
		cmocka_unit_test(test_private_fields_are_removed),
		cmocka_unit_test(test_body_without_header),
		cmocka_unit_test(test_mbox_line_is_removed),
		cmocka_unit_test(test_loops),
		cmocka_unit_test(test_too_many_fields),
		cmocka_unit_test(test_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
