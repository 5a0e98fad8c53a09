/* What becomes of MAIL, RCPT and the session in the envelope that the queue gets. */
#include "smtpd_fake.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

static void decode(const struct fake *f, struct arena *a, struct record_message *ret)
{
	arena_init(a, 1 << 20);
	assert_int_equal(record_message_decode(buf_slice(&f->envelope), a, ret), ERR_OK);
}

static void test_everything_is_kept(void **state)
{
	struct fake f;
	struct arena a;
	struct record_message m;
	fake_init(&f);
	f.options.extensions = SMTPD_EXT_8BITMIME | SMTPD_EXT_SMTPUTF8 | SMTPD_EXT_DSN;
	fake_start(&f);
	fake_say(&f, "EHLO client.example.com\r\nSTARTTLS\r\n");
	fake_say(
		&f,
		"EHLO tls.example.com\r\nAUTH PLAIN AGhvdXN0b24Ac2VjcmV0\r\n"
		"MAIL FROM:<Sender@Example.COM> BODY=8BITMIME SMTPUTF8 AUTH=acct+2B1 RET=FULL ENVID=e+201\r\n"
		"RCPT TO:<one@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;one@example.org\r\n"
		"RCPT TO:<two@example.org> NOTIFY=NEVER\r\nRCPT TO:<postmaster>\r\n"
		"DATA\r\nSubject: x\r\n\r\nbody\r\n.\r\n");
	assert_int_equal(f.accepted, 1);
	decode(&f, &a, &m);
	assert_true(m.id == (1ull << 32) + 1);
	assert_true(m.time_ms == f.wall_ms);
	assert_true(slice_eq_str(m.sender, "Sender@Example.COM"));
	assert_true(slice_eq_str(m.server, "houston"));
	assert_true(slice_eq_str(m.account, "houston"));
	assert_true(slice_eq_str(m.auth_param, "acct+2B1"));
	assert_true(slice_eq_str(m.listener, "submission"));
	assert_true(slice_eq_str(m.client, "192.0.2.7"));
	assert_true(slice_eq_str(m.helo, "tls.example.com"));
	assert_true(slice_eq_str(m.protocol, "UTF8SMTPSA"));
	assert_true(slice_eq_str(m.tls, "TLSv1.3 TLS_AES_256_GCM_SHA384"));
	assert_true(slice_eq_str(m.envid, "e+201"));
	assert_int_equal(m.ret, 1);
	assert_int_equal(m.body, RECORD_BODY_8BITMIME);
	assert_true(m.smtputf8);
	assert_int_equal(m.size, 20);
	assert_int_equal(m.recipient_count, 3);
	assert_int_equal(m.recipients[0].notify, 2 | 8);
	assert_true(slice_eq_str(m.recipients[0].orcpt, "rfc822;one@example.org"));
	assert_int_equal(m.recipients[1].notify, 1);
	assert_true(slice_eq_str(m.recipients[2].address, "postmaster@relay.example.net"));
	arena_done(&a);
	fake_done(&f);
}

static void expect_protocol(const char *opening, enum conf_listener_tls tls, enum conf_auth auth,
			    const char *name)
{
	struct fake f;
	struct arena a;
	struct record_message m;
	fake_init(&f);
	f.listener.tls = tls;
	f.listener.auth = auth;
	fake_start(&f);
	fake_say(&f, opening);
	fake_say(&f, "MAIL FROM:<>\r\nRCPT TO:<a@example.org>\r\nDATA\r\n.\r\n");
	assert_int_equal(f.accepted, 1);
	decode(&f, &a, &m);
	assert_true(slice_eq_str(m.protocol, name));
	assert_int_equal(m.sender.len, 0);
	arena_done(&a);
	fake_done(&f);
}

/* RFC 3848. */
static void test_protocol_names(void **state)
{
	expect_protocol("HELO x\r\n", CONF_LISTENER_NONE, CONF_AUTH_NONE, "SMTP");
	expect_protocol("EHLO x\r\n", CONF_LISTENER_NONE, CONF_AUTH_NONE, "ESMTP");
	expect_protocol("EHLO x\r\n", CONF_LISTENER_IMPLICIT, CONF_AUTH_NONE, "ESMTPS");
	expect_protocol("EHLO x\r\nAUTH PLAIN AGhvdXN0b24Ac2VjcmV0\r\n", CONF_LISTENER_NONE,
			CONF_AUTH_REQUIRED, "ESMTPA");
	expect_protocol("EHLO x\r\nAUTH PLAIN AGhvdXN0b24Ac2VjcmV0\r\n", CONF_LISTENER_IMPLICIT,
			CONF_AUTH_REQUIRED, "ESMTPSA");
}

/* Nothing of one mail is left in the next. */
static void test_mails_do_not_mix(void **state)
{
	struct fake f;
	struct arena a;
	struct record_message m;
	fake_init_clear(&f);
	f.options.extensions = SMTPD_EXT_8BITMIME | SMTPD_EXT_DSN;
	fake_start(&f);
	fake_say(&f, "EHLO x\r\nAUTH PLAIN AGhvdXN0b24Ac2VjcmV0\r\n"
		     "MAIL FROM:<a@example.com> BODY=8BITMIME ENVID=1 RET=HDRS AUTH=x\r\n"
		     "RCPT TO:<one@example.org> NOTIFY=NEVER\r\nRSET\r\n"
		     "MAIL FROM:<b@example.com>\r\nRCPT TO:<two@example.org>\r\nDATA\r\nx: y\r\n.\r\n");
	assert_int_equal(f.accepted, 1);
	decode(&f, &a, &m);
	assert_true(slice_eq_str(m.sender, "b@example.com"));
	assert_int_equal(m.envid.len + m.auth_param.len + m.ret + m.body + m.recipients[0].notify, 0);
	assert_int_equal(m.recipient_count, 1);
	arena_done(&a);
	fake_done(&f);
}

/* The arena of a mail is bounded: the recipient that does not fit is put off, the mail goes on. */
static void test_envelope_memory(void **state)
{
	struct fake f;
	fake_init_clear(&f);
	f.conf.limit.session_memory = 4096;
	f.conf.limit.recipients = 1000;
	f.conf.limit.bad_commands = 1000;
	fake_start(&f);
	fake_say(&f, "EHLO x\r\nAUTH PLAIN AGhvdXN0b24Ac2VjcmV0\r\nMAIL FROM:<a@example.com>\r\n");
	(void)fake_codes(&f);
	unsigned accepted = 0;
	bool put_off = false;
	for (int i = 0; i < 100; i++) {
		fake_say(&f, "RCPT TO:<somebody.with.a.long.name@a-rather-long-domain.example.org>\r\n");
		bool ok = slice_eq_str(slice_str(fake_codes(&f)), "250 ");
		accepted += ok;
		put_off |= !ok;
	}
	assert_true(put_off && accepted > 4);
	fake_say(&f, "DATA\r\nx: y\r\n.\r\n");
	assert_string_equal(fake_codes(&f), "354 250 ");
	fake_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_is_kept),
		cmocka_unit_test(test_protocol_names),
		cmocka_unit_test(test_mails_do_not_mix),
		cmocka_unit_test(test_envelope_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
